"""Whether two machines compute the same: versions of the suite and of the packages that results depend on."""

from __future__ import annotations

import functools
import hashlib
import platform
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import evalsuite

_PACKAGES = (
    "av",
    "constriction",
    "imageio-ffmpeg",
    "lpips",
    "numpy",
    "opencv-python-headless",
    "piq",
    "scipy",
    "torch",
    "torchvision",
)
"""What bitstreams and scores are computed by. The local part of a version, as torch's for CUDA, counts too."""


CHANGED = "its installation has changed since it was started: start it again"
"""What is wrong with a process for which `is_unchanged` does not hold."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What two machines must agree in."""

    versions: dict[str, str]
    """By name; of the suite, Python up to its minor version, and packages."""


@functools.cache
def likeness() -> Likeness:
    """Of this process: what its machine was like when it first asked."""
    return _installed()


def is_unchanged() -> bool:
    """Whether processes that are started now compute as this one does: they have what is on the disk by then."""
    return _installed() == likeness()


def _installed() -> Likeness:
    found = {"evalsuite": f"code {_code()[:12]}", "Python": ".".join(platform.python_version_tuple()[:2])}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return Likeness(found)


def differences(wanted: Likeness, found: Likeness) -> list[str]:
    """What differs, in words; empty where nothing does.

    >>> differences(Likeness({"numpy": "2.1"}), Likeness({"numpy": "2.0"}))
    ['numpy 2.0 instead of 2.1']
    """
    return [
        f"{name} {found.versions.get(name, 'not installed')} instead of {value}"
        for name, value in wanted.versions.items()
        if found.versions.get(name) != value
    ]


def _code() -> str:
    """Digest of the suite's own code: a checkout has no version that tells one commit from the next."""
    folder = Path(evalsuite.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(f"{path.relative_to(folder)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()
