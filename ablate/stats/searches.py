"""Make the table of the candidates (combinations of values) that a search tried."""

import math

import pandas as pd

from ablate.records.provenance import SearchFacts
from ablate.records.run_records import Phase, Status
from ablate.records.tables import make_frame
from ablate.stats.pareto import compute_hypervolume, mark_front


def tabulate_candidates(
    runs: pd.DataFrame, search: SearchFacts, baseline: str, *, chance: float
) -> pd.DataFrame:
    """Make the `candidates` table: a row for each candidate, in the order in which they were tried.

    A row says whether the candidate is on the Pareto front of all candidates. The hypervolume in a row is the
    area that the candidates up to this row dominate.

    Args:
        runs: the `runs` table. Only runs of the phase search are used.
        search: the candidates in the order in which they were tried, and the finalists. The finalists are the
            candidates that train again on fresh seeds.
        baseline: the arm that the search tried first.
        chance: the accuracy of guessing. This accuracy and the highest cost form the reference point of the
            hypervolume.
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
    for i, (row, stands) in enumerate(zip(rows, mark_front(points), strict=True)):
        covered = compute_hypervolume([point for point in points[: i + 1] if point is not None], reference)
        row |= {
            "pareto": stands,
            "hypervolume": covered,
            "is_baseline": row["arm"] == baseline,
            "finalist": (row["arm"], row["setting"]) in confirmed,
        }
    return make_frame("candidates", rows)
