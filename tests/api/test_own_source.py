"""A network of a notebook becomes a module with everything that it uses, or is refused in one line."""

import importlib
import linecache
import sys
from pathlib import Path

import pytest

from ablate.api.own_source import extract_source, is_importable
from ablate.errors import ModelError

NOTEBOOK = """
import math
import torch.nn.functional as F
from torch import nn
from torch.nn import Linear as Dense

WIDTH = 12
SIZES = {"small": (4, 5)}
x = object()  # another variable of the notebook, with the name of a parameter below

class Base(nn.Module):
    def forward(self, x):
        return self.net(F.relu(x))

class Net(Base):
    def __init__(self, classes=10, width=WIDTH):
        super().__init__()
        sizes = [WIDTH for WIDTH in SIZES["small"]]
        self.net = nn.Sequential(nn.Flatten(), nn.LazyLinear(width), make(width), Dense(width, classes))

def make(width, depth=0):
    return nn.ReLU() if depth or math.isqrt(width) else make_other(width)

def make_other(width):
    return make(width, 1)

def uses_state():
    return nn.Linear(x, 2)

def makes():
    def inner():
        return nn.Linear(1, 2)
    return inner

small = lambda: nn.Linear(1, 2)
Other = Net
"""


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """The variables of a notebook whose only cell is NOTEBOOK, as IPython makes them."""
    cell = "<cell 1>"
    monkeypatch.setitem(linecache.cache, cell, (len(NOTEBOOK), None, NOTEBOOK.splitlines(True), cell))
    main = type(sys)("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    exec(compile(NOTEBOOK, cell, "exec"), vars(main))
    return vars(main)


def test_the_module_has_what_the_network_uses_and_nothing_else(notebook, tmp_path: Path, monkeypatch) -> None:
    source = extract_source(notebook["Net"])
    assert not is_importable(notebook["Net"])
    (tmp_path / f"{source.module}.py").write_text(source.text)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module(source.module)
    sys.modules.pop(source.module)
    names = {name for name in vars(module) if not name.startswith("__")}
    assert names == {"math", "F", "nn", "Dense", "WIDTH", "SIZES", "Base", "Net", "make", "make_other"}
    assert len(list(module.Net(width=9).net)) == 4


def test_a_change_of_anything_that_it_uses_changes_its_name(notebook) -> None:
    before = extract_source(notebook["Net"]).model
    assert extract_source(notebook["Net"]).model == before
    notebook["WIDTH"] = 13
    assert extract_source(notebook["Net"]).model != before
    assert before.endswith(":Net")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda notebook: notebook["uses_state"], "the network uses x, a object of the notebook"),
        (lambda notebook: notebook["makes"](), "makes.<locals>.inner is defined inside a function"),
        (lambda notebook: notebook["small"], "<lambda> is defined inside a function"),
        (lambda notebook: notebook["Net"](), "a Net has no source of its own"),
    ],
)
def test_what_has_no_source_is_refused_in_one_line(notebook, make, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        extract_source(make(notebook))


def test_a_function_of_a_module_needs_no_copy() -> None:
    assert is_importable(is_importable)
