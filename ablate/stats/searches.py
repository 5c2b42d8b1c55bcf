"""A search's candidates in the order in which they were tried, with the front and what it covers."""

import math

import pandas as pd

from ablate.records.provenance import SearchFacts
from ablate.records.run_records import Phase, Status
from ablate.records.tables import frame
from ablate.stats.pareto import hypervolume, on_front


def candidates(runs: pd.DataFrame, search: SearchFacts, baseline: str, *, chance: float) -> pd.DataFrame:
    """A search's candidates in the order in which they were tried, with the front and what it covers.

    Args:
        runs: the `runs` table; only its search phase is used.
        search: what was tried, in order, and what was confirmed of it.
        baseline: the arm that opened the search.
        chance: the accuracy of guessing: with the costliest candidate the hypervolume's reference.
    """
    searched = runs[runs["phase"] == Phase.SEARCH].set_index(["arm", "setting"])
    rows = []
    for one in search.candidates:
        run = searched.loc[(one.arm, one.setting)]
        rows.append({**vars(one), "status": run["status"], "validation_accuracy": run["validation_accuracy"]})
    points = [
        None
        if pd.isna(row["validation_accuracy"]) or row["status"] != Status.COMPLETE
        else (float(row["validation_accuracy"]), -math.log10(row["flops_per_example"]))
        for row in rows
    ]
    confirmed = [(one.arm, one.setting) for one in search.finalists.values()]
    costliest = max((row["flops_per_example"] for row in rows), default=1)
    reference = (chance, -math.log10(costliest))
    for i, (row, stands) in enumerate(zip(rows, on_front(points), strict=True)):
        covered = hypervolume([point for point in points[: i + 1] if point is not None], reference)
        row |= {
            "pareto": stands,
            "hypervolume": covered,
            "is_baseline": row["arm"] == baseline,
            "finalist": (row["arm"], row["setting"]) in confirmed,
        }
    return frame("candidates", rows)
