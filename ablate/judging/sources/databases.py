"""Look into a database, before the library of another tool opens it."""

import re
import sqlite3
from contextlib import closing
from pathlib import Path

from ablate.errors import AblateError

_SQLITE, _POSTGRESQL = "sqlite:///", ("postgresql://", "postgresql+psycopg://", "postgresql+psycopg2://")
_MAGIC = b"SQLite format 3\0"
"""The first bytes of every SQLite file (https://www.sqlite.org/fileformat.html)."""


def find_sqlite_file(source: str) -> Path | None:
    """Return the SQLite file that a path or a URL `sqlite:///PATH` names, or None for any other source."""
    path = Path(source.removeprefix(_SQLITE))
    try:
        with path.open("rb") as file:
            return path if file.read(len(_MAGIC)) == _MAGIC else None
    except (OSError, ValueError):
        return None


def is_postgresql(source: str) -> bool:
    """Return whether the source is the URL of a PostgreSQL server."""
    return source.startswith(_POSTGRESQL)


def list_tables(source: str) -> set[str]:
    """Return the names of the tables in a SQLite file or on a PostgreSQL server.

    Raises:
        AblateError: the file is damaged, or the server does not answer.
    """
    if file := find_sqlite_file(source):
        try:
            with closing(sqlite3.connect(file)) as database:
                return {name for (name,) in database.execute("select name from sqlite_master")}
        except sqlite3.Error as error:
            raise AblateError(f"{source}: is a damaged SQLite file ({error})") from None
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    from ablate.records.postgresql_record import parse_address

    engine = sqlalchemy.create_engine(parse_address(source, place="the URL"))
    try:
        return set(sqlalchemy.inspect(engine).get_table_names())
    except SQLAlchemyError as error:
        raise AblateError(f"{source}: the server does not answer ({explain(error)})") from None
    finally:
        engine.dispose()


def explain(error: Exception) -> str:
    """Write the cause of a library's error in one line of at most 300 characters."""
    return " ".join(str(error.__cause__ or error).split())[:300]


def hide_password(source: str) -> str:
    """Return a URL without user and password, for messages."""
    return re.sub(r"//[^/@]*@", "//", source)
