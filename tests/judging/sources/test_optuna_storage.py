"""Storages that Optuna itself wrote become one row per trial."""

import json
import math
import shutil
import sqlite3
from pathlib import Path

import optuna
import pandas as pd
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from ablate.errors import AblateError
from ablate.judging import sources


def score(trial: optuna.Trial) -> float:
    """Two finished runs, one failed, one pruned, one that ends at NaN."""
    trial.set_user_attr("seed", trial.number)
    trial.set_user_attr("model", {"name": "lenet", "widths": [6, 16]})
    rate = trial.suggest_float("learning_rate", 0.1, 1)
    trial.suggest_categorical("pooling", ["max", "avg"])
    match trial.number:
        case 2:
            raise ValueError("broken")
        case 3:
            raise optuna.TrialPruned
        case 4:
            return math.nan
    return rate


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`one.db` and `journal.log` with the same study, `several.db` with two more."""
    made = tmp_path_factory.mktemp("optuna")
    one = optuna.create_study(
        storage=f"sqlite:///{made}/one.db", study_name="rates", sampler=optuna.samplers.RandomSampler(0)
    )
    one.optimize(score, n_trials=5, catch=ValueError)
    one.ask()
    one.enqueue_trial({"learning_rate": 0.5})
    shutil.copy(made / "one.db", made / "several.db")
    two = optuna.create_study(
        storage=f"sqlite:///{made}/several.db", study_name="both", directions=["maximize", "minimize"]
    )
    two.add_trial(optuna.create_trial(values=[0.9, 3], state=TrialState.COMPLETE))
    three = optuna.create_study(storage=f"sqlite:///{made}/several.db", study_name="called")
    with pytest.warns(optuna.exceptions.ExperimentalWarning):
        three.set_metric_names(["accuracy"])
    three.add_trial(
        optuna.create_trial(
            value=0.8,
            params={"accuracy": "high"},
            distributions={"accuracy": optuna.distributions.CategoricalDistribution(["high"])},
            user_attrs={"status": "published", "ablate:record": "{}"},
        )
    )
    log = JournalStorage(JournalFileBackend(f"{made}/journal.log"))
    optuna.copy_study(from_study_name="rates", from_storage=f"sqlite:///{made}/one.db", to_storage=log)
    return made


@pytest.mark.parametrize("name", ["one.db", "journal.log"])
def test_a_storage_gives_one_row_per_trial_and_numbers_only_for_finished_ones(
    folder: Path, name: str
) -> None:
    runs = sources.read_runs(str(folder / name))
    assert list(runs.columns) == [
        "source_run", "status", "learning_rate", "pooling", "model.name", "model.widths", "seed", "value",
    ]  # fmt: skip
    assert list(runs.status) == ["finished", "finished", "failed", "pruned", "failed", "running", "waiting"]
    assert list(runs.source_run) == [*"0123456"]
    assert list(runs.value.notna()) == [True, True, *[False] * 5]
    assert list(runs.value[:2]) == list(runs.learning_rate[:2])
    assert list(runs.seed[:4]) == [0, 1, 2, 3]
    assert runs["model.widths"][0] == "[6,16]"


def test_a_path_and_a_url_of_the_same_file_give_the_same_rows(folder: Path) -> None:
    path = folder / "one.db"
    pd.testing.assert_frame_equal(sources.read_runs(str(path)), sources.read_runs(f"sqlite:///{path}"))


def test_reading_leaves_the_storage_as_it_is(folder: Path) -> None:
    before = {path: path.read_bytes() for path in folder.iterdir()}
    sources.read_runs(str(folder / "journal.log"))
    sources.read_runs(str(folder / "one.db"))
    assert {path: path.read_bytes() for path in folder.iterdir()} == before


def test_several_values_and_named_values_have_columns_of_their_own(folder: Path) -> None:
    path = str(folder / "several.db")
    both = sources.read_runs(path, experiment="both")
    assert (both.value_0[0], both.value_1[0]) == (0.9, 3)
    called = sources.read_runs(path, experiment="called")
    assert called.to_dict("records") == [
        {"source_run": "0", "status": "finished", "accuracy": "high", "parameter.status": "published", "metric.accuracy": 0.8}
    ]  # fmt: skip


def test_of_several_studies_one_must_be_named(folder: Path) -> None:
    path = str(folder / "several.db")
    with pytest.raises(AblateError, match=r"has 3 Optuna studies: name one of both, called, rates"):
        sources.read_runs(path)
    with pytest.raises(AblateError, match=r"has no Optuna study 'rate': did you mean 'rates'\?"):
        sources.read_runs(path, experiment="rate")


def test_a_journal_whose_last_line_is_torn_is_read_up_to_there(folder: Path, tmp_path: Path) -> None:
    whole = (folder / "journal.log").read_bytes()
    torn = tmp_path / "torn.log"
    torn.write_bytes(whole[:-20])
    assert list(sources.read_runs(str(torn)).status[:6]) == ["finished", "finished", "failed", "pruned", "failed", "running"]  # fmt: skip


def test_a_journal_that_is_torn_in_the_middle_is_refused(folder: Path, tmp_path: Path) -> None:
    lines = (folder / "journal.log").read_bytes().splitlines(keepends=True)
    torn = tmp_path / "torn.log"
    torn.write_bytes(b"".join([*lines[:5], lines[5][:9] + b"\n", *lines[6:]]))
    with pytest.raises(AblateError, match="Optuna cannot read this storage"):
        sources.read_runs(str(torn))


def test_a_storage_of_another_version_is_refused_with_optunas_own_reason(
    folder: Path, tmp_path: Path
) -> None:
    old = tmp_path / "old.db"
    shutil.copy(folder / "one.db", old)
    with sqlite3.connect(old) as database:
        database.execute("update alembic_version set version_num = 'v0.9.0.a'")
    database.close()
    with pytest.raises(AblateError, match="optuna storage upgrade"):
        sources.read_runs(str(old))


def test_what_no_importer_knows_is_refused_with_all_kinds(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as database:
        database.execute("create table trials (number integer)")
    database.close()
    (tmp_path / "lines.log").write_text(json.dumps({"op_code": 1}) + "\n")
    for source in (other, tmp_path / "lines.log", tmp_path / "missing", tmp_path):
        with pytest.raises(
            AblateError, match=r"holds no runs that can be read: ablate reads an Optuna storage"
        ):
            sources.read_runs(str(source))
    with pytest.raises(AblateError, match=r"no importer is called 'optona': did you mean 'optuna'\?"):
        sources.read_runs(str(other), kind="optona")
