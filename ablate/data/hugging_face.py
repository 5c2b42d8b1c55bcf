"""Copy a Hugging Face data set of images to files with a table of their labels."""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from ablate.cache import locate_cache
from ablate.data.reading_progress import tell_progress
from ablate.data.splits import read_split
from ablate.errors import install_command

MOST_COPIES = 4
"""How many data sets are kept as files. The ones that were copied longest ago are deleted."""


@lru_cache(maxsize=4)
def copy_to_files(name: str) -> Path:
    """Copy a data set to files, and return the path of their table `metadata.jsonl`.

    `name` is a local folder, or a name on the Hub that is in this machine's cache. Nothing is downloaded.

    Raises:
        ValueError: the package `datasets` is missing, or the data set is not there or has no labelled images.
    """
    loaded = _load(name)
    parts = {split: loaded[part] for part in loaded if (split := read_split(part))}
    prints = {split: part._fingerprint for split, part in parts.items()}
    key = hashlib.sha256(json.dumps([name, prints], sort_keys=True).encode()).hexdigest()[:32]
    folder = locate_cache() / "images" / "hugging_face"
    table = folder / key / "metadata.jsonl"
    if not table.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        old = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in old[MOST_COPIES - 1 :]:
            shutil.rmtree(path, ignore_errors=True)
        with tempfile.TemporaryDirectory(dir=folder) as half:
            whole = Path(half, "whole")
            whole.mkdir()
            rows = [row for split, part in parts.items() for row in _copy_part(name, split, part, whole)]
            _write(whole / "metadata.jsonl", "\n".join(map(json.dumps, rows)).encode())
            if not table.is_file():
                shutil.rmtree(table.parent, ignore_errors=True)
                whole.replace(table.parent)
    return table


def _load(name: str) -> Any:
    """Load all parts of a data set without a network."""
    try:
        import datasets
        from huggingface_hub import constants
    except ModuleNotFoundError as error:
        raise ValueError(f"{error.name} is not installed: {install_command('hugging_face')}") from None
    constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True
    datasets.disable_progress_bars()
    try:
        if Path(name).is_dir():
            return datasets.load_dataset("imagefolder", data_dir=name)
        return datasets.load_dataset(name)
    except (OSError, ValueError, datasets.exceptions.DatasetsError) as error:
        told = " ".join(str(error).split())[:200]
        raise ValueError(
            f"{name}: cannot be loaded ({told}): name a local folder, or a data set that "
            "datasets.load_dataset has loaded on this machine"
        ) from None


def _copy_part(name: str, split: str, part: Any, folder: Path) -> Iterator[dict[str, str]]:
    """Write the images of one part, and yield a row of the table for each."""
    import datasets

    kinds = {column: type(feature) for column, feature in part.features.items()}
    images = [column for column, kind in kinds.items() if kind is datasets.Image]
    labels = [column for column, kind in kinds.items() if kind is datasets.ClassLabel]
    labels = labels or [column for column in ("label", "labels", "class") if column in kinds]
    if not images or not labels:
        raise ValueError(f"{name}: needs a column of images and one of labels (it has {', '.join(kinds)})")
    image, label = images[0], labels[0]
    feature = part.features[label]
    (folder / split).mkdir()
    for number, row in enumerate(part.cast_column(image, datasets.Image(decode=False))):
        tell_progress("copying", number, len(part))
        stored = row[image]
        content = stored["bytes"] or Path(stored["path"]).read_bytes()
        ending = os.path.splitext(stored["path"] or "")[1] or ".png"  # noqa: PTH122  # not always a path
        file = f"{split}/{number:07}{ending}"
        _write(folder / file, content)
        text = feature.int2str(row[label]) if kinds[label] is datasets.ClassLabel else str(row[label])
        yield {"file_name": file, "label": text, "split": split}


def _write(path: Path, content: bytes) -> None:
    """Write a file of a folder that gets its final name only when all its files are written."""
    path.write_bytes(content)
