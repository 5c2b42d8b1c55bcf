"""Provenance: where results come from. The only place that knows the keys of environment.json."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ablate.errors import FolderError
from ablate.records.files import write_whole

FILE = "environment.json"
VERSION = 1
"""Of the file's layout. Files from before versions have none; their layout is that of version 1."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The hardware and software that throughput was measured on."""

    device: str
    """torch's name of the device's type: cpu, cuda, …"""
    device_name: str
    """The name under which the device is sold."""
    cores: int
    timing_threads: int
    """Threads of the timing phase."""
    memory_bytes: int | None = None
    system: str = ""
    python: str = ""
    packages: Mapping[str, str]
    """Version by package."""
    git_commit: str | None = None
    """Commit of ablate's own checkout; None where it was installed from a wheel."""
    jobs: int = 1
    """Runs side by side."""
    cuda: str | None = None
    cudnn: int | None = None


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """What was read of the data set."""

    dataset: str
    test_images: int
    classes: tuple[str, ...]
    chance: float
    """The share of the commonest class among the test images: the accuracy of always guessing it."""
    sha256: Mapping[str, str]
    """Checksum by file, or by part of the pixels."""


@dataclass(frozen=True, kw_only=True)
class ArmCost:
    """What one arm costs; None where it was not measured."""

    parameters: int | None = None
    flops_per_example: int | None = None
    peak_memory_bytes: int | None = None
    measured_as: str | None = None
    """Key of the run that was measured: the cost of the same run is not measured twice."""


@dataclass(frozen=True, kw_only=True)
class SearchedCandidate:
    """A candidate of a search, in the order in which it was tried."""

    arm: str
    setting: str
    generation: int
    flops_per_example: int


@dataclass(frozen=True, kw_only=True)
class Finalist:
    """What a finalist was called while it was a candidate."""

    arm: str
    setting: str


@dataclass(frozen=True, kw_only=True)
class SearchFacts:
    """What a search tried, what was confirmed of it, and what seemed to matter."""

    candidates: tuple[SearchedCandidate, ...]
    finalists: Mapping[str, Finalist]
    """By the short name under which it is confirmed."""
    importance: tuple[Mapping[str, Any], ...]
    """Rows of the table `importance`."""


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """Where the results of a report folder come from, beside its study file and its tables."""

    machine: Machine
    data: DataFacts
    arms: Mapping[str, ArmCost]
    """By arm, the baseline first."""
    networks: Mapping[str, Mapping[str, Any]]
    """By arm: the name of its model under `model`, and every keyword with its value."""
    contrasts: tuple[tuple[str, str], ...]
    """Pairs of an arm and the arm it is compared with."""
    left_out: Mapping[str, str]
    """Reason by combination of factor values that cannot be built."""
    engines: Mapping[str, int]
    """How many runs each engine trained."""
    causes: Mapping[str, str]
    """Cause by run that failed, diverged or had to be trained alone."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Fingerprint of the code by model, for people's own networks."""
    plugins: tuple[str, ...] = ()
    """Packages whose networks the study was allowed to name."""
    search: SearchFacts | None = None
    """None for every design but search."""
    mixed_engines: tuple[str, ...] = ()
    """Arms whose confirmed runs were trained by more than one engine."""
    fallback: str | None = None
    """The data set that the study names, if it could not be had and the fallback answered."""
    changed_after_answer: tuple[str, ...] = ()
    """Everything in the study that was changed after an answer had been seen."""
    test_set_readers: tuple[str, ...] = ()
    """Other studies in the same folder that read the same test images."""

    @property
    def baseline(self) -> str:
        """The arm that every other is compared with."""
        return next(iter(self.arms))

    def to_dict(self) -> dict[str, Any]:
        """The content of environment.json."""
        raw = asdict(self)
        machine = {name: value for name, value in raw.pop("machine").items() if value is not None}
        machine.setdefault("git_commit", None)
        return {"version": VERSION, **machine, **raw, "search": raw["search"] or {}}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Provenance":
        """The content of environment.json, of this version or an older one.

        Raises:
            ValueError: the version is unknown, or a key is missing or has a value of the wrong type.
        """
        version = raw.get("version", VERSION)
        if not isinstance(version, int) or version > VERSION:
            raise ValueError(f"{FILE} has version {version}; this ablate reads versions up to {VERSION}")
        known = {one.name for one in fields(Machine)}
        machine = {name: value for name, value in raw.items() if name in known}
        own = {name: raw[name] for name in (one.name for one in fields(cls)) if name in raw}
        own["search"] = raw.get("search") or None
        try:
            return _READER.validate_python({**own, "machine": machine})
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            raise ValueError(f"{FILE}: {place}: {first['msg'].lower()}") from None


_READER = TypeAdapter(Provenance)


def read_provenance(folder: Path) -> Provenance:
    """The provenance of a report folder.

    Raises:
        FileNotFoundError: the folder has none.
        FolderError: the file is torn, or was written by a later version of ablate.
    """
    path = folder / FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FolderError(f"{path}: is torn ({error}): run the study again") from None
    if not isinstance(raw, dict):
        raise FolderError(f"{path}: is not an object of JSON: run the study again")
    try:
        return Provenance.from_dict(raw)
    except ValueError as error:
        remedy = "update ablate" if "has version" in str(error) else "run the study again"
        raise FolderError(f"{folder}: {error}: {remedy}") from None


def write_provenance(folder: Path, provenance: Provenance) -> None:
    """Put environment.json in place, whole or not at all."""
    text = json.dumps(provenance.to_dict(), indent=2, ensure_ascii=False)
    write_whole(folder / FILE, f"{text}\n".encode())
