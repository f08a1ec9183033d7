"""Whether two curves may be compared: which properties of the codecs differ, and whether their content is the same.

There is one table of properties. Where one that marks differs, a comparison is "not like with like": it keeps its
number and says so. The others are told and change nothing: that presets or threads differ is what comparisons are of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import pandas as pd

from evalsuite.results.bdrows import Likeness

UNKNOWN = "unknown"
"""How a property is written that nothing tells; it differs from every value that is known."""

RATE_WORDS = {"file": "", "estimate": "estimated rate, no bitstream", "published": "published, not re-run"}
"""What every number of a codec is labelled with, by `rate_source`."""

_TECHNICAL = re.compile(
    r"\d+x\d+|\d+[pi]\d*|\d+(\.\d+)?(fps|hz|f|frames?|bits?|b)|(yuv)?4(20|22|44)(p\d*(le)?)?|yuv|y4m", re.IGNORECASE
)
_SHOWN = 60
_EXTENSION = re.compile(r"\.(yuv|y4m|mp4|mkv|mov|webm|avi)$", re.IGNORECASE)


def said(value: object) -> str:
    """A value of a column as text; a gap is unknown."""
    if value is None or value is pd.NA or value != value:
        return UNKNOWN
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def shortened(text: str) -> str:
    """A text of at most 60 characters for display: of a longer one both ends, since values often differ at the end."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN // 2]}…{text[1 - _SHOWN // 2 :]}"


def _coded_size(value: object) -> str:
    text = said(value)
    return {"1": "full", UNKNOWN: UNKNOWN}.get(text, f"1/{text} of width and height")


def _delay_class(text: str) -> str:
    return text if text in (UNKNOWN, "0") else "some"


@dataclass(frozen=True, slots=True)
class Property:
    """A column of results.parquet in which codecs may differ."""

    title: str
    marks: bool
    """Whether curves that differ in it are not like with like."""
    text: Callable[[object], str] = said
    kind: Callable[[str], str] = str
    """What must be equal for there to be no mark: the text itself, or a class of it."""


PROPERTIES: dict[str, Property] = {
    "structure": Property("structure", marks=True),
    "intra_period": Property("intra period", marks=True),
    "internal_bit_depth": Property("internal bit depth", marks=True),
    "delay": Property("delay in frames", marks=True, kind=_delay_class),
    "rate_source": Property("rate source", marks=True),
    "lookahead": Property("look-ahead", marks=False),
    "scale_divisor": Property("coded size", marks=False, text=_coded_size),
    "rate_control": Property("rate control", marks=False),
    "preset": Property("preset", marks=False),
    "threads": Property("threads", marks=False),
}
"""By column, those that mark first. Why each marks or not: `docs/bd-rate.md`."""

_GEOMETRY = ("frames", "width", "height")

CONTENT_COLUMNS = ("source_sha256", *_GEOMETRY)
"""Columns of results.parquet that say what the content is."""


def likeness(anchor: pd.DataFrame, test: pd.DataFrame) -> Likeness:
    """Compare the properties of two curves.

    Args:
        anchor: rows of results.parquet, one curve, at least one row.
        test: likewise.
    """
    differs: list[str] = []
    unlike: list[str] = []
    for column, known in PROPERTIES.items():
        a, t = (sorted({known.text(value) for value in side[column]}) for side in (anchor, test))
        if len({*a, *t}) > 1:
            differs.append(column)
            if known.marks and len({known.kind(text) for text in (*a, *t)}) > 1:
                unlike.append(f"{known.title} {_shown(a)} against {_shown(t)}")
    rates = ("/".join(sorted(set(side["rate_source"]))) for side in (anchor, test))
    return Likeness(tuple(differs), ", ".join(unlike), *rates)


def rate_caveats(found: Likeness) -> list[str]:
    """What must be said wherever a number comes from: a rate that was not measured on a file."""
    sides = (("anchor", found.anchor_rate), ("test codec", found.test_rate))
    return [
        f"{side}: {RATE_WORDS[source]}"
        for side, sources in sides
        for source in sources.split("/")
        if RATE_WORDS.get(source)
    ]


def other_content(anchor: pd.DataFrame, test: pd.DataFrame) -> str:
    """What says that two curves are not of the same content; empty where they are.

    Digests decide where both sides have one. Published points have none: then frames, width and height must be known
    and equal, and the name of the sequence, by which the curves were brought together, is all else there is.
    """
    columns = _GEOMETRY if matched_by_name(anchor, test) else CONTENT_COLUMNS
    return ", ".join(
        f"{column} {_shown(a)} against {_shown(t)}"
        for column, a, t in _texts(anchor, test, columns)
        if len({*a, *t}) > 1 or a == [UNKNOWN]
    )


def matched_by_name(anchor: pd.DataFrame, test: pd.DataFrame) -> bool:
    """Whether a side has no digest of its source."""
    return any((side["source_sha256"] == "").any() for side in (anchor, test))


def mixed(side: pd.DataFrame, columns: Iterable[str]) -> str:
    """What one curve has in several values where it should have one; empty for none."""
    return ", ".join(f"{column} {_shown(a)}" for column, a, _ in _texts(side, side, columns) if len(a) > 1)


def _shown(texts: Iterable[str]) -> str:
    return "/".join(map(shortened, texts))


def _texts(
    anchor: pd.DataFrame, test: pd.DataFrame, columns: Iterable[str]
) -> Iterable[tuple[str, list[str], list[str]]]:
    for column in columns:
        yield column, sorted({said(v) for v in anchor[column]}), sorted({said(v) for v in test[column]})


def sequence_key(name: str) -> str:
    """A sequence's name without what file names say about its format, for finding the same sequence elsewhere.

    >>> sequence_key("Beauty_1920x1080_120fps_420_8bit_YUV.yuv"), sequence_key("park_joy_1080p50.y4m")
    ('beauty', 'parkjoy')
    """
    words = re.split(r"[\s_.-]+", _EXTENSION.sub("", name.strip()))
    end = next((i for i, word in enumerate(words) if i and _TECHNICAL.fullmatch(word)), len(words))
    return "".join(re.sub(r"[^\w]+", "", word) for word in words[:end]).casefold()
