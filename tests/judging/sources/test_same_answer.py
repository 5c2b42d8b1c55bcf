"""The same runs, recorded by different tools, are judged alike; a failed run is left out of each."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from ablate.judging.judgement import RunJudgement, judge_runs
from ablate.judging.question import Question
from tests.judging.sources.test_mlflow_tracking import write_run
from tests.judging.sources.test_ray_folders import write_trial

QUESTION = Question(arm="method", metric="accuracy", baseline="theirs", seed="seed", margin=0.01)


def make_runs() -> pd.DataFrame:
    """Six seeds of two methods, and a seventh that failed after an impossible number."""
    random = np.random.default_rng(5)
    rows = [
        {
            "method": method,
            "seed": seed,
            "accuracy": round(0.9 + gain + random.normal() / 200, 4),
            "status": "finished",
        }
        for method, gain in (("theirs", 0.0), ("ours", 0.02))
        for seed in range(6)
    ]
    return pd.DataFrame([*rows, {"method": "ours", "seed": 6, "accuracy": 0.0, "status": "failed"}])


def as_csv(runs: pd.DataFrame, folder: Path) -> Path:
    runs.to_csv(folder / "runs.csv", index=False)
    return folder / "runs.csv"


def as_optuna(runs: pd.DataFrame, folder: Path) -> Path:
    backend = optuna.storages.journal.JournalFileBackend(f"{folder}/journal.log")
    study = optuna.create_study(storage=optuna.storages.JournalStorage(backend), direction="maximize")
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        study.set_metric_names(["accuracy"])
    methods = {"method": optuna.distributions.CategoricalDistribution(["ours", "theirs"])}
    for run in runs.itertuples():
        failed = run.status == "failed"
        state = optuna.trial.TrialState.FAIL if failed else optuna.trial.TrialState.COMPLETE
        study.add_trial(
            optuna.create_trial(
                state=state, value=None if failed else run.accuracy, params={"method": run.method},
                distributions=methods, user_attrs={"seed": run.seed},
            )
        )  # fmt: skip
    return folder / "journal.log"


def as_ray(runs: pd.DataFrame, folder: Path) -> Path:
    for run in runs.itertuples():
        last = {"accuracy": run.accuracy, "done": True}
        trial = write_trial(
            folder / f"t_{run.Index}", {"method": run.method, "seed": run.seed}, [{"accuracy": 0.1}, last]
        )
        if run.status == "failed":
            (trial / "error.txt").write_text("Traceback")
    return folder


def as_hydra(runs: pd.DataFrame, folder: Path) -> Path:
    for run in runs.itertuples():
        settings = folder / str(run.Index) / ".hydra"
        settings.mkdir(parents=True)
        (settings / "config.yaml").write_text(f"seed: {run.seed}\n")
        (settings / "overrides.yaml").write_text(f"- seed={run.seed}\n- method={run.method}\n")
        (settings / "hydra.yaml").write_text("{}\n")
        if run.status == "finished":
            (settings.parent / "results.json").write_text(json.dumps({"accuracy": run.accuracy}))
    return folder


def as_mlflow(runs: pd.DataFrame, folder: Path) -> Path:
    (folder / "0").mkdir()
    (folder / "0" / "meta.yaml").write_text("artifact_location: /x\nexperiment_id: '0'\nname: one\n")
    for run in runs.itertuples():
        place = folder / "0" / f"run{run.Index:02}"
        write_run(
            place, f"status: {3 if run.status == 'finished' else 4}\n", accuracy=f"1 {run.accuracy} 0\n"
        )
        (place / "params" / "seed").write_text(str(run.seed))
        (place / "tags" / "method").write_text(run.method)
    return folder


def as_wandb(runs: pd.DataFrame, folder: Path) -> Path:
    states = runs.status.replace("failed", "crashed")
    table = runs.drop(columns="status").assign(Name="same", State=states, Created="2026", Runtime="")
    table.to_csv(folder / "export.csv", index=False, quoting=1)
    return folder / "export.csv"


def as_tensorboard(runs: pd.DataFrame, folder: Path) -> Path:
    """TensorBoard does not record a failure, so the failed run wrote no scalar."""
    from torch.utils.tensorboard import SummaryWriter

    for run in runs.itertuples():
        with SummaryWriter(str(folder / f"run{run.Index:02}")) as writer:
            scalars = {"accuracy": run.accuracy} if run.status == "finished" else {}
            writer.add_hparams({"method": run.method, "seed": run.seed}, scalars, run_name=".")
    return folder


def tabulate(judgement: RunJudgement) -> pd.DataFrame:
    return judgement.tables["judged_comparisons"]


@pytest.mark.parametrize("write", [as_optuna, as_ray, as_hydra, as_mlflow, as_wandb, as_tensorboard])
def test_the_answer_does_not_depend_on_who_recorded_the_runs(
    write: Callable[[pd.DataFrame, Path], Path], tmp_path: Path
) -> None:
    runs = make_runs()
    expected = judge_runs(as_csv(runs, tmp_path), QUESTION)
    (tmp_path / "records").mkdir()
    found = judge_runs(write(runs, tmp_path / "records"), QUESTION)
    assert len(tabulate(found)) == 1
    # TensorBoard stores numbers in 32 bits.
    pd.testing.assert_frame_equal(
        tabulate(found), tabulate(expected), rtol=1e-4 if write is as_tensorboard else 1e-12
    )
    left_out = [str(finding.sentence) for finding in found.findings if "left out" in str(finding.sentence)]
    assert len(left_out) == 1
    assert ("no result" if write in (as_hydra, as_tensorboard) else "failed") in left_out[0]
