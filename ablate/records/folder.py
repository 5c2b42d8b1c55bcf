"""The report folder of a study: its lock, its files, and the check of changes to the study."""

import os
import socket
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from filelock import FileLock, Timeout

from ablate.errors import FolderError
from ablate.records.columns import INPUT_TABLES, OPTIONAL_TABLES
from ablate.records.files import write_whole
from ablate.records.predictions import Array, encode_labels, locate_labels, locate_predictions
from ablate.records.provenance import FILE, Provenance, read_provenance, write_provenance
from ablate.records.tables import read_table, write_table
from ablate.study import study_file
from ablate.study.spec import StudySpec, format_value

FREE_KEYS = ("question", "references", "decision", "fallback", "timing", "keep")
"""Keys of a study that the user may change at any time, because no run depends on them."""
UNREPORTED_KEYS = ("question", "references", "fallback", "timing", "keep")
"""Keys of a study on which no p-value or verdict depends.

If the user changes another key after an answer was seen, the report says so.
"""

EPOCHS = Path("checkpoints", "epochs")
"""The folder, inside the report folder, with the network parameters of every epoch."""


class ReportFolder:
    """The folder `reports/<name>/`. The lock is freed when the process that has the lock ends."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def lock(self, *, fresh: bool) -> None:
        """Lock the folder for this process. If `fresh` is true, rename an old folder first.

        The renamed folder keeps all files except the large files with the network parameters of every epoch.

        Raises:
            FolderError: another process has the lock, or the folder is not writable.
        """
        if any(unicodedata.category(character) == "Cc" for character in str(self.path)):
            raise FolderError(f"{self.path}: has a control character in its name: choose another --out")
        self._lock = FileLock(self.path / ".lock")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock.acquire(timeout=0)
            if fresh and (self.path / "study.yaml").exists():
                self._lock.release()
                old = ReportFolder(_choose_old_name(self.path))
                self.path.rename(old.path)
                old.delete_epoch_weights()
                self.lock(fresh=False)
                return
            write_whole(self.path / ".holder", f"process {os.getpid()} on {socket.gethostname()}".encode())
        except Timeout:
            holder = self.path / ".holder"
            who = (
                holder.read_text(encoding="utf-8", errors="replace") if holder.exists() else "another process"
            )
            raise FolderError(f"{self.path}: in use by {who}: wait, or choose another --out") from None
        except NotImplementedError:
            raise FolderError(
                f"{self.path}: its file system cannot lock a folder for one command: choose another --out"
            ) from None
        except OSError as error:
            self._lock.release()
            raise FolderError(
                f"{self.path}: cannot be written ({error.strerror}): choose another --out"
            ) from None

    def release(self) -> None:
        """Unlock the folder."""
        (self.path / ".holder").unlink(missing_ok=True)
        self._lock.release()

    def adopt(self, study: StudySpec) -> tuple[str, ...]:
        """Store the study in the folder. Return the changes that were made after an answer had been seen.

        A change is accepted if it only adds runs (seeds, arms, tuning trials), or if no run depends on it.

        Raises:
            FolderError: the folder belongs to another study. The message shows the difference.
        """
        kept = self.path / "study.yaml"
        provenance = self.read_provenance()
        changed = list(provenance.changed_after_answer) if provenance else []
        if kept.exists():
            old = study_file.read(kept)
            answered = (self.path / "tables" / "comparisons.csv").exists()
            for key, before, now in study_file.list_changes(old, study):
                if not _only_adds(old, key, before, now):
                    raise FolderError(
                        f"{self.path}: the study in this folder has {key} {before!r}, the new study has "
                        f"{now!r}: choose another --out, or --fresh to rename the old folder"
                    )
                if answered and key.partition(".")[0] not in UNREPORTED_KEYS:
                    changed.append(f"{key} from {format_value(before)} to {format_value(now)}")
            if answered and provenance:
                # The provenance is written before the study file. In the opposite order, an interruption
                # between the two files would lose the list of changes.
                self.write_provenance(replace(provenance, changed_after_answer=tuple(changed)))
        self.write_study(study_file.dump(study))
        return tuple(changed)

    def differs_before_answer(self, study: StudySpec) -> bool:
        """Whether the study differs from the folder's study in a key that verdicts depend on.

        False if there is an answer already: then `adopt` lists the changes.
        """
        kept = self.path / "study.yaml"
        if not kept.exists() or (self.path / "tables" / "comparisons.csv").exists():
            return False
        changes = study_file.list_changes(study_file.read(kept), study)
        return any(key.partition(".")[0] not in UNREPORTED_KEYS for key, *_ in changes)

    def list_test_set_readers(self, study: StudySpec) -> tuple[str, ...]:
        """List the report folders of other studies that used the same test images.

        Only folders with the same parent folder are listed. All contexts of a study count as one study.
        """
        own = self.path if study.context is None else self.path.parent
        readers = []
        places = [*own.parent.glob(f"*/{FILE}"), *own.parent.glob(f"*/*/{FILE}")]
        for path in sorted(places):
            if path.parents[2] == own.parent and not (path.parents[1] / "study.yaml").exists():
                continue  # a folder of reports, such as `published`, and not a study with contexts
            try:
                other = read_provenance(path.parent)
            except FolderError:
                continue  # a damaged folder of another study must not stop this study
            if own not in path.parents and other.data.dataset == str(study.dataset):
                readers.append(path.relative_to(own.parent).parts[0])
        return tuple(dict.fromkeys(readers))

    def read_provenance(self) -> Provenance | None:
        """Read where the results in the folder come from. Return None before the first report."""
        return read_provenance(self.path) if (self.path / FILE).exists() else None

    def write_provenance(self, provenance: Provenance) -> None:
        write_provenance(self.path, provenance)

    def write_study(self, text: str) -> None:
        write_whole(self.path / "study.yaml", text.encode())

    def write_tables(self, tables: Mapping[str, pd.DataFrame]) -> None:
        for name, table in tables.items():
            write_table(table, self.path / "tables" / f"{name}.csv")

    def write_checkpoint(self, slug: str, content: bytes) -> None:
        write_whole(self.locate_checkpoint(slug), content)

    def locate_checkpoint(self, slug: str) -> Path:
        """Return the path of the file with the network parameters that an arm's first confirmed run trained.

        `slug` is the arm's name in the form that file names use.
        """
        return self.path / "checkpoints" / f"{slug}.pt"

    def write_epoch_weights(self, slug: str, content: bytes) -> None:
        write_whole(self.locate_epoch_weights(slug), content)

    def locate_epoch_weights(self, slug: str) -> Path:
        """Return the path of the file with the network parameters before training and after every epoch.

        The file exists only if the study has `keep: epochs`.
        """
        return self.path / EPOCHS / f"{slug}.pt"

    def delete_epoch_weights(self) -> None:
        """Delete the network parameters of every epoch. The parameters after the last epoch stay."""
        for path in (self.path / EPOCHS).glob("*.pt"):
            path.unlink()

    def write_predictions(self, slug: str, seed: int, content: bytes, labels: Callable[[], Array]) -> None:
        """Write a confirmed run's predictions. First write the test images' `labels` if they are missing."""
        if not (path := locate_labels(self.path)).exists():
            write_whole(path, encode_labels(labels()))
        write_whole(locate_predictions(self.path, slug, seed), content)


def read_inputs(path: Path) -> tuple[StudySpec, Provenance, dict[str, pd.DataFrame]]:
    """Read what a report is made from: the study, where its results come from, and the input tables.

    Raises:
        FolderError: a file is missing or damaged.
    """
    if not (path / "study.yaml").exists():
        raise FolderError(f"{path}: is not a report folder (no study.yaml): name a folder that `run` wrote")
    if not (path / FILE).exists() and (contexts := list_contexts(path)):
        told = ", ".join(map(str, contexts))
        raise FolderError(f"{path}: has a report folder for each context: name one of {told}")
    try:
        provenance = read_provenance(path)
        files = {name: path / "tables" / f"{name}.csv" for name in (*INPUT_TABLES, *OPTIONAL_TABLES)}
        tables = {
            name: read_table(name, file)
            for name, file in files.items()
            if name in INPUT_TABLES or file.exists()
        }
    except FileNotFoundError as error:
        raise FolderError(f"{error.filename}: is missing: run the study again to write it") from None
    except ValueError as error:
        raise FolderError(f"{path}: a table is damaged ({error}): run the study again") from None
    return study_file.read(path / "study.yaml"), provenance, tables


def list_contexts(path: Path) -> list[Path]:
    """List the folders of those contexts of a study that have a report, in the order of the study file.

    The list is empty for a study without contexts.
    """
    if not (path / "study.yaml").exists():
        return []
    names = study_file.read(path / "study.yaml").contexts
    return [path / name for name in names if (path / name / FILE).exists()]


def make_room_for_contexts(path: Path, *, fresh: bool) -> None:
    """Check that a folder can hold the folders of contexts. With `fresh`, rename a folder that cannot.

    Raises:
        FolderError: the folder has the results of the study without contexts.
    """
    if not (path / FILE).exists():
        return
    if not fresh:
        raise FolderError(
            f"{path}: has results of this study without contexts: choose another --out, or rename the folder "
            "with --fresh"
        )
    path.rename(_choose_old_name(path))


def find_only_report(parent: Path) -> Path:
    """Return the one report folder in `parent`: that of a study, or of the chosen context of a study.

    Raises:
        FolderError: there is no report folder, or more than one.
    """
    found = [*parent.glob(f"*/{FILE}"), *parent.glob(f"*/*/{FILE}")]
    if len(found) != 1:
        told = ", ".join(str(path.parent) for path in found) or "none"
        raise FolderError(f"{parent}: must have one report folder: found {told}")
    return found[0].parent


def _choose_old_name(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.old-{number}")).exists():
        number += 1
    return aside


def _only_adds(study: StudySpec, key: str, before: Any, now: Any) -> bool:
    """Return whether all finished runs stay valid if a key of the study changes from `before` to `now`."""
    first, _, rest = key.partition(".")
    if first in FREE_KEYS:
        return True
    if first == "seeds" and (before is None or now is None or key == "seeds.spending"):
        return True  # no run depends on whether the number of seeds is fixed or the study has looks
    if key == "seeds.looks":
        return bool(now[-1] >= before[-1])
    if first == "seeds" or key in ("tuning.trials", "search.candidates"):
        return bool(now > before)
    if first == "arms":
        return before is None and not any(rest == name or rest.startswith(f"{name}.") for name in study.arms)
    # In other designs a new factor or value would change the full arm or the search space.
    if first == "factors" and rest and study.design in ("one_at_a_time", "factorial"):
        return isinstance(now, list) and all(value in now for value in before or [])
    return False
