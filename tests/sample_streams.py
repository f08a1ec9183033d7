"""What the shipped codecs make of one clip: encoded once for all tests of a run."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from functools import cache
from pathlib import Path

import av
import numpy as np
from conftest import moving_frames
from numpy.typing import NDArray
from sample_recipes import point, sequence_of

from evalsuite.codec.decoder import decode
from evalsuite.codec.recipe import Recipe, load_recipe
from evalsuite.codec.run import Encoded, encode
from evalsuite.sources.y4m import Y4MReader, write_y4m
from evalsuite.types import Colour, Frame, Sequence, VideoFormat

FRAMES = 66
CUT = 20
PERIOD = 32

DEMUXERS = {"h264": "h264", "h265": "hevc", "h266": "vvc", "obu": "obu", "ivf": "ivf"}
"""File extension to FFmpeg's name of the format."""

_folder = tempfile.TemporaryDirectory(prefix="evalsuite-tests-")


@cache
def cut_clip() -> Sequence:
    """Moving frames with a scene cut: an encoder that is left to itself puts an intra frame there."""
    format, path = VideoFormat(96, 80), Path(_folder.name) / "cut.y4m"
    before = itertools.islice(moving_frames(format, CUT, seed=1), CUT)
    after = ((255 - luma[::-1], red, blue) for luma, blue, red in moving_frames(format, FRAMES - CUT, seed=2))
    write_y4m(path, format, Fraction(30000, 1001), itertools.chain(before, after), Colour("bt709"))
    return sequence_of(path, FRAMES)


@cache
def stream(name: str) -> Encoded:
    """The clip through a shipped codec, at the second step of its ladder."""
    recipe = load_recipe(name)
    path = Path(_folder.name) / name / f"stream.{recipe.extension}"
    return encode(recipe, cut_clip(), point(recipe, 1, PERIOD), path, timeout=120)


@cache
def source_frames(path: Path) -> list[Frame]:
    """All frames of a Y4M file."""
    return list(Y4MReader(path))


def decoded_frames(recipe: Recipe, bitstream: Path, sequence: Sequence, reconstruction: str = "") -> list[Frame]:
    """All frames that the recipe's decoder gives; those of the reconstruction where its digest is given."""
    at = point(recipe, 0)
    with decode(recipe, bitstream, sequence, at, timeout=60, reconstruction_sha256=reconstruction) as decoder:
        return list(decoder)


def independent_frames(encoded: Encoded) -> Iterator[tuple[bool, list[NDArray[np.uint8]]]]:
    """Key flag and planes of every frame, by PyAV's build of FFmpeg's libraries."""
    with av.open(str(encoded.path), format=DEMUXERS[encoded.path.suffix[1:]]) as container:
        for frame in container.decode(video=0):
            planes = []
            for plane in frame.planes:
                rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
                planes.append(rows[:, : plane.width].copy())
            yield frame.key_frame, planes
