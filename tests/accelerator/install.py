"""Put the simulated device into this process, as `torch.device("sim", 0)`.

It stays until the process ends, for torch cannot take a device away. So only processes that are made for it have it.
"""

import inspect
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import torch
from torch.utils._pytree import tree_map_only

NAME = "sim"
_kept: list[object] = []


def explain_missing() -> str | None:
    """Why torch cannot have the device, or None."""
    try:
        from torch.utils.backend_registration import _setup_privateuseone_for_python_backend  # noqa: F401
    except ImportError:
        return f"torch {torch.__version__} cannot have a device that is written in Python"
    return None


def install() -> None:
    """Put the device into this process. Only the first call does anything.

    Raises:
        RuntimeError: torch lacks what the device stands on.
    """
    if _kept:
        return
    if reason := explain_missing():
        raise RuntimeError(reason)
    from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

    from tests.accelerator.backward import make_guard, raise_errors_of_threads
    from tests.accelerator.tensors import run

    guard = make_guard()
    _kept.append(guard)
    _setup_privateuseone_for_python_backend(NAME, backend_module=_make_module(), device_guard=guard)
    library = torch.library.Library("_", "IMPL")
    library.fallback(lambda operation, *args, **kwargs: run(operation, args, kwargs), "PrivateUse1")
    _kept.extend((library, _register_kernels()))
    _replace_functions()
    raise_errors_of_threads()


def _register_kernels() -> torch.library.Library:
    """Register the operations that the fallback cannot serve."""
    from tests.accelerator.tensors import run

    aten = torch.ops.aten
    library = torch.library.Library("aten", "IMPL")

    def register(operation: Any) -> None:
        name = operation.name().removeprefix("aten::")
        library.impl(name, lambda *args, **kwargs: run(operation, args, kwargs), "PrivateUse1")

    # torch would make these with an output of another size first, but a size cannot change here.
    for operation in (
        aten.arange.default, aten.arange.start, aten.arange.start_step, aten.range.default, aten.range.step,
        aten.linspace.default, aten.logspace.default, aten.eye.default, aten.eye.m, aten.randperm.default,
        aten.randperm.generator, aten.tril_indices.default, aten.triu_indices.default,
    ):  # fmt: skip
        register(operation)

    def copy_from(source: torch.Tensor, into: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
        return run(aten.copy_.default, (into, source, non_blocking), {})

    library.impl("_copy_from", copy_from, "PrivateUse1")  # torch.tensor(…, device="sim") comes here
    return library


def _make_module() -> ModuleType:
    """Make `torch.sim`, with the names of `torch.cuda`."""
    from tests.accelerator import clock, graphs, memory, randomness, settings

    module: Any = ModuleType("torch.sim", "The simulated device, with the names of torch.cuda.")
    module.is_available = module.is_initialized = module.is_built = lambda: True
    module.is_bf16_supported = lambda *_, **__: torch.bfloat16 not in settings.current.lacking
    module.init = lambda: None
    module._is_in_bad_fork = lambda: False
    module._lazy_call = lambda call: call()
    module.device_count = lambda: 1
    module.current_device = lambda: 0
    module.set_device = lambda device: None
    module.device = torch.accelerator.device_index
    module.get_device_name = lambda device=None: "Simulated accelerator"
    module.get_device_properties = lambda device=None: SimpleNamespace(
        name="Simulated accelerator",
        total_memory=settings.current.budget_bytes or 1 << 40,
        multi_processor_count=1,
    )
    for source, names in (
        (clock, ("Stream", "Event", "synchronize", "current_stream", "set_stream")),
        (graphs, ("is_current_stream_capturing",)),
        (
            memory,
            (
                "memory_allocated", "max_memory_allocated", "memory_reserved", "max_memory_reserved", "memory_stats",
                "reset_peak_memory_stats", "empty_cache", "mem_get_info",
            ),
        ),
    ):  # fmt: skip
        for name in names:
            setattr(module, name, getattr(source, name))
    module.stream, module.default_stream = clock.stream_context, lambda device=None: clock.default_stream
    module.OutOfMemoryError = torch.OutOfMemoryError
    of_graphs = {
        "CUDAGraph": graphs.Graph,
        "Graph": graphs.Graph,
        "graph": graphs.graph,
        "graph_pool_handle": graphs.graph_pool_handle,
    }

    def find_name(name: str) -> object:
        if name in of_graphs and settings.current.has_graphs:
            return of_graphs[name]
        raise AttributeError(f"module 'torch.sim' has no attribute '{name}'")

    module.__getattr__ = find_name
    generator = randomness.default
    module.default_generators = (generator,)
    module.manual_seed = module.manual_seed_all = lambda seed: generator.manual_seed(int(seed)) and None
    module.seed = module.seed_all = lambda: generator.seed() and None
    module.initial_seed = generator.initial_seed
    module.get_rng_state = lambda device=None: generator.get_state()
    module.set_rng_state = lambda state, device=None: generator.set_state(state) and None
    module.get_rng_state_all = lambda: [generator.get_state()]
    module.set_rng_state_all = lambda states: generator.set_state(states[0]) and None
    return module


def _replace_functions() -> None:
    """Replace the functions of torch that need a device in C++."""
    from tests.accelerator import clock, graphs, memory, randomness, settings

    def get_capability(index: int) -> dict[str, set[torch.dtype]]:
        kinds = {kind for kind in vars(torch).values() if isinstance(kind, torch.dtype)}
        return {"supported_dtypes": kinds - settings.current.lacking}

    replacements: dict[str, Callable[..., object]] = {
        "synchronizeDevice": clock.synchronize,
        "getStream": clock.current_stream,
        "setStream": clock.set_stream,
        "isAllocatorInitialized": lambda: True,
        "emptyCache": memory.empty_cache,
        "emptyHostCache": lambda: None,
        "getDeviceStats": memory.memory_stats,
        "resetPeakStats": memory.reset_peak_memory_stats,
        "resetAccumulatedStats": memory.reset_peak_memory_stats,
        "getMemoryInfo": memory.mem_get_info,
        "getDeviceCapability": get_capability,
    }
    for name, function in replacements.items():
        setattr(torch._C, f"_accelerator_{name}", function)
    if inspect.isclass(getattr(torch.accelerator, "Graph", None)):
        torch.accelerator.Graph = graphs.Graph
    changed: Any = torch
    changed.Stream, changed.Event, changed.Generator = clock.Stream, clock.GenericEvent, randomness.Generator
    changed.load = _make_load(torch.load)


def _make_load(original: Callable[..., Any]) -> Callable[..., Any]:
    """Make a `torch.load` that reads to the CPU first, because the device has no storages of its own."""

    def load(source: object, map_location: Any = None, **others: Any) -> Any:
        wanted = map_location if isinstance(map_location, (str, torch.device)) else None
        if wanted is None or torch.device(wanted).type != NAME:
            return original(source, map_location=map_location, **others)
        return tree_map_only(
            torch.Tensor, lambda tensor: tensor.to(wanted), original(source, map_location="cpu", **others)
        )

    return load
