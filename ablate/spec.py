"""What a study is: one question and the conditions under which it is answered, every part checked."""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    field_validator,
    model_validator,
)

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
    dataset: Literal["fashion_mnist", "mnist", "digits"] = "fashion_mnist"
    model: str = "lenet"
    baseline: dict[str, Value] = {}
    factors: dict[str, Annotated[list[Value], Field(min_length=1, max_length=200)]]
    design: Literal["one_at_a_time"] = "one_at_a_time"
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
        images, classes = DATASETS[self.dataset].train_images, DATASETS[self.dataset].classes
        if images - self.validation < classes:
            raise ValueError(
                f"validation takes {self.validation:,} of {images:,} training images: leave some to train on"
            )
        if 0 < self.validation < classes:
            raise ValueError(
                f"validation {self.validation} is less than one image a class: take {classes} or more"
            )
        return self

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


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """ "did you mean 'pooling'?", or all that is known where nothing is near."""
    near = difflib.get_close_matches(word, known, n=1)
    return f"did you mean '{near[0]}'?" if near else f"known: {', '.join(known)}"
