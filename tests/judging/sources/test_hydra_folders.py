"""Folders of Hydra's jobs become one row per job, with the numbers that the job wrote."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ablate.errors import AblateError
from ablate.judging import sources
from tests.judging.sources.real_tools import run_python
from tests.judging.sources.test_tensorboard_events import write as write_events
from tests.with_parts import needed

JOB = """\
import json
from pathlib import Path
import hydra
from hydra.core.hydra_config import HydraConfig

@hydra.main(version_base=None, config_path="conf", config_name="config")
def train(config):
    if config.seed == 2:
        return
    folder = Path(HydraConfig.get().runtime.output_dir)
    (folder / "results.json").write_text(json.dumps({"acc": config.model.width * config.opt.lr, "val": {"f1": 0.5}}))

train()
"""


@pytest.fixture
def job(tmp_path: Path) -> Callable[..., Path]:
    """Write a job's folder in the form of Hydra 1.3."""

    def write(
        name: str, config: str = "seed: 1\n", overrides: str = "[]\n", settings: str = ".hydra"
    ) -> Path:
        folder = tmp_path / "multirun" / name
        (folder / settings).mkdir(parents=True)
        (folder / settings / "config.yaml").write_text(config)
        (folder / settings / "overrides.yaml").write_text(overrides)
        (folder / settings / "hydra.yaml").write_text("hydra: {}\n")
        return folder

    return write


def read(tmp_path: Path) -> pd.DataFrame:
    return sources.read_runs(str(tmp_path / "multirun"))


def test_configuration_overrides_and_results_become_columns(job: Callable[..., Path], tmp_path: Path) -> None:
    folder = job(
        "0",
        "model:\n  width: 10\nseed: 1\nrate: 1.0e-05\n",
        "- seed=1\n- model=small\n- +note=a=b\n- ~old=1\n",
    )
    (folder / "results.json").write_text('{"acc": 0.5, "seed": 3, "val": {"f1": NaN}}')
    job("1", "model:\n  width: 20\nseed: 2\n", "- model=big\n")
    runs = read(tmp_path)
    assert list(runs.columns) == ["source_run", "status", "model.width", "seed", "rate", "model", "note", "acc", "metric.seed", "val.f1"]  # fmt: skip
    assert list(runs.status) == ["finished", "no result"]
    assert list(runs.model) == ["small", "big"]
    assert (runs.rate[0], runs.note[0], runs.acc[0], runs["metric.seed"][0]) == (1e-5, "a=b", 0.5, 3)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("metrics.csv", "step,train_loss,val_acc\n1,2.0,\n1,,0.6\n2,1.0,\n2,,0.7\n3,0."),
        (
            "metrics.jsonl",
            '{"train_loss": 2.0}\n{"val_acc": 0.6}\n{"train_loss": 1.0}\n{"val_acc": 0.7}\n{"val',
        ),
        ("result.json", '[{"train_loss": 2.0}, {"val_acc": 0.6}, {"train_loss": 1.0}, {"val_acc": 0.7}]'),
    ],
)
def test_of_a_file_with_rows_the_last_value_of_each_column_counts(
    name: str, text: str, job: Callable[..., Path], tmp_path: Path
) -> None:
    """Lightning's CSV logger writes training and validation into different rows. A kill tears the last one."""
    logs = job("0") / "csv" / "version_0"
    logs.mkdir(parents=True)
    (logs / name).write_text(text)
    runs = read(tmp_path)
    assert runs[["train_loss", "val_acc", "result_rows"]].to_dict("records") == [{"train_loss": 1.0, "val_acc": 0.7, "result_rows": 4}]  # fmt: skip


def test_a_result_file_that_is_torn_counts_as_no_result(job: Callable[..., Path], tmp_path: Path) -> None:
    (job("0") / "results.json").write_text('{"acc": 0.')
    (job("1") / "results.json").write_text('{"acc": 0.5}')
    assert list(read(tmp_path).status) == ["no result", "finished"]


def test_event_files_of_tensorboard_count_where_a_job_wrote_no_result_file(
    job: Callable[..., Path], tmp_path: Path
) -> None:
    write_events(job("0", "seed: 3\n") / "tensorboard" / "version_0", {"loss": 2.0}, {"loss": 1.0})
    (job("1", "seed: 4\n") / "results.json").write_text('{"loss": 0.5}')
    runs = read(tmp_path)
    assert runs[["seed", "loss"]].to_dict("records") == [{"seed": 3, "loss": 1.0}, {"seed": 4, "loss": 0.5}]
    assert runs.result_rows[0] == 2


def test_jobs_without_any_results_are_refused_with_the_files_that_are_known(
    job: Callable[..., Path], tmp_path: Path
) -> None:
    (job("0") / "scores.txt").write_text("0.5")
    with pytest.raises(
        AblateError,
        match=r"none of the 1 jobs of Hydra has results: ablate reads results\.json, .*TensorBoard",
    ):
        read(tmp_path)


def test_folders_of_any_depth_and_a_renamed_settings_folder_are_found(
    job: Callable[..., Path], tmp_path: Path
) -> None:
    for name, settings in (("2026-01-01/10-00-00/0", ".hydra"), ("2026-01-02/opt=[adam]/seed=1", "settings")):
        (job(name, settings=settings) / "metrics.yaml").write_text("acc: 0.5\n")
    runs = read(tmp_path)
    assert list(runs.source_run) == ["2026-01-01/10-00-00/0", "2026-01-02/opt=[adam]/seed=1"]
    assert list(runs.acc) == [0.5, 0.5]


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ("a: &a [1]\nb: *a\n", r"config\.yaml: has YAML aliases"),
        ("a: [1\n", r"config\.yaml: is not a complete YAML file"),
    ],
)
def test_a_configuration_that_could_explode_or_is_torn_is_refused(
    config: str, told: str, job: Callable[..., Path], tmp_path: Path
) -> None:
    job("0", config)
    with pytest.raises(AblateError, match=told):
        read(tmp_path)


@pytest.mark.sources
def test_what_hydra_itself_writes_is_read(tmp_path: Path) -> None:
    needed("hydra")
    (tmp_path / "conf" / "model").mkdir(parents=True)
    (tmp_path / "conf" / "config.yaml").write_text(
        "defaults: [{model: small}, _self_]\nseed: 0\nopt: {lr: 1e-5}\nsame: ${seed}\n"
    )
    for name, width in (("small", 10), ("big", 20)):
        (tmp_path / "conf" / "model" / f"{name}.yaml").write_text(f"width: {width}\n")
    (tmp_path / "job.py").write_text(JOB)
    run_python(
        "job.py",
        "-m",
        "seed=1,2",
        "model=small,big",
        "+note='a,b'",
        "hydra.sweep.dir=multirun",
        folder=tmp_path,
    )
    runs = read(tmp_path)
    assert list(runs.columns) == ["source_run", "status", "model.width", "seed", "opt.lr", "same", "note", "model", "acc", "val.f1"]  # fmt: skip
    assert list(runs.source_run) == ["0", "1", "2", "3"]
    assert list(runs.status) == ["finished", "finished", "no result", "no result"]
    assert list(runs.model) == ["small", "big"] * 2
    assert runs.acc[:2].tolist() == pytest.approx([1e-4, 2e-4])
    assert json.loads(runs.to_json(orient="records"))[0]["note"] == "a,b"
