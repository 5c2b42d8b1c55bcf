"""How many cores and how much memory this process is allowed to use.

The limits come from the CPU affinity, cgroups and environment variables. ablate does not use `cpu_count` of
loky (a dependency of scikit-learn), because `cpu_count` reads only the limits of the root cgroup. Slurm,
systemd and nested containers set their limits in cgroups below the root.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

ROOT = Path("/")


def count_cores(root: Path = ROOT) -> int:
    """Count the cores that ablate may use for parallel runs and for the threads of the timing phase.

    The result is the smallest of three limits, but at least 1:

    - the quota of the cgroup, rounded up
    - `OMP_NUM_THREADS`
    - `PYTHON_CPU_COUNT`, or if it is not set, the number of cores in the CPU affinity (`taskset`)
    """
    limits = [_count_allowed_cores(), read_quota(root), _read_number("OMP_NUM_THREADS")]
    return max(1, min(limit for limit in limits if limit is not None))


def describe_cores() -> str:
    """Describe how many cores ablate may use, and what limits this number.

    Examples: `2 cores`, `1 of 2 cores (OMP_NUM_THREADS=1)`.
    """
    used, present = count_cores(), os.cpu_count() or 1
    if used >= present:
        return f"{used} core{'' if used == 1 else 's'}"
    causes = {"OMP_NUM_THREADS": _read_number("OMP_NUM_THREADS"), "PYTHON_CPU_COUNT": _count_wanted_cores()}
    named = [f"{name}={number}" for name, number in causes.items() if number == used]
    quota = "the quota of the cgroup" if read_quota() == used else "the affinity"
    return f"{used} of {present} cores ({named[0] if named else quota})"


def list_cores() -> list[int]:
    """List the indices (0, 1, …) of the cores on which the operating system lets this process run."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def measure_memory(root: Path = ROOT) -> int:
    """Return how much memory this process can use, in bytes.

    The result is the memory of the machine, or the limit of a cgroup if that limit is lower.
    """
    import psutil  # imported here, because counting the cores does not need it

    limits = _read_limits("memory", ("memory.max", "memory.limit_in_bytes"), root)
    return min([psutil.virtual_memory().total, *(int(words[0]) for words in limits if words[0].isdigit())])


def read_quota(root: Path = ROOT) -> int | None:
    """Return the smallest CPU quota of this process's cgroups as a number of cores, rounded up.

    Return None if no cgroup has a quota.
    """
    quotas = [
        -(-int(quota) // int(period))
        for quota, period in _read_limits("cpu", ("cpu.max", "cpu.cfs_quota_us"), root)
        if quota.isdigit() and period.isdigit() and int(quota) > 0 and int(period) > 0
    ]
    return min(quotas, default=None)


def _count_allowed_cores() -> int:
    wanted = _count_wanted_cores()
    if wanted is not None:
        return wanted
    # Python 3.13 and later have `os.process_cpu_count`.
    count: Callable[[], int | None] = getattr(os, "process_cpu_count", lambda: len(list_cores()))
    return count() or 1


def _count_wanted_cores() -> int | None:
    """Read `PYTHON_CPU_COUNT`. Python itself uses this variable only from version 3.13 on."""
    return _read_number("PYTHON_CPU_COUNT")


def _read_number(variable: str) -> int | None:
    """Read a positive whole number from an environment variable. Return None if the variable has none.

    OpenMP also allows a list of numbers. If the variable has a list, return the first number.
    """
    first = os.environ.get(variable, "").partition(",")[0].strip()
    return int(first) if re.fullmatch("[0-9]{1,6}", first) and int(first) > 0 else None


def _read_limits(controller: str, files: tuple[str, str], root: Path) -> Iterator[list[str]]:
    """Yield the words in the limit file of each cgroup of this process, from its own cgroup up to the root.

    Args:
        controller: the cgroup controller that sets the limit: cpu or memory.
        files: the name of the file with the limit in cgroups version 2, and the name in version 1.
        root: the root of the file system.
    """
    for folder, version in _list_cgroups(controller, root):
        words = _read_words(folder / files[2 - version])
        if version == 1 and files[1] == "cpu.cfs_quota_us":
            words += _read_words(folder / "cpu.cfs_period_us")
        if words and (controller != "cpu" or len(words) == 2):
            yield words


def _list_cgroups(controller: str, root: Path) -> Iterator[tuple[Path, int]]:
    """Yield the folder and the version of each cgroup that can limit this process."""
    own: dict[str, str] = {}
    for line in _read_text(root / "proc/self/cgroup").splitlines():
        _, controllers, place = f"{line}::".split(":", 2)
        own |= dict.fromkeys(controllers.split(","), place.removesuffix("::"))
    for line in _read_text(root / "proc/self/mountinfo").splitlines():
        mount, _, system = line.partition(" - ")
        within, point = [*mount.split(), *[""] * 5][3:5]
        kind, _, options = (*system.split(maxsplit=2), "", "", "")[:3]
        version, name = (2, "") if kind == "cgroup2" else (1, controller)
        if name not in own or (version == 1 and (kind != "cgroup" or controller not in options.split(","))):
            continue
        path = PurePosixPath(own[name])
        # In a container, /proc/self/cgroup can contain a path of the host that is not below the mounted
        # folder. The mounted folder is then the cgroup of the container.
        visible = path.is_relative_to(within) and ".." not in path.parts
        below = path.relative_to(within) if visible else PurePosixPath()
        for folder in [below, *below.parents]:
            yield root / point.lstrip("/") / folder, version


def _read_words(path: Path) -> list[str]:
    return _read_text(path).split()


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
