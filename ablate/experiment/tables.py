"""Make the tables for a report from the records of a study."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import pandas as pd

from ablate.experiment.agreement import read_agreement
from ablate.experiment.plan import Plan
from ablate.records.run_records import CRASHED, Phase, Status, TimingBlock, TuningOutcome
from ablate.records.tables import (
    make_epochs_frame,
    make_frame,
    make_metrics_frame,
    make_recalls_frame,
    make_runs_frame,
)


def make_tables(plan: Plan, blocks: Sequence[TimingBlock], folder: Path) -> dict[str, pd.DataFrame]:
    """Make the tables `runs`, `epochs`, `tuning` and `timing` from all records so far.

    The table `metrics` is added if some records have metrics, and `recalls` if some records have recalls.
    Records of older versions have no metrics and no recalls. The table `agreement` is added if the report
    folder has predictions of two arms for the same seed.
    """
    # A record can be older than a factor, and then has no value for the factor. So values come from the plan.
    records = [
        replace(record, values={**run.arm.factors, **run.setting}) for run, record in plan.find_recorded()
    ]
    values = list(dict.fromkeys([*plan.study.factor_names, *plan.study.tuning.ranges]))
    later = {
        "metrics": make_metrics_frame(records),
        "recalls": make_recalls_frame(records),
        "agreement": read_agreement(folder, plan),
    }
    return {
        "runs": make_runs_frame(records, values),
        "epochs": make_epochs_frame(records),
        "tuning": make_frame("tuning", (asdict(row) for row in _list_tuning_outcomes(plan))),
        "timing": make_frame("timing", (asdict(block) for block in blocks)),
        **{name: table for name, table in later.items() if len(table)},
    }


def _list_tuning_outcomes(plan: Plan) -> Iterator[TuningOutcome]:
    """Yield one row for each arm and each parameter that was tuned for the arm."""
    tuned = [record for _, record in plan.find_recorded(Phase.TUNE)]
    for arm, choice in plan.choices.items():
        of_arm = [record for record in tuned if record.arm == arm]
        for name in choice.chosen:
            tried = [point[name] for point in choice.tried]
            yield TuningOutcome(
                arm=arm,
                parameter=name,
                best=choice.best[name],
                chosen=choice.chosen[name],
                low=min(tried),
                high=max(tried),
                at_edge=choice.at_edge,
                extended=choice.extended,
                trials=len(of_arm),
                failed=sum(record.status in CRASHED for record in of_arm),
                diverged=sum(record.status == Status.DIVERGED for record in of_arm),
            )
