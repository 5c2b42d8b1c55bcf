"""Names of arms for a reader: an arm's own name, and the factor values that the name leaves out."""

import pandas as pd

from ablate.report.evidence import Evidence
from ablate.stats.contrasts import BOTH_ALONE
from ablate.study.spec import FULL

MOST_VALUES = 4
"""An arm that needs more values than this keeps its own name alone: a longer one is not read."""


def name_arm(evidence: Evidence, arm: str, beside: str | None = None) -> str:
    """`baseline (pooling=avg)`: the arm's name with the values in which it differs from `beside`.

    Without `beside` the baseline is named with all its factor values, an arm `without ...` with the values in
    which it differs from the full arm, and every other arm with those in which it differs from the baseline.
    Values that are part of the arm's own name are not repeated. Arms that the study file names itself keep
    their names. Tables in CSV files always have the arm's own name.
    """
    baseline = evidence.arms[0]
    values = _read_values(evidence)
    if evidence.study.arms or arm not in values.index:
        return arm
    own = values.loc[arm]
    if beside is None and arm != baseline:
        beside = FULL if FULL in values.index and arm.startswith("without ") else baseline
    if beside in values.index:
        own = own[own != values.loc[beside]]
    told = [f"{factor}={value}" for factor, value in own.items() if f"{factor}=" not in arm]
    return f"{arm} ({', '.join(told)})" if 0 < len(told) <= MOST_VALUES else arm


def name_contrast(evidence: Evidence, arm: str, other: str) -> str:
    """`pooling=max against baseline (pooling=avg)`, or `interaction of A and B`."""
    if other == BOTH_ALONE:
        return f"interaction of {' and '.join(arm.split(' × '))}"
    return f"{name_arm(evidence, arm, other)} against {name_arm(evidence, other, arm)}"


def _read_values(evidence: Evidence) -> pd.DataFrame:
    """One row an arm, one column a factor, as text; only the factors that the runs table has."""
    runs = evidence.tables["runs"]
    factors = [name for name in evidence.study.factor_names if name in runs]
    return runs.drop_duplicates("arm").set_index("arm")[factors].fillna("null").astype(str)
