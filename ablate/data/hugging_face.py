"""Open data sets that Hugging Face's `datasets` library wrote. Download nothing, and run no script."""

import contextlib
import glob
import logging
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from ablate.data.class_names import show
from ablate.data.folder_walk import list_endings
from ablate.tqdm_lock import avoid_semaphores

TABLES = (".parquet", ".arrow")
DEEPEST = 3
"""The maximum number of folders between a data set's folder and a table."""
SAVED = (("dataset_dict.json",), ("state.json", "dataset_info.json"))
"""The files that `save_to_disk` writes: first for a `DatasetDict`, then for a single `Dataset`."""
SHARD = re.compile(r"(?P<before>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})(?P<after>.*)")
POINTER = b"version https://git-lfs"


@dataclass(frozen=True, kw_only=True)
class OpenSet:
    """An open data set of the `datasets` library: its rows by split, and sentences about their source."""

    splits: Mapping[str, Any]
    """Maps a split's name to a `Dataset` or `IterableDataset` of the library."""
    told: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)
    """Maps a split's name to its number of rows, if the data set's README or information file states it."""


def was_saved(folder: Path) -> bool:
    """Whether `save_to_disk` wrote the folder."""
    return any(all((folder / name).is_file() for name in names) for names in SAVED)


def open_saved(folder: Path) -> OpenSet:
    """Open a folder that `save_to_disk` wrote.

    Raises:
        ValueError: the library is missing, or the folder is damaged.
    """
    with work_offline(folder) as library:
        _refuse_pattern(folder)
        opened = library.load_from_disk(str(folder))
        splits = dict(opened) if isinstance(opened, dict) else {str(opened.split or "train"): opened}
    return OpenSet(splits=splits, told=("The images are inside a folder that save_to_disk wrote.",))


def open_tables(path: Path, config: str | None, name: str | None = None) -> OpenSet:
    """Open a Parquet or Arrow file, or a folder of such files.

    In a folder, the names of the files tell which split each file belongs to.

    Raises:
        ValueError: the library is missing, a file is damaged, or `config` does not choose one of the
            configurations.
    """
    _refuse_incomplete(path, name)
    with work_offline(name or path) as library:
        _refuse_pattern(path)
        if path.is_file():
            kind = "arrow" if path.suffix.lower() == ".arrow" else "parquet"
            splits = open_files(library, kind, {"train": [str(path)]})
            return OpenSet(splits=splits, told=(f"The images are inside {show(path.name)}.",))
        _refuse_pattern(path, "*?[]")
        config = _choose_config(name or str(path), library.get_dataset_config_names(str(path)), config, path)
        with tempfile.TemporaryDirectory() as scratch:
            splits = dict(library.load_dataset(str(path), config, streaming=True, cache_dir=scratch))
        counts = _count_listed(path, splits, name)
    several = f", configuration {config}" if config not in (None, "default") else ""
    return OpenSet(splits=splits, told=(f"The images are inside tables{several}.",), counts=counts)


def open_files(library: Any, kind: str, files: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Open the files of each split, all of one kind (`arrow` or `parquet`). Call this inside `work_offline`.

    Streaming reads the files where they are. Without streaming, the library copies all files to its cache.
    """
    patterns = {split: [glob.escape(file) for file in of_split] for split, of_split in files.items()}
    with tempfile.TemporaryDirectory() as scratch:
        return dict(library.load_dataset(kind, data_files=patterns, streaming=True, cache_dir=scratch))


@contextlib.contextmanager
def work_offline(place: str | Path) -> Iterator[Any]:
    """Import the `datasets` library and yield it. In this context, the library is offline and prints nothing.

    Raises:
        ValueError: the library is not installed, or cannot read the data set at `place`.
    """
    try:
        import datasets
        from huggingface_hub import constants
    except ImportError:
        raise ValueError(
            f"{show(place)}: reading it needs Hugging Face's datasets library: "
            "pip install 'ablate-studies[huggingface]'"
        ) from None
    config = datasets.config
    offline = {config: ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE"), constants: ("HF_HUB_OFFLINE",)}
    before = [(module, name, getattr(module, name)) for module, names in offline.items() for name in names]
    avoid_semaphores()
    bars, level = datasets.is_progress_bar_enabled(), datasets.logging.get_verbosity()
    try:
        for module, name, _ in before:
            setattr(module, name, True)
        datasets.disable_progress_bars()
        datasets.logging.set_verbosity(logging.CRITICAL)
        yield datasets
    except (_get_library_error(), OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
        if isinstance(error, ValueError) and str(error).startswith(show(place)):
            raise
        raise ValueError(f"{show(place)}: cannot be read ({_shorten(error)})") from None
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        datasets.logging.set_verbosity(level)
        if bars:
            datasets.enable_progress_bars()


def _refuse_pattern(path: Path, signs: str = "") -> None:
    """Refuse a path that the library would read as a pattern for several folders, or as an archive.

    Raises:
        ValueError: the path contains `::` or one of the signs.
    """
    whole = os.path.abspath(path)  # noqa: PTH100  # the library does not resolve links, so neither do we
    for sign in ("::", *signs):
        if sign in whole:
            raise ValueError(
                f"{show(path)}: the datasets library cannot read folders with {sign} in their path: "
                "rename the folder"
            )


def _get_library_error() -> type[Exception]:
    error: type[Exception] = import_module("datasets.exceptions").DatasetsError
    return error


def _shorten(error: BaseException) -> str:
    """Write the first cause of an error of the library in one line.

    If it has no cause, write the error itself.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(f"{type(error).__name__}: {error}".split())


def _choose_config(name: str, known: list[str], config: str | None, path: Path) -> str | None:
    """Return the configuration that the study names, or else the only one or the default one.

    Return None if the data set has no configurations.

    Raises:
        ValueError: the study names a configuration that does not exist, or the study must choose one of
            several configurations.
    """
    if config in known:
        return config
    if config is None and len(known) < 2:
        return known[0] if known else None
    default = import_module("datasets").get_dataset_default_config_name(str(path))
    if config is None and default:
        return str(default)
    problem = "has several configurations" if config is None else f"has no configuration {config}"
    raise ValueError(f"{show(name)}: {problem}: choose one with config: {' or '.join(known)}")


def _refuse_incomplete(path: Path, name: str | None) -> None:
    """Refuse a data set if some of its files are missing, or are only pointers of Git LFS.

    Raises:
        ValueError: a file is missing. The library would silently read only the other files.
    """
    remedy = _get_remedy(name)
    files = [path] if path.is_file() else sorted(one for one in path.rglob("*") if one.suffix in TABLES)
    for file in files:
        if not file.exists():
            raise ValueError(f"{show(file)}: is a broken link{remedy}")
        with file.open("rb") as opened:
            if opened.read(len(POINTER)) == POINTER:
                raise ValueError(f"{show(file)}: is a pointer of Git LFS, not the table: run git lfs pull")
        if not path.is_file() and (found := SHARD.fullmatch(file.name)):
            for number in range(int(found["count"])):
                shard = f"{found['before']}-{number:05}-of-{found['count']}"
                if not any(other.name.startswith(shard) for other in files if other.parent == file.parent):
                    raise ValueError(f"{show(file.parent)}: the part {shard} is missing{remedy}")


def _count_listed(path: Path, splits: Mapping[str, Any], name: str | None) -> dict[str, int]:
    """Return how many rows each split has according to the data set's README.

    Raises:
        ValueError: a split is missing. The library would silently read only the other splits.
    """
    listed = next(iter(splits.values())).info.splits or {}
    for split in listed:
        if split not in splits:
            raise ValueError(
                f"{show(name or path)}: the split {split}, which its README lists, is missing"
                f"{_get_remedy(name)}"
            )
    return {split: about.num_examples for split, about in listed.items() if about.num_examples}


def _get_remedy(name: str | None) -> str:
    return f": run hf download {name} --repo-type dataset" if name else ": add it"


def contains_tables(folder: Path) -> bool:
    """Whether the images of a folder are inside tables.

    The alternative is one folder of image files per class.
    """
    tables, with_images = False, set()
    for at, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        if len(Path(at).relative_to(folder).parts) >= DEEPEST:
            below.clear()
        endings = {Path(name).suffix.lower() for name in names if not name.startswith((".", "metadata."))}
        tables = tables or not endings.isdisjoint(TABLES)
        if not endings.isdisjoint(list_endings()):
            with_images.add(at)
            if len(with_images) > 1:
                return False
    return tables


def is_table_with_images(file: Path) -> bool:
    """Whether a file is a Parquet or Arrow table that contains images, and not only the paths of images."""
    if file.suffix.lower() == ".arrow":
        return True
    if file.suffix.lower() not in (".parquet", ".pq"):
        return False
    try:
        from pyarrow import ArrowException, parquet, types
    except ImportError:
        return False
    try:
        schema = parquet.read_schema(file)
    except (ArrowException, OSError):
        return False
    kinds = [
        kind
        for one in schema
        for kind in ([f.type for f in one.type] if types.is_struct(one.type) else [one.type])
    ]
    return any(types.is_binary(kind) or types.is_large_binary(kind) for kind in kinds)
