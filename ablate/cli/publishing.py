"""Copy a report folder without its large files, so that the copy is small enough for Git."""

import shutil
from pathlib import Path

import pandas as pd

from ablate.design.runs import make_slug
from ablate.errors import FolderError
from ablate.experiment.retrain import ABOUT, shrink_checkpoint
from ablate.formatting import format_list
from ablate.inspection.networks import TrainedNetworks
from ablate.records.columns import INPUT_TABLES, OPTIONAL_TABLES
from ablate.records.files import write_whole
from ablate.records.folder import list_contexts, read_inputs
from ablate.records.provenance import FILE
from ablate.records.run_records import Phase, Status
from ablate.records.tables import write_table
from ablate.report import writer
from ablate.report.contexts.writer import write_contexts

COPIED_TABLES = [name for name in (*INPUT_TABLES, *OPTIONAL_TABLES) if name != "epochs"]
COPIED = ("study.yaml", FILE, "inside.npz", *(f"tables/{name}.csv" for name in COPIED_TABLES))
"""The files that are copied as they are, if the folder has them."""
NETWORKS_SIZE = 250_000
"""The networks of a copy have at most this many bytes together."""
DIGITS = 4
"""The significant digits of the measured values in a copy's table of training curves."""
ROUNDED = ("train_loss", "train_accuracy", "examples_per_second")
"""The columns with these values. No sentence of the report depends on them."""
ABOUT_NETWORKS = """\
# Trained networks

`ablate publish` made these files from the networks of the first confirmed run of each arm. To make
the files small, the weights are rounded to float16. No number in the report comes from these files.
"""


def publish(source: Path, into: Path) -> Path:
    """Copy a report folder into the folder `into`, and write its report again with pictures only.

    These parts are left out: the records of all runs, the class scores, the points of the training curves
    within an epoch, the SVG files of the figures, and the weights of earlier epochs. Of the networks, the
    baseline's and the most accurate ones are kept, as many as fit into 250 kB. Weights are rounded to
    float16. Training losses, training accuracies and speeds of the curves are rounded to four digits. If
    the copy exists, it is deleted first.

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
    trained = TrainedNetworks(source)
    epochs = trained.tables["epochs"]
    write_table(_round_curves(epochs[epochs["epoch"] % 1 == 0]), copy / "tables" / "epochs.csv")
    _copy_networks(trained, copy / "checkpoints")
    writer.write(copy, static=True)


def _round_curves(epochs: pd.DataFrame) -> pd.DataFrame:
    return epochs.assign(
        **{
            name: epochs[name].map(lambda value: float(f"{value:.{DIGITS}g}"), na_action="ignore")
            for name in ROUNDED
        }
    )


def _copy_networks(networks: TrainedNetworks, copy: Path) -> None:
    left_out: list[str] = []
    size = 0
    for arm in _rank_arms(networks):
        path = networks.folder.locate_checkpoint(make_slug(arm))
        small = shrink_checkpoint(path.read_bytes())
        if size + len(small) > NETWORKS_SIZE:
            left_out.append(arm)
            continue
        size += len(small)
        write_whole(copy / path.name, small)
    if size or left_out:
        about = networks.folder.path / "checkpoints" / ABOUT  # written by `ablate retrain`
        told = about.read_text() if about.exists() else ABOUT_NETWORKS
        if left_out:
            told += (
                f"\nThese networks are left out, because a folder has at most {NETWORKS_SIZE // 1000} kB of "
                f"networks: {format_list(left_out)}. `ablate retrain` trains them again.\n"
            )
        write_whole(copy / ABOUT, told.encode())


def _rank_arms(networks: TrainedNetworks) -> list[str]:
    """List the arms that have a network: first the baseline, then the most accurate arm."""
    runs = networks.tables["runs"]
    confirmed = runs[(runs["phase"] == Phase.CONFIRM) & (runs["status"] == Status.COMPLETE)]
    accuracy = confirmed.groupby("arm")["test_accuracy"].mean().fillna(0.0)
    baseline = networks.arms[0]
    return sorted(networks.arms_with_checkpoint, key=lambda arm: (arm != baseline, -accuracy.get(arm, 0.0)))
