"""Write the error messages for an invalid study file.

Each message is one line with the file, the line number, the key, the value and the remedy.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from ablate.data.datasets import DatasetSpec
from ablate.errors import did_you_mean
from ablate.study.effort import Decision, Search, Timing
from ablate.study.expectations import Reference
from ablate.study.recipe import Recipe
from ablate.study.seed_looks import TAG, SeedLooks
from ablate.study.spec import Range, StudySpec, Tuning, ValueWhen
from ablate.study.yaml_text import find_line

BRANCHES = ("ValueWhen", "bool", "int", "float", "str", "none", "list[", "function-", "constrained-str")
"""A pydantic error has a location with several parts. Most parts are keys of the study file.

A part of the location that begins with one of these prefixes is no key. Such a part names a branch of a union
type.
"""


def explain(errors: Sequence[ErrorDetails], lines: Mapping[str, str], path: Path) -> list[str]:
    """Turn pydantic's errors into messages, one line for each wrong place in the study file."""
    groups: dict[tuple[str, ...], list[ErrorDetails]] = {}
    for error in errors:
        location = _list_keys(error)
        branch = next((i for i, part in enumerate(location[1:], 1) if part.startswith(BRANCHES)), None)
        # If a value fits no branch of a union, every branch reports an error. These errors form one group.
        groups.setdefault(tuple(location[:branch]), []).append(error)
    for place in list(groups):
        below = any(other[: len(place)] == place and other != place for other in groups)
        if below and all(error["type"] == "too_short" for error in groups[place]):
            del groups[place]  # the value is too short only because parts of it are invalid
    return [line for group in groups.values() for line in _explain_group(group, lines, path)]


def _explain_group(errors: Sequence[ErrorDetails], lines: Mapping[str, str], path: Path) -> list[str]:
    inconsistencies = getattr(errors[0].get("ctx", {}).get("error"), "by_key", None)
    if inconsistencies:
        return [f"{lines.get(key, path)}: {told}" for key, told in inconsistencies]
    return [_explain_first(errors, lines, path)]


def _explain_first(errors: Sequence[ErrorDetails], lines: Mapping[str, str], path: Path) -> str:
    """Describe the first error in a list of errors about the same value."""
    error = errors[0]
    # Pydantic's location contains union branches and our own key 'ranges'. The study file has neither.
    branches = ("ranges", *BRANCHES)
    location = _list_keys(error)
    keys = location[:1] + [part for part in location[1:] if not part.startswith(branches)]
    if ".".join(keys[:3]) not in lines:  # in the file, a single range is not inside a list
        keys = keys[:2] + keys[3:] if location[:2] == ["tuning", "ranges"] else keys
    key = ".".join(keys)
    place = find_line(lines, key) or str(path)
    given = error.get("input")
    if error["type"] == "extra_forbidden":
        return f"{place}: unknown key '{keys[-1]}': {did_you_mean(keys[-1], _list_known_keys(keys[:-1]))}"
    if error["type"] == "missing":
        return f"{place}: '{key}' is missing: add it"
    if error["type"] == "value_error":
        return f"{place}: {f'{key}: ' if key else ''}{error['ctx']['error']}"
    message = error["msg"][0].lower() + error["msg"][1:]
    if any(part.startswith(branches[1:]) for part in location[1:]):
        # Every branch of a union reports an error. If the value is a word, only the branch for words matters.
        for other in errors if isinstance(given, str) else ():
            if other["type"] == "value_error" and other["loc"][: len(keys)] == error["loc"][: len(keys)]:
                return f"{place}: {key}: {other['ctx']['error']}"
        message = "must be a word, a number, true, false, null, a list of numbers, or {value: …, when: {…}}"
    if isinstance(given, float) and math.isnan(given):
        message = "not a number"
    shown = repr(given) if len(repr(given)) <= 60 else repr(given)[:57] + "…"
    if error["type"] == "literal_error":
        known = [choice.strip(" '") for choice in error["ctx"]["expected"].replace(" or ", ", ").split(",")]
        return f"{place}: {key}: {shown} is not known: {did_you_mean(str(given), known)}"
    return f"{place}: {key}: {shown}: {message}"


def _list_keys(error: ErrorDetails) -> list[str]:
    """List the parts of the error's location. Leave out the parts that name the form of the key `seeds`."""
    return [str(part) for part in error["loc"] if not str(part).startswith(TAG)]


def _list_known_keys(parents: Sequence[str]) -> list[str]:
    """List the keys that are allowed below `parents` in a study file."""
    known: type[BaseModel] = StudySpec
    for parent in parents:
        if parent.isdigit():
            continue
        annotation = known.model_fields[parent].annotation if parent in known.model_fields else Range
        known = next(
            (
                kind
                for kind in (
                    DatasetSpec,
                    Recipe,
                    Tuning,
                    Decision,
                    Timing,
                    Search,
                    SeedLooks,
                    Reference,
                    ValueWhen,
                    Range,
                )
                if kind.__name__ in repr(annotation)
            ),
            Range,
        )
    return list(known.model_fields)
