"""Draw intervals as plain text, because GitHub and similar sites show no pictures inside a summary."""

from collections.abc import Sequence

from ablate.gate.checks import Check, Gate
from ablate.gate.rules import OF_THE_METRIC
from ablate.metrics import METRICS

HALF = 24
"""The number of characters on each side of zero."""
LONGEST_NAME = 32


def draw_intervals(gate: Gate) -> Sequence[str]:
    """Draw the interval of each difference in the metric as a line of text.

    The list is empty if there is no interval.

    Zero is `│`, the margin on both sides is `┊`, and `●` is the mean.
    """
    checks = [check for check in gate.checks if check.requirement in OF_THE_METRIC and check.low is not None]
    if not checks:
        return []
    margin = checks[0].bound or 0.0
    furthest = max([margin, *(abs(end or 0.0) for check in checks for end in (check.low, check.high))])
    name_width = min(LONGEST_NAME, max(len(check.arm) for check in checks))
    lower = "worse" if METRICS[gate.metric].higher_is_better else "better"
    higher = "better" if lower == "worse" else "worse"
    title = f"{'':{name_width}}  {f'← B is {lower}':<{HALF}}0{f'B is {higher} →':>{HALF}}"
    legend = f"{'':{name_width}}  ● mean   ─ interval   ┊ margin"
    return [title, *(_draw(check, margin, furthest * 1.05, name_width) for check in checks), legend]


def _draw(check: Check, margin: float, furthest: float, name_width: int) -> str:
    line = [" "] * (2 * HALF + 1)

    def place(value: float) -> int:
        return HALF + round(value / furthest * HALF)

    line[HALF] = "│"
    line[place(-margin)] = line[place(margin)] = "┊"
    assert check.low is not None
    assert check.high is not None
    for column in range(place(check.low), place(check.high) + 1):
        line[column] = "─"
    line[place(check.estimate or 0.0)] = "●"
    name = check.arm if len(check.arm) <= LONGEST_NAME else f"{check.arm[: LONGEST_NAME - 1]}…"
    return f"{name:{name_width}}  {''.join(line)}".rstrip()
