"""Programs that recipes run: where they are, and which exact build they are.

`ffmpeg` is always the pinned one that imageio-ffmpeg ships, never one on PATH.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from evalsuite.errors import ProcessError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.files import sha256_of

PINNED = "ffmpeg"


def variable_of(program: str) -> str:
    """The environment variable that says where a program is.

    >>> variable_of("TAppEncoderStatic")
    'EVALSUITE_TAPPENCODERSTATIC'
    """
    return f"EVALSUITE_{re.sub(r'[^A-Z0-9]', '_', program.upper())}"


def locate(program: str) -> Path:
    """Where a program is: the pinned FFmpeg, the program's environment variable, PATH, or beside this Python.

    Raises:
        AssetError: the pinned FFmpeg is missing.
        ProcessError: the program is not there or cannot be executed.
    """
    if program == PINNED:
        return ffmpeg_path()
    variable = variable_of(program)
    chosen = os.environ.get(variable, "").strip()
    # A program that came with this installation stands beside its Python, whether or not that folder is on PATH.
    beside = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    found = shutil.which(chosen or program, path=beside)
    if found is None:
        raise ProcessError(
            f"the program {program} is not on this machine",
            where=f"{variable}={chosen}" if chosen else "PATH",
            expected="an executable file",
            fix=f"install it, and put it on PATH or set {variable} to its path",
        )
    return Path(found).absolute()


def digest(path: Path) -> str:
    """The sha256 of a program in hex, remembered between runs: the pinned FFmpeg has 170 MB.

    Raises:
        ProcessError: the program cannot be read.
    """
    # Imported here because it brings a download stack along that loading a recipe does not need.
    from evalsuite.assets import cache_dir

    try:
        status = path.stat()
        key = f"{path}\0{status.st_size}\0{status.st_mtime_ns}\0{status.st_ino}"
        note = cache_dir() / "programs" / hashlib.sha256(os.fsencode(key)).hexdigest()
        with suppress(OSError, UnicodeDecodeError):
            if re.fullmatch(r"[0-9a-f]{64}", known := note.read_text(encoding="ascii")):
                return known
        found = sha256_of(path)
    except OSError as error:
        raise ProcessError(f"the program cannot be read: {error.strerror}", where=path) from error
    # A cache that cannot be written costs time, not the run.
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=note.parent, encoding="ascii", delete=False) as stream:
            stream.write(found)
        Path(stream.name).replace(note)
    return found
