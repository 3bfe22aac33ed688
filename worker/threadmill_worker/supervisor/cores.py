"""How many processor cores this process may use."""

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")


def usable_cores(cgroups: Path = _CGROUPS, own_cgroups: Path = _OWN_CGROUPS) -> int:
    """Returns the number of cores for `--processes auto`, at least 1.

    It is the number of cores in the CPU affinity, or the CPU quota of a container (`cpu.max` of cgroup v2) if that is
    less. A quota of 1.5 cores counts as 2, because two processes can use it fully and one cannot.
    """
    quotas = (math.ceil(quota) for quota in _quotas(cgroups, own_cgroups))
    return max(1, min([_affinity(), *quotas]))


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):  # not on macOS
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _quotas(cgroups: Path, own_cgroups: Path) -> Iterator[float]:
    """Yields the quota in cores of this process' cgroup and of each above it, as far as they have one."""
    folder = cgroups / _own_path(own_cgroups)
    while folder.is_relative_to(cgroups):
        with suppress(OSError, ValueError):  # no such file; `max`, which is no quota
            quota, period = (folder / "cpu.max").read_text().split()
            yield int(quota) / int(period)
        folder = folder.parent


def _own_path(own_cgroups: Path) -> str:
    """Returns the path of this process' cgroup; '', the topmost, if it has none of version 2."""
    with suppress(OSError):
        for line in own_cgroups.read_text().splitlines():
            if line.startswith("0::"):  # version 2, as cgroups(7) says
                return line.removeprefix("0::").strip("/")
    return ""
