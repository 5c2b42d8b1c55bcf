"""Write down what the machine is: `ablate doctor`, the GPU's properties, its driver. A part of the kit.

Its arguments are the device and the file for the facts.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

ASKED = "name,driver_version,memory.total,clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu"


def main(device: str, results: Path) -> int:
    """Write the facts. Return the exit code of `ablate doctor`, or 1 if torch does not find the device."""
    facts = describe_torch() | {"machine": describe_machine()}
    results.write_text(json.dumps(facts))
    for name, fact in facts.items():
        print(f"{name}: {fact}", flush=True)
    doctor = subprocess.run([sys.executable, "-m", "ablate", "doctor"], check=False)
    # The sum shows that the device computes, not only that torch finds it.
    ones = torch.ones(1000, device=device).sum().item()
    print(f"a sum on {device}: {ones}")
    return doctor.returncode or int(ones != 1000)


def describe_torch() -> dict[str, Any]:
    """Describe torch, and each of its CUDA devices."""
    facts: dict[str, Any] = {
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),
    }
    for number in range(torch.cuda.device_count()):
        found = torch.cuda.get_device_properties(number)
        facts[f"device {number}"] = {
            "name": found.name,
            "capability": f"{found.major}.{found.minor}",
            "memory_bytes": found.total_memory,
            "multiprocessors": found.multi_processor_count,
        }
    return facts


def describe_machine() -> dict[str, Any]:
    """Describe cores, kernel, compiler and driver."""
    facts: dict[str, Any] = {
        "cores": len(os.sched_getaffinity(0)),
        "system": platform.platform(),
        "compiler": shutil.which("g++"),
    }
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", f"--query-gpu={ASKED}", "--format=csv"]
        facts["nvidia-smi"] = subprocess.run(query, capture_output=True, text=True, check=False).stdout
    return facts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2])))
