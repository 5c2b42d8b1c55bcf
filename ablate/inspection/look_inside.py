"""Look into a study's trained networks, and store their views and confusions in its report folder."""

from collections.abc import Callable, Iterator, Mapping

from ablate.data.loading import Dataset
from ablate.design.runs import Run
from ablate.errors import FolderError
from ablate.inspection.confusion import Score, score_network, tabulate_confusions
from ablate.inspection.inputs import choose_classes
from ablate.inspection.network_views import view_network
from ablate.inspection.networks import reopen_network
from ablate.records import views
from ablate.records.files import write_whole
from ablate.records.folder import ReportFolder
from ablate.records.views import View, Views

LAYERS = ("1", "2")
"""The convolutions, counted from 1, whose maps a report shows."""

Load = Callable[[int | None], Dataset]
"""Loads the study's data at an image size in pixels a side; None keeps the original size."""


def look_inside(folder: ReportFolder, runs: Mapping[str, Run], load: Load) -> Iterator[str]:
    """Look into the arms, and store the result in their folder. Yields an arm's name once the arm is scored.

    `runs` are the first confirmed runs of the arms that have a checkpoint, by their keys. If the folder
    already has the views of these runs, the function does nothing.
    """
    path = folder.path / views.NAME
    try:
        stored = views.read(path)
    except FolderError:
        stored = None  # a damaged file is written again
    if not runs or (stored and [view.key for view in stored.arms] == list(runs)):
        return
    scores: dict[str, Score] = {}
    failures: dict[str, str] = {}
    for key, run in runs.items():
        dataset = load(run.recipe.input_size)
        try:
            scores[key] = score_network(reopen_network(run, folder, dataset), dataset)
        except FolderError as error:
            failures[key] = str(error)
        yield run.arm.name
    inputs = choose_classes(load(None), list(scores.values()))
    arms = [
        View(arm=run.arm.name, key=key, remark=failures[key])
        if key in failures
        else view_network(
            run, folder, load(run.recipe.input_size), inputs, LAYERS, key=key, score=scores[key]
        )
        for key, run in runs.items()
    ]
    classes = load(None).classes
    by_arm = {runs[key].arm.name: score for key, score in scores.items()}
    folder.write_tables({"confusion": tabulate_confusions(by_arm, classes)})
    # The views are written last, so that a folder with this file also has the table.
    write_whole(path, views.to_bytes(Views(classes=classes, inputs=inputs, arms=tuple(arms))))
