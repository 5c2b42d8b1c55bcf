"""Data is the official data or none at all; splits are stratified, disjoint and a function of the seed."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from ablate.data import loading, sources
from ablate.data.datasets import find_dataset
from ablate.errors import DataError
from tests.cpu import CPU


@pytest.fixture
def tiny_fashion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A made-up Fashion-MNIST of 50 + 20 images in torchvision's layout, taken for the official one."""
    folder = tmp_path / "data" / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    sums = []
    for file, count in zip(sources.FILES, (50, 50, 20, 20), strict=True):
        if "images" in file:
            header, body = [0, 0, 8, 3], rng.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        else:
            header, body = [0, 0, 8, 1], (np.arange(count) % 10).astype(np.uint8)
        content = bytes(header) + np.array(body.shape, ">u4").tobytes() + body.tobytes()
        sums.append(hashlib.sha256(content).hexdigest())
        (folder / f"{file}.gz").write_bytes(gzip.compress(content))
    monkeypatch.setitem(sources.SHA256, "fashion_mnist", tuple(sums))
    monkeypatch.setattr(sources, "_locate_cache", lambda: tmp_path / "cache")
    monkeypatch.delenv("ABLATE_DATA", raising=False)
    loading._load_cached.cache_clear()
    return tmp_path / "data"


def test_digits_are_1437_and_360_images_of_28_by_28(digits) -> None:
    assert digits.images.shape == (1437, 1, 28, 28)
    assert digits.test_images.shape == (360, 1, 28, 28)
    assert (digits.images.min(), digits.images.max()) == (0, 1)
    assert torch.bincount(digits.test_labels).min() >= 34


def test_files_are_read_as_they_are_written(tiny_fashion: Path) -> None:
    loaded = loading.load(
        find_dataset("fashion_mnist"),
        sources.find_root(find_dataset("fashion_mnist"), tiny_fashion, download=False),
        CPU,
    )
    assert loaded.images.shape == (50, 1, 28, 28)
    assert loaded.test_labels.tolist() == [i % 10 for i in range(20)]
    pixels = np.random.default_rng(0).integers(0, 256, (50, 28, 28), dtype=np.uint8)
    assert torch.equal(loaded.images[:, 0], torch.from_numpy(pixels.astype(np.float32) / 255))


def test_unpacked_files_serve_as_well(tiny_fashion: Path) -> None:
    for packed in tiny_fashion.rglob("*.gz"):
        packed.with_suffix("").write_bytes(gzip.decompress(packed.read_bytes()))
        packed.unlink()
    assert (
        len(
            loading.load(
                find_dataset("fashion_mnist"),
                sources.find_root(find_dataset("fashion_mnist"), tiny_fashion, download=False),
                CPU,
            ).labels
        )
        == 50
    )


def test_data_is_looked_for_on_the_command_line_then_in_the_environment(
    tiny_fashion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sources.find_root(find_dataset("fashion_mnist"), None, download=False) is None
    monkeypatch.setenv("ABLATE_DATA", str(tiny_fashion))
    assert sources.find_root(find_dataset("fashion_mnist"), None, download=False) == tiny_fashion
    (tmp_path / "empty").mkdir()
    assert (
        sources.find_root(find_dataset("fashion_mnist"), tmp_path / "empty", download=False) == tiny_fashion
    )
    with pytest.raises(DataError, match="no such folder"):
        sources.find_root(find_dataset("fashion_mnist"), tmp_path / "nowhere", download=False)


@pytest.mark.parametrize("fault", ["torn", "other bytes", "not gzip"])
def test_a_file_that_is_not_the_official_one_is_never_trained_on(tiny_fashion: Path, fault: str) -> None:
    path = tiny_fashion / "FashionMNIST" / "raw" / f"{sources.FILES[0]}.gz"
    whole = path.read_bytes()
    other = bytearray(gzip.decompress(whole))
    other[100] ^= 1
    path.write_bytes(
        {"torn": whole[:-20], "other bytes": gzip.compress(bytes(other)), "not gzip": b"hello"}[fault]
    )
    with pytest.raises(DataError, match=f"{sources.FILES[0]}.*fetch it again"):
        loading.load(find_dataset("fashion_mnist"), tiny_fashion, CPU)


@pytest.mark.parametrize("fault", ["refused", "half a file"])
def test_a_download_that_fails_leaves_nothing_behind(
    tiny_fashion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    class Mirror:
        @staticmethod
        def FashionMNIST(root: str, *, download: bool) -> None:  # noqa: N802
            assert download
            if fault == "refused":
                raise OSError("no route to host")
            folder = Path(root, "FashionMNIST", "raw")
            folder.mkdir(parents=True)
            (folder / sources.FILES[0]).write_bytes(b"half")

    monkeypatch.setattr(sources, "import_torchvision_datasets", lambda: Mirror)
    assert sources.find_root(find_dataset("fashion_mnist"), None, download=True) is None
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_download_that_succeeds_is_kept(
    tiny_fashion: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Mirror:
        @staticmethod
        def FashionMNIST(root: str, *, download: bool) -> None:  # noqa: N802
            (tiny_fashion / "FashionMNIST").rename(Path(root, "FashionMNIST"))

    monkeypatch.setattr(sources, "import_torchvision_datasets", lambda: Mirror)
    assert sources.find_root(find_dataset("fashion_mnist"), None, download=True) == tmp_path / "cache"
    assert sources.find_root(find_dataset("fashion_mnist"), None, download=False) == tmp_path / "cache"


def test_torchvision_can_be_imported_beside_this_torch() -> None:
    assert hasattr(sources.import_torchvision_datasets(), "FashionMNIST")


def test_a_split_is_disjoint_complete_and_stratified(digits) -> None:
    train, held_out = loading.split(digits.labels, 240, seed=3)
    assert (len(train), len(held_out)) == (1197, 240)
    assert sorted([*train.tolist(), *held_out.tolist()]) == list(range(1437))
    share = torch.bincount(digits.labels[held_out]) / torch.bincount(digits.labels)
    assert share.sub(240 / 1437).abs().max() < 0.01


def test_a_split_is_a_function_of_the_seed(digits) -> None:
    assert torch.equal(loading.split(digits.labels, 240, 3)[1], loading.split(digits.labels, 240, 3)[1])
    assert not torch.equal(loading.split(digits.labels, 240, 3)[1], loading.split(digits.labels, 240, 4)[1])


def test_nothing_held_out_means_everything_is_trained_on(digits) -> None:
    train, held_out = loading.split(digits.labels, 0, seed=3)
    assert (len(train), len(held_out)) == (1437, 0)


def test_the_real_fashion_mnist_has_the_documented_mean_and_spread(real_data: Path) -> None:
    loaded = loading.load(
        find_dataset("fashion_mnist"),
        sources.find_root(find_dataset("fashion_mnist"), real_data, download=False),
        CPU,
    )
    assert len(loaded.labels) == 60_000
    assert loaded.images.mean().item() == pytest.approx(0.2860, abs=5e-5)
    assert loaded.images.std().item() == pytest.approx(0.3530, abs=5e-5)
