"""Folders of Ray Tune's trials become one row per trial, with what it reported last."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ablate.errors import AblateError
from ablate.judging import sources
from tests.judging.sources.real_tools import run_python
from tests.with_parts import needed

TRAIN = """\
import os
import ray
from ray import tune

def train(config):
    for step in range(2):
        if config["opt"]["lr"] == 0.2 and step == 1:
            raise ValueError("broken")
        tune.report({"loss": config["opt"]["lr"] / (step + 1), "val": {"acc": step}, "bad": float("nan")})

ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False)
rates = tune.grid_search([0.1, 0.2])
settings = tune.RunConfig(storage_path=os.getcwd(), name="experiment", verbose=0)
tune.Tuner(train, param_space={"opt": {"lr": rates}, "seed": 3}, run_config=settings).fit()
"""


def write_trial(folder: Path, config: dict[str, Any], results: list[dict[str, Any]]) -> Path:
    """A trial's folder in the form of Ray 2.60."""
    folder.mkdir(parents=True)
    (folder / "params.json").write_text(json.dumps(config))
    (folder / "params.pkl").write_bytes(b"")
    (folder / "result.json").write_text(
        "".join(
            json.dumps(one | {"config": config, "pid": 7, "trial_id": folder.name[-1]}) + "\n"
            for one in results
        )
    )
    return folder


def report(iteration: int, **numbers: Any) -> dict[str, Any]:
    return {**numbers, "training_iteration": iteration, "done": iteration == 3}


@pytest.fixture
def trial(tmp_path: Path) -> Callable[..., Path]:
    """Write a trial into the experiment's folder."""

    def write(name: str, *results: dict[str, Any], **config: Any) -> Path:
        return write_trial(tmp_path / "experiment" / name, config, list(results))

    return write


def read(tmp_path: Path) -> pd.DataFrame:
    return sources.read_runs(str(tmp_path / "experiment"))


def test_the_last_result_of_each_trial_counts(trial: Callable[..., Path], tmp_path: Path) -> None:
    trial(
        "t_1",
        report(1, loss=2.0),
        report(3, loss=1.0, val={"acc": 0.5}, name="text"),
        seed=1,
        opt={"lr": 0.1},
    )
    trial("t_2", report(1, loss=3.0), seed=2, opt={"lr": 0.2}, loss="mse")
    runs = read(tmp_path)
    assert list(runs.columns) == ["source_run", "status", "seed", "opt.lr", "loss", "metric.loss", "val.acc", "training_iteration"]  # fmt: skip
    assert list(runs.status) == ["finished", "running"]
    assert list(runs["metric.loss"].fillna(-1)) == [1.0, -1]
    assert list(runs["val.acc"].fillna(-1)) == [0.5, -1]


def test_a_restored_trial_that_repeats_results_counts_once(
    trial: Callable[..., Path], tmp_path: Path
) -> None:
    """ray-project/ray#4187: a restored trial appends the results since its checkpoint again."""
    trial("t_1", report(1, loss=3.0), report(2, loss=9.0), report(2, loss=2.0), report(3, loss=1.0))
    assert list(read(tmp_path).loss) == [1.0]


def test_a_torn_last_line_is_left_out(trial: Callable[..., Path], tmp_path: Path) -> None:
    folder = trial("t_1", report(1, loss=3.0), report(3, loss=1.0))
    with (folder / "result.json").open("a") as file:
        file.write('{"loss": 0.')
    assert list(read(tmp_path).loss) == [1.0]


def test_a_torn_line_in_the_middle_is_refused_with_its_number(
    trial: Callable[..., Path], tmp_path: Path
) -> None:
    folder = trial("t_1", report(1, loss=3.0))
    with (folder / "result.json").open("a") as file:
        file.write('{"loss": 0.\n' + json.dumps(report(3, loss=1.0)) + "\n")
    with pytest.raises(AblateError, match=r"result\.json:2: is not a JSON object"):
        read(tmp_path)


def test_a_metric_that_is_not_a_number_stays_nan_in_a_finished_run(
    trial: Callable[..., Path], tmp_path: Path
) -> None:
    trial("t_1", report(3, loss=float("nan")))
    runs = read(tmp_path)
    assert list(runs.status) == ["finished"]
    assert runs.loss.isna().all()


def test_a_trial_that_failed_or_reported_nothing_stays_as_a_row(
    trial: Callable[..., Path], tmp_path: Path
) -> None:
    folder = trial("t_1", report(1, loss=3.0), lr=1)
    (folder / "error.txt").write_text("Traceback")
    trial("t_2", lr=2)
    runs = read(tmp_path)
    assert list(runs.status) == ["failed", "no result"]
    assert list(runs.lr) == [1, 2]


def test_the_newest_file_of_states_decides(trial: Callable[..., Path], tmp_path: Path) -> None:
    """A trial that was tried again after an error ends well, and its error.txt stays."""
    folder = trial("t_1", report(2, loss=3.0))
    (folder / "error.txt").write_text("Traceback")
    for day, state in (("01", "ERROR"), ("02", "TERMINATED")):
        states = {
            "trial_data": [[json.dumps({"trial_id": "1", "status": state, "relative_logdir": "t_1"}), "{}"]]
        }
        (folder.parent / f"experiment_state-2026-01-{day}_00-00-00.json").write_text(json.dumps(states))
    assert list(read(tmp_path).status) == ["finished"]


def test_progress_csv_is_read_without_result_json_and_its_torn_row_is_left_out(
    trial: Callable[..., Path], tmp_path: Path
) -> None:
    folder = trial("t_1")
    (folder / "result.json").unlink()
    (folder / "progress.csv").write_text("loss,done,val/acc,tag\n2.0,False,0.5,a\n1.0,True,0.7,b\n0.5,Tr")
    runs = read(tmp_path)
    assert list(runs.status) == ["finished"]
    assert runs[["loss", "val.acc"]].to_dict("records") == [{"loss": 1.0, "val.acc": 0.7}]


def test_of_several_experiments_one_must_be_named(tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_trial(tmp_path / name / "t_1", {"name": name}, [report(3, loss=1.0)])
    with pytest.raises(AblateError, match="has 2 experiments: name one of one, two"):
        sources.read_runs(str(tmp_path))
    assert list(sources.read_runs(str(tmp_path), experiment="two").name) == ["two"]
    with pytest.raises(AblateError, match=r"has no experiment 'twos': did you mean 'two'\?"):
        sources.read_runs(str(tmp_path), experiment="twos")


@pytest.mark.sources
def test_what_ray_tune_itself_writes_is_read(tmp_path: Path) -> None:
    needed("ray.tune")
    (tmp_path / "train.py").write_text(TRAIN)
    run_python("train.py", folder=tmp_path)
    runs = read(tmp_path).sort_values("opt.lr")
    assert list(runs.status) == ["finished", "failed"]
    assert list(runs.seed) == [3, 3]
    assert runs.loss.fillna(-1).tolist() == [0.05, -1]
    assert runs["val.acc"].fillna(-1).tolist() == [1, -1]
    assert {"bad", "training_iteration", "time_total_s"} <= {*runs.columns}
    assert not {"config", "pid", "node_ip", "timestamp"} & {*runs.columns}
