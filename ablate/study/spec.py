"""What a study is: one question and the conditions under which it is answered, every part checked."""

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

from ablate.data.cell_text import printable, table_cell
from ablate.data.datasets import DatasetSpec, find_dataset

MAX_SEEDS = 10_000
"""Confirmation uses seeds 0 … seeds-1; tuning takes its own from here on, so the two never meet."""
FULL = "full"
"""The arm of a leave_one_out study that has every change."""


def _without_blank_ends(text: str) -> str:
    if text != text.strip():
        raise ValueError("must not begin or end with a blank")
    return text


# Words stand alone in cells of runs.csv.
Word = Annotated[str, Field(max_length=300), AfterValidator(printable), AfterValidator(table_cell)]
Scalar = bool | int | float | Word | None
Value = Scalar | Annotated[list[int | float | None], Field(max_length=100)]
Text = Annotated[str, Field(min_length=1, max_length=300), AfterValidator(printable)]
ArmName = Annotated[
    str,
    Field(min_length=1, max_length=80),
    AfterValidator(printable),
    AfterValidator(_without_blank_ends),
    AfterValidator(table_cell),
]
# Strict: true is no number here, though Python takes it for 1.
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False, strict=True)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Conditional(_Part):
    """Something that holds only in arms with certain settings."""

    when: dict[str, Value] = {}

    def applies(self, settings: Mapping[str, Any]) -> bool:
        """Whether an arm with such keywords and recipe meets the condition; `[1, 2]` and `(1, 2)` are one."""
        return all(as_written(settings.get(name)) == as_written(value) for name, value in self.when.items())


class ValueWhen(Conditional):
    """A factor's value that only some arms can have."""

    value: Value


class Range(Conditional):
    """The interval a nuisance is tuned over, ends included."""

    low: Annotated[float, Field(allow_inf_nan=False, strict=True)]
    high: Annotated[float, Field(allow_inf_nan=False, strict=True)]
    log: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(f"low {self.low:g} is not below high {self.high:g}: swap or widen them")
        if self.high - self.low == math.inf:
            raise ValueError("is wider than any number: bring low and high nearer")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} has no logarithm: give a positive low or log: false")
        return self


Ranges = Annotated[
    tuple[Range, ...],
    Field(min_length=1),
    BeforeValidator(lambda raw: raw if isinstance(raw, list | tuple) else (raw,)),
]
"""One range, or several with conditions: the last that applies to an arm is its own."""


class Recipe(_Part):
    """How every arm is trained; the defaults are the documents' recipe."""

    epochs: Annotated[int, Field(ge=1, le=100_000, strict=True)] = 10
    batch_size: Annotated[int, Field(ge=1, le=1_000_000, strict=True)] = 256
    optimizer: Literal["sgd", "adam", "adamw"] = "sgd"
    learning_rate: Positive = 0.9
    momentum: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.0
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False, strict=True)] = 0.0
    init: Literal[
        "default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal"
    ] = "xavier_uniform"
    augmentation: Literal[
        "none",
        "flip",
        "crop",
        "brightness",
        "flip_crop",
        "flip_brightness",
        "crop_brightness",
        "flip_crop_brightness",
    ] = "none"
    input_size: Annotated[int, Field(ge=1, le=1024, strict=True)] | None = None
    """Pixels a side that images are resized to, once, before anything trains; null: as they are."""
    train_images: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Of those that validation leaves, so many are trained on; null: all."""


class Search(_Part):
    """How many candidates `design: search` tries, by how many at a time, and how many it confirms."""

    candidates: Annotated[int, Field(ge=2, le=10_000, strict=True)] = 48
    generation: Annotated[int, Field(ge=1, le=1000, strict=True)] = 8
    finalists: Annotated[int, Field(ge=1, le=20, strict=True)] = 4


class Tuning(_Part):
    """How many points of which ranges every arm tries; `trials: 0` tunes nothing."""

    trials: Annotated[int, Field(ge=0, le=1000, strict=True)] = 0
    ranges: dict[str, Ranges] = {}

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


class Timing(_Part):
    """How throughput is measured, each arm alone on the machine; `blocks: 0` measures none."""

    blocks: Annotated[int, Field(ge=0, le=1000, strict=True)] = 10
    block_seconds: Annotated[float, Field(gt=0, le=60)] = 0.4


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
    dataset: DatasetSpec = find_dataset("fashion_mnist")
    model: str = "lenet"
    baseline: dict[str, Value] = {}
    factors: dict[str, Annotated[list[ValueWhen | Value], Field(min_length=1, max_length=200)]] = {}
    arms: Annotated[dict[ArmName, dict[str, Value]], Field(max_length=200)] = {}
    design: Literal["one_at_a_time", "factorial", "leave_one_out", "search"] = "one_at_a_time"
    search: Search = Search()
    recipe: Recipe = Recipe()
    tuning: Tuning = Tuning()
    seeds: Annotated[int, Field(ge=1, le=MAX_SEEDS, strict=True)] = 10
    decision: Decision = Decision()
    timing: Timing = Timing()
    validation: Annotated[int, Field(ge=0, strict=True)] = 10_000
    references: tuple[Reference, ...] = ()
    fallback: dict[str, Any] = {}

    _lines: dict[str, str] = PrivateAttr(default_factory=dict)
    """`file:line` by dotted key, filled in by whoever read the study."""

    @field_validator("factors")
    @classmethod
    def _distinct(cls, factors: dict[str, list[ValueWhen | Value]]) -> dict[str, list[ValueWhen | Value]]:
        for name, values in factors.items():
            written = [
                f"{as_written(value.value)} {value.when}"
                if isinstance(value, ValueWhen)
                else as_written(value)
                for value in values
            ]
            for value in written:
                if written.count(value) > 1:
                    raise ValueError(f"{name} lists '{value}' twice: name every value once")
        return factors

    @model_validator(mode="after")
    def _consistent(self) -> "StudySpec":
        if bool(self.factors) == bool(self.arms):
            raise ValueError("a study has either factors or named arms: write one of the two")
        if self.arms and {"design", "search"} & self.model_fields_set:
            raise ValueError("named arms stand in place of factors and design: leave the design out")
        if "search" in self.model_fields_set and self.design != "search":
            raise ValueError("search belongs to design: search: write that, or leave search out")
        if self.design == "search" and not self.validation:
            raise ValueError("a search needs validation images: set validation above 0")
        both = sorted(set(self.factor_names) & set(self.tuning.ranges))
        if both:
            raise ValueError(f"'{both[0]}' is both a factor and tuned: keep it in one of the two")
        if self.tuning.active and not self.validation:
            raise ValueError("tuning needs validation images: set validation above 0 or tuning.trials to 0")
        images, classes = self.dataset.facts.train_images, self.dataset.facts.classes
        if images - self.validation < classes:
            raise ValueError(
                f"validation takes {self.validation:,} of {images:,} training images: leave some to train on"
            )
        if 0 < self.validation < classes:
            raise ValueError(
                f"validation {self.validation} is less than one image a class: take {classes} or more"
            )
        return self

    @property
    def factor_names(self) -> list[str]:
        """What the question is about: the factors, or whatever the named arms set."""
        return list(self.factors) or list(dict.fromkeys(name for arm in self.arms.values() for name in arm))

    def where(self, key: str) -> str:
        """`file:line: key` of a dotted key, or of its nearest parent that was written down."""
        written = key
        while written not in self._lines and "." in written:
            written = written.rpartition(".")[0]
        return f"{self._lines.get(written, 'study')}: {key}"

    def standing_at(self, lines: Mapping[str, str]) -> "StudySpec":
        """The same, knowing where each of its keys was written."""
        self._lines.update(lines)
        return self


def as_written(value: Any) -> str:
    """A value as a person writes it in a study file: `[3 5]`, `true`, `0.9`; what is equal reads equal."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(as_written, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """ "did you mean 'pooling'?", or all that is known where nothing is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
