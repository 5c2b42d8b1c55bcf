"""AlexNet is D2L's network, every keyword changes what it names, and the impossible is refused."""

import pytest
import torch
from torch import nn

from ablate import models
from ablate.errors import ModelError

DOCUMENTS = (1, 224, 224)
SMALL = {"width": 0.125, "stem_kernel": 5, "stem_stride": 1, "stem_padding": 2}
"""For 28×28 images: maps of 28, 13, 6 and 2 pixels' side."""
C, H = (12, 32, 48, 48, 32), 512
CONVOLUTIONS = (12 * 26, 32 * (12 * 25 + 1), 48 * (32 * 9 + 1), 48 * (48 * 9 + 1), 32 * (48 * 9 + 1))
DENSE = (H * (32 * 4 + 1), H * (H + 1), 10 * (H + 1))
PLAIN = sum(CONVOLUTIONS) + sum(DENSE)


def small(**settings: object) -> nn.Module:
    return models.build(
        "alexnet", {**SMALL, **settings}, input_shape=(1, 28, 28), classes=10, init="xavier_uniform", seed=0
    )


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_d2ls_network_layer_by_layer() -> None:
    with torch.device("meta"):
        layers = {
            "conv1": (nn.Conv2d(1, 96, 11, stride=4, padding=1), (96, 54, 54)),
            "act1": (nn.ReLU(), (96, 54, 54)),
            "pool1": (nn.MaxPool2d(3, stride=2), (96, 26, 26)),
            "conv2": (nn.Conv2d(96, 256, 5, padding=2), (256, 26, 26)),
            "act2": (nn.ReLU(), (256, 26, 26)),
            "pool2": (nn.MaxPool2d(3, stride=2), (256, 12, 12)),
            "conv3": (nn.Conv2d(256, 384, 3, padding=1), (384, 12, 12)),
            "act3": (nn.ReLU(), (384, 12, 12)),
            "conv4": (nn.Conv2d(384, 384, 3, padding=1), (384, 12, 12)),
            "act4": (nn.ReLU(), (384, 12, 12)),
            "conv5": (nn.Conv2d(384, 256, 3, padding=1), (256, 12, 12)),
            "act5": (nn.ReLU(), (256, 12, 12)),
            "pool5": (nn.MaxPool2d(3, stride=2), (256, 5, 5)),
            "flatten": (nn.Flatten(), (6400,)),
            "dense1": (nn.Linear(6400, 4096), (4096,)),
            "dense_act1": (nn.ReLU(), (4096,)),
            "dropout1": (nn.Dropout(0.5), (4096,)),
            "dense2": (nn.Linear(4096, 4096), (4096,)),
            "dense_act2": (nn.ReLU(), (4096,)),
            "dropout2": (nn.Dropout(0.5), (4096,)),
            "dense3": (nn.Linear(4096, 10), (10,)),
        }
    network = models.sketch("alexnet", {}, input_shape=DOCUMENTS, classes=10)
    assert [(name, str(layer)) for name, layer in network.named_children()] == [
        (name, str(layer)) for name, (layer, _) in layers.items()
    ]
    rows = models.list_layer_shapes(network, DOCUMENTS)
    assert {row.name: row.shape for row in rows} == {name: shape for name, (_, shape) in layers.items()}
    assert parameters(network) == sum(row.parameters for row in rows) == 46_764_746


def test_it_is_described_at_d2ls_size() -> None:
    assert models.find_default_input("alexnet") == (DOCUMENTS, 10)


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, PLAIN),
        ({"conv_layers": 1}, CONVOLUTIONS[0] + H * (12 * 13 * 13 + 1) + sum(DENSE[1:])),
        ({"conv_layers": 2}, sum(CONVOLUTIONS[:2]) + H * (32 * 36 + 1) + sum(DENSE[1:])),
        ({"conv_layers": 3}, sum(CONVOLUTIONS[:3]) + H * (48 * 4 + 1) + sum(DENSE[1:])),
        ({"conv_layers": 7}, PLAIN + 2 * 32 * (32 * 9 + 1)),
        ({"kernel_size": 3}, PLAIN - 32 * 12 * (25 - 9)),
        ({"kernel_size": [3]}, PLAIN - 32 * 12 * (25 - 9)),
        ({"kernel_size": [5, 5]}, PLAIN + (48 * 32 + 48 * 48 + 32 * 48) * (25 - 9)),
        ({"kernel_size": [1, 3, 3, 3]}, PLAIN - 32 * 12 * 24),
        ({"stem_kernel": 7, "stem_padding": 3}, PLAIN + 12 * 24),
        ({"stem_kernel": 4}, PLAIN - 12 * 9),
        ({"batch_norm": True}, PLAIN + 2 * sum(C)),
        ({"head": "global_average"}, sum(CONVOLUTIONS) + 10 * 33),
        ({"hidden": []}, sum(CONVOLUTIONS) + 10 * (128 + 1)),
        ({"hidden": [80]}, sum(CONVOLUTIONS) + 10 * 129 + 10 * 11),
        ({"dropout": 0}, PLAIN),
        ({"pooling": "avg"}, PLAIN),
        ({"activation": "sigmoid"}, PLAIN),
    ],
    ids=str,
)
def test_every_keyword_changes_the_size_it_should(settings: dict[str, object], count: int) -> None:
    network = small(**settings)
    assert parameters(network) == count
    assert network(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_no_width_is_so_small_that_a_layer_is_left_without_channels() -> None:
    assert {parameter.shape[0] for parameter in small(width=0.001).parameters()} == {1, 4, 10}


def test_pooling_follows_the_first_two_convolutions_and_the_last() -> None:
    def pooled(convolutions: int) -> list[str]:
        names = [name for name, _ in small(conv_layers=convolutions).named_children()]
        return [name for name in names if name.startswith("pool")]

    assert [pooled(n) for n in (1, 2, 3, 5, 8)] == [
        ["pool1"],
        ["pool1", "pool2"],
        ["pool1", "pool2", "pool3"],
        ["pool1", "pool2", "pool5"],
        ["pool1", "pool2", "pool8"],
    ]


@pytest.mark.parametrize(
    ("settings", "kind", "count"),
    [
        ({}, nn.MaxPool2d, 3),
        ({"pooling": "avg"}, nn.AvgPool2d, 3),
        ({"activation": "tanh"}, nn.Tanh, 7),
        ({"activation": "tanh"}, nn.ReLU, 0),
        ({"batch_norm": True}, nn.BatchNorm2d, 5),
        ({}, nn.Dropout, 2),
        ({"dropout": 0}, nn.Dropout, 0),
        ({"hidden": [8, 8, 8]}, nn.Dropout, 3),
        ({"head": "global_average"}, nn.Dropout, 1),
        ({"head": "global_average"}, nn.Linear, 0),
    ],
    ids=str,
)
def test_every_keyword_has_so_many_layers_of_its_kind(
    settings: dict[str, object], kind: type[nn.Module], count: int
) -> None:
    assert sum(type(layer) is kind for layer in small(**settings).modules()) == count


def test_the_global_average_drops_before_its_convolution_to_the_classes() -> None:
    names = [name for name, _ in small(head="global_average", dropout=0.2).named_children()]
    assert names[-5:] == ["pool5", "dropout", "classes", "average", "flatten"]


def test_batch_norm_stands_between_a_convolution_and_its_activation() -> None:
    names = [name for name, _ in small(batch_norm=True).named_children()]
    assert names[:4] == ["conv1", "norm1", "act1", "pool1"]


def test_tensors_of_equal_name_and_shape_start_equal_in_every_arm() -> None:
    plain, deeper = small().state_dict(), small(conv_layers=7, dropout=0, batch_norm=True).state_dict()
    assert all(torch.equal(plain[name], deeper[name]) for name in plain)


@pytest.mark.parametrize(
    ("settings", "keyword", "message"),
    [
        ({"stem_kernel": 99, "stem_padding": 35}, "stem_kernel", r"conv1: a 99×99 kernel does not fit its 98×98 map \(28×28 padded by 35\): a smaller stem_kernel, more stem_padding or larger images"),
        ({"stem_kernel": 11, "stem_stride": 4, "stem_padding": 1}, "stem_stride", r"pool2: a 3×3 kernel does not fit its 2×2 map \(2×2 padded by 0\): smaller stem_stride, fewer conv_layers or larger images"),
        ({"stem_kernel": 17, "stem_padding": 0}, "conv_layers", r"pool5: a 3×3 kernel does not fit its 2×2 map \(2×2 padded by 0\): fewer conv_layers or larger images"),
        ({"activation": "rleu"}, "activation", r"did you mean 'relu'\?"),
        ({"pooling": "none"}, "pooling", r"'none' is not known"),
        ({"conv_layers": 0}, "conv_layers", r"0 is not a whole number from 1 to 8"),
        ({"conv_layers": 9}, "conv_layers", r"9 is not a whole number from 1 to 8"),
        ({"conv_layers": 2.0}, "conv_layers", r"2\.0 is not a whole number"),
        ({"width": 0}, "width", r"0 is not a multiplier above 0 and up to 16"),
        ({"width": -0.5}, "width", r"-0\.5 is not a multiplier"),
        ({"width": 17}, "width", r"17 is not a multiplier"),
        ({"width": float("nan")}, "width", r"nan is not a multiplier"),
        ({"width": True}, "width", r"True is not a multiplier"),
        ({"width": "wide"}, "width", r"'wide' is not a multiplier"),
        ({"width": [1, 2]}, "width", r"\[1, 2\] is not a multiplier"),
        ({"stem_kernel": 0}, "stem_kernel", r"0 is not a whole number from 1 to 99"),
        ({"stem_stride": 0}, "stem_stride", r"0 is not a whole number from 1 to 99"),
        ({"stem_padding": -1}, "stem_padding", r"-1 is not a whole number from 0 to 99"),
        ({"kernel_size": 4}, "kernel_size", r"4 is even, so no padding keeps the map's size: write 3 or 5"),
        ({"kernel_size": [5, 2]}, "kernel_size", r"2 is even, so no padding keeps the map's size: write 1 or 3"),
        ({"kernel_size": [5, 3, 3, 3, 3]}, "kernel_size", r"lists 5 values for 4 convolutions: set conv_layers too"),
        ({"kernel_size": []}, "kernel_size", r"\[\] lists 0 values for 4 convolutions"),
        ({"kernel_size": "3"}, "kernel_size", r"'3' is not a whole number"),
        ({"kernel_size": 101}, "kernel_size", r"101 is not a whole number from 1 to 99"),
        ({"batch_norm": 1}, "batch_norm", r"1 is neither true nor false"),
        ({"head": "average"}, "head", r"did you mean 'global_average'\?"),
        ({"hidden": 4096}, "hidden", r"4096 is not a list of up to eight widths"),
        ({"hidden": [0]}, "hidden", r"0 is not a whole number"),
        ({"dropout": 1.0}, "dropout", r"1\.0 is not a probability"),
        ({"stem_size": 3}, "stem_size", r"did you mean 'stem_stride'\?"),
    ],
    ids=str,
)  # fmt: skip
def test_the_impossible_is_refused_by_name(settings: dict[str, object], keyword: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        models.check("alexnet", {**SMALL, **settings}, input_shape=(1, 28, 28), classes=10)
    assert caught.value.keyword == keyword


@pytest.mark.parametrize(
    "settings",
    [{"conv_layers": 1, "kernel_size": [5, 3, 3, 3]}, {"width": 16}, {"stem_padding": 99}],
    ids=str,
)
def test_what_is_merely_unusual_is_allowed(settings: dict[str, object]) -> None:
    models.check("alexnet", {**SMALL, **settings}, input_shape=(1, 28, 28), classes=10)


def test_images_of_another_shape_and_number_of_classes_fit() -> None:
    network = models.build("alexnet", SMALL, input_shape=(3, 32, 40), classes=7, init="default", seed=0)
    assert network(torch.zeros(2, 3, 32, 40)).shape == (2, 7)
