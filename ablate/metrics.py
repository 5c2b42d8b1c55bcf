"""A list of all metrics. Each metric has a unit, a direction in which it is better, and a default margin.

`ablate/stats/metric_values.py` computes the metrics. This file does not import torch or scikit-learn, so code
that needs only the names of the metrics starts quickly.
"""

import math
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What a metric means, in which direction it is better, and how its differences are written."""

    higher_is_better: bool
    margin: float
    """The default margin of a study: a difference up to this size is usually too small to matter."""
    unit: Literal["points", "nats", "number"]
    """The unit of a difference: `points` for shares (0.01 is one percentage point), `nats` for a loss in
    natural logarithms, `number` for a value without a unit."""
    meaning: str
    tuned_by: str | None = None
    """The metric by which tuning chooses settings. None means that tuning uses the metric itself.

    The calibration error needs another metric for tuning. A network that only guesses can be perfectly
    calibrated. So tuning by calibration error could choose settings with which the network does not train.
    """
    least_classes: int = 2
    """The minimum number of classes. With fewer classes, the metric has no meaning and is not computed."""

    @property
    def axis_scale(self) -> int:
        """The factor by which figures multiply a difference: 100 for percentage points, otherwise 1."""
        return 100 if self.unit == "points" else 1

    @property
    def axis_unit(self) -> str:
        """The unit of differences, as it follows the label of an axis or of a column."""
        return {"points": " (percentage points)", "nats": " (nats)", "number": ""}[self.unit]

    def guess(self, classes: int) -> float:
        """Return the approximate score of a network that guesses.

        A loss gets a minus sign, so a higher score is better for every metric.
        """
        if self.higher_is_better:
            return 1 / classes
        return -math.log(classes) if self.unit == "nats" else -(1 - 1 / classes)


METRICS: dict[str, Metric] = {
    "accuracy": Metric(
        higher_is_better=True,
        margin=0.01,
        unit="points",
        meaning="share of the images that the network classifies correctly",
    ),
    "balanced_accuracy": Metric(
        higher_is_better=True,
        margin=0.01,
        unit="points",
        meaning="mean of the recalls of all classes that have images, so every class counts the same",
    ),
    "macro_f1": Metric(
        higher_is_better=True,
        margin=0.01,
        unit="points",
        meaning="mean of F1, the harmonic mean of precision and recall, over all classes that have images",
    ),
    "log_loss": Metric(
        higher_is_better=False,
        margin=0.02,
        unit="nats",
        meaning="mean of the negative logarithm of the true class's probability (cross-entropy)",
    ),
    "brier": Metric(
        higher_is_better=False,
        margin=0.01,
        unit="number",
        meaning="mean squared distance between the probabilities and the true class, summed over the "
        "classes: 0 is perfect, 2 is the worst (Brier 1950)",
    ),
    "calibration_error": Metric(
        higher_is_better=False,
        margin=0.01,
        unit="points",
        tuned_by="log_loss",
        meaning="expected calibration error: mean distance between the probability of the predicted class "
        "and the accuracy, over 15 bins of equal width (Guo et al. 2017)",
    ),
    "top_2_accuracy": Metric(
        higher_is_better=True,
        margin=0.01,
        unit="points",
        meaning="share of the images whose true class is among the two most probable classes",
        least_classes=3,
    ),
    "top_5_accuracy": Metric(
        higher_is_better=True,
        margin=0.01,
        unit="points",
        meaning="share of the images whose true class is among the five most probable classes",
        least_classes=6,
    ),
}
"""The metrics by name, in the order in which tables and pages show them."""
