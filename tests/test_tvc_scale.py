"""Frames that tvc codes at another size than their own."""

from __future__ import annotations

import zlib
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from tvc_golden import TINY_WEIGHTS
from tvc_samples import moving, one_thread, tiny_weights  # noqa: F401 (a fixture)
from typer.testing import CliRunner

import tvc
from tvc.analysis import Analysis
from tvc.bitstream import Header, Reader, varint
from tvc.cli import app
from tvc.content import usual
from tvc.decoder import decode_tokens
from tvc.encoder import _usual
from tvc.operating import MULTIPLIER
from tvc.resampling import resized
from tvc.video import Format, write_y4m


@pytest.mark.parametrize("size", [(20, 28), (37, 40), (64, 90), (32, 48)])
def test_resizing_is_pillows_antialiased_bicubic(size):
    rng = np.random.default_rng(0)
    shapes = ((32, 48), (16, 24), (16, 24))
    planes = tuple(torch.from_numpy(rng.normal(0, 1, (1, 2, *shape)).astype(np.float32)) for shape in shapes)
    half = -(-size[0] // 2), -(-size[1] // 2)
    for before, after, (height, width) in zip(planes, resized(planes, *size), (size, half, half), strict=True):
        assert after.shape == (1, 2, height, width)
        for frame in range(2):
            # Pillow samples beyond the edge as torch does: the filter is cut and its weights are made to sum to one.
            image = Image.fromarray(before[0, frame].numpy()).resize((width, height), Image.Resampling.BICUBIC)
            assert np.allclose(after[0, frame].numpy(), np.asarray(image), atol=2e-5)


@pytest.mark.parametrize(
    ("width", "height", "asked", "rows", "columns"),
    [(176, 144, 1.25, 11, 14), (176, 144, 0.5, 4, 6), (16, 16, 0.25, 1, 1), (33, 17, 4, 4, 8), (8, 8, 2, 1, 1)],
)
def test_tokens_cover_the_coded_size(model, width, height, asked, rows, columns):
    data = tvc.encode(moving(width, height, 5), 25, q=40, scale=asked, model=model)
    header = Reader(data).header
    assert (header.coded, header.tokens) == ((rows, columns), (rows, columns))
    facts = tvc.stats(data, model=model)
    assert (facts["width"], facts["height"]) == (width, height)
    assert (facts["coded_width"], facts["coded_height"]) == (16 * columns, 16 * rows)
    assert facts["tokens"] == 2 * rows * columns


def test_scale_1_is_no_resizing(model):
    data = tvc.encode(moving(33, 17, 5), 25, q=32, scale=1, model=model)
    assert Reader(data).header.coded is None
    assert Reader(data).header.tokens == (2, 3)


def test_tokens_are_those_of_the_resized_frames(model):
    clip = moving(64, 48, 8)
    data = tvc.encode(clip, 25, q=32, scale=1.5, detail=False, model=model)
    codes = [slot.codes for packet in decode_tokens(Reader(data), model) for slot in packet.slots]
    state = decoding = None
    shown = []
    for first, sent in zip((0, 4), codes, strict=True):
        stacks = [np.stack([frame[i] for frame in clip[first : first + 4]]) for i in range(3)]
        planes = [(torch.from_numpy(stack)[None].float() - 128) / 128 for stack in stacks]
        places, _, state = model.place_slot(resized(tuple(planes), 64, 96), state)
        # A code costs 16 bits at most.
        assert bool(((sent - places) ** 2 <= 0.25 + 16 * MULTIPLIER).all())
        assert float((sent == places.round()).float().mean()) > 0.5
        decoded, decoding = model.decode_slot(sent, None, None, decoding)
        shown.append(resized(decoded, 48, 64))
    frames = list(tvc.decode(data, model=model))
    for plane in range(3):
        expected = torch.cat([slot[plane][0] for slot in shown]) * 128 + 128
        got = np.stack([frame[plane] for frame in frames])
        assert np.array_equal(got, expected.round().clamp(0, 255).numpy())


@settings(max_examples=15, deadline=None)
@given(
    st.integers(1, 70), st.integers(1, 70), st.integers(1, 9), st.floats(0.25, 4), st.sampled_from([0, 20, 32, 44, 63])
)
def test_any_size_comes_back_at_any_scale(model, width, height, frames, asked, q):
    data = tvc.encode(moving(width, height, frames), 25, q=q, scale=asked, model=model)
    decoded = list(tvc.decode(data, model=model))
    shapes = Format(width, height, Fraction(25)).shapes
    assert [[plane.shape for plane in frame] for frame in decoded] == [list(shapes)] * frames


@pytest.mark.parametrize("q", [9, 16, 20, 31])
def test_points_with_latents_have_the_tokens_of_their_scale(model, q):
    clip = moving(64, 48, 12)
    data = tvc.encode(clip, 25, q=q, model=model)
    header = Reader(data).header
    sizes = {_usual(header.format, scale): scale for _, scale in (usual(q, textured=one) for one in (False, True))}
    tokens = tvc.encode(clip, 25, q=32, scale=sizes[header.coded], model=model)
    assert tvc.thin(data, model=model) == tokens


@pytest.mark.parametrize("asked", [0, 0.2, 4.1, -1, float("nan"), float("inf")])
def test_other_scales_are_refused(model, asked):
    with pytest.raises(tvc.RequestError, match="not coded at such a size"):
        tvc.encode(moving(16, 16, 4), 25, q=32, scale=asked, model=model)


def test_wide_frames_that_became_high_are_refused():
    # Areas of 2**18 and 2**23 samples, but 2**33 while they are resized.
    data = Header(Format(16384, 16, Fraction(25)), 8, bytes(8), (32768, 1)).to_bytes()
    with pytest.raises(tvc.BitstreamError, match="no encoder writes"):
        Reader(data)


def test_frames_are_not_coded_larger_than_tvc_codes(model):
    # 4096 x 2048 samples are the most.
    black = tuple(np.zeros(shape, np.uint8) for shape in ((4096, 2048), (2048, 1024), (2048, 1024)))
    with pytest.raises(tvc.RequestError, match="larger at this scale than tvc codes"):
        tvc.encode([black], 25, q=63, scale=1.25, model=model)
    smaller = Reader(tvc.encode([black], 25, q=63, scale=0.25, model=model)).header
    assert smaller.coded == (64, 32)


@pytest.mark.parametrize("textured", [False, True])
@pytest.mark.parametrize(("width", "height"), [(4096, 2048), (2560, 1440), (2048, 1152), (3840, 2160), (1918, 1078)])
def test_the_usual_scale_ends_where_frames_become_too_large(width, height, textured):
    format = Format(width, height, Fraction(25))
    points, scales = zip(*(usual(q, textured=textured) for q in range(64)), strict=True)
    sizes = [_usual(format, scale) for scale in scales]
    areas = [256 * rows * columns for rows, columns in sizes]
    assert max(areas) <= 1 << 23
    # With latents and without, never more tokens at a higher q, but for the rounding of one row and one column where
    # the largest size begins.
    first = next(q for q in range(64) if points[q].step is None)
    for part in (areas[:first], areas[first:]):
        assert all(after <= before + 16 * (width + height) * 1.5 for before, after in pairwise(part))
    assert areas[0] > 0.98 * min(1 << 23, width * height * scales[0] ** 2)


@pytest.mark.parametrize("arguments", [["--q", "40"], ["--bpp", "0.1"], ["--kbps", "30"]])
def test_the_command_takes_a_scale(tmp_path, arguments):
    with (tmp_path / "in.y4m").open("wb") as stream:
        write_y4m(stream, Format(64, 48, Fraction(25)), moving(64, 48, 8))
    command = [*arguments, "--scale", "2", "--weights", str(TINY_WEIGHTS), "--packet-slots", "1"]
    done = CliRunner().invoke(app, ["encode", str(tmp_path / "in.y4m"), str(tmp_path / "out.tvc"), *command])
    assert done.exit_code == 0, done.output
    assert Reader((tmp_path / "out.tvc").read_bytes()).header.coded == (6, 8)
    done = CliRunner().invoke(app, ["encode", str(tmp_path / "in.y4m"), str(tmp_path / "out.tvc"), "--scale", "9"])
    assert done.exit_code == 2
    assert "not coded at such a size" in done.output


def test_bpp_analyses_each_coded_size_once(model, monkeypatch):
    asked = []

    class Counted(Analysis):
        def __init__(self, frames, format, model, intra_period, coded=None):
            asked.append(coded)
            super().__init__(frames, format, model, intra_period, coded)

    monkeypatch.setattr("tvc.encoder.Analysis", Counted)
    clip = moving(96, 80, 4)
    for bpp in (1e-4, 0.05, 50.0):
        asked.clear()
        tvc.encode(clip, 25, bpp=bpp, model=model)
        assert 1 <= len(asked) == len(set(asked)) <= 6
    asked.clear()
    # Frames that can be taken once are enough for one size.
    tvc.encode(iter(clip), 25, bpp=0.05, scale=1.5, model=model)
    assert asked == [(8, 9)]


@pytest.mark.parametrize("bpp", [0.02, 0.2, 1.0])
def test_trap29_bpp_at_one_scale_is_found_too(model, bpp):
    clip = moving(64, 48, 4)
    sizes = [len(tvc.encode(clip, 25, q=q, scale=2, model=model)) for q in range(0, 64, 3)]
    data = tvc.encode(clip, 25, bpp=bpp, scale=2, model=model)
    target = bpp * 64 * 48 * 4 / 8
    assert Reader(data).header.coded == (6, 8)
    assert abs(np.log(len(data) / target)) <= min(abs(np.log(size / target)) for size in sizes)


@pytest.mark.parametrize(
    ("coded", "message"),
    [
        ((0, 4), "no encoder writes"),
        ((4, 0), "no encoder writes"),
        ((13, 4), "no encoder writes"),
        ((3, 17), "no encoder writes"),
        ((1 << 20, 1 << 20), "larger than tvc codes"),
    ],
)
def test_hostile_coded_sizes_are_refused(coded, message):
    # 48 rows and 64 columns at 0.25 to 4: 1 to 12 and 1 to 16 tokens.
    data = Header(Format(64, 48, Fraction(25)), 8, bytes(8), coded).to_bytes()
    with pytest.raises(tvc.BitstreamError, match=message):
        Reader(data)


def test_a_packet_of_another_coded_size_does_not_pass(model):
    clip = moving(64, 48, 8)
    one, other = (tvc.encode(clip, 25, q=32, scale=s, model=model) for s in (1.0, 1.01))
    head, wrong = (Reader(data).header for data in (one, other))
    assert head.tokens == wrong.tokens
    body = one[len(head.to_bytes()) : -5]
    spliced = (
        wrong.to_bytes() + body + zlib.crc32(varint(0), zlib.crc32(wrong.to_bytes())).to_bytes(4, "little") + b"\0"
    )
    with pytest.raises(tvc.BitstreamError, match="do not match its checksum"):
        list(tvc.decode(spliced, model=model))
