"""Data sets of Hugging Face's hub that are in the caches of its libraries. Nothing is downloaded, and no script is run."""

from pathlib import Path
from typing import Any

import pytest

from ablate.data.datasets import DatasetSpec
from ablate.data.images import Images
from ablate.data.own_images import read_own_images
from tests.faults.test_hugging_face import library, make, own_cache, save_tables
from tests.faults.test_images import fill

__all__ = ["library", "own_cache"]
pytestmark = pytest.mark.huggingface
NAME = "someone/tiny-Squares"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def home(library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Caches of this test alone."""
    from huggingface_hub import constants

    monkeypatch.setattr(library.config, "HF_DATASETS_CACHE", tmp_path / "datasets")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path


def prepare(library: Any, home: Path, config: str, revision: str = COMMIT, **splits: Any) -> None:
    """Write the cache of the `datasets` library as `load_dataset` does when it downloads from the hub."""
    from datasets.data_files import DataFilesDict
    from datasets.load import configure_builder_class
    from datasets.naming import camelcase_to_snakecase
    from datasets.packaged_modules.parquet.parquet import Parquet, ParquetConfig

    tables = save_tables(home / f"from-{config}-{revision}", **splits)
    files = DataFilesDict.from_patterns(
        {name: [f"{name}-*.parquet"] for name in splits}, base_path=str(tables)
    )
    configs = [ParquetConfig(name=config, data_files=files)]
    owner, own = NAME.split("/")
    own = camelcase_to_snakecase(own)
    builder = configure_builder_class(Parquet, configs, config, own)
    builder(
        cache_dir=str(home / "made"), dataset_name=own, config_name=config, hash=revision
    ).download_and_prepare()
    # Only files on the hub may be prepared under an owner's name.
    (home / "datasets" / f"{owner}___{own}").mkdir(parents=True, exist_ok=True)
    (home / "made" / own / config).rename(home / "datasets" / f"{owner}___{own}" / config)


def lay_out_snapshot(home: Path, commit: str = COMMIT) -> Path:
    """Make the folders of the hub's cache, and return the folder for the files."""
    below = home / "hub" / f"datasets--{NAME.replace('/', '--')}"
    (below / "refs").mkdir(parents=True, exist_ok=True)
    (below / "refs" / "main").write_text(commit)
    (below / "snapshots" / commit).mkdir(parents=True)
    return below / "snapshots" / commit


def name_set(**settings: object) -> DatasetSpec:
    return DatasetSpec.model_validate({"name": "hub", "path": NAME, **settings})


def read(**settings: object) -> Images:
    return read_own_images(name_set(**settings))


def test_a_data_set_that_load_dataset_prepared_is_read(library: Any, home: Path) -> None:
    """- https://github.com/huggingface/datasets/issues/3547: without network, a data set in the cache was not found. Right before."""
    prepare(library, home, "plain", train=make(library), test=make(library, 2, first=9))
    found = read()
    assert (len(found.images), len(found.test_images), found.classes) == (12, 4, ("left", "right"))
    assert found.read_as[0].startswith(f"{NAME}: 2 classes with 16 images")
    told = f"Read from the cache of Hugging Face's datasets library: {NAME}, configuration plain."
    assert told in found.read_as
    assert "train is for training, test for testing." in found.read_as


def test_a_cache_is_only_read(library: Any, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """
    - https://github.com/huggingface/datasets/issues/6589: a shared cache could not be read, because of its lock. Mended.
    - https://github.com/huggingface/datasets/issues/7900: a cache of several users could not be read, because of its lock. Mended.
    - https://github.com/unslothai/unsloth/pull/6148: a run ended, because another user owned a part of the cache. Mended.
    """
    prepare(library, home, "plain", train=make(library))
    save_tables(lay_out_snapshot(home), train=make(library, 7))
    before = sorted(home.rglob("*"))
    assert name_set().facts.train_images == 10
    (home / "datasets").rename(home / "elsewhere")
    assert name_set().facts.train_images == 12
    (home / "elsewhere").rename(home / "datasets")
    assert sorted(home.rglob("*")) == before


def test_a_missing_file_of_a_prepared_data_set_is_told(library: Any, home: Path) -> None:
    prepare(library, home, "plain", train=make(library), test=make(library, 2))
    next(home.glob("datasets/*/plain/*/*/*-test.arrow")).unlink()
    with pytest.raises(
        ValueError, match=r"someone/tiny-Squares: cannot be read \(FileNotFoundError.*-test\.arrow"
    ):
        name_set()


def test_several_configurations_in_the_cache_are_told(library: Any, home: Path) -> None:
    """
    - https://github.com/huggingface/datasets/issues/7359: with several configurations, the default was not found. Mended.
    - https://github.com/huggingface/datasets/issues/6580: one configuration was read in place of another. Right before.
    """
    prepare(library, home, "plain", train=make(library))
    prepare(library, home, "dark", revision="f" * 40, train=make(library, 7))
    with pytest.raises(
        ValueError, match="has several configurations in the cache: choose one with config: dark or plain"
    ):
        name_set()
    with pytest.raises(
        ValueError, match="has no configuration darker in the cache: choose one with config: dark or"
    ):
        name_set(config="darker")
    sizes = [name_set(config=config).facts.train_images for config in ("plain", "dark")]
    assert sizes == [10, 12]


def test_downloaded_files_are_read_although_the_library_does_not_find_them(library: Any, home: Path) -> None:
    """
    - https://github.com/vllm-project/vllm-omni/pull/6276: files of `hf download` are in another cache than that of `load_dataset`. Mended.
    """
    save_tables(lay_out_snapshot(home) / "data", train=make(library), test=make(library, 2, first=9))
    found = read()
    assert (len(found.images), len(found.test_images)) == (12, 4)
    assert f"Read from the cache of Hugging Face's hub: {NAME}, commit 0123456789ab." in found.read_as
    before = name_set().found
    save_tables(
        lay_out_snapshot(home, "f" * 40) / "data", train=make(library), test=make(library, 2, first=9)
    )
    assert name_set().found == before
    save_tables(lay_out_snapshot(home, "e" * 40), train=make(library), test=make(library, 2, first=10))
    assert name_set().found != before


def test_downloaded_folders_of_classes_are_read_like_other_folders(home: Path) -> None:
    """- https://github.com/huggingface/datasets/issues/7880: names of parts were taken for names of classes. Right before."""
    snapshot = lay_out_snapshot(home)
    fill(snapshot / "train")
    fill(snapshot / "test", first=9)
    (snapshot / "README.md").write_text("# Squares\n")
    found = read()
    assert (len(found.images), len(found.test_images), found.classes) == (10, 10, ("left", "right"))
    assert "train is for training, test for testing." in found.read_as
    assert f"Read from the cache of Hugging Face's hub: {NAME}, commit 0123456789ab." in found.read_as


README = """\
---
configs:
- config_name: plain
  data_files: [{split: train, path: plain/train-*}, {split: test, path: plain/test-*}]
- config_name: dark
  data_files: [{split: train, path: dark/train-*}]
---
"""


def test_configurations_of_downloaded_files_are_told(library: Any, home: Path) -> None:
    snapshot = lay_out_snapshot(home)
    (snapshot / "README.md").write_text(README)
    save_tables(snapshot / "plain", train=make(library), test=make(library, 2, first=9))
    save_tables(snapshot / "dark", train=make(library, 7))
    with pytest.raises(ValueError, match="has several configurations: choose one with config: plain or dark"):
        name_set()
    with pytest.raises(
        ValueError, match="has no configuration darker: choose one with config: plain or dark"
    ):
        name_set(config="darker")
    assert name_set(config="plain").facts.train_images == 12
    assert "configuration dark" in " ".join(read(config="dark").read_as)


LISTED = """\
---
dataset_info:
  features: [{name: image, dtype: image}, {name: label, dtype: {class_label: {names: {'0': left, '1': right}}}}]
  splits: [{name: train, num_examples: ROWS}, {name: test, num_examples: 4}]
---
"""


@pytest.mark.parametrize("case", ["split", "rows", "link", "damaged"])
def test_an_incomplete_download_is_told(case: str, library: Any, home: Path) -> None:
    """
    - https://github.com/huggingface/datasets/issues/5264: the error about a broken download did not name the file. Mended.
    - https://github.com/huggingface/lerobot/issues/2268: the error about a damaged table did not name the cause. Mended.
    """
    snapshot = lay_out_snapshot(home)
    splits = {"train": make(library)} | ({} if case == "split" else {"test": make(library, 2, first=9)})
    (snapshot / "README.md").write_text(LISTED.replace("ROWS", "24" if case == "rows" else "12"))
    save_tables(snapshot / "data", **splits)
    table = snapshot / "data" / "train-00000-of-00001.parquet"
    if case in ("link", "damaged"):
        table.unlink()
    if case == "link":
        table.symlink_to(home / "blobs" / "gone")
    elif case == "damaged":
        table.write_bytes(b"PAR1")
    told = {
        "split": "the split test, which its README lists, is missing: run hf download someone/tiny-Squares --repo-type dataset",
        "rows": "train: has 12 rows, but its README lists 24: download it again",
        "link": "is a broken link: run hf download",
        "damaged": r"cannot be read \(.*arquet",
    }
    with pytest.raises(ValueError, match=told[case]):
        name_set()


@pytest.mark.parametrize("case", ["nothing", "script", "part"])
def test_a_data_set_that_is_not_in_the_cache_is_told_in_one_line(case: str, library: Any, home: Path) -> None:
    """
    - https://github.com/huggingface/datasets/issues/4760: a part that was chosen by `data_files` was not found again. Mended.
    - https://github.com/huggingface/datasets/issues/1939: without a network, the library waited for the network. Right before.
    """
    if case == "script":
        (lay_out_snapshot(home) / "tiny-Squares.py").write_text("raise SystemExit('the script ran')")
    elif case == "part":
        prepare(library, home, "plain", train=make(library))
        whole = next((home / "datasets").glob("*/plain"))
        whole.rename(whole.with_name("plain-1e725f978350254e"))
    with pytest.raises(ValueError, match=r"can only be read by its script|run hf download") as error:
        name_set()
    (one,) = error.value.errors()  # type: ignore[attr-defined]
    assert one["msg"].startswith(f"Value error, {NAME}: ")
    assert "\n" not in one["msg"]


@pytest.mark.parametrize("name", ["../someone", "a/b/c", "", "https://a/b", "hub"])
def test_only_a_name_of_the_hub_is_accepted(name: str) -> None:
    with pytest.raises(ValueError, match=r"write \{name: hub, path: owner/name\}|is not in the cache"):
        name_set(path=name)
    with pytest.raises(ValueError, match=r"did you mean \{name: hub, path: ylecun/mnist\}\?"):
        DatasetSpec.model_validate("ylecun/mnist")


def test_the_progress_bars_of_the_library_leave_no_semaphores(
    library: Any, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tqdm import tqdm
    from tqdm.std import TqdmDefaultWriteLock

    save_tables(lay_out_snapshot(home), train=make(library))
    monkeypatch.delattr(tqdm, "_lock", raising=False)
    read()
    assert not isinstance(tqdm.get_lock(), TqdmDefaultWriteLock)
