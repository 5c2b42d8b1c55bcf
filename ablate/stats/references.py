"""Compare published values with the study's runs, by a prediction interval for one further run."""

from collections.abc import Sequence

import pandas as pd

from ablate.records.run_records import Phase, Status
from ablate.records.tables import make_frame
from ablate.stats.intervals import compute_prediction_interval
from ablate.study.expectations import Reference


def compare_references(
    runs: pd.DataFrame, arm: str, references: Sequence[Reference], *, ceiling: float, confidence: float
) -> pd.DataFrame:
    """Make the `references` table: does each published value lie in the arm's prediction interval?

    Three columns can be empty: the mean, the interval and `inside`. These columns are empty if a confirmed
    run of the arm diverged or stayed at chance, because the other runs then do not predict a further
    run. The columns are also empty if there are fewer than two runs.

    Args:
        runs: the `runs` table; only the confirmed runs of the arm are used.
        arm: the name of the arm that is compared with the published values.
        references: the published values.
        ceiling: the highest accuracy that guessing can reach.
        confidence: the confidence level of the prediction interval.
    """
    confirmed = runs[(runs["phase"] == Phase.CONFIRM) & (runs["arm"] == arm)]
    complete = confirmed[confirmed["status"] == Status.COMPLETE]
    unstable = ((confirmed["status"] == Status.DIVERGED) | (confirmed["test_accuracy"] <= ceiling)).any()
    rows = []
    for reference in references:
        values = complete[reference.metric].dropna().astype(float).tolist()
        further = None if unstable else compute_prediction_interval(values, confidence)
        rows.append(
            {
                "reference": reference.name,
                "metric": reference.metric,
                "published": reference.value,
                "source": reference.source,
                "arm": arm,
                "mean": further.mean if further else None,
                "prediction_low": further.low if further else None,
                "prediction_high": further.high if further else None,
                "inside": further.low <= reference.value <= further.high if further else None,
            }
        )
    return make_frame("references", rows)
