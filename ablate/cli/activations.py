"""Draw what chosen layers of trained networks compute for images of chosen classes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ablate.data import sources
from ablate.design.runs import Run, make_slug
from ablate.errors import AblateError, FolderError, did_you_mean
from ablate.execution.executor import Conditions
from ablate.figures import registry
from ablate.figures.panels import MOST_ARMS
from ablate.formatting import format_list
from ablate.inspection.confusion import score_network
from ablate.inspection.inputs import DEFAULT_INPUTS, choose_classes, parse_classes
from ablate.inspection.look_inside import Load
from ablate.inspection.network_views import trace_inputs, view_network
from ablate.inspection.networks import TrainedNetworks, reopen_network, require_checkpoints
from ablate.inspection.tracing import list_layer_names
from ablate.records import views
from ablate.records.files import write_whole
from ablate.records.folder import ReportFolder
from ablate.records.views import View, Views
from ablate.report.writer import ASKED

LONGEST_NAME = 100
"""The maximum number of letters in the part of a file name that lists the classes and the arm."""


def draw(
    path: Path, *, arm: str | None, inputs: str | None, layers: str, data_dir: Path | None
) -> Iterator[Path]:
    """Draw the feature maps of the chosen layers and the filters of the first convolution.

    Each figure is written into the folder `path`/figures, as a PNG and as an SVG file. Then the path of the
    PNG file is yielded.

    Args:
        path: the report folder.
        arm: the arm to draw. None draws all arms with a file of weights, four per figure.
        inputs: names of classes, or the beginnings of names, separated by commas. None means the classes that
            the report shows.
        layers: numbers of convolutions (drawn after their activation function) or names of modules, separated
            by commas.
        data_dir: the folder with the data. None means that the usual folders are searched.

    Raises:
        AblateError: there is no such arm, class or layer.
        FolderError: the folder has no checkpoints, or no checkpoint can be inspected.
    """
    trained = TrainedNetworks(path)
    study, names, classes = trained.study, trained.arms, trained.classes
    require_checkpoints(path)
    if arm is not None and arm not in names:
        raise AblateError(f"--arm {arm}: {did_you_mean(arm, names)}")
    chosen = parse_classes(inputs, classes) if inputs is not None else None
    runs = [
        trained.rebuild_run(name) for name in ([arm] if arm is not None else trained.arms_with_checkpoint)
    ]
    conditions = Conditions(
        dataset=study.dataset,
        data_root=sources.find_root(study.dataset, data_dir, download=True),
        validation=study.validation,
        device="cpu",
    )
    networks = _Networks(folder=trained.folder, runs=runs, load=conditions.load)
    if chosen is None:
        kept = views.read(path / views.NAME)
        chosen = kept.inputs if kept and kept.inputs else networks.choose_default_inputs()
    seen = networks.make_views(classes, chosen, [layer.strip() for layer in layers.split(",")])
    for first in range(0, len(seen.arms), MOST_ARMS):
        part = Views(classes=classes, inputs=chosen, arms=seen.arms[first : first + MOST_ARMS])
        asked = [classes[label] for label in chosen] + ([] if arm is None else [arm])
        number = f"-{first // MOST_ARMS + 1}" if len(seen.arms) > MOST_ARMS else ""
        name = "-".join(make_slug(word) for word in asked)[:LONGEST_NAME]
        for drawn in registry.draw_inspection(study, {}, part):
            file = path / "figures" / f"{ASKED}{drawn.kind.name}-{name}{number}"
            write_whole(file.with_name(f"{file.name}.svg"), drawn.svg)
            write_whole(file.with_name(f"{file.name}.png"), drawn.png)
            yield file.with_name(f"{file.name}.png")


@dataclass(frozen=True, kw_only=True)
class _Networks:
    """The runs to inspect, the folder of their checkpoints, and the function that loads their data."""

    folder: ReportFolder
    runs: Sequence[Run]
    load: Load

    def choose_default_inputs(self) -> tuple[int, ...]:
        """Choose the classes that a report would show for these runs."""
        dataset = self.load(None)
        scores = []
        for run in self.runs if dataset.name not in DEFAULT_INPUTS else ():
            sized = self.load(run.recipe.input_size)
            scores.append(score_network(reopen_network(run, self.folder, sized), sized))
        return choose_classes(dataset, scores)

    def make_views(self, classes: tuple[str, ...], inputs: tuple[int, ...], layers: Sequence[str]) -> Views:
        """Make a view of each network.

        If one of several files of weights is damaged, its view has only a remark.
        """
        arms = []
        for run in self.runs:
            try:
                view = view_network(run, self.folder, self.load(run.recipe.input_size), inputs, layers)
            except FolderError as error:
                if len(self.runs) == 1:
                    raise
                view = View(arm=run.arm.name, key="", remark=str(error))
            arms.append(view)
        for layer in layers:
            if all(found.asked != layer for view in arms for found in view.layers):
                raise AblateError(self._explain_missing_layer(layer, inputs))
        return Views(classes=classes, inputs=inputs, arms=tuple(arms))

    def _explain_missing_layer(self, layer: str, inputs: tuple[int, ...]) -> str:
        known: list[str] = []
        for run in self.runs:
            _, calls = trace_inputs(run, self.folder, self.load(run.recipe.input_size), inputs)
            known += list_layer_names(calls)
        if not known:
            return f"--layers {layer}: no layer of {format_list([r.arm.name for r in self.runs])} has maps"
        return f"--layers {layer}: no arm has this layer: {did_you_mean(layer, list(dict.fromkeys(known)))}"
