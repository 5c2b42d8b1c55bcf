"""Make tables from a `Judgement`, which holds the results of all tests of a study.

The tables are `comparisons`, `stability`, `looks` and `path`. A contrast is a comparison of arms (variants of
the network). A look is an interim analysis after some of the seeds.
"""

import pandas as pd

from ablate.records.columns import TABLES
from ablate.records.tables import make_frame
from ablate.stats.comparisons import Judgement
from ablate.stats.look_tests import Result
from ablate.stats.pair_tests import flip_signs
from ablate.stats.verdicts import UNTRAINED


def tabulate_comparisons(judgement: Judgement) -> pd.DataFrame:
    """Make the `comparisons` table. A contrast in which some runs did not train has no means or p-values."""
    rows = []
    for result in judgement.latest:
        # If some runs did not train, a mean over the other runs could mislead. Such a mean is in `stability`.
        row = {} if result.broken else {**result.row, "p_sign_flip": flip_signs(result.values)}
        rows.append({**row, "verdict": result.verdict, **_name(result)})
    return make_frame("comparisons", rows)


def tabulate_stability(judgement: Judgement) -> pd.DataFrame:
    """Make the `stability` table: a row for each contrast in which some runs did not train.

    A row says how often each arm trained. The row also has the mean difference between the arms over the
    seeds in which all arms of the contrast trained.
    """
    rows = []
    for result in judgement.latest:
        if result.broken in UNTRAINED:
            test = result.training
            counted = {**vars(test), "p_training": test.p_value} if test else {}
            among = {f"trained_{name}": value for name, value in result.row.items()}
            rows.append({**among, **counted, "p_training_holm": result.p_training, **_name(result)})
    return make_frame("stability", rows)


def tabulate_looks(judgement: Judgement) -> pd.DataFrame:
    """Make the `looks` table: the result of each contrast at each look (interim analysis)."""
    rows = (
        {
            **(r.row if r.broken is None else {}),
            **_name(r),
            "look_seeds": r.look.seeds,
            "alpha_share": r.look.share,
            "verdict": r.verdict,
            "step": r.step,
        }
        for r in judgement.history
    )
    return make_frame("looks", rows)


def trace_path(comparisons: pd.DataFrame, arms: pd.DataFrame, full: str) -> pd.DataFrame:
    """Make the `path` table: one row for each step from the baseline to the full arm.

    A row has the difference that the step makes, and the accuracy after the step. The last step adds the last
    factor and leads to the full arm. The study tests the opposite of this step: it compares the arm without
    this factor with the full arm. So the last row is the row of that comparison with the signs reversed.
    """
    steps = comparisons[(comparisons["baseline"] != full) & (comparisons["arm"] != full)]
    last = comparisons[(comparisons["baseline"] == full) & (comparisons["arm"] == steps["arm"].iloc[-1])]
    turned = last.assign(
        arm=full,
        baseline=last["arm"],
        difference=-last["difference"],
        ci_low=-last["ci_high"],
        ci_high=-last["ci_low"],
    )
    way = pd.concat([steps, turned]).merge(arms[["arm", "test_accuracy_mean"]], on="arm", how="left")
    return way[list(TABLES["path"])].reset_index(drop=True)


def _name(result: Result) -> dict[str, str]:
    return {"arm": result.contrast.name, "baseline": result.contrast.reference}
