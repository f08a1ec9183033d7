"""What a recipe says it takes, its encoder codes and its decoder gives back: every pixel format, unconverted."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from conftest import moving_frames
from sample_recipes import STANDARD, sequence_of
from sample_streams import DEMUXERS, decoded_frames, source_frames

from evalsuite import resources
from evalsuite.codec.recipe import load_recipe
from evalsuite.codec.run import encode
from evalsuite.codec.taking import check_format
from evalsuite.codec.variants import declared
from evalsuite.errors import RecipeError, RequestError
from evalsuite.sources.y4m import PIXEL_FORMATS, write_y4m
from evalsuite.types import Colour, ForeignMatrix, OperatingPoint, Sequence, VideoFormat

FRAMES = 3


def taken() -> Iterator[tuple[str, str]]:
    """Every shipped codec that runs everywhere, shallow and deep, with every pixel format that it takes."""
    for name in STANDARD:
        path, data = resources.load("codecs", name)
        for codec in (name, f"{name}:10bit") if "10bit" in declared(data, path) else (name,):
            yield from ((codec, pixel_format) for pixel_format in load_recipe(codec).formats)


def clip(path: Path, pixel_format: str) -> Sequence:
    """Odd in width and height, so that frames are padded and cropped."""
    format = VideoFormat(75, 53, *PIXEL_FORMATS[pixel_format])
    write_y4m(path, format, Fraction(25), moving_frames(format, FRAMES), Colour("bt709"))
    return sequence_of(path, FRAMES)


@pytest.mark.parametrize(("codec", "pixel_format"), list(taken()))
def test_every_format_comes_back_as_it_was(codec: str, pixel_format: str, tmp_path: Path) -> None:
    recipe, sequence = load_recipe(codec), clip(tmp_path / "clip.y4m", pixel_format)
    check_format(recipe, sequence)
    point = OperatingPoint(recipe.knob.ladder[0], -1, 1)
    encoded = encode(recipe, sequence, point, tmp_path / f"s.{recipe.extension}", timeout=60)
    with av.open(str(encoded.path), format=DEMUXERS[encoded.path.suffix[1:]]) as container:
        coded = {frame.format.name for frame in container.decode(video=0)}
    # What is in the bitstream: chroma is neither added nor taken away, depth is the recipe's.
    assert coded == {recipe.coded_format(sequence.format).pixel_format}
    found, wanted = decoded_frames(recipe, encoded.path, sequence), source_frames(sequence.path)
    assert len(found) == FRAMES
    peak = (1 << sequence.format.bit_depth) - 1
    for plane in range(len(wanted[0])):
        one, other = (np.stack([frame[plane] for frame in frames]).astype(float) for frames in (found, wanted))
        # Full taken for limited range, or Cb for Cr, would be below 20 dB.
        assert 10 * np.log10(peak**2 / np.mean((one - other) ** 2)) > 26


def test_formats_of_the_shipped_recipes_are_those_that_the_documentation_names() -> None:
    chroma = {name: {PIXEL_FORMATS[one][1] for one in load_recipe(name).formats} for name in STANDARD}
    assert chroma == {
        **{name: {"420", "422", "444", "400"} for name in ("libaom", "x265")},
        **{name: {"420", "422", "444"} for name in ("rav1e", "vp9", "x264")},
        **{name: {"420"} for name in ("kvazaar", "svtav1", "vvenc")},
    }


TOKENIZER = """
name = "tokens"
description = "a tokenizer"
python = "torchscript"
extension = "tok"
formats = ["{format}"]
preset = "none"
structure = "windows"
rate_control = "other"
internal_bit_depth = 8

[q]
min = 1
max = 1
ladder = [1]
"""


def test_a_tokenizer_takes_what_it_can_convert(tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(TOKENIZER.format(format="yuv444p"))
    with pytest.raises(RecipeError, match="4:2:0 alone") as caught:
        load_recipe(str(path))
    assert caught.value.got == "yuv444p"
    path.write_text(TOKENIZER.format(format="yuv420p"))
    recipe, foreign = load_recipe(str(path)), ForeignMatrix.__args__[0]  # type: ignore[attr-defined]
    source = clip(tmp_path / "clip.y4m", "yuv420p")
    check_format(recipe, source)
    other = Sequence("s", "d", source.path, "", source.format, source.frame_rate, FRAMES, Colour(foreign))
    with pytest.raises(RequestError, match="no conversion") as refused:
        check_format(recipe, other)
    assert refused.value.got == foreign
