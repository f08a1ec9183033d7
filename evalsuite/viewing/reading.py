"""Reading the index of pictures as if somebody else had written it: what no run writes is refused in words."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

from evalsuite.errors import StoreError
from evalsuite.viewing.choice import Kind
from evalsuite.viewing.index import (
    KIND,
    NAME,
    SCHEMA,
    Face,
    Index,
    Movie,
    NotShown,
    Shown,
    ShownCell,
    ShownFrame,
    Still,
)

T = TypeVar("T")

_MOST_BYTES = 64 << 20
"""Of an index that is read: that of the demo dataset has 0.2 MB."""

_FILE = re.compile(r"[0-9a-f]{24}\.(webp|mp4)")
"""Names of pictures: of their digest."""
_SHA256 = re.compile(r"[0-9a-f]{64}")
_FIX = "make the pictures again: evalsuite report RUN --out DIR --store STORE"


def is_own(folder: Path) -> bool:
    """Whether nothing but pictures and their index is in a folder: what may be replaced by new ones."""
    if not folder.is_dir():
        return not folder.exists()
    names = {path.name for path in folder.iterdir()}
    if names != {NAME}:
        return all(name == NAME or _FILE.fullmatch(name) for name in names)
    try:
        read_index(folder)
    except StoreError:
        return False
    return True


def read_index(folder: Path) -> Index:
    """Read and check `index.json` of a folder of pictures; the pictures themselves are checked when they are copied.

    Raises:
        StoreError: it is missing, damaged, of another version, or says what no run writes.
    """
    path = folder / NAME
    try:
        if path.is_symlink() or path.stat().st_size > _MOST_BYTES:
            raise _Wrong(f"a plain file of at most {_MOST_BYTES >> 20} MB", "a link, or a larger one")
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
        return _index(_Reader("", document))
    except OSError as error:
        raise StoreError(f"the pictures have no index: {error.strerror}", where=path, fix=_FIX) from error
    except _Wrong as error:
        raise StoreError(
            "the index of the pictures is not one", where=path, expected=error.expected, got=error.got, fix=_FIX
        ) from error
    except (ValueError, RecursionError) as error:
        raise StoreError(
            "the index of the pictures is not valid JSON", where=path, got=str(error)[:200], fix=_FIX
        ) from error


class _Wrong(Exception):  # noqa: N818 - becomes an error with the file's name
    def __init__(self, expected: str, got: object) -> None:
        super().__init__(expected)
        self.expected = expected
        self.got = repr(got)[:100] if not isinstance(got, str) else got[:100]


@dataclass(frozen=True, slots=True)
class _Reader:
    """A value of the document, and where it stands."""

    where: str
    value: Any

    def __getitem__(self, key: str) -> _Reader:
        if not isinstance(self.value, dict) or key not in self.value:
            raise _Wrong(f"{self.where or 'the document'}: an object with {key!r}", self.value)
        return _Reader(f"{self.where}.{key}".lstrip("."), self.value[key])

    def each(self, read: Callable[[_Reader], T]) -> tuple[T, ...]:
        if not isinstance(self.value, list):
            raise _Wrong(f"{self.where}: a list", self.value)
        return tuple(read(_Reader(f"{self.where}[{place}]", one)) for place, one in enumerate(self.value))

    def text(self, pattern: re.Pattern[str] | None = None) -> str:
        if not isinstance(self.value, str) or (pattern and not pattern.fullmatch(self.value)):
            raise _Wrong(f"{self.where}: {f'text like {pattern.pattern}' if pattern else 'text'}", self.value)
        return self.value

    def whole(self, least: int) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not least <= self.value < 1 << 53:
            raise _Wrong(f"{self.where}: a whole number, {least} or more", self.value)
        return self.value

    def number(self) -> float:
        if self.value in ("inf", "-inf"):
            return float(self.value)
        return self.finite()

    def finite(self) -> float:
        if not isinstance(self.value, (int, float)) or isinstance(self.value, bool) or not abs(self.value) < 1e300:
            raise _Wrong(f"{self.where}: a finite number", self.value)
        return float(self.value)

    def rate(self) -> float:
        if not (found := self.finite()) > 0:
            raise _Wrong(f"{self.where}: a number above 0", found)
        return found


def _index(document: _Reader) -> Index:
    for key, value in (("schema", SCHEMA), ("kind", KIND)):
        if (found := document[key].value) != value:
            raise _Wrong(f"{key} {value!r}", found)
    return Index(
        selection=document["selection"].text(),
        sequences=document["sequences"].each(_shown),
        cells=document["cells"].each(_cell),
        frames=document["frames"].each(_frame),
        stills=document["stills"].each(_still),
        clips=document["clips"].each(_movie),
        left_out=document["left_out"].each(
            lambda one: NotShown(one["sequence"].text(), one["codec"].text(), one["reason"].text())
        ),
        no_faces=document["no_faces"].text(),
    )


def _shown(one: _Reader) -> Shown:
    return Shown(
        *(one["name"].text(), one["sha256"].text()),
        *(one["width"].whole(1), one["height"].whole(1), one["frames"].whole(1)),
        *(one["frame_rate"].text(), one["converted"].text()),
    )


def _cell(one: _Reader) -> ShownCell:
    return ShownCell(
        *(one["cell_key"].text(), one["bitstream_sha256"].text()),
        *(one["codec"].text(), one["sequence"].text()),
        *(one["q"].finite(), one["bpp"].rate(), one["target_bpp"].rate()),
    )


def _frame(one: _Reader) -> ShownFrame:
    def why(reason: _Reader) -> tuple[str, str]:
        told = reason.each(_Reader.text)
        if len(told) != 2 or told[0] not in get_args(Kind):
            raise _Wrong(f"{reason.where}: one of {', '.join(get_args(Kind))}, and a codec", reason.value)
        return told[0], told[1]

    return ShownFrame(
        *(one["sequence"].text(), one["target_bpp"].rate(), one["frame"].whole(0)),
        *(one["metric"].text(), one["why"].each(why)),
    )


def _file(one: _Reader) -> tuple[str, str, int]:
    name, digest = one["file"].text(_FILE), one["sha256"].text(_SHA256)
    if not digest.startswith(name[:24]):
        raise _Wrong(f"{one.where}: a file named by its digest {digest}", name)
    return name, digest, one["bytes"].whole(1)


def _still(one: _Reader) -> Still:
    scores = one["scores"]
    if not isinstance(scores.value, dict):
        raise _Wrong(f"{scores.where}: an object", scores.value)
    faces = one["faces"]
    return Still(
        *(*_file(one), one["sequence"].text(), one["cell_key"].text(), one["frame"].whole(0)),
        {metric: scores[metric].number() for metric in scores.value},
        None if faces.value is None else faces.each(_face),
    )


def _face(one: _Reader) -> Face:
    x, y, width, height, score = (one[key].finite() for key in ("x", "y", "width", "height", "score"))
    return Face(x, y, width, height, score)


def _movie(one: _Reader) -> Movie:
    psnr = one["psnr_y_db"]
    return Movie(
        *(*_file(one), one["sequence"].text(), one["cell_key"].text(), one["first"].whole(0), one["frames"].whole(1)),
        None if psnr.value is None else psnr.number(),
    )


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
