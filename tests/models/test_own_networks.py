"""Any small network that a person writes trains as in a plain torch loop, or one line refuses it."""

import functools
import sys
from pathlib import Path
from types import ModuleType

import hypothesis.strategies as st
import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings

from ablate import models
from ablate.data.datasets import find_dataset
from ablate.data.loading import Dataset, prepare_trial_images
from ablate.design.designs import lay_out
from ablate.design.names import settle_names
from ablate.design.runs import Run
from ablate.engines.loop import LoopTrainer
from ablate.errors import StudyError
from ablate.experiment.try_arms import try_arms
from ablate.models import own
from ablate.records.run_records import Phase
from ablate.study import study_file

HEAD = """
from typing import NamedTuple
import torch
from torch import nn

class Out(NamedTuple):
    logits: torch.Tensor
    extra: torch.Tensor
"""
LAYERS = {
    "conv": "nn.Conv2d(1, {width}, 5, padding=2), nn.ReLU(), nn.MaxPool2d(4)",
    "lazy conv": "nn.LazyConv2d({width}, 5, padding=2), nn.Tanh(), nn.AvgPool2d(4)",
    "none": "nn.AvgPool2d(4)",
}
NORMS = {
    "none": "nn.Identity()",
    "batch": "nn.LazyBatchNorm1d()",
    "layer": "nn.LayerNorm({features})",
    "group": "nn.GroupNorm(1, {features})",
}
FLATTEN = {
    "view": "x.view(x.size(0), -1)",
    "view all": "x.view(-1, {features})",
    "reshape": "x.reshape(len(x), -1)",
    "flatten": "torch.flatten(x, 1)",
}
OUTPUTS = {
    "logits": "x",
    "tuple": "(x, x)",
    "tuple while training": "(x, x) if self.training else x",
    "named tuple": "Out(x, x)",
    "dict": "dict(logits=x)",
    "classes in evaluation": "x if self.training else x.argmax(1)",
}
PLAIN = ("logits", "named tuple")
NAMES = [
    "width",
    "channels",
    "hidden",
    "n_units",
    "k",
    "momentum",
    "init",
    "epochs",
    "optimizer",
    "seed",
    "status",
    "phase",
    "arm",
    "epoch",
    "block",
    "setting",
    "learning_rate",
    "input_size",
    "drop_last",
    "trials",
    "value",
    "when",
    "model",
    "name",
    "index",
    "count",
    "verdict",
    "pooling",
    "Width",
    "größe",
    "_w",
]
LAST_BATCH_OF_ONE = 52
"""1,197 training images in batches of 52 leave one image."""


@st.composite
def networks(draw: st.DrawFn) -> dict[str, str | int | bool]:
    return {
        "sequential": draw(st.booleans()),
        "layers": draw(st.sampled_from(sorted(LAYERS))),
        "norm": draw(st.sampled_from(sorted(NORMS))),
        "flatten": draw(st.sampled_from(sorted(FLATTEN))),
        "output": draw(st.sampled_from([*PLAIN, *PLAIN, *PLAIN, *sorted(OUTPUTS)])),
        "keyword": draw(st.sampled_from(NAMES)),
        "owner": draw(st.booleans()),
        "batch_size": draw(st.sampled_from([32, LAST_BATCH_OF_ONE])),
    }


def write_code(made: dict[str, str | int | bool]) -> str:
    keyword = made["keyword"]
    features = 49 if made["layers"] == "none" else f"(49 * {keyword})"
    fill = {"width": keyword, "features": features}
    layers = LAYERS[str(made["layers"])].format(**fill)
    norm = NORMS[str(made["norm"])].format(**fill)
    dense = "nn.LazyLinear(10)" if "lazy" in str(made["layers"]) else f"nn.Linear({features}, 10)"
    if made["sequential"]:
        return f"{HEAD}\ndef build({keyword}=4):\n    return nn.Sequential({layers}, nn.Flatten(), {norm}, {dense})\n"
    flatten = FLATTEN[str(made["flatten"])].format(features="self.features")
    return (
        f"{HEAD}\nclass build(nn.Module):\n"
        f"    def __init__(self, {keyword}=4):\n"
        "        super().__init__()\n"
        f"        self.features = {features}\n"
        f"        self.layers, self.norm, self.dense = nn.Sequential({layers}), {norm}, {dense}\n"
        "    def forward(self, x):\n"
        "        x = self.layers(x)\n"
        f"        x = {flatten}\n"
        "        x = self.dense(self.norm(x))\n"
        f"        return {OUTPUTS[str(made['output'])]}\n"
    )


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(own, "_allowed", ["random_nets"])
    made = ModuleType("random_nets")
    monkeypatch.setitem(sys.modules, "random_nets", made)
    return made


@functools.cache
def noise() -> Dataset:
    return prepare_trial_images(find_dataset("digits"), None)


def train_plainly(run: Run, dataset: Dataset, batches: list[torch.Tensor]) -> list[float]:
    """The losses of the loop that a person writes: contiguous images, torch.optim.SGD, no tricks."""
    shape, classes = dataset.images.shape[1:], len(dataset.classes)
    network = models.build(
        run.arm.model, run.keywords, input_shape=shape, classes=classes, init="default", seed=0
    )
    optimizer = torch.optim.SGD(network.train().parameters(), run.recipe.learning_rate)
    losses = []
    for batch in batches:
        optimizer.zero_grad()
        loss = F.cross_entropy(network(dataset.images[batch]), dataset.labels[batch])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def train_with_ablate(run: Run, dataset: Dataset, batches: list[torch.Tensor]) -> list[float]:
    trainer, losses = LoopTrainer(run, dataset, torch.device("cpu")), []
    for batch in batches:
        trainer.reset()
        trainer.step(batch)
        losses.append(trainer.totals()[0].item() / len(batch))
    return losses


def check(made: dict[str, str | int | bool], module: ModuleType, folder: Path) -> None:
    code = write_code(made)
    exec(compile(code, "random_nets.py", "exec"), module.__dict__)
    key = f"model.{made['keyword']}" if made["owner"] else made["keyword"]
    path = folder / "random.yaml"
    path.write_text(
        "name: random\nquestion: Does it train?\ndataset: digits\nmodel: random_nets:build\n"
        f"factors: {{{key}: [4, 6]}}\n"
        f"recipe: {{optimizer: sgd, learning_rate: 0.05, init: default, batch_size: {made['batch_size']}}}\n"
        "validation: 240\n"
    )
    dataset = noise()
    try:
        study = settle_names(study_file.read(path))
        layout = lay_out(study)
        try_arms(study, layout, lambda _: dataset)
    except StudyError as error:
        assert all(line.startswith(str(path)) and "\n" not in line for line in error.lines)
        told = str(error)
        may_fail = made["norm"] == "batch" and made["batch_size"] == LAST_BATCH_OF_ONE
        if "drop_last: true" in told:
            assert may_fail
        elif "gives a " in told or "gives int64" in told:
            assert not made["sequential"]
            assert made["output"] not in PLAIN
        else:
            assert not made["owner"]
            assert f"model.{made['keyword']}" in told
        return
    assert made["sequential"] or made["output"] in PLAIN
    batches = list(torch.arange(48).split(16))
    for arm in layout.arms:
        run = Run(phase=Phase.CONFIRM, arm=arm, setting={}, seed=0)
        assert train_with_ablate(run, dataset, batches) == pytest.approx(
            train_plainly(run, dataset, batches), rel=1e-4
        )


@pytest.mark.parametrize(
    "examples", [10, pytest.param(40, marks=pytest.mark.thorough), pytest.param(500, marks=pytest.mark.slow)]
)
def test_a_random_network_trains_as_in_a_plain_loop_or_one_line_refuses_it(
    examples: int, module: ModuleType, tmp_path: Path
) -> None:
    quiet = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]

    @settings(max_examples=examples, deadline=None, suppress_health_check=quiet)
    @given(made=networks())
    def try_one(made: dict[str, str | int | bool]) -> None:
        check(made, module, tmp_path)

    try_one()
