"""Networks in bfloat16: the same bitstreams, nearly the same frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from tvc_samples import moving, one_thread  # noqa: F401 (a fixture)
from typer.testing import CliRunner

import tvc
from tvc.bitstream import Reader
from tvc.cli import app
from tvc.decoder import decode_tokens
from tvc.model import TVC
from tvc.video import Format, read_y4m, write_y4m
from tvc.weights import load, model_hash


@pytest.fixture(scope="module")
def models() -> tuple[TVC, TVC]:
    return load(), load(precision="bfloat16")


def test_weights_are_the_same(models: tuple[TVC, TVC]) -> None:
    full, half = models
    assert model_hash(full) == model_hash(half)
    assert all(tensor.dtype != torch.bfloat16 for tensor in half.state_dict().values())


@pytest.mark.parametrize("q", [10, 32, 50])
def test_frames_are_nearly_the_same(models: tuple[TVC, TVC], q: int) -> None:
    full, half = models
    data = tvc.encode(moving(96, 64, 24), 25, q=q, model=full)
    differences = [
        np.abs(a.astype(int) - b).ravel()
        for one, other in zip(tvc.decode(data, model=full), tvc.decode(data, model=half), strict=True)
        for a, b in zip(one, other, strict=True)
    ]
    # Eight bits of significand: were nothing computed in it, none would differ; rounding moves few samples by one.
    assert 0 < np.concatenate(differences).mean() < 0.25
    assert np.concatenate(differences).max() <= 4


@pytest.mark.parametrize("q", [10, 32, 50])
def test_either_reads_the_tokens_of_the_other(models: tuple[TVC, TVC], q: int) -> None:
    clip = moving(96, 64, 12)
    for model in models:
        data = tvc.encode(clip, 25, q=q, model=model)
        one, other = (
            [slot.codes for packet in decode_tokens(Reader(data), reader) for slot in packet.slots] for reader in models
        )
        assert all(map(torch.equal, one, other))


def test_the_encoder_hardly_chooses_other_tokens(models: tuple[TVC, TVC]) -> None:
    clip = moving(96, 64, 24)
    full, half = (len(tvc.encode(clip, 25, q=32, model=model)) for model in models)
    assert half == pytest.approx(full, rel=0.03)


def test_the_commands_take_a_precision(tmp_path: Path) -> None:
    with (tmp_path / "in.y4m").open("wb") as stream:
        write_y4m(stream, Format(64, 48, Fraction(25)), moving(64, 48, 8))
    encoded, decoded = str(tmp_path / "out.tvc"), str(tmp_path / "out.y4m")
    for command in (["encode", str(tmp_path / "in.y4m"), encoded], ["decode", encoded, decoded]):
        done = CliRunner().invoke(app, [*command, "--precision", "bfloat16"])
        assert done.exit_code == 0, done.output
    model = load(precision="bfloat16")
    with Path(decoded).open("rb") as stream:
        _, frames = read_y4m(stream, decoded)
        for frame, expected in zip(frames, tvc.decode(Path(encoded).read_bytes(), model=model), strict=True):
            assert all(map(np.array_equal, frame, expected))


@pytest.mark.parametrize("q", [20, 32, 44])
def test_trap31_an_autocast_of_the_caller_changes_no_symbol(models: tuple[TVC, TVC], q: int) -> None:
    """Evaluation loops have one around them: networks may be a little off in it, context models must not."""
    clip, (model, _) = moving(64, 48, 8), models
    data = tvc.encode(clip, 25, q=q, model=model)
    with torch.autocast("cpu", torch.bfloat16):
        within = tvc.encode(clip, 25, q=q, model=model)
        decoded = [slot for packet in decode_tokens(Reader(data), model) for slot in packet.slots]
    for one, other in zip(decoded, (s for p in decode_tokens(Reader(data), model) for s in p.slots), strict=True):
        assert torch.equal(one.codes, other.codes)
    assert len(list(tvc.decode(within, model=model))) == 8
