"""Networks of a user that crash, hang or raise errors in training. Workers must survive them."""

import os
import signal

import torch
from torch import Tensor, nn


class Faulty(nn.Module):
    """Returns its input. In training it first does what `fault` says."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():  # evaluation or inspection, not training
            return x
        match self.fault:
            case "kill -9":
                os.kill(os.getpid(), signal.SIGKILL)
            case "segmentation fault":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit":
                os._exit(7)
            case "hang":
                signal.pause()
            case "endless loop":
                while True:
                    pass
            case "exception":
                raise LookupError("no such thing\nsecond line")
            case "own exception":
                raise OwnError("a person's own")
            case "no memory":
                torch.empty(1 << 50)  # a petabyte
            case "MemoryError":
                bytearray(1 << 60)
            case "NaN":
                return x * float("nan")
            case "infinity":
                return x * float("inf")
        return x


class OwnError(Exception):
    """An exception class of the user's own."""


def network(input_shape: tuple[int, ...] = (1, 28, 28), classes: int = 10, fault: str = "") -> nn.Module:
    """A network with the fault, and one linear layer."""
    return nn.Sequential(nn.Flatten(), Faulty(fault), nn.Linear(input_shape[1] * input_shape[2], classes))


def stub(input_shape: tuple[int, ...] = (1, 28, 28), classes: int = 10, variant: int = 0) -> nn.Module:
    """A network that trains in milliseconds. Each variant has other initial weights."""
    layer = nn.Linear(input_shape[1] * input_shape[2], classes)
    with torch.no_grad():
        layer.weight *= 1 + variant / 10
    return nn.Sequential(nn.Flatten(), layer)
