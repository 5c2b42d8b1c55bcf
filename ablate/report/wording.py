"""Published values, each with our interval for one further run of the baseline."""

from typing import Any

from ablate.report.evidence import Evidence
from ablate.stats.intervals import prediction_interval


def references(evidence: Evidence) -> list[dict[str, Any]]:
    """Each published figure, our interval for one further run, and whether it lies inside."""
    runs = evidence.tables["runs"]
    everyone = runs[(runs["phase"] == "confirm") & (runs["arm"] == evidence.arms[0])]
    ours = everyone[everyone["status"] == "complete"]
    found = []
    for reference in evidence.study.references:
        values = ours[reference.metric].dropna().astype(float).tolist()
        if ((everyone["status"] == "diverged") | (everyone["test_accuracy"] <= evidence.ceiling)).any():
            break  # an interval of survivors, or of two kinds of outcome, is none for one further run
        further = prediction_interval(values, 1 - evidence.study.decision.alpha)
        if further is not None:
            found.append(
                {
                    "name": reference.name,
                    "metric": reference.metric.replace("_", " "),
                    "value": f"{reference.value:.3f}",
                    "source": reference.source,
                    "interval": f"{further.low:.3f} to {further.high:.3f}",
                    "mean": f"{further.mean:.3f}",
                    "inside": further.low <= reference.value <= further.high,
                }
            )
    return found
