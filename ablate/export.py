"""A trained arm as files that other programs read, and training curves as TensorBoard reads them."""

import contextlib
import importlib.util
import io
import json
import logging
import pickle
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from ablate import models
from ablate.errors import AblateError, FolderError
from ablate.folder import read_given
from ablate.results import write_whole
from ablate.runs import in_recipe, slug
from ablate.spec import Recipe, StudySpec, as_written, did_you_mean

INPUT, OUTPUT = "images", "logits"
PIXELS = (
    "float32 from 0 to 1: each pixel value over the largest that its file can hold (255 of 8-bit images, "
    "16 of the digits), no mean or deviation taken off"
)
CURVES = {
    "train/loss": "train_loss",
    "train/accuracy": "train_accuracy",
    "validation/accuracy": "validation_accuracy",
}
"""TensorBoard's tag of each column of tables/epochs.csv that is drawn."""
FIRST_SEED = 0
"""Of the confirmed runs the one whose network is kept."""


@dataclass(frozen=True, kw_only=True)
class Written:
    """A file, and two lines of Python that use it."""

    path: Path
    usage: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Confirmed:
    """What an arm's network and its input were when it was confirmed."""

    model: str
    keywords: Mapping[str, Any]
    input_shape: tuple[int, int, int]
    classes: tuple[str, ...]
    recipe: Recipe

    def build(self) -> nn.Module:
        """The network before anything was trained."""
        return models.build(
            self.model,
            self.keywords,
            input_shape=self.input_shape,
            classes=len(self.classes),
            init="default",
            seed=0,
        )

    def call(self) -> str:
        """The Python expression that gives the same."""
        usual = models.keywords(self.model)
        named = {k: v for k, v in self.keywords.items() if as_written(v) != as_written(usual[k])}
        return (
            f"ablate.models.build({self.model!r}, {named!r}, input_shape={self.input_shape}, "
            f'classes={len(self.classes)}, init="default", seed=0)'
        )


def write_arm(folder: Path, arm: str, to: Path) -> list[Written]:
    """The arm's first confirmed network as `<slug>.pt` (its state dict alone) and `<slug>.onnx`, in `to`.

    Raises:
        AblateError: there is no such arm, or a package is missing.
        FolderError: the folder holds no weights of it, or others.
    """
    _need("onnx", "onnxscript")
    study, environment, tables = read_given(folder)
    if arm not in environment["networks"]:
        raise AblateError(f"--arm {arm}: {did_you_mean(arm, list(environment['networks']))}")
    checkpoint = folder / "checkpoints" / f"{slug(arm)}.pt"
    if not checkpoint.parent.is_dir():
        raise FolderError(
            f"{folder}: holds no checkpoints (published folders never do): run its study again, "
            "or export its curves with --tensorboard"
        )
    confirmed = _as_confirmed(study, environment, tables["runs"], arm)
    network = _trained(confirmed, checkpoint)
    buffer = io.BytesIO()
    torch.save(dict(network.state_dict()), buffer)
    # Before anything is written: a network that ONNX cannot express leaves no half of an export.
    graph = _onnx(network, confirmed, _metadata(study, arm, confirmed))
    weights, program = to / f"{slug(arm)}.pt", to / f"{slug(arm)}.onnx"
    write_whole(weights, buffer.getvalue())
    write_whole(program, graph)
    shape = ", ".join(map(str, confirmed.input_shape))
    return [
        Written(
            path=weights,
            usage=(
                f"network = {confirmed.call()}",
                f"network.load_state_dict(torch.load({str(weights)!r}, weights_only=True)); network.eval()",
            ),
        ),
        Written(
            path=program,
            usage=(
                f"session = onnxruntime.InferenceSession({str(program)!r})",
                f'{OUTPUT} = session.run(["{OUTPUT}"], {{"{INPUT}": {INPUT}}})[0]'
                f"  # {INPUT}: float32 (batch, {shape}), 0 to 1",
            ),
        ),
    ]


def write_curves(folder: Path, to: Path) -> int:
    """The confirmed runs' training curves as event files, `to/<slug>/seed-<n>`; how many runs there were.

    A step is one training example seen, so that arms of different batch sizes share an axis. Event files
    that an earlier export left there are replaced: TensorBoard would draw both.

    Raises:
        AblateError: a package is missing.
        FolderError: nothing is confirmed yet.
    """
    _need("tensorboard")
    from torch.utils.tensorboard import SummaryWriter

    study, _, tables = read_given(folder)
    epochs = tables["epochs"]
    curves = epochs[epochs["phase"] == "confirm"].groupby(["arm", "seed"], sort=False)
    if not len(curves):
        raise FolderError(f"{folder}: no arm is confirmed yet, so there is no curve: run its study on")
    for (arm, seed), points in curves:
        recipe = _recipe(study, _row(tables["runs"], arm, seed))
        run = to / slug(arm) / f"seed-{seed}"
        for earlier in run.glob("events.out.tfevents.*"):
            earlier.unlink()
        with SummaryWriter(str(run)) as writer:
            for point in points.to_dict("records"):
                step = _examples_seen(study, recipe, point["epoch"])
                for tag, column in CURVES.items():
                    if pd.notna(point[column]):
                        writer.add_scalar(tag, point[column], step)
    return len(curves)


def _need(*packages: str) -> None:
    missing = [package for package in packages if importlib.util.find_spec(package) is None]
    if missing:
        raise AblateError(f"export needs {' and '.join(missing)}: pip install 'ablate[export]'")


def _input_shape(study: StudySpec, recipe: Recipe) -> tuple[int, int, int]:
    """What the arm's images were, `(channels, height, width)`."""
    return study.dataset.facts.shape_at(recipe.input_size)


def _as_confirmed(
    study: StudySpec, environment: Mapping[str, Any], runs: pd.DataFrame, arm: str
) -> Confirmed:
    row = _row(runs, arm, FIRST_SEED)
    recipe = _recipe(study, row)
    network = dict(environment["networks"][arm])
    tuned = {name: row[name] for name in study.tuning.ranges if name in network and row[name] is not None}
    return Confirmed(
        model=network.pop("model"),
        keywords={**network, **tuned},
        input_shape=_input_shape(study, recipe),
        classes=tuple(environment["data"]["classes"]),
        recipe=recipe,
    )


def _row(runs: pd.DataFrame, arm: str, seed: int) -> dict[str, Any]:
    """A confirmed run's factors and nuisances, as the study file would have them; None where it has none."""
    found = runs[(runs["phase"] == "confirm") & (runs["arm"] == arm) & (runs["seed"] == seed)]
    if found.empty:
        raise FolderError(f"tables/runs.csv has no confirmed run of {arm} with seed {seed}: run the study on")
    return {name: _value(cell) for name, cell in found.iloc[0].items()}


def _value(cell: Any) -> Any:
    """A cell of runs.csv before `results` wrote it: JSON, but words bare."""
    if pd.isna(cell):
        return None
    try:
        return json.loads(cell) if isinstance(cell, str) else cell
    except ValueError:
        return cell


def _recipe(study: StudySpec, row: Mapping[str, Any]) -> Recipe:
    """The recipe that a run was trained by."""
    own = {name: row[name] for name in study.factor_names if in_recipe(name)}
    tuned = {name: row[name] for name in study.tuning.ranges if in_recipe(name) and row[name] is not None}
    return study.recipe.model_copy(update={**own, **tuned})


def _examples_seen(study: StudySpec, recipe: Recipe, epoch: float) -> int:
    """Training examples up to a point of a curve: whole batches, of which an epoch's last may be short."""
    images = recipe.train_images or study.dataset.facts.train_images - study.validation
    batches = -(-images // recipe.batch_size)
    full, rest = divmod(round(epoch * batches), batches)
    return full * images + rest * recipe.batch_size


def _trained(confirmed: Confirmed, checkpoint: Path) -> nn.Module:
    """The network with the weights it was confirmed with, set to evaluate."""
    network = confirmed.build()
    try:
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        network.load_state_dict(state)
    except FileNotFoundError:
        raise FolderError(
            f"{checkpoint}: is missing: the arm's first confirmed run failed or has not ended"
        ) from None
    except (RuntimeError, TypeError, EOFError, pickle.UnpicklingError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FolderError(f"{checkpoint}: holds no weights of this arm's network ({told})") from None
    if not all(parameter.isfinite().all() for parameter in network.parameters()):
        raise FolderError(f"{checkpoint}: holds weights that are no numbers: the arm's first run diverged")
    return network.eval()


def _metadata(study: StudySpec, arm: str, confirmed: Confirmed) -> dict[str, str]:
    size = confirmed.recipe.input_size
    resized = f"; resized to {size}×{size}, bilinear with antialiasing" if size else ""
    return {
        "study": study.name,
        "dataset": str(study.dataset),
        "arm": arm,
        "seed": str(FIRST_SEED),
        "classes": json.dumps(confirmed.classes, ensure_ascii=False),
        "pixels": PIXELS + resized,
    }


def _onnx(network: nn.Module, confirmed: Confirmed, metadata: Mapping[str, str]) -> bytes:
    """The network as ONNX: any number of images in, their logits out."""
    # Two images: an axis of one would be taken for a constant.
    example = torch.zeros(2, *confirmed.input_shape)
    try:
        with _quietly():
            program = torch.onnx.export(
                network,
                (example,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: "batch"},),
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        raise AblateError(f"{confirmed.model} cannot be written as ONNX: {_told(error)}") from None
    assert program is not None  # only the deprecated exporter gives nothing back
    for node in program.model.graph:
        node.metadata_props.pop("pkg.torch.onnx.stack_trace", None)  # it names this machine's folders
    program.model.metadata_props.update(metadata)
    return program.model_proto.SerializeToString()


@contextlib.contextmanager
def _quietly() -> Iterator[None]:
    """Without what torch's exporter tells: warnings of its own code, and graphs of what it cannot do."""
    before = logging.root.manager.disable
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore", FutureWarning)
        warnings.simplefilter("ignore", DeprecationWarning)
        logging.disable()
        try:
            yield
        finally:
            logging.disable(before)


def _told(error: BaseException) -> str:
    """The cause of an exporter's error in one line: what it says first, with what a colon there announces."""
    cause = error.__cause__ or error
    first, *rest = [line.strip() for line in str(cause).splitlines() if line.strip()] or [
        type(cause).__name__
    ]
    return f"{first} {rest[0]}" if first.endswith(":") and rest else first
