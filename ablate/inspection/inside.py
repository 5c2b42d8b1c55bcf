"""What trained networks confuse and what their layers see, on the test images on which they were scored."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.engines.loop import EVALUATION_BATCH
from ablate.errors import AblateError, FolderError
from ablate.inspection import networks
from ablate.inspection.tracing import Call, maps, traced
from ablate.records import views
from ablate.records.files import write_whole
from ablate.records.folder import ReportFolder
from ablate.records.tables import make_frame
from ablate.records.views import Array, Confused, Filters, Layer, View, Views
from ablate.study.spec import did_you_mean

LAYERS = ("1", "2")
"""The convolutions whose maps are kept with a report."""
DEFAULT_INPUTS = {"fashion_mnist": ("pullover", "coat")}
"""The exercise of Dive into Deep Learning (D2L). Other data: the two classes confused most."""
PAIRS, EXAMPLES = 4, 4
"""How many pairs of classes are kept for an arm, and how many images for a pair."""
MOST_MAPS, MOST_FILTERS = 16, 8
LARGEST_SIDE = 64
"""Maps and images of more pixels a side are averaged down to it: a figure shows no more."""
HALF = torch.finfo(torch.float16)

Load = Callable[[int | None], Dataset]
"""The study's data with images of so many pixels a side; None: as they are."""


@dataclass(frozen=True, kw_only=True)
class Score:
    """What a network makes of the test images."""

    confusion: Tensor
    """How many images of a class (row) it took for a class (column), `(classes, classes)` on the CPU."""
    guesses: Tensor
    """The class it took each test image for, `(n,)` on the CPU."""

    def most_confused(self) -> list[tuple[int, int, int]]:
        """Class, guess and number of images of the pairs confused most often, the worst first."""
        mistakes = self.confusion.clone().fill_diagonal_(0)
        pairs = [(label, guess, int(mistakes[label, guess])) for label, guess in mistakes.nonzero().tolist()]
        return sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1]))[:PAIRS]


def keep(folder: ReportFolder, runs: Mapping[str, Run], load: Load) -> Iterator[str]:
    """Look into the arms and keep what is seen in their folder, unless it is there; each arm once it is done.

    `runs` are the arms' first confirmed runs by their keys, those that left a checkpoint.
    """
    path = folder.path / views.NAME
    try:
        kept = views.read(path)
    except FolderError:
        kept = None  # a torn file is written again
    if not runs or (kept and [view.key for view in kept.arms] == list(runs)):
        return
    scores: dict[str, Score] = {}
    unseen: dict[str, str] = {}
    for key, run in runs.items():
        dataset = load(run.recipe.input_size)
        try:
            scores[key] = score(network_of(run, folder, dataset), dataset)
        except FolderError as error:
            unseen[key] = str(error)
        yield run.arm.name
    inputs = default_inputs(load(None), list(scores.values()))
    seen = [
        View(arm=run.arm.name, key=key, remark=unseen[key])
        if key in unseen
        else look(run, folder, load(run.recipe.input_size), inputs, LAYERS, key=key, scored=scores[key])
        for key, run in runs.items()
    ]
    classes = load(None).classes
    by_arm = {runs[key].arm.name: scored for key, scored in scores.items()}
    folder.write_tables({"confusion": confusion_frame(by_arm, classes)})
    # Written last, so that the table exists wherever this file does.
    write_whole(path, views.to_bytes(Views(classes=classes, inputs=inputs, arms=tuple(seen))))


def network_of(run: Run, folder: ReportFolder, dataset: Dataset) -> nn.Module:
    """The run's network as it was scored, in evaluation mode, on the device of the data.

    Raises:
        FolderError: its checkpoint is missing, torn or another network's, or its training diverged.
    """
    return networks.network_of(
        run,
        folder.locate_checkpoint(run.arm.slug),
        tuple(dataset.test_images.shape[1:]),
        len(dataset.classes),
        dataset.test_images.device,
    )


def score(network: nn.Module, dataset: Dataset) -> Score:
    """The network's guess for every official test image, batch by batch, and how classes are confused."""
    classes = len(dataset.classes)
    with torch.inference_mode():
        batches = dataset.test_images.split(EVALUATION_BATCH)
        guesses = torch.cat([network(batch).argmax(1) for batch in batches])
        cells = (dataset.test_labels * classes + guesses).bincount(minlength=classes**2)
    return Score(confusion=cells.reshape(classes, classes).cpu(), guesses=guesses.cpu())


def confusion_frame(scores: Mapping[str, Score], classes: Sequence[str]) -> pd.DataFrame:
    """The table of the arms' confusions; pairs of classes that never met are left out."""
    rows = [
        {"arm": arm, "label": classes[label], "guess": classes[guess], "images": count}
        for arm, scored in scores.items()
        for label, counts in enumerate(scored.confusion.tolist())
        for guess, count in enumerate(counts)
        if count
    ]
    return make_frame("confusion", rows)


def default_inputs(dataset: Dataset, scores: Sequence[Score]) -> tuple[int, ...]:
    """The classes whose images all networks are shown: those of D2L, or the two confused most."""
    if named := DEFAULT_INPUTS.get(dataset.name):
        return tuple(dataset.classes.index(name) for name in named)
    count = len(dataset.classes)
    both_ways = torch.zeros(count, count)
    for scored in scores:
        both_ways += scored.confusion + scored.confusion.T
    mistakes = both_ways.triu(diagonal=1)
    return divmod(int(mistakes.argmax()), count) if mistakes.any() else (0, 1)


def typical(dataset: Dataset, label: int) -> Tensor:
    """Of a class's test images the one nearest to their mean, the first if several are; `(c, h, w)`."""
    images = dataset.test_images[dataset.test_labels == label]
    return images[nearest_to_mean(images)]


def nearest_to_mean(images: Tensor) -> int:
    """Of images `(n, c, h, w)` the number of the most typical, the first if several are."""
    return int((images - images.mean(0)).square().flatten(1).sum(1).argmin())


def shown(
    run: Run, folder: ReportFolder, dataset: Dataset, inputs: Sequence[int]
) -> tuple[Tensor, list[Call]]:
    """A typical image of each class in `inputs`, `(inputs, c, h, w)`, and what the network makes of them."""
    images = torch.stack([typical(dataset, label) for label in inputs])
    return images, traced(network_of(run, folder, dataset), images)


def look(
    run: Run,
    folder: ReportFolder,
    dataset: Dataset,
    inputs: Sequence[int],
    layers: Sequence[str],
    *,
    key: str = "",
    scored: Score | None = None,
) -> View:
    """What the network makes of a typical image of each class in `inputs`; if scored, what it confuses."""
    images, calls = shown(run, folder, dataset, inputs)
    first = next((call for call in calls if call.convolves), None)
    found = [(layer, maps(calls, layer)) for layer in layers]
    return View(
        arm=run.arm.name,
        key=key,
        images=_pixels(images),
        confused=tuple(_confused(dataset, scored)) if scored else (),
        layers=tuple(
            Layer(
                asked=layer, module=made[0], channels=made[1].shape[1], maps=_halves(made[1][:, :MOST_MAPS])
            )
            for layer, made in found
            if made is not None
        ),
        filters=_filters(first) if first else None,
        remark="" if first else f"{run.arm.name} has no convolution, and so no maps and no filters",
    )


def classes_named(text: str, classes: Sequence[str]) -> tuple[int, ...]:
    """The classes that a comma-separated text names, by their names or how these begin, in any case.

    Raises:
        AblateError: a name that is no class's, or the beginning of several.
    """
    return tuple(dict.fromkeys(_class_named(name.strip(), classes) for name in text.split(",")))


def _class_named(name: str, classes: Sequence[str]) -> int:
    known = [label.casefold() for label in classes]
    wanted = name.casefold()
    begun = [i for i, label in enumerate(known) if wanted and label.startswith(wanted)]
    for found in ([i for i in begun if known[i] == wanted], begun):
        if len(found) == 1:
            return found[0]
    if begun:
        raise AblateError(
            f"--inputs {name}: may be {' or '.join(classes[i] for i in begun)}: write more of it"
        )
    raise AblateError(f"--inputs {name}: no such class: {did_you_mean(name, list(classes))}")


def _filters(first: Call) -> Filters:
    weight = first.module.weight
    assert isinstance(weight, Tensor)
    return Filters(
        module=first.name,
        channels=len(weight),
        weights=_halves(weight.detach()[:MOST_FILTERS]),
        responses=_halves(first.made_values[:, :MOST_FILTERS]),
    )


def _confused(dataset: Dataset, scored: Score) -> Iterator[Confused]:
    labels = dataset.test_labels.cpu()
    for label, guess, images in scored.most_confused():
        places = ((labels == label) & (scored.guesses == guess)).nonzero().flatten()[:EXAMPLES]
        examples = _pixels(dataset.test_images[places.to(dataset.test_images.device)])
        yield Confused(label=label, guess=guess, images=images, examples=examples)


def _pixels(images: Tensor) -> Array:
    """Images in [0, 1] as bytes."""
    return (_small(images).clamp(0, 1) * 255).round().byte().cpu().numpy()


def _halves(pictures: Tensor) -> Array:
    """Maps or weights as float16; what lies beyond its range is put at its ends."""
    return _small(pictures).clamp(HALF.min, HALF.max).half().cpu().numpy()


def _small(pictures: Tensor) -> Tensor:
    height, width = pictures.shape[2:]
    if max(height, width) <= LARGEST_SIDE:
        return pictures
    return F.adaptive_avg_pool2d(pictures, (min(height, LARGEST_SIDE), min(width, LARGEST_SIDE)))
