"""Differences by epoch: how two arms differ in validation accuracy during training, paired by seed."""

from collections.abc import Iterable, Sequence
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
"""A training with fewer epochs than this is too short to compare its middle or last third with its end."""


def tabulate_validation(runs: pd.DataFrame, epochs: pd.DataFrame) -> pd.DataFrame:
    """Tabulate the validation accuracies of all complete confirmed runs after each epoch.

    The result has a row for each seed, and a column for each pair of an arm and an epoch. It is empty if the
    study held out no validation images.
    """
    done = runs.loc[
        (runs["phase"] == Phase.CONFIRM) & (runs["status"] == Status.COMPLETE), ["arm", "seed"]
    ].drop_duplicates()
    points = epochs[epochs["phase"] == Phase.CONFIRM].dropna(subset=["validation_accuracy"])
    points = points.merge(done, on=["arm", "seed"]).astype(
        {"arm": object, "seed": int, "epoch": float, "validation_accuracy": float}
    )
    # Only the last point of an epoch has a validation accuracy. Its epoch number is an integer, apart from
    # rounding errors.
    points = points.assign(epoch=points["epoch"].round().astype(int))
    table = points.pivot_table(index="seed", columns=["arm", "epoch"], values="validation_accuracy")
    # Tables of other programs can lack the validation of an epoch. Such an epoch gets an empty column.
    every = [(arm, epoch) for arm, last in count_epochs(table).items() for epoch in range(1, last + 1)]
    return table.reindex(columns=pd.MultiIndex.from_tuples(every)) if every else table


def count_epochs(validation: pd.DataFrame) -> dict[str, int]:
    """Count the epochs for which each arm was trained. `validation` is the table of `tabulate_validation`."""
    last: dict[str, int] = {}
    for arm, epoch in validation.columns:
        last[arm] = max(epoch, last.get(arm, 0))
    return last


def tabulate_differences_by_epoch(
    validation: pd.DataFrame, comparisons: pd.DataFrame, confidence: float
) -> pd.DataFrame:
    """Make the `differences_by_epoch` table: mean difference and t-interval after each epoch.

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
        # `compute_mean_interval` gives the same interval, but each call takes 0.9 ms. Here, all epochs are
        # computed at once.
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

    Both verdicts follow the rule of the `comparisons` table, with the same correction for all contrasts. All
    seeds are judged at once, even if the study itself looked at its results several times.

    Args:
        runs: the `runs` table.
        validation: the table of `tabulate_validation`.
        contrasts: all contrasts that the study declares.
        decision: the margin and alpha.
        ceiling: the highest accuracy on the validation images that guessing can reach.

    Returns:
        A row for each contrast of two arms with the columns arm, baseline, half, last (numbers of epochs),
        at_half and at_last (verdicts). A contrast has no row if some of its runs did not train, if its arms
        have different numbers of epochs, or if these are below `FEWEST_EPOCHS`.
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
    """Find the comparisons whose difference still changed in the last third of the epochs.

    Such a comparison's mean change over seeds is larger than half the margin. The change is also significant
    at alpha in a t-test on the seeds' changes, with Holm's correction for all comparisons.

    Returns:
        A row for each comparison with the columns arm, baseline, start and last (numbers of epochs), before
        and after (mean differences).
    """
    last = count_epochs(validation)
    tested = []
    for arm, baseline in _list_comparable(validation, comparisons):
        start, end = find_last_third(last[arm]), last[arm]
        gaps = (validation[arm] - validation[baseline])[[start, end]].dropna().round(9)
        tested.append(({"arm": arm, "baseline": baseline}, gaps))
    kept = _keep_changes(tested, decision.margin / 2, decision.alpha)
    return pd.DataFrame(kept, columns=["arm", "baseline", "start", "last", "before", "after"])


def find_rising_arms(validation: pd.DataFrame, comparisons: pd.DataFrame, decision: Decision) -> pd.DataFrame:
    """Find the arms whose validation accuracy still rose in the last third of the epochs.

    Such an arm's mean rise over seeds is larger than the margin. The rise is also significant at alpha in a
    t-test on the seeds' rises, with Holm's correction for all arms. The limit is the whole margin, not half
    of it, because the difference between two arms that rise together stays the same. An arm is left out if
    each of its comparisons has runs that did not train.

    Returns:
        A row for each arm with the columns arm, start and last (numbers of epochs), before and after (mean
        accuracies).
    """
    last = count_epochs(validation)
    trained = comparisons[~comparisons["verdict"].isin(UNTRAINED)]
    compared = dict.fromkeys(trained[["baseline", "arm"]].to_numpy().ravel())  # in the study's order
    tested = [
        ({"arm": arm}, validation[arm][[find_last_third(last[arm]), last[arm]]].dropna().round(9))
        for arm in compared
        if arm in last
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
    """List the compared pairs `(arm, baseline)` whose runs all trained and have equal numbers of epochs.

    The names of interactions are not names of arms, so the list has no interactions.
    """
    last = count_epochs(validation)
    known = comparisons[~comparisons["verdict"].isin(UNTRAINED)]
    pairs = zip(known["arm"], known["baseline"], strict=True)
    return [pair for pair in pairs if pair[0] in last and last[pair[0]] == last.get(pair[1])]


def _keep_changes(
    tested: Iterable[tuple[dict[str, Any], pd.DataFrame]], limit: float, alpha: float
) -> list[dict[str, Any]]:
    """Keep the changes that exceed the limit and are significant after Holm's correction.

    Each item of `tested` has the first cells of the row to return, and a table with the values of each seed
    (rows) at two epochs (columns). Trainings with too few epochs or seeds are not tested.
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
