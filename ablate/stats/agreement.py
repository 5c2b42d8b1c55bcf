"""Agreement of two arms: on which share of the test images both are right, only one is, or neither is."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ablate.records.tables import make_frame
from ablate.stats.contrasts import Contrast
from ablate.stats.image_variance import Array, estimate_errors

DIGITS = 12
"""Numbers are rounded to this many decimals, so that equal studies give equal bytes on every machine."""


def tabulate_agreement(
    right: Mapping[str, Mapping[int, Array]], contrasts: Sequence[Contrast]
) -> pd.DataFrame:
    """Make the `agreement` table: a row for each contrast of two arms that have a seed in common.

    Args:
        right: for each arm and seed, which of the J test images the network classifies correctly, booleans
            `(J,)`. Only runs that trained belong here.
        contrasts: the contrasts of the study. Interactions have no row.
    """
    rows = []
    for contrast in contrasts:
        # An interaction has no runs, because its name is not the name of an arm.
        ours, others = right.get(contrast.name, {}), right.get(contrast.reference, {})
        if seeds := sorted(ours.keys() & others.keys()):
            arm, baseline = (np.stack([side[seed] for seed in seeds]) for side in (ours, others))
            rows.append({"arm": contrast.name, "baseline": contrast.reference, **_compare(arm, baseline)})
    return make_frame("agreement", rows)


def _compare(arm: Array, baseline: Array) -> dict[str, Any]:
    """Make the cells of a row. The arguments tell which of J images each of n runs has right, `(n, J)`."""
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
