"""tvc's own tokenizer, exported as TorchScript and run as any tokenizer from elsewhere."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import moving_frames
from sample_recipes import sequence_of
from typer.testing import CliRunner

import tvc
from evalsuite.codec.decoder import decode
from evalsuite.codec.hostpool import close_hosts
from evalsuite.codec.plugin import Job
from evalsuite.codec.recipe import load_recipe
from evalsuite.codec.report import report
from evalsuite.codec.run import encode
from evalsuite.codec.torchscript import TorchScript
from evalsuite.sources.colour import from_rgb, to_rgb
from evalsuite.sources.y4m import Y4MReader, write_y4m
from evalsuite.types import Colour, Frame, OperatingPoint, Sequence, VideoFormat
from tvc.cli import app
from tvc.encoder import encode_stream
from tvc.torchscript import planes_to_rgb, rgb_to_planes
from tvc.video import Format
from tvc.weights import load

# So many tokens that a few of them do not show: RGB of eight bits and of floats differ, and round some the other way.
WIDTH, HEIGHT, FRAMES = 120, 104, 9
TOKENS = math.ceil(WIDTH / 16) * math.ceil(HEIGHT / 16) * math.ceil(FRAMES / 4)

RECIPE = """
name = "tvc-tokens"
python = "torchscript"
description = "tvc's tokenizer as TorchScript"
extension = "evt"
formats = ["yuv420p"]
preset = "4x16x16"
structure = "one window"
rate_control = "other"
internal_bit_depth = 8
check_psnr_y = 18
[files]
encoder = "encoder.jit"
decoder = "decoder.jit"
[settings]
levels = [8, 8, 8, 5, 5, 5]
window = 0
temporal = 4
spatial = 16
coding = "packed"
[q]
min = 1
max = 1
ladder = [1]
"""


@pytest.fixture(scope="module")
def exported(_alone: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported")
    result = CliRunner().invoke(app, ["export-torchscript", str(folder)])
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [str(folder / name) for name in ("encoder.jit", "decoder.jit")]
    return folder


@pytest.fixture(scope="module")
def clip(exported: Path) -> Sequence:
    format = VideoFormat(WIDTH, HEIGHT)
    # Of a natural kind, with colours that RGB can hold: what moves is one picture.
    frames = [_soft(frame) for frame in moving_frames(format, FRAMES, seed=4)]
    path = exported / "clip.y4m"
    write_y4m(path, format, Fraction(25), frames, Colour("bt709"))
    return sequence_of(path, FRAMES)


def _soft(frame: Frame) -> Frame:
    luma, blue, red = frame
    return (
        (luma // 2 + 50).astype(np.uint8),
        (blue // 8 + 112).astype(np.uint8),
        (red // 8 + 112).astype(np.uint8),
    )


@pytest.fixture(autouse=True, scope="module")
def _alone() -> Iterator[None]:
    threads = torch.get_num_threads()
    # On frames this small, threads only wait for each other.
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    close_hosts()


def psnr_y(frames: list[Frame], sources: list[Frame]) -> float:
    error = np.mean([np.mean((a[0].astype(float) - b[0]) ** 2) for a, b in zip(frames, sources, strict=True)])
    return float(10 * np.log10(255**2 / error))


def test_the_tokenizer_from_elsewhere_is_as_good_as_tvc_itself_and_takes_the_bits_of_the_closed_form(
    exported: Path, clip: Sequence
) -> None:
    (exported / "tvc-tokens.toml").write_text(RECIPE)
    recipe, point = load_recipe(str(exported / "tvc-tokens.toml")), OperatingPoint(q=1, intra_period=-1, threads=1)
    encoded = encode(recipe, clip, point, exported / "packed.evt", timeout=200)
    with decode(recipe, encoded.path, clip, point, timeout=200) as decoder:
        frames = list(decoder)
    # What tvc is given in the comparison has passed RGB too, which takes fine detail from chroma.
    sources, bt709 = list(Y4MReader(clip.path)), Colour("bt709")
    passed = [from_rgb(to_rgb(frame, bt709, 8), bt709, 8) for frame in sources]
    # Tokenizers take the nearest codes, whatever they cost, and are told nothing of detail.
    stream = io.BytesIO()
    encode_stream(
        passed, Format(WIDTH, HEIGHT, Fraction(25)), stream, load(), q=32, scale=1, multiplier=0, detail=False
    )
    own = list(tvc.decode(stream.getvalue()))
    assert abs(psnr_y(frames, sources) - psnr_y(own, sources)) < 0.1
    # Magic, flags, four one-byte fields, 25/1, checksum; 16 bits a token.
    assert encoded.payload_bytes == 4 + 1 + 4 + 2 + 4 + 2 * TOKENS
    told = report(recipe, encoded.path, timeout=200).values
    assert (told["tokens"], told["bits_per_token"]) == (TOKENS, 16)


def test_windows_begin_anew(exported: Path, clip: Sequence) -> None:
    files = {name: exported / f"{name}.jit" for name in ("encoder", "decoder")}
    settings: dict[str, Any] = {"levels": [8, 8, 8, 5, 5, 5], "window": 8, "temporal": 4, "spatial": 16}
    codec = TorchScript(device="cpu", role="encode", files=files, coding="packed", **settings)
    job = Job(1, -1, FRAMES, 1, clip.format, clip.frame_rate, clip.colour)
    codec.encode(clip.path, exported / "t.evt", job)
    # Two windows of two slots where one window of the whole clip has three; the last is padded from one frame to 8.
    assert (exported / "t.evt").stat().st_size == 15 + 2 * 4 * TOKENS // 3


def test_the_modules_take_any_size_and_agree_with_the_codec(exported: Path) -> None:
    model, size = load(), (1, 3, 8, 48, 80)
    rgb = torch.rand(size, generator=torch.Generator().manual_seed(2)) * 2 - 1
    encoder, decoder = (torch.jit.load(exported / f"{name}.jit") for name in ("encoder", "decoder"))
    with torch.inference_mode(), torch.jit.optimized_execution(False):
        tokens = encoder(rgb)
        y, cb, cr = rgb_to_planes(rgb[0].transpose(0, 1))
        state, wanted = None, []
        for first in (0, 4):
            planes = tuple(plane[None, first : first + 4] for plane in (y, cb, cr))
            codes, _, state = model.encode_slot(planes, state)
            wanted.append(codes[0])
        basis = [1, 8, 64, 512, 2560, 12800]  # cumulative product of 8, 8, 8, 5, 5
        assert tokens.tolist() == [
            [sum(code * base for code, base in zip(slot, basis, strict=True)).tolist() for slot in wanted]
        ]
        decoded = decoder(tokens)
        before, expected = None, []
        for codes in wanted:
            (y, cb, cr), before = model.decode_slot(codes[None], None, None, before)
            expected.append(planes_to_rgb(y[0], cb[0], cr[0]))
        assert torch.allclose(decoded[0].transpose(0, 1), torch.cat(expected), atol=1e-4)


def test_the_exports_colours_are_the_suites() -> None:
    frame = _soft(next(moving_frames(VideoFormat(32, 16), 1)))
    rgb = torch.from_numpy(to_rgb(frame, Colour("bt709"), 8))[None] * 2 - 1
    ours = rgb_to_planes(rgb)
    # 8-bit code values of the same RGB by the suite, which zimg agrees with.
    theirs = from_rgb(rgb[0].numpy() / 2 + 0.5, Colour("bt709"), 8)
    for plane, codes in zip(ours, theirs, strict=True):
        assert (plane[0] * 128 + 128 - torch.from_numpy(codes)).abs().max() < 0.51
    back = planes_to_rgb(*((torch.from_numpy(plane).float()[None] - 128) / 128 for plane in frame))
    assert (back - rgb).abs().max() < 1e-5
