"""Tensors of the simulated device, and how each operation on them runs.

A tensor of the device wraps a CPU tensor. torch hands every operation on it to `run`, which computes with the wrapped
tensors. `run` does at once what a real device does later: only the clocks tell the difference.
"""

from functools import cache
from typing import Any

import torch
from torch import Tensor

from tests.accelerator import counters, graphs, memory, randomness, settings
from tests.accelerator.clock import NotPermittedError, current_stream
from tests.accelerator.operations import Operation, count_bytes, describe
from tests.accelerator.shapes import find_shapes
from tests.accelerator.transfers import read_back, upload, wait_for_value

CPU = torch.device("cpu")
_find_device = cache(lambda: torch.device("sim", 0))
"""torch knows the name only where the device is installed."""
TAKES_INDICES = {"index", "_unsafe_index", "index_put_", "_index_put_impl_"}
"""Operations for which CUDA copies CPU indices to the device."""


class OnDevice(torch.Tensor):
    """A tensor that says that it is on the device. `raw` is the CPU tensor with its numbers."""

    raw: Tensor
    block: memory.Block
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, raw: Tensor, block: memory.Block) -> "OnDevice":
        """Wrap a CPU tensor whose memory is `block`."""
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            raw.size(),
            strides=raw.stride(),
            storage_offset=raw.storage_offset(),
            dtype=raw.dtype,
            layout=raw.layout,
            requires_grad=False,
            device=_find_device(),
        )
        made.raw, made.block = raw, block
        return made

    def __init__(self, raw: Tensor, block: memory.Block) -> None: ...

    @classmethod
    def __torch_dispatch__(
        cls, function: Any, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        return run(function, args, kwargs or {})

    @property
    def data(self) -> Any:  # type: ignore[override]
        """The tensor without its history. A module that moves or changes its type sets it."""
        return self.detach()

    @data.setter
    def data(self, value: "OnDevice") -> None:
        torch.Tensor.data.__set__(self, value)  # type: ignore[attr-defined]
        self.raw, self.block = value.raw, value.block

    def untyped_storage(self) -> torch.UntypedStorage:
        """What stands for the storage: one for all views of the same memory, without numbers."""
        return self.block.find_storage()

    def numpy(self, *, force: bool = False) -> Any:
        """Refuse, as CUDA's tensors do."""
        if not force:
            raise TypeError(
                "can't convert sim:0 device type tensor to numpy. "
                "Use Tensor.cpu() to copy the tensor to host memory first."
            )
        return self.detach().cpu().numpy()

    def tolist(self) -> Any:
        """Copy the numbers to the host, as nested lists."""
        return self.detach().cpu().tolist()

    def __repr__(self, *, tensor_contents: object = None) -> str:
        return f"{str(self.detach().cpu())[:-1]}, device='sim:0')"

    def __format__(self, how: str) -> str:
        return format(self.item() if self.dim() == 0 else repr(self), how)

    def __deepcopy__(self, memo: dict[int, Any]) -> "OnDevice":
        if id(self) not in memo:
            made = self.detach().clone().requires_grad_(self.requires_grad)
            if getattr(self, "_is_param", False):
                made._is_param = True
            memo[id(self)] = made
        return memo[id(self)]

    def __reduce_ex__(self, protocol: object) -> Any:
        parts = self.detach().cpu(), self.dtype, "sim:0", self.requires_grad
        return torch._utils._rebuild_device_tensor_from_cpu_tensor, parts


def run(function: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Run one operation on tensors of the device, or make the first tensors there."""
    if torch.is_inference_mode_enabled():
        # A wrapper would have no version counter, and operations would not come in parts.
        with torch._C._InferenceMode(False), torch.no_grad():
            return function(*args, **kwargs)
    operation = describe(function)
    call = _Call(args, kwargs)
    if operation.copies and call.crosses(operation):
        return _copy_across(operation, function, call)
    if call.strays and call.known:
        _check_strays(operation, call)
    recording = graphs.find_recording(current_stream())
    if operation.waits or (operation.name in TAKES_INDICES and _masks(call.args[1])):
        wait_for_value({"_local_scalar_dense": "item"}.get(operation.name, operation.name))
    if operation.random:
        _choose_generator(operation, call)
    written = call.find_written(operation)
    if recording is not None and operation.starts_kernel:
        result = find_shapes(function, call.args, call.kwargs, set(call.known))
    else:
        result = execute(operation, function, call.args, call.kwargs)
    if call.wants_device:
        dressed = call.dress(result, operation, recording)
        if operation.starts_kernel:
            _start_kernel(operation, function, call, written, result, recording)
        return dressed
    return result


def execute(operation: Operation, function: Any, args: Any, kwargs: Any) -> Any:
    """Compute with the CPU tensors of the arguments."""
    if operation.random and not operation.takes_generator:
        with randomness.draw_from_default():
            return function(*args, **kwargs)
    return function(*args, **kwargs)


class _Call:
    """The arguments of an operation, with CPU tensors in place of those on the device."""

    def __init__(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.known: dict[int, OnDevice] = {}
        """The tensors on the device, by the identity of their CPU tensors."""
        self.strays: list[Tensor] = []
        """The tensors on the CPU."""
        self.args = tuple([self._strip(value) for value in args])
        self.kwargs = {name: self._strip(value) for name, value in kwargs.items()}
        wanted = kwargs.get("device")
        self.wants_device = bool(self.known) if wanted is None else torch.device(wanted).type == "sim"
        self.made: list[Tensor] = []
        """The CPU tensors of the new memory that the operation has made."""

    def _strip(self, value: Any) -> Any:
        kind = type(value)
        if kind is OnDevice:
            self.known[id(value.raw)] = value
            return value.raw
        if kind is list or kind is tuple:
            return kind([self._strip(part) for part in value])
        if isinstance(value, Tensor):
            self.strays.append(value)
        elif kind is torch.device and value.type == "sim":
            return CPU
        return value

    def crosses(self, operation: Operation) -> bool:
        """Whether a copy goes from one device to the other."""
        if operation.name == "_to_copy":
            return self.wants_device != bool(self.known)
        return bool(self.strays) and bool(self.known)

    def find_written(self, operation: Operation) -> list[Tensor]:
        """The CPU tensors of the arguments that the operation changes."""
        written: list[Tensor] = []
        for place in operation.writes:
            if isinstance(place, str):
                value = self.kwargs.get(place)
            else:
                value = self.args[place] if place < len(self.args) else None
            written += value if isinstance(value, list) else [] if value is None else [value]
        return written

    def dress(self, value: Any, operation: Operation, recording: "graphs.Graph | None") -> Any:
        """Wrap the CPU tensors of a result. A tensor that was an argument keeps its wrapper."""
        if isinstance(value, Tensor):
            owner = self.known.get(id(value))
            if owner is not None:
                if owner.shape != value.shape:
                    raise NotImplementedError(
                        f"the simulated device cannot change a shape in place ({operation.name})"
                    )
                return owner
            settings.check_dtype(value.dtype)
            if recording is None and graphs.is_capturing() and not operation.is_view:
                raise NotPermittedError(
                    f"SIM error: operation not permitted when stream is capturing ({operation.name} allocates memory "
                    "outside of the capture)"
                )
            block, is_new = memory.find_block(value)
            if is_new:
                self.made.append(value)
                if recording is not None:
                    recording.own(block, value)
            return OnDevice(value, block)
        if isinstance(value, (list, tuple)):
            return type(value)([self.dress(part, operation, recording) for part in value])
        return value


def _start_kernel(
    operation: Operation,
    function: Any,
    call: _Call,
    written: list[Tensor],
    result: Any,
    recording: "graphs.Graph | None",
) -> None:
    changed = {id(tensor) for tensor in written}
    inputs = [tensor.raw for key, tensor in call.known.items() if key not in changed]
    size = count_bytes(operation, inputs, written, call.made)
    if recording is not None:
        recording.record(operation, function, call.args, call.kwargs, result, list(call.known.values()), size)
        return
    counters.add_kernel(operation.name, size)
    current_stream().launch(settings.measure_seconds(size))


def _check_strays(operation: Operation, call: _Call) -> None:
    """Refuse tensors on the CPU beside tensors on the device, but for what CUDA accepts."""
    changed = {id(tensor) for tensor in call.find_written(operation)}
    for stray in call.strays:
        if stray.dim() == 0 and operation.takes_scalars and id(stray) not in changed:
            continue
        if operation.name in TAKES_INDICES and any(stray is index for index in call.args[1]):
            upload("index", stray.nbytes, blocks=True)
            continue
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"sim:0 and {stray.device}! (in {operation.name})"
        )


def _masks(indices: Any) -> bool:
    return any(isinstance(index, Tensor) and index.dtype in (torch.bool, torch.uint8) for index in indices)


def _choose_generator(operation: Operation, call: _Call) -> None:
    if not operation.takes_generator or not call.wants_device:
        return
    given = call.kwargs.get("generator")
    if given is None:
        call.kwargs["generator"] = randomness.default
    else:
        randomness.check(given)


def _copy_across(operation: Operation, function: Any, call: _Call) -> Any:
    """Copy between the host and the device."""
    blocks = not call.kwargs.get("non_blocking", False)
    if operation.name == "_to_copy":
        down = not call.wants_device
    else:
        blocks = blocks and not (len(call.args) > 2 and call.args[2])
        down = id(call.args[0]) not in call.known
    if down:
        return read_back(lambda: function(*call.args, **call.kwargs), blocks=blocks)
    upload("copy", call.strays[0].nbytes, blocks=blocks)
    return call.dress(function(*call.args, **call.kwargs), operation, None)
