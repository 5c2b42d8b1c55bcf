"""The names of the verdicts. The code that chooses a verdict is in `outcomes.py` and `pair_tests.py`."""

from enum import StrEnum


class Verdict(StrEnum):
    """The answer for one contrast (comparison of arms). Tables and reports show these texts."""

    NO_VERDICT = "no verdict"
    UNSTABLE = "unstable"
    NOT_TRAINED = "not trained"
    CANNOT_TELL_APART = "cannot tell apart"
    """The difference is zero in all runs."""
    NOT_TESTED = "no spread, not tested"
    """The difference is not zero, but it is the same in all runs. No test is then possible."""
    EQUIVALENT = "practically equivalent"
    MATTERS = "matters"
    SIZE_UNCLEAR = "detectable, size unclear"
    INCONCLUSIVE = "inconclusive"
    DIFFERENT = "difference shown"
    """This verdict and `NO_DIFFERENCE_SHOWN` are used only if the user gave no margin."""
    NO_DIFFERENCE_SHOWN = "no difference shown"


NO_SPREAD = (Verdict.CANNOT_TELL_APART, Verdict.NOT_TESTED)
"""The verdicts if the difference is the same in all runs. Older tables have only `CANNOT_TELL_APART`."""
UNTRAINED = (Verdict.UNSTABLE, Verdict.NOT_TRAINED)
"""The verdicts for a comparison if some of its runs did not train. There is then no mean difference."""
