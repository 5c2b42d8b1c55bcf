"""Write the values and differences of a metric, in percentage points or as plain numbers."""

import math
from dataclasses import dataclass

from ablate.formatting import Unit, format_margin

MOST_DECIMALS = 12


@dataclass(frozen=True, kw_only=True)
class MetricUnit:
    """The unit of the judged metric. Shares are written in percentage points, other values as numbers."""

    is_share: bool

    @property
    def unit(self) -> Unit:
        """The name of the unit in all reports."""
        return "points" if self.is_share else "number"

    @property
    def scale(self) -> int:
        """The factor by which figures multiply a difference."""
        return 100 if self.is_share else 1

    def format_value(self, value: float | None, reach: float | None = None) -> str:
        """Format a value of the metric: `91.25%`, or a number.

        `reach` is half the width of the value's interval. The number of decimals depends on `reach`.
        """
        if value is None:
            return "–"
        return f"{value:.2%}" if self.is_share else _format_number(value, reach, sign="")

    def format_difference(
        self, value: float | None, reach: float | None = None, *, signed: bool = True
    ) -> str:
        """Format a difference with its unit: `+1.25 points`, or a number.

        `reach` is half the width of the difference's interval. The number of decimals depends on `reach`.
        """
        if value is None:
            return "–"
        sign = "+" if signed else ""
        if self.is_share:
            # There are two decimals. There are more if an interval from very many runs is too narrow for two
            # decimals.
            decimals = 2 if not reach else min(max(2, -math.floor(math.log10(reach * self.scale))), 6)
            return f"{value * self.scale:{sign}.{decimals}f} points".replace("-", "−")
        return _format_number(value, reach, sign=sign)

    def is_impossible(self, size: float | None) -> bool:
        """Return whether no two means can differ by this size: shares differ by at most 100 points."""
        return self.is_share and size is not None and size > 1

    def format_detectable(self, size: float | None) -> str:
        """Format the difference that runs can detect: `1.25 points`, or `none` if it is impossible."""
        if self.is_impossible(size):
            return "none"
        return self.format_difference(size, None if size is None else size / 10, signed=False)

    def format_margin(self, margin: float) -> str:
        """Format the margin with as few digits as possible: `±1 point`, `±0.02`."""
        return f"±{format_margin(margin, self.unit)}"

    def format_interval(self, low: float | None, high: float | None) -> str:
        """Format the ends of an interval of a difference: `−0.10 to +1.20`."""
        if low is None or high is None:
            return "–"
        ends = [self.format_difference(end, (high - low) / 2).removesuffix(" points") for end in (low, high)]
        return f"{ends[0]} to {ends[1]}"


def _format_number(value: float, reach: float | None, *, sign: str) -> str:
    """Format a number with as many decimals as two digits of `reach` need.

    If `reach` is None, the number has four digits. Very large and very small numbers have an exponent.
    """
    if value != 0 and not 1e-6 <= abs(value) < 1e9:
        return f"{value:{sign}.3g}".replace("-", "−")
    size = abs(value) * 0.01 if reach is None or reach <= 0 else reach
    decimals = 2 if size == 0 else 1 - math.floor(math.log10(size))
    decimals = min(max(decimals, 0), MOST_DECIMALS)
    return f"{value:{sign},.{decimals}f}".replace("-", "−")
