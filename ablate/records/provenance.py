"""Provenance: where results come from. Only this module knows the keys of the file environment.json."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ablate.errors import FolderError
from ablate.records.files import write_whole

FILE = "environment.json"
VERSION = 1
"""The version of the file's format. A file that names no version has version 1."""


@dataclass(frozen=True, kw_only=True)
class Machine:
    """The hardware and software with which throughput was measured."""

    device: str
    """torch's name for the type of device: cpu, or the name of an accelerator."""
    device_name: str
    """The product name of the processor or GPU."""
    cores: int
    """The number of cores that ablate was allowed to use."""
    timing_threads: int
    """The number of threads that torch uses in the timing phase."""
    memory_bytes: int | None = None
    system: str = ""
    python: str = ""
    packages: Mapping[str, str]
    """Package versions by package name."""
    git_commit: str | None = None
    """The git commit of ablate. None if ablate was installed from a wheel."""
    jobs: int = 1
    """The number of runs that train at the same time."""
    device_software: Mapping[str, str] = field(default_factory=dict)
    """Versions of the libraries through which torch uses an accelerator, by name."""


@dataclass(frozen=True, kw_only=True)
class DataFacts:
    """The data set of the study."""

    dataset: str
    test_images: int
    classes: tuple[str, ...]
    chance: float
    """The accuracy of a network that always predicts the most frequent class of the test images."""
    sha256: Mapping[str, str]
    """Maps the name of a file, or of a part of the data set, to a checksum."""
    train_images_by_class: tuple[int, ...] | None = None
    """The number of training and validation images of each class. None in folders of older versions."""
    test_images_by_class: tuple[int, ...] | None = None
    """The number of test images of each class. None in folders of older versions."""
    read_as: tuple[str, ...] = ()
    """Sentences that say how a user's own images were read. Empty for a built-in data set."""
    cautions: tuple[str, ...] = ()
    """Sentences that warn of possible mistakes in a user's own images."""


LATENCY_CALLS = 50
"""The number of calls with one image whose median is the latency."""
LARGE_BATCH = 1_024
"""The number of images per call with which the throughput of inference is measured."""
LARGE_CALLS = 5
"""The number of these calls."""


@dataclass(frozen=True, kw_only=True)
class ArmCost:
    """The cost of one arm (variant of the network). A value that was not measured is None."""

    parameters: int | None = None
    flops_per_example: int | None = None
    peak_memory_bytes: int | None = None
    first_step_seconds: float | None = None
    """The time of the network's first training step, which includes compilation."""
    inference_seconds: float | None = None
    """The time to classify one image (latency)."""
    inference_examples_per_second: float | None = None
    """The throughput of inference in large batches."""
    memory_format: str | None = None
    """The order in memory of the image tensors that the network receives: channels_last or contiguous."""
    measured_as: str | None = None
    """The key of the run whose network was measured. A later command does not measure the same run again."""


def add_waiting_times(own: Mapping[str, ArmCost], shared: Mapping[str, ArmCost]) -> dict[str, ArmCost]:
    """Add the waiting times that another process measured for the same runs, if the own costs have none."""
    return {
        arm: replace(
            cost,
            first_step_seconds=other.first_step_seconds,
            inference_seconds=other.inference_seconds,
            inference_examples_per_second=other.inference_examples_per_second,
        )
        if cost.inference_seconds is None
        and (other := shared.get(arm)) is not None
        and other.measured_as == cost.measured_as
        else cost
        for arm, cost in own.items()
    }


@dataclass(frozen=True, kw_only=True)
class SearchedCandidate:
    """A candidate that a search tried."""

    arm: str
    setting: str
    generation: int
    flops_per_example: int


@dataclass(frozen=True, kw_only=True)
class Finalist:
    """The arm and setting of the candidate that became a finalist."""

    arm: str
    setting: str


@dataclass(frozen=True, kw_only=True)
class SearchFacts:
    """The candidates of a search in the order of their trials, the finalists, and the factors' importance."""

    candidates: tuple[SearchedCandidate, ...]
    finalists: Mapping[str, Finalist]
    """Maps a short name, such as `finalist 1`, to the finalist."""
    importance: tuple[Mapping[str, Any], ...]
    """The rows of the table `importance`."""


@dataclass(frozen=True, kw_only=True)
class Registration:
    """The git commit that contained the study file before the first run.

    Both fields are empty if there was no such commit.
    """

    commit: str
    date: str


@dataclass(frozen=True, kw_only=True)
class Provenance:
    """All facts that a report needs in addition to the study file and the tables."""

    machine: Machine
    data: DataFacts
    arms: Mapping[str, ArmCost]
    """The cost of every arm, the baseline first."""
    networks: Mapping[str, Mapping[str, Any]]
    """Maps an arm to all keywords of its network and their values. The key `model` has the model's name."""
    contrasts: tuple[tuple[str, str], ...]
    """All comparisons: pairs of an arm and the arm that it is compared with."""
    left_out: Mapping[str, str]
    """Maps each combination of factor values that cannot be built to the reason."""
    engines: Mapping[str, int]
    """Maps an engine (a way to train) to the number of runs that it trained."""
    causes: Mapping[str, str]
    """Maps a run that failed, diverged or had to be trained alone to the cause."""
    code: Mapping[str, str] = field(default_factory=dict)
    """Maps the name of a user's own model to the fingerprint of its code."""
    code_content: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Maps the name of a user's own model to the files and package versions that its fingerprint covers."""
    plugins: tuple[str, ...] = ()
    """The packages from which the study may load networks. The user allowed them."""
    network_cautions: tuple[str, ...] = ()
    """Sentences about networks that draw the same random numbers at every seed. A sentence names the arms."""
    search: SearchFacts | None = None
    """The facts about the search. None if the study has another design than `search`."""
    mixed_engines: tuple[str, ...] = ()
    """Arms whose confirmed runs were trained by more than one engine."""
    fallback: str | None = None
    """The study's data set, if it was missing and the fallback was used instead. Otherwise None."""
    changed_after_answer: tuple[str, ...] = ()
    """The changes that the user made to the study after its first answer had been seen."""
    test_set_readers: tuple[str, ...] = ()
    """The names of other studies in the same parent folder that used the same test images."""
    registration: Registration | None = None
    """The commit of the study file before the first run. None in folders of older versions."""

    @property
    def baseline(self) -> str:
        """The baseline's name. The throughput of every other arm is compared with the baseline."""
        return next(iter(self.arms))

    def to_dict(self) -> dict[str, Any]:
        """Make the content of environment.json."""
        raw = asdict(self)
        machine = {name: value for name, value in raw.pop("machine").items() if value not in (None, {})}
        machine.setdefault("git_commit", None)
        data = {name: value for name, value in raw["data"].items() if value is not None and value != ()}
        return {"version": VERSION, **machine, **raw, "data": data, "search": raw["search"] or {}}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> "Provenance":
        """Make the provenance from the content of environment.json, in this or an older format.

        Raises:
            ValueError: the version is unknown, or a key is missing or has a value of the wrong type.
        """
        version = raw.get("version", VERSION)
        if not isinstance(version, int) or version > VERSION:
            raise ValueError(f"{FILE} has version {version}; this ablate reads only up to version {VERSION}")
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
    """Read the provenance of a report folder.

    Raises:
        FileNotFoundError: the folder has no provenance.
        FolderError: the file is damaged, or was written by a later version of ablate.
    """
    path = folder / FILE
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FolderError(f"{path}: is damaged ({error}): run the study again") from None
    if not isinstance(raw, dict):
        raise FolderError(f"{path}: is damaged (not a JSON object): run the study again")
    try:
        return Provenance.from_dict(raw)
    except ValueError as error:
        remedy = "update ablate" if "has version" in str(error) else "run the study again"
        raise FolderError(f"{folder}: {error}: {remedy}") from None


def write_provenance(folder: Path, provenance: Provenance) -> None:
    """Write environment.json, completely or not at all."""
    text = json.dumps(provenance.to_dict(), indent=2, ensure_ascii=False)
    write_whole(folder / FILE, f"{text}\n".encode())
