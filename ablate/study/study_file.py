"""Read a study file with overrides and fallback, write a study file, and compare two studies."""

import copy
import functools
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML

from ablate.data.datasets import OWN_IMAGES_HELD_OUT, DatasetSpec
from ablate.errors import StudyError
from ablate.formatting import format_list
from ablate.study.complaints import explain
from ablate.study.contexts import apply_context, merge, require_known_contexts, split_context
from ablate.study.overrides import apply_overrides
from ablate.study.owners import WrittenTwiceError, join_owners
from ablate.study.seed_looks import SeedLooks
from ablate.study.spec import PARTIAL, StudySpec
from ablate.study.yaml_text import parse


class InvalidStudyError(StudyError):
    """A study has invalid keys. `partial` is the study without these keys, or None if nothing is left.

    ablate can then still check the rest of the study, and report all mistakes at once.
    """

    def __init__(self, *messages: str, partial: StudySpec | None = None) -> None:
        super().__init__(*messages)
        self.partial = partial


def read(path: Path, overrides: Sequence[str] = (), *, fallback: bool = False) -> StudySpec:
    """Read the study in the file `path`, and apply the overrides `key=value` of the command line.

    The override `context=NAME` chooses a context: its changes are applied first. If `fallback` is true, then
    apply the section `fallback` of the file, which replaces a missing data set.

    Raises:
        StudyError: the study has mistakes. The message has one line for each, with the file, the line number,
            the key, the value and the remedy.
    """
    raw, lines = parse(path)
    try:
        raw = join_owners(raw)
    except WrittenTwiceError as error:
        at = next((line for key, line in reversed(lines.items()) if key.endswith(f".{error}")), path)
        nested = f"{str(error).replace('.', ': {', 1)}: …}}"
        raise InvalidStudyError(
            f"{at}: {error}: is written twice, with a dot and nested ({nested}): write it once"
        ) from None
    mistakes: list[str] = []
    require_known_contexts(raw, lines, overrides)
    if isinstance(raw.get("contexts"), Mapping):
        # Overrides that change a context are applied before the context. All others are applied after it.
        of_contexts = [text for text in overrides if text.startswith("contexts.")]
        overrides = [text for text in overrides if text not in of_contexts]
        mistakes += apply_overrides(raw, lines, of_contexts)
    of_parts: list[str] = []
    """Mistakes in the sections `contexts` and `fallback`, which are not applied now."""
    context, overrides = split_context(overrides)
    if context is not None and context != raw.get("context"):
        raw, lines = apply_context(raw, lines, context)
    elif isinstance(raw.get("contexts"), Mapping):
        for name in raw["contexts"]:
            of_parts += _list_mistakes(functools.partial(apply_context, raw, lines, name), path)
    beneath = "fallback."
    in_fallback = {key.removeprefix(beneath): line for key, line in lines.items() if key.startswith(beneath)}
    if fallback:
        raw, lines = _apply_fallback(raw), {**lines, **in_fallback}
    elif isinstance(raw.get("fallback"), Mapping):
        # An invalid fallback is reported now, even if the data set is not missing.
        of_parts += _list_mistakes(lambda: (_apply_fallback(raw), {**lines, **in_fallback}), path)
    mistakes += apply_overrides(raw, lines, overrides)
    given = {override.partition("=")[0] for override in overrides}
    if "decision.metric" in given and "decision.margin" not in given:
        raw["decision"].pop("margin", None)  # the margin in the file belongs to another metric
        raw.pop("predicted", None)
    raw = join_owners(raw)
    if not mistakes and not of_parts:
        return _validate(raw, lines, path)
    partial = None
    try:
        partial = _validate(raw, lines, path)
    except InvalidStudyError as error:
        mistakes += error.lines
        partial = error.partial
    # A mistake outside the sections `contexts` and `fallback` is found again when a section is applied. Such
    # a mistake must be reported only once.
    places = {line.split(": ")[0] for line in mistakes}
    mistakes += [line for line in dict.fromkeys(of_parts) if line.split(": ")[0] not in places]
    raise InvalidStudyError(*mistakes, partial=partial)


def read_one(path: Path, overrides: Sequence[str] = ()) -> StudySpec:
    """Read a study that is answered in one context, as `read` does.

    Raises:
        StudyError: the study has mistakes, or it has contexts and the overrides choose none of them.
    """
    return require_one_context(read(path, overrides))


def copy_whole(path: Path, overrides: Sequence[str] = ()) -> str | None:
    """Return the file of a study as YAML text, with the overrides and without default values.

    None if the file has no contexts. A default can depend on a key that a context changes. An override
    applies after the contexts.

    Raises:
        StudyError: the file cannot be read, or an override is wrong.
    """
    raw, lines = parse(path)
    raw = join_owners(raw)
    if not raw.get("contexts"):
        return None
    _, others = split_context(overrides)
    for override in others:
        mistakes = apply_overrides(raw, lines, [override])
        for name in [] if override.startswith("contexts.") else raw["contexts"]:
            mistakes += apply_overrides(raw, lines, [f"contexts.{name}.{override}"])
        if mistakes:
            raise StudyError(*mistakes)
    return _write_yaml(raw)


def require_one_context(study: StudySpec) -> StudySpec:
    """Return the study. If it has contexts, and none of them was chosen, raise a StudyError."""
    if study.contexts:
        first, names = next(iter(study.contexts)), format_list(list(study.contexts))
        raise StudyError(
            f"{study.locate('contexts')}: this study is answered in {names}: choose one of them with the "
            f"override context={first}"
        )
    return study


def make(raw: Mapping[str, Any], *, fallback: bool = False) -> StudySpec:
    """Make a study from values instead of a file. If `fallback` is true, apply the section `fallback`.

    Raises:
        StudyError: the study has mistakes. The message has one line for each, with key, value and remedy.
    """
    whole = join_owners(copy.deepcopy(dict(raw)))
    return _validate(_apply_fallback(whole) if fallback else whole, {}, Path("Study"))


def dump(spec: StudySpec) -> str:
    """Return the study as YAML text, including default values. `read` makes an equal study from this text."""
    raw = _make_raw(spec)
    # Older versions of ablate do not know the following keys. So a key with its default value is left out.
    if spec.decision.metric == "accuracy":
        del raw["decision"]["metric"]
    if spec.keep == "last":
        del raw["keep"]
    return _write_yaml(raw)


def _write_yaml(raw: Mapping[str, Any]) -> str:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = None
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.allow_unicode = True
    yaml.width = 100
    stream = io.StringIO()
    yaml.dump(raw, stream)
    return stream.getvalue()


def list_changes(old: StudySpec, new: StudySpec) -> Iterator[tuple[str, Any, Any]]:
    """Yield every difference between two studies: the dotted key, the old value and the new value."""
    if old.arms and new.arms and next(iter(old.arms)) != next(iter(new.arms)):
        yield "first of arms, the baseline,", next(iter(old.arms)), next(iter(new.arms))
    before, after = (dict(_list_leaves(_make_raw(spec))) for spec in (old, new))
    for key in [*before, *(key for key in after if key not in before)]:
        if repr(before.get(key)) != repr(after.get(key)):
            yield key, before.get(key), after.get(key)


def _make_raw(spec: StudySpec) -> dict[str, Any]:
    """Make the content of the study file. Unused keys are left out. A single range is not put into a list."""
    raw = spec.model_dump(mode="json")
    ranges = {
        name: [_drop_if_empty(one, "when") for one in several]
        for name, several in raw["tuning"]["ranges"].items()
    }
    raw["tuning"] = {
        "trials": spec.tuning.trials,
        **{name: several[0] if len(several) == 1 else several for name, several in ranges.items()},
    }
    if isinstance(spec.seeds, SeedLooks):
        raw["seeds"] = spec.seeds.model_dump(mode="json", exclude_none=True)
    for unused in ["design", "search", "factors"] if spec.arms else ["arms"]:
        del raw[unused]
    for later in ("predicted", "contexts", "context"):  # older versions of ablate do not know these keys
        if not raw[later]:
            del raw[later]
    if spec.design != "search":
        raw.pop("search", None)
    return raw


def _drop_if_empty(raw: Mapping[str, Any], key: str) -> dict[str, Any]:
    """Return the mapping without `key` if its value is empty."""
    return {name: value for name, value in raw.items() if name != key or value}


def _validate(raw: Mapping[str, Any], lines: dict[str, str], path: Path) -> StudySpec:
    try:
        return StudySpec.model_validate(raw).add_places(lines)
    except ValidationError as error:
        partial = _read_rest(raw, error.errors(), lines)
        raise InvalidStudyError(*explain(error.errors(), lines, path), partial=partial) from None


def _read_rest(
    raw: Mapping[str, Any], errors: Sequence[ErrorDetails], lines: dict[str, str]
) -> StudySpec | None:
    """Read a study without its invalid keys. Return None if the rest is not a valid study."""
    kept = copy.deepcopy(dict(raw))
    for error in errors:
        trail: list[tuple[Any, Any]] = []
        place: Any = kept
        for part in error["loc"]:
            if (isinstance(place, dict) and part in place) or (
                isinstance(place, list) and isinstance(part, int) and part < len(place)
            ):
                trail.append((place, part))
                place = trail[-1][0][part]
        while trail and isinstance(trail[-1][0], list) and trail[0][1] != "factors":
            trail.pop()
        if trail:
            container, part = trail[-1]
            if isinstance(container, list):
                container[part] = f"invalid {part}"  # not deleted, because the other values must not move
            else:
                del container[part]
    try:
        rest = {"name": "x", "question": "?"} | kept
        return StudySpec.model_validate(rest, context=PARTIAL).add_places(lines)
    except ValidationError:
        return None


def _list_mistakes(
    make: Callable[[], tuple[Mapping[str, Any], dict[str, str]]], path: Path
) -> tuple[str, ...]:
    """List the mistakes of a study. `make` returns its content, and the place of each key."""
    try:
        _validate(*make(), path)
    except StudyError as error:
        return error.lines
    return ()


def _list_leaves(raw: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the dotted key and the value of every entry of nested mappings."""
    if isinstance(raw, Mapping) and raw:
        for key, value in raw.items():
            yield from _list_leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, raw


def _apply_fallback(raw: dict[str, Any]) -> dict[str, Any]:
    """Merge the study's `fallback` section into the study."""
    over = raw.get("fallback") or {}
    merged = merge({key: value for key, value in raw.items() if key != "fallback"}, over)
    for key in (
        "references",
        "predicted",
    ):  # published and expected values hold only for the original data set
        if key not in over:
            merged.pop(key, None)
    if "validation" not in over:
        # Hold out the same share of the images as on the original data set.
        held_out = raw.get("validation", StudySpec.model_fields["validation"].default)
        before, after = (_count_training_images(source.get("dataset")) for source in (raw, merged))
        if "validation" not in raw and isinstance(raw.get("dataset"), Mapping):  # the user's own images
            held_out, before = 1, OWN_IMAGES_HELD_OUT
        if isinstance(held_out, int) and before and after:
            merged["validation"] = round(Fraction(held_out * after, before))
    return merged


def _count_training_images(dataset: Any) -> int | None:
    """Count a data set's training images. Return None for an invalid data set, which `_validate` reports."""
    try:
        return DatasetSpec.model_validate("fashion_mnist" if dataset is None else dataset).facts.train_images
    except ValueError:
        return None
