"""What leaves for other programs is what was trained: the same weights, the same logits, the same curves."""

import io
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from ablate import models
from ablate.cli.export import write_arm, write_curves
from ablate.design.designs import lay_out
from ablate.design.runs import Run, make_slug, name_setting
from ablate.engines.training import list_marks, make_curve
from ablate.errors import AblateError, FolderError
from ablate.execution.executor import Conditions, Outcome
from ablate.experiment.conduct import Conduct
from ablate.models import own
from ablate.models.layers import ACTIVATIONS
from ablate.records.folder import ReportFolder
from ablate.records.run_records import RunRecord
from ablate.study import study_file
from tests.commands import ablate

ARMS: dict[str, dict[str, Any]] = {
    "sigmoid": {},
    "relu": {"batch_norm": True, "dropout": 0.5},
    "selu": {"head": "global_average", "batch_norm": True, "pooling": "max", "kernel_size": [5, 3]},
    "gelu": {"input_size": 20, "output_activation": "tanh"},
    "silu": {"conv_layers": 3, "input_norm": True},
    "hardswish": {"pooling": "none", "stride": 2, "dense_layers": 1},
    "perceptron": {"model": "mlp", "activation": "relu", "dropout": 0.2, "hidden": [64, 32]},
}
"""Networks that have every kind of layer between them. An export takes more than a second."""
EVERY_KIND = """\
name: every_kind
question: Does every kind of network leave as it is?
dataset: digits
arms: ARMS
recipe: {epochs: 1, batch_size: 16}
seeds: 1
validation: 240
timing: {blocks: 0}
"""
TUNED = """\
name: tuned
question: Does a tuned network leave as it was tuned?
dataset: digits
factors: {pooling: [avg, max], train_images: [null, 500]}
recipe: {epochs: 2, batch_size: 64}
tuning: {trials: 4, conv_layers: {low: 1, high: 3}, batch_size: {low: 40, high: 100}}
seeds: 2
validation: 240
timing: {blocks: 0}
"""
OWN = """\
from torch import nn
import torch

from ablate.models.layers import ACTIVATIONS


class TwoPaths(nn.Module):
    def __init__(self, kind, channels, classes):
        super().__init__()
        self.kind = kind
        self.left, self.right = (nn.Conv2d(channels, 4, k, padding=k // 2) for k in (1, 3))
        self.head = nn.Linear(8, classes)

    def forward(self, picture):
        together = torch.cat([self.left(picture), self.right(picture)], 1).amax((2, 3))
        if self.kind == "branching" and together.mean() > 0:
            together = -together
        return torch.special.i0(self.head(together)) if self.kind == "bessel" else self.head(together)


class EveryActivation(nn.Module):
    def __init__(self, channels, classes):
        super().__init__()
        self.activations = nn.ModuleList(activation() for activation in ACTIVATIONS.values())
        self.conv = nn.Conv2d(channels, 3, 5)
        self.head = nn.Linear(3 * len(self.activations), classes)

    def forward(self, picture):
        maps = self.conv(picture)
        return self.head(torch.cat([activation(maps).mean((2, 3)) for activation in self.activations], 1))


def build(*, kind: str = "plain", input_shape, classes):
    if kind == "activations":
        return EveryActivation(input_shape[0], classes)
    return TwoPaths(kind, input_shape[0], classes)
"""


class Untrained:
    """Workers that draw a network's parameters and curve where others would train."""

    def __init__(self) -> None:
        self.networks: dict[str, nn.Module] = {}
        self.steps: dict[tuple[str, int], list[int]] = {}

    def __call__(self, conditions: Conditions, jobs: int) -> "Untrained":
        self.facts, self.validation = conditions.dataset.facts, conditions.validation
        return self

    def outcomes(self, runs: Sequence[Run]) -> Iterator[Outcome]:
        for run in runs:
            checkpoint = self._network(run) if run.phase == "confirm" and run.seed == 0 else None
            yield Outcome(run=run, record=self._record(run), checkpoint=checkpoint)

    def _network(self, run: Run) -> bytes:
        network = models.build(
            run.arm.model,
            run.keywords,
            input_shape=self.facts.compute_shape(run.recipe.input_size),
            classes=10,
            init="kaiming_normal",
            seed=run.seed,
        )
        for buffer in network.buffers():
            if buffer.is_floating_point():
                buffer.uniform_(0.5, 2)
        self.networks[run.arm.name] = network.eval()
        content = io.BytesIO()
        torch.save({name: tensor.clone() for name, tensor in network.state_dict().items()}, content)
        return content.getvalue()

    def _record(self, run: Run) -> RunRecord:
        recipe = run.recipe
        images = recipe.train_images or self.facts.train_images - self.validation
        read_at = list_marks(images, int(recipe.batch_size))
        points = []
        for epoch in range(recipe.epochs):
            totals = [(seen / (1 + epoch + number), 0.1 * seen) for number, seen in read_at]
            points += make_curve(epoch, read_at, totals)
        if run.phase == "confirm":
            steps = [epoch * images + seen for epoch in range(recipe.epochs) for _, seen in read_at]
            self.steps[run.arm.name, run.seed] = steps
        accuracy = 0.5 + 0.1 * run.setting.get("conv_layers", 0)  # so that the deepest is chosen
        points[-1] = points[-1].__class__(**{**vars(points[-1]), "validation_accuracy": accuracy})
        return RunRecord(
            phase=run.phase,
            arm=run.arm.name,
            setting=name_setting(run.setting),
            seed=run.seed,
            values={**run.arm.factors, **run.setting},
            status="complete",
            engine="none",
            validation_accuracy=accuracy,
            test_accuracy=accuracy if run.phase == "confirm" else None,
            epochs=tuple(points),
        )

    def close(self) -> None:
        """Nothing to stop."""


def conducted(text: str, parent: Path) -> tuple[Path, Untrained]:
    """A report folder as `run` leaves it, and the workers that made its networks."""
    file = parent / "study.yaml"
    file.write_text(text)
    spec = study_file.read(file)
    conditions = Conditions(dataset=spec.dataset, data_root=None, validation=spec.validation, device="cpu")
    folder, workers = ReportFolder(parent / spec.name), Untrained()
    folder.lock(fresh=False)
    folder.adopt(spec)
    conduct = Conduct(spec, lay_out(spec), folder, conditions, jobs=1, workers=workers)
    try:
        list(conduct.run_phases())
        folder.write_provenance(conduct.make_provenance())
        folder.write_tables(conduct.make_tables())
    finally:
        conduct.close()
        folder.release()
    return folder.path, workers


@pytest.fixture(scope="module")
def every_kind(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Untrained]:
    arms = {
        name: ({"activation": name} if name in ACTIVATIONS else {}) | changes
        for name, changes in ARMS.items()
    }
    return conducted(EVERY_KIND.replace("ARMS", json.dumps(arms)), tmp_path_factory.mktemp("every_kind"))


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Untrained]:
    return conducted(TUNED, tmp_path_factory.mktemp("tuned"))


@pytest.fixture(scope="module")
def left(
    every_kind: tuple[Path, Untrained], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], Path]:
    """Where an arm of `every_kind` was written to, once for all tests: a second each."""
    to = tmp_path_factory.mktemp("left")

    def written(arm: str) -> Path:
        if not (to / f"{make_slug(arm)}.onnx").exists():
            write_arm(every_kind[0], arm, to)
        return to

    return written


def images(count: int, size: int = 28) -> np.ndarray:
    return np.random.default_rng(count).random((count, 1, size, size), dtype=np.float32)


def agrees(program: Path, network: nn.Module, size: int = 28) -> bool:
    """Whether ONNX Runtime gives the network's logits, for one image and for seven."""
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    session = runtime.InferenceSession(program)
    for count in (1, 7):
        given = images(count, size)
        (logits,) = session.run(["logits"], {"images": given})
        with torch.inference_mode():
            wanted = network(torch.from_numpy(given)).numpy()
        assert logits.shape == wanted.shape == (count, 10)
        if np.abs(logits - wanted).max() > 1e-5 * max(1.0, np.abs(wanted).max()):
            return False
    return True


@pytest.fixture
def exporter() -> None:
    """A test that writes ONNX is skipped where the packages for it are missing; CI has them."""
    for package in ("onnx", "onnxscript"):
        pytest.importorskip(package, reason=f"{package} is not installed")


@pytest.fixture
def tensorboard() -> Any:
    """The reader of event files; a test that needs it is skipped without TensorBoard; CI has it."""
    name = "tensorboard.backend.event_processing.event_accumulator"
    return pytest.importorskip(name, reason="tensorboard is not installed")


@pytest.mark.usefixtures("exporter")
@pytest.mark.parametrize(
    "arm",
    [pytest.param(arm, marks=[] if arm in ("selu", "perceptron") else pytest.mark.thorough) for arm in ARMS],
)
def test_onnx_runtime_gives_the_logits_of_the_network_for_any_number_of_images(
    every_kind: tuple[Path, Untrained], left: Callable[[str], Path], arm: str
) -> None:
    assert agrees(
        left(arm) / f"{make_slug(arm)}.onnx", every_kind[1].networks[arm], ARMS[arm].get("input_size", 28)
    )


@pytest.mark.usefixtures("exporter")
def test_the_weights_load_without_running_code_and_are_those_that_were_trained(
    every_kind: tuple[Path, Untrained], left: Callable[[str], Path]
) -> None:
    found = torch.load(left("relu") / "relu.pt", weights_only=True)
    wanted = every_kind[1].networks["relu"].state_dict()
    assert list(found) == list(wanted)
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.usefixtures("exporter")
def test_an_onnx_file_says_what_goes_in_and_what_comes_out_and_names_no_folder_of_this_machine(
    left: Callable[[str], Path],
) -> None:
    import onnx

    program = onnx.load(left("gelu") / "gelu.onnx")
    shape = [dim.dim_param or dim.dim_value for dim in program.graph.input[0].type.tensor_type.shape.dim]
    assert (program.graph.input[0].name, shape) == ("images", ["batch", 1, 20, 20])
    assert [output.name for output in program.graph.output] == ["logits"]
    told = {entry.key: entry.value for entry in program.metadata_props}
    assert {key: told[key] for key in ("study", "arm", "dataset", "seed")} == {
        "study": "every_kind",
        "arm": "gelu",
        "dataset": "digits",
        "seed": "0",
    }
    assert json.loads(told["classes"]) == list("0123456789")
    assert told["pixels"].startswith("float32 from 0 to 1")
    assert told["pixels"].endswith("resized to 20×20, bilinear with antialiasing")
    assert str(Path(torch.__file__).parent) not in str(program)


@pytest.mark.usefixtures("exporter")
@pytest.mark.thorough
def test_the_lines_that_are_printed_give_the_network_back_as_it_was_tuned(
    tuned: tuple[Path, Untrained], tmp_path: Path
) -> None:
    pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    folder, workers = tuned
    assert hasattr(workers.networks["pooling=max"], "conv3")  # not what the study file alone would give
    done = ablate("export", folder, "--arm", "pooling=max", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    written = [line.removeprefix("written: ") for line in lines if not line.startswith("  ")]
    assert written == [f"{folder}/export/pooling-max.pt", f"{folder}/export/pooling-max.onnx"]
    given = {"images": images(3)}
    code = "import ablate.models, onnxruntime, torch\n" + "\n".join(
        line.strip() for line in lines if line.startswith("  ")
    )
    exec(code, given)
    with torch.inference_mode():
        wanted = workers.networks["pooling=max"](torch.from_numpy(given["images"]))
        assert torch.equal(given["network"](torch.from_numpy(given["images"])), wanted)
    assert given["logits"] == pytest.approx(wanted.numpy(), abs=1e-4)


@pytest.mark.usefixtures("exporter")
@pytest.mark.thorough
def test_a_persons_own_network_leaves_too_or_one_line_says_why_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_nets.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(own, "_allowed", ["own_nets"])
    text = EVERY_KIND.replace(
        "arms: ARMS", "model: own_nets:build\nfactors: {kind: [plain, activations, bessel, branching]}"
    )
    folder, workers = conducted(text, tmp_path)
    for arm, name in (("baseline", "baseline"), ("kind=activations", "kind-activations")):
        write_arm(folder, arm, tmp_path / "out")
        assert agrees(tmp_path / "out" / f"{name}.onnx", workers.networks[arm])
    for arm, cause in (("kind=bessel", "i0"), ("kind=branching", "data-dependent")):
        with pytest.raises(
            AblateError, match=f"own_nets:build cannot be written as ONNX: .*{cause}"
        ) as caught:
            write_arm(folder, arm, tmp_path / "out")
        assert len(str(caught.value).splitlines()) == 1
    assert capfd.readouterr().err == ""  # nor do torch's own messages surround the line
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        f"{name}.{kind}" for name in ("baseline", "kind-activations") for kind in ("onnx", "pt")
    }


def curves_in(folder: Path, tensorboard: Any) -> dict[str, dict[str, list[tuple[int, float]]]]:
    """Step and value of every event, by tag, by TensorBoard run."""
    found = {}
    for run in sorted({file.parent for file in folder.rglob("events.out.tfevents.*")}):
        events = tensorboard.EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()
        found[run.relative_to(folder).as_posix()] = {
            tag: [(event.step, event.value) for event in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]
        }
    return found


def test_tensorboard_reads_the_curves_of_the_table_each_point_at_the_examples_seen_by_then(
    tuned: tuple[Path, Untrained], tmp_path: Path, tensorboard: Any
) -> None:
    folder, workers = tuned
    assert write_curves(folder, tmp_path) == 6
    write_curves(folder, tmp_path)  # replaces what is there: no point twice
    epochs = pd.read_csv(folder / "tables" / "epochs.csv")
    wanted = {}
    for (arm, seed), points in epochs[epochs.phase == "confirm"].groupby(["arm", "seed"]):
        assert len(points) == 10
        wanted[f"{make_slug(arm)}/seed-{seed}"] = {
            tag: [
                (step, float(np.float32(value)))
                for step, value in zip(workers.steps[arm, seed], points[column], strict=True)
                if value == value  # validation is measured at whole epochs
            ]
            for tag, column in (
                ("train/loss", "train_loss"),
                ("train/accuracy", "train_accuracy"),
                ("validation/accuracy", "validation_accuracy"),
            )
        }
    assert {step[-1] for step in workers.steps.values()} == {2 * 1197, 2 * 500}
    assert curves_in(tmp_path, tensorboard) == wanted


def test_a_published_folder_gives_its_curves_without_checkpoints(tmp_path: Path, tensorboard: Any) -> None:
    published = Path(__file__).parents[2] / "reports" / "published" / "lenet_learning_rate"
    runs = pd.read_csv(published / "tables" / "runs.csv")
    count = write_curves(published, tmp_path)
    assert count == (runs.phase == "confirm").sum()
    found = curves_in(tmp_path, tensorboard)
    assert len(found) == count
    validated = {tuple(step for step, _ in run["validation/accuracy"]) for run in found.values()}
    assert len(validated) == 1
    assert all(step % 50_000 == 0 for step in validated.pop())  # whole passes over the training images


def test_a_folder_without_checkpoints_says_what_can_be_done(
    every_kind: tuple[Path, Untrained], tmp_path: Path
) -> None:
    published = Path(__file__).parents[2] / "reports" / "published" / "nin_head"
    with pytest.raises(FolderError, match=r"holds no checkpoints: .ablate retrain .* --tensorboard"):
        write_arm(published, "baseline", tmp_path)


def test_an_arm_that_is_not_there_is_told_with_the_nearest(
    every_kind: tuple[Path, Untrained], tmp_path: Path
) -> None:
    with pytest.raises(AblateError, match="--arm sigmoit: did you mean 'sigmoid'"):
        write_arm(every_kind[0], "sigmoit", tmp_path)


TORN = {
    "missing": (None, "is missing: the arm's first confirmed run failed or has not ended"),
    "cut short": (
        lambda content, _: content[: len(content) // 2],
        "does not hold the weights of its network",
    ),
    "no checkpoint at all": (lambda *_: b"nothing of the kind", "does not hold the weights of its network"),
    "another arm's": (lambda _, other: other, "does not hold the weights of its network"),
    "diverged": (lambda content, _: not_numbers(content), "its training diverged"),
}


def not_numbers(content: bytes) -> bytes:
    state = torch.load(io.BytesIO(content), weights_only=True)
    buffer = io.BytesIO()
    torch.save({name: tensor * float("nan") for name, tensor in state.items()}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("case", TORN)
def test_a_checkpoint_that_is_not_the_arms_is_refused_and_nothing_written(
    every_kind: tuple[Path, Untrained], case: str, tmp_path: Path
) -> None:
    change, message = TORN[case]
    checkpoint = every_kind[0] / "checkpoints" / "sigmoid.pt"
    whole = checkpoint.read_bytes()
    try:
        checkpoint.unlink()
        if change is not None:
            checkpoint.write_bytes(change(whole, (checkpoint.parent / "silu.pt").read_bytes()))
        with pytest.raises(FolderError, match=message) as caught:
            write_arm(every_kind[0], "sigmoid", tmp_path)
    finally:
        checkpoint.write_bytes(whole)
    assert len(str(caught.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("package", ["onnx", "onnxscript", "tensorboard"])
def test_a_package_that_is_missing_is_named_with_what_installs_it(
    every_kind: tuple[Path, Untrained], package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    write = write_curves if package == "tensorboard" else partial(write_arm, arm="sigmoid")
    with pytest.raises(AblateError, match=rf"needs .*{package}.*: pip install -e '\.\[export\]'"):
        write(every_kind[0], to=tmp_path)
    assert not list(tmp_path.iterdir())


def test_an_export_of_nothing_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    done = ablate("export", "reports/small", cwd=tmp_path)
    assert done.returncode == 2
    assert (
        done.stderr
        == "error: nothing to export: name an arm with --arm, or add --tensorboard, --latex or --checklist\n"
    )
