"""Lock files: what a manifest leaves open, pinned on first use, in a small TOML file that can be committed.

A manifest may name a file whose digest nobody has published, or one that everybody has to get in person. The first use
writes down what was found; from then on anything else is an error. Sequences stand in the order of their names and
fields in a fixed one, so that a version control system shows what has changed and nothing more.
"""

from __future__ import annotations

import datetime
import os
import tomllib
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path, PurePosixPath
from typing import Any

from evalsuite.errors import AssetError, RecipeError, RequestError
from evalsuite.files import locked, storing
from evalsuite.sources import fields
from evalsuite.sources.fields import Table, quoted
from evalsuite.sources.origins import sha256 as digest
from evalsuite.sources.y4m import PIXEL_FORMATS

VERSION = 1
"""Of the format."""

_HEAD = f"""\
# What was found when these sequences were first used: `evalsuite` writes it, and refuses anything else from then on.
# Commit it beside the manifest, and everybody gets the same frames or an error (docs/datasets.md).
version = {VERSION}
"""


@dataclass(frozen=True, slots=True)
class SourcePin:
    """One file that a sequence was made from."""

    sha256: str
    size: int
    date: str
    """Day on which it was pinned, in UTC."""
    url: str = ""
    """Empty for a file of this machine."""
    path: str = ""
    """Of a member of the archive at `url`, or of a local file; relative to the lock file where it is not absolute."""

    @property
    def key(self) -> tuple[str, str]:
        """Where it came from."""
        return self.url, self.path

    @property
    def file(self) -> str:
        """Its name without folders."""
        return PurePosixPath(self.path or self.url).name


@dataclass(frozen=True, slots=True)
class SequencePin:
    """What is pinned of one sequence; empty and None for what is not known yet."""

    name: str
    sources: tuple[SourcePin, ...] = ()
    sha256: str = ""
    """Of the prepared Y4M file."""
    pixel_format: str = ""
    frame_rate: Fraction | None = None
    frames: int | None = None


Pins = Mapping[str, SequencePin]
"""By the names of their sequences."""

_known: dict[tuple[str, int, int, int], Pins] = {}


def written_path(file: Path, folder: Path) -> str:
    """A path as a file in `folder` states it: relative where both stand in one tree that can be moved.

    Raises:
        RequestError: it is not UTF-8, as TOML is.
    """
    tree = folder.absolute().parent
    absolute = file.absolute()
    path = os.path.relpath(absolute, folder.absolute()) if absolute.is_relative_to(tree) else str(absolute)
    try:
        path.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            "the path cannot be written down: it is not UTF-8",
            where=path.encode("utf-8", "surrogateescape").decode("utf-8", "replace"),
            fix="rename the file or folder",
        ) from error
    return path


def today() -> str:
    """The date of a new pin."""
    return datetime.datetime.now(datetime.UTC).date().isoformat()


def read_lock(path: Path) -> Pins:
    """The pins of a lock file; none where there is no such file.

    Raises:
        RecipeError: it is no lock file of this format; says what is wrong with it.
    """
    try:
        with path.open("rb") as stream:
            status = os.fstat(stream.fileno())
            key = (str(path), status.st_size, status.st_mtime_ns, status.st_ino)
            if key not in _known:
                _known[key] = _parse(tomllib.loads(stream.read().decode()), path)
            return _known[key]
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (ValueError, RecursionError) as error:
        raise RecipeError(f"the lock file is not valid TOML: {error}", where=path, fix=_RESTORE) from error
    except OSError as error:
        raise RecipeError(f"the lock file cannot be read: {error.strerror}", where=path) from error


def pin(path: Path, found: SequencePin) -> None:
    """Add what was found of a sequence to a lock file; written as a whole, safe when two processes do.

    Raises:
        AssetError: something else is pinned already; or the file cannot be written.
        RecipeError: the file is no lock file.
    """
    before = read_lock(path).get(found.name)
    if before is not None and _merged(before, found, path) == before:
        return  # so that a folder which nobody may write to can be worked with
    # The lock stands beside the file, not in the cache: processes with caches of their own share the file all the same.
    with locked(path, _not_written):
        pins = dict(read_lock(path))
        before = pins.get(found.name)
        pins[found.name] = found if before is None else _merged(before, found, path)
        _write(path, pins.values())


def _merged(before: SequencePin, found: SequencePin, path: Path) -> SequencePin:
    if before.sha256 and found.sha256 not in ("", before.sha256):
        raise _changed(f"the sequence {found.name}", path, before.sha256, found.sha256)
    sources = {one.key: one for one in before.sources}
    for one in found.sources:
        for old in before.sources:
            # A mirror may have the same frames in other bytes; a local file of the name is meant to be the pinned one.
            if old.sha256 != one.sha256 and (old.key == one.key or (not one.url and old.file == one.file)):
                raise _changed(f"{one.file} of {found.name}", path, old.sha256, one.sha256, old.date)
        if not one.url:
            # Whoever names a local file means that one from now on.
            sources = {key: old for key, old in sources.items() if old.url or key == one.key}
        sources.setdefault(one.key, one)
    return replace(
        found,
        sources=tuple(sources.values()),
        sha256=found.sha256 or before.sha256,
        pixel_format=found.pixel_format or before.pixel_format,
        frame_rate=found.frame_rate or before.frame_rate,
        frames=found.frames or before.frames,
    )


def _changed(what: str, path: Path, pinned: str, found: str, date: str = "") -> AssetError:
    return AssetError(
        f"{what} is not what it was when it was pinned",
        where=path,
        expected=f"sha256 {pinned}" + (f", pinned on {date}" if date else ""),
        got=f"sha256 {found}",
        fix="get the file that was pinned; or, if the new one is meant, remove the sequence from the lock file and use"
        " it again: results of the old one stay what they are",
    )


def _write(path: Path, pins: Iterable[SequencePin]) -> None:
    text = _HEAD + "".join(f"\n{_block(one)}" for one in sorted(pins, key=lambda one: one.name))
    # A name of its own: on a file system without locks two machines may write at once.
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex}.part")
    with storing(path, _not_written):
        try:
            with part.open("w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)


def _not_written(error: OSError, path: Path) -> AssetError:
    return AssetError(
        f"the lock file cannot be written: {error.strerror or error}",
        where=path,
        fix="work in a folder that you may write to: what is found on first use has to be written down",
    )


def _block(one: SequencePin) -> str:
    lines = ["[[sequences]]", f"name = {quoted(one.name)}"]
    if one.sha256:
        lines.append(f"sha256 = {quoted(one.sha256)}")
    if one.pixel_format:
        lines.append(f"pixel_format = {quoted(one.pixel_format)}")
    if one.frame_rate is not None:
        lines.append(f"frame_rate = {quoted(str(one.frame_rate))}")
    if one.frames is not None:
        lines.append(f"frames = {one.frames}")
    for source in one.sources:
        lines += ["", "[[sequences.sources]]"]
        lines += [
            f"{field} = {quoted(value)}" for field, value in (("url", source.url), ("path", source.path)) if value
        ]
        lines += [f"sha256 = {quoted(source.sha256)}", f"size = {source.size}", f"date = {quoted(source.date)}"]
    return "\n".join(lines) + "\n"


_RESTORE = "restore the file from version control, or delete it and use the dataset again"
_date = fields.pattern(r"\d{4}-\d\d-\d\d", "a date such as 2026-01-31")
_name = fields.pattern(fields.NAME.pattern, fields.NAME_IN_WORDS)


def _parse(data: dict[str, Any], path: Path) -> Pins:
    top = Table(data, str(path))
    version = top.take("version", fields.count(1))
    if version != VERSION:
        raise RecipeError(
            "the lock file is of another version", where=path, expected=VERSION, got=version, fix="update evalsuite"
        )
    pins: dict[str, SequencePin] = {}
    for number, table in enumerate(top.get("sequences", fields.tables, []), 1):
        one = _sequence(Table(table, f"{path}, sequence {number}"))
        if one.name in pins:
            raise RecipeError(f"the sequence {one.name} is pinned twice", where=path, fix=_RESTORE)
        pins[one.name] = one
    top.finish()
    return pins


def _sequence(table: Table) -> SequencePin:
    one = SequencePin(
        name=table.take("name", _name),
        sha256=table.get("sha256", digest, ""),
        pixel_format=table.get("pixel_format", fields.choice({name: name for name in PIXEL_FORMATS}), ""),
        frame_rate=table.get("frame_rate", fields.frame_rate, None),
        frames=table.get("frames", fields.count(1), None),
        sources=tuple(
            _source(Table(source, f"{table.where}, source {number}"))
            for number, source in enumerate(table.get("sources", fields.tables, []), 1)
        ),
    )
    table.finish()
    return one


def _source(table: Table) -> SourcePin:
    url, path = table.get("url", fields.text, ""), table.get("path", fields.text, "")
    if not url and not path:
        raise RecipeError("the source is pinned without `url` or `path`", where=table.where, fix=_RESTORE)
    found = SourcePin(
        table.take("sha256", digest), table.take("size", fields.count(0)), table.take("date", _date), url, path
    )
    table.finish()
    return found
