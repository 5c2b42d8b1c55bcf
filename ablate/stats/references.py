"""Published values beside our own runs: the interval for one further run, or none where it means nothing."""

from collections.abc import Sequence

import pandas as pd

from ablate.records.run_records import Phase, Status
from ablate.records.tables import frame
from ablate.stats.intervals import prediction_interval
from ablate.study.spec import Reference


def compare_references(
    runs: pd.DataFrame, baseline: str, references: Sequence[Reference], *, ceiling: float, confidence: float
) -> pd.DataFrame:
    """One row for each published value: our mean, the interval for one further run, whether it lies inside.

    Mean, interval and `inside` are empty where a confirmed run of the baseline diverged or stayed at chance:
    survivors, or two kinds of outcome, predict no further run. They are empty for fewer than two runs, too.

    Args:
        runs: the `runs` table; only the confirmed runs of the baseline are used.
        baseline: its name.
        references: the published values.
        ceiling: the accuracy up to which a network may be guessing.
        confidence: of the prediction interval.
    """
    confirmed = runs[(runs["phase"] == Phase.CONFIRM) & (runs["arm"] == baseline)]
    complete = confirmed[confirmed["status"] == Status.COMPLETE]
    unstable = ((confirmed["status"] == Status.DIVERGED) | (confirmed["test_accuracy"] <= ceiling)).any()
    rows = []
    for reference in references:
        values = complete[reference.metric].dropna().astype(float).tolist()
        further = None if unstable else prediction_interval(values, confidence)
        rows.append(
            {
                "reference": reference.name,
                "metric": reference.metric,
                "published": reference.value,
                "source": reference.source,
                "mean": further.mean if further else None,
                "prediction_low": further.low if further else None,
                "prediction_high": further.high if further else None,
                "inside": further.low <= reference.value <= further.high if further else None,
            }
        )
    return frame("references", rows)
