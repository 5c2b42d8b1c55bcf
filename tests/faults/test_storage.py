"""Full disks, folders that cannot be written, damaged databases. Errors have one line, and no data is lost."""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import optuna
import pytest

from ablate.design.runs import Run
from ablate.errors import FolderError
from ablate.records import sqlite_record
from ablate.records.run_records import EpochPoint, RunRecord
from ablate.records.sqlite_record import SqliteRecord
from ablate.report import writer
from ablate.study import study_file
from tests.commands import ablate
from tests.conftest import SMALL
from tests.experiment.test_conduct import Stub, conduct, runs_csv


class Wordy(Stub):
    """Runs with records of 8 kB, so that a short study needs more than the last bytes of the disk."""

    def record(self, run: Run) -> RunRecord:
        points = [
            EpochPoint(epoch=i / 60, train_loss=0.5, train_accuracy=0.8, validation_accuracy=None)
            for i in range(60)
        ]
        return replace(super().record(run), epochs=tuple(points))


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a complete study."""
    folder = tmp_path_factory.mktemp("record")
    (folder / "small.yaml").write_text(SMALL)
    conduct(study_file.read(folder / "small.yaml", ["timing.blocks=0"]), folder / "small", Stub())
    return folder / "small" / "study.db"


def cut(path: Path, bytes_left: Callable[[int], int]) -> None:
    os.truncate(path, bytes_left(path.stat().st_size))


def another_schema(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as database:
        database.execute("create table holidays (place text)")


def another_study(path: Path) -> None:
    path.unlink()
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    optuna.create_study(storage=storage, study_name="somebody's")
    storage.engine.dispose()


def newer_optuna(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("update alembic_version set version_num = 'v99.0.0'")


def torn_record(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("update trial_user_attributes set value_json = '\"{\"' where key = 'ablate:record'")


def overwrite(path: Path) -> None:
    content = bytearray(path.read_bytes())
    middle = len(content) // 2 // 4096 * 4096
    content[middle : middle + 8192] = b"\xff" * 8192
    path.write_bytes(content)


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "empty": (lambda path: cut(path, lambda size: 0), "it is empty"),
    "no database": (lambda path: path.write_text("once upon a time " * 1000), "file is not a database"),
    "cut between two pages": (lambda path: cut(path, lambda size: size // 2 // 4096 * 4096), "no usable record"),
    "cut within a page": (lambda path: cut(path, lambda size: size - 1000), "no usable record"),
    "overwritten in the middle": (overwrite, "no usable record"),
    "of another program": (another_schema, "it contains no study small"),
    "of another Optuna study": (another_study, "it contains no study small"),
    "of a newer Optuna": (newer_optuna, "no usable record"),
    "with a torn record": (torn_record, "no usable record"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_a_damaged_or_foreign_database_gives_an_error_of_one_line_and_is_never_overwritten(
    record: Path, tmp_path: Path, case: str
) -> None:
    path = tmp_path / "study.db"
    shutil.copy(record, path)
    spoil, message = BROKEN[case]
    spoil(path)
    before = path.read_bytes()
    with pytest.raises(FolderError, match=message) as raised:
        SqliteRecord(path, "small")
    assert "the file is left unchanged; --fresh renames its folder" in str(raised.value)
    assert "\n" not in str(raised.value)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_kill_during_the_creation_of_the_database_leaves_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.db"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(sqlite_record, "create_file", killed)
        with pytest.raises(KeyboardInterrupt):
            SqliteRecord(path, "small")
    assert not path.exists()
    (tmp_path / f".study.db.{os.getpid()}").write_bytes(b"what a kill -9 leaves of a process of our number")
    SqliteRecord(path, "small").close()
    assert SqliteRecord(path, "small").runs == {}


def mount(folder: Path, size: str) -> None:
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "ablate-test", str(folder)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount here")
    if done.returncode != 0:
        pytest.skip(f"nothing can be mounted here: {done.stderr.strip()}")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 4 MB."""
    folder = tmp_path / "disk"
    mount(folder, "4m")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The table of runs on a disk with enough space."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "small.yaml").write_text(SMALL)
    spec = study_file.read(folder / "small.yaml", ["timing.blocks=0"])
    _, whole = conduct(spec, folder / "small", Wordy())
    return runs_csv(whole)


def fill(disk: Path, left: int) -> Path:
    """Write a file that leaves `left` bytes of the disk free."""
    filler = disk / "filler"
    free = os.statvfs(disk)
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize - left))
    return filler


@pytest.mark.parametrize(
    "left", [100_000, *(pytest.param(left, marks=pytest.mark.thorough) for left in (0, 230_000, 250_000))]
)
def test_a_full_disk_gives_an_error_of_one_line_and_with_free_space_the_study_continues_to_the_same_result(
    small, small_disk: Path, undisturbed: bytes, left: int
) -> None:
    spec = small("timing.blocks=0")
    filler = fill(small_disk, left)
    first, second = Wordy(), Wordy()
    with pytest.raises((FolderError, OSError)) as raised:
        conduct(spec, small_disk / "small", first)
    assert "\n" not in str(raised.value)
    assert "full" in str(raised.value) or "No space left on device" in str(raised.value)
    filler.unlink()
    if (small_disk / "small" / "study.db").exists():
        store = SqliteRecord(small_disk / "small" / "study.db", "small")
        assert len(store.runs) >= len(first.ran) - 1  # all but the run that found the disk full
        store.close()
    _, folder = conduct(spec, small_disk / "small", second)
    assert runs_csv(folder) == undisturbed
    assert not set(first.ran[:-1]) & set(second.ran)
    assert not list((small_disk / "small").rglob(f".*.{os.getpid()}"))  # no partial file


def test_a_read_only_folder_gives_an_error_of_one_line_and_its_results_can_still_be_read(
    small, small_disk: Path
) -> None:
    spec = small("timing.blocks=0")
    _, folder = conduct(spec, small_disk / "small", Stub())
    table = runs_csv(folder)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(
        FolderError, match=r"small: cannot be written \(Read-only file system\): choose another --out"
    ):
        conduct(spec, small_disk / "small", Stub())
    assert not writer.gather(folder.path).preliminary
    again = ablate("report", folder.path, cwd=small_disk.parent)
    assert again.returncode == 2
    assert len(again.stderr.strip().splitlines()) == 1
    assert "Read-only file system" in again.stderr
    subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
    idle = Stub()
    conduct(spec, small_disk / "small", idle)
    assert idle.ran == []
    assert runs_csv(folder) == table


@pytest.mark.thorough
def test_a_limit_on_file_size_gives_an_error_of_one_line_and_the_study_continues_without_the_limit(
    tmp_path: Path,
) -> None:
    # Few runs with long records: 60 points of the training curve each.
    recipe = ["recipe.epochs=12", "recipe.train_images=100", "recipe.batch_size=20"]
    overrides = ["seeds=10", "tuning.trials=0", "timing.blocks=0", *recipe]
    (tmp_path / "small.yaml").write_text(SMALL)
    # An empty database has about 200,000 bytes.
    done = ablate("run", "small.yaml", *overrides, "--quiet", cwd=tmp_path, drawn=False, largest_file=280_000)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ")
    assert len(done.stderr.strip().splitlines()) == 1
    assert "finished runs are kept" in done.stderr
    store = SqliteRecord(tmp_path / "reports" / "small" / "study.db", "small")
    recorded = len(store.runs)
    store.close()
    assert 0 < recorded < 20
    again = ablate("run", "small.yaml", *overrides, cwd=tmp_path, drawn=False)
    assert again.returncode == 0, again.stderr
    assert f"confirm {recorded}/20" in again.stderr
