"""Clips for browsers: the frames that were handed over, converted only where browsers need it, and measured."""

from __future__ import annotations

import math
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import moving_frames

from evalsuite.errors import RequestError
from evalsuite.sources.reader import open_video
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Colour, Sequence, VideoFormat
from evalsuite.viewing.clips import NEAR_LOSSLESS, check_showable, write_clip, write_copy


def sequence(path: Path, format: VideoFormat, colour: Colour) -> Sequence:
    write_y4m(path, format, Fraction(25), moving_frames(format, 5), colour)
    return Sequence("made", "files", path, "", format, Fraction(25), 5, colour)


@pytest.mark.parametrize(("bit_depth", "chroma"), [(10, "420"), (8, "444"), (8, "422"), (12, "444"), (8, "400")])
def test_what_browsers_do_not_play_is_converted_and_measured(tmp_path, bit_depth, chroma):
    source = sequence(tmp_path / "s.y4m", VideoFormat(66, 50, bit_depth, chroma), Colour("bt709"))
    clip = write_clip(lambda: iter(open_video(source.path)), source, tmp_path / "c.webm", 60)
    assert clip.changed == f"{source.format.pixel_format} to yuv420p"
    shown = list(open_video(tmp_path / "c.webm"))
    assert open_video(tmp_path / "c.webm").format == VideoFormat(66, 50)
    scale = 1 << (bit_depth - 8)
    for frame, original in zip(shown, open_video(source.path), strict=True):
        # Nothing but the rounding to eight bits: half a step at most, or one where full scale is cut.
        assert np.abs(frame[0].astype(int) * scale - original[0].astype(int)).max() <= scale
    squares = np.mean(
        [
            (frame[0].astype(float) * scale - original[0]) ** 2
            for frame, original in zip(shown, open_video(source.path), strict=True)
        ]
    )
    peak = (1 << bit_depth) - 1
    expected = math.inf if squares == 0 else 10 * math.log10(peak**2 / squares)
    assert clip.psnr_y == pytest.approx(expected)
    assert clip.psnr_y > 50


def test_odd_sides_are_no_h264(tmp_path):
    source = sequence(tmp_path / "s.y4m", VideoFormat(65, 50), Colour("bt709"))
    check_showable(source)
    with pytest.raises(RequestError, match="odd sides"):
        check_showable(source, NEAR_LOSSLESS)
    assert write_clip(lambda: iter(open_video(source.path)), source, tmp_path / "c.webm", 60).psnr_y == math.inf


@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
@pytest.mark.parametrize("full_range", [False, True])
def test_clips_say_their_colour(tmp_path, matrix, full_range):
    source = sequence(tmp_path / "s.y4m", VideoFormat(64, 48), Colour(matrix, full_range))
    clip = write_clip(lambda: iter(open_video(source.path)), source, tmp_path / "c.webm", 60)
    assert clip.psnr_y == math.inf
    told = open_video(tmp_path / "c.webm").told
    assert (told.matrix, told.full_range) == (matrix, full_range)


def test_hdr_is_not_shown_in_a_browser(tmp_path):
    source = sequence(tmp_path / "s.y4m", VideoFormat(64, 48, 10), Colour("bt2020", transfer="pq"))
    with pytest.raises(RequestError, match="does not show this sequence"):
        check_showable(source)


def test_a_slow_decoder_does_not_use_up_the_encoders_time(tmp_path):
    source = sequence(tmp_path / "s.y4m", VideoFormat(64, 48), Colour("bt709"))

    def slow():
        for frame in open_video(source.path):
            time.sleep(0.7)
            yield frame

    write_copy(slow(), source, tmp_path / "c.mp4", 2.5)
    assert len(list(open_video(tmp_path / "c.mp4"))) == 5
