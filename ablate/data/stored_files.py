"""Read one image file out of a cell of a table."""

from pathlib import Path
from typing import Any

from ablate.data.class_names import show


def read_cell(cell: Any) -> tuple[str, bytes]:
    """Return the file name of an image, which can be empty, and the content of its file.

    A cell holds bytes, or a dict with `bytes` and `path`. If the bytes are missing, the file at the path is
    read. The path can lead into an archive (`zip://cat.png::/data/cats.zip`).

    Raises:
        ValueError: the cell has no image, or its path does not exist on this machine.
    """
    path = cell.get("path") if isinstance(cell, dict) else None
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    name = Path(str(path).split("::")[0]).name if path else ""
    if isinstance(content, bytes) and content:
        return name, content
    if not path:
        raise ValueError("has no image: remove it")
    if "://" in path.split("::")[-1]:
        raise ValueError(f"has no image, only the address {path}: ablate downloads nothing")
    try:
        return name, _read_file(path)
    except OSError as error:
        told = error.strerror or "it is not in the archive"
        raise ValueError(
            f"has no image, only the path {show(path)}, which cannot be read ({told}): save the data set "
            "again on the machine that has the images"
        ) from None


def _read_file(path: str) -> bytes:
    if "::" not in path:
        return Path(path).read_bytes()
    import fsspec

    with fsspec.open(path, "rb") as opened:
        content: bytes = opened.read()
    return content
