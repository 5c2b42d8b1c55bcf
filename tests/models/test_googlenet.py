"""GoogLeNet is D2L's network, every keyword changes what it names, and the impossible is refused."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ablate import models
from ablate.errors import ModelError
from ablate.models.googlenet import Inception

DOCUMENTS = (1, 224, 224)
IMAGES = (1, 28, 28)
BLOCKS = {
    "inception3a": (192, 64, (96, 128), (16, 32), 32),
    "inception3b": (256, 128, (128, 192), (32, 96), 64),
    "inception4a": (480, 192, (96, 208), (16, 48), 64),
    "inception4b": (512, 160, (112, 224), (24, 64), 64),
    "inception4c": (512, 128, (128, 256), (24, 64), 64),
    "inception4d": (512, 112, (144, 288), (32, 64), 64),
    "inception4e": (528, 256, (160, 320), (32, 128), 128),
    "inception5a": (832, 256, (160, 320), (32, 128), 128),
    "inception5b": (832, 384, (192, 384), (48, 128), 128),
}
"""As D2L lists them: channels given; 1×1, (1×1, 3×3), (1×1, 5×5) and the pooled path's."""


def sketch(**settings: object) -> nn.Module:
    return models.sketch("googlenet", settings, input_shape=DOCUMENTS, classes=10)


def small(**settings: object) -> nn.Module:
    return models.build(
        "googlenet",
        {"width": 0.125, **settings},
        input_shape=IMAGES,
        classes=10,
        init="xavier_uniform",
        seed=0,
    )


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def in_block(name: str) -> int:
    given, single, (before_second, second), (before_third, third), pooled = BLOCKS[name]
    return (
        (given + 1) * (single + before_second + before_third + pooled)
        + (9 * before_second + 1) * second
        + (25 * before_third + 1) * third
    )


def test_d2ls_network_layer_by_layer() -> None:
    rows = [
        (row.name, row.kind, row.shape, row.parameters)
        for row in models.list_layer_shapes(sketch(), DOCUMENTS)
    ]

    def block(name: str, side: int) -> tuple[str, str, tuple[int, ...], int]:
        _, single, (_, second), (_, third), pooled = BLOCKS[name]
        return name, "Inception", (single + second + third + pooled, side, side), in_block(name)

    assert rows == [
        ("conv1", "Conv2d", (64, 112, 112), 64 * 50),
        ("act1", "ReLU", (64, 112, 112), 0),
        ("pool1", "MaxPool2d", (64, 56, 56), 0),
        ("conv2", "Conv2d", (64, 56, 56), 64 * 65),
        ("act2", "ReLU", (64, 56, 56), 0),
        ("conv3", "Conv2d", (192, 56, 56), 192 * (64 * 9 + 1)),
        ("act3", "ReLU", (192, 56, 56), 0),
        ("pool2", "MaxPool2d", (192, 28, 28), 0),
        *(block(f"inception3{letter}", 28) for letter in "ab"),
        ("pool3", "MaxPool2d", (480, 14, 14), 0),
        *(block(f"inception4{letter}", 14) for letter in "abcde"),
        ("pool4", "MaxPool2d", (832, 7, 7), 0),
        *(block(f"inception5{letter}", 7) for letter in "ab"),
        ("average", "AdaptiveAvgPool2d", (1024, 1, 1), 0),
        ("flatten", "Flatten", (1024,), 0),
        ("dense1", "Linear", (10,), 10 * 1025),
    ]
    assert parameters(sketch()) == sum(row[3] for row in rows) == 5_977_530


def test_the_stem_is_that_of_d2l() -> None:
    network = sketch()
    assert [str(layer) for layer in list(network)[:8]] == [
        str(layer)
        for layer in (
            nn.Conv2d(1, 64, 7, stride=2, padding=3),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
            nn.Conv2d(64, 64, 1),
            nn.ReLU(),
            nn.Conv2d(64, 192, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(3, stride=2, padding=1),
        )
    ]


def test_every_block_has_d2ls_paths() -> None:
    blocks = {name: part for name, part in sketch().named_children() if isinstance(part, Inception)}
    assert list(blocks) == list(BLOCKS)
    for name, (given, single, (before_second, second), (before_third, third), pooled) in BLOCKS.items():
        paths = {
            "1x1": [nn.Conv2d(given, single, 1), nn.ReLU()],
            "3x3": [nn.Conv2d(given, before_second, 1), nn.ReLU(), nn.Conv2d(before_second, second, 3, padding=1), nn.ReLU()],
            "5x5": [nn.Conv2d(given, before_third, 1), nn.ReLU(), nn.Conv2d(before_third, third, 5, padding=2), nn.ReLU()],
            "pool": [nn.MaxPool2d(3, stride=1, padding=1), nn.Conv2d(given, pooled, 1), nn.ReLU()],
        }  # fmt: skip
        assert {path: [str(layer) for layer in layers] for path, layers in blocks[name].named_children()} == {
            path: [str(layer) for layer in layers] for path, layers in paths.items()
        }


def test_it_is_described_at_d2ls_size() -> None:
    assert models.find_default_input("googlenet") == (DOCUMENTS, 10)


def test_a_block_computes_what_the_paper_draws() -> None:
    block = small().inception3a
    p = dict(block.named_parameters())
    x = torch.randn(2, 24, 7, 7, generator=torch.Generator().manual_seed(0))

    def convolved(given: Tensor, name: str, padding: int = 0) -> Tensor:
        return F.conv2d(given, p[f"{name}.weight"], p[f"{name}.bias"], padding=padding).relu()

    expected = torch.cat(
        [
            convolved(x, "1x1.conv1"),
            convolved(convolved(x, "3x3.conv1"), "3x3.conv2", padding=1),
            convolved(convolved(x, "5x5.conv1"), "5x5.conv2", padding=2),
            convolved(F.max_pool2d(x, 3, stride=1, padding=1), "pool.conv1"),
        ],
        dim=1,
    )
    torch.testing.assert_close(block(x), expected)


FULL = 5_977_530
STEM = 64 * 50 + 64 * 65 + 192 * 577


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"stages": 1}, STEM + in_block("inception3a") + in_block("inception3b") + 10 * 481),
        ({"stages": 2}, FULL - in_block("inception5a") - in_block("inception5b") - 10 * 192),
        ({"stages": [2, 5]}, FULL - in_block("inception5a") - in_block("inception5b") - 10 * 192),
        ({"stages": [1]}, STEM + in_block("inception3a") + 10 * 257),
        ({"stages": 3}, FULL),
        ({"stem_kernel": 3}, FULL - 64 * 40),
        ({"kernel_size": 3}, FULL - 16 * sum(before * third for _, _, _, (before, third), _ in BLOCKS.values())),
        ({"kernel_size": [5, 5]}, FULL + 16 * sum(before * second for _, _, (before, second), _, _ in BLOCKS.values())),
        ({"batch_norm": True}, FULL + 2 * (64 + 64 + 192 + sum(a + sum(b) + sum(c) + d for _, a, b, c, d in BLOCKS.values()))),
        ({"head": "dense", "hidden": []}, FULL + 10 * 1024 * 48),
        ({"head": "dense"}, FULL - 10 * 1025 + 1024 * (1024 * 49 + 1) + 10 * 1025),
        ({"pooling": "avg"}, FULL),
        ({"activation": "sigmoid"}, FULL),
        ({"dropout": 0.4}, FULL),
        ({"hidden": [3]}, FULL),
    ],
    ids=str,
)  # fmt: skip
def test_every_keyword_changes_the_size_it_should(settings: dict[str, object], count: int) -> None:
    assert parameters(sketch(**settings)) == count
    assert small(**settings)(torch.zeros(3, *IMAGES)).shape == (3, 10)


@pytest.mark.parametrize("path", ["1x1", "3x3", "5x5", "pool"])
def test_a_path_left_out_is_missing_everywhere_and_the_next_block_is_given_less(path: str) -> None:
    position = {"1x1": 0, "3x3": 1, "5x5": 2, "pool": 3}[path]

    def left(name: str) -> int:
        _, single, (_, second), (_, third), pooled = BLOCKS[name]
        channels = [single, second, third, pooled]
        return sum(channels) - channels[position]

    network = sketch(without_path=path)
    shapes = {row.name: row.shape for row in models.list_layer_shapes(network, DOCUMENTS)}
    for name in BLOCKS:
        assert shapes[name][0] == left(name)
        assert [child for child, _ in getattr(network, name).named_children()] == [
            other for other in ("1x1", "3x3", "5x5", "pool") if other != path
        ]
    assert network.dense1.in_features == left("inception5b")
    assert small(without_path=path)(torch.zeros(3, *IMAGES)).shape == (3, 10)


def test_further_blocks_of_a_stage_are_as_its_last() -> None:
    network = sketch(stages=[2, 6, 2])
    shapes = {row.name: row.shape for row in models.list_layer_shapes(network, DOCUMENTS)}
    assert shapes["inception4f"] == shapes["inception4e"] == (832, 14, 14)
    assert parameters(network.inception4f) == in_block("inception4e") + (832 - 528) * (256 + 160 + 32 + 128)


@pytest.mark.parametrize(
    ("settings", "kind", "count"),
    [
        ({}, nn.MaxPool2d, 4 + 9),
        ({"pooling": "avg"}, nn.AvgPool2d, 4 + 9),
        ({"pooling": "avg"}, nn.MaxPool2d, 0),
        ({"activation": "tanh"}, nn.Tanh, 3 + 9 * 6),
        ({"batch_norm": True}, nn.BatchNorm2d, 3 + 9 * 6),
        ({}, nn.Dropout, 0),
        ({"dropout": 0.4}, nn.Dropout, 1),
        ({"dropout": 0.4, "head": "dense", "hidden": [9, 9]}, nn.Dropout, 2),
        ({"head": "dense"}, nn.AdaptiveAvgPool2d, 0),
        ({"head": "dense"}, nn.Linear, 2),
    ],
    ids=str,
)
def test_every_keyword_has_so_many_layers_of_its_kind(
    settings: dict[str, object], kind: type[nn.Module], count: int
) -> None:
    assert sum(type(layer) is kind for layer in sketch(**settings).modules()) == count


def test_dropout_stands_between_the_average_and_the_logits() -> None:
    names = [name for name, _ in sketch(dropout=0.4).named_children()]
    assert names[-4:] == ["average", "flatten", "dropout", "dense1"]


def test_the_mean_of_a_window_leaves_padding_out_as_the_maximum_does() -> None:
    network = small(pooling="avg")
    ones = torch.ones(1, 1, 6, 6)
    assert torch.equal(network.pool1(ones), torch.ones(1, 1, 3, 3))
    assert torch.equal(getattr(network.inception3a, "pool").pool(ones), ones)  # noqa: B009


def test_layers_of_equal_name_and_shape_start_equal_in_every_arm() -> None:
    plain, less = small().state_dict(), small(without_path="pool", dropout=0.3).state_dict()
    # A bias is drawn from a range that its layer's inputs give.
    alike = {name.rpartition(".")[0] for name in plain if name in less and plain[name].shape == less[name].shape and name.endswith("weight")}  # fmt: skip
    shared = [name for name in plain if name.rpartition(".")[0] in alike]
    assert "inception4e.3x3.conv2.weight" in shared
    assert all(torch.equal(plain[name], less[name]) for name in shared)
    assert "inception3a.pool.conv1.weight" not in less


@pytest.mark.parametrize(
    ("settings", "keyword", "message"),
    [
        ({"stem_kernel": 35}, "stem_kernel", r"conv1: a 35×35 kernel does not fit its 34×34 map \(28×28 padded by 3\): a smaller stem_kernel, more stem_padding or larger images"),
        ({"stages": 0}, "stages", r"0 is not a whole number from 1 to 3"),
        ({"stages": 4}, "stages", r"4 is not a whole number from 1 to 3"),
        ({"stages": []}, "stages", r"\[\] is not a list of 1 to 3 counts: try \[2, 5, 2\]"),
        ({"stages": [1, 1, 1, 1]}, "stages", r"\[1, 1, 1, 1\] is not a list of 1 to 3 counts"),
        ({"stages": [2, 0, 2]}, "stages", r"0 is not a whole number from 1 to 8"),
        ({"stages": [2, 5.0, 2]}, "stages", r"5\.0 is not a whole number"),
        ({"without_path": "3×3"}, "without_path", r"'3×3' is not known: did you mean '3x3'\?"),
        ({"without_path": 3}, "without_path", r"3 is not known"),
        ({"without_path": None}, "without_path", r"None is not known"),
        ({"kernel_size": [3, 4]}, "kernel_size", r"4 is even, so no padding keeps the map's size"),
        ({"kernel_size": [1, 3, 5]}, "kernel_size", r"lists 3 values for 2 convolutions: write one for each of the paths 3x3 and 5x5"),
        ({"width": "0.5"}, "width", r"'0\.5' is not a multiplier"),
        ({"activation": "rleu"}, "activation", r"did you mean 'relu'\?"),
        ({"pooling": "none"}, "pooling", r"'none' is not known"),
        ({"head": "linear"}, "head", r"'linear' is not known"),
        ({"hidden": 1024}, "hidden", r"1024 is not a list of up to eight widths"),
        ({"dropout": 2}, "dropout", r"2 is not a probability"),
        ({"batch_norm": "no"}, "batch_norm", r"'no' is neither true nor false"),
        ({"paths": "1x1"}, "paths", r"unknown keyword of googlenet"),
    ],
    ids=str,
)  # fmt: skip
def test_the_impossible_is_refused_by_name(settings: dict[str, object], keyword: str, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        models.check("googlenet", {"width": 0.125, **settings}, input_shape=IMAGES, classes=10)
    assert caught.value.keyword == keyword


def test_images_as_small_as_a_pixel_and_of_another_number_of_classes_fit() -> None:
    models.check("googlenet", {"batch_norm": True}, input_shape=(1, 1, 1), classes=2)
    network = models.build(
        "googlenet", {"width": 0.1}, input_shape=(3, 32, 40), classes=7, init="default", seed=0
    )
    assert network(torch.zeros(2, 3, 32, 40)).shape == (2, 7)
