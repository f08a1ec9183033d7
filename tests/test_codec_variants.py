"""The variants of the shipped codecs: real streams, judged by independent parsers and decoders."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import moving_frames
from sample_recipes import STANDARD, point, sequence_of
from sample_streams import DEMUXERS, decoded_frames, source_frames
from sample_streams import stream as usual_stream
from stream_order import coded_order, packets_after

from evalsuite import resources
from evalsuite.codec.bitstream import units
from evalsuite.codec.check import synthetic
from evalsuite.codec.recipe import load_recipe
from evalsuite.codec.run import Encoded, encode
from evalsuite.codec.taking import check_format
from evalsuite.codec.variants import SEPARATOR, declared
from evalsuite.errors import RequestError
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Colour, OperatingPoint, Sequence, VideoFormat

FRAMES = 20
PERIOD = 16
FORMAT = VideoFormat(96, 80)

LOW_DELAY = 34
"""Frames in low delay: the intra period of 32 is seen."""

TEN_BIT = tuple(name for name in STANDARD if name != "kvazaar")
"""kvazaar's library is built for 8 bit in the pinned FFmpeg."""

LATE = {"rav1e", "vvenc"}
"""Encoders whose libraries hold finished frames back even in low delay."""


def variants(name: str) -> list[str]:
    path, data = resources.load("codecs", name)
    return list(declared(data, path))


ALL = [f"{name}{SEPARATOR}{variant}" for name in STANDARD for variant in variants(name)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("variants")


@cache
def clip(folder: Path, frames: int = FRAMES, format: VideoFormat = FORMAT) -> Sequence:
    path = folder / f"clip{frames}-{format.width}-{format.bit_depth}.y4m"
    write_y4m(path, format, Fraction(25), moving_frames(format, frames), Colour("bt709"))
    return sequence_of(path, frames)


@cache
def stream(folder: Path, name: str, intra_period: int = PERIOD, frames: int = FRAMES) -> Encoded:
    recipe = load_recipe(name)
    path = folder / f"{name.replace(SEPARATOR, '-')}{intra_period}-{frames}.{recipe.extension}"
    return encode(recipe, clip(folder, frames), point(recipe, 1, intra_period), path, timeout=120)


def frame_facts(encoded: Encoded) -> list[tuple[bool, str, int, int]]:
    """Whether it is a key frame, pixel format, width and height of every frame, by PyAV."""
    with av.open(str(encoded.path), format=DEMUXERS[encoded.path.suffix[1:]]) as container:
        return [(frame.key_frame, frame.format.name, frame.width, frame.height) for frame in container.decode(video=0)]


def psnr(one: np.ndarray, other: np.ndarray, peak: int) -> float:
    return float(10 * np.log10(peak**2 / np.mean((one.astype(float) - other) ** 2)))


def test_every_codec_has_the_families_that_it_can_have() -> None:
    common = {"half", "quarter"}
    assert {name: set(variants(name)) - common - {"slow", "lowdelay"} for name in STANDARD} == {
        **{name: {"fast", "10bit"} for name in ("svtav1", "x264", "x265")},
        **{name: {"10bit"} for name in ("libaom", "rav1e", "vp9", "vvenc")},
        "kvazaar": {"fast"},
    }
    assert all({"slow", "lowdelay", *common} <= set(variants(name)) for name in STANDARD)


@pytest.mark.parametrize("name", ALL)
def test_every_variant_codes_what_it_is_given(name: str, folder: Path) -> None:
    recipe, sequence = load_recipe(name), clip(folder)
    encoded = stream(folder, name)
    distance = PERIOD + recipe.intra_periods.offset
    size = recipe.coded_format(sequence.format)
    pixels = "yuv420p10le" if recipe.internal_bit_depth == 10 else "yuv420p"
    facts = frame_facts(encoded)
    assert [key for key, *_ in facts] == [not index % distance for index in range(FRAMES)]
    assert {fact[1:] for fact in facts} == {(pixels, size.width, size.height)}
    # Trap 1: what is no video would count as rate.
    assert {unit.extra for unit in units(encoded.path, recipe.container, recipe.standard)} == {""}
    decoded = decoded_frames(recipe, encoded.path, sequence)
    assert len(decoded) == FRAMES
    for planes, wanted in zip(decoded, source_frames(sequence.path), strict=True):
        assert [(plane.shape, plane.dtype) for plane in planes] == [(plane.shape, plane.dtype) for plane in wanted]
    if recipe.scale is None:
        assert psnr(np.stack([planes[0] for planes in decoded]), luma(sequence), 255) > 25


def luma(sequence: Sequence) -> np.ndarray:
    return np.stack([planes[0] for planes in source_frames(sequence.path)])


@pytest.mark.parametrize("name", STANDARD)
def test_families_of_speed_differ_in_the_preset_alone(name: str) -> None:
    usual = load_recipe(name)
    for family in {"fast", "slow"} & set(variants(name)):
        other = load_recipe(f"{name}:{family}")
        assert other.preset != usual.preset
        changed = [(one, two) for one, two in zip(usual.encode, other.encode, strict=True) if one != two]
        (one, two) = changed[0]
        assert len(changed) == 1
        preset = usual.preset.split()[-1], other.preset.split()[-1]
        assert one.replace(preset[0], preset[1]) == two


@pytest.mark.parametrize("name", STANDARD)
def test_trap02_low_delay_codes_frames_in_the_order_they_are_shown(name: str, folder: Path) -> None:
    recipe = load_recipe(f"{name}:lowdelay")
    assert (recipe.structure, recipe.lookahead, recipe.delay) == ("low delay", 0, 0)
    for intra_period in (32, -1):
        encoded = stream(folder, recipe.name, intra_period, LOW_DELAY)
        assert coded_order(encoded.path) == ["up" if recipe.container == "annexb" else "shown"] * LOW_DELAY
        keys = [index for index, (key, *_) in enumerate(frame_facts(encoded)) if key]
        assert keys == [0, 32][: 2 if intra_period == 32 else 1]


@pytest.mark.parametrize("name", STANDARD)
def test_the_usual_structure_codes_frames_out_of_order(name: str) -> None:
    # So the test above would see it.
    assert {"down", "hidden", "again"} & set(coded_order(usual_stream(name).path))


@pytest.mark.parametrize("name", STANDARD)
def test_trap02_in_low_delay_nothing_depends_on_later_frames(name: str, folder: Path) -> None:
    # The first frames alone give the bytes that they give with more frames behind them. 9 and 17 are where encoders
    # with groups of 8 end one, and would look ahead from.
    recipe = load_recipe(f"{name}:lowdelay")
    head = 32 if recipe.container == "ivf" else 0  # IVF's file header has the number of frames
    whole = stream(folder, recipe.name, -1, LOW_DELAY).path.read_bytes()[head:]
    for frames in (9, 17):
        assert whole.startswith(stream(folder, recipe.name, -1, frames).path.read_bytes()[head:])


@pytest.mark.parametrize("name", sorted(set(STANDARD) - LATE))
def test_trap02_in_low_delay_a_frame_comes_out_before_the_next_goes_in(name: str, folder: Path) -> None:
    recipe = load_recipe(f"{name}:lowdelay")
    assert packets_after(recipe, clip(folder), point(recipe), 1, patience=60)


@pytest.mark.parametrize("name", sorted(set(STANDARD) - {"vp9"}))
def test_trap02_the_delay_is_what_the_encoder_waits_for(name: str, folder: Path) -> None:
    recipe = load_recipe(name)
    assert recipe.delay
    assert packets_after(recipe, clip(folder), point(recipe, 1, -1), recipe.delay + 1, patience=60)
    assert not packets_after(recipe, clip(folder), point(recipe, 1, -1), recipe.delay, patience=0.5)


@pytest.mark.parametrize("name", TEN_BIT)
def test_trap12_coding_8_bit_in_10_bit_loses_nothing(name: str, tmp_path: Path) -> None:
    sequence, found = synthetic(tmp_path / "soft.y4m"), []
    for recipe in (load_recipe(name), load_recipe(f"{name}:10bit")):
        encoded = encode(recipe, sequence, point(recipe, 0, -1), tmp_path / f"s.{recipe.extension}", timeout=60)
        decoded = decoded_frames(recipe, encoded.path, sequence)
        found.append(psnr(np.stack([planes[0] for planes in decoded]), luma(sequence), 255))
    # One bit too few would cost 6 dB; the encoders choose a little differently in 10 bit.
    assert found[1] > found[0] - 0.5


@pytest.mark.parametrize("name", TEN_BIT)
def test_trap12_10_bit_sequences_come_back_in_10_bit(name: str, folder: Path, tmp_path: Path) -> None:
    sequence, recipe = clip(folder, 10, replace(FORMAT, bit_depth=10)), load_recipe(f"{name}:10bit")
    stream = tmp_path / f"s.{recipe.extension}"
    encode(recipe, sequence, OperatingPoint(recipe.knob.ladder[0], -1, 1), stream, timeout=60)
    decoded = decoded_frames(recipe, stream, sequence)
    for planes, wanted in zip(decoded, source_frames(sequence.path), strict=True):
        assert [(plane.shape, plane.dtype) for plane in planes] == [(plane.shape, plane.dtype) for plane in wanted]
    # Samples of 10 bit: what came through 8 bit on the way would all be multiples of 4.
    assert {int(value) for value in np.unique(decoded[0][0] % 4)} == {0, 1, 2, 3}
    assert psnr(np.stack([planes[0] for planes in decoded]), luma(sequence), 1023) > 33
    with pytest.raises(RequestError, match="pixel format"):
        check_format(load_recipe(name), sequence)


@pytest.mark.parametrize(
    "name", ["svtav1:fast:lowdelay:10bit:half", "x264:slow:lowdelay:10bit:half", "kvazaar:half:fast"]
)
def test_variants_are_combined(name: str, folder: Path) -> None:
    recipe, sequence = load_recipe(name), clip(folder)
    assert set(recipe.name.split(SEPARATOR)) == set(name.split(SEPARATOR))
    encoded = stream(folder, recipe.name)
    pixels = "yuv420p10le" if "10bit" in name else "yuv420p"
    assert {fact[1:] for fact in frame_facts(encoded)} == {(pixels, 48, 40)}
    if "lowdelay" in name:
        assert set(coded_order(encoded.path)) <= {"up", "shown"}
    assert [planes[0].shape for planes in decoded_frames(recipe, encoded.path, sequence)] == [(80, 96)] * FRAMES


@pytest.mark.parametrize("name", STANDARD)
def test_speed_structure_depth_and_size_are_chosen_freely(name: str) -> None:
    groups = [[one for one in group if one in variants(name)] for group in (("fast", "slow"), ("half", "quarter"))]
    single = [[one] for one in ("lowdelay", "10bit") if one in variants(name)]
    digests = {
        load_recipe(SEPARATOR.join((name, *filter(None, chosen)))).recipe_sha256
        for chosen in itertools.product(*(["", *group] for group in [*groups, *single]))
    }
    assert len(digests) == np.prod([len(group) + 1 for group in [*groups, *single]])
    with pytest.raises(RequestError, match="exclude each other"):
        load_recipe(f"{name}:half:quarter")
