"""The tailored loop trains large networks as the torch loop does."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from ablate.engines.choice import choose_trainer
from ablate.engines.loop import LoopTrainer
from ablate.engines.tailored import MapProduct, PointwiseProduct, TailoredTrainer, can_tailor, tailor
from tests.cpu import CPU
from tests.engines.test_other_networks import DIGITS, EXACT, batches, flat, run_of

TAILORED: dict[str, tuple[str, dict[str, Any]]] = {
    "GoogLeNet: paths on maps of 4×4 and 2×2 pixels": ("googlenet", {"stem_stride": 2, "dropout": 0.3}),
    "GoogLeNet whose last map is a single pixel": ("googlenet", {"stages": [1, 1, 1], "stem_stride": 3, "without_path": "1x1"}),
    "NiN: 1×1 convolutions and a last map of 2×2 pixels": ("nin", {}),
    "VGG whose kernel is larger than its last map": ("vgg", {"kernel_size": 5, "activation": "tanh"}),
    "VGG with batch norm": ("vgg", {"kernel_size": 5, "batch_norm": True}),
    "AlexNet with a global average": ("alexnet", {"head": "global_average"}),
}  # fmt: skip


@pytest.mark.parametrize(("model", "keywords"), TAILORED.values(), ids=TAILORED)
def test_the_tailored_loop_trains_like_the_loop_to_ten_digits(model: str, keywords: dict[str, Any]) -> None:
    run = run_of(model, keywords, optimizer="sgd", momentum=0.5)
    assert can_tailor(run, DIGITS, CPU)
    plain, fast = LoopTrainer(run, EXACT, CPU), TailoredTrainer(run, EXACT, CPU)
    start = flat(plain.model)
    for trainer in (plain, fast):
        trainer.model.double()
        torch.manual_seed(0)  # dropout's stream
        for batch in batches(5):
            trainer.step(batch)
    assert (flat(plain.model) - start).norm() > 1e-3
    assert torch.allclose(flat(fast.model), flat(plain.model), rtol=0, atol=1e-10)
    assert torch.allclose(fast.totals(), plain.totals(), rtol=1e-10)
    images = EXACT.test_images[:50]
    assert torch.allclose(fast.predict(images), plain.predict(images), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("kernel", "size"),
    [((3, 3), (2, 2)), ((3, 5), (2, 3)), ((5, 3), (3, 1)), ((7, 7), (1, 1))],
)
def test_a_product_is_the_convolution_on_a_map_of_any_shape(
    kernel: tuple[int, int], size: tuple[int, int]
) -> None:
    convolution = nn.Conv2d(3, 4, kernel, padding=(kernel[0] // 2, kernel[1] // 2), dtype=torch.float64)
    images = torch.randn(5, 3, *size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    product = tailor(nn.Sequential(convolution), torch.Size((3, *size)))
    assert isinstance(product, nn.Sequential)
    assert isinstance(product[0], MapProduct)
    torch.testing.assert_close(product(images), convolution(images))


def test_a_network_and_its_tailored_form_share_their_parameters() -> None:
    trainer = TailoredTrainer(run_of("googlenet", {}), DIGITS, CPU)
    network = tailor(trainer.model, DIGITS.images.shape[1:])
    kinds = {type(layer) for layer in network.modules()}
    assert {PointwiseProduct, nn.Conv2d} <= kinds
    own = dict(trainer.model.named_parameters())
    assert own.keys() == dict(network.named_parameters()).keys()
    assert all(parameter is own[name] for name, parameter in network.named_parameters())


def test_large_maps_odd_strides_and_other_types_stay_with_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose_trainer(run_of("googlenet", {}), DIGITS, CPU).name == "tailored"
    assert not can_tailor(
        run_of("vgg", {"blocks": 2}), DIGITS, CPU
    )  # 3×3 kernels on maps from 28×28 to 14×14
    assert not can_tailor(run_of("googlenet", {}, precision="bfloat16"), DIGITS, CPU)
    own = run_of("googlenet", {})
    assert not can_tailor(replace(own, arm=replace(own.arm, model="torch.nn.Sequential")), DIGITS, CPU)
    monkeypatch.setenv("ABLATE_ENGINE", "loop")
    assert choose_trainer(run_of("googlenet", {}), DIGITS, CPU).name == "loop"


def test_a_strided_convolution_and_a_matrix_that_is_too_large_are_not_replaced() -> None:
    layers = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 600, 1), nn.Conv2d(600, 600, 3, padding=1)
    )
    network = tailor(layers, torch.Size((3, 4, 4)))
    assert [type(layer) for layer in network.children()] == [nn.Conv2d, PointwiseProduct, nn.Conv2d]


def test_relu_after_max_pooling_gives_the_same_bits() -> None:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(4, 3, 8, 8, generator=generator).round(decimals=1)  # with ties
    images[0] = -images[0].abs()  # windows without a positive number
    weights = torch.randn(4, 3, 4, 4, generator=generator)
    layers = nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, stride=2, padding=1), nn.ReLU())
    moved = tailor(nn.Sequential(nn.Conv2d(3, 3, 3), *layers), torch.Size((3, 10, 10)))
    assert [type(layer) for layer in moved.children()] == [nn.Conv2d, nn.MaxPool2d, nn.ReLU, nn.ReLU]
    outputs, gradients = [], []
    for network in (layers, nn.Sequential(*list(moved.children())[1:])):
        given = images.clone().requires_grad_()
        outputs.append(network(given))
        (outputs[-1] * weights).sum().backward()
        gradients.append(given.grad)
    assert torch.equal(*outputs)
    assert torch.equal(*gradients)
