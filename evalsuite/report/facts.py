"""What the sequences are: geometry, tags and what was found by looking at them, ready to be written."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from evalsuite.report import text
from evalsuite.report.model import Report, Sequence
from evalsuite.report.numbers import number

_MOST_CUTS = 20
"""Cuts that are listed one by one."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What a look at the source found, as text; a dash for what it did not."""

    cuts: str
    """How many there are."""
    cut_frames: str
    """Where they are."""
    faces: str
    noise: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What a sequence is, ready to be written."""

    name: str
    tags: tuple[str, ...]
    """Those of its manifest, then what it was found to be."""
    size: str
    frame_rate: str
    frames: str
    si: float | None
    ti: float | None
    looks: Looks | None = None
    """None where nothing was recorded: in runs of earlier versions, and in publications."""
    reason: str = ""
    """Why something of it is not known."""

    @property
    def listed(self) -> list[tuple[str, str]]:
        """Names and values, in reading order."""
        si, ti = self.information
        pairs = [
            ("content", ", ".join(self.tags) or text.NONE),
            ("size", self.size),
            ("fps", self.frame_rate),
            ("frames", self.frames),
            ("SI", si),
            ("TI", ti),
        ]
        if self.looks is not None:
            pairs += [("cuts", self.looks.cut_frames), ("faces", self.looks.faces), ("noise", self.looks.noise)]
        if self.reason:
            pairs.append(("not known", self.reason))
        return pairs

    @property
    def information(self) -> tuple[str, str]:
        """Spatial and temporal information as text."""
        return _decimal(self.si), _decimal(self.ti)


def facts(report: Report, shown: list[str]) -> list[Facts]:
    """The facts of these sequences, in their order."""
    known = {sequence.label: sequence for sequence in report.sequences}
    return [_facts(known[name]) for name in shown]


def _facts(sequence: Sequence) -> Facts:
    told = sequence.facts
    width, height, frames = (number(told.get(key)) for key in ("width", "height", "frames"))
    return Facts(
        sequence.label,
        tuple(dict.fromkeys(map(str, (*(told.get("tags") or ()), *(told.get("traits") or ()))))),
        text.NONE if width is None or height is None else f"{width:.0f}x{height:.0f}",
        _frames_per_second(told.get("frame_rate")),
        text.count(frames),
        number(told.get("si")),
        number(told.get("ti")),
        _looks(told) if any(told.get(key) is not None for key in ("cuts", "faces_share", "noise")) else None,
        str(told.get("reason") or ""),
    )


def _looks(told: Any) -> Looks:
    cuts = told.get("cuts")
    frames = text.NONE
    if cuts is not None:
        some = ", ".join(map(str, cuts[:_MOST_CUTS])) + (", ..." if len(cuts) > _MOST_CUTS else "")
        frames = f"{len(cuts)}, at frame {some}" if cuts else "none"
    share, most = number(told.get("faces_share")), number(told.get("faces_most"))
    if share is None or most is None:
        faces = text.NONE
    elif most == 0:
        faces = "none"
    else:
        faces = f"{text.percent(100 * share, 0, signed=False)}, up to {most:.0f}"
    return Looks(text.NONE if cuts is None else str(len(cuts)), frames, faces, _decimal(number(told.get("noise"))))


def _frames_per_second(fraction: object) -> str:
    """An exact fraction as a reader has it: `30000/1001` is 29.97."""
    try:
        return f"{float(Fraction(str(fraction))):.5g}"
    except (ValueError, ZeroDivisionError):
        return text.NONE


def _decimal(value: float | None) -> str:
    return text.NONE if value is None else f"{value:.1f}"


def document(report: Report, shown: list[str]) -> list[dict[str, Any]]:
    """The facts, for the table that the page draws against any anchor."""
    return [
        {
            "name": one.name,
            "tags": one.tags,
            "about": ", ".join((one.size, f"{one.frame_rate} fps", f"{one.frames} frames")),
            "si": one.si,
            "ti": one.ti,
            "information": one.information,
        }
        for one in facts(report, shown)
    ]
