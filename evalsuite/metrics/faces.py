"""Faces: does a detector still find those of the source, where, and does a recogniser take them for the same people?

What the detector finds in the source with a high score is what is to be found in the decoded frames. Landmarks and
identity are of the faces that are found, so `face_matched`, the share of them, belongs beside both: a codec that loses
the hard faces would win otherwise. Content without a face has no score at all.
"""

from __future__ import annotations

import math

from evalsuite.errors import AssetError
from evalsuite.metrics.base import Family, Setting
from evalsuite.metrics.detectors import LONG_SIDE, REFERENCE_SIDE, sface, yunet
from evalsuite.metrics.facemeter import FALSE_ALARM_EVERY, PRECISION_SCORE, PROFILE, FaceMeter
from evalsuite.metrics.networks import without
from evalsuite.types import MetricInfo

SMALLEST = REFERENCE_SIDE
"""Samples on the shorter side of a frame that can hold a reference face."""

_YUNET = "YuNet (Wu et al., MIR 2023; face_detection_yunet_2023mar, float32) by OpenCV's FaceDetectorYN"
_SFACE = "SFace (Zhong et al., IEEE TIP 2021; face_recognition_sface_2021dec, float32) by OpenCV's FaceRecognizerSF"
_VERSION = "1 yunet 2023mar opencv 5"
_ON_FOUND = "Of faces that are found only: read it beside face_matched, or losing the hard faces looks like a gain. "


def traps_of(reference_score: float) -> str:
    """What to know of every figure that has a detector's own faces as its reference."""
    return (
        f"The faces to be found are the detector's own in the source, at score {reference_score:g} or above and with "
        f"{REFERENCE_SIDE} samples or more on the shorter side, in the picture reduced to {LONG_SIDE} on its longer. "
        "It is fidelity to what the detector sees, not accuracy. Frames without such a face are not looked at: a face "
        "that a codec invents there costs nothing."
    )


def _info(
    name: str,
    definition: str,
    source: str,
    version: str,
    traps: str,
    *,
    per_frame: bool = True,
    better: bool = True,
    range: tuple[float, float] = (0, 1),
) -> MetricInfo:
    return MetricInfo(
        name=name,
        family="faces",
        unit="",
        higher_is_better=better,
        version=version,
        definition=definition,
        source=source,
        range=range,
        needs=("rgb",),
        traps=traps,
        per_frame=per_frame,
    )


def detector_infos(suffix: str, source: str, version: str, traps: str) -> tuple[MetricInfo, ...]:
    """The figures that any face detector with landmarks gives.

    Args:
        suffix: of the names; empty for the detector of the default panel.
        source: who made the detector, and what runs it.
        version: of the definition and the network.
        traps: what to know of its references.
    """
    return (
        _info(
            f"face_ap50{suffix}",
            "average precision, at an overlap of 0.5, of the faces found in the decoded frames against those found in "
            "the source; over all points of the curve (VOC 2010), of the whole sequence",
            source,
            version,
            traps,
            per_frame=False,
        ),
        _info(
            f"face_recall{suffix}",
            "share of the source's faces that is found with at most one false alarm in "
            f"{FALSE_ALARM_EVERY} frames with faces, of the whole sequence",
            source,
            version,
            traps,
            per_frame=False,
        ),
        _info(
            f"landmark_nme{suffix}",
            "mean distance of five landmarks (eyes, nose, corners of the mouth) from those in the source, over the "
            "distance between the source's eyes; averaged over the faces found, per frame with such faces",
            source,
            version,
            f"{_ON_FOUND}Faces seen from the side (eyes nearer than {PROFILE:g} of the width) are left out. {traps}",
            better=False,
            range=(0, math.inf),
        ),
        _info(
            f"face_matched{suffix}",
            "share of the source's faces that is found, at any score down to 0.1 and whatever the false alarms: what "
            "landmark and identity figures are of; per frame with faces",
            source,
            version,
            traps,
        ),
    )


INFOS = (
    *detector_infos("", _YUNET, _VERSION, traps_of(0.9)),
    _info(
        "face_precision",
        f"share of what is taken for a face in the decoded frames (score {PRECISION_SCORE:g} or above) that is one of "
        "the source's, of the whole sequence",
        _YUNET,
        _VERSION,
        f"{traps_of(0.9)} Where no face is left there is nothing to be right about, and no score: see face_recall.",
        per_frame=False,
    ),
    _info(
        "identity_cos",
        "cosine of the embeddings of a face in the source and of the same face in the decoded frame, each aligned by "
        "its own landmarks; averaged over the faces found, per frame with such faces",
        f"{_SFACE}; faces by {_YUNET}",
        f"{_VERSION} sface 2021dec",
        f"{_ON_FOUND}OpenCV takes two faces for one person above 0.363. {traps_of(0.9)}",
        range=(-1, 1),
    ),
)


_FIGURES = {
    "face_ap50": "ap50",
    "face_recall": "recall",
    "face_precision": "precision",
    "face_matched": "matched",
    "landmark_nme": "nme",
    "identity_cos": "identity",
}


def _open(_setting: Setting, names: tuple[str, ...]) -> FaceMeter:
    try:
        recogniser = sface() if "identity_cos" in names else None
        return FaceMeter(yunet(), {_FIGURES[name]: name for name in names}, recogniser)
    except AssetError as error:
        raise without(error) from error


FAMILY = Family(infos=INFOS, open=_open, smallest={info.name: SMALLEST for info in INFOS}, check=str)
