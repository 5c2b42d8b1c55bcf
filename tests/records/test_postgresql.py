"""Several hosts work on one study on a real PostgreSQL server. No run is repeated, and the table is correct."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest

from ablate.errors import AblateError, FolderError
from ablate.records import postgresql_record
from ablate.records.postgresql_record import PostgresqlRecord
from ablate.records.predictions import read_predictions
from ablate.study import study_file
from tests.commands import ROOT, ablate
from tests.conftest import SMALL
from tests.experiment.test_conduct import Stub, conduct, conducting, runs_csv
from tests.with_parts import needed, program

pytestmark = pytest.mark.cluster
UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root."""


class Server:
    """A PostgreSQL server in a temporary folder, on the loopback address only, with a password."""

    def __init__(self) -> None:
        places = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
        self._initdb, self._ctl = program("initdb", *places), program("pg_ctl", *places)
        self.folder = Path(tempfile.mkdtemp(prefix="ablate-postgresql-"))
        self._as = {"user": UNPRIVILEGED} if os.getuid() == 0 else {}
        if self._as:
            shutil.chown(self.folder, UNPRIVILEGED)
        self.password = "correct horse"
        secret = self.folder / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._run(
            self._initdb, "-U", "ablate", "-A", "scram-sha-256", "--pwfile", secret, "-E", "UTF8", "--no-sync"
        )
        self.start()
        self.url = f"postgresql://ablate@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        settings = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories="
        self._run(self._ctl, "-w", "-o", settings, "-l", self.folder / "log", "start")

    def stop(self) -> None:
        self._run(self._ctl, "-w", "-m", "immediate", "stop")

    def _run(self, *command: object) -> None:
        done = subprocess.run(
            [*map(str, command), "-D", str(self.folder / "data")], cwd=self.folder, capture_output=True, text=True, check=False, **self._as
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    needed("psycopg")
    made = Server()
    try:
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("PGPASSWORD", made.password)
            yield made
    finally:
        made.stop()
        shutil.rmtree(made.folder)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of the small study from one machine with a SQLite file."""
    parent = tmp_path_factory.mktemp("alone")
    (parent / "small.yaml").write_text(SMALL)
    _, folder = conduct(study_file.read(parent / "small.yaml"), parent / "small", Stub())
    return runs_csv(folder)


def trials(url: str, name: str) -> dict[str, list[str]]:
    """The keys of all trials, by phase."""
    store = PostgresqlRecord(url, name)
    try:
        return {
            phase: [trial.user_attrs["ablate:key"] for trial in study.get_trials(deepcopy=False)]
            for phase, study in store._trials._studies.items()
        }
    finally:
        store.close()


def test_a_server_gives_the_same_bytes_as_a_file_and_a_finished_study_runs_nothing(
    server: Server, small, tmp_path: Path, alone: bytes
) -> None:
    for number, left in enumerate((None, [])):
        stub = Stub()
        with conducting(small(), tmp_path / f"{number}", stub, PostgresqlRecord(server.url, "small")) as (
            conducted,
            folder,
            _,
        ):
            events = list(conducted.run_phases())
            folder.write_tables(conducted.make_tables())
        assert runs_csv(folder) == alone
        assert left is None or (events, stub.ran) == ([], [])


class Slow(Stub):
    """Slow runs, so that the hosts work at the same time."""

    def outcomes(self, runs):
        for outcome in super().outcomes(runs):
            time.sleep(0.02)
            yield outcome


class Together(Slow):
    """Each host waits in its first run until all hosts train. So no host can train all runs alone."""

    def __init__(self, training: threading.Barrier) -> None:
        super().__init__()
        self._training = training

    def outcomes(self, runs):
        for outcome in super().outcomes(runs):
            if len(self.ran) == 1:
                self._training.wait(timeout=60)
            yield outcome


LOOKS = ("seeds={looks: [3, 5, 8, 30]}", "tuning.trials=0")


@pytest.mark.parametrize(("name", "overrides"), [("together", ()), ("looks", LOOKS)])
def test_hosts_share_the_runs_of_a_study_and_repeat_none(
    server: Server, small, tmp_path: Path, name: str, overrides: tuple[str, ...]
) -> None:
    """With several looks, all hosts stop after the same seeds, although each decides for itself."""
    spec = small(f"name={name}", *overrides)
    alone = runs_csv(conduct(small(*overrides), tmp_path / "alone", Stub())[1])
    if overrides:
        assert 2 * 3 < alone.count(b",complete,") < 2 * 30
    parts: list[bytes] = []
    training = threading.Barrier(3)
    stubs = [Together(training) for _ in range(3)]

    def host(number: int) -> None:
        store = PostgresqlRecord(server.url, name)
        with conducting(spec, tmp_path / f"host{number}", stubs[number], store) as (conducted, folder, _):
            list(conducted.run_phases())
            folder.write_tables(conducted.make_tables())
        parts.append(runs_csv(folder))

    hosts = [threading.Thread(target=host, args=(number,)) for number in range(3)]
    for one in hosts:
        one.start()
    for one in hosts:
        one.join()
    assert parts == [alone] * 3
    assert all(stub.ran for stub in stubs)
    ran = [run for stub in stubs for run in stub.ran]
    assert len(ran) == len(set(ran))
    assert all(len(keys) == len(set(keys)) for keys in trials(server.url, name).values())


def test_the_claims_of_a_dead_host_are_free_at_once(server: Server) -> None:
    holder = f"""
import sys, time
sys.path.insert(0, {str(ROOT)!r})
from ablate.records.postgresql_record import PostgresqlRecord
from ablate.records.predictions import read_predictions
store = PostgresqlRecord({server.url!r}, "claims")
print(*store.claim("a run"), flush=True)
time.sleep(100)
"""
    store = PostgresqlRecord(server.url, "claims")
    with subprocess.Popen([sys.executable, "-c", holder], stdout=subprocess.PIPE, text=True) as dying:
        assert dying.stdout is not None
        assert dying.stdout.readline() == "a run\n"
        assert not store.claim("a run")
        dying.kill()
        dying.wait()
        give_up = time.monotonic() + 10
        while not store.claim("a run"):
            assert time.monotonic() < give_up
            time.sleep(0.05)
    store.close()


def test_a_restart_of_the_server_during_a_study_changes_nothing(
    server: Server, small, tmp_path: Path, alone: bytes
) -> None:
    spec = small("name=restarted")
    stub = Slow()
    with conducting(spec, tmp_path / "host", stub, PostgresqlRecord(server.url, "restarted")) as (
        conducted,
        folder,
        _,
    ):
        for number, _event in enumerate(conducted.run_phases()):
            if number in (3, 14):
                server.stop()
                threading.Timer(1, server.start).start()
        folder.write_tables(conducted.make_tables())
    assert runs_csv(folder) == alone
    assert len(stub.ran) == len(set(stub.ran))
    assert all(len(keys) == len(set(keys)) for keys in trials(server.url, "restarted").values())


def test_a_claim_ends_with_its_session(server: Server) -> None:
    one, other = PostgresqlRecord(server.url, "lost"), PostgresqlRecord(server.url, "lost")
    try:
        assert one.claim("a key")
        assert not other.claim("a key")
        server.stop()
        server.start()
        assert other.claim("a key")
        assert not one.claim("a key")
    finally:
        one.close()
        other.close()


def test_a_server_that_stays_away_gives_an_error_of_one_line(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgresql_record, "PATIENCE_SECONDS", 0.5)
    store = PostgresqlRecord(server.url, "away")
    server.stop()
    try:
        with pytest.raises(FolderError, match=r"does not answer \(.*\): finished runs are kept") as told:
            store.claim("a run")
    finally:
        server.start()
    assert "\n" not in str(told.value)
    assert server.password not in str(told.value)
    store.close()


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://a@b/c", "must begin with postgresql://"),
        ("nothing", "write postgresql://USER@HOST:PORT/DATABASE"),
        ("postgresql://me:secret@127.0.0.1/x", "put it into PGPASSWORD"),
        ("postgresql://me@127.0.0.1/x?password=secret", "put it into PGPASSWORD"),
    ],
)
def test_the_error_about_a_wrong_address_does_not_show_its_password(url: str, message: str) -> None:
    with pytest.raises(AblateError) as told:
        postgresql_record.parse_address(url)
    assert message in str(told.value)
    assert "secret" not in str(told.value)


def test_commands_on_two_hosts_share_a_study_and_each_writes_its_report(
    server: Server, tmp_path: Path
) -> None:
    (tmp_path / "small.yaml").write_text(SMALL.replace("name: small", "name: shared"))
    given = {"PGPASSWORD": server.password, "cwd": tmp_path, "drawn": False}
    done = ablate("run", "small.yaml", "--storage", server.url, **given)
    assert done.returncode == 0, done.stderr
    second = ablate("run", "small.yaml", "--storage", server.url, "--out", "second", **given)
    assert second.returncode == 0, second.stderr
    asked = ablate("report", "shared", "--storage", server.url, "--out", "asked", **given)
    assert asked.returncode == 0, asked.stderr
    for name in ("runs", "epochs", "tuning", "timing", "comparisons", "arms", "metrics", "recalls"):
        tables = {parent: (tmp_path / parent / "shared" / "tables" / f"{name}.csv").read_bytes() for parent in ("reports", "second", "asked")}  # fmt: skip
        assert tables["second"] == tables["reports"], name
        assert tables["asked"] == tables["reports"], name
    setting = pd.read_csv(tmp_path / "reports/shared/tables/runs.csv").query("phase == 'confirm'")["setting"][
        0
    ]
    assert len(read_predictions(tmp_path / "reports/shared", "baseline", setting, 0).guesses) == 360
    with pytest.raises(FolderError, match="it was trained on another host"):  # this host trained nothing
        read_predictions(tmp_path / "second/shared", "baseline", setting, 0)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or server.password.encode() not in path.read_bytes(), path
    nobody = ablate("report", "nothing", "--storage", server.url, **given)
    assert nobody.returncode == 2
    assert "contains no study nothing" in nobody.stderr
    wrong = ablate("run", "small.yaml", "--storage", server.url, cwd=tmp_path, PGPASSWORD="wrong")
    assert wrong.returncode == 2
    assert "no usable record" in wrong.stderr
