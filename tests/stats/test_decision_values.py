"""A study can decide by any metric of its runs. Whether a run trained is still told by its accuracy."""

import pandas as pd
import pytest

from ablate.records.tables import make_frame
from ablate.stats.comparison_tables import tabulate_comparisons
from ablate.stats.comparisons import judge
from ablate.stats.contrasts import make_contrasts
from ablate.stats.decision_values import MissingMetricError, read_decision_values
from ablate.stats.verdicts import Verdict
from ablate.study.effort import Decision

LOSSES = {"base": [0.50, 0.52, 0.51, 0.50, 0.52], "arm": [0.40, 0.43, 0.41, 0.39, 0.42]}
DECISION = Decision.model_validate({"metric": "log_loss"})


def make_tables(accuracy: float = 0.8) -> dict[str, pd.DataFrame]:
    """Runs of two arms with equal accuracies and different losses."""
    common = [
        {"phase": "confirm", "arm": arm, "setting": "recipe", "seed": seed, "status": "complete"}
        for arm in LOSSES
        for seed in range(5)
    ]
    losses = [loss for values in LOSSES.values() for loss in values]
    return {
        "runs": make_frame(
            "runs", [{**row, "test_accuracy": accuracy + 0.001 * row["seed"]} for row in common]
        ),
        "metrics": make_frame(
            "metrics", [{**row, "test_log_loss": loss} for row, loss in zip(common, losses, strict=True)]
        ),
    }


def compare(tables: dict[str, pd.DataFrame], decision: Decision) -> pd.Series:
    values = read_decision_values(tables, decision.metric)
    contrasts = make_contrasts([("arm", "base")])
    judgement = judge(tables["runs"], contrasts, decision, ceiling=0.11, values=values)
    return tabulate_comparisons(judgement).iloc[0]


def test_the_verdict_is_about_the_metric_and_lower_is_better_for_a_loss() -> None:
    row = compare(make_tables(), DECISION)
    assert row["difference"] == pytest.approx(-0.1)
    assert row["verdict"] == Verdict.MATTERS
    assert row["prob_better"] == 1
    by_accuracy = compare(make_tables(), Decision())
    assert (by_accuracy["difference"], by_accuracy["verdict"]) == (0, Verdict.CANNOT_TELL_APART)


def test_runs_at_chance_are_not_compared_by_their_loss_either() -> None:
    assert compare(make_tables(accuracy=0.1), DECISION)["verdict"] == Verdict.NOT_TRAINED


def test_a_metric_that_no_run_has_is_named_with_those_that_they_have() -> None:
    tables = make_tables()
    with pytest.raises(
        MissingMetricError, match="no run has the metric brier: choose one of accuracy, log_loss"
    ):
        read_decision_values(tables, "brier")
    with pytest.raises(MissingMetricError, match=r"choose one of accuracy$"):
        read_decision_values({"runs": tables["runs"]}, "log_loss")


@pytest.mark.parametrize(("metric", "margin"), [("accuracy", 0.01), ("log_loss", 0.02), ("brier", 0.01)])
def test_a_metric_has_its_own_margin(metric: str, margin: float) -> None:
    assert Decision.model_validate({"metric": metric}).margin == margin
    assert Decision.model_validate({"metric": metric, "margin": 0.3}).margin == 0.3
