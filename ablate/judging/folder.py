"""The folder of a report of judged runs.

The folder may contain files of the user, which are never deleted.
"""

from collections.abc import Collection
from pathlib import Path

from ablate.errors import FolderError

MARK = " · judged by ablate "
"""These words are in the first lines of each `report.md` about judged runs."""
MARKED_LINES = 5


def check_folder(folder: Path) -> None:
    """Check that a report may be written into a folder.

    The folder must be new or empty, or contain an earlier report of judged runs.

    Files with a name that begins with a dot are ignored.

    Raises:
        FolderError: the folder is the report of a study, or it has files but no report of judged runs.
    """
    if (folder / "study.yaml").exists():
        raise FolderError(f"{folder}: this is the report folder of a study: choose another --out")
    try:
        if not folder.exists() or has_report(folder):
            return
        others = sorted(path.name for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise FolderError(
            f"{folder}: cannot be read ({error.strerror or error}): choose another --out"
        ) from None
    if others:
        raise FolderError(
            f"{folder}: this folder has other files, such as '{others[0]}', and no report of judged runs: "
            "choose a new folder with --out"
        )


def has_report(folder: Path) -> bool:
    """Return whether the folder has a report of judged runs."""
    page = folder / "report.md"
    if not page.is_file():
        return False
    with page.open(encoding="utf-8", errors="replace") as file:
        return any(MARK in line for line, _ in zip(file, range(MARKED_LINES), strict=False))


def delete_old_figures(folder: Path, known: Collection[str], written: Collection[str]) -> None:
    """Delete the figures of an earlier report that the new report does not have. Other files stay.

    Args:
        folder: the folder of the report.
        known: the names of all figures that a report can have.
        written: the names of the figures that the new report has.
    """
    for name in set(known) - set(written):
        for ending in ("png", "svg"):
            (folder / "figures" / f"{name}.{ending}").unlink(missing_ok=True)
