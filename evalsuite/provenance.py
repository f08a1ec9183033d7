"""What a result was made with: the suite's own commit, the machine, and the versions of what computes scores."""

from __future__ import annotations

import os
import platform
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import evalsuite
from evalsuite import process
from evalsuite.errors import ProcessError
from evalsuite.types import Timing

_PACKAGES = (
    "evalsuite",
    "numpy",
    "scipy",
    "torch",
    "torchvision",
    "lpips",
    "av",
    "imageio-ffmpeg",
    "pandas",
    "pyarrow",
)


_ENVIRONMENT = re.compile(
    r"(OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|NUMEXPR|CUDA|CUBLAS|CUDNN|NVIDIA|HIP|ROCR|TORCH|PYTORCH|ATEN|MALLOC|LD|DYLD)_\w+"
    r"|EVALSUITE_\w+|GLIBC_TUNABLES|FFREPORT"
)
"""Variables that change what programs compute, how fast, or which libraries they are."""

_CGROUP = Path("/sys/fs/cgroup")
_CGROUP_FILES = (
    (_CGROUP / "memory.max", _CGROUP / "memory.current", _CGROUP / "memory.stat"),
    (
        _CGROUP / "memory/memory.limit_in_bytes",
        _CGROUP / "memory/memory.usage_in_bytes",
        _CGROUP / "memory/memory.stat",
    ),
)
"""Limit, use and what the use is of, of versions 2 and 1, as a container sees its own."""

_SECRET = re.compile(r"TOKEN|SECRET|PASSW|CREDENTIAL|_KEY\b", re.IGNORECASE)


def environment() -> dict[str, str]:
    """The environment variables that bear on results, by name; none that could be a secret."""
    return {
        name: value
        for name, value in sorted(os.environ.items())
        if _ENVIRONMENT.fullmatch(name) and not _SECRET.search(name)
    }


def commit() -> tuple[str, bool]:
    """The commit of the checkout the suite runs from, and whether it has changes; empty for an installed package."""
    root = Path(evalsuite.__file__).parents[1]
    if not (root / ".git").exists():
        return "", False
    try:
        git = ["git", "-C", str(root)]
        return process.output([*git, "rev-parse", "HEAD"]), bool(process.output([*git, "status", "--porcelain"]))
    except ProcessError:
        return "", False


def machine() -> dict[str, Any]:
    """Processor, cores this process may use, memory, operating system."""
    return {
        "processor": _processor(),
        "cores": usable_cores(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "system": f"{platform.system()} {platform.release()}",
        "architecture": platform.machine(),
    }


def machine_name() -> str:
    """The machine as far as times depend on it: two of the same name are as fast as each other."""
    return f"{_processor()}, {usable_cores()} cores, {platform.machine()}"


def timed_here(timing: Timing) -> bool:
    """Whether a time is this machine's, as far as is known: those that no run with `--timing` took do not say."""
    return timing.timed_on in ("", machine_name())


def usable_cores() -> int:
    """Cores this process may use, which a container or a job scheduler may have limited."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def free_memory_bytes() -> int:
    """Memory that programs of this process may take now: what the system has free, within the container's limit."""
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError, StopIteration):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        free = int(next(line for line in lines if line.startswith("MemAvailable:")).split()[1]) * 1024
    for limit, used, details in _CGROUP_FILES:
        # "max" is no number: no limit.
        with suppress(OSError, ValueError):
            left = int(limit.read_text(encoding="ascii")) - int(used.read_text(encoding="ascii"))
            # Files that were read count as used, but make room for programs.
            cache = re.search(r"^inactive_file (\d+)$", details.read_text(encoding="ascii"), re.MULTILINE)
            free = min(free, left + (int(cache[1]) if cache else 0))
    return max(0, free)


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that scores depend on, without importing them."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
