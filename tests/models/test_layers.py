"""Any network is shown by its children in the order of their calls; kernels that do not fit are refused by name."""

import sys

import pytest
import torch
from torch import Tensor, nn

from ablate import models
from ablate.errors import ModelError
from ablate.models import sketches
from ablate.models.layers import LayerShape, compute_size


class Branching(nn.Module):
    """Declared in another order than called; one child is called twice, one never, some from a list."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(3, 2)
        self.steps = nn.ModuleList([nn.Linear(4, 3), nn.Linear(3, 3)])
        self.first = nn.Sequential(nn.Flatten(), nn.Linear(6, 4))
        self.named = nn.ModuleDict({"again": nn.Linear(3, 3)})
        self.unused = nn.Linear(7, 7)
        self.drop = nn.Dropout(0.9)

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x)
        for step in self.steps:
            x = step(x)
        again = self.named["again"]
        return self.last(self.drop(again(again(x))))


def row(name: str, kind: str, shape: tuple[int, ...], parameters: int = 0) -> LayerShape:
    return LayerShape(name=name, kind=kind, shape=shape, parameters=parameters)


ROWS = [
    row("first", "Sequential", (4,), 28),
    row("steps.0", "Linear", (3,), 15),
    row("steps.1", "Linear", (3,), 12),
    row("named.again", "Linear", (3,), 12),
    row("named.again", "Linear", (3,)),
    row("drop", "Dropout", (3,)),
    row("last", "Linear", (2,), 8),
]


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_layers_are_listed_as_they_are_called_wherever_they_lie(device: str) -> None:
    assert models.list_layer_shapes(Branching().to(device), (1, 2, 3)) == ROWS


def test_nothing_stays_hooked_to_a_network_that_was_shown_or_failed() -> None:
    network = Branching()
    models.list_layer_shapes(network, (1, 2, 3))
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        models.list_layer_shapes(network, (1, 2, 4))
    assert not any(module._forward_hooks for module in network.modules())


def test_the_first_tensor_of_several_outputs_is_shown_and_a_child_without_any_is_not() -> None:
    class Told(nn.Module):
        def forward(self, x: Tensor) -> str:
            return f"{len(x)} examples"

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gru = nn.GRU(3, 5, batch_first=True)
            self.told = Told()

        def forward(self, x: Tensor) -> Tensor:
            self.told(x)
            return self.gru(x[:, 0])[0][:, -1]

    assert models.list_layer_shapes(Pair(), (1, 2, 3)) == [row("gru", "GRU", (2, 5), 3 * 5 * (3 + 5 + 2))]


def test_weights_that_two_layers_share_are_counted_once() -> None:
    first, second = nn.Linear(4, 4), nn.Linear(4, 4)
    second.weight = first.weight
    rows = models.list_layer_shapes(nn.Sequential(nn.Flatten(), first, second), (1, 2, 2))
    assert [row.parameters for row in rows] == [0, 20, 4]


@pytest.mark.parametrize(
    ("size", "geometry"),
    [
        ((28, 28), {"kernel": 5, "stride": 1, "padding": 2, "dilation": 1}),
        ((9, 14), {"kernel": 3, "stride": 2, "padding": 0, "dilation": 2}),
        ((5, 5), {"kernel": 5, "stride": 3, "padding": 0, "dilation": 1}),
    ],
    ids=str,
)
def test_a_map_is_as_large_as_torch_makes_it(size: tuple[int, int], geometry: dict[str, int]) -> None:
    options = {**geometry, "kernel_size": geometry["kernel"]}
    del options["kernel"]
    assert (
        compute_size("conv1", size, **geometry)
        == nn.Conv2d(1, 1, **options)(torch.zeros(1, 1, *size)).shape[2:]
    )


@pytest.mark.parametrize(
    ("layer", "told", "keyword", "remedy"),
    [
        ("conv1", {}, "kernel_size", "smaller kernel, more padding or fewer layers"),
        ("pool1", {}, "pooling", "smaller kernel, more padding or fewer layers"),
        ("pool1", {"keyword": "blocks", "remedy": "fewer blocks"}, "blocks", "fewer blocks"),
    ],
)
def test_a_kernel_that_does_not_fit_is_blamed_on_the_keyword_at_fault(
    layer: str, told: dict[str, str], keyword: str, remedy: str
) -> None:
    message = rf"^{layer}: a 3×3 kernel does not fit its 2×4 map \(2×4 padded by 0\): {remedy}$"
    with pytest.raises(ModelError, match=message) as caught:
        compute_size(layer, (2, 4), kernel=3, stride=2, padding=0, dilation=1, **told)
    assert caught.value.keyword == keyword


@pytest.mark.parametrize("model", models.MODELS)
def test_a_check_needs_none_of_the_packages_that_torch_imports_for_the_meta_device(
    monkeypatch, model
) -> None:
    monkeypatch.setitem(sys.modules, "torch.fx.experimental.symbolic_shapes", None)  # its import fails
    shape, classes = models.find_default_input(model)
    models.check(model, {}, input_shape=shape, classes=classes)


def test_a_network_of_a_gigabyte_is_checked_without_memory(monkeypatch) -> None:
    reserved = []
    monkeypatch.setattr(sketches, "give_memory", reserved.append)
    settings = {"hidden": [100_000, 100_000]}
    models.check("mlp", settings, input_shape=(1, 28, 28), classes=10)
    assert not reserved
