"""The parts of the kit: what each one runs, and how long it may take."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.gpu.kit.places import ROOT

SECONDS = 480.0
"""The kit's time. The parts' own limits add up to it."""


@dataclass(frozen=True, kw_only=True)
class Part:
    """One command of the kit."""

    name: str
    command: Sequence[str | Path]
    seconds: float
    """The command is stopped after this time."""
    results: Path | None = None
    """The JSON or JSON lines that the command writes, if it writes any."""
    report: Path | None = None
    """The folder below which the command writes a report folder, if it writes one."""


def list_parts(work: Path, carried: Path, *, device: str, full: bool) -> Iterator[Part]:
    """Yield the parts in order. `work` is a folder for temporary files.

    If not `full`, the data set is digits, and every part is as small as it can be.
    """
    python = sys.executable
    yield Part(
        name="install",
        command=[python, "-m", "tests.gpu.kit.install", carried, work, work / "install.json"],
        seconds=45,
        results=work / "install.json",
    )
    yield Part(
        name="doctor",
        command=[python, "-m", "tests.gpu.kit.facts", device, work / "doctor.json"],
        seconds=45,
        results=work / "doctor.json",
    )
    yield Part(
        name="tests",
        command=[python, "-m", "tests.gpu.kit.gpu_tests", device, work / "tests.jsonl"],
        seconds=120,
        results=work / "tests.jsonl",
    )
    study = [ROOT / "studies" / "lenet_pooling.yaml", "--device", device, "--out", work / "reports"]
    smallest = (
        *("dataset=digits", "recipe.epochs=1", "recipe.batch_size=64", "validation=240", "seeds=1"),
        *("recipe.train_images=256", "tuning.trials=0", "timing.blocks=1", "timing.block_seconds=0.01"),
    )
    yield Part(
        name="study",
        command=[python, "-m", "ablate", "run", *study, *(["--no-fallback"] if full else smallest)],
        seconds=120,
        report=work / "reports",
    )
    sizes = (
        ["--dataset=fashion_mnist", "--epochs=10"]
        if full
        else ["--dataset=digits", "--epochs=1", "--train-images=128"]
    )
    yield Part(
        name="cohort",
        command=[python, "-m", "tests.gpu.kit.cohort", device, work / "cohort.jsonl", *sizes],
        seconds=60,
        results=work / "cohort.jsonl",
    )
    bench = ["--device", device, "--no-end-to-end", "--json", work / "bench.json"]
    yield Part(
        name="bench",
        command=[python, "-m", "ablate", "bench", *bench, *([] if full else ["--quick", "--blocks=1"])],
        seconds=90,
        results=work / "bench.json",
    )
