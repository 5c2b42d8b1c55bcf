"""The study file: one question, read, checked and resolved. The only reader of YAML."""

import difflib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent
from ruamel.yaml.nodes import MappingNode, Node, SequenceNode

from ablate.errors import StudyError

MAX_BYTES = 64_000
MAX_SEEDS = 10_000
"""Confirmation uses seeds 0 … seeds-1; tuning takes its own from here on, so the two never meet."""
SPREADSHEET_FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True, kw_only=True)
class DatasetFacts:
    """What a study must know of a data set before it is loaded."""

    train_images: int
    """Images to train and validate on; the test images come on top."""
    test_images: int
    image_shape: tuple[int, int, int] = (1, 28, 28)
    classes: int = 10


DATASETS = {
    "fashion_mnist": DatasetFacts(train_images=60_000, test_images=10_000),
    "mnist": DatasetFacts(train_images=60_000, test_images=10_000),
    "digits": DatasetFacts(train_images=1_437, test_images=360),
}

Scalar = bool | int | float | str | None
Value = Scalar | list[int | float | None]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must not contain control characters")
    return text


def _table_cell(text: str) -> str:
    if text.startswith(SPREADSHEET_FORMULA):
        raise ValueError("must not begin like a spreadsheet formula (=, +, -, @)")
    return text


Text = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(_printable)]
ArmName = Annotated[
    str, Field(min_length=1, max_length=80), AfterValidator(_printable), AfterValidator(_table_cell)
]
PositiveInt = Annotated[int, Field(ge=1, strict=True)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Range(_Part):
    """The interval a nuisance is tuned over, ends included."""

    low: Annotated[float, Field(allow_inf_nan=False)]
    high: Annotated[float, Field(allow_inf_nan=False)]
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}: swap or widen them")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} has no logarithm: give a positive low or log: false")
        return self


class Recipe(_Part):
    """How every arm is trained; the defaults are the documents' recipe."""

    epochs: PositiveInt = 10
    batch_size: PositiveInt = 256
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Positive = 0.9
    momentum: Annotated[float, Field(ge=0, lt=1)] = 0.0
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    init: Literal[
        "default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal"
    ] = "xavier_uniform"


class Tuning(_Part):
    """How many points of which ranges every arm tries; `trials: 0` tunes nothing."""

    trials: Annotated[int, Field(ge=0, le=1000, strict=True)] = 0
    ranges: dict[str, Range] = {}

    @model_validator(mode="before")
    @classmethod
    def _gather_ranges(cls, raw: Any) -> Any:
        if isinstance(raw, Mapping) and "ranges" not in raw:
            return {
                **({"trials": raw["trials"]} if "trials" in raw else {}),
                "ranges": {key: value for key, value in raw.items() if key != "trials"},
            }
        return raw

    @property
    def active(self) -> bool:
        return self.trials > 0 and bool(self.ranges)


class Decision(_Part):
    """What counts as an answer: the smallest difference worth having and the error rate allowed."""

    metric: Literal["accuracy"] = "accuracy"
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.01
    alpha: Annotated[float, Field(gt=0, lt=0.5)] = 0.05


class Reference(_Part):
    """A published figure to set beside ours."""

    name: Text
    metric: Literal["test_accuracy", "train_accuracy", "train_loss"]
    value: Annotated[float, Field(allow_inf_nan=False)]
    source: Text


class StudySpec(_Part):
    """One question and the conditions under which it is answered."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,79}$")]
    question: Text
    dataset: Literal["fashion_mnist", "mnist", "digits"] = "fashion_mnist"
    model: str = "lenet"
    baseline: dict[str, Value] = {}
    factors: dict[str, Annotated[list[Value], Field(min_length=1, max_length=200)]]
    design: Literal["one_at_a_time"] = "one_at_a_time"
    recipe: Recipe = Recipe()
    tuning: Tuning = Tuning()
    seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS, strict=True)] = 10
    decision: Decision = Decision()
    validation: Annotated[int, Field(ge=0, strict=True)] = 10_000
    references: tuple[Reference, ...] = ()
    fallback: dict[str, Any] = {}

    _lines: dict[str, str] = PrivateAttr(default_factory=dict)

    @field_validator("factors")
    @classmethod
    def _distinct(cls, factors: dict[str, list[Value]]) -> dict[str, list[Value]]:
        for name, values in factors.items():
            # True == 1 == 1.0 in Python; what a person wrote differently is different here.
            written = [repr(value) for value in values]
            for value in values:
                if written.count(repr(value)) > 1:
                    raise ValueError(f"{name} lists {value!r} twice: name every value once")
        return factors

    @model_validator(mode="after")
    def _consistent(self) -> "StudySpec":
        both = sorted(set(self.factors) & set(self.tuning.ranges))
        if both:
            raise ValueError(f"'{both[0]}' is both a factor and tuned: keep it in one of the two")
        if self.tuning.active and not self.validation:
            raise ValueError("tuning needs validation images: set validation above 0 or tuning.trials to 0")
        images = DATASETS[self.dataset].train_images
        if self.validation >= images:
            raise ValueError(
                f"validation takes {self.validation:,} of {images:,} training images: leave some to train on"
            )
        return self

    def where(self, key: str) -> str:
        """`file:line: key` of a dotted key, or of its nearest parent that was written down."""
        written = key
        while written not in self._lines and "." in written:
            written = written.rpartition(".")[0]
        return f"{self._lines.get(written, 'study')}: {key}"


def read(path: Path, overrides: Sequence[str] = (), *, fallback: bool = False) -> StudySpec:
    """The study in `path` with `key=value` overrides on top; `fallback` first lays its fallback over it.

    Raises:
        StudyError: one line with file, line, key, offending value and remedy.
    """
    raw, lines = _parse(path)
    if fallback:
        raw = _on_fallback(raw)
    for override in overrides:
        _apply_override(raw, lines, override)
    try:
        spec = StudySpec.model_validate(raw)
    except ValidationError as error:
        raise StudyError(_explain(error.errors(), lines, path)) from None
    spec._lines.update(lines)
    return spec


def values(overrides: Sequence[str]) -> dict[str, Any]:
    """`key=value` pairs as a mapping; the values are YAML."""
    raw: dict[str, Any] = {}
    for override in overrides:
        _apply_override(raw, {}, override)
    return raw


def dump(spec: StudySpec) -> str:
    """The resolved study as YAML that `read` takes back."""
    raw = spec.model_dump(mode="json")
    raw["tuning"] = {"trials": spec.tuning.trials, **raw["tuning"]["ranges"]}
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
    before, after = (dict(_leaves(spec.model_dump(mode="json"))) for spec in (old, new))
    for key in [*before, *(key for key in after if key not in before)]:
        if repr(before.get(key)) != repr(after.get(key)):
            yield key, before.get(key), after.get(key)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """ "did you mean 'pooling'?", or all that is known where nothing is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"


def _leaves(raw: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(raw, Mapping) and raw:
        for key, value in raw.items():
            yield from _leaves(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, raw


def _parse(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """The file's mapping and, by dotted key, `file:line` where it stands."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise StudyError(f"{path}: {size:,} bytes are more than a study's {MAX_BYTES:,}: shorten it")
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, IsADirectoryError):
        raise StudyError(f"{path}: no such study file: check the path, or see studies/") from None
    except OSError as error:
        raise StudyError(f"{path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise StudyError(f"{path}: is not text in UTF-8: a study is a YAML file") from None
    yaml = YAML(typ="safe", pure=True)
    try:
        for event in yaml.parse(text):
            if isinstance(event, AliasEvent):
                raise StudyError(
                    f"{path}:{event.start_mark.line + 1}: alias '*{event.anchor}': write the value out"
                )
        root = yaml.compose(text)
        raw = yaml.load(text)
    except MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise StudyError(f"{path}{line}: {' '.join(str(error.problem).split())}") from None
    except (YAMLError, ValueError, RecursionError) as error:
        raise StudyError(f"{path}: is not YAML ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(raw, dict) or root is None:
        raise StudyError(f"{path}: is no study: it must be a mapping that begins with 'name:'")
    return raw, {key: f"{path}:{line}" for key, line in _line_numbers(root)}


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
        defaults = {key: StudySpec.model_fields[key].default for key in ("dataset", "validation")}
        before, after = ({**defaults, **source} for source in (raw, merged))
        if isinstance(before["validation"], int) and {before["dataset"], after["dataset"]} <= set(DATASETS):
            share = before["validation"] / DATASETS[before["dataset"]].train_images
            merged["validation"] = round(share * DATASETS[after["dataset"]].train_images)
    return merged


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
    try:
        value = YAML(typ="safe", pure=True).load(text)
    except YAMLError:
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
    branches = ("ranges", "bool", "int", "float", "str", "none", "list[")
    location = [str(part) for part in error["loc"]]
    keys = location[:1] + [part for part in location[1:] if not part.startswith(branches)]
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
        message = "must be a word, a number, true, false, null or a list of numbers"
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
                for kind in (Recipe, Tuning, Decision, Reference, Range)
                if kind.__name__ in repr(annotation)
            ),
            Range,
        )
    return list(known.model_fields)
