"""Text: can a reader still make out the lines that it reads in the source?

The lines that OCR reads in the source with a high score are what is to be read in the decoded frames. A line that is
found (overlap of 0.5) is compared letter by letter; one that is not found counts with all its letters. Two frames of a
second are read: reading one takes about half a second. Content without text has no score.
The reader is PP-OCRv6 small, as the package rapidocr brings it: Cui et al., "PaddleOCR 3.0 Technical Report", 2025.
"""

from __future__ import annotations

import functools
import math
import unicodedata
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.metrics.base import Arrays, Family, NotMeasured, Setting, View
from evalsuite.metrics.detection import LOOKS_PER_SECOND, looked_at, match
from evalsuite.metrics.detectors import picture
from evalsuite.metrics.networks import missing
from evalsuite.metrics.sparse import Pair, Row, SparseMeter
from evalsuite.types import MetricInfo

RELEASE = "3.10.0"
"""Of rapidocr: its networks come with it, so another release is another metric."""

REFERENCE_SCORE = 0.9
"""Mean probability of the letters from which a line of the source is one to be read."""

SHORTEST = 3
"""Letters of such a line: shorter ones are mostly texture, and ICDAR leaves them out too (Karatzas et al., "ICDAR 2015
Competition on Robust Reading", end-to-end task)."""

_NO_TEXT = "the source shows no text that is sure enough"
_INSTALL = '"evalsuite[text]"'

_SOURCE = f"rapidocr {RELEASE}, PP-OCRv6 small, line by line, by onnxruntime"
_TRAPS = (
    f"The lines to be read are the reader's own in the source, at score {REFERENCE_SCORE:g} or above and with "
    f"{SHORTEST} letters or more: this is fidelity to what it reads, not accuracy. {LOOKS_PER_SECOND} frames of a "
    "second are read. A line that comes out in two pieces is not found. Lines that a codec invents cost nothing. "
    "Letter case, spaces and compatibility forms are not told apart."
)


def _info(name: str, definition: str, *, better: bool, largest: float) -> MetricInfo:
    return MetricInfo(
        name=name,
        family="text",
        unit="",
        higher_is_better=better,
        version=f"1 rapidocr {RELEASE}",
        definition=definition,
        source=_SOURCE,
        range=(0, largest),
        needs=("rgb",),
        traps=_TRAPS,
    )


INFOS = (
    _info(
        "text_cer",
        "character error rate: letters to insert, delete or replace over the letters of the source's lines; a line "
        "that is not found counts with all of its letters; per frame that is read and has text",
        better=False,
        largest=math.inf,
    ),
    _info(
        "text_recall",
        "share of the source's lines that are found and read without an error (ICDAR's end-to-end recall, of lines); "
        "per frame that is read and has text",
        better=True,
        largest=1,
    ),
)


@functools.cache
def _reader() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "critical",
            # Turning lines over by a third network is for scanned pages.
            "Global.use_cls": False,
            # Lines of one batch are padded to the widest: alone, what a line reads as does not hang on the others.
            "Rec.rec_batch_num": 1,
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )


def _read(view: View) -> Arrays:
    lines = _reader()(picture(view))
    corners = np.asarray([] if lines.boxes is None else lines.boxes, np.float32).reshape(-1, 4, 2)
    near, far = corners.min(axis=1), corners.max(axis=1)
    text = "\n".join(plain(line) for line in lines.txts or ())
    return {
        "boxes": np.concatenate([near, far - near], axis=1),
        "scores": np.asarray(lines.scores or (), np.float32),
        "text": np.frombuffer(text.encode(), np.uint8),
    }


def _lines(reading: Arrays) -> list[str]:
    return reading["text"].tobytes().decode().split("\n") if len(reading["scores"]) else []


def plain(line: str) -> str:
    """A line as it is compared: without case, spaces and compatibility forms (full-width letters, ligatures)."""
    return "".join(unicodedata.normalize("NFKC", line).casefold().split())


def edits(first: str, second: str) -> int:
    """Letters to insert, delete or replace to make one text the other: the Levenshtein distance."""
    row = list(range(len(second) + 1))
    for index, letter in enumerate(first, start=1):
        corner, row[0] = row[0], index
        for column, other in enumerate(second, start=1):
            corner, row[column] = row[column], min(row[column] + 1, row[column - 1] + 1, corner + (letter != other))
    return row[-1]


def to_be_read(source: Arrays) -> NDArray[np.bool_]:
    """Which of the lines, (n,), are to be read in the decoded frame."""
    long = np.array([len(line) >= SHORTEST for line in _lines(source)], bool)
    return long & (source["scores"] >= REFERENCE_SCORE)


def compare(source: Arrays, decoded: Arrays) -> tuple[float, float]:
    """Character error rate and recall of one frame whose source has something to be read.

    Args:
        source: `boxes` (n, 4), `scores` (n,), and `text`, the lines as UTF-8 bytes, separated by line feeds.
        decoded: the same of the decoded frame.
    """
    sure = to_be_read(source)
    wanted = [line for line, is_wanted in zip(_lines(source), sure, strict=True) if is_wanted]
    found = match(source["boxes"][sure], source["boxes"][~sure], decoded["boxes"], decoded["scores"])
    read = {reference: line for reference, line in zip(found.tolist(), _lines(decoded), strict=True) if reference >= 0}
    errors = [edits(line, read.get(index, "")) for index, line in enumerate(wanted)]
    return sum(errors) / sum(map(len, wanted)), errors.count(0) / len(wanted)


_VERSION = f"1 rapidocr {RELEASE}"


def _open(_setting: Setting, names: tuple[str, ...]) -> SparseMeter:
    if absent := _check():
        raise NotMeasured("unavailable", "the reader is not installed", fix=absent)
    nothing: Row = (None,) * len(names)

    def score(pair: Pair) -> Row:
        if not looked_at(pair.source):
            return nothing
        source = pair.source.recall("text", _VERSION, lambda: _read(pair.source))
        if not to_be_read(source).any():
            return nothing  # so the decoded frame need not be read
        rate, recall = compare(source, pair.decoded.recall("text", _VERSION, lambda: _read(pair.decoded)))
        return tuple(rate if name == "text_cer" else recall for name in names)

    return SparseMeter(names, score, _NO_TEXT)


def _check() -> str:
    if absent := missing("rapidocr", "onnxruntime", install=_INSTALL):
        return absent
    here = version("rapidocr")
    return (
        "" if here == RELEASE else f"pip install {_INSTALL} (rapidocr {here} is here, another release reads otherwise)"
    )


FAMILY = Family(infos=INFOS, open=_open, smallest={info.name: 32 for info in INFOS}, check=_check)
