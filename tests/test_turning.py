"""Videos that are shown on their side, as phones write them: held to what FFmpeg's own conversion makes of them."""

from __future__ import annotations

import itertools
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import moving_frames, run_ffmpeg

from evalsuite.errors import MediaError
from evalsuite.sources.reader import open_video
from evalsuite.sources.y4m import Y4MReader, write_y4m
from evalsuite.types import VideoFormat

MIRRORS = ((), ("-display_hflip",), ("-display_vflip",), ("-display_hflip", "-display_vflip"))


def shown(folder: Path, *how: str, format: VideoFormat = VideoFormat(48, 20)) -> Path:  # noqa: B008 - frozen
    """Four frames that are told to be shown so."""
    plain, stored, turned = folder / "plain.y4m", folder / "stored.mp4", folder / "turned.mp4"
    write_y4m(plain, format, Fraction(25), itertools.islice(moving_frames(format, 4), 4))
    run_ffmpeg("-y", "-i", plain, "-c:v", "libx264", "-qp", "0", stored)
    run_ffmpeg("-y", *how, "-i", stored, "-c", "copy", turned)
    return turned


@pytest.mark.parametrize("chroma", ["420", "444", "400"])
@pytest.mark.parametrize("mirrored", MIRRORS, ids="".join)
@pytest.mark.parametrize("degrees", ["0", "90", "180", "-90"])
def test_frames_are_those_that_ffmpeg_shows(
    tmp_path: Path, degrees: str, mirrored: tuple[str, ...], chroma: str
) -> None:
    path = shown(tmp_path, "-display_rotation", degrees, *mirrored, format=VideoFormat(48, 20, 8, chroma))
    run_ffmpeg("-y", "-i", path, tmp_path / "theirs.y4m")
    ours, theirs = open_video(path), Y4MReader(tmp_path / "theirs.y4m")
    assert ours.format == theirs.format
    assert (ours.format.width, ours.format.height) == ((20, 48) if degrees.endswith("90") else (48, 20))
    for mine, other in zip(ours, theirs, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(mine, other, strict=True))


@pytest.mark.parametrize(
    ("degrees", "chroma", "said"), [("30", "420", "30.0 degrees"), ("90", "422", "which 4:2:2 cannot be")]
)
def test_what_cannot_be_turned_is_refused(tmp_path: Path, degrees: str, chroma: str, said: str) -> None:
    path = shown(tmp_path, "-display_rotation", degrees, format=VideoFormat(48, 20, 8, chroma))
    with pytest.raises(MediaError) as caught:
        open_video(path)
    assert said in str(caught.value)
