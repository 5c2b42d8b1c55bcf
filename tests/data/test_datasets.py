"""A person's own images are counted, split, decoded and recognised when they change; known sets go by name."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from ablate.data import by_torchvision, contents, image_cache, image_folders, loading, sources
from ablate.data.datasets import DATASETS, DatasetSpec, find_dataset
from ablate.data.image_folders import list_image_folder
from ablate.data.own_images import read_own_images
from ablate.data.picture_facts import PictureFacts
from ablate.errors import DataError, StudyError
from ablate.study import study_file
from tests.conftest import SMALL
from tests.cpu import CPU

FACTS = PictureFacts(
    width=3,
    height=2,
    mode="L",
    frames=1,
    alpha=False,
    kind="8 bit",
    low=0,
    high=255,
    levels=3,
    inverted=False,
    sha256="b" * 64,
)


def paint(path: Path, colour: tuple[int, int, int], size: tuple[int, int] = (20, 12)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour).save(path)


@pytest.fixture
def leaves(tmp_path: Path) -> Path:
    """Ten green and ten brown images, a fifth of each to test on."""
    for i in range(10):
        paint(tmp_path / "leaves" / "green" / f"{i}.png", (0, 200 + i, 0))
        paint(tmp_path / "leaves" / "brown" / f"{i}.JPG", (120 + i, 60, 20))
    (tmp_path / "leaves" / "notes.txt").write_text("no image")
    return tmp_path / "leaves"


def spec_of(path: Path, **settings: object) -> DatasetSpec:
    return DatasetSpec.model_validate({"name": "folder", "path": str(path), **settings})


def test_every_fifth_image_of_a_class_is_to_test_on(leaves: Path) -> None:
    found = list_image_folder(leaves)
    assert found.classes == ("brown", "green")
    assert [file.name for file, _ in found.test] == ["4.JPG", "9.JPG", "4.png", "9.png"]
    assert len(found.train) == 16
    assert not set(found.train) & set(found.test)


def test_a_folder_of_test_images_is_taken_as_it_is(tmp_path: Path) -> None:
    for part, count in (("train", 3), ("test", 2)):
        for i in range(count):
            paint(tmp_path / part / "a" / f"{i}.png", (9, 9, 9))
            paint(tmp_path / part / "b" / f"{i}.png", (99, 9, 9))
    found = list_image_folder(tmp_path)
    assert (len(found.train), len(found.test)) == (6, 4)


def test_a_folder_knows_its_counts_shape_and_classes_before_it_is_loaded(leaves: Path) -> None:
    facts = spec_of(leaves, size=24, grey=True).facts
    assert (facts.train_images, facts.test_images, facts.classes) == (16, 4, 2)
    assert facts.image_shape == (1, 24, 24)
    assert facts.compute_shape(32) == (1, 32, 32)
    assert str(spec_of(leaves)) == "leaves"


def test_images_are_decoded_to_one_size_in_colour_or_grey(leaves: Path) -> None:
    loaded = loading.load(spec_of(leaves, size=8), None, CPU)
    assert loaded.images.shape == (16, 3, 8, 8)
    assert loaded.test_images.shape == (4, 3, 8, 8)
    assert loaded.labels.tolist() == [0] * 8 + [1] * 8
    green = loaded.images[loaded.labels == 1]
    assert torch.equal(green[0], torch.tensor([0, 200 / 255, 0])[:, None, None].expand(3, 8, 8))
    grey = loading.load(spec_of(leaves, size=8, grey=True), None, CPU)
    assert grey.images.shape == (16, 1, 8, 8)
    assert loaded.classes == ("brown", "green")


def test_changed_images_are_other_data_and_are_not_trained_on(leaves: Path) -> None:
    before = spec_of(leaves)
    paint(leaves / "green" / "0.png", (1, 2, 3))
    assert spec_of(leaves) != before
    contents._latest.clear()  # as in a later command, or in a worker
    with pytest.raises(DataError, match="has changed since the study was read"):
        loading.load(before, None, CPU)


def test_images_are_listed_once_if_earlier_commands_decoded_them(leaves: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(leaves.parent / "cache"))
    walks: list[Path] = []
    walk = image_folders.walk
    monkeypatch.setattr(image_folders, "walk", lambda root: (walks.append(root), walk(root))[1])
    first = read_own_images(spec_of(leaves))
    assert len(walks) == 2  # listed again before decoding: the folder must not have changed
    again = read_own_images(spec_of(leaves))
    assert len(walks) == 3
    assert torch.equal(again.images, first.images)
    assert (again.read_as, again.cautions) == (first.read_as, first.cautions)


def test_changed_images_are_decoded_although_this_process_listed_others(leaves: Path) -> None:
    before = read_own_images(spec_of(leaves))
    paint(leaves / "green" / "0.png", (1, 2, 3))
    after = read_own_images(spec_of(leaves))
    assert not torch.equal(before.images, after.images)


def test_facts_that_an_earlier_version_stored_are_read(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    image_cache.store_facts({"a" * 64: FACTS}, "white")
    with image_cache._open() as database:
        database.execute("UPDATE pictures SET facts = ?", [json.dumps(FACTS._asdict())])
    assert image_cache.read_facts(["a" * 64], "white") == {"a" * 64: FACTS}


def test_a_resolved_study_does_not_need_the_images_any_more(leaves: Path, tmp_path: Path) -> None:
    text = SMALL.replace("dataset: digits", f"dataset: {{name: folder, path: {leaves}}}")
    (tmp_path / "own.yaml").write_text(text.replace("validation: 240", "validation: 4"))
    spec = study_file.read(tmp_path / "own.yaml")
    (tmp_path / "resolved.yaml").write_text(study_file.dump(spec))
    leaves.rename(leaves.with_name("elsewhere"))
    assert study_file.read(tmp_path / "resolved.yaml").dataset == spec.dataset


INVALID = {
    "an unknown name": ("fashon_mnist", "'fashon_mnist' is not known: did you mean 'fashion_mnist'"),
    "more than a name": ({"name": "mnist", "size": 3}, "mnist takes no other keys than its name"),
    "no path": ({"name": "folder"}, "a folder needs its path"),
    "no such folder": ({"name": "folder", "path": "/nowhere/at/all"}, "/nowhere/at/all: no such folder"),
    "no name": ({"path": "x"}, "is not a data set: write a name"),
    "a number": (3, "3 is not a data set"),
    "no size": ({"name": "folder", "path": "x", "size": 0}, "greater than or equal to 1"),
    "another key": ({"name": "folder", "path": "x", "sise": 9}, "sise"),
}


@pytest.mark.parametrize(("raw", "told"), INVALID.values(), ids=INVALID)
def test_what_is_no_data_set_is_told(raw: object, told: str) -> None:
    with pytest.raises(ValidationError) as error:
        DatasetSpec.model_validate(raw)
    assert told in str(error.value)


def test_a_study_names_file_and_line_of_a_wrong_data_set(tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(
        SMALL.replace("dataset: digits", "dataset: {name: folder, path: nowhere}")
    )
    with pytest.raises(StudyError, match=r"own\.yaml:3: dataset: nowhere: no such folder"):
        study_file.read(tmp_path / "own.yaml")


def test_a_folder_without_two_classes_is_refused(tmp_path: Path) -> None:
    for i in range(6):
        paint(tmp_path / "alone" / f"{i}.png", (1, 1, 1))
    with pytest.raises(ValueError, match="does not contain a folder of images for each class"):
        list_image_folder(tmp_path)


@pytest.mark.parametrize("name", ["=cmd()", "-1", "+x"])
def test_a_class_that_a_spreadsheet_would_run_is_refused(tmp_path: Path, name: str) -> None:
    paint(tmp_path / name / "0.png", (1, 1, 1))
    with pytest.raises(ValueError, match="spreadsheet formula"):
        list_image_folder(tmp_path)


def test_a_file_that_is_no_image_is_named(leaves: Path) -> None:
    (leaves / "green" / "3.png").write_bytes(b"no image at all")
    with pytest.raises(DataError, match=r"3\.png: cannot be read as an image"):
        loading.load(spec_of(leaves), None, CPU)


def test_images_are_resized_once_and_kept(digits) -> None:
    small = loading.load(find_dataset("digits"), None, CPU, 14)
    assert small.images.shape == (1437, 1, 14, 14)
    assert small.test_images.shape == (360, 1, 14, 14)
    assert loading.load(find_dataset("digits"), None, CPU, 14) is small
    # Averages over what falls together, so the mean stays.
    assert float(small.images.mean()) == pytest.approx(float(digits.images.mean()), abs=2e-3)
    same = loading.load(find_dataset("digits"), None, CPU, 28)
    assert same.images is loading.load(find_dataset("digits"), None, CPU).images


class TorchvisionSet:
    """Reads as torchvision's classes do; five images of CIFAR's kind."""

    classes = ("plane", "car")

    def __init__(self, root: Path, train: bool = True, download: bool = False) -> None:
        if not (Path(root) / "here").exists():
            raise RuntimeError("Dataset not found or corrupted")
        self.data = np.full((5, 32, 32, 3), 51 if train else 102, np.uint8)
        self.data[..., 2] = 0
        self.targets = [0, 1, 0, 1, 0]


def test_sets_of_the_cifar_kind_are_read_by_torchvision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Datasets:
        CIFAR10 = TorchvisionSet

    for module in (by_torchvision, sources):
        monkeypatch.setattr(module, "import_torchvision_datasets", lambda: Datasets)
    monkeypatch.setattr(sources, "_locate_cache", lambda: tmp_path / "cache")
    monkeypatch.delenv("ABLATE_DATA", raising=False)
    assert sources.find_root(find_dataset("cifar10"), tmp_path, download=False) is None
    (tmp_path / "here").touch()
    assert sources.find_root(find_dataset("cifar10"), tmp_path, download=False) == tmp_path
    with pytest.raises(DataError, match="CIFAR10 has 5 images"):
        sources.read_images(find_dataset("cifar10"), tmp_path)
    few = DATASETS["cifar10"].__class__(train_images=5, test_images=5, image_shape=(3, 32, 32))
    monkeypatch.setitem(DATASETS, "cifar10", few)
    read = sources.read_images(find_dataset("cifar10"), tmp_path)
    assert read.images.shape == (5, 3, 32, 32)
    assert read.images[0, :, 0, 0].tolist() == pytest.approx([0.2, 0.2, 0])
    assert read.test_labels.tolist() == [0, 1, 0, 1, 0]
    assert read.classes == ("plane", "car")


@pytest.mark.parametrize("name", sorted(sources.TORCHVISION))
def test_torchvision_has_every_set_that_we_name(name: str, tmp_path: Path) -> None:
    kind, halves = sources.TORCHVISION[name]
    for half in halves:
        with pytest.raises(RuntimeError, match="not found"):
            getattr(by_torchvision.import_torchvision().datasets, kind)(tmp_path, **half)


def test_a_class_with_too_few_images_is_told_before_anything_trains(leaves: Path) -> None:
    paint(leaves / "lonely" / "0.png", (1, 1, 1))
    with pytest.raises(
        ValueError, match="the class lonely has 1 image: add more, each class needs at least 5"
    ):
        list_image_folder(leaves)


def test_beside_test_images_a_class_needs_two_training_images(tmp_path: Path) -> None:
    for place in ("train/a/0", "train/a/1", "train/b/0", "test/a/0", "test/b/0"):
        paint(tmp_path / f"{place}.png", (1, 1, 1))
    with pytest.raises(
        ValueError, match=r"train: the class b has 1 image: add more, each class needs at least 2$"
    ):
        list_image_folder(tmp_path)
    paint(tmp_path / "train" / "b" / "1.png", (1, 1, 1))
    assert len(list_image_folder(tmp_path).train) == 4


def test_a_class_without_test_images_is_refused(tmp_path: Path) -> None:
    for place in ("train/a", "train/b", "train/c", "test/a", "test/b"):
        for i in range(3):
            paint(tmp_path / place / f"{i}.png", (1, 1, 1))
    with pytest.raises(ValueError, match="the class c has no test images"):
        list_image_folder(tmp_path)
