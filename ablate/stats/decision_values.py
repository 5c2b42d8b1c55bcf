"""Read how well each confirmed run did on the test images, in the metric that decides the verdicts.

Confirmed runs are the runs on fresh seeds that follow the tuning. Only these runs count for a verdict.
"""

import pandas as pd

from ablate.metrics import METRICS
from ablate.records.run_records import Phase

DEFAULT = "accuracy"
"""The metric that decides the verdicts if the study file names no other metric."""


class MissingMetricError(Exception):
    """The tables do not have the wanted metric. The message says which metrics the tables have."""


def read_decision_values(tables: dict[str, pd.DataFrame], metric: str) -> pd.Series:
    """Read the value of the metric on the test images for every confirmed run.

    The result is indexed by `(arm, seed)`. Runs without a value are left out.

    Args:
        tables: the table `runs`, and `metrics` if the folder has it.
        metric: a name of `METRICS`.

    Raises:
        MissingMetricError: no run has the metric. Report folders of older versions have only accuracies.
    """
    runs, column = tables["runs"], f"test_{metric}"
    table = runs if column in runs.columns else tables.get("metrics", runs)
    confirmed = table[table["phase"] == Phase.CONFIRM]
    lacking = column not in confirmed.columns or (len(confirmed) and confirmed[column].isna().all())
    if lacking and metric != DEFAULT:  # every folder has accuracies, even if no run has one
        known = [
            name.removeprefix("test_")
            for given in (runs, tables.get("metrics", runs))
            for name in given.dropna(axis="columns", how="all").columns
            if name.removeprefix("test_") in METRICS
        ]
        told = ", ".join(dict.fromkeys(known))
        raise MissingMetricError(f"no run has the metric {metric}: choose one of {told}")
    by_run = confirmed.astype({"seed": int, "arm": object}).set_index(["arm", "seed"])[column]
    return by_run.dropna().astype(float)
