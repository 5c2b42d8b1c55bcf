"""Find the values that each arm (variant of the network) tried in tuning."""

import pandas as pd

from ablate.records.run_records import Phase

COLUMNS = ["arm", "parameter", "seed", "value", "validation_accuracy", "chosen"]
TOLERANCE = 1e-9
"""Two values count as equal if their relative difference is at most this small.

The tables `tuning` and `runs` round their values differently.
"""


def tabulate_tried_values(runs: pd.DataFrame, tuning: pd.DataFrame) -> pd.DataFrame:
    """Make a table with a row for each tuning run and each tuned parameter.

    A row has the seed, the tried value, the validation accuracy, and whether the value was chosen. A run that
    diverged or crashed has no validation accuracy.
    """
    tried = runs[runs["phase"] == Phase.TUNE]
    parts = []
    for row in tuning.itertuples():
        of_arm = tried[tried["arm"] == row.arm]
        value = of_arm[row.parameter].astype(float)
        parts.append(
            pd.DataFrame(
                {
                    "arm": row.arm,
                    "parameter": row.parameter,
                    "seed": of_arm["seed"].astype(int),
                    "value": value,
                    "validation_accuracy": of_arm["validation_accuracy"].astype("Float64"),
                    "chosen": (value - float(row.chosen)).abs() <= TOLERANCE * value.abs(),
                }
            )
        )
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=COLUMNS)


def list_uneven_ranges(tuning: pd.DataFrame) -> list[str]:
    """List the tuned parameters whose range of values is not the same for all arms."""
    ranges = tuning.groupby("parameter")[["low", "high"]].nunique()
    return list(ranges.index[(ranges > 1).any(axis=1)])
