"""Set the precision of matrix products and convolutions: float32, tf32 or bfloat16."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def explain_missing(precision: str, device: torch.device) -> str | None:
    """Explain why the device cannot compute in this precision. Return None if it can.

    Without this check, a device could ignore the chosen precision and compute in another one.
    """
    if precision == "tf32" and (device.type != "cuda" or torch.version.hip is not None):
        return f"{device.type} has no TF32: only GPUs of NVIDIA have it"
    return None


def use_precision(precision: str) -> None:
    """Choose the number type for later matrix products and convolutions.

    If `precision` is `tf32`, they use TF32, a less exact form of float32. Otherwise, they use float32.

    By default on NVIDIA's GPUs, torch uses TF32 for convolutions but not for matrix products. With this
    default, the torch loop and a cohort would differ in precision, because a cohort computes convolutions as
    matrix products.
    """
    allowed = precision == "tf32"
    torch.backends.cudnn.allow_tf32 = allowed
    torch.set_float32_matmul_precision("high" if allowed else "highest")


@contextmanager
def compute_in(precision: str, device: torch.device) -> Iterator[None]:
    """In this context, compute forward passes in `float32`, `tf32` or `bfloat16`.

    With `bfloat16`, torch's autocast chooses the operations that use bfloat16. Parameters stay float32. The
    backward pass of an operation has the precision of its forward pass.
    """
    use_precision(precision)
    if precision != "bfloat16":
        yield
        return
    with torch.autocast(device.type, dtype=torch.bfloat16):
        yield
