"""Tokenizers in TorchScript as codecs."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import moving_frames
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sample_recipes import sequence_of
from sample_tokenizers import LEVELS, make

from evalsuite.codec.decoder import decode
from evalsuite.codec.hostpool import close_hosts
from evalsuite.codec.plugin import Job, frames_sha256
from evalsuite.codec.recipe import load_recipe
from evalsuite.codec.report import report
from evalsuite.codec.run import encode
from evalsuite.codec.torchscript import TorchScript
from evalsuite.errors import EvalError, MediaError, RecipeError, ShapeError
from evalsuite.metrics.tokens import NAMES
from evalsuite.sources.colour import from_rgb, to_rgb
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import Colour, Frame, OperatingPoint, VideoFormat

BT709 = Colour("bt709")
HEADER_BYTES = 4 + 1 + 4 + 1 + 1 + 4
"""Magic, flags, pair and geometry of one byte each, rate of 25/1, checksum."""

RECIPE = """
name = "toy"
python = "torchscript"
description = "means of blocks, causal, 4x8x8"
extension = "evt"
formats = ["yuv420p"]
preset = "4x8x8"
structure = "windows of 9 frames"
rate_control = "other"
internal_bit_depth = 8
check_psnr_y = 10

[files]
encoder = "encoder.jit"
decoder = "decoder.jit"
[settings]
levels = [7, 5, 3]
window = 9
temporal = 4
spatial = 8
causal = true
coding = "packed"
[q]
min = 1
max = 1
ladder = [1]
"""


@pytest.fixture(autouse=True)
def _hosts() -> Iterator[None]:
    yield
    close_hosts()


def clip(folder: Path, width: int, height: int, count: int, *, depth: int = 8) -> tuple[Path, list[Frame]]:
    format = VideoFormat(width, height, depth)
    frames = list(moving_frames(format, count))
    write_y4m(folder / "clip.y4m", format, Fraction(25), frames, BT709)
    return folder / "clip.y4m", frames


def job(width: int, height: int, frames: int, *, q: float = 1, depth: int = 8, colour: Colour = BT709) -> Job:
    return Job(q, -1, frames, 1, VideoFormat(width, height, depth), Fraction(25), colour)


def both(files: dict[str, Path], **changes: Any) -> tuple[TorchScript, TorchScript]:
    given = {"window": 8, "temporal": 4, "spatial": 8, "coding": "packed", "levels": LEVELS, **changes}
    given = {name: value for name, value in given.items() if value is not None}
    return (
        TorchScript(device="cpu", role="encode", files=files, **given),
        TorchScript(device="cpu", role="decode", files=files, **given),
    )


def by_hand(
    frames: list[Frame], colour: Colour, window: int, temporal: int, spatial: int, *, causal: bool, depth: int = 8
) -> list[Frame]:
    """What a tokenizer of block means gives, by NumPy."""
    height, width = frames[0][0].shape
    groups = [frames[start : start + window] for start in range(0, len(frames), window)]
    found: list[Frame] = []
    for group in groups:
        filled = group + group[-1:] * (window - len(group))
        rgb = np.stack([to_rgb(frame, colour, depth) for frame in filled], 1)
        rgb = np.pad(rgb, ((0, 0), (0, 0), (0, -height % spatial), (0, -width % spatial)), mode="edge")
        starts = [0, *range(1, window, temporal)] if causal else list(range(0, window, temporal))
        for start, stop in zip(starts, [*starts[1:], window], strict=True):
            means = _block_means(rgb[:, start:stop], spatial)
            steps = np.array([count - 1 for count in LEVELS]).reshape(3, 1, 1)
            coarse = np.rint(means * steps) / steps
            full = coarse.repeat(spatial, 1).repeat(spatial, 2)[:, :height, :width].astype(np.float32)
            found += [from_rgb(full, colour, depth)] * (stop - start)
    return found[: len(frames)]


def _block_means(rgb: NDArray[np.float32], spatial: int) -> NDArray[np.float64]:
    _, _, rows, columns = rgb.shape
    blocks = rgb.astype(np.float64).reshape(3, -1, rows // spatial, spatial, columns // spatial, spatial)
    means: NDArray[np.float64] = blocks.mean(axis=(1, 3, 5))
    return means


def assert_near(found: list[Frame], wanted: list[Frame]) -> None:
    assert len(found) == len(wanted)
    for one, other in zip(found, wanted, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a.dtype == b.dtype
            assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


@pytest.mark.parametrize("coding", ["packed", "adaptive"])
@pytest.mark.parametrize(
    ("causal", "window", "frames", "colour", "depth"),
    [
        (True, 9, 20, BT709, 8),
        (False, 8, 20, Colour("bt601"), 8),
        (True, 0, 7, Colour("bt601", full_range=True), 8),
        (False, 0, 5, BT709, 10),
        (False, 0, 5, Colour("bt2020"), 10),
    ],
)
def test_trap_13_all_pixels_of_all_frames_come_back_as_by_hand(
    causal: bool, window: int, frames: int, colour: Colour, depth: int, coding: str, tmp_path: Path
) -> None:
    source, sequence = clip(tmp_path, 35, 27, frames, depth=depth)
    files = make(tmp_path, 4, 8, causal=causal)
    encoder, decoder = both(files, window=window, causal=causal, coding=coding)
    encoder.encode(source, tmp_path / "t.evt", job(35, 27, frames, depth=depth, colour=colour))
    length = window or (8 if frames == 5 else 9)
    wanted = by_hand(sequence, colour, length, 4, 8, causal=causal, depth=depth)
    assert_near(list(decoder.decode(tmp_path / "t.evt")), wanted)


def test_trap_04_padded_tokens_are_bits(tmp_path: Path) -> None:
    files = make(tmp_path, 4, 8, causal=True)
    for frames, windows in ((9, 1), (10, 2), (18, 2), (19, 3)):
        source, _ = clip(tmp_path, 35, 27, frames)
        encoder, _ = both(files, window=9, causal=True)
        encoder.encode(source, tmp_path / "t.evt", job(35, 27, frames))
        # A window has 1 + 8/4 latent frames of 4 by 5 tokens; 7 * 5 * 3 = 105 tokens take 7 bits each.
        expected = HEADER_BYTES + windows * math.ceil(3 * 4 * 5 * 7 / 8)
        assert (tmp_path / "t.evt").stat().st_size == expected


def test_an_image_tokenizer_takes_each_frame_alone(tmp_path: Path) -> None:
    source, sequence = clip(tmp_path, 35, 27, 3)
    encoder, decoder = both(make(tmp_path, 1, 8, kind="image"), image=True, window=None, temporal=1)
    encoder.encode(source, tmp_path / "t.evt", job(35, 27, 3))
    assert_near(list(decoder.decode(tmp_path / "t.evt")), by_hand(sequence, BT709, 1, 1, 8, causal=False))
    assert (tmp_path / "t.evt").stat().st_size == HEADER_BYTES + 3 * math.ceil(20 * 7 / 8)


@pytest.mark.parametrize("coding", ["packed", "adaptive"])
def test_latents_are_off_by_half_a_step_at_most(coding: str, tmp_path: Path) -> None:
    source, sequence = clip(tmp_path, 32, 16, 8)
    encoder, decoder = both(make(tmp_path, 4, 8, kind="continuous"), levels=None, latents=True, coding=coding)
    sizes, errors = [], []
    rgb = np.stack([to_rgb(frame, BT709, 8) for frame in sequence], 1)
    means = np.stack([_block_means(rgb[:, start : start + 4], 8) for start in (0, 4)], 1)
    for q in (0.02, 0.2, 1.0):
        encoder.encode(source, tmp_path / "t.evt", job(32, 16, 8, q=q))
        sizes.append((tmp_path / "t.evt").stat().st_size)
        wanted = []
        for latents in (np.rint((2 * means - 1) / q) * q + 1).swapaxes(0, 1) / 2:
            full = latents.repeat(8, 1).repeat(8, 2).astype(np.float32)
            wanted += [from_rgb(full, BT709, 8)] * 4
        found = list(decoder.decode(tmp_path / "t.evt"))
        # float32 and float64 may round a latent to either side of a half.
        errors.append(np.mean([np.abs(a[0].astype(int) - b[0]).max() > 1 for a, b in zip(found, wanted, strict=True)]))
    assert sizes == sorted(sizes, reverse=True)
    assert max(errors) == 0
    assert encoder.info(tmp_path / "t.evt") == {}


def test_pairs_of_models_are_operating_points(tmp_path: Path) -> None:
    source, sequence = clip(tmp_path, 35, 27, 9)
    files = make(tmp_path, 4, 8, causal=True, suffix="_1") | make(tmp_path, 8, 16, causal=True, suffix="_2")
    encoder, decoder = both(files, window=9, temporal=[4, 8], spatial=[8, 16], causal=True)
    for q, (temporal, spatial, tokens) in enumerate([(4, 8, 3 * 20), (8, 16, 2 * 6)], start=1):
        encoder.encode(source, tmp_path / "t.evt", job(35, 27, 9, q=q))
        assert (tmp_path / "t.evt").stat().st_size == HEADER_BYTES + math.ceil(tokens * 7 / 8)
        wanted = by_hand(sequence, BT709, 9, temporal, spatial, causal=True)
        assert_near(list(decoder.decode(tmp_path / "t.evt")), wanted)


def test_latents_have_one_pair_of_models(tmp_path: Path) -> None:
    """Their q is the step: a second pair would never be run."""
    files = {
        f"{name}_{number}": path for number in (1, 2) for name, path in make(tmp_path, 4, 8, kind="continuous").items()
    }
    with pytest.raises(RecipeError, match="one pair of models"):
        both(files, levels=None, latents=True)


def test_the_input_range_is_the_models(tmp_path: Path) -> None:
    source, sequence = clip(tmp_path, 32, 16, 4)
    files = make(tmp_path, 4, 8, kind="continuous")
    encoder, decoder = both(files, levels=None, latents=True, input_range=[0, 255], window=4)
    encoder.encode(source, tmp_path / "t.evt", job(32, 16, 4, q=1))
    (window,) = decoder_windows(tmp_path / "t.evt", decoder)
    rgb = np.stack([to_rgb(frame, BT709, 8) for frame in sequence], 1)
    assert np.abs(window[:, 0] - 255 * _block_means(rgb, 8)).max() <= 0.5 + 1e-3


def decoder_windows(path: Path, codec: TorchScript) -> list[NDArray[np.int64]]:
    from evalsuite.codec.tokenfile import TokenFile

    return list(TokenFile(path, codec._tokenizers))


def test_a_recipe_of_25_lines_is_a_codec_with_real_files_and_token_statistics(tmp_path: Path) -> None:
    assert len([line for line in RECIPE.splitlines() if line.strip()]) <= 25
    source, frames = clip(tmp_path, 35, 27, 20)
    make(tmp_path, 4, 8, causal=True)
    (tmp_path / "toy.toml").write_text(RECIPE.replace("[settings]", "[settings]\nreconstruct = true"))
    recipe, sequence = load_recipe(str(tmp_path / "toy.toml")), sequence_of(source, 20)
    point = OperatingPoint(q=1, intra_period=-1, threads=1)
    encoded = encode(recipe, sequence, point, tmp_path / "t.evt", timeout=100)
    assert encoded.file_bytes == encoded.payload_bytes == HEADER_BYTES + 3 * math.ceil(60 * 7 / 8)
    digest = encoded.reconstruction_sha256
    with decode(recipe, encoded.path, sequence, point, timeout=100, reconstruction_sha256=digest) as decoder:
        found = list(decoder)
    assert digest == frames_sha256(found)
    assert_near(found, by_hand(frames, BT709, 9, 4, 8, causal=True))
    told = report(recipe, encoded.path, timeout=100).values
    assert set(NAMES) <= told.keys()
    assert told["tokens_per_frame"] == pytest.approx(180 / 20)
    assert told["token_rate"] == pytest.approx(180 * 25 / 20)
    assert told["bits_per_token"] == pytest.approx(3 * 53 * 8 / 180)
    assert "torch" in recipe.version()
    assert {"evalsuite.codec.torchscript", "evalsuite.sources.colour"} <= recipe.binary_sha256().keys()


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"levels": [2, 2]}, "tokens from 0 to 3"),
        ({"spatial": 16}, "whole numbers of shape"),
        ({"temporal": 2}, "whole numbers of shape"),
        ({"levels": None, "latents": True}, "latents of shape"),
    ],
)
def test_an_encoder_unlike_its_settings_is_refused(changes: dict[str, Any], expected: str, tmp_path: Path) -> None:
    source, _ = clip(tmp_path, 32, 16, 8)
    encoder, _ = both(make(tmp_path, 4, 8), **changes)
    with pytest.raises(RecipeError, match="the encoder gives something else") as caught:
        encoder.encode(source, tmp_path / "t.evt", job(32, 16, 8))
    assert expected in str(caught.value.expected)


def test_a_decoder_unlike_its_settings_is_refused(tmp_path: Path) -> None:
    source, _ = clip(tmp_path, 32, 16, 8)
    files = make(tmp_path, 4, 8) | {"decoder": make(tmp_path, 4, 16, suffix="_other")["decoder_other"]}
    encoder, decoder = both(files)
    encoder.encode(source, tmp_path / "t.evt", job(32, 16, 8))
    with pytest.raises(RecipeError, match="the decoder gives something else"):
        list(decoder.decode(tmp_path / "t.evt"))


def test_a_model_that_fails_is_one_line(tmp_path: Path) -> None:
    source, _ = clip(tmp_path, 32, 16, 1)
    encoder, _ = both(make(tmp_path, 1, 8, kind="image"), temporal=1, window=1)
    with pytest.raises(RecipeError, match="the model cannot be run") as caught:
        encoder.encode(source, tmp_path / "t.evt", job(32, 16, 1))
    assert "\n" not in caught.value.what


def test_a_source_of_other_length_is_a_failure(tmp_path: Path) -> None:
    source, _ = clip(tmp_path, 32, 16, 8)
    encoder, _ = both(make(tmp_path, 4, 8))
    with pytest.raises(ShapeError, match="another number of frames"):
        encoder.encode(source, tmp_path / "t.evt", job(32, 16, 9))


def test_files_and_devices_that_are_none_are_said(tmp_path: Path) -> None:
    files = make(tmp_path, 4, 8)
    with pytest.raises(RecipeError, match="not complete"):
        both({"encoder": files["encoder"]})
    with pytest.raises(RecipeError, match="not complete"):
        both({"encoder_1": files["encoder"], "decoder_2": files["decoder"]})
    with pytest.raises(RecipeError, match="dtype"):
        both(files, dtype="int8")
    with pytest.raises(RecipeError, match="input_range"):
        both(files, input_range=[1, -1])
    with pytest.raises(EvalError, match="cannot be put on nonsense"):
        TorchScript(device="nonsense", role="encode", files=files, levels=LEVELS, window=4, temporal=4, spatial=8)
    files["encoder"].write_bytes(files["encoder"].read_bytes()[:500])
    with pytest.raises(MediaError, match="TorchScript file cannot be read"):
        both(files)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(flips=st.lists(st.integers(0, 30000), max_size=8), cut=st.integers(0, 4000), data=st.binary(max_size=50))
def test_damaged_torchscript_files_are_refused_or_harmless(
    flips: list[int], cut: int, data: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "whole" / "encoder.jit"
    if not path.exists():
        path.parent.mkdir()
        make(path.parent, 4, 8)
    broken = bytearray(path.read_bytes()[: cut or None] if cut % 3 else data)
    for bit in flips:
        if bit // 8 < len(broken):
            broken[bit // 8] ^= 1 << (bit % 8)
    (tmp_path / "encoder.jit").write_bytes(broken)
    files = {"encoder": tmp_path / "encoder.jit", "decoder": path}
    with suppress(MediaError):
        both(files)


def test_half_precision_is_taken(tmp_path: Path) -> None:
    source, sequence = clip(tmp_path, 32, 16, 4)
    encoder, decoder = both(make(tmp_path, 4, 8), dtype="bfloat16", window=4)
    encoder.encode(source, tmp_path / "t.evt", job(32, 16, 4))
    found = list(decoder.decode(tmp_path / "t.evt"))
    assert len(found) == 4
    # The decoder's levels are multiples of 1/3 and 1/2 in bfloat16: within 2^-8 of float32's.
    wanted = by_hand(sequence, BT709, 4, 4, 8, causal=False)
    assert np.mean([np.abs(a[0].astype(int) - b[0]) for a, b in zip(found, wanted, strict=True)]) < 4
