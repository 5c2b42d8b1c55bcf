"""Random numbers of the device: a generator of its own, apart from that of the CPU, as on a GPU."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager

import torch

ORIGINAL = torch.Generator


_made: "weakref.WeakSet[DeviceGenerator]" = weakref.WeakSet()


class DeviceGenerator(ORIGINAL):
    """A generator for the device. A generator of torch's CPU draws its numbers."""

    def __new__(cls, device: object = None) -> "DeviceGenerator":
        """Make a generator with torch's usual first seed."""
        made = super().__new__(cls, device="cpu")  # type: ignore[call-arg]
        _made.add(made)
        return made

    @property
    def device(self) -> torch.device:  # type: ignore[override]
        """The simulated device."""
        return torch.device("sim", 0)


class _Kind(type):
    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, ORIGINAL)

    def __call__(cls, device: object = "cpu") -> torch.Generator:
        wanted = torch.device(device)  # type: ignore[arg-type]
        return DeviceGenerator() if wanted.type == "sim" else ORIGINAL(device=wanted)


class Generator(metaclass=_Kind):
    """What stands in torch's place of `Generator`, because torch's own does not know the device."""


default = DeviceGenerator()
"""The generator that operations without one use."""


@contextmanager
def draw_from_default() -> Iterator[None]:
    """Let operations that know no generator draw from that of the device instead of that of the CPU."""
    kept = torch.default_generator.get_state()
    torch.default_generator.set_state(default.get_state())
    try:
        yield
    finally:
        default.set_state(torch.default_generator.get_state())
        torch.default_generator.set_state(kept)


def check(generator: torch.Generator) -> None:
    """Refuse a generator of another device, as CUDA does.

    torch hands generators to a device in Python as new objects. Only their states tell which ones they are.
    """
    state = generator.get_state()
    if not any(torch.equal(state, own.get_state()) for own in _made):
        raise RuntimeError("Expected a 'sim' device type for generator but found 'cpu'")
