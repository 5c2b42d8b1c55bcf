"""Images as people have them. They are read as a person sees them, or refused before anything trains.

Each test makes its own images: a bright square, upper left for class `left`, lower right for class `right`.
"""

import json
import os
import struct
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image, ImageCms

from ablate.data import image_cache, own_images
from ablate.data.datasets import DatasetSpec
from ablate.data.decoding import decode
from ablate.data.image_folders import list_image_folder
from ablate.data.images import Images
from ablate.data.own_images import read_own_images
from ablate.data.reading_progress import watch_reading
from ablate.errors import DataError, StudyError
from ablate.study import study_file
from tests.commands import ablate
from tests.conftest import SMALL

SIZE = 32


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache of images for each test, so that no test learns from another."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr(image_cache, "_locate", lambda: folder)
    return folder


def draw(label: int, seed: int) -> np.ndarray:
    """A bright square on a dark noisy ground, from 0 to 1."""
    image = np.random.default_rng((label, seed)).uniform(0, 0.3, (SIZE, SIZE))
    place = (slice(2, 14), slice(18, 30))[label]
    image[place, place] += 0.6
    return image


def to_8_bit(image: np.ndarray) -> Image.Image:
    return Image.fromarray((image * 255).astype(np.uint8))


Save = Callable[[np.ndarray, Path], None]


def save_as(ending: str, convert: Callable[[np.ndarray], Image.Image] = to_8_bit, **settings: object) -> Save:
    """How to save a drawing: with an ending, after a conversion."""
    return lambda image, path: convert(image).save(path.with_suffix(ending), **settings)


PNG = save_as(".png")


def fill(folder: Path, save: Save = PNG, counts: Sequence[int] = (5, 5), first: int = 0) -> Path:
    """Save drawings of both classes below a folder."""
    for label, count in enumerate(counts):
        place = folder / ("left", "right")[label]
        place.mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            save(draw(label, number), place / f"{number:03}")
    return folder


def name_set(path: Path, **settings: object) -> DatasetSpec:
    return DatasetSpec.model_validate({"name": "folder", "path": str(path), **settings})


def read(path: Path, **settings: object) -> Images:
    return read_own_images(name_set(path, **settings))


def caution(path: Path, **settings: object) -> str:
    return " ".join(read_own_images(name_set(path, **settings)).cautions)


def survey(path: Path, **settings: object) -> str:
    return " ".join(read_own_images(name_set(path, **settings)).read_as)


def write_tiff(path: Path, values: np.ndarray, *, form: int, photometric: int = 1) -> None:
    """Write a grey TIFF with sample formats and photometric values that Pillow does not write."""
    bits, (height, width) = values.dtype.itemsize * 8, values.shape
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, photometric), (273, 134), (277, 1),
            (278, height), (279, values.nbytes), (339, form)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    path.write_bytes(
        b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + struct.pack("<I", 0) + values.tobytes()
    )


def deep(scale: int, kind: type) -> Callable[[np.ndarray], Image.Image]:
    return lambda image: Image.fromarray((image * scale).astype(kind))


def from_lab(image: np.ndarray) -> Image.Image:
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    return ImageCms.profileToProfile(to_8_bit(image).convert("RGB"), srgb, lab, outputMode="LAB")


def in_alpha(colour: int) -> Callable[[np.ndarray], Image.Image]:
    """A drawing that stands in the alpha channel alone, in one grey."""

    def convert(image: np.ndarray) -> Image.Image:
        grey = np.full((SIZE, SIZE), colour, np.uint8)
        return Image.merge("LA", [Image.fromarray(grey), to_8_bit(image)])

    return convert


def upright_by_tag(image: np.ndarray) -> Image.Image:
    return to_8_bit(np.rot90(image))


def with_orientation(number: int) -> Image.Exif:
    exif = Image.Exif()
    exif[274] = number
    return exif


SAVES: dict[str, Save] = {
    "16 bit": save_as(".png", deep(65535, np.uint16)),
    "12 bit in 16": save_as(".png", deep(4095, np.uint16)),
    "10 bit in 16": save_as(".tif", deep(1023, np.uint16)),
    "16 bit, white is zero": lambda image, path: write_tiff(
        path.with_suffix(".tif"), (65535 - image * 65535).astype("<u2"), form=1, photometric=0
    ),
    "16 bit of a PGM": save_as(".pgm", deep(65535, np.uint16)),
    "32 bit": save_as(".tif", deep(65535, np.int32)),
    "signed 16 bit": lambda image, path: write_tiff(
        path.with_suffix(".tif"), (image * 4000 - 1000).astype("<i2"), form=2
    ),
    "unsigned 32 bit": lambda image, path: write_tiff(
        path.with_suffix(".tif"), (image * 4e9).astype("<u4"), form=1
    ),
    "float": save_as(".tif", lambda image: Image.fromarray(image.astype(np.float32))),
    "float of other units": save_as(".tif", lambda image: Image.fromarray((image * 300 - 7).astype(np.float32))),
    "palette": save_as(".png", lambda image: to_8_bit(image).convert("P")),
    "CMYK": save_as(".tif", lambda image: to_8_bit(image).convert("RGB").convert("CMYK")),
    "YCbCr": save_as(".tif", lambda image: to_8_bit(image).convert("RGB").convert("YCbCr")),
    "LAB": save_as(".tif", from_lab),
    "turned by EXIF": save_as(".png", upright_by_tag, exif=with_orientation(6)),
    "GIF": save_as(".gif"),
    "TGA": save_as(".tga"),
    "JPEG 2000": save_as(".jp2"),
    "capital ending": save_as(".BMP"),
}  # fmt: skip


@pytest.mark.parametrize("form", SAVES)
def test_images_of_any_depth_and_colour_are_read_as_a_person_sees_them(form: str, tmp_path: Path) -> None:
    """A scale for the whole data set keeps brightness, and deep images keep their depth.

    - https://github.com/pytorch/vision/issues/2218: images of 16 bits were loaded all white. Mended.
    - https://github.com/python-pillow/Pillow/issues/3011: the conversion to grey cut off all values above 255. Mended.
    - https://github.com/python-pillow/Pillow/issues/2574: the conversion to RGB cut off all values above 255. Mended.
    - https://github.com/python-pillow/Pillow/issues/5991: a spectrogram in 16 bits lost nearly all of its grey
      values. Mended.
    - https://github.com/python-pillow/Pillow/issues/274: values of a 12-bit camera were cut to 255. Mended.
    - https://github.com/python-pillow/Pillow/pull/2577: signed integers of 16 bits had no usable values. Mended.
    - https://github.com/thunder-project/thunder/issues/58: images of fractions were not read. Mended.
    - https://github.com/open-edge-platform/datumaro/issues/1756: photos lay on their side, because the camera's
      orientation was ignored. Right before.
    - https://github.com/tensorflow/tensorflow/issues/33770: GIF files were left out without a word. Mended.
    """
    images = read(fill(tmp_path, SAVES[form])).images
    wanted = np.stack([draw(label, number) for label in (0, 1) for number in range(4)])
    if form == "float of other units":  # black is the lowest value of all images, and white the highest
        every = np.stack([draw(label, number) for label in (0, 1) for number in range(5)])
        wanted = (wanted - every.min()) / (every.max() - every.min())
    elif form in ("signed 16 bit", "unsigned 32 bit", "32 bit"):
        images, wanted = images / images.max(), wanted / wanted.max()
    assert np.abs(images.numpy()[:, 0] - wanted).max() < 0.02
    if "bit" in form or "float" in form:
        assert len(images.unique()) > 600


def test_one_scale_for_all_images_keeps_differences_in_brightness(tmp_path: Path) -> None:
    for label, scale in enumerate((4095, 1023)):
        folder = tmp_path / str(label)
        folder.mkdir()
        for number in range(5):
            deep(scale, np.uint16)(draw(0, number)).save(folder / f"{number}.png")
    images = read(tmp_path).images
    assert float(images[:4].max()) > 3.9 * float(images[4:].max())


@pytest.mark.parametrize(("colour", "background"), [(0, "white"), (255, "black")])
def test_transparent_pixels_show_the_background(colour: int, background: str, tmp_path: Path) -> None:
    """A black drawing is seen on white, and a white one on black. Hidden colours stay hidden.

    - https://github.com/rom1504/img2dataset/pull/67: transparent pixels became black. Mended.
    - https://github.com/kohya-ss/sd-scripts/issues/1269: the conversion to RGB showed colours that lie under
      transparent pixels. Mended.
    - https://github.com/layumi/University1652-Baseline/issues/17: palettes with transparent colours were
      converted wrongly. Mended.
    """
    images = read(fill(tmp_path, save_as(".png", in_alpha(colour))), background=background).images.numpy()
    drawing = np.stack([draw(label, number) for label in (0, 1) for number in range(4)])
    assert np.abs(images[:, 0] - (1 - drawing if background == "white" else drawing)).max() < 0.01
    assert f"on a {background} background" in survey(tmp_path, background=background)
    palette = Image.fromarray(np.arange(SIZE * SIZE, dtype=np.uint8).reshape(SIZE, SIZE)).convert("P")
    palette.save(tmp_path / "p.png", transparency=bytes([0] * 256))
    assert decode(tmp_path / "p.png", background).image.getextrema() == ((255 - colour,) * 2,) * 3


def test_a_drawing_that_its_background_hides_is_refused_with_the_remedy(tmp_path: Path) -> None:
    fill(tmp_path, save_as(".png", in_alpha(255)))
    with pytest.raises(DataError, match="blank, all of one colour: write background: black, if the drawings"):
        read(tmp_path)


@pytest.mark.parametrize("ending", [".gif", ".webp", ".apng", ".tif"])
def test_the_first_frame_of_an_animation_is_used_and_this_is_said(ending: str, tmp_path: Path) -> None:
    """- https://github.com/tensorflow/models/issues/6644: an animated GIF stopped the training. Mended."""
    others = [to_8_bit(draw(1, 99)), to_8_bit(draw(1, 98))]
    lossless = {"lossless": True} if ending == ".webp" else {}
    fill(tmp_path, save_as(ending, save_all=True, append_images=others, **lossless))
    images = read(tmp_path).images.numpy()
    assert np.abs(images[0, 0] - draw(0, 0)).max() < 0.02
    assert "10 images have several frames or pages; the first one is used" in survey(tmp_path)


def test_images_that_show_nothing_are_refused_or_warned_of(tmp_path: Path) -> None:
    blank = fill(tmp_path / "blank", save_as(".png", lambda _: Image.new("L", (SIZE, SIZE), 7)))
    with pytest.raises(DataError, match="every image is blank"):
        read(blank)
    same = fill(tmp_path / "same", save_as(".png", lambda _: to_8_bit(draw(0, 0))))
    with pytest.raises(DataError, match="all images are the same picture"):
        read(same)
    masks = fill(
        tmp_path / "masks", save_as(".png", lambda image: Image.fromarray((image > 0.5).astype(np.uint8)))
    )
    assert "only two pixel values" in caution(masks)
    assert "cover less than 2% of the range" in caution(masks)
    drawings = fill(tmp_path / "1 bit", save_as(".png", lambda image: to_8_bit(image).convert("1")))
    assert caution(drawings) == ""


LAYOUTS = {
    "train/val": ({"train": 5, "val": 2}, (8, 4, 2)),
    "Train/Test": ({"Train": 3, "Test": 2}, (6, 0, 4)),
    "train/val/test": ({"train": 3, "val": 2, "test": 1}, (6, 4, 2)),
    "train/valid/test": ({"train": 3, "valid": 2, "test": 1}, (6, 4, 2)),
    "Training/Validation/Testing": ({"Training": 3, "Validation": 2, "Testing": 1}, (6, 4, 2)),
    "train/dev/test": ({"train": 3, "dev": 2, "test": 1}, (6, 4, 2)),
    "train/eval/test": ({"train": 3, "eval": 2, "test": 1}, (6, 4, 2)),
    "seg_train/seg_test": ({"seg_train": 3, "seg_test": 1}, (6, 0, 2)),
    "training_set/test_set": ({"training_set": 3, "test_set": 1}, (6, 0, 2)),
    "train alone": ({"train": 5}, (8, 0, 2)),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_usual_layouts_are_understood(layout: str, tmp_path: Path) -> None:
    """- https://github.com/huggingface/datasets/issues/4839: a folder `val` was not understood. Mended.
    - https://github.com/huggingface/datasets/issues/4895: a folder `validation` was not understood. Mended.
    - https://github.com/huggingface/datasets/pull/8188: the folders train and test were read as classes. Mended.
    - https://github.com/huggingface/datasets/issues/5021: `test` within a file's name moved the image to the
      test images. Right before.
    """
    folders, counts = LAYOUTS[layout]
    for number, (name, count) in enumerate(folders.items()):
        fill(tmp_path / name, PNG, (count, count), first=100 * number)
    one = next(tmp_path.rglob("000.png"))
    one.rename(one.with_name("000test.png"))
    found = list_image_folder(tmp_path)
    assert found.classes == ("left", "right")
    assert (len(found.train), len(found.validation), len(found.test)) == counts


def test_a_folder_for_validation_is_used_at_every_seed(tmp_path: Path) -> None:
    from ablate.data.loading import split

    for number, name in enumerate(("train", "val", "test")):
        fill(tmp_path / "photos" / name, PNG, (6, 6), first=10 * number)
    file = tmp_path / "own.yaml"
    text = SMALL.replace("digits", f"{{name: folder, path: {tmp_path / 'photos'}}}")
    file.write_text(text.replace("validation: 240\n", ""))
    study = study_file.read(file)
    assert study.validation == 12
    loaded = read_own_images(study.dataset)
    splits = [split(loaded.labels, 12, seed, None, loaded.fixed_validation) for seed in (0, 1)]
    assert all(held_out.tolist() == list(range(12, 24)) for _, held_out in splits)
    again = study_file.read(write(tmp_path / "again.yaml", study_file.dump(study)))
    assert list(study_file.list_changes(study, again)) == []
    unused = study_file.read(file, ["validation=0", "tuning={trials: 0}"])
    assert len(read_own_images(unused.dataset).images) == unused.dataset.facts.train_images == 12
    with pytest.raises(
        StudyError, match=r"command line: validation 5 is not possible, because .* contains 12 images"
    ):
        study_file.read(file, ["validation=5"])


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_without_the_key_a_sixth_of_the_training_images_is_for_validation(tmp_path: Path) -> None:
    fill(tmp_path / "photos", counts=(30, 30))
    text = SMALL.replace("digits", f"{{name: folder, path: {tmp_path / 'photos'}}}")
    file = write(tmp_path / "own.yaml", text.replace("validation: 240\n", ""))
    assert study_file.read(file).validation == 8


@pytest.mark.parametrize(
    "name", [".ipynb_checkpoints", "__MACOSX", ".git", "@eaDir", "left/.ipynb_checkpoints", "__pycache__"]
)
def test_hidden_folders_and_folders_of_systems_are_no_classes(name: str, tmp_path: Path) -> None:
    """- https://github.com/tensorflow/tensorflow/issues/46595: .ipynb_checkpoints became a class. Mended.
    - https://github.com/keras-team/keras/issues/18170: folders such as .git became classes. Mended.
    - https://github.com/pytorch/vision/issues/109: .DS_Store was taken for a class. Right before.
    """
    fill(tmp_path)
    (tmp_path / name / "deeper").mkdir(parents=True)
    to_8_bit(draw(0, 7)).save(tmp_path / name / "000.png")
    (tmp_path / ".DS_Store").write_bytes(b"x")
    (tmp_path / "left" / "._000.png").write_bytes(b"\0\5\x16\7")
    (tmp_path / "left" / "Thumbs.db").write_bytes(b"x")
    found = list_image_folder(tmp_path)
    assert (found.classes, len(found.files)) == (("left", "right"), 10)
    told = " ".join(found.read_as)
    assert f"hidden or made by an operating system: {name}" in told
    assert "1 hidden file" in told
    assert "Thumbs" not in told


def test_a_class_that_vanishes_is_told(tmp_path: Path) -> None:
    """- https://github.com/pytorch/vision/issues/4925: empty folders stopped the reading. Mended.
    - https://github.com/keras-team/keras/issues/17182: images with other endings were not found. Mended.
    """
    fill(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "phone").mkdir()
    (tmp_path / "phone" / "1.heic").write_bytes(b"x")
    told = caution(tmp_path)
    assert "These folders hold no image that can be read, and are left out: empty, phone." in told
    assert "1 .heic" in survey(tmp_path)


def test_no_image_is_counted_twice_through_a_link(tmp_path: Path) -> None:
    fill(tmp_path / "photos")
    fill(tmp_path / "elsewhere", counts=(5, 0), first=50)
    (tmp_path / "photos" / "third").symlink_to("right")
    (tmp_path / "photos" / "a_loop").symlink_to("..")
    (tmp_path / "photos" / "far").symlink_to(tmp_path / "elsewhere" / "left")
    found = list_image_folder(tmp_path / "photos")
    assert found.classes == ("far", "left", "right")
    assert len(found.files) == 15
    assert "third (a link to" in found.cautions[0]
    assert "a_loop (a link to" in found.cautions[0]


def test_broken_images_are_named_together(tmp_path: Path) -> None:
    """- https://github.com/keras-team/keras/issues/19026: a broken image stopped the reading without help. Mended."""
    fill(tmp_path, counts=(20, 20))
    for number in range(12):
        (tmp_path / "left" / f"{number:03}.png").write_bytes(b"\x89PNG no more")
    with pytest.raises(
        DataError, match=r"12 images cannot be used: .*left/000\.png.*\(and 2 more\)"
    ) as error:
        read_own_images(name_set(tmp_path))
    assert "\n" not in str(error.value)


REFUSED = {
    "images without classes": (["train/0.png", "test/0.png"], "contain no class folder with training images"),
    "two folders for one part": (["train/a/0.png", "val/a/0.png", "valid/a/0.png"], "val and valid are both for"),
    "a folder around the real one": (["photos/a/0.png", "photos/b/0.png"], "did you mean path: .*photos"),
    "parts below the classes": (["a/train/0.png", "a/test/0.png", "b/train/0.png"], "put them above the classes"),
    "one name in two spellings": (
        ["train/Cat/0.png", "train/dog/0.png", "test/cat/0.png"],
        "the class cat is called Cat in .*train: use one name",
    ),
    "no training images": (["test/a/0.png", "val/a/0.png"], "contain no class folder with training images"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_a_layout_that_cannot_be_meant_is_refused_with_the_remedy(case: str, tmp_path: Path) -> None:
    files, told = REFUSED[case]
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        to_8_bit(draw(0, 0)).save(tmp_path / file)
    with pytest.raises(ValueError, match=told):
        list_image_folder(tmp_path)


def test_a_class_called_train_is_a_class(tmp_path: Path) -> None:
    for name in ("train", "bus"):
        (tmp_path / name).mkdir()
        for number in range(5):
            to_8_bit(draw(0, number)).save(tmp_path / name / f"{number}.png")
    assert list_image_folder(tmp_path).classes == ("bus", "train")


def test_the_same_picture_in_training_and_test_images_is_told(tmp_path: Path) -> None:
    """- https://github.com/stefyste/RIAWELC/issues/2: all test images were also training images. Mended.
    - https://github.com/tqwei05/PlantSeg/issues/11: 70 groups of equal images were in training and test images. Mended.
    - https://github.com/huggingface/datasets/issues/4261: training examples were also validation and test
      examples. Mended.
    """
    for name in ("train", "val", "test"):
        fill(tmp_path / name, counts=(6, 6), first={"train": 0, "val": 100, "test": 200}[name])
    to_8_bit(draw(0, 0)).save(tmp_path / "test" / "left" / "copy.bmp")
    to_8_bit(draw(1, 0)).convert("RGB").save(tmp_path / "val" / "right" / "copy.png")
    to_8_bit(draw(1, 1)).save(tmp_path / "train" / "left" / "mixed.png")
    told = caution(tmp_path)
    assert "1 test picture is also among the training images" in told
    assert "left/copy.bmp" in told
    assert "1 validation picture is also among the training images" in told
    assert "1 picture is in more than one class, for example in left and right" in told


def test_names_that_are_not_utf8_or_very_long_are_shown_readably(tmp_path: Path) -> None:
    """- https://github.com/samschott/maestral/issues/230: a file name that is not UTF-8 could not be printed. Mended.
    - https://github.com/arsenetar/dupeguru/issues/335: the error did not say which file it was about. Mended.
    """
    odd = os.fsdecode(b"caf\xe9")
    for name in (odd, "x" * 200, "x" * 150 + "y" + "x" * 49):
        (tmp_path / name).mkdir()
        for number in range(5):
            to_8_bit(draw(0, number + len(name))).save(tmp_path / name / f"{number}{odd}.png")
    found = list_image_folder(tmp_path)
    assert found.classes[0] == "caf\\xe9"
    assert all(len(name) <= 40 for name in found.classes)
    assert len(set(found.classes)) == 3
    assert len(read(tmp_path).images) == 12
    (tmp_path / odd / f"0{odd}.png").write_bytes(b"torn")
    with pytest.raises(DataError, match=r"caf\\xe9/0caf\\xe9\.png: cannot be read") as error:
        read(tmp_path)
    assert str(error.value).encode()


def test_classes_with_almost_the_same_name_are_told(tmp_path: Path) -> None:
    for name in ("Cat", "cat", "caf\u00e9", "cafe\u0301"):
        (tmp_path / name).mkdir()
        for number in range(5):
            to_8_bit(draw(0, number)).save(tmp_path / name / f"{number}.png")
    told = caution(tmp_path)
    assert "'Cat', 'cat'" in told
    assert "'caf\u00e9'" in told


def test_an_accent_in_two_encodings_is_one_class(tmp_path: Path) -> None:
    for part, name in (("train", "caf\u00e9"), ("train", "tea"), ("test", "cafe\u0301"), ("test", "tea")):
        (tmp_path / part / name).mkdir(parents=True)
        for number in range(3):
            to_8_bit(draw(0, number)).save(tmp_path / part / name / f"{number}.png")
    assert list_image_folder(tmp_path).classes == ("caf\u00e9", "tea")


TABLES = {
    "plain": ("path,label\n", "{path},{label}\n"),
    "other names": ("Image Name,Class\n", "{path},{label}\n"),
    "semicolons": ("file_name;category\n", "{path};{label}\n"),
    "tabs and a mark": ("\ufefffilename\tlabel\n", "{path}\t{label}\n"),
    "no endings": ("id,label\n", "{stem},{label}\n"),
    "Windows": ("path,label\n", "{windows},{label}\n"),
    "more columns": ("index,path,label,width\n", "1,{path},{label},32\n"),
}


@pytest.mark.parametrize("form", TABLES)
def test_a_table_lists_images_by_path_and_label(form: str, tmp_path: Path) -> None:
    """- https://github.com/fastai/fastai/issues/1169: a table with usual columns could not be read. Mended.
    - https://github.com/fastai/fastai/pull/2236: a table could have only commas between its columns. Mended.
    """
    fill(tmp_path / "pictures")
    head, row = TABLES[form]
    rows = [
        row.format(path=f, stem=f.removesuffix(".png"), windows=f.replace("/", "\\"), label=f.split("/")[1])
        for f in (os.path.relpath(file, tmp_path) for file in sorted(tmp_path.rglob("*.png")))
    ]
    write(tmp_path / "labels.csv", head + "".join(rows))
    found = read(tmp_path / "labels.csv")
    assert found.classes == ("left", "right")
    assert (len(found.labels), len(found.test_labels)) == (8, 2)
    assert np.abs(found.images.numpy()[0, 0] - draw(0, 0)).max() < 0.01


def test_a_table_may_name_the_parts(tmp_path: Path) -> None:
    fill(tmp_path, counts=(6, 6))
    lines = ["path,label,Split"]
    for label in ("left", "right"):
        for number in range(6):
            lines.append(
                f"{label}/{number:03}.png,{label},{('Train', 'train', 'train', 'VAL', 'test', 'test')[number]}"
            )
    write(tmp_path / "labels.csv", "\n".join(lines))
    dataset = name_set(tmp_path / "labels.csv")
    assert dataset.found is not None
    assert (dataset.found.train_images, dataset.found.validation_images, dataset.found.test_images) == (
        6,
        2,
        4,
    )
    write(tmp_path / "labels.csv", "\n".join(lines).replace("Split", "is_valid").replace("Train", "False").replace("train", "False").replace("VAL", "True").replace("test", "False"))  # fmt: skip
    assert name_set(tmp_path / "labels.csv").fixed_validation == 2


@pytest.mark.parametrize("split_by", ["folder", "column"])
def test_a_hugging_face_folder_with_metadata_is_read(split_by: str, tmp_path: Path) -> None:
    """- https://github.com/huggingface/datasets/issues/5021: a file of metadata in the folder of images was ignored. Mended."""
    for number, part in enumerate(("train", "validation", "test")):
        fill(tmp_path / part, counts=(3, 3), first=10 * number)
        rows = [
            {"file_name": f"{label}/{10 * number + i:03}.png", "label": f"a {label}"}
            for label in ("left", "right")
            for i in range(3)
        ]
        if split_by == "folder":
            write(tmp_path / part / "metadata.jsonl", "\n".join(map(json.dumps, rows)))
        else:
            with (tmp_path / "metadata.csv").open("a") as table:
                table.write("" if number else "file_name,label,split\n")
                table.writelines(f"{part}/{row['file_name']},{row['label']},{part}\n" for row in rows)
    dataset = name_set(tmp_path)
    assert dataset.found is not None
    assert dataset.found.classes == ("a left", "a right")
    assert (dataset.found.train_images, dataset.found.validation_images, dataset.found.test_images) == (
        6,
        6,
        6,
    )
    assert len(read(tmp_path).images) == 12


WRONG_TABLES = {
    "no label": ("path,width\nleft/000.png,3\n", "has no column label"),
    "a missing file": (
        "path,label\nleft/000.png,a\nright/000.png,b\nnowhere.png,a\n",
        "1 file of the table cannot be found: nowhere.png",
    ),
    "two labels": (
        "path,label\nleft/000.png,a\nleft/000.png,b\n",
        "line 3 gives left/000.png the label b, but",
    ),
    "no such part": ("path,label,split\nleft/000.png,a,odd\n", "line 2: split: 'odd' is no part"),
    "an empty label": ("path,label\nleft/000.png,\n", "line 2 has no label"),
    "nothing": ("", "cannot be read as a table"),
    "one label": (
        "path,label\n" + "".join(f"left/00{i}.png,a\n" for i in range(5)),
        "all images for training have the same label",
    ),
}


@pytest.mark.parametrize("case", WRONG_TABLES)
def test_a_wrong_table_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    """- https://github.com/fastai/fastai/issues/894: a table with files that do not exist crashed in training. Mended."""
    fill(tmp_path)
    text, told = WRONG_TABLES[case]
    write(tmp_path / "labels.csv", text)
    with pytest.raises(ValueError, match=told) as error:
        name_set(tmp_path / "labels.csv")
    assert "labels.csv" in str(error.value)


@pytest.mark.parametrize("case", ["columns", "index", "no label", "images inside"])
def test_a_parquet_table_is_read_or_refused_with_its_row(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """pyarrow is not installed for the tests, so the table comes from memory as pandas reads it.

    - https://github.com/huggingface/datasets/pull/4987: images inside a Parquet file were taken for paths. Mended.
    """
    fill(tmp_path, counts=(6, 6))
    paths = [f"{label}/{i:03}.png" for label in ("left", "right") for i in range(6)]
    table = pd.DataFrame({"path": paths, "label": pd.Categorical([path[:4] for path in paths])})
    if case == "index":
        table = table.set_index("path")
    elif case == "no label":
        table = table.assign(label=[None, *table["label"][1:]])
    elif case == "images inside":
        table = pd.DataFrame({"image": [{"bytes": b"", "path": path} for path in paths], "label": 0})
    monkeypatch.setattr(pd, "read_parquet", lambda path: table)
    write(tmp_path / "list.parquet", "")
    if case in ("columns", "index"):
        found = name_set(tmp_path / "list.parquet").found
        assert found is not None
        assert (found.classes, found.train_images, found.test_images) == (("left", "righ"), 10, 2)
    else:
        told = {"no label": "row 1 has no label", "images inside": "column image has the images inside"}[case]
        with pytest.raises(ValueError, match=told):
            name_set(tmp_path / "list.parquet")


def test_a_folder_of_hugging_faces_tables_is_refused_without_their_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "train-00000-of-00001.parquet", "")
    with pytest.raises(ValueError, match=r"library: pip install 'ablate-studies\[huggingface\]'"):
        name_set(tmp_path)


def test_unchanged_images_are_neither_read_nor_decoded_again(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A changed file is read again, and a damaged cache is made anew."""
    monkeypatch.setattr(image_cache, "SETTLED_SECONDS", -1.0)
    fill(tmp_path)
    seen: list[str] = []
    with watch_reading(lambda what, done, total: seen.append(what)):
        first = read(tmp_path)
        assert (seen.count("reading"), seen.count("decoding")) == (10, 10)
        monkeypatch.setattr(own_images, "decode", None)
        assert (read(tmp_path).images == first.images).all()
        assert len(seen) == 20
    monkeypatch.undo()
    monkeypatch.setattr(image_cache, "_locate", lambda: own_cache)
    to_8_bit(draw(0, 77)).save(tmp_path / "left" / "000.png")
    assert np.abs(read(tmp_path).images.numpy()[0, 0] - draw(0, 77)).max() < 0.01
    for file in own_cache.iterdir():
        file.write_bytes(b"torn")
    assert np.abs(read(tmp_path).images.numpy()[0, 0] - draw(0, 77)).max() < 0.01


def test_a_cache_that_cannot_be_written_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "_locate", lambda: Path("/dev/null/images"))
    assert len(read(fill(tmp_path)).images) == 8


def test_old_pixels_are_deleted_first(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_cache, "MOST_PIXEL_BYTES", 5_000)
    for number in range(4):
        image_cache.store_pixels(str(number), np.zeros((1, 1, 40, 40), np.uint8))
        os.utime(own_cache / f"{number}.npy", (number, number))
    assert sorted(file.name for file in own_cache.glob("*.npy")) == ["2.npy", "3.npy"]
    assert image_cache.read_pixels("3", (1, 1, 40, 40)) is not None
    assert image_cache.read_pixels("3", (2, 1, 40, 40)) is None


def test_runs_on_images_that_an_earlier_version_decoded_are_not_mixed_with_new_ones(tmp_path: Path) -> None:
    fill(tmp_path)
    old = {"classes": ["left", "right"], "train_images": 8, "test_images": 2, "sha256": "0"}
    dataset = name_set(tmp_path, found=old)
    assert dataset.facts.train_images == 8
    with pytest.raises(DataError, match="decodes images differently: start again with --fresh"):
        read_own_images(dataset)


def test_a_plan_says_how_the_images_are_read_and_warns(tmp_path: Path) -> None:
    fill(tmp_path / "photos", SAVES["12 bit in 16"], counts=(30, 30))
    (tmp_path / "photos" / "empty").mkdir()
    text = SMALL.replace("digits", "{name: folder, path: photos}").replace("validation: 240\n", "")
    write(tmp_path / "own.yaml", text)
    done = ablate("plan", "own.yaml", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "images: photos: 2 classes with 60 images: left 30, right 30." in done.stdout
    assert "images: 48 are for training and 12 for testing." in done.stdout
    assert "0 is black and 4,095 is white" in done.stdout
    assert "warning: These folders hold no image that can be read, and are left out: empty." in done.stderr
