"""Copy a report folder without its large files, so that the copy is small enough for Git."""

import shutil
from pathlib import Path

from ablate.errors import FolderError
from ablate.experiment.retrain import shrink_checkpoint
from ablate.formatting import format_list
from ablate.records.columns import INPUT_TABLES, OPTIONAL_TABLES
from ablate.records.files import write_whole
from ablate.records.folder import list_contexts, read_inputs
from ablate.records.provenance import FILE
from ablate.records.tables import read_table, write_table
from ablate.report import writer
from ablate.report.contexts.writer import write_contexts

COPIED = ("study.yaml", FILE, "inside.npz", *(f"tables/{name}.csv" for name in OPTIONAL_TABLES))
"""The files that are copied as they are, if the folder has them."""
LARGEST_NETWORK = 300_000
"""A network whose file has more bytes is left out."""
ABOUT_NETWORKS = """\
# Trained networks

`ablate publish` made these files from the networks of the first confirmed run (seed 0) of each arm. To make
the files small, the weights are rounded to float16. No number in the report comes from these files.
"""


def publish(source: Path, into: Path) -> Path:
    """Copy a report folder into the folder `into`, and write its report again with pictures only.

    These parts are left out: the records of all runs, the class scores, the points of the training curves
    within an epoch, the SVG files of the figures, the weights of earlier epochs, and networks larger than 300
    kB. The weights are rounded to float16. If the copy exists, it is deleted first.

    Returns:
        The path of the copy.

    Raises:
        FolderError: the folder is damaged, or is only one context of a study. Or the copy would replace a
            folder that is no such copy.
    """
    copy = into / source.resolve().name
    contexts = list_contexts(source)
    for place in contexts or [source]:
        study, *_ = read_inputs(place)  # refuses a damaged folder before anything is written
        if study.context is not None and not contexts:
            raise FolderError(f"{source}: is one context of {study.name}: publish the folder above it")
    if copy.exists():
        is_copy = (copy / "study.yaml").exists() and not list(copy.rglob("study.db"))
        if not is_copy or copy.resolve() == source.resolve():
            raise FolderError(f"{copy}: is not a copy by `ablate publish`: choose another folder with --into")
        shutil.rmtree(copy)
    for place in contexts or [source]:
        _copy_report(place, copy / place.name if contexts else copy)
    if contexts:
        write_whole(copy / "study.yaml", (source / "study.yaml").read_bytes())
        write_contexts(copy)
    for path in copy.rglob("figures/*.svg"):
        path.unlink()
    return copy


def _copy_report(source: Path, copy: Path) -> None:
    for name in COPIED:
        if (source / name).exists():
            write_whole(copy / name, (source / name).read_bytes())
    for name in INPUT_TABLES:
        table = read_table(name, source / "tables" / f"{name}.csv")
        if name == "epochs":
            table = table[table["epoch"] % 1 == 0]
        write_table(table, copy / "tables" / f"{name}.csv")
    _copy_networks(source / "checkpoints", copy / "checkpoints")
    writer.write(copy, static=True)


def _copy_networks(source: Path, copy: Path) -> None:
    small = {path.name: shrink_checkpoint(path.read_bytes()) for path in sorted(source.glob("*.pt"))}
    if not small:
        return
    kept = {name: content for name, content in small.items() if len(content) <= LARGEST_NETWORK}
    for name, content in kept.items():
        write_whole(copy / name, content)
    about = source / "README.md"  # written by `ablate retrain`
    told = about.read_text() if about.exists() else ABOUT_NETWORKS
    if left_out := [name for name in small if name not in kept]:
        limit = f"{LARGEST_NETWORK // 1000} kB"
        told += f"\nLeft out, because they are larger than {limit}: {format_list(left_out)}.\n"
    write_whole(copy / "README.md", told.encode())
