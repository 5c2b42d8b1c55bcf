"""The simulated time: one clock of the host, and one for the queue of each stream.

The host spends `launch_seconds` for each launch and goes on. A stream works off its queue. Only a wait moves the host's
clock to the end of a queue. Nothing here takes real time, so that every reading is the same on each machine.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType

import torch

from tests.accelerator import counters, settings

ORIGINAL_STREAM, ORIGINAL_EVENT = torch.Stream, torch.Event


class NotPermittedError(getattr(torch, "AcceleratorError", RuntimeError)):
    """A call that CUDA does not permit while a stream is capturing."""


class _Host:
    """The clock of the host, and what happens when the host has waited."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.forbidden: Callable[[], bool] = lambda: False
        """Whether a wait is forbidden, because a capture is going on."""
        self.arrivals: list[Callable[[], None]] = []
        """Copies to the host that did not block. They arrive at the next wait."""

    def wait_until(self, moment: float, name: str) -> None:
        """Move the clock to a moment, unless it is later already."""
        if self.forbidden():
            raise NotPermittedError(f"SIM error: operation not permitted when stream is capturing ({name})")
        self.seconds = max(self.seconds, moment)
        arrivals, self.arrivals = self.arrivals, []
        for arrive in arrivals:
            arrive()


host = _Host()


def read_seconds() -> float:
    """Read the host's clock: what `time.perf_counter` would read beside a real device."""
    return host.seconds


class Stream:
    """A queue of the device, with the methods of torch.Stream and torch.cuda.Stream."""

    _made = 0

    def __new__(cls, device: object = None, priority: int = 0, **others: object) -> "Stream":
        """Make a stream of the simulated device, or one of torch's own for another device."""
        if device is not None and not isinstance(device, int) and torch.device(device).type != "sim":
            return ORIGINAL_STREAM(device=device, priority=priority, **others)  # type: ignore[arg-type, return-value]
        return super().__new__(cls)

    def __init__(self, device: object = None, priority: int = 0, **_: object) -> None:
        self.device_type, self.device_index = "sim", 0
        self.priority = priority
        self.stream_id = Stream._made
        Stream._made += 1
        self.ready_at = 0.0
        """When the queue is empty."""
        self.joined: object = None
        """The capture that this stream has joined."""
        self._outer: list[Stream] = []
        streams.append(self)

    @property
    def device(self) -> torch.device:
        """The simulated device."""
        return torch.device("sim", 0)

    def launch(self, seconds: float) -> None:
        """Put work that takes `seconds` into the queue."""
        host.seconds += settings.current.launch_seconds
        self.ready_at = max(self.ready_at, host.seconds) + seconds

    def wait_stream(self, stream: "Stream") -> None:
        """Start nothing more before the other stream has done what is in its queue now."""
        self.wait_event(stream.record_event())

    def wait_event(self, event: "Event") -> None:
        """Start nothing more before the event has happened."""
        self.ready_at = max(self.ready_at, event.moment or 0.0)
        if event.joined is not None:
            self.joined = event.joined

    def record_event(self, event: "Event | None" = None) -> "Event":
        """Put an event into the queue."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def synchronize(self) -> None:
        """Let the host wait until the queue is empty."""
        host.wait_until(self.ready_at, "Stream.synchronize")
        counters.add("synchronisations", "Stream.synchronize")

    def query(self) -> bool:
        """Whether the queue is empty. The host's clock does not move."""
        if self.joined is not None and host.forbidden():
            raise NotPermittedError(
                "SIM error: operation not permitted when stream is capturing (Stream.query)"
            )
        return host.seconds >= self.ready_at

    def __enter__(self) -> "Stream":
        self._outer.append(current_stream())
        set_stream(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        set_stream(self._outer.pop())

    def __repr__(self) -> str:
        return f"Stream(device={self.device}, stream_id={self.stream_id})"


class Event:
    """A moment in a queue, with the methods of torch.cuda.Event."""

    def __init__(
        self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False
    ) -> None:
        self.moment: float | None = None
        """When the device gets there, in seconds. None if the event is in no queue."""
        self.joined: object = None
        self._timed = enable_timing

    @property
    def device(self) -> torch.device:
        """The simulated device."""
        return torch.device("sim", 0)

    def record(self, stream: Stream | None = None) -> None:
        """Put the event into the queue of a stream."""
        stream = current_stream() if stream is None else stream
        self.moment = max(stream.ready_at, host.seconds)
        self.joined = stream.joined

    def wait(self, stream: Stream | None = None) -> None:
        """Let a stream wait for the event."""
        (current_stream() if stream is None else stream).wait_event(self)

    def query(self) -> bool:
        """Whether the event has happened. The host's clock does not move."""
        if self.joined is not None and host.forbidden():
            raise NotPermittedError(
                "SIM error: operation not permitted when stream is capturing (Event.query)"
            )
        return self.moment is None or host.seconds >= self.moment

    def synchronize(self) -> None:
        """Let the host wait for the event."""
        host.wait_until(self.moment or 0.0, "Event.synchronize")
        counters.add("synchronisations", "Event.synchronize")

    def elapsed_time(self, end: "Event") -> float:
        """Milliseconds from this event to a later one.

        Raises:
            RuntimeError: an event was not recorded, measures no time, or has not happened yet.
        """
        if not (self._timed and end._timed) or self.moment is None or end.moment is None:
            raise RuntimeError(
                "Both events must be created with argument 'enable_timing=True' and be recorded."
            )
        if host.seconds < max(self.moment, end.moment):
            raise RuntimeError("SIM error: device not ready")
        return (end.moment - self.moment) * 1000


class GenericEvent(Event):
    """An event with the arguments of torch.Event, whose first one is the device."""

    def __new__(cls, device: object = None, **others: object) -> "GenericEvent":
        """Make an event of the simulated device, or one of torch's own for another device."""
        if device is not None and not isinstance(device, int) and torch.device(device).type != "sim":
            return ORIGINAL_EVENT(device, **others)  # type: ignore[arg-type, return-value]
        return super().__new__(cls)

    def __init__(self, device: object = None, **others: bool) -> None:
        super().__init__(**others)


streams: list[Stream] = []
default_stream = Stream()
_current = [default_stream]


def current_stream(device: object = None) -> Stream:
    """The stream into which operations go. One for all threads: the threads of autograd use it, too."""
    return _current[0]


def set_stream(stream: Stream) -> None:
    """Let operations go into another stream."""
    _current[0] = stream


def stream_context(stream: Stream) -> AbstractContextManager[object]:
    """Let operations go into a stream in this context, as torch.cuda.stream does."""
    return stream


def synchronize(device: object = None) -> None:
    """Let the host wait until the queues of all streams are empty."""
    host.wait_until(max(stream.ready_at for stream in streams), "synchronize")
    counters.add("synchronisations", "synchronize")
