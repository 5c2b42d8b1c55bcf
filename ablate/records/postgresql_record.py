"""Store finished runs on a PostgreSQL server. Several hosts can work on one study without repeating runs."""

import hashlib
import json
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.storages import RDBStorage
from sqlalchemy.exc import ArgumentError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from ablate.errors import AblateError, FolderError, install_command
from ablate.records.optuna_trials import STORAGE_ERRORS, UNREADABLE, OptunaTrials, explain, name_confirm_study
from ablate.records.provenance import ArmCost, Provenance
from ablate.records.run_records import RunRecord, TimingBlock

T = TypeVar("T")
PATIENCE_SECONDS = 300.0
"""A command stops if the server is unreachable for this many seconds. A server restarts in less time."""
LONGEST_WAIT_SECONDS = 5.0
KEEP_ALIVE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
"""With this option, the server notices within a minute that a host has lost power.

The server then frees the locks of this host.
"""
_LOCK = sqlalchemy.text("select key, pg_try_advisory_lock(key) from unnest(cast(:keys as bigint[])) as key")
_UNLOCK = sqlalchemy.text("select pg_advisory_unlock(key) from unnest(cast(:keys as bigint[])) as key")
_STUDY, _PROVENANCE, _TIMED_ON = "ablate:study", "ablate:environment", "ablate:timed_on"


class PostgresqlRecord:
    """A `Record` on a server. A process claims a run by an advisory lock on the run's key.

    The lock belongs to this process's session on the server. The server frees the lock when the process or
    its host dies, so there is nothing to clean up. If a session is lost, its locks are lost, and another host
    might train the same run. Therefore, each record is written under a lock, after a check that the server
    does not have the record yet.
    """

    shared = True

    def __init__(self, url: str, name: str, *, begin: bool = True) -> None:
        """Open the study. If `begin` is true and the study does not exist, create it.

        Raises:
            AblateError: the URL does not name a PostgreSQL server, or it contains a password.
            FolderError: the server does not answer or refuses the user, or it has no such study.
        """
        server = parse_address(url)
        self._name, self._where = name, f"--storage {server.render_as_string()}"
        self._locks: set[str] = set()
        self._retrying = Retrying(
            stop=stop_after_delay(PATIENCE_SECONDS),
            wait=wait_random_exponential(max=LONGEST_WAIT_SECONDS),
            retry=retry_if_exception_type(STORAGE_ERRORS),
            reraise=True,
        )
        try:
            # Without a pool, the session on the server ends when its connection is closed. Its locks are
            # freed.
            self._engine = sqlalchemy.create_engine(
                server,
                isolation_level="AUTOCOMMIT",
                poolclass=sqlalchemy.NullPool,
                connect_args={"options": KEEP_ALIVE},
            )
            self._session = self._engine.connect()
            # Without this lock, two hosts that begin a study at the same time would both create its tables.
            with self._engine.connect() as beginning:
                beginning.execute(_make_call("pg_advisory_lock"), {"key": self._lock_number("begin")})
                storage = RDBStorage(
                    server.render_as_string(hide_password=False), engine_kwargs={"pool_pre_ping": True}
                )
                if not begin and name_confirm_study(name) not in optuna.get_all_study_names(storage):
                    raise FolderError(f"{self._where}: contains no study {name}")
                self._trials = OptunaTrials(storage, name)
        except UNREADABLE as error:
            raise FolderError(f"{self._where}: contains no usable records ({explain(error)})") from None

    @property
    def runs(self) -> Mapping[str, RunRecord]:
        """The finished runs of all hosts, by key."""
        return self._trials.runs

    @property
    def blocks(self) -> Mapping[str, TimingBlock]:
        """The timing blocks of all hosts, by key."""
        return self._trials.blocks

    def claim(self, *keys: str) -> list[str]:
        """Lock the keys. Return the keys that no other session has locked and that have no record yet."""
        return self._retry(partial(self._lock, *keys))

    def release(self, key: str) -> None:
        """Unlock the key."""
        self._retry(partial(self._unlock, key))

    def refresh(self) -> None:
        """Read the records that other hosts have stored since the last call."""
        self._retry(self._read_new)

    def add(self, records: Mapping[str, RunRecord | TimingBlock]) -> None:
        """Store finished runs and timing blocks in one transaction, while their keys are locked.

        When this method returns, the transaction is committed and the keys are unlocked.
        """
        self._retry(partial(self._write, records))
        self._retry(partial(self._unlock, *records))

    def find_timing_machine(self, machine: str) -> str:
        """Return the host whose timing blocks are used.

        The result is the host that claimed the timing. If no host has claimed the timing, return this host.
        """
        return str(self._read_attributes().get(_TIMED_ON, _name_host(machine)))

    def set_timing_machine(self, machine: str) -> None:
        """From now on, use the timing blocks of this host."""
        self._set(_TIMED_ON, _name_host(machine))

    def find_foreign_provenance(self, machine: str) -> Mapping[str, Any]:
        """If another host timed the arms, return the provenance of that host. Otherwise return nothing.

        The provenance says where results come from, for example the hardware.
        """
        return self.provenance if self.find_timing_machine(machine) != _name_host(machine) else {}

    def read_shared_costs(self) -> Mapping[str, ArmCost]:
        """Return the costs of the arms that a host has stored for other hosts, or nothing."""
        shared = self.provenance
        return Provenance.from_dict(shared).arms if shared else {}

    @property
    def study(self) -> str | None:
        """The study file that a host has stored for the other hosts. None if there is no such file yet."""
        return self._read_attributes().get(_STUDY)

    @property
    def provenance(self) -> dict[str, Any]:
        """The provenance that the host of the timing has stored. Empty if nothing is stored yet."""
        shared: dict[str, Any] = json.loads(self._read_attributes().get(_PROVENANCE, "{}"))
        return shared

    def share_study(self, study: str) -> None:
        """Store the study file for other hosts."""
        self._set(_STUDY, study)

    def share_provenance(self, provenance: Mapping[str, Any]) -> None:
        """Store the provenance of the results where other hosts can read it."""
        self._set(_PROVENANCE, json.dumps(provenance))

    def close(self) -> None:
        """Close the connections, which frees every lock."""
        self._trials.close()
        self._session.close()
        self._engine.dispose()

    def _set(self, name: str, value: str) -> None:
        self._retry(partial(self._trials.set_attribute, name, value))

    def _read_attributes(self) -> Mapping[str, Any]:
        return self._retry(lambda: self._trials.read_attributes())

    def _read_new(self) -> None:
        self._trials.read_new(self._session, include_crashed=True)

    def _write(self, records: Mapping[str, RunRecord | TimingBlock]) -> None:
        """Write the records whose keys this session has locked. First try to lock the other keys again."""
        lost = [key for key in records if key not in self._locks]
        if lost:
            self._lock(*lost)
        mine = {key: record for key, record in records.items() if key in self._locks}
        if mine:
            self._trials.add(self._begin(), mine, shared=True)

    @contextmanager
    def _begin(self) -> Iterator[sqlalchemy.Connection]:
        """Begin a transaction in the session that has the locks.

        If the session is lost, its locks and the transaction are lost together.
        """
        self._session.exec_driver_sql("begin")
        try:
            yield self._session
        except BaseException:
            if not self._session.invalidated:
                self._session.exec_driver_sql("rollback")
            raise
        self._session.exec_driver_sql("commit")

    def _lock(self, *keys: str) -> list[str]:
        """Lock the keys. Return the keys that no other session has locked and that have no record yet."""
        wanted = {self._lock_number(key): key for key in keys if key not in self.runs}
        asked = [number for number, key in wanted.items() if key not in self._locks]
        if asked:
            for number, locked in self._session.execute(_LOCK, {"keys": asked}):
                if locked:
                    self._locks.add(wanted[number])
        # From here on, no other session can store a locked key. This call fails if this session is lost.
        self._read_new()
        mine = [key for key in wanted.values() if key in self._locks]
        stored = [key for key in mine if key in self.runs or key in self.blocks]
        self._unlock(*stored)
        return [key for key in mine if key not in stored]

    def _unlock(self, *keys: str) -> None:
        locked = [key for key in keys if key in self._locks]
        if locked:
            numbers = [self._lock_number(key) for key in locked]
            self._session.execute(_UNLOCK, {"keys": numbers})
            self._locks.difference_update(locked)

    def _lock_number(self, key: str) -> int:
        """Compute the number that PostgreSQL uses to lock a key: a signed 64-bit hash of study and key."""
        digest = hashlib.sha256(f"{self._name} {key}".encode()).digest()
        return int.from_bytes(digest[:8], signed=True)

    def _retry(self, action: Callable[[], T]) -> T:
        """Do the action. Repeat the action while the server is unreachable.

        If the session was lost, open a new session. A new session has no locks.
        """

        def attempt() -> T:
            if self._session.invalidated or self._session.closed:
                self._locks.clear()
                self._session.close()
                self._session = self._engine.connect()
            return action()

        try:
            return self._retrying.copy()(attempt)
        except STORAGE_ERRORS as error:
            raise FolderError(
                f"{self._where}: does not answer ({explain(error)}): finished runs are kept"
            ) from None


def parse_address(url: str, place: str = "--storage") -> sqlalchemy.URL:
    """Check the URL of a PostgreSQL server, and set the driver psycopg.

    Args:
        url: the URL.
        place: where the user wrote the URL, such as the option `--storage`. Error messages name this place.

    Raises:
        AblateError: the URL does not name a PostgreSQL server, or it contains a password.
    """
    try:
        server = sqlalchemy.make_url(url)
    except ArgumentError:
        raise AblateError(f"{place}: write postgresql://USER@HOST:PORT/DATABASE") from None
    if server.get_backend_name() != "postgresql":
        raise AblateError(f"{place} {server.render_as_string()}: must begin with postgresql://")
    if server.password is not None or "password" in server.query:
        raise AblateError(
            f"{place}: other users of this machine can see a password in the URL: put it into PGPASSWORD or "
            "~/.pgpass instead"
        )
    try:
        import psycopg  # noqa: F401
    except ModuleNotFoundError:
        raise AblateError(f"{place}: psycopg is not installed: {install_command('postgresql')}") from None
    return server.set(drivername="postgresql+psycopg")


def _name_host(machine: str) -> str:
    """Add the host name to the machine's name, because two hosts can have the same processor."""
    return f"{machine} on {socket.gethostname()}"


def _make_call(function: str) -> sqlalchemy.TextClause:
    return sqlalchemy.text(f"select {function}(:key)")
