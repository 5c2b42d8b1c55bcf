"""Find a data set of Hugging Face's hub in the two caches of Hugging Face's libraries. Download nothing."""

import json
from pathlib import Path
from typing import Any

from ablate.data.class_names import show
from ablate.data.hugging_face import OpenSet, contains_tables, open_files, work_offline


def open_from_hub(name: str, config: str | None) -> OpenSet | Path:
    """Open the tables of the data set `owner/name`, or return the folder of its files.

    There are two caches. `load_dataset` stores a data set as Arrow tables in the cache of the `datasets`
    library. The function searches this cache first. If the data set is there, the function opens its tables.
    `hf download` stores a data set's files in the cache of the hub. If only the hub's cache has the data set,
    the function returns the folder of the files.

    Raises:
        ValueError: neither cache has the data set, `config` does not choose one of its configurations, or the
            data set can only be read by a script.
    """
    with work_offline(name) as library:
        prepared = _list_prepared(library, name)
        snapshot = _find_snapshot(name)
        if prepared and (config in prepared or config is None or snapshot is None):
            chosen = _choose(name, sorted(prepared), config)
            return _open_prepared(library, name, chosen, prepared[chosen])
        if snapshot is None:
            raise ValueError(
                f"{name}: is not in the cache of Hugging Face's libraries, and ablate downloads nothing "
                f"from the hub: run hf download {name} --repo-type dataset (or set HF_HOME to another cache)"
            )
    script = snapshot / f"{name.split('/')[-1]}.py"
    if script.is_file() and not contains_tables(snapshot):
        raise ValueError(
            f"{name}: can only be read by its script {script.name}, which ablate never runs: save its "
            "images as files, in a folder for each class"
        )
    return snapshot


def tell_snapshot(name: str, snapshot: Path) -> str:
    """Write a sentence that says which commit of a data set is in the cache of the hub."""
    return f"Read from the cache of Hugging Face's hub: {name}, commit {snapshot.name[:12]}."


def _open_prepared(library: Any, name: str, config: str, folder: Path) -> OpenSet:
    """Open the tables of one configuration in the cache of the `datasets` library.

    `load_dataset` is not used, because it writes a lock into the cache. A shared cache is often read-only.
    """
    from datasets.naming import filenames_for_dataset_split

    listed = _read_about(folder).get("splits") or {}
    files = {
        split: filenames_for_dataset_split(
            str(folder),
            dataset_name=about["dataset_name"],
            split=split,
            filetype_suffix="arrow",
            shard_lengths=about.get("shard_lengths"),
        )
        for split, about in listed.items()
    }
    several = f", configuration {config}" if config != "default" else ""
    return OpenSet(
        splits=open_files(library, "arrow", files),
        told=(f"Read from the cache of Hugging Face's datasets library: {name}{several}.",),
        counts={split: about["num_examples"] for split, about in listed.items()},
    )


def _list_prepared(library: Any, name: str) -> dict[str, Path]:
    """Map each configuration of a data set in the cache of the `datasets` library to its newest folder."""
    from datasets.naming import camelcase_to_snakecase

    *owner, own = name.split("/")
    root = Path(library.config.HF_DATASETS_CACHE, "___".join([*owner, camelcase_to_snakecase(own)]))
    folders = [about.parent for about in root.glob("*/*/*/dataset_info.json")]
    return {
        folder.parts[-3]: folder
        for folder in sorted(folders, key=lambda folder: folder.stat().st_mtime)
        # A folder with another name contains only a part of the data set, because a user called
        # `load_dataset` with `data_files`.
        if _read_about(folder).get("config_name") == folder.parts[-3]
    }


def _read_about(folder: Path) -> dict[str, Any]:
    about: dict[str, Any] = json.loads((folder / "dataset_info.json").read_text(encoding="utf-8"))
    return about


def _find_snapshot(name: str) -> Path | None:
    """Find the folder of a data set's files in the cache of the hub.

    If the data set is not there, return None.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, repo_type="dataset", local_files_only=True))
    except LocalEntryNotFoundError:
        return None


def _choose(name: str, known: list[str], config: str | None) -> str:
    if config in known:
        return config
    if config is None and len(known) == 1:
        return known[0]
    problem = f"has no configuration {config}" if config else "has several configurations"
    raise ValueError(
        f"{name}: {problem} in the cache: choose one with config: {' or '.join(map(show, known))}"
    )
