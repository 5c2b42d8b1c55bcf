"""Find a data set of Hugging Face's hub in the two caches of Hugging Face's libraries. Download nothing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ablate.data.class_names import show
from ablate.data.hugging_face import OpenSet, contains_tables, work_offline


def open_from_hub(name: str, config: str | None) -> OpenSet | Path:
    """Find the data set `owner/name` in the caches.

    `load_dataset` stores a data set as Arrow tables in the cache of the `datasets` library. Without network,
    the library reads only this cache. `hf download` stores the files of a data set in the cache of the hub.
    The result is then the folder of these files.

    Raises:
        ValueError: neither cache has the data set, or its configuration is not clear.
    """
    with work_offline(name) as library:
        prepared = _list_prepared(library, name)
        snapshot = _find_snapshot(name)
        if prepared and (config in prepared or config is None or snapshot is None):
            chosen = _choose(name, sorted(prepared), config)
            several = f", configuration {chosen}" if chosen != "default" else ""
            return OpenSet(
                splits=dict(library.load_dataset(name, chosen)),
                told=(f"Read from the cache of Hugging Face's datasets library: {name}{several}.",),
            )
        if snapshot is None:
            raise ValueError(
                f"{name}: is not in the cache of Hugging Face's libraries, and ablate downloads nothing "
                f"from the hub: run hf download {name} --repo-type dataset (HF_HOME names another cache)"
            )
    script = snapshot / f"{name.split('/')[-1]}.py"
    if script.is_file() and not contains_tables(snapshot):
        raise ValueError(
            f"{name}: can only be read by its script {script.name}, which ablate never runs: save its "
            "images as files, in a folder for each class"
        )
    return snapshot


def tell_snapshot(name: str, snapshot: Path) -> str:
    """Write which commit of a data set is in the cache of the hub."""
    return f"Read from the cache of Hugging Face's hub: {name}, commit {snapshot.name[:12]}."


def _list_prepared(library: Any, name: str) -> set[str]:
    """List the configurations that the `datasets` library has in its cache as a whole."""
    from datasets.naming import camelcase_to_snakecase

    *owner, own = name.split("/")
    root = Path(library.config.HF_DATASETS_CACHE, "___".join([*owner, camelcase_to_snakecase(own)]))
    return {config for about in root.glob("*/*/*/dataset_info.json") for config in _read_config(about)}


def _read_config(about: Path) -> Iterator[str]:
    """Yield the configuration's name if its folder has this name.

    Other folders have only the part of a data set that `load_dataset` was asked for by `data_files`.
    """
    folder = about.parts[-4]
    if json.loads(about.read_text(encoding="utf-8")).get("config_name") == folder:
        yield folder


def _find_snapshot(name: str) -> Path | None:
    """Find the folder of a data set's files in the cache of the hub. None if there is none."""
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
