"""The tuning grid: the points that an arm tries. A point has one value for each tuned parameter.

The points are fixed before training begins.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from ablate.design.runs import Setting
from ablate.seeds import derive_seed
from ablate.study.spec import Range

SIGNIFICANT_DIGITS = 6

Side = Literal["low", "high"]


@dataclass(frozen=True, kw_only=True)
class Grid:
    """The ranges in which one arm is tuned. Arms with equal grids try the same points."""

    study: str
    trials: int
    ranges: Mapping[str, Range]
    own: Mapping[str, float] | None
    """The values that the arm has without tuning. None if a value lies outside a range with a condition."""
    whole: frozenset[str]
    """The names of the tuned parameters that are integers."""
    possible: Callable[[Setting], bool] = field(compare=False)
    """A function that returns whether the arm can be trained at a point."""

    def list_points(self) -> list[dict[str, float]]:
        """List the points to try. If nothing is tuned, the list has one empty point.

        A single tuned parameter gets evenly spaced values, on a linear or a logarithmic scale. Several tuned
        parameters get scrambled Sobol points. If `own` is not None, the list includes it.
        """
        return [dict(point) for point in self._points]

    def find_point_beyond(self, side: Side, steps: int) -> dict[str, float] | None:
        """Find the point that lies `steps` grid steps outside the range.

        Return None if the arm cannot be trained at this point, or if several parameters are tuned.
        """
        if len(self.ranges) != 1 or self.trials < 2:
            return None
        ((name, span),) = self.ranges.items()
        gaps = self.trials - 1
        sign = -1 if side == "low" else 1
        edge = span.low if side == "low" else span.high
        if span.log:
            value = edge * (span.high / span.low) ** (sign * steps / gaps)
        else:
            value = edge + sign * steps * (span.high - span.low) / gaps
        point = {name: self._round(name, value)}
        # Some points are impossible, for example a learning rate below zero or a dropout of one.
        return point if self.possible(point) else None

    @cached_property
    def _points(self) -> list[dict[str, float]]:
        if not self.trials or not self.ranges:
            return [{}]
        return self._space_points() if len(self.ranges) == 1 else self._scatter_points()

    def _space_points(self) -> list[dict[str, float]]:
        ((name, span),) = self.ranges.items()
        spaced = (np.geomspace if span.log else np.linspace)(span.low, span.high, self.trials)
        values = {self._round(name, value) for value in spaced}
        if self.own and not any(math.isclose(value, self.own[name], rel_tol=1e-5) for value in values):
            values.add(self.own[name])
        return [{name: value} for value in sorted(values)]

    def _scatter_points(self) -> list[dict[str, float]]:
        from scipy.stats import qmc  # imported here, because this import takes a third of a second

        wanted = self.trials - (self.own is not None)
        sampler = qmc.Sobol(d=len(self.ranges), scramble=True, rng=derive_seed(0, f"tuning {self.study}"))
        # A Sobol sequence covers the space evenly if its length is a power of two. So more points than wanted
        # are drawn, and the last of them are dropped.
        cube = sampler.random_base2(max(0, math.ceil(math.log2(max(1, wanted)))))
        points = [
            {
                name: self._round(name, _scale(span, u))
                for (name, span), u in zip(self.ranges.items(), row, strict=True)
            }
            for row in cube[:wanted]
        ]
        own = [dict(self.own)] if self.own else []
        return own + [point for point in points if point not in own]

    def _round(self, name: str, value: float) -> float:
        """Round to six significant digits, because the name of a setting shows at most six digits.

        The value of an integer parameter is rounded to an integer.
        """
        return round(value) if name in self.whole else float(f"{value:.{SIGNIFICANT_DIGITS}g}")


def _scale(span: Range, u: float) -> float:
    if span.log:
        return float(span.low * (span.high / span.low) ** u)
    return float(span.low + u * (span.high - span.low))
