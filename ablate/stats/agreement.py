"""Measure how often two arms (variants of the network) classify the same test images correctly."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ablate.records.tables import make_frame
from ablate.stats.contrasts import Contrast
from ablate.stats.image_variance import Array, estimate_errors

DIGITS = 12
"""Values are rounded to this many decimals. So the same study gives the same table on every machine."""


def tabulate_agreement(
    right: Mapping[str, Mapping[int, Array]], contrasts: Sequence[Contrast]
) -> pd.DataFrame:
    """Make the `agreement` table. The table has a row for each contrast of two arms with a common seed.

    Args:
        right: maps each arm and seed to booleans `(J,)`: whether the run classifies each of the J test images
            correctly. Runs that did not train must be left out.
        contrasts: the contrasts (comparisons) of the study. Interactions of factors get no row.
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
    """Compute the values of one row.

    Both arguments are booleans `(n, J)`: whether each of n runs classifies each of J images correctly.
    """
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
