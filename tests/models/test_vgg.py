"""VGG is D2L's network, every keyword changes what it names, and the impossible is refused."""

import pytest
import torch
from torch import nn

from ablate import models
from ablate.errors import ModelError

DOCUMENTS = (1, 224, 224)
IMAGES = (1, 32, 32)
SMALL = {"width": 0.0625}
"""4, 8, 16, 32 and 32 channels, 256 hidden units."""
DENSE = 256 * 33 + 256 * 257 + 10 * 257
CONVOLUTIONS = (4 * 10, 8 * 37, 16 * 73, 16 * 145, 32 * 145, 32 * 289, 32 * 289, 32 * 289)
PLAIN = sum(CONVOLUTIONS) + DENSE


def small(**settings: object) -> nn.Module:
    return models.build(
        "vgg", {**SMALL, **settings}, input_shape=IMAGES, classes=10, init="xavier_uniform", seed=0
    )


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def test_d2ls_network_layer_by_layer() -> None:
    layers: dict[str, tuple[nn.Module, tuple[int, ...]]] = {}
    in_channels, side = 1, 224
    with torch.device("meta"):
        for block, (convolutions, channels) in enumerate(
            [(1, 64), (1, 128), (2, 256), (2, 512), (2, 512)], 1
        ):
            for number in range(1, convolutions + 1):
                name, shape = f"{block}_{number}", (channels, side, side)
                layers[f"conv{name}"] = (nn.Conv2d(in_channels, channels, 3, padding=1), shape)
                layers[f"act{name}"] = (nn.ReLU(), shape)
                in_channels = channels
            side //= 2
            layers[f"pool{block}"] = (nn.MaxPool2d(2, stride=2), (channels, side, side))
        layers |= {
            "flatten": (nn.Flatten(), (512 * 7 * 7,)),
            "dense1": (nn.Linear(512 * 7 * 7, 4096), (4096,)),
            "dense_act1": (nn.ReLU(), (4096,)),
            "dropout1": (nn.Dropout(0.5), (4096,)),
            "dense2": (nn.Linear(4096, 4096), (4096,)),
            "dense_act2": (nn.ReLU(), (4096,)),
            "dropout2": (nn.Dropout(0.5), (4096,)),
            "dense3": (nn.Linear(4096, 10), (10,)),
        }
    network = models.sketch("vgg", {}, input_shape=DOCUMENTS, classes=10)
    assert [(name, str(layer)) for name, layer in network.named_children()] == [
        (name, str(layer)) for name, (layer, _) in layers.items()
    ]
    rows = models.list_layer_shapes(network, DOCUMENTS)
    assert {row.name: row.shape for row in rows} == {name: shape for name, (_, shape) in layers.items()}
    assert parameters(network) == sum(row.parameters for row in rows) == 128_806_154


def test_vgg_16_has_the_parameters_that_its_authors_count() -> None:
    """138 million for three channels and a thousand classes: Table 2 of the paper."""
    network = models.sketch("vgg", {"blocks": [2, 2, 3, 3, 3]}, input_shape=(3, 224, 224), classes=1000)
    assert parameters(network) == 138_357_544


def test_it_is_described_at_d2ls_size() -> None:
    assert models.find_default_input("vgg") == (DOCUMENTS, 10)


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({}, PLAIN),
        ({"blocks": 5}, PLAIN),
        ({"blocks": 4}, sum(CONVOLUTIONS[:6]) + DENSE + 256 * 32 * 3),
        ({"blocks": 2}, sum(CONVOLUTIONS[:2]) + 256 * (8 * 64 + 1) + DENSE - 256 * 33),
        ({"blocks": [1]}, CONVOLUTIONS[0] + 256 * (4 * 256 + 1) + DENSE - 256 * 33),
        ({"blocks": [2, 1, 2, 2, 2]}, PLAIN + 4 * 37),
        ({"blocks": [1, 1, 2, 2, 3]}, PLAIN + 32 * 289),
        ({"kernel_size": 1}, PLAIN - 8 * (4 + 4 * 8 + 8 * 16 + 16 * 16 + 16 * 32 + 3 * 32 * 32)),
        ({"width": 0.125}, 8 * 10 + 16 * 73 + 32 * 145 + 32 * 289 + 64 * 289 + 3 * 64 * 577 + 512 * 65 + 512 * 513 + 10 * 513),
        ({"batch_norm": True}, PLAIN + 2 * (4 + 8 + 2 * 16 + 4 * 32)),
        ({"head": "global_average"}, sum(CONVOLUTIONS) + 10 * 33),
        ({"hidden": []}, sum(CONVOLUTIONS) + 10 * 33),
        ({"hidden": [160]}, sum(CONVOLUTIONS) + 10 * 33 + 10 * 11),
        ({"dropout": 0}, PLAIN),
        ({"pooling": "avg"}, PLAIN),
        ({"activation": "sigmoid"}, PLAIN),
    ],
    ids=str,
)  # fmt: skip
def test_every_keyword_changes_the_size_it_should(settings: dict[str, object], count: int) -> None:
    network = small(**settings)
    assert parameters(network) == count
    assert network(torch.zeros(3, *IMAGES)).shape == (3, 10)


def test_blocks_beyond_d2ls_are_as_their_last() -> None:
    network = models.sketch("vgg", {"blocks": 6}, input_shape=(1, 64, 64), classes=10)
    rows = {row.name: row.shape for row in models.list_layer_shapes(network, (1, 64, 64))}
    assert rows["conv6_1"] == rows["conv6_2"] == (512, 2, 2)
    assert "conv6_3" not in rows


@pytest.mark.parametrize(
    ("settings", "kind", "count"),
    [
        ({}, nn.MaxPool2d, 5),
        ({"pooling": "avg"}, nn.AvgPool2d, 5),
        ({"pooling": "avg"}, nn.MaxPool2d, 0),
        ({"activation": "gelu"}, nn.GELU, 10),
        ({"batch_norm": True}, nn.BatchNorm2d, 8),
        ({}, nn.Dropout, 2),
        ({"dropout": 0.0}, nn.Dropout, 0),
        ({"head": "global_average"}, nn.Dropout, 1),
        ({"head": "global_average"}, nn.Linear, 0),
    ],
    ids=str,
)
def test_every_keyword_has_so_many_layers_of_its_kind(
    settings: dict[str, object], kind: type[nn.Module], count: int
) -> None:
    assert sum(type(layer) is kind for layer in small(**settings).modules()) == count


def test_tensors_of_equal_name_and_shape_start_equal_in_every_arm() -> None:
    plain, deeper = small().state_dict(), small(blocks=[2, 1, 3, 2, 2], dropout=0).state_dict()
    shared = [name for name in plain if plain[name].shape == deeper[name].shape]
    assert len(shared) == len(plain)
    assert all(torch.equal(plain[name], deeper[name]) for name in shared)


@pytest.mark.parametrize(
    ("settings", "keyword", "message"),
    [
        ({"blocks": 6}, "blocks", r"pool6: a 2×2 kernel does not fit its 1×1 map \(1×1 padded by 0\): fewer blocks or larger images"),
        ({"blocks": 0}, "blocks", r"0 is not a whole number from 1 to 8"),
        ({"blocks": 9}, "blocks", r"9 is not a whole number from 1 to 8"),
        ({"blocks": []}, "blocks", r"\[\] is not a list of 1 to 8 counts: try \[1, 1, 2, 2, 2\]"),
        ({"blocks": [1] * 9}, "blocks", r"is not a list of 1 to 8 counts"),
        ({"blocks": [1, 0]}, "blocks", r"0 is not a whole number from 1 to 8"),
        ({"blocks": [1, 9]}, "blocks", r"9 is not a whole number from 1 to 8"),
        ({"blocks": "11"}, "blocks", r"'11' is not a whole number"),
        ({"blocks": True}, "blocks", r"True is not a whole number"),
        ({"kernel_size": 2}, "kernel_size", r"2 is even, so no padding keeps the map's size: write 1 or 3"),
        ({"kernel_size": [3, 3]}, "kernel_size", r"\[3, 3\] is not a whole number"),
        ({"activation": "rleu"}, "activation", r"did you mean 'relu'\?"),
        ({"pooling": "mean"}, "pooling", r"'mean' is not known"),
        ({"width": 0.0}, "width", r"0\.0 is not a multiplier"),
        ({"batch_norm": "yes"}, "batch_norm", r"neither true nor false"),
        ({"head": "gap"}, "head", r"'gap' is not known"),
        ({"hidden": "4096"}, "hidden", r"'4096' is not a list of up to eight widths"),
        ({"dropout": -0.5}, "dropout", r"-0\.5 is not a probability"),
        ({"stem_stride": 2}, "stem_stride", r"unknown keyword of vgg"),
    ],
    ids=str,
)  # fmt: skip
def test_the_impossible_is_refused_by_name(settings: dict[str, object], keyword: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        models.check("vgg", {**SMALL, **settings}, input_shape=IMAGES, classes=10)
    assert caught.value.keyword == keyword


def test_images_of_28_pixels_allow_four_blocks_and_not_five() -> None:
    models.check("vgg", {"blocks": 4}, input_shape=(1, 28, 28), classes=10)
    with pytest.raises(ModelError, match="pool5"):
        models.check("vgg", {}, input_shape=(1, 28, 28), classes=10)


def test_checking_batch_norm_on_single_pixels_needs_no_second_example() -> None:
    models.check("vgg", {"batch_norm": True, "blocks": [1, 1, 1]}, input_shape=(1, 8, 8), classes=10)
    models.check(
        "lenet",
        {"conv_layers": 3, "kernel_size": [5, 5, 7], "batch_norm": True},
        input_shape=(1, 28, 28),
        classes=10,
    )
