"""A person's own network that does in training whatever it is told: what a worker must be able to survive."""

import os
import signal

import torch
from torch import Tensor, nn


class Faulty(nn.Module):
    """Hands its input on, and has its fault whenever it is trained."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault

    def forward(self, x: Tensor) -> Tensor:
        if not torch.is_grad_enabled():  # looked at or evaluated, not trained
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
    """Derived from none of those that torch raises."""


def network(input_shape: tuple[int, ...] = (1, 28, 28), classes: int = 10, fault: str = "") -> nn.Module:
    """One linear layer behind the fault."""
    return nn.Sequential(nn.Flatten(), Faulty(fault), nn.Linear(input_shape[1] * input_shape[2], classes))


def stub(input_shape: tuple[int, ...] = (1, 28, 28), classes: int = 10, variant: int = 0) -> nn.Module:
    """A network that trains in milliseconds, as often as a study wants one; each variant starts elsewhere."""
    layer = nn.Linear(input_shape[1] * input_shape[2], classes)
    with torch.no_grad():
        layer.weight *= 1 + variant / 10
    return nn.Sequential(nn.Flatten(), layer)
