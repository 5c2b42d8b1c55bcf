"""A person's own network is named by a study, allowed by the command line, checked by its signature."""

import re
import sys
from pathlib import Path

import pytest
import torch

from ablate import models
from ablate.cli.export import write_call
from ablate.design.designs import lay_out
from ablate.errors import ModelError, StudyError
from ablate.models import own
from ablate.study import study_file
from tests.commands import ablate

NETS = """
import torch
from torch import nn

class Tiny(nn.Module):
    def __init__(self, width, activation, classes, shape):
        super().__init__()
        self.stem = nn.Conv2d(shape[0], width, 3, stride=2, padding=1)
        self.act = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]()
        self.scale = nn.Parameter(torch.randn(width))
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.act(self.stem(x)).mean((2, 3)) * self.scale
        return self.head(x)

def build(width=8, activation="relu", input_shape=(1, 28, 28), classes=10):
    return Tiny(width, activation, classes, input_shape)

def plain(width=8): return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
def without_default(width): return plain()
def odd_default(width=object()): return plain()
def no_module(): return 3
def empty(): return nn.Flatten()
def wrong_shape(): return nn.Sequential(nn.Flatten(), nn.Linear(784, 7))
def failing(width=8): raise ValueError("no such width\\nat all")
NUMBER = 3
"""
SHAPE = (1, 28, 28)


@pytest.fixture
def nets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "mynets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(own, "_allowed", [])
    monkeypatch.delitem(sys.modules, "mynets", raising=False)
    return "mynets:build"


def test_the_code_that_export_prints_allows_a_network_before_it_builds_it(
    nets: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own.allow(["mynets"])
    code = write_call(nets, {"width": 4}, SHAPE, 10)
    monkeypatch.setattr(own, "_allowed", [])
    given: dict[str, object] = {}
    exec(f"import ablate.models\n{code}", given)
    assert isinstance(given["network"], torch.nn.Module)


def build(model: str, *, init: str = "default", seed: int = 0, **settings: object) -> torch.nn.Module:
    return models.build(model, settings, input_shape=SHAPE, classes=10, init=init, seed=seed)


def test_a_study_alone_never_runs_code(nets: str) -> None:
    with pytest.raises(
        ModelError,
        match="is code, and a study file cannot run code on its own: allow it with --plugin mynets",
    ):
        models.read_keywords(nets)
    assert "mynets" not in sys.modules


def test_allowing_a_package_allows_no_other(nets: str) -> None:
    own.allow(["mynets2", "mynet"])
    with pytest.raises(ModelError, match="--plugin mynets"):
        models.read_keywords(nets)
    assert "mynets" not in sys.modules


def test_its_keyword_parameters_are_what_a_study_may_ask_about(nets: str) -> None:
    own.allow(["mynets"])
    assert models.read_keywords(nets) == {"width": 8, "activation": "relu"}
    models.check(nets, {"width": 4}, input_shape=SHAPE, classes=10)
    models.check(nets, {}, input_shape=(3, 32, 32), classes=5)


def test_every_parameter_is_a_function_of_the_seed(nets: str) -> None:
    own.allow(["mynets"])
    state = torch.random.get_rng_state()
    first, again, other = build(nets), build(nets), build(nets, seed=1)
    assert torch.equal(state, torch.random.get_rng_state())
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
        assert not torch.equal(tensor, other.state_dict()[name])


def test_an_initialisation_reaches_convolutions_and_dense_layers_alone(nets: str) -> None:
    own.allow(["mynets"])
    as_is, xavier = build(nets), build(nets, init="xavier_uniform")
    assert torch.equal(as_is.scale, xavier.scale)
    assert not torch.equal(as_is.stem.weight, xavier.stem.weight)


INVALID = {
    "an unknown keyword": ("build", {"widht": 3}, "did you mean 'width'"),
    "no default": ("without_default", {}, "has no default for width: add a default"),
    "a keyword whose default no file can hold": (
        "odd_default",
        {"width": 3},
        "unknown keyword of mynets:odd",
    ),
    "no module": ("no_module", {}, "gives a int, not a torch.nn.Module"),
    "nothing to train": ("empty", {}, "without parameters"),
    "another count of classes": ("wrong_shape", {}, r"gives \(2, 7\) for 2 images of 10 classes"),
    "code that fails": ("failing", {}, r"failed with ValueError: no such width \(mynets.py, line \d+\)$"),
    "a value that its code refuses": ("build", {"activation": "swish"}, "failed with KeyError: 'swish'"),
    "nothing of that name": ("buidl", {}, "failed with AttributeError"),
    "nothing to call": ("NUMBER", {}, "cannot be called"),
    "no name": ("bu ild", {}, "is not of the form package.module:callable"),
}


@pytest.mark.parametrize(("name", "settings", "told"), INVALID.values(), ids=INVALID)
def test_what_cannot_be_is_told_in_one_line(
    nets: str, name: str, settings: dict[str, object], told: str
) -> None:
    own.allow(["mynets"])
    with pytest.raises(ModelError, match=told) as error:
        models.check(f"mynets:{name}", settings, input_shape=SHAPE, classes=10)
    assert "\n" not in str(error.value)


def test_changed_code_is_another_network(nets: str, tmp_path: Path) -> None:
    own.allow(["mynets"])
    before = models.fingerprint(nets)
    (tmp_path / "mynets.py").write_text(NETS + "\n# changed\n")
    assert models.fingerprint(nets) == before, "this process has imported the old code and keeps it"
    del sys.modules["mynets"]
    assert models.fingerprint(nets) != before
    assert models.fingerprint("lenet") is None


STUDY = """\
name: own
question: Is a wider network of mine better?
dataset: digits
model: mynets:build
factors: {width: [8, 16]}
recipe: {epochs: 1, batch_size: 64, optimizer: adam, learning_rate: 0.01, init: default}
seeds: 2
validation: 240
timing: {blocks: 0}
"""


def test_a_study_of_a_persons_own_network_gives_a_report(nets: str, tmp_path: Path) -> None:
    (tmp_path / "own.yaml").write_text(STUDY)
    refused = ablate("run", "own.yaml", "--quiet", cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.strip().endswith("--plugin mynets")
    done = ablate("run", "own.yaml", "--quiet", "--plugin", "mynets", cwd=tmp_path, drawn=False)
    assert done.returncode == 0, done.stderr
    assert "width=16" in done.stdout
    assert (tmp_path / "reports" / "own" / "report.html").exists()


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("mynets:wrong_shape", r"own\.yaml:4: model: arm baseline: mynets:wrong_shape gives \(2, 7\)"),
        ("mynets:without_default", r"own\.yaml:4: model: mynets:without_default has no default for width"),
    ],
)
def test_a_network_that_cannot_be_is_told_at_the_line_that_names_it(
    nets: str, tmp_path: Path, model: str, told: str
) -> None:
    own.allow(["mynets"])
    (tmp_path / "own.yaml").write_text(
        STUDY.replace("mynets:build", model).replace("{width: [8, 16]}", "{batch_size: [32, 64]}")
    )
    with pytest.raises(StudyError, match=told):
        lay_out(study_file.read(tmp_path / "own.yaml"))


KINDS = {
    "yes for a truth value": ({"skip": "yes"}, "'yes' is not true or false, but the default True is"),
    "a word for a number": ({"width": "wide"}, "'wide' is not a whole number, but the default 8 is"),
    "a part of a whole number": ({"width": 8.5}, "8.5 is not a whole number"),
    "true for a number": ({"width": True}, "True is not a whole number"),
    "a number for a word": ({"activation": 3}, "3 is not a word, but the default 'relu' is"),
}


@pytest.mark.parametrize(("settings", "told"), KINDS.values(), ids=KINDS)
def test_a_value_of_another_kind_than_the_default_is_refused(
    nets: str, tmp_path: Path, settings: dict[str, object], told: str
) -> None:
    (tmp_path / "mynets.py").write_text(
        NETS.replace("def build(width=8,", "def build(skip=True, rate=0.5, width=8,")
    )
    own.allow(["mynets"])
    models.check(nets, {"rate": 1, "skip": False}, input_shape=SHAPE, classes=10)
    with pytest.raises(ModelError, match=re.escape(told)):
        models.check(nets, settings, input_shape=SHAPE, classes=10)
