"""How two arms (variants of the network) differ in validation accuracy during training, epoch by epoch."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ablate.records.run_records import Phase, Status
from ablate.records.tables import make_frame
from ablate.stats.comparisons import judge
from ablate.stats.contrasts import Contrast
from ablate.stats.holm import correct_by_holm
from ablate.stats.power import PAIRS_FOR_A_VERDICT
from ablate.stats.verdicts import UNTRAINED
from ablate.study.effort import Decision

FEWEST_EPOCHS = 4
"""With fewer epochs than this, training is too short to compare an earlier epoch with the last epoch."""


def tabulate_validation(runs: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Make a table of the validation accuracies of all complete confirmed runs after each epoch.

    The table has a row for each seed, and a column for each pair of an arm and an epoch. The table is empty
    if the study held out no validation images.
    """
    done = runs.loc[
        (runs["phase"] == Phase.CONFIRM) & (runs["status"] == Status.COMPLETE), ["arm", "seed"]
    ].drop_duplicates()
    points = epochs[epochs["phase"] == Phase.CONFIRM].dropna(subset=["validation_accuracy"])
    points = points.merge(done, on=["arm", "seed"]).astype(
        {"arm": object, "seed": int, "epoch": float, "validation_accuracy": float}
    )
    # An epoch can have several rows in the table. Only the last row of an epoch has a validation accuracy. In
    # this last row, the epoch number is an integer, apart from rounding errors.
    points = points.assign(epoch=points["epoch"].round().astype(int))
    table = points.pivot_table(index="seed", columns=["arm", "epoch"], values="validation_accuracy")
    # In tables of other programs, an epoch can lack the validation accuracy. The epoch's column is then
    # empty.
    every = [(arm, epoch) for arm, last in count_epochs(table).items() for epoch in range(1, last + 1)]
    return table.reindex(columns=pd.MultiIndex.from_tuples(every)) if every else table


def count_epochs(validation: pd.DataFrame) -> dict[str, int]:
    """Return for how many epochs each arm was trained. `validation` is the table of `tabulate_validation`."""
    last: dict[str, int] = {}
    for arm, epoch in validation.columns:
        last[arm] = max(epoch, last.get(arm, 0))
    return last


def tabulate_differences_by_epoch(
    validation: pd.DataFrame, comparisons: pd.DataFrame, confidence: float
) -> pd.DataFrame:
    """Make the `differences_by_epoch` table: the mean difference after each epoch, with its t-interval.

    The table leaves out interactions, comparisons with runs that did not train, and comparisons of arms that
    were trained for different numbers of epochs.

    Args:
        validation: the table of `tabulate_validation`.
        comparisons: the `comparisons` table.
        confidence: the confidence level of the intervals.
    """
    rows: list[dict[str, Any]] = []
    for arm, baseline in _list_comparable(validation, comparisons):
        # Rounding to nine digits removes floating-point errors, as in the comparisons on the test images.
        gaps = (validation[arm] - validation[baseline]).round(9)
        pairs, mean = gaps.count(), gaps.mean()
        # `compute_mean_interval` would give the same intervals, but each call takes 0.9 ms. This code
        # computes the intervals of all epochs at once.
        reach = stats.t.ppf((1 + confidence) / 2, pairs - 1) * gaps.sem()
        rows += [
            {
                "epoch": float(epoch),
                "arm": arm,
                "baseline": baseline,
                "pairs": count,
                "difference": mean[epoch],
                "ci_low": None if count < 2 else mean[epoch] - reach[epoch],
                "ci_high": None if count < 2 else mean[epoch] + reach[epoch],
            }
            for epoch, count in pairs[pairs > 0].items()
        ]
    return make_frame("differences_by_epoch", rows)


def compare_at_half(
    runs: pd.DataFrame,
    validation: pd.DataFrame,
    contrasts: Sequence[Contrast],
    decision: Decision,
    *,
    ceiling: float,
) -> pd.DataFrame:
    """Compare the verdicts on the validation images after half of the epochs and after all epochs.

    Both verdicts follow the same rule as the verdicts of the `comparisons` table, with the same correction
    for several tests. All seeds are judged at once, even if the study itself made several interim analyses.

    Args:
        runs: the `runs` table.
        validation: the table of `tabulate_validation`.
        contrasts: all contrasts (comparisons of arms) that the study declares.
        decision: the margin, and the significance level alpha.
        ceiling: the highest accuracy on the validation images that guessing can reach.

    Returns:
        A row for each contrast of two arms with the columns arm, baseline, half, last (numbers of epochs),
        at_half and at_last (verdicts). A contrast has no row if some of its runs did not train, if its arms
        were trained for different numbers of epochs, or for fewer epochs than `FEWEST_EPOCHS`.
    """
    last = count_epochs(validation)
    verdicts = []
    confirmed = runs[runs["phase"] == Phase.CONFIRM]
    places = pd.MultiIndex.from_frame(confirmed[["arm", "seed"]].astype({"arm": object, "seed": int}))
    for moments in ({arm: find_half(epochs) for arm, epochs in last.items()}, last):
        accuracies = pd.concat({arm: validation[arm, at] for arm, at in moments.items()})
        then = confirmed.assign(test_accuracy=accuracies.reindex(places).to_numpy())
        judged = judge(then, contrasts, decision, ceiling=ceiling).latest
        verdicts.append(
            pd.DataFrame(
                [(one.contrast.name, one.contrast.reference, str(one.verdict)) for one in judged],
                columns=["arm", "baseline", "verdict"],
            )
        )
    at_half, at_last = verdicts
    comparable = _list_comparable(validation, at_last)
    rows = [
        (arm, baseline, find_half(last[arm]), last[arm], early, late)
        for arm, baseline, early, late in zip(
            at_last["arm"], at_last["baseline"], at_half["verdict"], at_last["verdict"], strict=True
        )
        if (arm, baseline) in comparable and last[arm] >= FEWEST_EPOCHS
    ]
    return pd.DataFrame(rows, columns=["arm", "baseline", "half", "last", "at_half", "at_last"])


def find_late_changes(
    validation: pd.DataFrame, comparisons: pd.DataFrame, decision: Decision
) -> pd.DataFrame:
    """Find the comparisons of two arms in which the difference still changed in the last third of the epochs.

    A comparison is found if two conditions hold. First, the mean change over seeds is larger than half the
    margin. Second, a t-test of the changes is significant at level alpha, with Holm's correction for all
    comparisons.

    Returns:
        A row for each comparison that was found. The columns `start` and `last` are the epochs between which
        the change is measured. The columns `before` and `after` are the mean differences at these epochs.
    """
    last = count_epochs(validation)
    tested = []
    for arm, baseline in _list_comparable(validation, comparisons):
        start, end = find_last_third(last[arm]), last[arm]
        gaps = (validation[arm] - validation[baseline])[[start, end]].dropna().round(9)
        tested.append(({"arm": arm, "baseline": baseline}, gaps))
    kept = _keep_changes(tested, decision.margin / 2, decision.alpha)
    return pd.DataFrame(kept, columns=["arm", "baseline", "start", "last", "before", "after"])


def find_rising_arms(
    validation: pd.DataFrame,
    comparisons: pd.DataFrame,
    decision: Decision,
    *,
    left_out: Collection[str] = (),
) -> pd.DataFrame:
    """Find the arms whose validation accuracy still rose in the last third of the epochs.

    An arm is found if two conditions hold. First, its mean rise over seeds is larger than the margin. Second,
    a t-test of the rises is significant at level alpha, with Holm's correction for all arms. The limit is
    twice the limit of `find_late_changes`, because the difference between two arms stays the same if both
    rise together. Runs that stayed at chance count, too, because a longer training could help them. Arms with
    a diverged run should be in `left_out`: a mean over the other runs would mislead.

    Returns:
        A row for each arm that was found. The columns `start` and `last` are the epochs between which the
        rise is measured. The columns `before` and `after` are the mean accuracies at these epochs.
    """
    last = count_epochs(validation)
    compared = dict.fromkeys(comparisons[["baseline", "arm"]].to_numpy().ravel())  # in the study's order
    tested = [
        ({"arm": arm}, validation[arm][[find_last_third(last[arm]), last[arm]]].dropna().round(9))
        for arm in compared
        if arm in last and arm not in left_out
    ]
    kept = _keep_changes(tested, decision.margin, decision.alpha)
    risen = [row for row in kept if row["after"] > row["before"]]
    return pd.DataFrame(risen, columns=["arm", "start", "last", "before", "after"])


def find_half(epochs: int) -> int:
    """Return the epoch at which half of the training is done, rounded up."""
    return -(-epochs // 2)


def find_last_third(epochs: int) -> int:
    """Return the epoch after which the last third of the training begins: two thirds, rounded up."""
    return -(-2 * epochs // 3)


def _list_comparable(validation: pd.DataFrame, comparisons: pd.DataFrame) -> list[tuple[str, str]]:
    """List the compared pairs `(arm, baseline)` whose runs all trained, for the same number of epochs.

    The names of interactions are not names of arms, so the list has no interactions.
    """
    last = count_epochs(validation)
    known = comparisons[~comparisons["verdict"].isin(UNTRAINED)]
    pairs = zip(known["arm"], known["baseline"], strict=True)
    return [pair for pair in pairs if pair[0] in last and last[pair[0]] == last.get(pair[1])]


def _keep_changes(
    tested: Iterable[tuple[dict[str, Any], pd.DataFrame]], limit: float, alpha: float
) -> list[dict[str, Any]]:
    """Keep the changes that are larger than `limit` and significant after Holm's correction.

    Each item of `tested` is a pair: the first cells of the row to return, and a table with the values of each
    seed (rows) at two epochs (columns). A change is not tested if there are too few epochs or seeds.
    """
    rows, p_values = [], []
    for cells, values in tested:
        start, end = values.columns
        change = (values[end] - values[start]).round(9).to_numpy()
        if end < FEWEST_EPOCHS or len(change) < PAIRS_FOR_A_VERDICT or np.ptp(change) == 0:
            continue
        before, after = values.mean()
        rows.append({**cells, "start": start, "last": end, "before": before, "after": after})
        p_values.append(float(stats.ttest_1samp(change, 0).pvalue))
    return [
        row
        for row, p_value in zip(rows, correct_by_holm(p_values), strict=True)
        if p_value <= alpha and abs(row["after"] - row["before"]) > limit
    ]
