"""Frames coded at a part of their size: what is coded, what comes back, and what happens when something fails."""

from __future__ import annotations

import resource
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import make_clip, run_ffmpeg
from numpy.typing import NDArray
from sample_recipes import point, scaled_recipe, sequence_of
from sample_streams import decoded_frames, source_frames

from evalsuite.codec.decoder import decode
from evalsuite.codec.recipe import load_recipe
from evalsuite.codec.run import encode
from evalsuite.codec.scaling import Scale
from evalsuite.sources.y4m import CHROMAS, Y4MReader, write_y4m
from evalsuite.types import Chroma, Colour, OperatingPoint, Plane, Sequence, VideoFormat

BORDER = 8
"""Samples at the edges that are left out where filters are compared: each goes on beyond the picture in its own way."""


@pytest.mark.parametrize(
    ("full", "divisor", "small"),
    [
        ((640, 360), 2, (320, 180)),
        ((101, 67), 2, (51, 34)),
        ((101, 67), 3, (34, 22)),
        ((101, 67), 8, (13, 8)),
        ((99, 66), 4, (25, 17)),
        ((1, 3), 8, (1, 1)),
    ],
)
def test_sides_are_divided_and_rounded_half_up(full: tuple[int, int], divisor: int, small: tuple[int, int]) -> None:
    assert Scale(divisor, "lanczos").format(VideoFormat(*full, 10)) == VideoFormat(*small, 10)


@pytest.mark.parametrize(
    ("size", "divisor", "bit_depth"),
    [((101, 67), 2, 8), ((101, 67), 2, 10), ((64, 48), 2, 8), ((33, 18), 3, 8), ((57, 63), 8, 8), ((1, 1), 2, 8)],
)
def test_any_size_is_coded_small_and_comes_back_whole(
    size: tuple[int, int], divisor: int, bit_depth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = scaled_recipe(monkeypatch, tmp_path, scale=f"{{divisor = {divisor}}}")
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", *size, 5, bit_depth=bit_depth), 5)
    encoded = encode(recipe, sequence, point(recipe), tmp_path / "out" / "s.bin")
    coded = Y4MReader(encoded.path)
    assert coded.format == Scale(divisor, "").format(sequence.format)
    assert coded.frame_rate == sequence.frame_rate
    assert len(list(coded)) == 5
    decoded = decoded_frames(recipe, encoded.path, sequence)
    assert len(decoded) == 5
    for source, back in zip(source_frames(sequence.path), decoded, strict=True):
        assert [(plane.shape, plane.dtype) for plane in back] == [(plane.shape, plane.dtype) for plane in source]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["s.bin"]


def by_swscale(plane: Plane, shape: tuple[int, ...], filter: str) -> NDArray[np.int64]:
    """The same by another implementation: FFmpeg's own scaler in PyAV's build."""
    frame = av.VideoFrame.from_ndarray(
        np.ascontiguousarray(plane), format="gray" if plane.itemsize == 1 else "gray10le"
    )
    return frame.reformat(width=shape[1], height=shape[0], interpolation=filter).to_ndarray().astype(np.int64)


@pytest.mark.parametrize(("bit_depth", "tolerance"), [(8, 1), (10, 2)])
@pytest.mark.parametrize("size", [(101, 67), (128, 96)])
@pytest.mark.parametrize(("filter", "theirs"), [("lanczos", "LANCZOS"), ("bilinear", "BILINEAR")])
def test_both_ways_agree_with_another_scaler(
    filter: str,
    theirs: str,
    size: tuple[int, int],
    bit_depth: int,
    tolerance: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    recipe = scaled_recipe(monkeypatch, tmp_path, scale=f'{{divisor = 2, filter = "{filter}"}}')
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", *size, 3, bit_depth=bit_depth), 3)
    encoded = encode(recipe, sequence, point(recipe), tmp_path / "s.bin")
    source, small = source_frames(sequence.path), list(Y4MReader(encoded.path))
    back = decoded_frames(recipe, encoded.path, sequence)
    for before, after in ((source, small), (small, back)):
        for ours, others in zip(before, after, strict=True):
            for plane, scaled in zip(ours, others, strict=True):
                difference = np.abs(by_swscale(plane, scaled.shape, theirs) - scaled)
                assert difference[BORDER:-BORDER, BORDER:-BORDER].max() <= tolerance


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("chroma", CHROMAS)
def test_every_code_value_survives_whatever_range_the_file_claims(
    chroma: Chroma, full_range: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    format, colour = VideoFormat(50, 34, 8, chroma), Colour("bt709", full_range)
    shapes = format.plane_shapes
    levels = [(level, 255 - level, level * 3 % 256)[: len(shapes)] for level in range(256)]
    frames = (
        tuple(np.full(shape, value, np.uint8) for shape, value in zip(shapes, frame, strict=True)) for frame in levels
    )
    path = tmp_path / "levels.y4m"
    write_y4m(path, format, Fraction(25), frames, colour)
    recipe = scaled_recipe(monkeypatch, tmp_path)
    sequence = Sequence("levels", "test", path, "", format, Fraction(25), 256, colour)
    encoded = encode(recipe, sequence, point(recipe), tmp_path / "s.bin")
    assert Y4MReader(encoded.path).told.full_range is full_range
    for values, planes in zip(levels, decoded_frames(recipe, encoded.path, sequence), strict=True):
        for value, plane in zip(values, planes, strict=True):
            assert (plane == value).all()


def test_a_ramp_survives_away_from_the_borders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, columns = np.mgrid[:80, :96]
    ramp = (10 + columns + rows).astype(np.uint8)
    chroma = (50 + 2 * columns[:40, :48]).astype(np.uint8)
    path = tmp_path / "ramp.y4m"
    write_y4m(path, VideoFormat(96, 80), Fraction(25), [(ramp, chroma, 255 - chroma)])
    sequence = sequence_of(path, 1)
    recipe = scaled_recipe(monkeypatch, tmp_path)
    encoded = encode(recipe, sequence, point(recipe), tmp_path / "s.bin")
    (small,) = Y4MReader(encoded.path)
    # Sample j of the small picture lies between samples 2j and 2j + 1: its value is the mean of theirs.
    wanted = (ramp[0::2, 0::2].astype(int) + ramp[1::2, 1::2]) // 2
    assert np.abs(small[0] - wanted)[BORDER:-BORDER, BORDER:-BORDER].max() <= 1
    (back,) = decoded_frames(recipe, encoded.path, sequence)
    for plane, source in zip(back, (ramp, chroma, 255 - chroma), strict=True):
        assert np.abs(plane.astype(int) - source)[BORDER:-BORDER, BORDER:-BORDER].max() <= 1


def test_scaled_frames_are_padded_for_the_encoder_and_cropped_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = scaled_recipe(monkeypatch, tmp_path, size_multiple=16)
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 70, 50, 2), 2)
    encoded = encode(recipe, sequence, point(recipe), tmp_path / "s.bin")
    assert Y4MReader(encoded.path).format == VideoFormat(48, 32)
    (tmp_path / "plain").mkdir()
    plain = scaled_recipe(monkeypatch, tmp_path / "plain")
    unpadded = encode(plain, sequence, point(plain), tmp_path / "u.bin")
    for padded, wanted in zip(
        decoded_frames(recipe, encoded.path, sequence), decoded_frames(plain, unpadded.path, sequence), strict=True
    ):
        assert all(np.array_equal(a, b) for a, b in zip(padded, wanted, strict=True))


def test_raw_output_is_read_at_the_small_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = scaled_recipe(monkeypatch, tmp_path)
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 64, 48, 3), 3)
    encoded = encode(recipe, sequence, point(recipe), tmp_path / "s.bin")
    wanted = decoded_frames(recipe, encoded.path, sequence)
    raw = tmp_path / "small.yuv"
    raw.write_bytes(run_ffmpeg("-i", encoded.path, "-f", "rawvideo", "-"))
    recipe.path.write_text(recipe.path.read_text().replace('decoded = "y4m"', 'decoded = "raw"'))
    for ours, theirs in zip(decoded_frames(load_recipe(str(recipe.path)), raw, sequence), wanted, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_x265_half_takes_far_fewer_bytes_and_scores_at_full_size(tmp_path: Path) -> None:
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 175, 143, 8), 8)
    half, whole = load_recipe("x265:half"), load_recipe("x265")
    at = OperatingPoint(30, 32, 1)
    small = encode(half, sequence, at, tmp_path / "half.h265", timeout=60)
    large = encode(whole, sequence, at, tmp_path / "whole.h265", timeout=60)
    assert small.payload_bytes < 0.6 * large.payload_bytes
    with av.open(str(small.path), format="hevc") as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (88, 72)
    for source, decoded in zip(source_frames(sequence.path), decoded_frames(half, small.path, sequence), strict=True):
        assert [plane.shape for plane in decoded] == [plane.shape for plane in source]
        assert 10 * np.log10(255**2 / np.mean((source[0].astype(float) - decoded[0]) ** 2)) > 18


def test_scaling_is_part_of_what_encoding_and_decoding_cost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = scaled_recipe(monkeypatch, tmp_path)
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 320, 240, 30), 30)

    def children() -> float:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    start = children()
    encoded = encode(recipe, sequence, point(recipe), tmp_path / "s.bin")
    middle = children()
    with decode(recipe, encoded.path, sequence, point(recipe)) as decoder:
        assert len(list(decoder)) == 30
    assert decoder.usage is not None
    # Nothing but the two programs was run: the kernel's own count of all children is the sum.
    assert encoded.usage.cpu_s == pytest.approx(middle - start, abs=0.005)
    assert decoder.usage.cpu_s == pytest.approx(children() - middle, abs=0.005)
