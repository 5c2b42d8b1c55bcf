"""The explanation of a unit agrees with the trained module: value, weights, receptive field."""

import pytest
import torch
from torch import Tensor, nn

from ablate import models
from ablate.explore.reading import Reader, find_unit_inputs
from ablate.inspection.tracing import trace_network

SHAPE = (1, 28, 28)


def reader(**settings: object) -> tuple[Reader, nn.Module]:
    network = models.build("lenet", settings, input_shape=SHAPE, classes=10, init="default", seed=3).eval()
    return Reader(network, SHAPE), network


def image(seed: int = 0) -> Tensor:
    return torch.rand(SHAPE, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    "settings", [{}, {"pooling": "max", "activation": "relu"}, {"batch_norm": True, "dropout": 0.5}]
)
def test_layers_and_values_are_those_of_the_module_itself(settings) -> None:
    made, network = reader(**settings)
    outputs: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        if not list(module.children()):
            module.register_forward_hook(
                lambda _, __, output, name=name: outputs.__setitem__(name, output[0].clone())
            )
    with torch.inference_mode():
        logits = network(image()[None])[0]
    reading = made.read(image())
    computing = [name for name in outputs if not name.startswith("dropout")]
    assert [layer.name for layer in made.layers] == computing
    for layer, values in zip(made.layers, reading.layers, strict=True):
        assert layer.shape == values.shape
        assert torch.equal(values, outputs[layer.name])
    assert torch.equal(reading.probabilities, logits.softmax(0))


def by_arithmetic(network: nn.Module, size: int) -> dict[str, list[tuple[int, int]]]:
    """The image rows on which each row of the maps depends, computed from kernel, stride and padding."""
    seen = [(row, row) for row in range(size)]
    found = {}
    for name, module in network.named_children():
        if isinstance(module, nn.Conv2d | nn.MaxPool2d | nn.AvgPool2d):
            kernel, stride, padding = (
                value if isinstance(value, int) else value[0]
                for value in (module.kernel_size, module.stride, module.padding)
            )
            count = (len(seen) + 2 * padding - kernel) // stride + 1
            windows = [(i * stride - padding, i * stride - padding + kernel - 1) for i in range(count)]
            seen = [(seen[max(0, a)][0], seen[min(len(seen) - 1, b)][1]) for a, b in windows]
        elif isinstance(module, nn.Flatten):
            seen = [(0, size - 1)]
        found[name] = seen
    return found


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"pooling": "max", "activation": "relu"},
        {"kernel_size": 3, "activation": "tanh"},
        {"pooling": "none", "activation": "elu"},
    ],
)
def test_a_receptive_field_is_what_kernels_strides_and_padding_leave(settings) -> None:
    made, network = reader(**settings)
    expected = by_arithmetic(network, 28)
    for layer, field in zip(made.layers, made.receptive_fields, strict=True):
        assert list(field.rows) == expected[layer.name], layer.name
        assert field.rows == field.columns, layer.name


def test_an_image_is_read_in_one_forward_pass() -> None:
    passes: list[nn.Module] = []
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout(), nn.Flatten(), nn.Linear(72, 3)).eval()
    reader = Reader(network, (1, 8, 8))
    network.register_forward_hook(lambda module, *_: passes.append(module))
    given = torch.rand(1, 8, 8)
    reading = reader.read(given)
    assert len(passes) == 1
    assert torch.equal(reading.probabilities, reader.probabilities(given[None])[0])


def test_rows_and_columns_are_not_mixed_up() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 2, (5, 3)), nn.MaxPool2d((1, 2)), nn.Flatten(), nn.Linear(2 * 4 * 5, 3)
    ).eval()
    made = Reader(network, (1, 8, 12))
    rows, columns = made.receptive_fields[0].rows, made.receptive_fields[0].columns
    assert rows[1] == (1, 5)
    assert columns[1] == (1, 3)
    assert made.receptive_fields[1].columns[1] == (2, 5)
    unit = made.unit(torch.rand(1, 8, 12), 1, (1, 2, 3))
    assert unit.inputs.channels == (1,)
    assert (unit.inputs.rows, unit.inputs.columns) == ((2, 2), (6, 7))


def test_a_unit_of_a_convolution_has_its_weights_and_bias() -> None:
    made, network = reader(activation="relu")
    index = [layer.name for layer in made.layers].index("conv2")
    unit = made.unit(image(), index, (7, 4, 5))
    module = network.get_submodule("conv2")
    inputs = unit.inputs
    assert inputs.channels == tuple(range(6))
    assert (inputs.rows, inputs.columns) == ((4, 8), (5, 9))
    assert torch.equal(inputs.weights, module.weight[7].detach())
    assert inputs.rest == pytest.approx(module.bias[7].item(), abs=1e-6)
    assert (inputs.values * inputs.weights).sum().item() + inputs.rest == pytest.approx(unit.value, abs=1e-6)
    before = trace_network(network, image()[None]).calls
    given = next(call.input_values for call in before if call.name == "conv2")
    assert torch.equal(inputs.values, given[0, :, 4:9, 5:10])


def test_at_the_border_a_unit_depends_only_on_inputs_inside_the_map() -> None:
    made, network = reader()
    inputs = made.unit(image(), 0, (2, 0, 27)).inputs
    assert (inputs.rows, inputs.columns) == ((0, 2), (25, 27))
    assert torch.equal(inputs.weights, network.get_submodule("conv1").weight[2, :, 2:, :3].detach())


def test_a_unit_of_a_dense_layer_depends_on_all_inputs_by_its_row_of_weights() -> None:
    made, network = reader()
    index = [layer.kind for layer in made.layers].index("Linear")
    unit = made.unit(image(), index, (9,))
    module = network.get_submodule(made.layers[index].name)
    assert unit.inputs.rows is None
    assert unit.inputs.channels == tuple(range(module.in_features))
    assert torch.equal(unit.inputs.weights, module.weight[9].detach())
    assert unit.inputs.rest == pytest.approx(module.bias[9].item(), abs=1e-6)


def test_max_pooling_depends_on_its_window_and_has_weight_one_for_the_largest() -> None:
    made, _ = reader(pooling="max")
    index = [layer.kind for layer in made.layers].index("MaxPool2d")
    unit = made.unit(image(), index, (3, 6, 2))
    inputs = unit.inputs
    assert inputs.channels == (3,)
    assert (inputs.rows, inputs.columns) == ((12, 13), (4, 5))
    assert inputs.weights.sum() == 1
    assert inputs.values.max().item() == unit.value


def test_a_relu_with_output_zero_still_depends_on_its_input() -> None:
    call = trace_network(nn.Sequential(nn.ReLU()), torch.tensor([[[[-2.0, 3.0]]]])).calls[0]
    inputs = find_unit_inputs(call, (0, 0, 0))
    assert (inputs.channels, inputs.rows, inputs.columns) == ((0,), (0, 0), (0, 0))
    assert inputs.values.tolist() == [[[-2.0]]]
    assert inputs.weights.tolist() == [[[0.0]]]


def test_modules_that_work_in_place_or_across_maps_are_explained() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(inplace=True), nn.LocalResponseNorm(3), nn.Flatten()
    ).eval()
    made = Reader(network, (1, 6, 6))
    unit = made.unit(torch.rand(1, 6, 6), 1, (1, 2, 3))
    assert unit.inputs.channels == (1,)
    assert unit.inputs.weights.item() == (unit.value > 0)
    unit = made.unit(torch.rand(1, 6, 6), 2, (1, 2, 3))
    assert unit.inputs.channels == (0, 1, 2)
    assert made.receptive_fields[2].rows[2] == (2, 4)
    assert made.unit(torch.rand(1, 6, 6), 3, (17,)).inputs.channels == (1,)
