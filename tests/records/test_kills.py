"""A kill in the middle of a transaction of several runs loses no run that the command has told as done."""

import os
import signal
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ablate.design.runs import Run
from ablate.execution.executor import Outcome, mark_ready
from ablate.records import optuna_trials
from ablate.records.postgresql_record import PostgresqlRecord
from ablate.records.sqlite_record import SqliteRecord
from ablate.study import study_file
from tests.commands import environment
from tests.conftest import SMALL
from tests.experiment.test_conduct import Stub, conduct, conducting, runs_csv
from tests.nursery import fork
from tests.records.test_postgresql import Server, server  # noqa: F401  # a fixture

AT_ONCE = 4


class AtOnce(Stub):
    """Workers whose runs end four at a time."""

    def outcomes(self, runs: Iterable[Run]) -> Iterator[Outcome]:
        ended: list[Outcome] = []
        for outcome in super().outcomes(runs):
            ended.append(outcome)
            if len(ended) == AT_ONCE:
                yield from mark_ready(ended)
                ended = []
        yield from mark_ready(ended)


def kill_at_call(function: Callable[..., Any], number: int) -> Callable[..., Any]:
    """Have the process killed when the function has returned for the given time."""
    calls = iter(range(1, 1000))

    def call(*arguments: Any, **named: Any) -> Any:
        found = function(*arguments, **named)
        if next(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return found

    return call


def open_store(url: str, folder: Path, name: str) -> Any:
    return PostgresqlRecord(url, name) if url else SqliteRecord(folder / "study.db", name)


def conduct_until_killed(url: str, folder: str, name: str, within: bool) -> None:
    """Print a line for each run that is told as done. The kill is just before or just after the fourth commit."""
    store = open_store(url, Path(folder), name)
    if within:
        optuna_trials.add_trials = kill_at_call(optuna_trials.add_trials, 4)
    else:
        store.add = kill_at_call(store.add, 4)
    spec = study_file.read(Path(folder, "small.yaml"), [f"name={name}"])
    with conducting(spec, Path(folder, name), AtOnce(), store) as (conducted, _, _):
        for event in conducted.run_phases():
            if getattr(event, "detail", "starting") != "starting":
                print("done", flush=True)


def list_keys(url: str, folder: Path, name: str) -> list[str]:
    """The keys of all recorded runs. A run that is recorded twice is listed twice."""
    store = open_store(url, folder, name)
    try:
        phases = [study for phase, study in store._trials._studies.items() if phase != "time"]
        return [
            trial.user_attrs["ablate:key"] for study in phases for trial in study.get_trials(deepcopy=False)
        ]
    finally:
        store.close()


@pytest.mark.parametrize(
    "within",
    [True, pytest.param(False, marks=pytest.mark.thorough)],
    ids=["before the commit", "after the commit"],
)
@pytest.mark.parametrize("where", ["a file", pytest.param("a server", marks=pytest.mark.cluster)])
def test_a_kill_loses_no_run_that_was_told_as_done_and_the_next_command_repeats_none(
    request: pytest.FixtureRequest, small, tmp_path: Path, where: str, within: bool
) -> None:
    given: Server | None = request.getfixturevalue("server") if where == "a server" else None
    url, password = ("", {}) if given is None else (given.url, {"PGPASSWORD": given.password})
    name = "killed-within" if within else "killed-after"
    (tmp_path / "small.yaml").write_text(SMALL)
    with tempfile.TemporaryFile("w+") as told:
        child = fork(
            conduct_until_killed, url, str(tmp_path), name, within,
            cwd=tmp_path, environment=environment() | password, stdout=told.fileno(),
        )  # fmt: skip
        assert child.wait() == -signal.SIGKILL
        told.seek(0)
        done = len(told.readlines())
    kept = list_keys(url, tmp_path, name)
    assert done == 8, (done, len(kept))
    assert len(kept) == done + (0 if within else AT_ONCE)
    stub = AtOnce()
    with conducting(small(f"name={name}"), tmp_path / name, stub, open_store(url, tmp_path, name)) as (
        conducted,
        folder,
        _,
    ):
        list(conducted.run_phases())
        folder.write_tables(conducted.make_tables())
    _, undisturbed = conduct(small(), tmp_path / "undisturbed", Stub())
    assert runs_csv(folder) == runs_csv(undisturbed)
    every = list_keys(url, tmp_path, name)
    assert len(every) == len(set(every)) == len(kept) + len(stub.ran)
