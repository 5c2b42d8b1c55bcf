"""Choose the memory format of image tensors for a network: channels_last or contiguous."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ablate import models
from ablate.devices.device import is_accelerator
from ablate.models.own import find_callable
from ablate.models.own_networks import CHECKED_IMAGES
from ablate.seeds import seeded_streams
from ablate.torch_settings import keep_torch_settings


def choose_memory_format(
    model: str,
    keywords: Mapping[str, Any],
    *,
    image_shape: Sequence[int],
    classes: int,
    device: torch.device,
) -> torch.memory_format:
    """Choose the memory format with which the network trains faster on the device.

    With small maps, networks train faster with channels_last on a CPU, and with the contiguous format on a
    GPU in float32. A user's network can fail with channels_last tensors, for example because it calls
    `x.view(…)`. Such a network gets contiguous tensors.

    For one device, the choice depends only on the network. So all processes choose the same format.
    """
    if is_accelerator(device):
        return torch.contiguous_format
    if model in models.MODELS:
        return torch.channels_last
    written = json.dumps(dict(keywords), sort_keys=True)
    code = find_callable(model, list(models.MODELS))
    takes = _takes_channels_last(code, model, written, tuple(image_shape), classes)
    return torch.channels_last if takes else torch.contiguous_format


@functools.lru_cache(maxsize=4_096)
def _takes_channels_last(
    _code: Callable[..., nn.Module], model: str, keywords: str, image_shape: tuple[int, ...], classes: int
) -> bool:
    # `_code` is only part of the cache's key: after a module is imported again, `model` can name other code.
    def build() -> nn.Module:
        given = json.loads(keywords)
        return models.build(model, given, input_shape=image_shape, classes=classes, init="default", seed=0)

    last = _compute_logits(build, image_shape, torch.channels_last)
    usual = _compute_logits(build, image_shape, torch.contiguous_format)
    if usual is None:
        return True  # the network fails even with contiguous tensors: the try-out will report its error
    # Code that depends on the memory layout, such as `as_strided`, gives wrong results without an error.
    return last is not None and torch.allclose(last, usual, rtol=1e-3, atol=1e-4, equal_nan=True)


def _compute_logits(
    build: Callable[[], nn.Module], image_shape: Sequence[int], memory_format: torch.memory_format
) -> torch.Tensor | None:
    """Compute the network's logits for random images. Return None if its forward or backward pass fails."""
    try:
        network = build()
        noise = torch.rand(CHECKED_IMAGES, *image_shape, generator=torch.Generator().manual_seed(0))
        images = noise.contiguous(memory_format=memory_format)
        network.to(memory_format=memory_format)  # type: ignore[call-overload]
        with seeded_streams(0, "memory format"), keep_torch_settings():
            network.eval()
            with torch.inference_mode():
                logits = network(images.clone(memory_format=memory_format))
            network.train()
            network(images).sum().backward()
    except Exception:  # noqa: BLE001  # a user's network can raise anything
        return None
    return logits.clone() if isinstance(logits, torch.Tensor) else None
