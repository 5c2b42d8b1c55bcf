"""The numbers in which matrix products and convolutions are computed."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def explain_missing(precision: str, device: torch.device) -> str | None:
    """Why the device cannot compute in this precision, or None if it can.

    A device that ignored a precision would give an answer about a choice that was never made.
    """
    if precision == "tf32" and (device.type != "cuda" or torch.version.hip is not None):
        return f"{device.type} has no TF32: only GPUs of NVIDIA have it"
    return None


def use_precision(precision: str) -> None:
    """Let later products and convolutions be computed in `tf32`, or else in full float32.

    By default, torch rounds convolutions to TF32 on NVIDIA's GPUs, but not matrix products. Then a loop would
    differ in precision from a cohort, whose convolutions are matrix products.
    """
    allowed = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = allowed
    torch.set_float32_matmul_precision("high" if allowed else "highest")


@contextmanager
def compute_in(precision: str, device: torch.device) -> Iterator[None]:
    """Compute forward passes in `float32`, `tf32`, or `bfloat16` where torch's autocast does so.

    Parameters stay float32. The backward pass of an operation has the precision of its forward pass.
    """
    use_precision(precision)
    if precision != "bfloat16":
        yield
        return
    with torch.autocast(device.type, dtype=torch.bfloat16):
        yield
