"""Optuna's and MLflow's tables on a real PostgreSQL server are told apart and read."""

from pathlib import Path

import optuna
import pytest

from ablate.errors import AblateError
from ablate.judging import sources
from tests.judging.sources.real_tools import run_python
from tests.judging.sources.test_mlflow_tracking import TRAIN
from tests.records.test_postgresql import Server, server  # noqa: F401, a fixture
from tests.with_parts import needed

pytestmark = pytest.mark.cluster


def make_database(server: Server, name: str) -> str:  # noqa: F811
    """Make an empty database, and return its URL."""
    import psycopg

    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"create database {name}")
    return server.url.removesuffix("postgres") + name


def test_an_optuna_storage_on_a_server_is_read(server: Server) -> None:  # noqa: F811
    url = make_database(server, "trials")
    with pytest.raises(AblateError, match="holds no runs that can be read"):
        sources.read_runs(url)
    storage = optuna.storages.RDBStorage(url.replace("postgresql", "postgresql+psycopg"))
    study = optuna.create_study(storage=storage, study_name="rates")
    study.add_trial(optuna.create_trial(value=0.5, user_attrs={"seed": 3}))
    study.ask()
    storage.remove_session()
    storage.engine.dispose()
    runs = sources.read_runs(url)
    assert list(runs.status) == ["finished", "running"]
    assert (runs.value[0], runs.seed[0]) == (0.5, 3)


@pytest.mark.sources
def test_mlflows_database_on_a_server_is_read(server: Server, tmp_path: Path) -> None:  # noqa: F811
    needed("mlflow")
    url = make_database(server, "runs")
    (tmp_path / "train.py").write_text(TRAIN)
    run_python("train.py", url.replace("postgresql", "postgresql+psycopg"), folder=tmp_path)
    runs = sources.read_runs(url)
    assert sorted(runs.status) == ["failed", "finished", "finished", "killed", "running"]
    assert runs.bad.isna().all()
    assert runs.big.max() == float("inf")


def test_a_password_in_the_url_is_refused_and_not_shown() -> None:
    with pytest.raises(AblateError, match="put it into PGPASSWORD") as refused:
        sources.read_runs("postgresql://me:secret@127.0.0.1:9/runs")
    assert "secret" not in str(refused.value)


def test_a_server_that_does_not_answer_is_named() -> None:
    with pytest.raises(
        AblateError, match=r"^postgresql://me@127\.0\.0\.1:9/runs: the server does not answer"
    ):
        sources.read_runs("postgresql://me@127.0.0.1:9/runs")
