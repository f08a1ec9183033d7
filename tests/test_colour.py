from __future__ import annotations

import numpy as np
import pytest
from conftest import moving_frames, run_ffmpeg
from numpy.typing import NDArray

from evalsuite.sources.colour import to_rgb
from evalsuite.sources.y4m import join_planes
from evalsuite.types import Colour, Frame, Matrix, VideoFormat


def _zimg_rgb(frame: Frame, format: VideoFormat, colour: Colour) -> NDArray[np.float64]:
    """The same conversion by zimg, as float planes in [0, 1]."""
    matrix = {"bt601": "170m", "bt709": "709"}[colour.matrix]
    span = "full" if colour.full_range else "limited"
    name, scale = {"bt601": "smpte170m", "bt709": "bt709"}[colour.matrix], "pc" if colour.full_range else "tv"
    steps = (
        f"setparams=colorspace={name}:range={scale},"
        f"zscale=matrixin={matrix}:rangein={span}:chromalin=left:filter=bilinear:matrix=gbr:range=full,format=gbrpf32le"
    )
    size = f"{format.width}x{format.height}"
    raw = run_ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", format.pixel_format, "-s", size, "-i", "-"),
        *("-vf", steps, "-f", "rawvideo", "-pix_fmt", "gbrpf32le", "-"),
        data=join_planes(frame),
    )
    green, blue, red = np.frombuffer(raw, "<f4").reshape(3, format.height, format.width)
    return np.clip(np.stack([red, green, blue]), 0, 1).astype(np.float64)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize(("width", "height", "depth"), [(64, 48, 8), (50, 34, 8), (64, 48, 10)])
def test_trap06_and_07_rgb_agrees_with_zimg_within_one_level(
    width: int, height: int, depth: int, matrix: Matrix, full_range: bool
) -> None:
    format, colour = VideoFormat(width, height, depth), Colour(matrix, full_range)
    frame = next(moving_frames(format, 1))
    ours = to_rgb(frame, colour, depth)
    assert ours.shape == (3, height, width)
    difference = np.abs(ours - _zimg_rgb(frame, format, colour)) * 255
    assert difference.max() < 1


def test_the_wrong_matrix_is_far_off() -> None:
    format = VideoFormat(64, 48)
    frame = next(moving_frames(format, 1))
    right, wrong = (to_rgb(frame, Colour(matrix), 8) for matrix in ("bt709", "bt601"))
    assert 20 * np.log10(1 / np.sqrt(np.mean((right - wrong) ** 2))) < 35


def test_grey_black_and_white_are_what_the_standard_says() -> None:
    def solid(value: int) -> Frame:
        return np.full((4, 4), value, np.uint8), np.full((2, 2), 128, np.uint8), np.full((2, 2), 128, np.uint8)

    for matrix in ("bt601", "bt709"):
        np.testing.assert_allclose(to_rgb(solid(16), Colour(matrix), 8), 0, atol=1e-6)
        np.testing.assert_allclose(to_rgb(solid(235), Colour(matrix), 8), 1, atol=1e-6)
        np.testing.assert_allclose(to_rgb(solid(255), Colour(matrix, full_range=True), 8), 1, atol=1e-6)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (1, 7), (6, 1)])
def test_odd_sizes_keep_every_pixel(height: int, width: int) -> None:
    frame = next(moving_frames(VideoFormat(width, height), 1))
    rgb = to_rgb(frame, Colour("bt709"), 8)
    assert rgb.shape == (3, height, width)
    assert np.isfinite(rgb).all()
