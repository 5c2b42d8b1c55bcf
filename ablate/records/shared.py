"""The record on a PostgreSQL server: several hosts share one study, and none does another's run."""

import hashlib
import json
import socket
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, TypeVar

import optuna
import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.trial import FrozenTrial
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_random_exponential

from ablate.errors import AblateError, FolderError, install_command
from ablate.records.record import UNREADABLE, RecordStore, reason
from ablate.records.run_records import RunRecord, TimingBlock

T = TypeVar("T")
PATIENCE_SECONDS = 300.0
"""So long a server may be away, while it is restarted, say, before a command gives up."""
LONGEST_WAIT_SECONDS = 5.0
KEPT_ALIVE = "-c tcp_keepalives_idle=30 -c tcp_keepalives_interval=10 -c tcp_keepalives_count=3"
"""A host without power closes no connection: the server asks after it, and frees its runs within a minute."""
_STUDY, _ENVIRONMENT, _TIMED_ON = "ablate:study", "ablate:environment", "ablate:timed_on"


class SharedRecord(RecordStore):
    """The records of one study on a server. A run is claimed by an advisory lock on its key.

    The lock is held by this process's session on the server: it is free when the process or its host dies,
    and there is nothing to sweep. What is written is written under the lock, after a look whether it is
    there already: a session that was lost in between has lost its locks too.
    """

    shared = True

    def __init__(self, url: str, name: str, *, begin: bool = True) -> None:
        """Open the study, or begin it if it may.

        Raises:
            AblateError: the URL is none of a PostgreSQL server, or holds a password.
            FolderError: the server does not answer or lets nobody in, or it holds no such study.
        """
        given = address(url)
        self._name, self._where = name, f"--storage {given.render_as_string()}"
        self._held: set[str] = set()
        self._retried = Retrying(
            stop=stop_after_delay(PATIENCE_SECONDS),
            wait=wait_random_exponential(max=LONGEST_WAIT_SECONDS),
            retry=retry_if_exception_type((SQLAlchemyError, StorageInternalError)),
            reraise=True,
        )
        try:
            # No pool: a session that is let go of must end, and its locks with it.
            self._engine = sqlalchemy.create_engine(
                given,
                isolation_level="AUTOCOMMIT",
                poolclass=sqlalchemy.NullPool,
                connect_args={"options": KEPT_ALIVE},
            )
            self._session = self._engine.connect()
            # Two hosts that begin a study at once would both make its tables.
            with self._engine.connect() as begun:
                begun.execute(_locking("pg_advisory_lock"), {"key": self._number("begin")})
                storage = optuna.storages.RDBStorage(
                    given.render_as_string(hide_password=False), engine_kwargs={"pool_pre_ping": True}
                )
                if not begin and f"{name} confirm" not in optuna.get_all_study_names(storage):
                    raise FolderError(f"{self._where}: holds no study {name}")
                self._open(storage, name)
        except UNREADABLE as error:
            raise FolderError(f"{self._where}: no usable record ({reason(error)})") from None

    def claim(self, key: str) -> bool:
        return self._patiently(partial(self._hold, key))

    def refresh(self) -> None:
        self._patiently(partial(self._read, crashed=True))

    def add_run(self, key: str, record: RunRecord) -> None:
        self._patiently(partial(self._under_lock, key, partial(super().add_run, key, record)))
        self.release(key)

    def add_block(self, key: str, block: TimingBlock) -> None:
        self._patiently(partial(self._under_lock, key, partial(super().add_block, key, block)))
        self.release(key)

    def release(self, key: str) -> None:
        """Let another host have it."""
        self._patiently(partial(self._let_go, key))

    def close(self) -> None:
        super().close()
        self._session.close()
        self._engine.dispose()

    @property
    def study(self) -> str | None:
        """The study file that hosts share, as it was last given."""
        return self._attributes().get(_STUDY)

    @property
    def environment(self) -> dict[str, Any]:
        """What the machine that timed knows; empty before."""
        found: dict[str, Any] = json.loads(self._attributes().get(_ENVIRONMENT, "{}"))
        return found

    def machine(self, mine: str) -> str:
        return str(self._attributes().get(_TIMED_ON, _named(mine)))

    def time_here(self, mine: str) -> None:
        self._set(_TIMED_ON, _named(mine))

    def elsewhere(self, mine: str) -> Mapping[str, Any]:
        return self.environment if self.machine(mine) != _named(mine) else {}

    def keep(self, *, study: str | None = None, environment: Mapping[str, Any] | None = None) -> None:
        if study is not None:
            self._set(_STUDY, study)
        if environment is not None:
            self._set(_ENVIRONMENT, json.dumps(environment))

    def _set(self, name: str, value: str) -> None:
        self._patiently(partial(self._studies["confirm"].set_user_attr, name, value))

    def _attributes(self) -> dict[str, Any]:
        return self._patiently(lambda: self._studies["confirm"].user_attrs)

    def _put(self, phase: str, trial: FrozenTrial) -> None:
        self._studies[phase].add_trial(trial)

    def _under_lock(self, key: str, write: Callable[[], None]) -> None:
        if self._hold(key):
            write()

    def _hold(self, key: str) -> bool:
        """Whether this session has the key's lock, and the key is not on record."""
        if key in self.runs:
            return False
        if key in self._held:
            self._session.execute(sqlalchemy.text("select 1"))  # raises if the session is gone, and its locks
        else:
            locked = self._session.execute(_locking("pg_try_advisory_lock"), {"key": self._number(key)})
            if not locked.scalar():
                return False
            self._held.add(key)
        self._read(crashed=True)  # only now nobody else can put it there
        if key in self.runs or key in self.blocks:
            self._let_go(key)
            return False
        return True

    def _let_go(self, key: str) -> None:
        if key in self._held:
            self._session.execute(_locking("pg_advisory_unlock"), {"key": self._number(key)})
            self._held.discard(key)

    def _number(self, key: str) -> int:
        """A key as PostgreSQL wants a lock's: 64 bits with a sign, this study's own."""
        digest = hashlib.sha256(f"{self._name} {key}".encode()).digest()
        return int.from_bytes(digest[:8], signed=True)

    def _patiently(self, action: Callable[[], T]) -> T:
        """Do it, if need be again and again while the server is away; a new session has no locks yet."""

        def attempt() -> T:
            if self._session.invalidated or self._session.closed:
                self._held.clear()
                self._session.close()
                self._session = self._engine.connect()
            return action()

        try:
            return self._retried.copy()(attempt)
        except (SQLAlchemyError, StorageInternalError) as error:
            raise FolderError(
                f"{self._where}: does not answer ({reason(error)}): what is on record stays"
            ) from None


def address(url: str) -> sqlalchemy.URL:
    """The server's address, for the driver that is installed.

    Raises:
        AblateError: it is none of a PostgreSQL server, or holds a password.
    """
    try:
        given = sqlalchemy.make_url(url)
    except ArgumentError:
        raise AblateError("--storage: write postgresql://USER@HOST:PORT/DATABASE") from None
    if given.get_backend_name() != "postgresql":
        raise AblateError(f"--storage {given.render_as_string()}: hosts share postgresql://… alone")
    if given.password is not None or "password" in given.query:
        raise AblateError(
            "--storage: whoever lists processes would read the password: leave it out of the URL and put it "
            "into PGPASSWORD or ~/.pgpass"
        )
    try:
        import psycopg  # noqa: F401
    except ModuleNotFoundError:
        raise AblateError(f"--storage: psycopg is not installed: {install_command('postgresql')}") from None
    return given.set(drivername="postgresql+psycopg")


def _named(machine: str) -> str:
    """Two hosts may have the same processor; no two of a network have the same name."""
    return f"{machine} on {socket.gethostname()}"


def _locking(function: str) -> sqlalchemy.TextClause:
    return sqlalchemy.text(f"select {function}(:key)")
