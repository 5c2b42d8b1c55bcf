"""A cache of results about images: checksums of files, facts about pictures, and pixels of scaled images.

The cache is the folder `images` in the user's cache folder. No command fails because of the cache: a result
that cannot be read is computed again, and a result that cannot be written is not stored.
"""

import contextlib
import hashlib
import json
import os
import sqlite3
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablate.cache import locate_cache
from ablate.data.picture_facts import DECODING, PictureFacts
from ablate.data.reading_progress import tell_progress

if TYPE_CHECKING:
    import numpy as np

MOST_ROWS = 1_000_000
"""The maximum number of rows in each table of the cache.

The rows that were used longest ago are deleted first.
"""
MOST_PIXEL_BYTES = 4 << 30
"""The maximum size of all pixels in the cache, in bytes.

The pixels that were used longest ago are deleted first.
"""
SETTLED_SECONDS = 2.0
"""A file's checksum is stored only if the file last changed at least this many seconds ago.

A file that changed just now can change again with the same time stamp, because time stamps are coarse.
"""
NEVER_READ = ("", "")
WAIT_SECONDS = 5.0
AT_ONCE = 500
DAY_SECONDS = 86_400
UNUSABLE = (sqlite3.Error, OSError)
TABLES = """
    CREATE TABLE IF NOT EXISTS files (root BLOB, name BLOB, stamp TEXT, sha256 TEXT, used INTEGER,
        PRIMARY KEY (root, name)) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS pictures (key TEXT PRIMARY KEY, facts TEXT, used INTEGER) WITHOUT ROWID;
"""


def hash_files(root: Path, files: Sequence[Path]) -> dict[Path, str]:
    """Return the SHA-256 of every file.

    A file that has not changed since an earlier command is not read again.

    A file counts as unchanged if its size, its times of change and its inode are the same.
    """
    known: dict[bytes, tuple[str, str]] = {}
    at = os.fsencode(os.path.realpath(root))
    for row in _ask("SELECT name, stamp, sha256 FROM files WHERE root = ?", [(at,)]):
        known[row[0]] = (row[1], row[2])
    hashes: dict[Path, str] = {}
    fresh: list[tuple[bytes, bytes, str, str, int]] = []
    now, today = time.time(), int(time.time() // DAY_SECONDS)
    for done, file in enumerate(files):
        name = os.fsencode(file)
        status = os.stat(name)  # noqa: PTH116  # a Path takes twice as long for 50,000 files
        stamp = f"{status.st_size} {status.st_mtime_ns} {status.st_ctime_ns} {status.st_ino}"
        stored, sha256 = known.get(name, NEVER_READ)
        if stored == stamp:
            hashes[file] = sha256
            continue
        tell_progress("reading", done, len(files))
        hashes[file] = hashlib.sha256(file.read_bytes()).hexdigest()
        if max(status.st_mtime, status.st_ctime) < now - SETTLED_SECONDS:
            fresh.append((at, name, stamp, hashes[file], today))
    _store("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?)", fresh, "files")
    return hashes


def read_facts(checksums: Iterable[str], background: str) -> dict[str, PictureFacts]:
    """Read the stored facts about images. The returned dict's keys are the checksums of the image files."""
    keys = {_make_key(checksum, background): checksum for checksum in checksums}
    facts: dict[str, PictureFacts] = {}
    for key, text in _ask("SELECT key, facts FROM pictures WHERE key IN ({})", list(keys)):
        with contextlib.suppress(ValueError, TypeError):
            values = json.loads(text)
            # Earlier versions of ablate stored the names of the facts together with their values.
            named = isinstance(values, dict)
            facts[keys[key]] = PictureFacts(**values) if named else PictureFacts(*values)
    return facts


def store_facts(facts: Mapping[str, PictureFacts], background: str) -> None:
    """Store facts about images. The keys of `facts` are the checksums of the image files."""
    today = int(time.time() // DAY_SECONDS)
    rows = [(_make_key(sha, background), json.dumps(one), today) for sha, one in facts.items()]
    _store("INSERT OR REPLACE INTO pictures VALUES (?, ?, ?)", rows, "pictures")


def read_pixels(key: str, shape: tuple[int, ...]) -> "np.ndarray[Any, Any] | None":
    """Read the stored pixels of a whole data set. Return None if none have this key and shape."""
    import numpy as np

    try:
        path = _locate() / f"{key}.npy"
        pixels = np.load(path, allow_pickle=False)
        os.utime(path)
    except (*UNUSABLE, ValueError, EOFError):
        return None
    return pixels if pixels.shape == shape and pixels.dtype in (np.uint8, np.uint16) else None


def store_pixels(key: str, pixels: "np.ndarray[Any, Any]") -> None:
    """Store the pixels of a whole data set.

    If the cache is full, delete the pixels that were used longest ago.
    """
    import numpy as np

    if pixels.nbytes > MOST_PIXEL_BYTES // 2:
        return
    with contextlib.suppress(*UNUSABLE):
        folder = _locate()
        folder.mkdir(parents=True, exist_ok=True)
        _make_room(folder, pixels.nbytes)
        half = ""
        try:
            # The temporary file is in the same folder. So renaming it to its final name is atomic.
            with tempfile.NamedTemporaryFile(dir=folder, suffix=".half", delete=False) as file:
                half = file.name
                np.save(file, pixels, allow_pickle=False)
                file.flush()
                os.fsync(file.fileno())
            Path(half).replace(folder / f"{key}.npy")
        finally:
            if half:
                Path(half).unlink(missing_ok=True)


def _make_room(folder: Path, wanted: int) -> None:
    """Delete the pixels that were used longest ago, until `wanted` bytes fit.

    Also delete the temporary files that interrupted commands left behind.
    """
    listed = [(path.stat().st_mtime, path.stat().st_size, path) for path in folder.glob("*.npy")]
    together = sum(size for _, size, _ in listed) + wanted
    for _, size, path in sorted(listed):
        if together <= MOST_PIXEL_BYTES:
            break
        path.unlink(missing_ok=True)
        together -= size
    for path in folder.glob("*.half"):
        if path.stat().st_mtime < time.time() - DAY_SECONDS:
            path.unlink(missing_ok=True)


def _locate() -> Path:
    return locate_cache() / "images"


def _make_key(checksum: str, background: str) -> str:
    return f"{DECODING} {background} {checksum}"


@contextlib.contextmanager
def _open() -> Iterator[sqlite3.Connection]:
    """Open the database of checksums and facts. SQLite allows several commands to use it at the same time."""
    folder = _locate()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(folder / "facts.db", timeout=WAIT_SECONDS)) as database, database:
        database.executescript(TABLES)
        yield database


def _guard(action: Callable[[sqlite3.Connection], list[Any]]) -> list[Any]:
    """Run `action` on the database. Return an empty list if the database cannot be used."""
    try:
        with _open() as database:
            return action(database)
    except sqlite3.OperationalError:  # another command is writing, or the disk is full or read-only
        return []
    except sqlite3.DatabaseError:  # the file is damaged
        with contextlib.suppress(*UNUSABLE):
            (_locate() / "facts.db").unlink(missing_ok=True)
        return []
    except UNUSABLE:
        return []


def _ask(query: str, values: Sequence[Any]) -> list[Any]:
    """Return the rows of a query. If the query contains `{}`, all elements of `values` are inserted there.

    If the query does not contain `{}`, it runs once for each element of `values`.
    """

    def ask(database: sqlite3.Connection) -> list[Any]:
        if "{}" not in query:
            return [row for one in values for row in database.execute(query, one)]
        parts = [values[start : start + AT_ONCE] for start in range(0, len(values), AT_ONCE)]
        return [
            row for part in parts for row in database.execute(query.format(", ".join("?" * len(part))), part)
        ]

    return _guard(ask)


def _store(query: str, rows: Sequence[Sequence[Any]], table: str) -> None:
    """Store rows in one transaction. If the table then has too many rows, delete the oldest rows."""

    def store(database: sqlite3.Connection) -> list[Any]:
        database.executemany(query, rows)
        count = database.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
        if count > MOST_ROWS:
            oldest = f"SELECT used FROM {table} ORDER BY used LIMIT 1 OFFSET {count - MOST_ROWS}"
            # `used` is the day of the last use, so rows with the same day are deleted together.
            database.execute(f"DELETE FROM {table} WHERE used <= ({oldest})")
        return []

    if rows:
        _guard(store)
