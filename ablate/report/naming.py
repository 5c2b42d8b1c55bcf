"""Names of arms and comparisons for a reader of the report."""

from ablate.report.evidence import Evidence
from ablate.stats.arm_names import ArmNames, read_arm_names


def name_arm(evidence: Evidence, arm: str, beside: str | None = None) -> str:
    """Name an arm with the values in which it differs from the arm `beside`: `baseline (pooling=avg)`."""
    return _read_names(evidence).name_arm(arm, beside)


def name_contrast(evidence: Evidence, arm: str, other: str) -> str:
    """Name a comparison: `pooling=max against baseline (pooling=avg)`, or `interaction of A and B`."""
    return _read_names(evidence).name_contrast(arm, other)


def _read_names(evidence: Evidence) -> ArmNames:
    return read_arm_names(evidence.study, evidence.tables["runs"], evidence.arms[0])
