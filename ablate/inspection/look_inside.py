"""Make the views and the confusion table of a study's trained networks, and store them in the report folder.

A view of a network has feature maps, filters and images that the network confuses.
"""

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
"""A report shows the feature maps of the convolutions with these numbers. The first one has number 1."""

Load = Callable[[int | None], Dataset]
"""A function that loads the study's data set. Its argument is the side length of the images in pixels.

If the argument is None, the images keep their size.
"""


def look_inside(folder: ReportFolder, runs: Mapping[str, Run], load: Load) -> Iterator[str]:
    """Make and store the views and the confusion table of the arms in `runs`.

    `runs` maps the key of a run to the run. It has the first confirmed run of each arm with a checkpoint (a
    file with trained weights). If the folder already has the views of these runs, the function does nothing.

    Yields:
        The name of each arm, after its network has classified the test images.
    """
    path = folder.path / views.NAME
    try:
        stored = views.read(path)
    except FolderError:
        stored = None  # a missing or damaged file is replaced below
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
    # The views are written last. So a folder that has the views also has the confusion table.
    write_whole(path, views.to_bytes(Views(classes=classes, inputs=inputs, arms=tuple(arms))))
