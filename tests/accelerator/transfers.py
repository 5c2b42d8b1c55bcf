"""What the host and the device have to do with each other: copies in both directions, and values that the host reads."""

from collections.abc import Callable

from torch import Tensor

from tests.accelerator import counters, graphs, settings
from tests.accelerator.clock import current_stream, host
from tests.accelerator.shapes import poison


def wait_for_value(name: str) -> None:
    """Let the host read a number or a shape from the device."""
    graphs.check_read(name)
    host.wait_until(current_stream().ready_at, name)
    counters.add("host_reads", name)


def upload(name: str, size: int, *, blocks: bool) -> None:
    """Let `size` bytes go to the device."""
    graphs.check_read(f"{name} to the device")
    stream = current_stream()
    stream.launch(settings.measure_seconds(size))
    if blocks:
        host.wait_until(stream.ready_at, name)
    counters.add("uploads", name)


def read_back(copy: Callable[[], Tensor], *, blocks: bool) -> Tensor:
    """Return a copy on the host. If the copy does not block, its numbers come with the next wait."""
    graphs.check_read("copy to the host")
    stream = current_stream()
    result = copy()
    stream.launch(settings.measure_seconds(result.nbytes))
    counters.add("host_reads", "copy")
    if blocks:
        host.wait_until(stream.ready_at, "copy")
    else:
        numbers = result.clone()
        poison(result)
        host.arrivals.append(lambda: result.copy_(numbers))
    return result
