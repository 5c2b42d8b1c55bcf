"""Write the results of the kit: a line for each part, the report folder, and the summary."""

import csv
import json
import os
import zipfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.gpu.kit.parts import Part
from tests.gpu.kit.running import Outcome

MOST_BYTES = 15_000_000
"""A larger file may not come back from the machine."""
TABLES = ("arms", "comparisons")
"""The tables of a report that go into the results."""


class Results:
    """The results of all parts so far, in a folder without subfolders."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file = folder / "results.jsonl"
        self._file.write_text("")
        self._rows: list[tuple[str, Outcome, str]] = []

    def add(self, part: Part, outcome: Outcome, limit_seconds: float) -> None:
        """Write a part's outcome and results at once, and zip its report folder."""
        gathered = gather(part)
        if part.report is not None:
            zip_report(part.report, self._folder / f"{part.name}.zip")
        line = {"part": part.name, **asdict(outcome), "limit_seconds": limit_seconds, "results": gathered}
        with self._file.open("a") as stream:
            stream.write(f"{json.dumps(line)}\n")
            stream.flush()
            os.fsync(stream.fileno())
        self._rows.append((part.name, outcome, read_last_line(self._folder / f"{part.name}.log")))

    def summarise(self) -> str:
        """Write a table with a line for each part: its status, its seconds and the last line that it printed."""
        lines = [f"{'part':10}{'status':13}{'seconds':>8}  last line"]
        lines += [
            f"{name:10}{end.status:13}{end.seconds:8.1f}  {said[:100]}" for name, end, said in self._rows
        ]
        return "\n".join(lines)

    def have_passed(self, parts: Sequence[Part]) -> bool:
        """Whether every part has passed."""
        return [name for name, end, _ in self._rows if end.status == "passed"] == [
            part.name for part in parts
        ]


def gather(part: Part) -> Any:
    """Read what a part has written so far, also if the part was stopped. None if there is nothing."""
    if part.results is not None and part.results.exists():
        text = part.results.read_text()
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return list(_read_lines(text))
    if part.report is not None:
        files = {path.stem: path for path in part.report.glob("*/tables/*.csv") if path.stem in TABLES}
        return {name: list(csv.DictReader(files[name].read_text().splitlines())) for name in sorted(files)}
    return None


def _read_lines(text: str) -> list[Any]:
    """Read JSON lines. The last one may be torn."""
    read = []
    for line in text.splitlines():
        try:
            read.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return read


def zip_report(parent: Path, archive: Path) -> None:
    """Zip the folders below `parent`, the small files first, up to MOST_BYTES. Name the files left out."""
    files = sorted(
        (path for path in parent.rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
    )
    left_out = []
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        room = MOST_BYTES
        for path in files:
            if path.stat().st_size > room:
                left_out.append(str(path.relative_to(parent)))
                continue
            zipped.write(path, path.relative_to(parent))
            room -= zipped.getinfo(str(path.relative_to(parent))).compress_size
        if left_out:
            zipped.writestr("LEFT_OUT.txt", "\n".join(left_out))


def read_last_line(log: Path) -> str:
    """Read the last line of a log that is not blank."""
    lines = log.read_text(errors="replace").split("\n") if log.exists() else []
    return next((line.strip() for line in reversed(lines) if line.strip()), "")
