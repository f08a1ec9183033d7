"""The one pinned FFmpeg: encoders, decoders, scaling and libvmaf are all those of the binary in imageio-ffmpeg."""

from __future__ import annotations

import functools
from pathlib import Path

from evalsuite.errors import AssetError


@functools.cache
def ffmpeg_path() -> Path:
    """The FFmpeg binary that the package imageio-ffmpeg ships.

    Raises:
        AssetError: the package has no binary for this machine.
    """
    import imageio_ffmpeg

    # get_ffmpeg_exe would fall back to any ffmpeg on PATH: another version gives other bitstreams and scores.
    folder = Path(imageio_ffmpeg.__file__).parent / "binaries"
    found = sorted(folder.glob("ffmpeg-*"))
    if not found:
        raise AssetError(
            "the ffmpeg of imageio-ffmpeg is missing",
            where=folder,
            fix="install a wheel of imageio-ffmpeg that ships a binary: pip install --force-reinstall imageio-ffmpeg",
        )
    return found[0]
