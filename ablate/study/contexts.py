"""Contexts: named changes to a study file. The study's question is answered separately in each context.

For example, `contexts: {chapter: {}, modern: {recipe: {optimizer: adamw}}}` asks the same question with the
recipe of the file, and with another optimiser.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from ablate.errors import StudyError, did_you_mean

CHOICE = "context="
"""The beginning of the override that chooses a context."""
FOLDERS = frozenset({"checkpoints", "figures", "predictions", "tables"})
"""Every report folder has these folders. A context cannot have one of these names."""


def _refuse_taken(name: str) -> str:
    if name in FOLDERS:
        raise ValueError(f"every report has a folder '{name}': choose another name for the context")
    return name


# The report of a context is in a folder that has the name of the context.
ContextName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$"), AfterValidator(_refuse_taken)
]


def split_context(overrides: Sequence[str]) -> tuple[str | None, list[str]]:
    """Split the override `context=NAME` from all other overrides. The name is None without this override."""
    names = [text.removeprefix(CHOICE) for text in overrides if text.startswith(CHOICE)]
    return (names[-1] if names else None), [text for text in overrides if not text.startswith(CHOICE)]


def apply_context(
    raw: Mapping[str, Any], lines: Mapping[str, str], name: str
) -> tuple[dict[str, Any], dict[str, str]]:
    """Apply the changes of a context to a study file's content.

    Args:
        raw: the content of the study file.
        lines: the place (`file:line`) of every dotted key in the file, such as `recipe.epochs`.
        name: the name of the context.

    Returns:
        The content of the study with the changes of the context, and the place of each of its keys.

    Raises:
        StudyError: the file has no such context.
    """
    contexts = raw.get("contexts")
    if not isinstance(contexts, Mapping) or name not in contexts:
        known = [str(known) for known in contexts] if isinstance(contexts, Mapping) else []
        if not known:
            raise StudyError(f"context '{name}': this study has no contexts: leave the context out")
        raise StudyError(f"this study has no context '{name}': {did_you_mean(name, known)}")
    base = {key: value for key, value in raw.items() if key != "contexts"}
    changes = contexts[name]
    beneath = f"contexts.{name}."
    for key in ("name", "context", "contexts"):
        if key in changes:
            place = lines.get(f"{beneath}{key}", "study")
            raise StudyError(f"{place}: {beneath}{key}: a context cannot change this key: remove it")
    own = {key.removeprefix(beneath): line for key, line in lines.items() if key.startswith(beneath)}
    kept = {key: line for key, line in lines.items() if not key.startswith("contexts.")}
    return {**merge(_drop_what_depends(base, changes), changes), "context": name}, {**kept, **own}


def require_known_contexts(
    raw: Mapping[str, Any], lines: Mapping[str, str], overrides: Sequence[str]
) -> None:
    """Check that contexts are named by words and have keys, and that no override changes an unknown context.

    Raises:
        StudyError: a name is a number or a date, a context is empty, or an override has a context that the
            file lacks.
    """
    contexts = raw.get("contexts")
    if contexts is None and "contexts" in raw:
        raise StudyError("contexts: is empty: list the contexts below it, or remove the key")
    contexts = contexts if isinstance(contexts, Mapping) else {}
    names = list(contexts)
    for name in names:
        if not isinstance(name, str):
            raise StudyError(f"contexts: {name}: the name of a context must be a word: write it in quotes")
        if not isinstance(contexts[name], Mapping):
            place = lines.get(f"contexts.{name}", "study")
            raise StudyError(
                f"{place}: contexts.{name}: must be a mapping of keys: write {{}} to change nothing"
            )
    for text in overrides:
        parts = text.partition("=")[0].split(".")
        if parts[0] == "contexts" and len(parts) > 1 and parts[1] not in names:
            raise StudyError(
                f"command line: this study has no context '{parts[1]}': {did_you_mean(parts[1], names)}"
            )


def _drop_what_depends(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Drop keys of the file that hold only for its own data set or metric, if a context changes these."""
    kept = dict(base)
    for whole in ("dataset", "seeds"):  # the parts of these keys belong together
        if whole in changes:
            kept.pop(whole, None)
    if "dataset" in changes:
        kept.pop("references", None)  # published values hold only for one data set
        kept.pop("predicted", None)
    metric = changes["decision"].get("metric") if isinstance(changes.get("decision"), Mapping) else None
    if metric is not None and isinstance(kept.get("decision"), Mapping):
        kept["decision"] = {key: value for key, value in kept["decision"].items() if key != "margin"}
        kept.pop("predicted", None)
    return kept


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merge nested mappings. If both mappings have a value for a key, use the value of `above`."""
    merged = dict(below)
    for key, value in above.items():
        both = isinstance(merged.get(key), Mapping) and isinstance(value, Mapping)
        merged[key] = merge(merged[key], value) if both else value
    return merged
