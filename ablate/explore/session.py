"""The trained arms of one report folder and the test images on which they were scored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ablate.data import sources
from ablate.data.loading import Dataset, resized
from ablate.design.runs import Run
from ablate.engines.loop import EVALUATION_BATCH
from ablate.errors import AblateError, DataError, FolderError
from ablate.execution.executor import Conditions
from ablate.explore.reading import Reader
from ablate.inspection import inside
from ablate.inspection.networks import TrainedNetworks, need_checkpoints
from ablate.records.provenance import Provenance
from ablate.study.spec import StudySpec, did_you_mean

MOST_PICTURES = 24
"""The most test images that one request lists."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A test image and what was made of it."""

    index: int
    """Among the official test images."""
    label: int
    guesses: Mapping[str, int]
    """The class that each arm, among those asked for, took it for."""


class ExploredArm:
    """One arm's network of its first confirmed run."""

    def __init__(self, run: Run, reader: Reader, load: inside.Load | None) -> None:
        self.run = run
        self.reader = reader
        self._load = load

    def image(self, shown: Tensor) -> Tensor:
        """An image as the study's data has it, as this arm gets it."""
        size = self.run.recipe.input_size
        return shown if size is None else resized(shown[None], size)[0]

    def test_image(self, index: int) -> Tensor:
        """The very image that it was scored on, `(channels, height, width)`."""
        return self._dataset.test_images[index]

    @cached_property
    def answers(self) -> Tensor:
        """Its probabilities for every test image, `(n, classes)`."""
        with torch.inference_mode():
            batches = self._dataset.test_images.split(EVALUATION_BATCH)
            return torch.cat([self.reader.probabilities(batch) for batch in batches])

    @property
    def _dataset(self) -> Dataset:
        assert self._load is not None, "only a session with data has test images"
        return self._load(self.run.recipe.input_size)


class Session:
    """What one page shows: the arms of a study, and its test images if this machine has them."""

    def __init__(
        self,
        study: StudySpec,
        provenance: Provenance,
        arms: Mapping[str, ExploredArm],
        load: inside.Load | None,
    ) -> None:
        self.study = study
        self.arms = arms
        self.classes = provenance.data.classes
        self.image_shape = study.dataset.facts.shape_at(None)
        self._load = load

    @property
    def has_pictures(self) -> bool:
        """Whether the test images are at hand."""
        return self._load is not None

    @property
    def test_images(self) -> int:
        """How many there are at hand."""
        return len(self._data.test_images) if self._load else 0

    def pixels(self, index: int) -> Tensor:
        """A test image as the study's data has it, `(channels, height, width)` from 0 to 1."""
        return self._data.test_images[index]

    def label(self, index: int) -> int:
        """The class of a test image."""
        return int(self._data.test_labels[index])

    def pictures_of(self, label: int, arms: Sequence[str]) -> list[Picture]:
        """Test images of a class, in their order; the most typical first."""
        found = (self._data.test_labels == label).nonzero().flatten()
        nearest = inside.nearest_to_mean(self._data.test_images[found])
        return self._pictures([int(found[nearest]), *found.tolist()], arms)

    def most_confused(self, arm: str, arms: Sequence[str]) -> list[Picture]:
        """Test images that an arm takes for another class, the surest mistake first."""
        sure, guesses = self.arms[arm].answers.max(1)
        return self._first(guesses != self._data.test_labels, sure, arms)

    def disagreed(self, one: str, other: str, arms: Sequence[str]) -> list[Picture]:
        """Test images that two arms take for different classes, those first of which both are sure."""
        (sure, guesses), (also_sure, others) = (self.arms[arm].answers.max(1) for arm in (one, other))
        return self._first(guesses != others, torch.minimum(sure, also_sure), arms)

    def opening_pick(self, arms: Sequence[str]) -> str:
        """The kind of test images that the page lists first; it opens on the first of them.

        Images on which two arms disagree say most, then mistakes of the first arm, then any image.
        """
        if len(arms) > 1 and self.disagreed(arms[0], arms[1], arms):
            return "disagree"
        return "confused" if self.most_confused(arms[0], arms) else "class"

    def _first(self, wanted: Tensor, by: Tensor, arms: Sequence[str]) -> list[Picture]:
        found = wanted.nonzero().flatten()
        return self._pictures(found[by[found].argsort(descending=True, stable=True)].tolist(), arms)

    def _pictures(self, indices: Sequence[int], arms: Sequence[str]) -> list[Picture]:
        return [
            Picture(
                index=index,
                label=self.label(index),
                guesses={arm: int(self.arms[arm].answers[index].argmax()) for arm in arms},
            )
            for index in list(dict.fromkeys(indices))[:MOST_PICTURES]
        ]

    @property
    def _data(self) -> Dataset:
        if self._load is None:
            raise DataError(f"the test images of {self.study.dataset} are not on this machine")
        return self._load(None)


def opened(path: Path, *, data_dir: Path | None, tell: Callable[[str], None]) -> Session:
    """The arms of a report folder that left a checkpoint; without its data on this machine, drawing alone.

    Raises:
        FolderError: the folder holds no checkpoints, or none that can be looked into.
    """
    trained = TrainedNetworks(path)
    study = trained.study
    need_checkpoints(path)
    root = sources.find(study.dataset, data_dir, download=True)
    load: inside.Load | None = None
    if root is not None or not sources.needs_root(study.dataset):
        load = Conditions(
            dataset=study.dataset, data_root=root, validation=study.validation, device="cpu"
        ).load
    else:
        tell(f"{study.dataset} is not on this machine: no test images to choose from, only drawing")
    found: dict[str, ExploredArm] = {}
    for name in trained.arms_with_checkpoint:
        run = trained.run_of(name)
        try:
            network = trained.reopen(run)
        except FolderError as error:
            tell(f"left out: {error}")
        else:
            found[name] = ExploredArm(run, Reader(network, trained.image_shape(run)), load)
    if not found:
        raise FolderError(f"{path}: holds no network that can be looked into")
    return Session(study, trained.provenance, found, load)


def chosen(session: Session, named: str | None) -> list[str]:
    """The arms that a comma-separated text names, one or two; None: the first two.

    Raises:
        AblateError: an arm that is not there, or too many.
    """
    known = list(session.arms)
    # Names may hold commas: what is between them is joined until it is a name.
    found: list[str] = []
    begun = ""
    for part in [] if named is None else named.split(","):
        begun = f"{begun},{part}" if begun else part.strip()
        if begun in known:
            found, begun = [*found, begun], ""
    if begun:
        raise AblateError(f"--arms {begun}: {did_you_mean(begun, known)}")
    if len(found) > 2:
        raise AblateError("--arms: name one, or two to see beside each other")
    return list(dict.fromkeys(found)) or known[:2]
