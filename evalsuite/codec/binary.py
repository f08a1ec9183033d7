"""Programs and files that recipes use: where they are, and which exact build they are.

`ffmpeg` is always the pinned one that imageio-ffmpeg ships, never one on PATH.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from evalsuite.errors import AssetError, ProcessError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.files import sha256_of

PINNED = "ffmpeg"


_LEVELS_ABOVE = 6
"""How far above a program its files may be: reference encoders are built five folders deep."""


def variable_of(name: str) -> str:
    """The environment variable that says where a program, or the installation of a codec, is.

    >>> variable_of("TAppEncoderStatic"), variable_of("vtm")
    ('EVALSUITE_TAPPENCODERSTATIC', 'EVALSUITE_VTM')
    """
    return f"EVALSUITE_{re.sub(r'[^A-Z0-9]', '_', name.upper())}"


def home_of(name: str) -> Path | None:
    """The folder of an installation, where its environment variable names one."""
    chosen = os.environ.get(variable_of(name), "").strip() if name else ""
    return Path(chosen).absolute() if chosen else None


def locate(program: str, home: str = "", obtain: str = "") -> Path:
    """Where a program is: the pinned FFmpeg, its environment variable, its home, PATH, or beside this Python.

    Args:
        program: its name.
        home: name of the installation it belongs to, whose variable names a folder; looked into before PATH.
        obtain: where it comes from.

    Raises:
        AssetError: the pinned FFmpeg is missing.
        ProcessError: the program is not there or cannot be executed.
    """
    if program == PINNED:
        return ffmpeg_path()
    variable = variable_of(program)
    chosen = os.environ.get(variable, "").strip()
    folder = home_of(home)
    if chosen or folder is None:
        # A program that came with this installation stands beside its Python, whether or not that folder is on PATH.
        places = [os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)]
    else:
        places = [str(folder / "bin"), str(folder)]
    found = shutil.which(chosen or program, path=os.pathsep.join(places))
    if found is None:
        how = f"set {variable_of(home)} to its folder" if home else f"set {variable} to its path"
        fix = f"{obtain or 'install it'}, and put it on PATH or {how}"
        where = "PATH"
        if chosen or folder:
            # PATH is not looked into once the user has said where it is.
            where = f"{variable}={chosen}" if chosen else f"{variable_of(home)}={folder}"
            fix = f"correct or unset the variable; or {obtain or 'install the program'}"
        raise ProcessError(
            f"the program {program} is not on this machine", where=where, expected="an executable file", fix=fix
        )
    return Path(found).absolute()


def homes(home: str, program: Path) -> list[Path]:
    """The folders that a program's files may be in: its home where that is given, else those above the program."""
    folder = home_of(home)
    return [folder] if folder else list(program.resolve().parents)[:_LEVELS_ABOVE]


def locate_file(path: str, folders: Iterable[Path], home: str, obtain: str) -> Path:
    """The first of the folders that has the file.

    Raises:
        AssetError: none has it.
    """
    folders = list(folders)
    for folder in folders:
        if (found := folder / path).is_file():
            return found.absolute()
    how = f"set {variable_of(home)} to the folder that has it" if home else "put it beside the recipe"
    raise AssetError(
        f"the file {path} is not on this machine",
        where=", ".join(map(str, folders)),
        expected="a file that the codec reads",
        fix=f"{how}; {obtain}" if obtain else how,
    )


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
