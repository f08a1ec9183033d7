"""What a source is like, whatever codes it: part of the record of a run, and what subsets are chosen by.

Spatial and temporal information and cuts are of every frame; noise and faces of one frame a second, from the first on.
Each figure is kept by itself with the other features of the source, so that it is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

import numpy as np

from evalsuite.assets import is_present
from evalsuite.engine.features import FeatureCache
from evalsuite.errors import EvalError
from evalsuite.metrics.base import Arrays, Recall, Setting, View
from evalsuite.metrics.detectors import REFERENCE_SIDE, YUNET, Detector, reduction, yunet
from evalsuite.sources import noise, scenecuts, siti
from evalsuite.sources.colour import RGB_VERSION, is_convertible
from evalsuite.sources.reader import open_video
from evalsuite.types import Frame, Sequence

_FACES_VERSION = "1"
"""Changes whenever the count of faces could, the detector being the same."""


@dataclass(frozen=True, slots=True)
class Content:
    """What a source is like; None where there is no such figure. Levels are of 8 bits, black at 0 and white at 255."""

    si: float | None = None
    """Largest spatial information of any frame, in levels."""
    ti: float | None = None
    """Largest temporal information of any frame, in levels: that of a cut where there is one."""
    ti_median: float | None = None
    """Its median over the frames: what moves, cuts aside."""
    cuts: tuple[int, ...] | None = None
    """Indices of the frames that begin a scene, but for the first of all."""
    noise: float | None = None
    """Standard deviation of the noise of luma, in levels: the median of the frames looked at."""
    faces_share: float | None = None
    """Of the frames looked at, how many show a face."""
    faces_most: int | None = None
    """Largest number of faces in any of them."""
    traits: tuple[str, ...] = ()
    """Which of `TRAITS` it has."""
    reason: str = ""
    """Why a figure is missing that could be had: the source cannot be read, or the face detector is not here."""

    @classmethod
    def unknown(cls, reason: str) -> Content:
        """Of a source that could not be looked at."""
        return cls(reason=reason)


def _at_least(value: float | None, limit: float) -> bool:
    return value is not None and value >= limit


TRAITS: Mapping[str, Callable[[Content], bool]] = {
    "cuts": lambda content: bool(content.cuts),
    "detailed": lambda content: _at_least(content.si, 95),
    "faces": lambda content: _at_least(content.faces_share, 0.5),
    "high-motion": lambda content: _at_least(content.ti_median, 12),
    "low-motion": lambda content: content.ti_median is not None and content.ti_median < 5,
    "noisy": lambda content: _at_least(content.noise, 3),
}
"""What can be said of a source by its figures; docs/datasets.md has the limits in words, and where they come from."""


def content_of(sequence: Sequence, features: FeatureCache) -> Content:
    """What a source is like; computed once for each source that `features` keeps.

    A source that cannot be read is no error here: its content is unknown, and says why. Nothing is fetched: faces are
    counted where the detector is on this machine, as after `fetch_detector`.

    Args:
        sequence: the source.
        features: where the figures are kept.
    """
    span = "full" if sequence.colour.full_range else "limited"
    try:
        with features.source(content=sequence.sha256, range=span) as kept:
            content = _faces(sequence, kept, _signal(sequence, kept))
    except (EvalError, OSError) as error:
        return Content.unknown(str(error).splitlines()[0])
    return replace(content, traits=tuple(name for name, has in TRAITS.items() if has(content)))


def fetch_detector() -> None:
    """Have the face detector on this machine.

    Raises:
        AssetError: it cannot be had.
    """
    yunet()


def _signal(sequence: Sequence, kept: Recall) -> Content:
    """The figures of luma."""
    # One record for the whole source: it is a few bytes a frame.
    information = kept.get("siti", siti.VERSION, 0, partial(_si_ti, sequence))
    cuts = kept.get("cuts", scenecuts.VERSION, 0, partial(_cuts, sequence))
    sigma = kept.get("noise", noise.VERSION, 0, partial(_noise, sequence))["sigma"]
    si, ti = information["si"], information["ti"]
    return Content(
        si=float(si.max()) if si.size else None,
        ti=float(ti.max()) if ti.size else None,
        ti_median=float(np.median(ti)) if ti.size else None,
        cuts=scenecuts.cuts(cuts["scores"]),
        noise=float(np.median(sigma)) if sigma.size else None,
    )


def _faces(sequence: Sequence, kept: Recall, content: Content) -> Content:
    """The content with its faces, where the detector is here and the source is one that it takes."""
    colour, sides = sequence.colour, (sequence.format.width, sequence.format.height)
    if colour.transfer != "sdr" or not is_convertible(colour) or min(sides) < REFERENCE_SIDE:
        return content
    # A run that asks for no faces must not wait for a network.
    if not any(map(is_present, YUNET.sources)):
        return replace(content, reason="faces are not counted: the face detector is not on this machine")
    detector = yunet()
    version = f"{_FACES_VERSION} {detector.version} {detector.reference_score} {REFERENCE_SIDE} {colour} {RGB_VERSION}"
    counts = kept.get("facecount", version, 0, partial(_face_counts, sequence, detector))["counts"]
    return replace(content, faces_share=float(np.mean(counts > 0)), faces_most=int(counts.max()))


def _si_ti(sequence: Sequence) -> Arrays:
    frames = open_video(sequence.path)
    si, ti = siti.si_ti(frames, sequence.format.bit_depth, full_range=sequence.colour.full_range)
    return {"si": si, "ti": ti}


def _cuts(sequence: Sequence) -> Arrays:
    return {"scores": scenecuts.cut_scores(open_video(sequence.path), sequence.format.bit_depth)}


def _noise(sequence: Sequence) -> Arrays:
    depth, full_range = sequence.format.bit_depth, sequence.colour.full_range
    found = (noise.noise_sigma(frame[0], depth, full_range=full_range) for frame in _one_a_second(sequence))
    return {"sigma": np.array([sigma for sigma in found if sigma is not None])}


def _face_counts(sequence: Sequence, detector: Detector) -> Arrays:
    setting = Setting(sequence.format, sequence.colour, sequence.frame_rate)
    counts = []
    for frame in _one_a_second(sequence):
        view = View(frame, setting)
        faces = detector.find(view)
        large = faces["boxes"][:, 2:].min(axis=1, initial=np.inf) >= REFERENCE_SIDE / reduction(view)
        counts.append(np.count_nonzero(large & (faces["scores"] >= detector.reference_score)))
    return {"counts": np.array(counts)}


def _one_a_second(sequence: Sequence) -> Iterator[Frame]:
    return islice(open_video(sequence.path), 0, None, max(1, round(sequence.frame_rate)))
