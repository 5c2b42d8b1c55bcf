"""The specification of a study: one question and its conditions. Every key is validated.

A study compares arms. An arm is one variant of the network or of its training.
"""

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from ablate.data.cell_text import require_printable, require_table_cell
from ablate.data.datasets import DatasetSpec, find_dataset
from ablate.formatting import format_count
from ablate.study.contexts import ContextName
from ablate.study.effort import Decision, Search, Timing
from ablate.study.expectations import Prediction, Reference, Text
from ablate.study.inconsistency import InconsistencyError
from ablate.study.recipe import Recipe
from ablate.study.seed_looks import MAX_SEEDS, Seeds
from ablate.study.yaml_text import find_line

PARTIAL = {"partial": True}
"""Tells pydantic that the invalid keys of a study were removed.

The remaining keys are then not checked for contradictions.
"""
FULL = "full"
"""In a study with `design: leave_one_out`, the arm that has all changes has this name."""


def _refuse_blank_ends(text: str) -> str:
    if text != text.strip():
        raise ValueError("must not begin or end with a blank")
    return text


# The value of a factor is written into a cell of runs.csv. So a word must be allowed in a cell.
Word = Annotated[
    str, Field(max_length=300), AfterValidator(require_printable), AfterValidator(require_table_cell)
]
Scalar = bool | int | float | Word | None
Value = Scalar | Annotated[list[int | float | None], Field(max_length=100)]
ArmName = Annotated[
    str,
    Field(min_length=1, max_length=80),
    AfterValidator(require_printable),
    AfterValidator(_refuse_blank_ends),
    AfterValidator(require_table_cell),
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Conditional(_Part):
    """A part of a study that applies only to arms with certain settings."""

    when: dict[str, Value] = {}

    def applies(self, settings: Mapping[str, Any]) -> bool:
        """Return whether an arm with these settings meets the condition. `[1, 2]` counts as `(1, 2)`."""
        return all(
            format_value(settings.get(name)) == format_value(value) for name, value in self.when.items()
        )


class ValueWhen(Conditional):
    """A value of a factor that only some arms can take."""

    value: Value


class Range(Conditional):
    """The closed interval in which a parameter, such as the learning rate, is tuned."""

    low: Annotated[float, Field(allow_inf_nan=False, strict=True)]
    high: Annotated[float, Field(allow_inf_nan=False, strict=True)]
    log: bool = False

    @model_validator(mode="after")
    def _check_order(self) -> "Range":
        if self.low >= self.high:
            raise ValueError(
                f"low {self.low:g} is not below high {self.high:g}: swap them or widen the range"
            )
        if self.high - self.low == math.inf:
            raise ValueError(
                "the distance from low to high is too large for a number: choose a narrower range"
            )
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low:g} has no logarithm: choose a positive low, or write log: false")
        return self


Ranges = Annotated[
    tuple[Range, ...],
    Field(min_length=1),
    BeforeValidator(lambda raw: raw if isinstance(raw, list | tuple) else (raw,)),
]
"""One range, or several ranges with conditions. An arm uses the last range that applies to it."""


class Tuning(_Part):
    """How many values every arm tries in tuning, and from which ranges. `trials: 0` turns tuning off."""

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
        """Whether anything is tuned."""
        return self.trials > 0 and bool(self.ranges)


class StudySpec(_Part):
    """One question and the conditions under which it is answered: the content of a study file."""

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
    seeds: Seeds = 10
    first_seed: Annotated[int, Field(ge=0, lt=MAX_SEEDS, strict=True)] = 0
    """The first seed of the runs that decide the verdicts.

    With another first seed, a study that has been run is repeated with new random choices. Tuning has seeds
    of its own, so it tries the same points and takes the same values.
    """
    decision: Decision = Decision()
    timing: Timing = Timing()
    keep: Literal["last", "epochs"] = "last"
    validation: Annotated[int, Field(ge=0, strict=True)] = 10_000
    references: tuple[Reference, ...] = ()
    predicted: dict[ArmName, Prediction] = {}
    """For each arm, the interval in which the user expects the difference in its first comparison.

    In most designs, this is the comparison with the baseline. The user writes this interval before the
    first run.
    """
    fallback: dict[str, Any] = {}
    contexts: Annotated[dict[ContextName, dict[str, Any]], Field(max_length=10)] = {}
    """Named changes to this file. ablate answers the question once in each context (`study/contexts.py`)."""
    context: ContextName | None = None
    """The context that this study answers. None for a study without contexts."""

    _lines: dict[str, str] = PrivateAttr(default_factory=dict)
    """Maps every dotted key to its place (`file:line`). `study_file.read` fills it."""

    @field_validator("factors")
    @classmethod
    def _check_distinct(
        cls, factors: dict[str, list[ValueWhen | Value]]
    ) -> dict[str, list[ValueWhen | Value]]:
        for name, values in factors.items():
            written = [
                f"{format_value(one.value)} {one.when}" if isinstance(one, ValueWhen) else format_value(one)
                for one in values
            ]
            for value in written:
                if written.count(value) > 1:
                    raise ValueError(f"{name} lists '{value}' twice: list every value once")
        return factors

    @model_validator(mode="after")
    def _check_consistency(self, info: ValidationInfo) -> "StudySpec":
        given = self.model_dump(include={"validation"}, exclude_unset=True)
        try:
            self.__dict__.update(self.dataset.choose_validation(given.get("validation")))
        except ValueError as error:
            raise InconsistencyError([("validation", str(error))]) from None
        if info.context != PARTIAL and (found := list(self._find_inconsistencies())):
            raise InconsistencyError(found)
        return self

    def _find_inconsistencies(self) -> Iterator[tuple[str, str]]:
        """Yield each contradiction between two keys: the key to look at, and what is wrong."""
        if bool(self.factors) == bool(self.arms):
            told = "a study has either factors or named arms: write exactly one of them"
            yield "arms" if self.arms else "factors", told
        if self.contexts and self.context:
            yield "context", "a study cannot have both keys context and contexts: remove one of them"
        if self.arms and {"design", "search"} & self.model_fields_set:
            yield "design", "named arms replace factors and design: leave the design out"
        elif "search" in self.model_fields_set and self.design != "search":
            yield "search", "search needs `design: search`: add this design, or leave search out"
        if self.design == "search" and not self.validation:
            yield "validation", "a search needs validation images: set validation above 0"
        for both in sorted(set(self.factor_names) & set(self.tuning.ranges)):
            told = f"'{both}' is in factors and in tuning: remove it from one of them"
            yield f"tuning.{both}", told
        if self.tuning.active and not self.validation:
            told = "tuning needs validation images: set validation above 0 or tuning.trials to 0"
            yield "validation", told
        if (highest := MAX_SEEDS - self.most_seeds) < self.first_seed:
            told = (
                f"first_seed {self.first_seed:,} and {format_count(self.most_seeds, 'seed')} end above seed "
            )
            yield "first_seed", f"{told}{MAX_SEEDS - 1:,}: lower it to {highest:,}"
        images, classes = self.dataset.facts.train_images, self.dataset.facts.classes
        if images - self.validation < classes:
            taken = f"{self.validation:,}" + (
                "" if "validation" in self.model_fields_set else " (its default)"
            )
            told = f"validation takes {taken} of {images:,} training images: leave at least"
            yield "validation", f"{told} {classes} to train on"
        elif 0 < self.validation < classes:
            told = f"validation {self.validation} is less than one image per class: set it to {classes}"
            yield "validation", f"{told} or more"

    @property
    def full_name(self) -> str:
        """The study's name and its context, for example `lenet_pooling/modern`.

        The report folder of the study has this path inside the folder for all reports.
        """
        return self.name if self.context is None else f"{self.name}/{self.context}"

    @property
    def fewest_seeds(self) -> int:
        """The smallest number of seeds that an arm can need."""
        return self.seeds if isinstance(self.seeds, int) else self.seeds.list_looks()[0]

    @property
    def most_seeds(self) -> int:
        """The largest number of seeds that an arm can need."""
        return self.seeds if isinstance(self.seeds, int) else self.seeds.list_looks()[-1]

    @property
    def factor_names(self) -> list[str]:
        """The names of the factors. If the study names its arms, these are all keywords that the arms set."""
        return list(self.factors) or list(dict.fromkeys(name for arm in self.arms.values() for name in arm))

    def locate(self, key: str) -> str:
        """Return the place and name of a dotted key, `file:line: key`.

        If the file does not contain the key, return the place of the nearest key above it.
        """
        return f"{find_line(self._lines, key) or 'study'}: {key}"

    def list_places(self, key: str) -> list[tuple[str, str]]:
        """List where a dotted key and all keys below it stand: pairs of a key and its `file:line`."""
        return [(k, place) for k, place in self._lines.items() if k == key or k.startswith(f"{key}.")]

    def add_places(self, lines: Mapping[str, str]) -> "StudySpec":
        """Store the place of every key, and return this study."""
        self._lines.update(lines)
        return self


def format_value(value: Any) -> str:
    """Format a value as text: `[3 5]`, `true`, `0.9`. Equal values give equal text."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list | tuple):
        return "[" + " ".join(map(format_value, value)) + "]"
    return f"{value:g}" if isinstance(value, float) else str(value)
