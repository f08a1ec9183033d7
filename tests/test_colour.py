from __future__ import annotations

import numpy as np
import pytest
from conftest import moving_frames, run_ffmpeg
from numpy.typing import NDArray

from evalsuite.errors import MediaError
from evalsuite.sources.colour import from_rgb, is_convertible, to_rgb
from evalsuite.sources.tags import MATRICES
from evalsuite.sources.y4m import CHROMAS, DEPTHS, join_planes, split_planes
from evalsuite.types import Chroma, Colour, Frame, Matrix, VideoFormat

ZIMG = {"bt601": "170m", "bt709": "709", "bt2020": "2020_ncl"}
FFMPEG = {"bt601": "smpte170m", "bt709": "bt709", "bt2020": "bt2020nc"}


def _zimg_rgb(frame: Frame, format: VideoFormat, colour: Colour) -> NDArray[np.float64]:
    """The same conversion by zimg, as float planes in [0, 1]."""
    matrix, name = ZIMG[colour.matrix], FFMPEG[colour.matrix]
    span, scale = ("full", "pc") if colour.full_range else ("limited", "tv")
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


def _any_frame(format: VideoFormat) -> Frame:
    """Every code value, and every jump from one sample to the next."""
    rng, kind = np.random.default_rng(3), np.uint8 if format.bit_depth == 8 else np.uint16
    return tuple(rng.integers(0, 1 << format.bit_depth, shape).astype(kind) for shape in format.plane_shapes)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("chroma", CHROMAS)
def test_trap06_and_07_rgb_agrees_with_zimg_within_one_level(
    chroma: Chroma, depth: int, matrix: Matrix, full_range: bool
) -> None:
    colour = Colour(matrix, full_range)
    # More rows than are converted at a time, in one case of each; zimg wants even sides of 4:2:0.
    for width, height in ((50, 34), (64, 48)) if depth > 8 else ((50, 34), (640, 360)):
        format = VideoFormat(width, height, depth, chroma)
        frame = _any_frame(format)
        ours = to_rgb(frame, colour, depth)
        assert (ours.shape, ours.dtype) == ((3, height, width), np.float32)
        if chroma == "400":
            # zimg has no RGB of grey: the same without colour.
            format = VideoFormat(width, height, depth, "444")
            frame = (frame[0], *(np.full_like(frame[0], 1 << (depth - 1)) for _ in range(2)))
        # Exact but for the rounding of float32: hundreds of times closer than one level of 8 bit.
        assert np.abs(ours - _zimg_rgb(frame, format, colour)).max() * 255 < 0.01


def test_a_matrix_that_nothing_converts_is_refused_by_name() -> None:
    colour = Colour("bt2020c")
    assert not is_convertible(colour)
    with pytest.raises(MediaError, match="no conversion") as caught:
        to_rgb(_any_frame(VideoFormat(4, 4)), colour, 8)
    assert caught.value.got == "bt2020c"
    with pytest.raises(MediaError, match="no conversion"):
        from_rgb(np.zeros((3, 4, 4), np.float32), colour, 8)


def test_what_scores_are_stored_under() -> None:
    # As stored so far; what came later is added, and only what bears on scores.
    assert str(Colour("bt709")) == "bt709 limited"
    assert str(Colour("bt601", full_range=True)) == "bt601 full"
    assert str(Colour("bt2020", transfer="pq", primaries="bt2020")) == "bt2020 limited pq"
    assert str(Colour("bt2020", transfer="hlg")) == "bt2020 limited hlg"


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


@pytest.mark.parametrize("chroma", CHROMAS)
@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (1, 7), (6, 1), (2, 1), (1, 2), (301, 543)])
def test_odd_sizes_are_cut_from_even_ones(height: int, width: int, chroma: Chroma) -> None:
    # One more column and row of luma, and the same chroma: the pixels that both have are the same.
    frame = _any_frame(VideoFormat(width, height, 8, chroma))
    even = (np.pad(frame[0], ((0, height % 2), (0, width % 2)), mode="edge"), *frame[1:])
    if chroma in ("422", "444"):
        even = (even[0], *(np.pad(plane, ((0, height % 2), (0, 0)), mode="edge") for plane in frame[1:]))
    if chroma == "444":
        even = (even[0], *(np.pad(plane, ((0, 0), (0, width % 2)), mode="edge") for plane in even[1:]))
    rgb, whole = to_rgb(frame, Colour("bt709"), 8), to_rgb(even, Colour("bt709"), 8)
    assert rgb.shape == (3, height, width)
    np.testing.assert_array_equal(rgb, whole[:, :height, :width])


def _zimg_frame(rgb: NDArray[np.float32], format: VideoFormat, colour: Colour) -> Frame:
    """The inverse conversion by zimg, without dithering."""
    matrix = ZIMG[colour.matrix]
    span = "full" if colour.full_range else "limited"
    steps = (
        f"setparams=colorspace=gbr:range=pc,zscale=matrixin=gbr:rangein=full:matrix={matrix}:range={span}"
        f":chromal=left:filter=bilinear:dither=none,format={format.pixel_format}"
    )
    size = f"{format.width}x{format.height}"
    raw = run_ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", "gbrpf32le", "-s", size, "-i", "-"),
        *("-vf", steps, "-f", "rawvideo", "-pix_fmt", format.pixel_format, "-"),
        data=np.ascontiguousarray(rgb[[1, 2, 0]]).astype("<f4").tobytes(),
    )
    return split_planes(raw, format)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", MATRICES)
@pytest.mark.parametrize(("width", "height", "depth"), [(64, 48, 8), (50, 34, 8), (64, 48, 10)])
def test_trap06_and_07_rgb_to_planes_agrees_with_zimg_within_one_level(
    width: int, height: int, depth: int, matrix: Matrix, full_range: bool
) -> None:
    format, colour = VideoFormat(width, height, depth), Colour(matrix, full_range)
    rgb = np.random.default_rng(1).random((3, height, width)).astype(np.float32)
    for ours, theirs in zip(from_rgb(rgb, colour, depth), _zimg_frame(rgb, format, colour), strict=True):
        assert ours.dtype == theirs.dtype
        difference = np.abs(ours.astype(np.int64) - theirs)
        assert difference.max() <= 1
        # One level apart only where the two round the same value differently.
        assert (difference > 0).mean() < 0.01


@pytest.mark.parametrize(("height", "width"), [(1, 1), (3, 5), (1, 7), (6, 1), (8, 8)])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_primary_colours_become_the_code_values_of_the_standard(height: int, width: int, matrix: Matrix) -> None:
    # 8-bit code values of white, black, red and blue in limited range, by BT.601-7 and BT.709-6.
    table = {
        "bt601": {
            (1, 1, 1): (235, 128, 128),
            (0, 0, 0): (16, 128, 128),
            (1, 0, 0): (81, 90, 240),
            (0, 0, 1): (41, 240, 110),
        },
        "bt709": {
            (1, 1, 1): (235, 128, 128),
            (0, 0, 0): (16, 128, 128),
            (1, 0, 0): (63, 102, 240),
            (0, 0, 1): (32, 240, 118),
        },
    }
    for colour, codes in table[matrix].items():
        rgb = np.broadcast_to(np.array(colour, np.float32)[:, None, None], (3, height, width))
        luma, blue, red = from_rgb(rgb, Colour(matrix), 8)
        assert luma.shape == (height, width)
        assert blue.shape == red.shape == ((height + 1) // 2, (width + 1) // 2)
        assert (int(luma[0, 0]), int(blue[0, 0]), int(red[0, 0])) == codes
        assert all((plane == plane[0, 0]).all() for plane in (luma, blue, red))


def test_values_outside_the_cube_are_clipped_and_nan_is_black() -> None:
    rgb = np.stack([np.full((2, 2), value, np.float32) for value in (np.nan, -3.0, -0.5)])
    assert [int(plane[0, 0]) for plane in from_rgb(rgb, Colour("bt709"), 8)] == [16, 128, 128]
    assert int(from_rgb(np.full((3, 2, 2), 7, np.float32), Colour("bt709"), 10)[0][0, 0]) == 940
