"""NiN is D2L's network, every keyword changes what it names, and the impossible is refused."""

import pytest
import torch
from torch import nn

from ablate import models
from ablate.errors import ModelError

DOCUMENTS = (1, 224, 224)
IMAGES = (1, 28, 28)
SMALL = {"width": 0.125, "stem_kernel": 5, "stem_stride": 1, "stem_padding": 2}
"""12, 32 and 48 channels on maps of 28, 13 and 6 pixels' side, 2 for the head."""
BLOCKS = (
    12 * 26 + 2 * 12 * 13,
    32 * (12 * 25 + 1) + 2 * 32 * 33,
    48 * (32 * 9 + 1) + 2 * 48 * 49,
)
CLASSES = 10 * (48 * 9 + 1) + 2 * 10 * 11
PLAIN = sum(BLOCKS) + CLASSES


def small(**settings: object) -> nn.Module:
    return models.build(
        "nin", {**SMALL, **settings}, input_shape=IMAGES, classes=10, init="xavier_uniform", seed=0
    )


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_d2ls_network_layer_by_layer() -> None:
    blocks = [(1, 96, {"kernel_size": 11, "stride": 4}, 54, 26), (96, 256, {"kernel_size": 5, "padding": 2}, 26, 12),
              (256, 384, {"kernel_size": 3, "padding": 1}, 12, 5), (384, 10, {"kernel_size": 3, "padding": 1}, 5, 1)]  # fmt: skip
    layers: dict[str, tuple[nn.Module, tuple[int, ...]]] = {}
    with torch.device("meta"):
        for n, (in_channels, channels, geometry, side, pooled) in enumerate(blocks, 1):
            layers[f"conv{n}"] = (nn.Conv2d(in_channels, channels, **geometry), (channels, side, side))
            layers[f"act{n}"] = (nn.ReLU(), (channels, side, side))
            for j in (1, 2):
                layers[f"pointwise{n}_{j}"] = (nn.Conv2d(channels, channels, 1), (channels, side, side))
                layers[f"act{n}_{j}"] = (nn.ReLU(), (channels, side, side))
            if n < 4:
                layers[f"pool{n}"] = (nn.MaxPool2d(3, stride=2), (channels, pooled, pooled))
            if n == 3:
                layers["dropout"] = (nn.Dropout(0.5), (384, 5, 5))
    layers["average"] = (nn.AdaptiveAvgPool2d(1), (10, 1, 1))
    layers["flatten"] = (nn.Flatten(), (10,))
    network = models.sketch("nin", {}, input_shape=DOCUMENTS, classes=10)
    assert [(name, str(layer)) for name, layer in network.named_children()] == [
        (name, str(layer)) for name, (layer, _) in layers.items()
    ]
    rows = models.list_layer_shapes(network, DOCUMENTS)
    assert {row.name: row.shape for row in rows} == {name: shape for name, (_, shape) in layers.items()}
    assert parameters(network) == sum(row.parameters for row in rows) == 1_992_166


def test_it_is_described_at_d2ls_size() -> None:
    assert models.find_default_input("nin") == (DOCUMENTS, 10)


def test_its_last_activation_stays_so_that_no_logit_is_negative() -> None:
    images = torch.randn(50, *IMAGES, generator=torch.Generator().manual_seed(0))
    assert small().eval()(images).min() == 0
    assert small(head="dense").eval()(images).min() < 0


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, PLAIN),
        ({"blocks": 1}, BLOCKS[0] + 10 * (12 * 25 + 1) + 220),
        ({"blocks": 2}, sum(BLOCKS[:2]) + 10 * (32 * 9 + 1) + 220),
        ({"blocks": 2, "kernel_size": [5, 5]}, sum(BLOCKS[:2]) + 10 * (32 * 25 + 1) + 220),
        ({"pointwise_layers": 0}, PLAIN - 2 * (12 * 13 + 32 * 33 + 48 * 49 + 110)),
        ({"pointwise_layers": 3}, PLAIN + 12 * 13 + 32 * 33 + 48 * 49 + 110),
        ({"kernel_size": 3}, PLAIN - 32 * 12 * 16),
        ({"kernel_size": [5, 3, 1]}, PLAIN - 10 * 48 * 8),
        ({"stem_kernel": 3}, PLAIN - 12 * 16),
        ({"batch_norm": True}, PLAIN + 2 * 3 * (12 + 32 + 48 + 10)),
        ({"head": "dense"}, sum(BLOCKS) + 512 * 193 + 512 * 513 + 10 * 513),
        ({"head": "dense", "hidden": []}, sum(BLOCKS) + 10 * 193),
        ({"head": "dense", "hidden": [80]}, sum(BLOCKS) + 10 * 193 + 10 * 11),
        ({"hidden": [80]}, PLAIN),
        ({"dropout": 0}, PLAIN),
        ({"pooling": "avg"}, PLAIN),
        ({"activation": "sigmoid"}, PLAIN),
    ],
    ids=str,
)
def test_every_keyword_changes_the_size_it_should(settings: dict[str, object], count: int) -> None:
    network = small(**settings)
    assert parameters(network) == count
    assert network(torch.zeros(3, *IMAGES)).shape == (3, 10)


def test_blocks_beyond_d2ls_are_as_wide_as_their_widest() -> None:
    network = models.sketch("nin", {**SMALL, "blocks": 4}, input_shape=(1, 64, 64), classes=10)
    rows = {row.name: row.shape for row in models.list_layer_shapes(network, (1, 64, 64))}
    assert rows["conv4"][0] == rows["pointwise4_2"][0] == rows["conv3"][0] == 48
    assert rows["conv5"][0] == 10


@pytest.mark.parametrize(
    ("settings", "kind", "count"),
    [
        ({}, nn.MaxPool2d, 3),
        ({"pooling": "avg"}, nn.AvgPool2d, 3),
        ({"activation": "elu"}, nn.ELU, 12),
        ({"activation": "elu"}, nn.ReLU, 0),
        ({"batch_norm": True}, nn.BatchNorm2d, 12),
        ({}, nn.Dropout, 1),
        ({"dropout": 0}, nn.Dropout, 0),
        ({"head": "dense"}, nn.Dropout, 2),
        ({}, nn.Linear, 0),
        ({"head": "dense"}, nn.AdaptiveAvgPool2d, 0),
    ],
    ids=str,
)
def test_every_keyword_has_so_many_layers_of_its_kind(
    settings: dict[str, object], kind: type[nn.Module], count: int
) -> None:
    assert sum(type(layer) is kind for layer in small(**settings).modules()) == count


def test_both_heads_see_the_same_blocks_start_equal() -> None:
    average, dense = small().state_dict(), small(head="dense").state_dict()
    shared = [name for name in average if name in dense]
    assert len(shared) == 2 * 9
    assert all(torch.equal(average[name], dense[name]) for name in shared)


@pytest.mark.parametrize(
    ("settings", "keyword", "message"),
    [
        ({"stem_kernel": 40}, "stem_kernel", r"conv1: a 40×40 kernel does not fit its 32×32 map \(28×28 padded by 2\): a smaller stem_kernel, more stem_padding or larger images"),
        ({"stem_kernel": 11, "stem_stride": 4, "stem_padding": 0}, "stem_stride", r"pool2: a 3×3 kernel does not fit its 2×2 map \(2×2 padded by 0\): smaller stem_stride, fewer blocks or larger images"),
        ({"blocks": 4}, "blocks", r"pool4: a 3×3 kernel does not fit its 2×2 map \(2×2 padded by 0\): fewer blocks or larger images"),
        ({"blocks": 0}, "blocks", r"0 is not a whole number from 1 to 6"),
        ({"blocks": [1, 2]}, "blocks", r"\[1, 2\] is not a whole number"),
        ({"pointwise_layers": -1}, "pointwise_layers", r"-1 is not a whole number from 0 to 4"),
        ({"kernel_size": [5, 3, 2]}, "kernel_size", r"2 is even, so no padding keeps the map's size"),
        ({"kernel_size": [5, 3, 3, 3]}, "kernel_size", r"lists 4 values for 3 convolutions: set blocks too"),
        ({"width": 20}, "width", r"20 is not a multiplier"),
        ({"activation": "rleu"}, "activation", r"did you mean 'relu'\?"),
        ({"pooling": "none"}, "pooling", r"'none' is not known"),
        ({"head": "flat"}, "head", r"'flat' is not known"),
        ({"hidden": 5}, "hidden", r"5 is not a list of up to eight widths"),
        ({"dropout": 1}, "dropout", r"1 is not a probability"),
        ({"batch_norm": None}, "batch_norm", r"None is neither true nor false"),
        ({"dense_layers": 2}, "dense_layers", r"unknown keyword of nin"),
    ],
    ids=str,
)  # fmt: skip
def test_the_impossible_is_refused_by_name(settings: dict[str, object], keyword: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        models.check("nin", {**SMALL, **settings}, input_shape=IMAGES, classes=10)
    assert caught.value.keyword == keyword


def test_images_of_another_shape_and_number_of_classes_fit() -> None:
    network = models.build("nin", SMALL, input_shape=(3, 32, 40), classes=7, init="default", seed=0)
    assert network(torch.zeros(2, 3, 32, 40)).shape == (2, 7)
