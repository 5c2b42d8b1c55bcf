"""Compute differences in recall: in which classes an arm (a variant of the network) is better or worse."""

import pandas as pd
from scipy import stats

from ablate.records.tables import make_frame
from ablate.stats.verdicts import UNTRAINED


def tabulate_recalls_by_class(
    recalls: pd.DataFrame, comparisons: pd.DataFrame, confidence: float
) -> pd.DataFrame:
    """Make the `recalls_by_class` table: the difference in recall for each comparison and each class.

    Interactions have no rows. A comparison has no rows if some of its runs did not train. Each interval holds
    for a single class: there is no correction for several classes.

    Args:
        recalls: the `recalls` table.
        comparisons: the `comparisons` table.
        confidence: the confidence level of the t-intervals.
    """
    images = recalls.drop_duplicates("label").set_index("label")["test_images"]
    by_run = recalls.astype({"recall": float}).pivot(index="seed", columns=["arm", "label"], values="recall")
    arms = set(recalls["arm"])
    rows = []
    known = comparisons[~comparisons["verdict"].isin(UNTRAINED)]
    for arm, baseline in zip(known["arm"], known["baseline"], strict=True):
        if not {arm, baseline} <= arms:
            continue  # an interaction, or an arm trained by an older version, which kept no recalls
        # Rounding removes floating-point errors, so that equal differences are exactly equal.
        gaps = (by_run[arm] - by_run[baseline]).round(9)
        pairs, means = gaps.count(), gaps.mean().round(12)
        reach = stats.t.ppf((1 + confidence) / 2, pairs - 1) * gaps.sem().round(12)
        rows += [
            {
                "arm": arm,
                "baseline": baseline,
                "label": label,
                "test_images": images[label],
                "pairs": pairs[label],
                "recall_difference": means[label],
                "recall_ci_low": None if pairs[label] < 2 else means[label] - reach[label],
                "recall_ci_high": None if pairs[label] < 2 else means[label] + reach[label],
            }
            for label in images.index
            if label in pairs.index and pairs[label]
        ]
    return make_frame("recalls_by_class", rows)
