"""The data of the explorer's page: the trained networks of a report folder, and the test images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from ablate.data import sources
from ablate.data.loading import Dataset, resize_images
from ablate.design.runs import Run
from ablate.engines.loop import EVALUATION_BATCH
from ablate.errors import AblateError, DataError, FolderError, did_you_mean
from ablate.execution.executor import Conditions
from ablate.explore.epochs import EpochNetworks, open_epochs
from ablate.explore.reading import Reader
from ablate.explore.seeds import SeedGuesses
from ablate.inspection.inputs import find_nearest_to_mean
from ablate.inspection.look_inside import Load
from ablate.inspection.networks import TrainedNetworks, require_checkpoints
from ablate.records.provenance import Provenance
from ablate.stats.arm_names import read_arm_names
from ablate.study.spec import StudySpec

MOST_PICTURES = 24
"""The maximum number of test images in one list."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A test image, its true class and the predictions for it."""

    index: int
    """The index of the image in the official test set."""
    label: int
    guesses: Mapping[str, int]
    """Maps the name of each requested arm to the class that its network predicts."""


class ExploredArm:
    """One arm, represented by the network of its first confirmed run."""

    def __init__(
        self,
        run: Run,
        reader: Reader,
        load: Load | None,
        *,
        title: str | None = None,
        epochs: EpochNetworks | None = None,
    ) -> None:
        """Make the arm. `reader` has its trained network, and `epochs` its networks during training.

        `title` is the arm's name for a reader, by default the arm's own name.
        """
        self.run = run
        self.title = title or run.arm.name
        self.reader = reader
        self.epochs = epochs
        self._load = load
        self._accuracies: dict[int, float] = {}

    def find_reader(self, epoch: int | None) -> Reader:
        """Return the network after this number of epochs. None means the end of training.

        If the arm has fewer epochs, or if its networks during training are not kept, the result is the
        network at the end of training.
        """
        return self.reader if epoch is None or self.epochs is None else self.epochs.read(epoch)

    def compute_accuracy(self, epoch: int) -> float:
        """Compute the share of the test images that the network classifies correctly after some epochs.

        A network's accuracy is computed at most once.
        """
        if epoch not in self._accuracies:
            reader = self.find_reader(epoch)
            answers = self.answers if reader is self.reader else self.compute_answers(reader)
            self._accuracies[epoch] = self.score(answers)
        return self._accuracies[epoch]

    def score(self, answers: Tensor) -> float:
        """Compute the share of the test images whose most probable class in `answers` is the true class."""
        return float((answers.argmax(1) == self._dataset.test_labels).double().mean())

    def image(self, original: Tensor) -> Tensor:
        """Scale an image from the size of the study's data to the size of the network's input."""
        size = self.run.recipe.input_size
        return original if size is None else resize_images(original[None], size)[0]

    def test_image(self, index: int) -> Tensor:
        """Return a test image as the network gets it in evaluation, `(channels, height, width)`."""
        return self._dataset.test_images[index]

    @cached_property
    def answers(self) -> Tensor:
        """The class probabilities for every test image, `(n, classes)`."""
        return self.compute_answers(self.reader)

    def compute_answers(self, reader: Reader) -> Tensor:
        """Compute the class probabilities that another network gives for every test image, `(n, classes)`."""
        with torch.inference_mode():
            batches = self._dataset.test_images.split(EVALUATION_BATCH)
            return torch.cat([reader.probabilities(batch) for batch in batches])

    @property
    def _dataset(self) -> Dataset:
        assert self._load is not None, "a session without data has no test images"
        return self._load(self.run.recipe.input_size)


class Session:
    """The arms of a study, and its test images if this machine has them."""

    def __init__(
        self,
        study: StudySpec,
        provenance: Provenance,
        arms: Mapping[str, ExploredArm],
        load: Load | None,
        seeds: SeedGuesses,
    ) -> None:
        self.study = study
        self.seeds = seeds
        self.arms = arms
        self.classes = provenance.data.classes
        self.image_shape = study.dataset.facts.compute_shape(None)
        self._load = load

    @property
    def has_pictures(self) -> bool:
        """Whether the test images are on this machine."""
        return self._load is not None

    @property
    def test_images(self) -> int:
        """The number of test images on this machine."""
        return len(self._data.test_images) if self._load else 0

    def pixels(self, index: int) -> Tensor:
        """Return a test image in the size of the study's data, `(channels, height, width)`.

        Its values lie between 0 and 1.
        """
        return self._data.test_images[index]

    def label(self, index: int) -> int:
        """Return the true class of a test image."""
        return int(self._data.test_labels[index])

    @property
    def labels(self) -> Tensor:
        """The true class of each test image, `(n,)`."""
        return self._data.test_labels

    def list_class(self, label: int, arms: Sequence[str]) -> list[Picture]:
        """List test images of a class.

        The most typical image comes first. The others are in the order of the data set.
        The list is empty if no test image has this class.
        """
        indices = (self._data.test_labels == label).nonzero().flatten()
        if len(indices) == 0:
            return []
        nearest = find_nearest_to_mean(self._data.test_images[indices])
        return self.list_pictures([int(indices[nearest]), *indices.tolist()], arms)

    def list_mistakes(self, arm: str, arms: Sequence[str]) -> list[Picture]:
        """List test images that an arm classifies wrongly. The most confident mistake comes first."""
        confidence, guesses = self.arms[arm].answers.max(1)
        return self._sort(guesses != self._data.test_labels, confidence, arms)

    def list_disagreements(self, one: str, other: str, arms: Sequence[str]) -> list[Picture]:
        """List test images that two arms classify differently.

        The list is sorted by the confidence of the less confident arm. The highest confidence comes first.
        """
        (confidence, guesses), (also, others) = (self.arms[arm].answers.max(1) for arm in (one, other))
        return self._sort(guesses != others, torch.minimum(confidence, also), arms)

    def list_cell(self, arm: str, label: int, guess: int, arms: Sequence[str]) -> list[Picture]:
        """List test images of class `label` for which an arm predicts class `guess`.

        The most confident prediction comes first.
        """
        confidence, guesses = self.arms[arm].answers.max(1)
        return self._sort((self._data.test_labels == label) & (guesses == guess), confidence, arms)

    def choose_opening(self, arms: Sequence[str]) -> str:
        """Choose the kind of test images that the page lists when it opens: disagree, confused or class.

        The first choice is images that the two arms classify differently. If there are none, the second
        choice is images that the first arm classifies wrongly. The third choice is images of a class.
        """
        if len(arms) > 1 and self.list_disagreements(arms[0], arms[1], arms):
            return "disagree"
        return "confused" if self.list_mistakes(arms[0], arms) else "class"

    def _sort(self, wanted: Tensor, by: Tensor, arms: Sequence[str]) -> list[Picture]:
        """List the test images for which `wanted` is true. The image with the highest `by` comes first."""
        indices = wanted.nonzero().flatten()
        return self.list_pictures(indices[by[indices].argsort(descending=True, stable=True)].tolist(), arms)

    def list_pictures(self, indices: Sequence[int], arms: Sequence[str]) -> list[Picture]:
        """Return the test images at these indices with the arms' predictions, at most `MOST_PICTURES`."""
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


def open_session(path: Path, *, data_dir: Path | None, tell: Callable[[str], None]) -> Session:
    """Open a report folder: load the networks of all arms that have a checkpoint.

    If the data set is not on this machine, the session has no test images, but the user can still draw
    images. `tell` is called with messages to the user.

    Raises:
        FolderError: the folder has no checkpoint that can be loaded.
    """
    trained = TrainedNetworks(path)
    study = trained.study
    require_checkpoints(path)
    root = sources.find_root(study.dataset, data_dir, download=True)
    load: Load | None = None
    if root is not None or not sources.needs_root(study.dataset):
        load = Conditions(
            dataset=study.dataset, data_root=root, validation=study.validation, device="cpu"
        ).load
    else:
        tell(f"{study.dataset} is not on this machine: the page has no test images, but you can draw")
    arms: dict[str, ExploredArm] = {}
    names = read_arm_names(study, trained.tables["runs"], trained.arms[0])
    for name in trained.arms_with_checkpoint:
        run = trained.rebuild_run(name)
        try:
            network = trained.reopen(run)
        except FolderError as error:
            tell(f"left out: {error}")
        else:
            reader = Reader(network, trained.image_shape(run))
            try:
                epochs = open_epochs(trained, run, reader)
            except FolderError as error:
                tell(f"only the end of its training is shown: {error}")
                epochs = None
            arms[name] = ExploredArm(run, reader, load, title=names.name_arm(name), epochs=epochs)
    if not arms:
        raise FolderError(f"{path}: holds no network that can be loaded")
    return Session(study, trained.provenance, arms, load, SeedGuesses(path, trained.tables["runs"]))


def parse_arms(session: Session, text: str | None) -> list[str]:
    """Parse the names of one or two arms, separated by a comma. If `text` is None, return the first two arms.

    Raises:
        AblateError: there is no such arm, or the text has more than two names.
    """
    known = list(session.arms)
    # The name of an arm can contain commas. So parts of the text are joined until they are a known name.
    names: list[str] = []
    name = ""
    for part in [] if text is None else text.split(","):
        name = f"{name},{part}" if name else part.strip()
        if name in known:
            names, name = [*names, name], ""
    if name:
        raise AblateError(f"--arms {name}: {did_you_mean(name, known)}")
    if len(names) > 2:
        raise AblateError("--arms: name one arm, or two to compare")
    return list(dict.fromkeys(names)) or known[:2]
