"""The key `seeds` of a study file: a fixed number of seeds, or several looks at the results."""

import math
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

MAX_SEEDS = 10_000
"""The runs that decide the verdicts use seeds below this number. Tuning uses seeds from this number on."""
FEWEST_SEEDS = 3
"""The minimum number of seeds at the first look (interim analysis). A verdict needs three pairs of runs."""
LOOK_GROWTH = 1.7
"""If a study does not list its looks, each look has this many times as many seeds as the one before.

The numbers of seeds are rounded.
"""
TAG = "tagged-"
"""A pydantic error has a location with several parts. Most parts are keys of the study file.

A part of the location that begins with this prefix is no key. Such a part names the form in which a value is
written.
"""

SeedCount = Annotated[int, Field(ge=FEWEST_SEEDS, le=MAX_SEEDS, strict=True)]


class SeedLooks(BaseModel):
    """The numbers of seeds after which a study looks at its results and may stop.

    A study stops when its question is answered.

    The study file has either `looks`, a list of these numbers, or `at_least` and `at_most`. `at_least` and
    `at_most` are the smallest and the largest number.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_least: SeedCount | None = None
    at_most: SeedCount | None = None
    looks: Annotated[tuple[SeedCount, ...], Field(min_length=2, max_length=20)] | None = None
    spending: Literal["linear", "obrien_fleming"] = "linear"
    """How alpha is divided between the looks. `stats/looks.py` has the formulas.

    In simulated studies with the typical spread of LeNets, `linear` saved 35 to 51 % of the seeds, and
    `obrien_fleming` saved 3 to 38 %. The comparison was with studies that have a fixed number of seeds and
    the same power. `obrien_fleming` gives very little of alpha to the first looks. A t-test of few seeds is
    hardly ever significant at such a small level.
    """

    @model_validator(mode="after")
    def _check_form(self) -> "SeedLooks":
        if self.looks is not None:
            if self.at_least is not None or self.at_most is not None:
                raise ValueError(
                    "looks replaces at_least and at_most: write either looks, or at_least and at_most"
                )
            if list(self.looks) != sorted(set(self.looks)):
                raise ValueError("looks must be increasing numbers of seeds, for example [5, 8, 12, 20, 40]")
        elif self.at_least is None or self.at_most is None:
            raise ValueError("write both at_least and at_most, for example {at_least: 5, at_most: 40}")
        elif self.at_least >= self.at_most:
            raise ValueError(f"at_most {self.at_most} is not above at_least {self.at_least}: raise at_most")
        return self

    def list_looks(self) -> list[int]:
        """List the numbers of seeds after which the study looks, from the fewest to the most.

        Between `at_least` and `at_most`, each number is about 1.7 times the one before it.
        """
        if self.looks is not None:
            return list(self.looks)
        assert self.at_least is not None
        assert self.at_most is not None
        steps = max(1, round(math.log(self.at_most / self.at_least) / math.log(LOOK_GROWTH)))
        growth = (self.at_most / self.at_least) ** (1 / steps)
        return sorted({round(self.at_least * growth**step) for step in range(steps + 1)})


Seeds = Annotated[
    Annotated[int, Field(ge=1, le=MAX_SEEDS, strict=True), Tag(f"{TAG}number")]
    | Annotated[SeedLooks, Tag(f"{TAG}looks")],
    Discriminator(
        lambda raw: f"{TAG}looks" if isinstance(raw, Mapping | SeedLooks) else f"{TAG}number",
    ),
]
"""A fixed number of seeds, or the numbers of seeds after which the study looks at its results."""
