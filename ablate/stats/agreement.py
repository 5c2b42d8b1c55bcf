"""Agreement of two arms: the shares of the test images that both, one or neither classifies correctly."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ablate.records.tables import make_frame
from ablate.stats.contrasts import Contrast
from ablate.stats.image_variance import Array, estimate_errors

DIGITS = 12
"""Numbers are rounded to this many decimals, so that equal studies give equal files on every machine."""


def tabulate_agreement(
    right: Mapping[str, Mapping[int, Array]], contrasts: Sequence[Contrast]
) -> pd.DataFrame:
    """Make the `agreement` table: a row for each contrast of two arms that have a seed in common.

    Args:
        right: maps each arm and seed to booleans `(J,)`: whether the run classifies each of the J test images
            correctly. It must leave out the runs that did not train.
        contrasts: the contrasts of the study. Interactions have no row.
    """
    rows = []
    for contrast in contrasts:
        # The name of an interaction is not the name of an arm, so `right` has no runs for it.
        ours, others = right.get(contrast.name, {}), right.get(contrast.reference, {})
        if seeds := sorted(ours.keys() & others.keys()):
            arm, baseline = (np.stack([side[seed] for seed in seeds]) for side in (ours, others))
            rows.append({"arm": contrast.name, "baseline": contrast.reference, **_compare(arm, baseline)})
    return make_frame("agreement", rows)


def _compare(arm: Array, baseline: Array) -> dict[str, Any]:
    """Make the cells of a row from booleans `(n, J)`: whether each of n runs has each of J images right."""
    seeds, images = arm.shape
    counts = {
        "both_right": arm & baseline,
        "only_arm_right": arm & ~baseline,
        "only_baseline_right": ~arm & baseline,
        "neither_right": ~(arm | baseline),
    }
    cells = arm.astype(np.int8) - baseline.astype(np.int8)
    row: dict[str, Any] = {name: int(found.sum()) / arm.size for name, found in counts.items()}
    row["difference"] = int(cells.sum()) / arm.size
    if seeds > 1 and images > 1:
        errors = estimate_errors(cells)
        row["seeds_standard_error"] = float(errors.seeds)
        row["new_images_standard_error"] = float(errors.new_images)
        row["new_images_degrees"] = float(errors.degrees)
    rounded = {name: round(value, DIGITS) for name, value in row.items()}
    return {"agreement_seeds": seeds, "agreement_images": images, **rounded}
