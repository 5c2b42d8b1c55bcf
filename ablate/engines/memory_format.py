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
    """Choose the memory format with which the network trains fast on the device.

    For small maps channels_last is faster on a CPU, and the default format is faster on a GPU in fp32. A
    user's network may be unable to take channels_last tensors, for example because it calls `x.view(…)`. It
    then gets contiguous tensors. The choice depends on the network alone, so it is the same in every process.
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
    # `_code` is what `model` names now. A module that is imported anew needs a new answer.
    def build() -> nn.Module:
        given = json.loads(keywords)
        return models.build(model, given, input_shape=image_shape, classes=classes, init="default", seed=0)

    last = _compute_logits(build, image_shape, torch.channels_last)
    usual = _compute_logits(build, image_shape, torch.contiguous_format)
    if usual is None:
        return True  # the network fails with any tensors, and the try-out reports its error
    # Code that reads memory directly, such as `as_strided`, gives other numbers without an error.
    return last is not None and torch.allclose(last, usual, rtol=1e-3, atol=1e-4, equal_nan=True)


def _compute_logits(
    build: Callable[[], nn.Module], image_shape: Sequence[int], memory_format: torch.memory_format
) -> torch.Tensor | None:
    """The logits in evaluation with tensors of this format. None if a pass, also a backward one, fails."""
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
    except Exception:  # noqa: BLE001  # a user's network may raise anything
        return None
    return logits.clone() if isinstance(logits, torch.Tensor) else None
