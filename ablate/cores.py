"""The cores and the memory that this process may use: affinity, cgroups, environment variables.

loky's `cpu_count`, which comes with scikit-learn, reads only the root of the cgroups. Slurm, systemd and
nested containers set their limits below the root.
"""

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath

import psutil

ROOT = Path("/")


def count_cores(root: Path = ROOT) -> int:
    """The number of cores to use: for runs at a time, for the threads of the timing phase, for estimates.

    It is the smallest of these numbers: the cores of the affinity (`taskset`) or `PYTHON_CPU_COUNT`, the
    quota of the cgroup rounded up, and `OMP_NUM_THREADS`. At least 1.
    """
    limits = [_count_allowed_cores(), read_quota(root), _read_number("OMP_NUM_THREADS")]
    return max(1, min(limit for limit in limits if limit is not None))


def describe_cores() -> str:
    """`2 cores`, or `1 of 2 cores (OMP_NUM_THREADS=1)` if something limits the number."""
    used, present = count_cores(), os.cpu_count() or 1
    if used >= present:
        return f"{used} core{'' if used == 1 else 's'}"
    causes = {"OMP_NUM_THREADS": _read_number("OMP_NUM_THREADS"), "PYTHON_CPU_COUNT": _count_wanted_cores()}
    named = [f"{name}={number}" for name, number in causes.items() if number == used]
    quota = "the quota of the cgroup" if read_quota() == used else "the affinity"
    return f"{used} of {present} cores ({named[0] if named else quota})"


def list_cores() -> list[int]:
    """The numbers of the cores on which the system lets this process run."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def measure_memory(root: Path = ROOT) -> int:
    """The bytes of memory that this process may use: the machine's, or less if the cgroup limits them."""
    limits = _read_limits("memory", ("memory.max", "memory.limit_in_bytes"), root)
    return min([psutil.virtual_memory().total, *(int(words[0]) for words in limits if words[0].isdigit())])


def read_quota(root: Path = ROOT) -> int | None:
    """The cores' worth of time that the cgroup gives this process, rounded up. None without a limit."""
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
    """The value of `PYTHON_CPU_COUNT`, which only Python 3.13 and later read by themselves."""
    return _read_number("PYTHON_CPU_COUNT")


def _read_number(variable: str) -> int | None:
    """The number in an environment variable: the first of a list, as OpenMP reads it. None if invalid."""
    first = os.environ.get(variable, "").partition(",")[0].strip()
    return int(first) if re.fullmatch("[0-9]{1,6}", first) and int(first) > 0 else None


def _read_limits(controller: str, files: tuple[str, str], root: Path) -> Iterator[list[str]]:
    """Yield the words of the limit in each cgroup of this process, from its own up to the root.

    Args:
        controller: the name of what is limited: cpu or memory.
        files: the name of the file with the limit, in version 2 and in version 1 of cgroups.
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
        # In a container the process may see its path outside, of which only the mounted part is there.
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
