"""Record work on a device as a graph (such as a CUDA graph), and replay this work with one launch."""

from collections.abc import Callable, Mapping
from typing import Any, Protocol, TypeVar

import torch

from ablate.devices.device import is_accelerator

Name = TypeVar("Name")


class Graph(Protocol):
    """Work that was recorded on a device."""

    def replay(self) -> None:
        """Start the recorded work again. It uses the same tensors as during the recording."""


def can_record(device: torch.device) -> bool:
    """Whether torch can record graphs on the device. CUDA, ROCm and XPU support graphs, but MPS does not."""
    return is_accelerator(device) and _find_graph_type(torch.get_device_module(device)) is not None


def record(
    device: torch.device, warm_up: Callable[[], None], bodies: Mapping[Name, Callable[[], None]]
) -> dict[Name, Graph]:
    """Record the work of some functions as graphs. Return each graph under the name of its function.

    `bodies` maps a name to the function to record. `warm_up` runs before the recording, because libraries
    choose kernels and allocate workspaces at their first calls. A body must not read a tensor on the host,
    and must use only one stream. All graphs share one memory pool, so a tensor that a body makes must not be
    used outside this body.
    """
    module = torch.get_device_module(device)
    side, current = module.Stream(), module.current_stream()
    side.wait_stream(current)
    with module.stream(side):
        warm_up()
    current.wait_stream(side)
    pool = module.graph_pool_handle()
    graphs: dict[Name, Graph] = {}
    for name, body in bodies.items():
        graph = _find_graph_type(module)()
        with module.graph(graph, pool=pool):
            body()
        graphs[name] = graph
    return graphs


def _find_graph_type(module: Any) -> Any:
    """Find the class for graphs in torch's module for a type of device. The modules name it differently."""
    found = [getattr(module, name, None) for name in ("CUDAGraph", "XPUGraph")]
    return next((one for one in found if one is not None and hasattr(module, "graph")), None)
