"""Compare published results with the results of this study, formatted for a reader."""

from typing import Any

from ablate.formatting import list_rows
from ablate.report.evidence import Evidence


def describe_references(evidence: Evidence) -> list[dict[str, Any]]:
    """List each published value, the study's interval for one further run, and whether the value is in it.

    The interval is the baseline's. After a search, it is the interval of the finalist with the highest
    validation accuracy. A published value is left out if the table has no interval for it: see
    `compare_references`.
    """
    if "references" not in evidence.tables:
        return []
    table = evidence.tables["references"]
    return [
        {
            "arm": evidence.names.name_arm(row["arm"]),
            "name": row["reference"],
            "metric": row["metric"].replace("_", " "),
            "value": f"{row['published']:.4f}".removesuffix("0"),
            "source": row["source"],
            "interval": f"{row['prediction_low']:.3f} to {row['prediction_high']:.3f}",
            "mean": f"{row['mean']:.3f}",
            "inside": row["inside"],
            "place": "inside"
            if row["inside"]
            else f"ours is {'higher' if row['mean'] > row['published'] else 'lower'}",
        }
        for row in list_rows(table.dropna(subset=["prediction_low"]))
    ]
