"""The study file: read, overridden, laid over its fallback, written back. The only reader of YAML."""

import io
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, NodeEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from ablate.datasets import DatasetSpec
from ablate.errors import StudyError
from ablate.spec import (
    Decision,
    Range,
    Recipe,
    Reference,
    Search,
    StudySpec,
    Timing,
    Tuning,
    ValueWhen,
    did_you_mean,
)

MAX_BYTES = 64_000
DEEPEST = 20
"""Levels of lists and mappings in each other; ruamel.yaml's time grows with their square."""


def read(path: Path, overrides: Sequence[str] = (), *, fallback: bool = False) -> StudySpec:
    """The study in `path` with `key=value` overrides on top; `fallback` first lays its fallback over it.

    Raises:
        StudyError: one line with file, line, key, offending value and remedy.
    """
    raw, lines = _parse(path)
    beneath = "fallback."
    in_fallback = {key.removeprefix(beneath): line for key, line in lines.items() if key.startswith(beneath)}
    if fallback:
        raw, lines = _on_fallback(raw), {**lines, **in_fallback}
    elif isinstance(raw.get("fallback"), Mapping):
        # Found now, not on the day on which the data cannot be had.
        _validated(_on_fallback(raw), {**lines, **in_fallback}, path)
    for override in overrides:
        _apply_override(raw, lines, override)
    return _validated(raw, lines, path)


def values(overrides: Sequence[str]) -> dict[str, Any]:
    """`key=value` pairs as a mapping; the values are YAML."""
    raw: dict[str, Any] = {}
    for override in overrides:
        _apply_override(raw, {}, override)
    return raw


def dump(spec: StudySpec) -> str:
    """The resolved study as YAML that `read` takes back."""
    raw = _as_written(spec)
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    yaml.width = 100
    stream = io.StringIO()
    yaml.dump(raw, stream)
    return stream.getvalue()


def differences(old: StudySpec, new: StudySpec) -> Iterator[tuple[str, Any, Any]]:
    """Dotted key, old and new value of everything in which two resolved studies differ."""
    if old.arms and new.arms and next(iter(old.arms)) != next(iter(new.arms)):
        yield "first of arms, the baseline,", next(iter(old.arms)), next(iter(new.arms))
    before, after = (dict(_leaves(_as_written(spec))) for spec in (old, new))
    for key in [*before, *(key for key in after if key not in before)]:
        if repr(before.get(key)) != repr(after.get(key)):
            yield key, before.get(key), after.get(key)


def _as_written(spec: StudySpec) -> dict[str, Any]:
    """The study as a file has it: what does not apply left out, a range alone not in a list."""
    raw = spec.model_dump(mode="json")
    ranges = {
        name: [_without_empty(one, "when") for one in several]
        for name, several in raw["tuning"]["ranges"].items()
    }
    raw["tuning"] = {
        "trials": spec.tuning.trials,
        **{name: several[0] if len(several) == 1 else several for name, several in ranges.items()},
    }
    for unused in ["design", "search", "factors"] if spec.arms else ["arms"]:
        del raw[unused]
    if spec.design != "search":
        raw.pop("search", None)
    return raw


def _without_empty(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in raw.items() if name != key or value}


def _validated(raw: Mapping[str, Any], lines: dict[str, str], path: Path) -> StudySpec:
    try:
        return StudySpec.model_validate(raw).standing_at(lines)
    except ValidationError as error:
        raise StudyError(_explain(error.errors(), lines, path)) from None


def _leaves(raw: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(raw, Mapping) and raw:
        for key, value in raw.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, raw


def _parse(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The file's mapping and, by dotted key, `file:line` where it stands."""
    try:
        with path.open("rb") as file:  # no more of it: a pipe or a device has no size and no end
            content = file.read(MAX_BYTES + 1)
        text = content.decode("utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise StudyError(f"{path}: no such study file: check the path, or see studies/") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise StudyError(f"{path}: is not text in UTF-8: a study is a YAML file") from None
    if len(content) > MAX_BYTES:
        raise StudyError(f"{path}: its bytes are more than a study's {MAX_BYTES:,}: shorten it")
    yaml = YAML(typ="safe", pure=True)
    root: Node | None = None
    try:
        _refuse_traps(yaml, text, path)
        root = yaml.compose(text)
        raw = yaml.load(text)
    except MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise StudyError(f"{path}{line}: {' '.join(str(error.problem).split())}") from None
    except (YAMLError, ValueError) as error:
        told = " ".join(str(error).split())[:120]
        raise StudyError(f"{path}{_line_of_no_value(root)}: is not YAML ({told})") from None
    if not isinstance(raw, dict) or root is None:
        raise StudyError(f"{path}: is no study: it must be a mapping that begins with 'name:'")
    return raw, {key: f"{path}:{line}" for key, line in _line_numbers(root)}


def _refuse_traps(yaml: YAML, text: str, path: Path) -> None:
    """Raise a StudyError at what makes a short file long, deep or more than text."""
    depth = 0
    for event in yaml.parse(text):
        at = f"{path}:{event.start_mark.line + 1}"
        if isinstance(event, AliasEvent):
            raise StudyError(f"{at}: alias '*{event.anchor}': write the value out")
        if isinstance(event, NodeEvent) and (tag := getattr(event, "tag", None)) is not None:
            raise StudyError(f"{at}: tag '{tag}': write the plain value")
        if any("\ud800" <= letter <= "\udfff" for letter in getattr(event, "value", "")):
            # An escape may spell it; no file and no message can hold it.
            raise StudyError(f"{at}: half a character in '{event.value}': write it whole")
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise StudyError(f"{at}: more than {DEEPEST} levels in each other: write it flatter")


def _line_of_no_value(root: Node | None) -> str:
    """`:line` of the first scalar that looks like a number or a date and is none; empty if none does."""
    for node in _scalars(root):
        try:
            YAML(typ="safe", pure=True).load(node.value)
        except (YAMLError, ValueError):
            return f":{node.start_mark.line + 1}"
    return ""


def _scalars(node: Node | None) -> Iterator[ScalarNode]:
    if isinstance(node, ScalarNode):
        yield node
    elif isinstance(node, SequenceNode | MappingNode):
        for below in node.value:
            for part in below if isinstance(below, tuple) else (below,):
                yield from _scalars(part)


def _line_numbers(node: Node, prefix: str = "") -> Iterator[tuple[str, int]]:
    if isinstance(node, MappingNode):
        for key, value in node.value:
            dotted = f"{prefix}.{key.value}" if prefix else str(key.value)
            yield dotted, key.start_mark.line + 1
            yield from _line_numbers(value, dotted)
    elif isinstance(node, SequenceNode):
        for position, value in enumerate(node.value):
            dotted = f"{prefix}.{position}"
            yield dotted, value.start_mark.line + 1
            yield from _line_numbers(value, dotted)


def _on_fallback(raw: dict[str, Any]) -> dict[str, Any]:
    over = raw.get("fallback") or {}
    merged = _merge({key: value for key, value in raw.items() if key != "fallback"}, over)
    if "references" not in over:
        merged.pop("references", None)  # published figures are about the data they were published for
    if "validation" not in over:
        # The same share of the images is held out as on the data the study was written for.
        held_out = raw.get("validation", StudySpec.model_fields["validation"].default)
        before, after = (_train_images(source.get("dataset")) for source in (raw, merged))
        if isinstance(held_out, int) and before and after:
            merged["validation"] = round(Fraction(held_out * after, before))  # whatever its size
    return merged


def _train_images(dataset: Any) -> int | None:
    """Of the data set as the file names it; None where there is no such thing, which is told elsewhere."""
    try:
        return DatasetSpec.model_validate("fashion_mnist" if dataset is None else dataset).facts.train_images
    except ValueError:
        return None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(merged.get(key), Mapping) and isinstance(value, Mapping)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _apply_override(raw: dict[str, Any], lines: dict[str, str], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key or not all(key.split(".")):
        raise StudyError(f"command line: '{override}' is not KEY=VALUE: write it like recipe.epochs=2")
    yaml = YAML(typ="safe", pure=True)
    try:
        _refuse_traps(yaml, text, Path(key))
        value = yaml.load(text)
    except (YAMLError, ValueError, StudyError):
        raise StudyError(f"command line: {key}: '{text}' is not a YAML value") from None
    *parents, last = key.split(".")
    place = raw
    for parent in parents:
        nested = place.setdefault(parent, {})
        if not isinstance(nested, dict):
            raise StudyError(f"command line: {key}: '{parent}' holds a value, nothing can stand below it")
        place = nested
    place[last] = value
    lines[key] = "command line"


def _explain(errors: Sequence[ErrorDetails], lines: Mapping[str, str], path: Path) -> str:
    """One line for pydantic's first complaint: place, key, value, remedy."""
    error = errors[0]
    # Pydantic names the branch of a union and our own 'ranges' in its path; neither stands in the file.
    branches = (
        "ranges",
        "ValueWhen",
        "bool",
        "int",
        "float",
        "str",
        "none",
        "list[",
        "function-",
        "constrained-str",
    )
    location = [str(part) for part in error["loc"]]
    keys = location[:1] + [part for part in location[1:] if not part.startswith(branches)]
    if ".".join(keys[:3]) not in lines:  # a range alone is not written as a list
        keys = keys[:2] + keys[3:] if location[:2] == ["tuning", "ranges"] else keys
    key = ".".join(keys)
    written = key
    while written and written not in lines:
        written = written.rpartition(".")[0]
    place = lines.get(written, str(path))
    given = error.get("input")
    if error["type"] == "extra_forbidden":
        return f"{place}: unknown key '{keys[-1]}': {did_you_mean(keys[-1], _known_keys(keys[:-1]))}"
    if error["type"] == "missing":
        return f"{place}: '{key}' is missing: add it"
    if error["type"] == "value_error":
        return f"{place}: {f'{key}: ' if key else ''}{error['ctx']['error']}"
    message = error["msg"][0].lower() + error["msg"][1:]
    if any(part.startswith(branches[1:]) for part in location[1:]):
        # A union has every branch complain: a word's own complaint, if there is one, says most.
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


def _known_keys(parents: Sequence[str]) -> list[str]:
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
                    Reference,
                    ValueWhen,
                    Range,
                )
                if kind.__name__ in repr(annotation)
            ),
            Range,
        )
    return list(known.model_fields)
