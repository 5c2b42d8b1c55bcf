"""The names of the verdicts. `outcomes.py` and `pair_tests.py` choose among them."""

from enum import StrEnum


class Verdict(StrEnum):
    """The answer to one contrast. Tables and reports show these texts."""

    NO_VERDICT = "no verdict"
    UNSTABLE = "unstable"
    NOT_TRAINED = "not trained"
    CANNOT_TELL_APART = "cannot tell apart"
    """The difference is zero in all runs."""
    NOT_TESTED = "no spread, not tested"
    """The difference is not zero, but the same in all runs, so that no test is possible."""
    EQUIVALENT = "practically equivalent"
    MATTERS = "matters"
    SIZE_UNCLEAR = "detectable, size unclear"
    INCONCLUSIVE = "inconclusive"
    DIFFERENT = "difference shown"
    """This verdict and `NO_DIFFERENCE_SHOWN` are used only if there is no margin."""
    NO_DIFFERENCE_SHOWN = "no difference shown"


NO_SPREAD = (Verdict.CANNOT_TELL_APART, Verdict.NOT_TESTED)
"""The verdicts of a difference that is the same in all runs. Older tables have only the first one."""
UNTRAINED = (Verdict.UNSTABLE, Verdict.NOT_TRAINED)
"""The verdicts of a comparison with runs that did not train. Such a comparison has no mean difference."""
