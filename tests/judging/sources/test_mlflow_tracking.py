"""Folders and databases of MLflow become one row per run, the same as MLflow's own client reads."""

import shutil
import sqlite3
from pathlib import Path

import pandas as pd
import pytest

from ablate.errors import AblateError
from ablate.judging import sources
from ablate.judging.sources import mlflow_server
from ablate.judging.sources.mlflow_run import make_mlflow_table
from tests.judging.sources.real_tools import run_python
from tests.with_parts import needed

TRAIN = """\
import sys
from mlflow import MlflowClient

client = MlflowClient(tracking_uri=sys.argv[1])
one = client.create_experiment("one")

def run(status, parameters, metrics, **tags):
    made = client.create_run(one, tags=tags).info.run_id
    for name, value in parameters.items():
        client.log_param(made, name, value)
    for name, values in metrics.items():
        for step, value in values:
            client.log_metric(made, name, value, step=step)
    if status:
        client.set_terminated(made, status)
    return made

parent = run("FINISHED", {"seed": 1, "model.width": "10", "rate": 1e-5, "acc": "max"},
             {"acc": [(0, 0.1), (2, 0.7), (1, 0.9)], "val/f1": [(0, 0.5)], "bad": [(0, float("nan"))], "big": [(0, float("inf"))]},
             method="ours")
run("FINISHED", {"seed": 2, "model.width": "auto", "rate": "2e-5"}, {"acc": [(5, 0.5), (5, 0.6)]},
    **{"method": "theirs", "mlflow.parentRunId": parent})
run("FAILED", {"seed": 3}, {"acc": [(0, 0.4)]})
run("KILLED", {"seed": 4}, {"acc": [(0, 0.3)]})
run(None, {"seed": 5}, {"acc": [(0, 0.2)]})
client.delete_run(run("FINISHED", {"seed": 6}, {"acc": [(0, 0.1)]}))
gone = client.create_experiment("gone")
client.create_run(gone)
client.delete_experiment(gone)
client.create_experiment("empty")
"""


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same runs in a folder `mlruns` and in a database `mlflow.db`, both written by MLflow."""
    needed("mlflow")
    made = tmp_path_factory.mktemp("mlflow")
    (made / "train.py").write_text(TRAIN)
    for store in (f"file://{made}/mlruns", f"sqlite:///{made}/mlflow.db"):
        run_python("train.py", store, folder=made, MLFLOW_ALLOW_FILE_STORE="true")
    return made


def sort(runs: pd.DataFrame) -> pd.DataFrame:
    return runs.sort_values("seed", ignore_index=True)


def write_run(folder: Path, meta: str, **metrics: str) -> None:
    """A run in a file store, in the form of MLflow 3."""
    for name in ("params", "metrics", "tags"):
        (folder / name).mkdir(parents=True)
    (folder / "meta.yaml").write_text(meta)
    for name, text in metrics.items():
        (folder / "metrics" / name).write_text(text)


@pytest.fixture
def mlruns(tmp_path: Path) -> Path:
    (tmp_path / "0").mkdir()
    (tmp_path / "0" / "meta.yaml").write_text(
        "artifact_location: file:///x\nexperiment_id: '0'\nname: one\nlifecycle_stage: active\n"
    )
    return tmp_path


@pytest.mark.sources
@pytest.mark.parametrize("name", ["mlruns", "mlflow.db"])
def test_what_mlflow_itself_writes_is_read(stores: Path, name: str) -> None:
    runs = sort(sources.read_runs(str(stores / name)))
    assert list(runs.columns) == ["source_run", "status", "acc", "model.width", "rate", "seed", "method", "parent_run", "run_name", "metric.acc", "bad", "big", "val/f1"]  # fmt: skip
    assert list(runs.status) == ["finished", "finished", "failed", "killed", "running"]
    assert list(runs.seed) == [1, 2, 3, 4, 5]
    assert list(runs["model.width"][:2]) == ["10", "auto"]
    assert list(runs.rate[:2]) == [1e-5, 2e-5]
    assert runs["metric.acc"].fillna(-1).tolist() == [0.7, 0.6, -1, -1, -1]
    assert list(runs.method[:2]) == ["ours", "theirs"]
    assert runs.parent_run[1] == runs.source_run[0]
    assert runs.bad.isna().all()
    assert runs.big[0] == float("inf")


@pytest.mark.sources
@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
@pytest.mark.parametrize(("name", "prefix"), [("mlruns", "file://"), ("mlflow.db", "sqlite:///")])
def test_mlflows_own_client_reads_the_same(
    stores: Path, name: str, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server is read by the same client. Its tests need all of MLflow, so the client reads the stores here."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    url = f"{prefix}{stores / name}"
    experiments = mlflow_server.list_experiments(url)
    assert {"one", "empty"} <= {*experiments}
    assert "gone" not in experiments
    monkeypatch.setattr(mlflow_server, "_PAGE", 2)
    theirs = make_mlflow_table(mlflow_server.read_experiment(url, experiments["one"]))
    pd.testing.assert_frame_equal(theirs, sources.read_runs(str(stores / name)))


@pytest.mark.sources
def test_an_experiment_is_chosen_by_name_and_reading_changes_nothing(stores: Path, tmp_path: Path) -> None:
    database = stores / "mlflow.db"
    before = database.read_bytes()
    assert len(sources.read_runs(f"sqlite:///{database}", experiment="one")) == 5
    assert sources.read_runs(str(database), experiment="empty").empty
    for name in ("on", "gone"):
        with pytest.raises(AblateError, match=f"has no MLflow experiment '{name}'"):
            sources.read_runs(str(database), experiment=name)
    assert database.read_bytes() == before
    shutil.copytree(stores / "mlruns", tmp_path / "mlruns")
    (meta,) = [path for path in (tmp_path / "mlruns").glob("*/meta.yaml") if "name: one" in path.read_text()]
    shutil.copytree(meta.parent, tmp_path / "mlruns" / "7")
    copy = tmp_path / "mlruns" / "7" / "meta.yaml"
    copy.write_text(copy.read_text().replace("name: one", "name: two"))
    with pytest.raises(AblateError, match="has 2 MLflow experiments: name one of one, two"):
        sources.read_runs(str(tmp_path / "mlruns"))


@pytest.mark.sources
def test_a_database_of_another_version_is_read(stores: Path, tmp_path: Path) -> None:
    """mlflow/mlflow#6703: MLflow's own client refuses it."""
    old = tmp_path / "old.db"
    shutil.copy(stores / "mlflow.db", old)
    with sqlite3.connect(old) as database:
        database.execute("update alembic_version set version_num = 'bd07f7e963c5'")
        database.execute("drop table job_locks")
    database.close()
    assert len(sources.read_runs(str(old))) == 5


def test_a_line_that_is_torn_is_left_out(mlruns: Path) -> None:
    """mlflow/mlflow#3052: the server was interrupted while it wrote."""
    write_run(
        mlruns / "0" / "a", "status: 3\nlifecycle_stage: active\n", acc="10 0.5 1\n11 0.7 2\n12\n", loss="13"
    )
    runs = sources.read_runs(str(mlruns))
    assert runs.acc.tolist() == [0.7]
    assert "loss" not in runs


@pytest.mark.parametrize("meta", ["", "status: 3\nlifecycle_sta: [", "status: 99\n"])
def test_a_run_whose_meta_data_is_empty_or_torn_stays_as_a_row(mlruns: Path, meta: str) -> None:
    """mlflow/mlflow#6339: the file is empty for a moment whenever it is changed."""
    write_run(mlruns / "0" / "a", meta, acc="10 0.5 1\n")
    assert sources.read_runs(str(mlruns)).to_dict("records") == [{"source_run": "a", "status": "no result"}]


def test_numbers_stay_texts_where_another_run_has_a_text(mlruns: Path) -> None:
    for name, width, commit in (("a", "10", "12e45"), ("b", "auto", "3f"), ("c", "1_0", "7")):
        folder = mlruns / "0" / name
        write_run(folder, "status: 3\n")
        (folder / "params" / "width").write_text(width)
        (folder / "params" / "commit").write_text(commit)
        (folder / "params" / "seed").write_text("7")
    runs = sources.read_runs(str(mlruns))
    assert list(runs.width) == ["10", "auto", "1_0"]
    assert list(runs.commit) == ["12e45", "3f", "7"]
    assert list(runs.seed) == [7, 7, 7]


def test_a_store_without_runs_is_refused(mlruns: Path) -> None:
    with pytest.raises(AblateError, match="MLflow has no runs there"):
        sources.read_runs(str(mlruns))


def test_a_server_needs_mlflow_and_its_password_is_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mlflow", None)
    with pytest.raises(
        AblateError, match=r"^http://host:5000: MLflow is not installed: pip install .*\[sources\]"
    ):
        sources.read_runs("http://me:secret@host:5000")


@pytest.mark.sources
def test_a_server_that_does_not_answer_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    needed("mlflow")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(AblateError, match=r"^http://127\.0\.0\.1:9: MLflow's server cannot be read"):
        sources.read_runs("http://127.0.0.1:9")
