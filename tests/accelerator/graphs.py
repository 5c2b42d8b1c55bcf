"""Graphs: operations that are recorded once and replayed into the same memory, as CUDA graphs are.

A capture computes nothing, but for the shapes of results: tensors from before stay as they are, and new tensors hold no
numbers. A replay computes the operations, with the numbers that the host had, on the same memory.
"""

import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from tests.accelerator import clock, counters, memory, settings
from tests.accelerator.clock import NotPermittedError, Stream, current_stream, host
from tests.accelerator.operations import Operation
from tests.accelerator.shapes import fix, flatten

_numbers = count(1)


@dataclass(frozen=True, kw_only=True)
class _Node:
    """A kernel of a graph."""

    operation: Operation
    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    results: tuple[tuple[int, Tensor], ...]
    """The CPU tensors that a replay fills, with their places in the result. What changes in place is not among them."""
    size: int


class _Pool:
    """Memory of graphs. Tensors that no longer exist leave their memory to later ones of the same pool."""

    def __init__(self) -> None:
        self.block = memory.Block(0)
        self.kept = 0
        """Bytes of tensors that existed when their capture ended."""


_pools: "weakref.WeakValueDictionary[tuple[int, int], _Pool]" = weakref.WeakValueDictionary()
_capturing: "list[Graph]" = []


def graph_pool_handle() -> tuple[int, int]:
    """A name for a new pool."""
    return (next(_numbers), 0)


def is_capturing() -> bool:
    """Whether a capture is going on."""
    return bool(_capturing)


host.forbidden = is_capturing


def is_current_stream_capturing() -> bool:
    """Whether operations of the current stream are being captured."""
    return find_recording(current_stream()) is not None


def find_recording(stream: Stream) -> "Graph | None":
    """The graph that records the operations of a stream."""
    return _capturing[0] if _capturing and stream.joined is _capturing[0] else None


def check_read(name: str) -> None:
    """Refuse a copy between host and device during a capture."""
    if _capturing:
        raise NotPermittedError(f"SIM error: operation not permitted when stream is capturing ({name})")


class Graph:
    """A recorded sequence of kernels, with the methods of torch.cuda.CUDAGraph and torch.accelerator.Graph."""

    def __init__(
        self,
        keep_graph: bool = False,
        *,
        pool: tuple[int, int] | None = None,
        capture_error_mode: str = "default",
    ) -> None:
        if not settings.current.has_graphs:
            raise RuntimeError("Graph is not supported on device type: sim")
        self._wanted_pool = pool
        self._forget()

    def _forget(self) -> None:
        self._nodes: list[_Node] = []
        self._reads: dict[int, weakref.ref[memory.Block]] = {}
        self._own: list[weakref.ref[memory.Block]] = []
        self._own_keys: set[int] = set()
        self._kept: list[Tensor] = []
        self._pool: _Pool | None = None
        self._pool_name: tuple[int, int] | None = None
        self._ended = False

    def capture_begin(self, pool: tuple[int, int] | None = None, capture_error_mode: str = "global") -> None:
        """Record the operations of the current stream from now on."""
        if _capturing or self._ended:
            raise NotPermittedError(
                "SIM error: this stream is capturing already, or this graph has been captured"
            )
        stream = current_stream()
        if stream is clock.default_stream:
            raise NotPermittedError("SIM graphs must be captured on a non-default stream.")
        self._pool_name = pool or self._wanted_pool or graph_pool_handle()
        self._pool = _pools.get(self._pool_name) or _Pool()
        _pools[self._pool_name] = self._pool
        self._stream = stream
        self._outer_peak, self._live_before = memory.statistics.peak, memory.statistics.live
        memory.statistics.peak = memory.statistics.live
        stream.joined = self
        _capturing.append(self)

    def capture_end(self) -> None:
        """Stop recording."""
        if _capturing != [self]:
            raise NotPermittedError("SIM error: no capture of this graph is going on")
        _capturing.clear()
        for stream in clock.streams:
            if stream.joined is self:
                stream.joined = None
        self._fill_pool()
        self._ended = True

    def _fill_pool(self) -> None:
        assert self._pool is not None
        needed = memory.statistics.peak - self._live_before
        memory.statistics.peak = max(self._outer_peak, memory.statistics.peak)
        alive = [block for reference in self._own if (block := reference()) is not None]
        kept = sum(block.size for block in alive)
        for block in alive:  # the pool's memory counts instead
            block.resize(0)
        self._pool.block.resize(max(self._pool.block.size, self._pool.kept + needed))
        self._pool.kept += kept

    def own(self, block: memory.Block, tensor: Tensor) -> None:
        """Add memory that an operation of the capture has allocated for a tensor."""
        self._own.append(weakref.ref(block))
        self._own_keys.add(tensor.untyped_storage()._cdata)
        self._kept.append(tensor)  # no other storage gets this key

    def record(
        self,
        operation: Operation,
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        result: Any,
        used: Iterable[Any],
        size: int,
    ) -> None:
        """Add a kernel. `used` are the tensors on the device among its arguments."""
        given = {id(leaf) for leaf in flatten((args, list(kwargs.values())))}
        filled = [(place, tensor) for place, tensor in enumerate(flatten(result)) if id(tensor) not in given]
        for tensor in used:
            if tensor.raw.untyped_storage()._cdata not in self._own_keys:
                self._reads[id(tensor.block)] = weakref.ref(tensor.block)
        fixed = {id(tensor.raw) for tensor in used}
        self._nodes.append(
            _Node(
                operation=operation,
                function=function,
                args=fix(args, fixed),
                kwargs=fix(kwargs, fixed),
                results=tuple(filled),
                size=size,
            )
        )

    def replay(self) -> None:
        """Compute the recorded kernels again, with one launch.

        Raises:
            RuntimeError: there is nothing to replay, or memory that the graph uses has been freed. A real device would
                compute with whatever is there now.
        """
        from tests.accelerator.tensors import execute

        if not self._ended:
            raise RuntimeError("Called Graph.replay without a preceding successful capture.")
        check_read("replay")
        if any(reference() is None for reference in self._reads.values()):
            raise RuntimeError("The graph uses a tensor from before its capture that no longer exists.")
        with torch.no_grad():
            for node in self._nodes:
                results = list(flatten(execute(node.operation, node.function, node.args, node.kwargs)))
                for place, tensor in node.results:
                    tensor.copy_(results[place])
                counters.add_kernel(node.operation.name, node.size, launched=False)
        counters.add_graph()
        current_stream().launch(sum(settings.measure_seconds(node.size) for node in self._nodes))

    def reset(self) -> None:
        """Forget what was recorded, so that the graph can capture again."""
        self._forget()

    def pool(self) -> tuple[int, int]:
        """The name of the graph's pool, for other graphs."""
        assert self._pool_name is not None
        return self._pool_name

    def __enter__(self) -> None:
        clock.synchronize()
        memory.empty_cache()
        self.capture_begin()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.capture_end()


class graph:  # noqa: N801, the name that torch.cuda gives it
    """Capture the operations of the context on a stream of its own, as torch.cuda.graph does."""

    def __init__(
        self,
        cuda_graph: Graph,
        pool: tuple[int, int] | None = None,
        stream: Stream | None = None,
        capture_error_mode: str = "global",
    ) -> None:
        self._graph, self._pool = cuda_graph, pool
        self._stream = stream or Stream()

    def __enter__(self) -> None:
        clock.synchronize()
        memory.empty_cache()
        self._stream.__enter__()
        self._graph.capture_begin(pool=self._pool)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self._graph.capture_end()
        finally:
            self._stream.__exit__(kind, error, trace)
