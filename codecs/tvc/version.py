"""Which tvc this is: version, and digests of code and weights. Whatever changes a bitstream or a frame changes them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import tvc

_DIGITS = 12


def identity() -> str:
    """One line, such as `tvc 0.1.0 code 0123456789ab weights cdef01234567`; `weights none` where they are missing."""
    here = Path(tvc.__file__).parent
    weights = here / "weights" / "tvc.safetensors"
    code = hashlib.sha256()
    for path in sorted(here.glob("*.py")):
        code.update(path.name.encode() + b"\0" + path.read_bytes())
    shipped = hashlib.sha256(weights.read_bytes()).hexdigest()[:_DIGITS] if weights.is_file() else "none"
    return f"tvc {tvc.__version__} code {code.hexdigest()[:_DIGITS]} weights {shipped}"
