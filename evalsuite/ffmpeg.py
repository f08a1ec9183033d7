"""The one pinned FFmpeg: encoders, decoders, scaling and libvmaf are all those of the binary in imageio-ffmpeg."""

from __future__ import annotations

import functools
from pathlib import Path

from evalsuite.errors import AssetError

INSTALL = "pip install --force-reinstall imageio-ffmpeg==0.8.1"
"""Puts the one that results are defined by in the place of any other."""


@functools.cache
def ffmpeg_path() -> Path:
    """The FFmpeg binary that the package imageio-ffmpeg ships.

    Raises:
        AssetError: the package cannot be imported, or has no binary for this machine.
    """
    try:
        import imageio_ffmpeg
    except Exception as error:  # whatever a broken installation raises
        raise AssetError(
            "the package imageio-ffmpeg cannot be imported", got=f"{type(error).__name__}: {error}", fix=INSTALL
        ) from error

    # get_ffmpeg_exe would fall back to any ffmpeg on PATH: another version gives other bitstreams and scores.
    folder = Path(imageio_ffmpeg.__file__).parent / "binaries"
    found = sorted(folder.glob("ffmpeg-*"))
    if not found:
        raise AssetError(
            "the ffmpeg of imageio-ffmpeg is missing",
            where=folder,
            fix=f"install a wheel of imageio-ffmpeg that ships a binary: {INSTALL}",
        )
    return found[0]
