"""LeNet is D2L's network, every keyword changes what it names, and the impossible is refused."""

import pytest
import torch
from torch import nn

from ablate import models
from ablate.errors import ModelError

SHAPE = (1, 28, 28)


def lenet(**settings: object) -> nn.Sequential:
    return models.build("lenet", settings, input_shape=SHAPE, classes=10, init="xavier_uniform", seed=0)


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_baseline_has_d2ls_shapes_and_61_706_parameters() -> None:
    shapes = {row.name: row.shape for row in models.list_layer_shapes(lenet(), SHAPE)}
    assert shapes == {
        "conv1": (6, 28, 28),
        "act1": (6, 28, 28),
        "pool1": (6, 14, 14),
        "conv2": (16, 10, 10),
        "act2": (16, 10, 10),
        "pool2": (16, 5, 5),
        "flatten": (400,),
        "dense1": (120,),
        "dense_act1": (120,),
        "dense2": (84,),
        "dense_act2": (84,),
        "dense3": (10,),
    }
    assert parameters(lenet()) == 61_706
    kinds = [type(layer) for layer in lenet()]
    assert kinds[1] is nn.Sigmoid
    assert kinds[2] is nn.AvgPool2d


def test_the_visualisers_variant_has_63_802_parameters_and_bounded_outputs() -> None:
    network = lenet(activation="tanh", pooling="max", hidden=[120, 100], output_activation="tanh")
    assert parameters(network) == 63_802
    assert network(torch.randn(4, *SHAPE) * 100).abs().max() <= 1


X = torch.tensor(
    [[1, 2, 0, 3, 1], [0, 1, 2, 3, 1], [1, 2, 1, 0, 0], [5, 2, 3, 1, 1], [2, 1, 0, 1, 1]]
).float()
K = torch.tensor([[1, 2, 1], [0, 1, 0], [2, 1, 0]]).float()
P = torch.tensor([[1, 1, 2, 4], [5, 6, 7, 8], [3, 2, 1, 0], [1, 2, 3, 4]]).float()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"padding": 0}, [[10, 12, 12], [18, 16, 16], [13, 9, 3]]),
        ({"padding": 0, "stride": 2}, [[10, 12], [13, 3]]),
        (
            {"padding": 1},
            [[1, 3, 4, 10, 8], [5, 10, 12, 12, 6], [7, 18, 16, 16, 8], [11, 13, 9, 3, 4], [14, 13, 9, 7, 4]],
        ),
        ({"padding": 0, "dilation": 2}, [[7]]),
    ],
    ids=["plain", "stride", "padding", "dilation"],
)
def test_the_first_convolution_computes_the_worked_examples(
    settings: dict[str, int], expected: list[list[int]]
) -> None:
    network = models.build(
        "lenet",
        {"conv_layers": 1, "channels": 1, "kernel_size": 3, "pooling": "none", "dense_layers": 1, **settings},
        input_shape=(1, 5, 5),
        classes=2,
        init="default",
        seed=0,
    )
    with torch.no_grad():
        network.conv1.weight.copy_(K)
        network.conv1.bias.zero_()
        assert network.conv1(X[None, None])[0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("pooling", "expected"), [("max", [[6, 8], [3, 4]]), ("avg", [[3.25, 5.25], [2, 2]])]
)
def test_pooling_computes_the_worked_examples(pooling: str, expected: list[list[float]]) -> None:
    assert lenet(pooling=pooling).pool1(P[None, None])[0, 0].tolist() == expected


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"kernel_size": 3}, 6 * 10 + 16 * 55 + (16 * 6 * 6 + 1) * 120 + 121 * 84 + 85 * 10),
        ({"conv_layers": 1}, 156 + (6 * 14 * 14 + 1) * 120 + 121 * 84 + 85 * 10),
        ({"conv_layers": 4}, 61_706 + 2 * 16 * (16 * 9 + 1)),
        ({"dense_layers": 1}, 156 + 2416 + 401 * 10),
        ({"dense_layers": 4}, 61_706 + 85 * 84),
        ({"channels": 8}, 8 * 26 + 8 * 201 + 201 * 120 + 121 * 84 + 85 * 10),
        ({"hidden": 50}, 156 + 2416 + 401 * 50 + 51 * 50 + 51 * 10),
        ({"batch_norm": True}, 61_706 + 2 * 6 + 2 * 16),
        ({"input_norm": True}, 61_706),
        ({"dropout": 0.5}, 61_706),
        ({"head": "global_average"}, 156 + 2416 + 17 * 10),
        ({"conv_layers": 3, "channels": [6, 16, 32], "kernel_size": [5, 5, 3]}, 156 + 2416 + 145 * 32 + (32 * 25 + 1) * 120 + 121 * 84 + 85 * 10),
    ],
    ids=str,
)  # fmt: skip
def test_every_keyword_changes_the_size_it_should(settings: dict[str, object], count: int) -> None:
    network = lenet(**settings)
    assert parameters(network) == count
    assert network(torch.zeros(3, *SHAPE)).shape == (3, 10)


def test_input_norm_gives_every_channel_mean_0_and_deviation_1() -> None:
    images = torch.randn(64, 3, 28, 28) * torch.tensor([0.1, 2, 5]).view(3, 1, 1) + 7
    network = models.build(
        "lenet", {"input_norm": True}, input_shape=(3, 28, 28), classes=10, init="default", seed=0
    )
    first, second = network[0], network[1]
    assert second.in_channels == 3
    for _ in range(200):  # as in training: the running averages approach the values of the batches
        seen = first(images)
    for normed in (seen, first.eval()(images)):
        assert torch.allclose(normed.mean((0, 2, 3)), torch.zeros(3), atol=1e-3)
        assert torch.allclose(normed.std((0, 2, 3)), torch.ones(3), atol=1e-3)


def test_convolutions_from_the_third_on_keep_their_map() -> None:
    shapes = {row.name: row.shape for row in models.list_layer_shapes(lenet(conv_layers=4), SHAPE)}
    assert shapes["conv3"] == shapes["conv4"] == (16, 5, 5)
    assert "pool3" not in shapes


@pytest.mark.parametrize(
    ("settings", "keyword", "message"),
    [
        ({"kernel_size": [5, 17]}, "kernel_size", r"conv2: a 17×17 kernel does not fit its 14×14 map \(14×14 padded by 0\)"),
        ({"dilation": 6}, "kernel_size", r"conv2: a 5×5 kernel dilated by 6 to 25×25 does not fit its 4×4 map"),
        ({"conv_layers": 2, "stride": [4, 4], "kernel_size": [5, 2]}, "pooling", r"pool2: a 2×2 kernel does not fit its 1×1 map"),
        ({"activation": "rleu"}, "activation", r"did you mean 'relu'\?"),
        ({"pooling": "mean"}, "pooling", r"'mean' is not known"),
        ({"channels": [6, 16, 32]}, "channels", r"lists 3 values for 2 convolutions: set conv_layers too"),
        ({"hidden": [9, 9, 9]}, "hidden", r"lists 3 values for 2 hidden layers: set dense_layers too"),
        ({"channels": 0}, "channels", r"0 is not a whole number"),
        ({"channels": True}, "channels", r"True is not a whole number"),
        ({"stride": 0}, "stride", r"0 is not a whole number"),
        ({"padding": -1}, "padding", r"-1 is not a whole number"),
        ({"kernel_size": 2.5}, "kernel_size", r"2\.5 is not a whole number"),
        ({"conv_layers": 0}, "conv_layers", r"0 is not a whole number from 1 to 8"),
        ({"dropout": 1.0}, "dropout", r"1\.0 is not a probability"),
        ({"batch_norm": "yes"}, "batch_norm", r"neither true nor false"),
        ({"input_norm": 1}, "input_norm", r"neither true nor false"),
        ({"pool": "max"}, "pool", r"did you mean 'pooling'\?"),
    ],
    ids=str,
)  # fmt: skip
def test_the_impossible_is_refused_by_name(settings: dict[str, object], keyword: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        models.check("lenet", settings, input_shape=SHAPE, classes=10)
    assert caught.value.keyword == keyword


def test_checking_a_gigantic_network_allocates_nothing() -> None:
    models.check(
        "lenet", {"hidden": [100_000, 100_000]}, input_shape=SHAPE, classes=10
    )  # 40 GB if it were built


def test_tensors_of_equal_name_and_shape_start_equal_in_every_arm() -> None:
    plain, other = lenet(), lenet(pooling="max", activation="relu", dense_layers=2)
    assert torch.equal(plain.conv1.weight, other.conv1.weight)
    assert torch.equal(plain.dense1.bias, other.dense1.bias)
    assert plain.dense2.weight.shape != other.dense2.weight.shape


def test_building_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    lenet(batch_norm=True)
    assert torch.equal(before, torch.random.get_rng_state())


@pytest.mark.parametrize(
    "init", ["default", "xavier_uniform", "xavier_normal", "kaiming_uniform", "kaiming_normal", "orthogonal"]
)
def test_every_initialisation_depends_on_the_seed_and_nothing_else(init: str) -> None:
    def weight(seed: int) -> torch.Tensor:
        return models.build("lenet", {}, input_shape=SHAPE, classes=10, init=init, seed=seed).dense1.weight

    assert torch.equal(weight(1), weight(1))
    assert not torch.equal(weight(1), weight(2))


def test_xavier_uniform_spreads_weights_as_glorot_and_bengio_say() -> None:
    weight = lenet().dense1.weight
    bound = (6 / (400 + 120)) ** 0.5
    assert weight.abs().max() <= bound
    assert weight.std().item() == pytest.approx(bound / 3**0.5, rel=0.02)
