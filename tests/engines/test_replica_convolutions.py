"""A convolution of many replicas is torch's convolution of each, forwards and backwards, by rows and by patches."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ablate.engines import replica_convolutions
from ablate.engines.replica_convolutions import Convolution, Geometry

PAIRS = st.tuples(st.integers(1, 3), st.integers(1, 3))
REPLICAS, IMAGES = 3, 4


@pytest.mark.parametrize("largest_band", [1 << 18, 0], ids=["by rows", "by patches"])
@settings(max_examples=40, deadline=None)
@given(
    kernel=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    stride=PAIRS,
    padding=st.tuples(st.integers(0, 2), st.integers(0, 2)),
    dilation=PAIRS,
    size=st.tuples(st.integers(5, 11), st.integers(5, 11)),
    channels=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    biased=st.booleans(),
)
def test_replicas_convolve_as_each_would_alone(
    largest_band, kernel, stride, padding, dilation, size, channels, biased
) -> None:
    geometry = Geometry(kernel=kernel, stride=stride, padding=padding, dilation=dilation)
    assume(min(geometry.out(size)) >= 1)
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator).requires_grad_()

    taken, given_out = channels
    images = draw(REPLICAS * IMAGES, taken, *size)
    weight, bias = draw(REPLICAS, given_out, taken, *kernel), draw(REPLICAS, given_out)
    layer = Convolution(weight=0, bias=1 if biased else None, geometry=geometry)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(replica_convolutions, "LARGEST_BAND", largest_band)
        together = layer([weight, bias], images, None)
    alone = torch.cat(
        [
            F.conv2d(part, weight[i], bias[i] if biased else None, stride, padding, dilation)
            for i, part in enumerate(images.split(IMAGES))
        ]
    )
    assert together.shape == alone.shape
    assert torch.allclose(together, alone, rtol=0, atol=1e-12)
    wanted = [images, weight, *([bias] if biased else [])]
    gradient = draw(*alone.shape).detach()
    for one, other in zip(
        torch.autograd.grad(together, wanted, gradient),
        torch.autograd.grad(alone, wanted, gradient),
        strict=True,
    ):
        assert torch.allclose(one, other, rtol=0, atol=1e-11)


def test_a_large_convolution_goes_by_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    used: list[str] = []
    for name in ("_ByRows", "_ByPatches"):
        monkeypatch.setattr(
            getattr(replica_convolutions, name), "apply", lambda *_, name=name: used.append(name)
        )
    geometry = Geometry(kernel=(3, 3), stride=(1, 1), padding=(1, 1), dilation=(1, 1))
    for channels in (4, 64):
        images, weight = torch.zeros(2, channels, 32, 32), torch.zeros(1, channels, channels, 3, 3)
        Convolution(weight=0, bias=None, geometry=geometry)([weight], images, None)
    assert used == ["_ByRows", "_ByPatches"]
