"""Data sets of Hugging Face's `datasets` library, with the images inside tables.

The library itself writes the data sets. Each test draws a bright square: upper left for class `left`, lower right for
class `right`.
"""

import io
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ablate.data import image_cache
from ablate.data.datasets import DatasetSpec
from ablate.data.images import Images
from ablate.data.own_images import read_own_images
from ablate.errors import DataError
from tests.faults.test_images import draw, to_8_bit
from tests.with_parts import needed

pytestmark = pytest.mark.huggingface


@pytest.fixture(scope="module")
def library() -> Any:
    needed("datasets")
    import datasets

    datasets.disable_progress_bars()
    return datasets


@pytest.fixture(autouse=True)
def own_cache(
    library: Any, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cache of images for each test, and no network."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(image_cache, "_locate", lambda: folder)

    def refuse(*_: object) -> None:
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def encode(image: Image.Image, form: str = "PNG", **settings: Any) -> bytes:
    into = io.BytesIO()
    image.save(into, form, **settings)
    return into.getvalue()


def make(library: Any, count: int = 6, first: int = 0, **columns: Sequence[object]) -> Any:
    """A data set of `count` images of each class in turn. `columns` are added, or stand in place of its own."""
    drawn = [(label, first + number) for number in range(count) for label in (0, 1)]
    files = [
        {"bytes": encode(to_8_bit(draw(label, number))), "path": f"{label}-{number}.png"}
        for label, number in drawn
    ]
    features = library.Features(image=library.Image(), label=library.ClassLabel(names=["left", "right"]))
    made = library.Dataset.from_dict(
        {"image": columns.pop("image", files), "label": columns.pop("label", [label for label, _ in drawn])},
        features=features,
    )
    for name, values in columns.items():
        made = made.add_column(name, list(values))
    return made


def save_tables(folder: Path, **splits: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        rows.to_parquet(folder / f"{name}-00000-of-00001.parquet")
    return folder


def name_set(path: Path, **settings: object) -> DatasetSpec:
    return DatasetSpec.model_validate({"name": "folder", "path": str(path), **settings})


def read(path: Path, **settings: object) -> Images:
    return read_own_images(name_set(path, **settings))


def test_each_way_of_saving_gives_the_same_images_and_the_same_identity(library: Any, tmp_path: Path) -> None:
    """The images are those of a folder with the same files."""
    train, test = make(library), make(library, 2, first=100)
    library.DatasetDict(train=train, test=test).save_to_disk(tmp_path / "saved")
    save_tables(tmp_path / "tables" / "data", train=train, test=test)
    for part, rows in {"train": train, "test": test}.items():
        for cell, label in zip(
            rows.cast_column("image", library.Image(decode=False))["image"], rows["label"], strict=True
        ):
            (tmp_path / "files" / part / ("left", "right")[label]).mkdir(parents=True, exist_ok=True)
            (tmp_path / "files" / part / ("left", "right")[label] / cell["path"]).write_bytes(cell["bytes"])
    files = read(tmp_path / "files")
    sets = [name_set(tmp_path / name) for name in ("saved", "tables")]
    for dataset in sets:
        found = read_own_images(dataset)
        for name in ("images", "labels", "test_images", "test_labels"):
            assert getattr(found, name).equal(getattr(files, name)), name
        assert found.classes == files.classes == ("left", "right")
        assert "train is for training, test for testing." in found.read_as
    assert sets[0].found == sets[1].found


def test_without_a_split_for_testing_every_fifth_training_image_is_taken(
    library: Any, tmp_path: Path
) -> None:
    rows = make(library, 5)
    rows.to_parquet(tmp_path / "all.parquet")
    rows.save_to_disk(tmp_path / "saved")
    for name in ("all.parquet", "saved"):
        found = read(tmp_path / name)
        assert (len(found.images), len(found.test_images)) == (8, 2)
        assert (
            "train is for training, and of the training images every fifth in order of rows is for testing."
            in found.read_as
        )


def test_a_split_for_validation_is_for_validation_and_other_splits_are_left_out(
    library: Any, tmp_path: Path
) -> None:
    """- https://github.com/huggingface/datasets/issues/5021: splits were found by words in names, and other splits were left out silently. Mended."""
    splits = {
        name: make(library, 2, first=10 * i)
        for i, name in enumerate(("train", "validation", "test", "extra"))
    }
    library.DatasetDict(splits).save_to_disk(tmp_path / "saved")
    found = read(tmp_path / "saved")
    assert (len(found.images), len(found.test_images), found.fixed_validation) == (8, 4, 4)
    assert "train is for training, validation for validation, test for testing." in found.read_as
    assert found.cautions == (
        "Left out: the split extra, because its name does not mean training, validation or testing.",
    )


def test_images_are_decoded_as_those_of_a_folder(library: Any, tmp_path: Path) -> None:
    """
    - https://github.com/huggingface/datasets/pull/8656: the orientation in an image's metadata was lost. Right before.
    - https://github.com/huggingface/datasets/issues/7668: broken metadata of one image ended the program. Right before.
    """
    turned = Image.Exif()
    turned[274] = 6
    upright = to_8_bit(draw(0, 0))
    files = [
        encode(upright.transpose(Image.Transpose.ROTATE_90), "TIFF"),
        encode(upright.transpose(Image.Transpose.ROTATE_90), exif=turned),
        encode(Image.fromarray((draw(1, 0) * 65_535).astype(np.uint16)), "TIFF"),
        encode(Image.fromarray(np.zeros((8, 8, 4), np.uint8))),
    ] * 5
    rows = make(library, 10, image=[{"bytes": file, "path": None} for file in files], label=[0, 0, 1, 1] * 5)
    rows.to_parquet(tmp_path / "all.parquet")
    found = read(tmp_path / "all.parquet", grey=True)
    assert found.images[1][0].sub(found.images[0][0].rot90(-1)).abs().max() < 0.01
    told = " ".join(found.read_as)
    assert "Images with more than 8 bits, with whole numbers: 0 is black and 65,535 is white" in told
    assert "Transparent pixels (5 images) are put on a white background." in told


def test_a_broken_image_is_named_with_its_row(library: Any, tmp_path: Path) -> None:
    """- https://github.com/microsoft/Biodiversity/pull/658: one image that cannot be read stopped the reading of all images. Right before."""
    files = [{"bytes": encode(to_8_bit(draw(0, i))), "path": f"{i}.png"} for i in range(12)]
    files[3] = {"bytes": files[3]["bytes"][:60], "path": "torn.png"}
    make(library, image=files).to_parquet(tmp_path / "all.parquet")
    with pytest.raises(
        DataError, match=r"all\.parquet/train/row 3 \(torn\.png\): cannot be read as an image"
    ):
        read(tmp_path / "all.parquet")


def test_a_changed_picture_is_another_data_set(library: Any, tmp_path: Path) -> None:
    before = make(library)
    before.to_parquet(tmp_path / "all.parquet")
    dataset = name_set(tmp_path / "all.parquet")
    make(library, first=1).to_parquet(tmp_path / "all.parquet")
    image_cache_free = name_set(tmp_path / "all.parquet")
    assert dataset.found is not None
    assert image_cache_free.found is not None
    assert dataset.found.sha256 != image_cache_free.found.sha256
    with pytest.raises(DataError, match="has changed since the study was read"):
        read_own_images(dataset)


def test_a_test_split_without_labels_is_left_out(library: Any, tmp_path: Path) -> None:
    """
    - https://github.com/huggingface/datasets/issues/245: all labels of the images for testing are -1. Mended.
    - https://github.com/huggingface/datasets/issues/5624: the labels of the images for testing are -1 in other data sets. Mended.
    """
    test = make(library, 2, label=[-1] * 4)
    library.DatasetDict(train=make(library), test=test).save_to_disk(tmp_path / "saved")
    found = read(tmp_path / "saved")
    assert found.cautions == ("Left out: the split test, because its 4 images have no label.",)
    assert len(found.test_images) == 2
    assert any("every fifth in order of rows is for testing" in line for line in found.read_as)


def double_images(library: Any, rows: Any) -> Any:
    """Add the images a second time, as column `mask`."""
    again = rows.select_columns("image").rename_column("image", "mask")
    return library.concatenate_datasets([rows, again], axis=1)


WRONG_COLUMNS: dict[str, tuple[Callable[[Any, Any], Any], str]] = {
    "two of labels": (
        lambda library, rows: rows.add_column("fine", [0, 1] * 6).cast_column(
            "fine", library.ClassLabel(names=["a", "b"])
        ),
        "has several columns of labels .*, label, fine: choose one with label: label ",
    ),
    "two of images": (
        lambda library, rows: double_images(library, rows),
        "has several columns of images, image, mask: choose one with image: image ",
    ),
    "no labels": (
        lambda library, rows: rows.remove_columns("label").add_column("score", [0.5] * 12),
        r"has no column of labels .* \(its columns: image: Image, score: float64\)",
    ),
    "several labels an image": (
        lambda library, rows: rows.remove_columns("label").add_column("labels", [[0, 1]] * 12),
        r"has no column of labels .*labels: List\(int64\)\)",
    ),
    "no images": (
        lambda library, rows: rows.remove_columns("image").add_column("text", ["a"] * 12),
        r"has no column of images \(its columns: label: ClassLabel, text: string\)",
    ),
    "a row without an image": (
        lambda library, rows: make(library, image=[None, *[{"bytes": b"x", "path": None}] * 11]),
        "train: row 0 has no image: remove it",
    ),
    "a label missing": (
        lambda library, rows: make(library, label=[None, *[0, 1] * 5, 1]),
        "train: 1 image without a label: remove them",
    ),
    "one label": (
        lambda library, rows: make(library, label=[0] * 12),
        "all images for training have the same label",
    ),
    "few of a class": (
        lambda library, rows: make(library, label=[0] * 11 + [1]),
        "the class right has 1 image: add more, each class needs at least 5",
    ),
}


@pytest.mark.parametrize("case", WRONG_COLUMNS)
def test_wrong_columns_are_told_in_one_line(case: str, library: Any, tmp_path: Path) -> None:
    """
    - https://github.com/YimianDai/open-aff/issues/14: of two kinds of labels, the wrong one was chosen silently. Mended.
    - https://github.com/huggingface/datasets/issues/4621: no label was found, and the program stopped with a KeyError. Mended.
    """
    change, told = WRONG_COLUMNS[case]
    change(library, make(library)).save_to_disk(tmp_path / "saved")
    with pytest.raises(ValueError, match=told) as error:
        name_set(tmp_path / "saved")
    (one,) = error.value.errors()  # type: ignore[attr-defined]
    assert one["msg"].startswith(f"Value error, {tmp_path / 'saved'}: ")
    assert "\n" not in one["msg"]


def test_columns_can_be_chosen(library: Any, tmp_path: Path) -> None:
    rows = double_images(library, make(library, fine=["b", "a"] * 6))
    rows.to_parquet(tmp_path / "all.parquet")
    found = read(tmp_path / "all.parquet", image="mask", label="fine")
    assert found.classes == ("a", "b")
    assert "Column mask is the image, column fine the class." in found.read_as
    with pytest.raises(
        ValueError, match=r"has no column fines \(its columns: image: Image, label: ClassLabel"
    ):
        name_set(tmp_path / "all.parquet", image="mask", label="fines")
    with pytest.raises(ValueError, match=r"column image does not hold labels .*: it holds Image"):
        name_set(tmp_path / "all.parquet", image="mask", label="image")


def test_a_table_whose_features_were_lost_is_still_read(library: Any, tmp_path: Path) -> None:
    """- https://github.com/huggingface/lerobot/issues/2715: a merge turned the column of images into a column of bytes and path. Mended."""
    import pandas as pd

    files = [{"bytes": encode(to_8_bit(draw(i % 2, i))), "path": None} for i in range(10)]
    pd.DataFrame({"image": files, "label": [i % 2 for i in range(10)]}).to_parquet(tmp_path / "all.parquet")
    found = read(tmp_path / "all.parquet")
    assert found.classes == ("0", "1")
    pd.DataFrame({"png": [file["bytes"] for file in files], "y": list("ab") * 5}).to_parquet(
        tmp_path / "all.parquet"
    )
    assert read(tmp_path / "all.parquet").classes == ("a", "b")


def test_missing_parts_of_a_data_set_are_told(library: Any, tmp_path: Path) -> None:
    """
    - https://github.com/huggingface/datasets/issues/6979: only some files of a data set were downloaded. Mended.
    - https://github.com/huggingface/datasets/issues/4077: a file that is no table was refused without a remedy. Mended.
    - https://github.com/InertExpert2911/Mutual_Fund_Data/issues/1: a clone without Git LFS has pointer files in place of tables. Mended.
    """
    rows = make(library)
    rows.to_parquet(tmp_path / "train-00001-of-00002.parquet")
    with pytest.raises(ValueError, match=r"the part train-00000-of-00002 is missing: add it"):
        name_set(tmp_path)
    (tmp_path / "train-00000-of-00002.parquet").write_text(
        "version https://git-lfs.github.com/spec/v1\noid sha256:0\n"
    )
    with pytest.raises(
        ValueError, match=r"00000-of-00002\.parquet: is a pointer of Git LFS, not the table: run git lfs"
    ):
        name_set(tmp_path)
    (tmp_path / "train-00000-of-00002.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(ValueError, match=r"cannot be read \(.*[Pp]arquet"):
        name_set(tmp_path)


@pytest.mark.parametrize("odd", ["a b", "50% #1", "q?", "x[1]", "a::b"])
def test_signs_in_paths_are_read_as_they_are_or_refused(odd: str, library: Any, tmp_path: Path) -> None:
    """
    - https://github.com/huggingface/datasets/issues/7468: brackets in a path were read as a pattern. Mended.
    """
    folder = save_tables(tmp_path / "other", train=make(library)).rename(tmp_path / odd)
    save_tables(tmp_path / "qa", train=make(library, 7))
    dataset = {}
    for path in (folder, folder / "train-00000-of-00001.parquet"):
        try:
            dataset[path] = name_set(path).facts.train_images
        except ValueError as error:
            assert "in their path: rename the folder" in str(error)
    assert dataset == dict.fromkeys(dataset, 10)
    assert len(dataset) == {"a::b": 0, "x[1]": 1, "q?": 1}.get(odd, 2)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("https://example.org/a.png", "only the address https://example.org/a.png: ablate downloads nothing"),
        ("zip://a.png::https://example.org/a.zip", "only the address .*: ablate downloads nothing"),
        ("/nowhere/a.png", r"only the path /nowhere/a.png, which cannot be read \(No such file"),
    ],
)
def test_images_that_are_not_inside_are_never_downloaded(
    path: str, told: str, library: Any, tmp_path: Path
) -> None:
    """- https://github.com/huggingface/datasets/issues/4196: the tables had only image paths of the machine that saved them. Mended."""
    from pyarrow import parquet

    rows = make(library, image=[{"bytes": None, "path": path}] * 12)
    parquet.write_table(rows.data.table, tmp_path / "all.parquet")
    with pytest.raises(ValueError, match=told):
        name_set(tmp_path / "all.parquet")


def test_without_the_library_one_line_says_how_to_install_it(
    library: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(library).save_to_disk(tmp_path / "saved")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"datasets library: pip install 'ablate-studies\[huggingface\]'"):
        name_set(tmp_path / "saved")


def test_keys_of_tables_are_refused_for_folders(tmp_path: Path) -> None:
    (tmp_path / "left").mkdir()
    with pytest.raises(ValueError, match="has no images inside tables: remove the key label"):
        name_set(tmp_path, label="fine")
