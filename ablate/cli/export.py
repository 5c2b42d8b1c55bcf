"""Export a trained network for other programs, and training curves for TensorBoard."""

import contextlib
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from ablate import models
from ablate.design.runs import Run, make_slug
from ablate.errors import AblateError, FolderError, did_you_mean, install_command
from ablate.inspection.networks import TrainedNetworks
from ablate.records.files import write_whole
from ablate.records.run_records import Phase
from ablate.study.recipe import Recipe
from ablate.study.spec import StudySpec, format_value

INPUT, OUTPUT = "images", "logits"
PIXELS = (
    "float32 from 0 to 1: each pixel value divided by the largest value that its file can hold (255 for "
    "8-bit images, 16 for the digits); not standardised"
)
CURVES = {
    "train/loss": "train_loss",
    "train/accuracy": "train_accuracy",
    "validation/accuracy": "validation_accuracy",
}
"""Maps a tag in TensorBoard to the column of tables/epochs.csv that is exported under this tag."""


@dataclass(frozen=True, kw_only=True)
class WrittenFile:
    """An exported file, and two lines of Python that use it."""

    path: Path
    usage: tuple[str, str]


def write_arm(folder: Path, arm: str, to: Path) -> list[WrittenFile]:
    """Write the network of the arm's first confirmed run into `to`, as .pt (state dict) and as .onnx.

    Raises:
        AblateError: there is no such arm, or a package is missing.
        FolderError: the folder has no weights of the arm, or the weights belong to another network.
    """
    _require("onnx", "onnxscript")
    trained = TrainedNetworks(folder)
    if arm not in trained.arms:
        raise AblateError(f"--arm {arm}: {did_you_mean(arm, trained.arms)}")
    if not (folder / "checkpoints").is_dir():
        raise FolderError(
            f"{folder}: holds no checkpoints: `ablate retrain {folder}` trains one network of each arm "
            "again. Without checkpoints, --tensorboard exports the curves"
        )
    run = trained.rebuild_run(arm)
    classes, shape = trained.classes, trained.image_shape(run)
    network = trained.reopen(run)
    buffer = io.BytesIO()
    torch.save(dict(network.state_dict()), buffer)
    # Convert to ONNX before writing any file, so that a failed conversion leaves no partial export.
    graph = _make_onnx(network, run, shape, _make_metadata(trained.study, run, classes))
    weights, program = to / f"{make_slug(arm)}.pt", to / f"{make_slug(arm)}.onnx"
    write_whole(weights, buffer.getvalue())
    write_whole(program, graph)
    sizes = ", ".join(map(str, shape))
    return [
        WrittenFile(
            path=weights,
            usage=(
                write_call(run.arm.model, run.keywords, shape, len(classes)),
                f"network.load_state_dict(torch.load({str(weights)!r}, weights_only=True)); network.eval()",
            ),
        ),
        WrittenFile(
            path=program,
            usage=(
                f"session = onnxruntime.InferenceSession({str(program)!r})",
                f'{OUTPUT} = session.run(["{OUTPUT}"], {{"{INPUT}": {INPUT}}})[0]'
                f"  # {INPUT}: float32 (batch, {sizes}), 0 to 1",
            ),
        ),
    ]


def write_curves(folder: Path, to: Path) -> int:
    """Write the training curves of all confirmed runs as event files in `to/<slug>/seed-<n>`.

    Return the number of runs. A step is one training example, so that arms with different batch sizes share
    an axis. Event files of an earlier export are deleted, because TensorBoard would draw their curves too.

    Raises:
        AblateError: a package is missing.
        FolderError: the folder has no confirmed run yet (a run with the tuned values).
    """
    _require("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    trained = TrainedNetworks(folder)
    epochs = trained.tables["epochs"]
    curves = epochs[epochs["phase"] == Phase.CONFIRM].groupby(["arm", "seed"], sort=False)
    if not len(curves):
        raise FolderError(f"{folder}: has no curves, because no arm is confirmed yet: continue with `run`")
    for (arm, seed), points in curves:
        recipe = trained.rebuild_run(arm, seed).recipe
        place = to / make_slug(arm) / f"seed-{seed}"
        for earlier in place.glob("events.out.tfevents.*"):
            earlier.unlink()
        with SummaryWriter(str(place)) as writer:
            for point in points.to_dict("records"):
                step = _count_examples_seen(trained.study, recipe, point["epoch"])
                for tag, column in CURVES.items():
                    if pd.notna(point[column]):
                        writer.add_scalar(tag, point[column], step)
    return len(curves)


def _require(*packages: str) -> None:
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise AblateError(f"export needs {' and '.join(missing)}: {install_command('export')}")


def _count_examples_seen(study: StudySpec, recipe: Recipe, epoch: float) -> int:
    """Count the training examples that a run has seen at a point of its curve.

    `epoch` can be a fraction. The last batch of an epoch can be smaller than the others.
    """
    available = study.dataset.facts.count_training_images(recipe.train_images, study.validation)
    images = recipe.count_examples_per_epoch(available)
    batches = -(-images // recipe.batch_size)
    full, rest = divmod(round(epoch * batches), batches)
    return full * images + rest * recipe.batch_size


def write_call(model: str, keywords: Mapping[str, Any], image_shape: Sequence[int], classes: int) -> str:
    """Write Python code that allows a user's package and then builds an untrained network as `network`."""
    usual = models.read_keywords(model)
    named = {k: v for k, v in keywords.items() if format_value(v) != format_value(usual[k])}
    package = model.partition(":")[0].partition(".")[0]
    allowed = f"ablate.models.own.allow([{package!r}]); " if ":" in model else ""
    return (
        f"{allowed}network = ablate.models.build({model!r}, {named!r}, input_shape={tuple(image_shape)}, "
        f'classes={classes}, init="default", seed=0)'
    )


def _make_metadata(study: StudySpec, run: Run, classes: Sequence[str]) -> dict[str, str]:
    size = run.recipe.input_size
    resized = f"; resized to {size}×{size}, bilinear with antialiasing" if size else ""
    return {
        "study": study.full_name,
        "dataset": str(study.dataset),
        "arm": run.arm.name,
        "seed": str(run.seed),
        "classes": json.dumps(classes, ensure_ascii=False),
        "pixels": PIXELS + resized,
    }


def _make_onnx(
    network: nn.Module, run: Run, image_shape: Sequence[int], metadata: Mapping[str, str]
) -> bytes:
    """Convert the network to ONNX format. The result takes any number of images and gives their logits."""
    # Export with two images, because the exporter treats an axis of length one as a constant.
    example = torch.zeros(2, *image_shape)
    try:
        with _silence():
            program = torch.onnx.export(
                network,
                (example,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: "batch"},),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise AblateError(f"{run.arm.model} cannot be written as ONNX: {_summarise_error(error)}") from None
    assert program is not None  # only the deprecated exporter returns None
    for node in program.model.graph:
        node.metadata_props.pop(
            "pkg.torch.onnx.stack_trace", None
        )  # this trace contains paths of this machine
    program.model.metadata_props.update(metadata)
    return program.model_proto.SerializeToString()


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Suppress the messages of the exporter.

    These messages are warnings about the exporter's own code, and dumps of graphs that it cannot export.
    """
    before = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        logging.disable()
        try:
            yield
        finally:
            logging.disable(before)


def _summarise_error(error: BaseException) -> str:
    """Return the first line of an error's cause, and the second line if the first ends with a colon."""
    cause = error.__cause__ or error
    first, *rest = [line.strip() for line in str(cause).splitlines() if line.strip()] or [
        type(cause).__name__
    ]
    return f"{first} {rest[0]}" if first.endswith(":") and rest else first
