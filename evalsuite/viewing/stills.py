"""One frame as a picture: RGB by the suite's own conversion, stored without loss, and the faces in it."""

from __future__ import annotations

import cv2
import numpy as np

from evalsuite.errors import AssetError, MediaError, RequestError
from evalsuite.metrics.base import Setting, View
from evalsuite.metrics.detectors import Detector, Picture, picture, yunet
from evalsuite.metrics.facemeter import PRECISION_SCORE
from evalsuite.sources.colour import is_convertible
from evalsuite.types import Frame, Sequence
from evalsuite.viewing.index import Face

SUFFIX = ".webp"
"""Lossless WebP: two thirds of the size of PNG on the demo sequences, in less time; every browser shows it."""

LONGEST_SIDE = 16383
"""What WebP can hold."""

_LOSSLESS = 101
"""A quality above 100 asks OpenCV for lossless WebP."""


def check_picture(sequence: Sequence) -> None:
    """Refuse what has no faithful picture of 8 bits in RGB.

    Raises:
        RequestError: PQ or HLG, a matrix that nothing here converts, or more samples than a picture can have.
    """
    colour, format = sequence.colour, sequence.format
    if colour.transfer != "sdr" or not is_convertible(colour):
        raise RequestError(
            f"no picture on an ordinary screen shows {colour} as it is",
            where=sequence.name,
            fix="look at it on a display and player made for it",
        )
    if max(format.width, format.height) > LONGEST_SIDE:
        raise RequestError(
            "the frames are larger than a picture can be",
            where=sequence.name,
            expected=f"{LONGEST_SIDE} samples or fewer on a side",
            got=f"{format.width}x{format.height}",
        )


def how_converted(sequence: Sequence) -> str:
    """How its frames become pictures, in words."""
    matrix = {"bt601": "BT.601", "bt709": "BT.709", "bt2020": "BT.2020"}[sequence.colour.matrix]
    steps = [f"RGB by {matrix}, {'full' if sequence.colour.full_range else 'limited'} range"]
    if sequence.format.chroma in ("420", "422"):
        steps.append("chroma upsampled linearly")
    if sequence.format.bit_depth > 8:
        steps.append(f"{sequence.format.bit_depth} bits rounded to 8")
    if sequence.colour.matrix == "bt2020":
        steps.append("primaries taken for the screen's")
    return ", ".join(steps)


def view_of(frame: Frame, sequence: Sequence) -> View:
    """A frame with the forms that are derived from it."""
    return View(frame, Setting(sequence.format, sequence.colour, sequence.frame_rate))


def as_webp(view: View) -> bytes:
    """The frame as lossless WebP; read back and compared.

    Raises:
        MediaError: it does not read back to the bit.
    """
    shown = picture(view)
    ok, coded = cv2.imencode(SUFFIX, shown, [cv2.IMWRITE_WEBP_QUALITY, _LOSSLESS])
    if not ok or not np.array_equal(read_webp(coded.tobytes()), shown):
        raise MediaError("a lossless picture lost something", fix="this is a fault of OpenCV's encoder: tell us")
    return coded.tobytes()


def read_webp(data: bytes) -> Picture:
    """A picture as it was before `as_webp`: (height, width, 3), blue, green, red."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), np.uint8)


def face_detector() -> tuple[Detector | None, str]:
    """YuNet, as face metrics use it; or None and why it cannot be had."""
    try:
        return yunet(), ""
    except AssetError as error:
        return None, error.what


def faces_in(view: View, detector: Detector) -> tuple[Face, ...]:
    """The faces in a frame that the detector is as sure of as `face_precision` asks, the surest first."""
    found = detector.faces(view)
    faces = []
    for box, score in zip(found["boxes"], found["scores"], strict=True):
        if score >= PRECISION_SCORE:
            x, y, width, height = (round(float(side), 1) for side in box)
            faces.append(Face(x, y, width, height, round(float(score), 3)))
    return tuple(sorted(faces, key=lambda face: -face.score))
