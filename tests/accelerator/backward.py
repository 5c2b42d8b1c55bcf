"""Errors in the backward pass reach the caller.

Autograd works for each device in a thread of its own. If Python raises there, torch 2.13 leaves the error pending while
it calls the guard of the device, which is in Python, too. That ends the whole process. So the guard here takes the
pending error away, and the caller of the backward pass raises it.
"""

import ctypes
from typing import Any

import torch

_errors: list[BaseException] = []


def make_guard() -> object:
    """Make what torch asks for the type of the device."""
    check = ctypes.pythonapi.PyErr_Occurred  # ctypes raises an error that is pending
    kind = torch._C._autograd.DeviceType.PrivateUse1

    class Guard(torch._C._acc.DeviceGuard):
        def type_(self) -> Any:
            try:
                check()
            except BaseException as error:  # noqa: BLE001, for the caller of the backward pass raises it
                _errors.append(error)
            return kind

    return Guard()


def raise_errors_of_threads() -> None:
    """Let backward passes raise the errors that the guard has taken away."""
    original = torch.autograd.graph._engine_run_backward

    def run_backward(*arguments: Any, **options: Any) -> Any:
        _errors.clear()
        try:
            return original(*arguments, **options)
        except SystemError:
            if not _errors:
                raise
        raise _errors.pop()

    torch.autograd.graph._engine_run_backward = torch.autograd._engine_run_backward = run_backward
