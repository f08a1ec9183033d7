"""What the encoder does at each q by itself: by content, from the first slot."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from tvc_samples import moving, one_thread  # noqa: F401 (a fixture)

import tvc
from tvc.bitstream import Header, Reader
from tvc.content import LOOK_SCALE, is_textured, usual
from tvc.encoder import _usual
from tvc.model import TVC
from tvc.operating import MULTIPLIER, POINTS
from tvc.packing import Layout
from tvc.video import Format, Frame
from tvc.weights import load, model_hash


@pytest.fixture(scope="module")
def shipped() -> TVC:
    return load()


def _smooth(width: int, height: int, frames: int) -> list[Frame]:
    """Two slow waves that move."""
    y, x = np.mgrid[:height, :width]
    grey = np.full((height // 2, width // 2), 128, np.uint8)
    lumas = (128 + 60 * np.sin(3 * (x + 2 * i) / width) + 40 * np.cos(3 * y / height) for i in range(frames))
    return [(luma.round().astype(np.uint8), grey, grey) for luma in lumas]


def _header(clip: list[Frame], q: int, model: TVC) -> tuple[Header, set[int]]:
    reader = Reader(tvc.encode(clip, 25, q=q, model=model))
    return reader.header, {packet.point.q for _, packet in reader.packets()}


def _looks_textured(clip: list[Frame], model: TVC) -> bool:
    format = Format(clip[0][0].shape[1], clip[0][0].shape[0], Fraction(25))
    layout = Layout(format, model_hash(model), 1, _usual(format, LOOK_SCALE), MULTIPLIER, detail=False)
    return is_textured(clip[:4], layout, model)


@pytest.mark.parametrize("size", [(96, 64), (176, 144)])
def test_noise_is_texture_and_waves_are_not(shipped: TVC, size: tuple[int, int]) -> None:
    assert _looks_textured(moving(*size, 4), shipped)
    assert not _looks_textured(_smooth(*size, 4), shipped)


@pytest.mark.parametrize("textured", [False, True])
def test_the_first_slot_decides(shipped: TVC, textured: bool) -> None:
    clips = moving(96, 64, 8), _smooth(96, 64, 8)
    first, then = clips if textured else clips[::-1]
    header, used = _header(first[:4] + then[4:], 30, shipped)
    point, scale = usual(30, textured=textured)
    assert used == {point.q}
    assert header.coded == _usual(header.format, scale)


def test_a_scale_that_is_asked_for_leaves_the_point_to_q(shipped: TVC) -> None:
    for clip in (moving(64, 48, 4), _smooth(64, 48, 4)):
        reader = Reader(tvc.encode(clip, 25, q=30, scale=1.5, model=shipped))
        assert {packet.point.q for _, packet in reader.packets()} == {30}


@pytest.mark.parametrize("textured", [False, True])
def test_what_is_usual(textured: bool) -> None:
    points, scales = zip(*(usual(q, textured=textured) for q in range(64)), strict=True)
    assert (points[0], points[32], points[63]) == (POINTS[0], POINTS[32], POINTS[63])
    # No two are the same.
    assert len(set(zip(points, scales, strict=True))) == 64
    # Never more bits per token at a higher q, and with tokens alone never more tokens.
    assert all(one.q <= other.q for one, other in pairwise(points))
    alone = [scale for point, scale in zip(points, scales, strict=True) if point.step is None]
    assert all(one >= other for one, other in pairwise(alone))
    assert scales[32] == 1.75


def test_smooth_ground_has_latents_below_q_32() -> None:
    assert [usual(q, textured=False)[0].q for q in range(64)] == list(range(64))
    # An octave in 7 steps where latents begin, in 24 where they end, in 12 and then 48 without them.
    scales = {q: usual(q, textured=False)[1] for q in range(64)}
    assert scales[31] == 1.375
    assert scales[29] == pytest.approx(1.375 * 2 ** (2 / 7))
    assert {scales[q] for q in range(16, 29)} == {1.75}
    assert scales[0] == pytest.approx(1.75 * 2 ** (16 / 24))
    assert scales[44] == 1.75 / 2
    assert scales[56] == pytest.approx(scales[44] * 2 ** (-1 / 4))


def test_texture_has_larger_pictures_before_latents() -> None:
    points, scales = zip(*(usual(q, textured=True) for q in range(64)), strict=True)
    assert [point.q for point in points[24:33]] == [32] * 9
    assert points[23].q == 31
    # Many masks at once, then ever more, and from q 54 on as many as on smooth ground.
    numbers = [point.q for point in points[32:]]
    assert numbers[:4] == [32, 37, 42, 47]
    assert numbers[3 + 19 // 2] in {50, 51}
    assert numbers[54 - 32 :] == list(range(54, 64))
    assert scales[25] == pytest.approx(1.75 * 2 ** (7 / 14))
    assert set(scales[7:24]) == {2.2}
    assert scales[56] == 1.75 / 2
