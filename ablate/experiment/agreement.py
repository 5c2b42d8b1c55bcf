"""Find out which test images each confirmed run classified correctly, from its stored predictions.

A confirmed run is a training after tuning, with the chosen values.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from ablate.errors import FolderError
from ablate.experiment.contrasts import list_contrasts
from ablate.experiment.plan import Plan
from ablate.records.predictions import Array, read_guesses, read_labels
from ablate.records.run_records import Phase, Status
from ablate.stats.agreement import tabulate_agreement
from ablate.stats.chance import compute_chance_ceiling


def read_agreement(folder: Path, plan: Plan) -> pd.DataFrame:
    """Make the `agreement` table: how often two arms classify the same test images correctly.

    A confirmed run counts if its accuracy is too high for guessing, and if the report folder has its
    predictions. The folder lacks the predictions of a run if an older version or another host trained the
    run, or if a person deleted the file.
    """
    right: dict[str, dict[int, Array]] = {}
    try:
        labels = read_labels(folder)
    except FolderError:
        return tabulate_agreement(right, [])
    counts = np.bincount(labels).tolist()
    ceiling = compute_chance_ceiling(max(counts) / len(labels), len(labels), counts)
    for run, record in plan.find_recorded(Phase.CONFIRM):
        if record.status != Status.COMPLETE or (record.test_accuracy or 0.0) <= ceiling:
            continue  # the run's accuracy could come from guessing
        try:
            guesses = read_guesses(folder, run.arm.slug, record.setting, run.seed)
        except FolderError:
            continue
        if guesses.shape == labels.shape:
            right.setdefault(run.arm.name, {})[run.seed] = guesses == labels
    return tabulate_agreement(right, list_contrasts(plan.study, plan.layout))
