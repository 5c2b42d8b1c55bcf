"""Wrong or damaged data files. They are found before anything trains on them, and no partial file is left."""

import contextlib
import gc
import hashlib
import http.server
import io
import os
import pickle
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ablate.data import contents as own_contents
from ablate.data import loading, sources
from ablate.data.datasets import DatasetSpec, find_dataset
from ablate.data.decoding import decode, fit
from ablate.design.runs import Arm, Run
from ablate.errors import DataError, FolderError, StudyError
from ablate.inspection.networks import load_network
from ablate.study import study_file
from ablate.study.recipe import Recipe
from tests.conftest import SMALL
from tests.cpu import CPU
from tests.data.test_datasets import leaves, spec_of  # noqa: F401
from tests.data.test_loading import tiny_fashion  # noqa: F401  # a fixture


class Mirror(http.server.BaseHTTPRequestHandler):
    """A server that sends the `files`, or has the requested fault."""

    files: dict[str, bytes]
    fault: str

    def do_GET(self) -> None:
        content = self.files.get(Path(self.path).name, b"")
        if self.fault == "says 503":
            self.send_error(503)
            return
        if self.fault == "speaks no HTTP":
            self.wfile.write(b"\x00\x01nothing that a browser knows\r\n\r\n")
            return
        self.send_response(200)
        if self.fault == "breaks off in the middle of a chunk":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"ffff\r\n" + content[: len(content) // 2])
            return
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        sent = {"sends half": content[: len(content) // 2], "sends other bytes": content[::-1]}
        self.wfile.write(sent.get(self.fault, content))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextlib.contextmanager
def mirror(files: dict[str, bytes], fault: str) -> Iterator[str]:
    """Start a server with these files and this fault. Yields its address."""
    handler = type("Faulty", (Mirror,), {"files": files, "fault": fault})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        # So that closing the server also waits for its answers and closes their sockets.
        server.daemon_threads = False
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


FAULTS = [
    "says 503",
    "sends half",
    "sends other bytes",
    "breaks off in the middle of a chunk",
    "speaks no HTTP",
]


# torchvision leaves the socket of an incomplete reply to the garbage collector. The test collects it, for otherwise
# the warning about it would fail whichever test runs at the next collection.
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
@pytest.mark.parametrize("fault", FAULTS)
def test_a_download_that_is_not_the_official_file_is_deleted(
    fault: str, tiny_fashion: Path, tmp_path: Path, no_proxy: None, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    files = {path.name: path.read_bytes() for path in tiny_fashion.rglob("*.gz")}
    kind = sources.import_torchvision_datasets().FashionMNIST
    sums = [(f"{name}.gz", hashlib.md5(files[f"{name}.gz"]).hexdigest()) for name in sources.FILES]
    monkeypatch.setattr(kind, "resources", sums)
    for asked, found in ((fault, None), ("", tmp_path / "cache")):  # the same mirror without the fault
        with mirror(files, asked) as address:
            monkeypatch.setattr(kind, "mirrors", [address])
            assert sources.find_root(find_dataset("fashion_mnist"), None, download=True) == found
        gc.collect()
        if found is None:
            assert list((tmp_path / "cache").iterdir()) == []
    assert len(loading.load(find_dataset("fashion_mnist"), found, CPU).labels) == 50


def test_a_machine_without_torchvision_downloads_nothing_and_is_told_what_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ABLATE_DATA", raising=False)
    monkeypatch.setattr("ablate.data.by_torchvision.find_spec", lambda name: None)
    assert sources.find_root(find_dataset("fashion_mnist"), tmp_path, download=True) is None
    with pytest.raises(DataError, match="this data set needs torchvision, which is not installed"):
        sources.find_root(find_dataset("cifar10"), tmp_path, download=True)


def test_a_download_with_a_wrong_checksum_is_deleted_even_if_torchvision_accepts_it(
    tiny_fashion: Path, tmp_path: Path, no_proxy: None, monkeypatch: pytest.MonkeyPatch  # noqa: F811
) -> None:  # fmt: skip
    files = {path.name: path.read_bytes() for path in tiny_fashion.rglob("*.gz")}
    swapped = f"{sources.FILES[1]}.gz"
    files[swapped] = files[
        f"{sources.FILES[3]}.gz"
    ]  # the labels of the test images in place of those of the training images
    kind = sources.import_torchvision_datasets().FashionMNIST
    sums = [(f"{name}.gz", hashlib.md5(files[f"{name}.gz"]).hexdigest()) for name in sources.FILES]
    monkeypatch.setattr(kind, "resources", sums)
    with mirror(files, "") as address:
        monkeypatch.setattr(kind, "mirrors", [address])
        assert sources.find_root(find_dataset("fashion_mnist"), None, download=True) is None
    assert list((tmp_path / "cache").iterdir()) == []


@pytest.mark.parametrize(("one", "other"), [(0, 2), (1, 3)], ids=["images", "labels"])
def test_swapped_training_and_test_files_are_refused(
    one: int, other: int, tiny_fashion: Path  # noqa: F811
) -> None:  # fmt: skip
    raw = tiny_fashion / "FashionMNIST" / "raw"
    first, second = (raw / f"{sources.FILES[at]}.gz" for at in (one, other))
    contents = first.read_bytes(), second.read_bytes()
    first.write_bytes(contents[1])
    second.write_bytes(contents[0])
    with pytest.raises(DataError, match="is not the official file"):
        loading.load(find_dataset("fashion_mnist"), tiny_fashion, CPU)


@pytest.mark.parametrize(
    "damage", [b"", b"\0", b"\0\0\x08\x03", b"\0\0\x08\x03" + b"\xff" * 12, b"hello" * 99]
)
def test_a_damaged_file_is_refused_even_if_torchvision_can_read_it(damage: bytes, tmp_path: Path) -> None:
    raw = tmp_path / "KMNIST" / "raw"
    raw.mkdir(parents=True)
    for file in sources.FILES:
        (raw / file).write_bytes(damage)
    root = sources.find_root(find_dataset("kmnist"), tmp_path, download=False)
    assert root == tmp_path
    with pytest.raises(DataError, match=r"KMNIST.* delete it and fetch it again"):
        sources.read_images(find_dataset("kmnist"), root)


def make_archive(*members: tarfile.TarInfo) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for member in members:
            archive.addfile(member, io.BytesIO(b"x" * member.size))
    return buffer.getvalue()


def member(name: str, link: str = "", kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname, made.size = kind, link, 1 if kind == tarfile.REGTYPE else 0
    return made


HOSTILE = {
    "a path out of its folder": [member("../../../escaped")],
    "an absolute path": [member("ABSOLUTE/escaped")],
    "a link out of its folder": [member("out", "../../..", tarfile.SYMTYPE), member("out/escaped")],
    "a hard link out of its folder": [member("hard", "../../../secret", tarfile.LNKTYPE)],
    "a device": [member("null", kind=tarfile.CHRTYPE)],
}


@pytest.mark.parametrize("how", HOSTILE)
def test_an_archive_that_would_write_outside_its_folder_is_refused(
    how: str, tmp_path: Path, no_proxy: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_locate_cache", lambda: tmp_path / "a" / "cache")
    monkeypatch.delenv("ABLATE_DATA", raising=False)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "secret").write_text("mine")
    for entry in HOSTILE[how]:
        entry.name = entry.name.replace("ABSOLUTE", str(tmp_path))
    archive = make_archive(*HOSTILE[how])
    kind = sources.import_torchvision_datasets().CIFAR10
    monkeypatch.setattr(kind, "tgz_md5", hashlib.md5(archive).hexdigest())
    monkeypatch.setattr(kind, "_check_integrity", lambda self: False)
    unpacked: list[bool] = []
    extract = tarfile.TarFile.extractall

    def extracting(self: tarfile.TarFile, *given: object, **named: object) -> None:
        unpacked.append(True)
        extract(self, *given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(tarfile.TarFile, "extractall", extracting)
    with mirror({"cifar-10-python.tar.gz": archive}, "") as address:
        monkeypatch.setattr(kind, "url", f"{address}cifar-10-python.tar.gz")
        assert sources.find_root(find_dataset("cifar10"), None, download=True) is None
    assert unpacked  # so the archive was indeed opened
    assert list((tmp_path / "a" / "cache").iterdir()) == []
    left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")}
    assert left == {"a", "a/cache", "a/secret"}
    assert tarfile.TarFile.extraction_filter is None  # a user's own archives are not checked


class Malice:
    """Runs code when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.mark,)


def make_zip(content: bytes) -> bytes:
    """Put a pickle into a zip file like that of a checkpoint."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", content)
        archive.writestr("archive/version", "3\n")
    return buffer.getvalue()


@pytest.mark.parametrize("wrapping", ["a bare pickle", "a checkpoint", "torch's own"])
def test_a_pickle_in_a_checkpoint_is_refused_and_its_code_does_not_run(wrapping: str, tmp_path: Path) -> None:
    mark = tmp_path / "unpickled"
    content = pickle.dumps(Malice(mark), protocol=2)
    if wrapping == "torch's own":
        buffer = io.BytesIO()
        torch.save({"conv1.weight": Malice(mark)}, buffer)
        content = buffer.getvalue()
    checkpoint = tmp_path / "baseline.pt"
    checkpoint.write_bytes(make_zip(content) if wrapping == "a checkpoint" else content)
    run = Run(phase="confirm", arm=Arm(name="a", model="lenet", keywords={}, recipe=Recipe(), factors={}), setting={}, seed=0)  # fmt: skip
    with pytest.raises(FolderError) as refused:
        load_network(run, checkpoint, (1, 28, 28), 10, CPU)
    assert "\n" not in str(refused.value)
    assert not mark.exists()


def test_a_changed_batch_file_of_cifar_is_never_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "unpickled"
    kind = sources.import_torchvision_datasets().CIFAR10
    folder = tmp_path / kind.base_folder
    folder.mkdir()
    for name, _ in [*kind.train_list, *kind.test_list, (kind.meta["filename"], "")]:
        (folder / name).write_bytes(pickle.dumps(Malice(mark)))
    with pytest.raises(DataError, match="delete it and fetch it again"):
        sources.read_images(find_dataset("cifar10"), tmp_path)
    assert not mark.exists()


@pytest.mark.parametrize("fault", ["a link to nowhere", "a pipe", "a folder"])
def test_only_regular_files_count_as_images(fault: str, leaves: Path) -> None:  # noqa: F811
    before = spec_of(leaves)
    odd = leaves / "green" / "odd.png"
    if fault == "a link to nowhere":
        odd.symlink_to("/nowhere/at/all.png")
    elif fault == "a pipe":
        os.mkfifo(odd)
    else:
        odd.mkdir()
    assert spec_of(leaves) == before


ENDINGS = [".png", ".jpg", ".bmp", ".webp", ".tif", ".ppm"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_damaged_image_is_decoded_or_named_in_an_error(ending: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(0)
    whole = tmp_path / f"whole{ending}"
    Image.fromarray(noise.integers(0, 256, (12, 9, 3), dtype=np.uint8)).save(whole)
    content, damaged, refused = whole.read_bytes(), tmp_path / f"damaged{ending}", 0
    for _ in range(60):
        torn = bytearray(content[: noise.integers(0, len(content))] if noise.random() < 0.5 else content)
        for _ in range(3 if torn else 0):
            torn[noise.integers(0, len(torn))] = noise.integers(0, 256)
        damaged.write_bytes(torn)
        try:
            assert fit(decode(damaged, "white"), 8, grey=False).shape == (3, 8, 8)
        except DataError as error:
            refused += 1
            assert str(damaged) in str(error)
    assert refused > 10


@pytest.mark.parametrize("fault", ["truncated", "swapped", "taken out", "added"])
def test_a_users_image_that_changed_after_the_study_was_read_is_refused(
    fault: str, leaves: Path  # noqa: F811
) -> None:  # fmt: skip
    spec = spec_of(leaves)
    one, other = leaves / "green" / "0.png", leaves / "brown" / "0.JPG"
    if fault == "truncated":
        one.write_bytes(one.read_bytes()[:-9])
    elif fault == "swapped":
        contents = one.read_bytes(), other.read_bytes()
        one.write_bytes(contents[1])
        other.write_bytes(contents[0])
    elif fault == "taken out":
        one.unlink()
    else:
        one.with_name("new.png").write_bytes(one.read_bytes())
    own_contents._latest.clear()  # as in a later command, or in a worker
    with pytest.raises(DataError, match="has changed since the study was read"):
        loading.load(spec, None, CPU)


def test_an_error_names_a_truncated_image_before_anything_trains(leaves: Path) -> None:  # noqa: F811
    one = leaves / "green" / "0.png"
    one.write_bytes(one.read_bytes()[:50])
    with pytest.raises(DataError, match=r"0\.png: cannot be read as an image"):
        loading.load(spec_of(leaves), None, CPU)


@pytest.mark.parametrize("path", ["x" * 300, "../nowhere", "/dev/null", "\\0", "''", "~", "a\\nb"])
def test_a_data_path_that_is_not_a_folder_gives_an_error_of_one_line(path: str, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.write_text(SMALL.replace("digits", f'{{name: folder, path: "{path}"}}'))
    with pytest.raises(StudyError, match=r"own\.yaml:3: dataset") as told:
        study_file.read(file)
    assert str(told.value).isprintable()


def test_a_stored_study_with_impossible_facts_about_its_images_is_refused() -> None:
    for wrong in ({"train_images": -1}, {"test_images": 0}, {"classes": ["=cmd()", "b"]}, {"classes": ["a"]}):
        found = {"classes": ["a", "b"], "train_images": 10, "test_images": 5, "sha256": "0"} | wrong
        with pytest.raises(ValueError, match="found"):
            DatasetSpec.model_validate({"name": "folder", "path": "x", "found": found})
