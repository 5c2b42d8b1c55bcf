"""Count the energy that processors and GPUs use, where the machine counts it.

The library zeus reads the counters: RAPL for processors and memory, NVML for NVIDIA's GPUs, AMDSMI for AMD's.
It is the optional extra `energy`.
"""

from typing import Any

import torch

from ablate.devices.device import is_accelerator

WINDOW = "ablate"
"""The name that zeus gives to the measurement. Only one measurement runs at a time."""


class EnergyCounter:
    """Counts the energy between `start` and `stop`."""

    def __init__(self, monitor: Any) -> None:
        """Count with a `zeus.monitor.ZeusMonitor`."""
        self._monitor = monitor

    def start(self) -> None:
        """Start to count from zero. The device must have finished its work."""
        self._monitor.begin_window(WINDOW, sync_execution=False, restart=True)

    def stop(self) -> float | None:
        """Return the joules since `start`. None if the counters have not advanced in this time.

        The joules of processors include the use by other programs. The device must have finished its work.
        """
        found = self._monitor.end_window(WINDOW, sync_execution=False)
        parts = (found.gpu_energy, found.cpu_energy, found.dram_energy)
        joules = float(sum(sum(part.values()) for part in parts if part))
        return joules if joules > 0 else None


def find_counter(device: torch.device) -> EnergyCounter | None:
    """Find a counter of energy for computations on this device.

    The counter counts processors, their memory, and the device if it is a GPU. Return None if the machine
    counts nothing, if ablate may not read the counters, or if zeus is not installed. For a GPU, also return
    None if the energy of the GPU is not counted.
    """
    try:
        from zeus.monitor import ZeusMonitor
    except ImportError:
        return None
    used = [device.index or 0] if is_accelerator(device) else []
    if device.type not in ("cpu", "cuda"):
        return None
    monitor = ZeusMonitor(gpu_indices=used if _count_gpus() else [])
    counted = monitor.gpu_indices if used else monitor.cpu_indices
    return EnergyCounter(monitor) if counted else None


def _count_gpus() -> int:
    """Count the GPUs whose energy zeus can read."""
    from zeus.device.exception import ZeusBaseGPUError
    from zeus.device.gpu import get_gpus

    try:
        return len(get_gpus())
    except ZeusBaseGPUError:
        return 0
