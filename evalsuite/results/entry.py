"""Entries of boards: a run folder of one codec beside its anchor, with a manifest that says what it is.

`docs/publishing.md` describes the folder and `docs/entry.schema.json` the manifest. How an entry is made: `entry_make`;
what it is held to: `entry_check`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalsuite.codec.identity import digest_of
from evalsuite.errors import StoreError
from evalsuite.results.conformance import stamp_of
from evalsuite.results.entry_schema import violations_of
from evalsuite.results.load import RESULT_FILES, RunResults, is_unicode

SCHEMA = 1
"""Version of entry.json: a number that grows whenever a reader would have to change."""

MANIFEST = "entry.json"

MAX_BYTES: Mapping[str, int] = {
    MANIFEST: 64 << 10,
    "results.parquet": 4 << 20,
    "frames.parquet": 8 << 20,
    "bd_rate.csv": 2 << 20,
    "summary.json": 4 << 20,
}
"""The most that a file of an entry may have: ten times what the largest board shipped needs."""

_SLUG = 24
_ID_DIGITS = 8
_PLAIN = re.compile(r"[a-z0-9][a-z0-9.-]*(:[a-z0-9.-]+)*")


@dataclass(frozen=True, slots=True)
class Manifest:
    """entry.json: what an entry is of, and the digests of its files."""

    id: str
    """The name of its folder: codec, version and the first digits of `identity`."""
    identity: str
    """sha256 of board, codec, bitstreams and scores: who gets the same from the same codec has the same entry."""
    board: Mapping[str, str | int]
    """Name, version and sha256 of the protocol."""
    codec: str
    anchor: str
    """Another codec of the same run, or the codec itself."""
    preset: str
    codec_version: str
    anchor_version: str
    date: str
    """When the run was finished, UTC: 2026-11-28T04:01:52Z."""
    dataset: str
    sequences: tuple[str, ...]
    evalsuite: str
    """Version of the suite that ran it."""
    licence: str
    """Of the entry's numbers."""
    by: str
    """Who made it, as they want to be named; may be empty."""
    note: str
    """What they want to say of it; may be empty."""
    files: Mapping[str, Mapping[str, int | str]]
    """Bytes and sha256 of each file beside the manifest."""

    @property
    def is_anchor(self) -> bool:
        """Whether the entry is of the board's anchor itself."""
        return self.codec == self.anchor


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry that lies in a folder."""

    folder: Path
    manifest: Manifest


def manifest_of(
    run: RunResults, codec: str, *, licence: str, by: str = "", note: str = "", files: Mapping[str, Any] | None = None
) -> Manifest:
    """What entry.json must say of a run that is reduced to one codec and its anchor.

    Args:
        run: of `codec` and the board's anchor alone, made by a board.
        codec: its name.
        licence: of the numbers.
        by: who made it.
        note: what they say of it.
        files: bytes and sha256 of each file by name.
    """
    summary = run.summary
    facts = {str(one["name"]): one for one in summary["codecs"]}
    anchor = str(summary["request"]["anchor"])
    identity = identity_of(run, codec)
    version = str(facts[codec]["version"])
    return Manifest(
        id=f"{slug(codec)}-{slug(version)}-{identity[:_ID_DIGITS]}",
        identity=identity,
        board=dict(summary["request"]["board"]),
        codec=codec,
        anchor=anchor,
        preset=str(facts[codec]["preset"]),
        codec_version=version,
        anchor_version=str(facts[anchor]["version"]),
        date=utc(str(summary["run"]["finished"])),
        dataset=str(summary["sequences"][0]["dataset"]),
        sequences=tuple(str(one["name"]) for one in summary["sequences"]),
        evalsuite=str(summary["run"]["versions"].get("evalsuite", "")),
        licence=licence,
        by=by,
        note=note,
        files=dict(files or {}),
    )


def identity_of(run: RunResults, codec: str) -> str:
    """sha256 of what an entry is: protocol, codec, bitstreams and their scores; not when, where and by whom."""
    facts = next(one for one in run.summary["codecs"] if one["name"] == codec)
    rows = run.points[run.points["codec"] == codec]
    columns = ("sequence", "cell_key", "bitstream_sha256", "metric", "statistic", "status", "score")
    cells = zip(*(rows[column].tolist() for column in columns), strict=True)
    return digest_of(
        {
            "board": dict(stamp_of(run)),
            "codec": [codec, facts["preset"], facts["version"]],
            # repr tells a float exactly, and NaN and infinity too; a null digest of a failed cell is any gap.
            "points": sorted([*map(_said, cell[:-1]), repr(float(cell[-1]))] for cell in cells),
        }
    )


def _said(value: object) -> str:
    return value if isinstance(value, str) else ""


def utc(text: str) -> str:
    """A time of ISO 8601 as UTC to the second, so that texts sort by age.

    >>> utc("2026-03-01T12:00:00.5+02:00")
    '2026-03-01T10:00:00Z'

    Raises:
        ValueError: it is no time.
    """
    time = datetime.fromisoformat(text)
    zoned = time if time.tzinfo else time.replace(tzinfo=UTC)
    return zoned.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def slug(text: str) -> str:
    """Any text as at most 24 of a-z, 0-9, '.' and '-': part of a folder's name, not unique.

    >>> slug("x265:lowdelay"), slug("0.1.0 code da0f"), slug("é/..")
    ('x265-lowdelay', '0.1.0-code-da0f', 'x')
    """
    words = re.sub(r"[^a-z0-9.]+", "-", text.lower())
    return words[:_SLUG].strip(".-") or "x"


def codec_slug(codec: str) -> str:
    """The file name of a codec, different for different names.

    >>> codec_slug("x265:lowdelay"), codec_slug("X265")
    ('x265_lowdelay', 'x265-28a0f32b')
    """
    if _PLAIN.fullmatch(codec) and len(codec) <= 60:
        return codec.replace(":", "_")
    return f"{slug(codec)}-{hashlib.sha256(codec.encode('utf-8', 'replace')).hexdigest()[:_ID_DIGITS]}"


def manifest_text(manifest: Manifest) -> str:
    """entry.json."""
    return json.dumps({"schema": SCHEMA, **asdict(manifest)}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """The manifest of an entry.

    Raises:
        StoreError: entry.json is missing, too large, or not as `docs/entry.schema.json` says.
    """
    path = folder / MANIFEST
    try:
        if path.is_symlink() or not path.is_file():
            raise StoreError("not an entry: it has no file entry.json", where=folder, fix=ADD)
        if path.stat().st_size > MAX_BYTES[MANIFEST]:
            raise StoreError("entry.json is too large", where=path, expected=f"at most {MAX_BYTES[MANIFEST]} bytes")
        document = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_constant)
    except OSError as error:
        raise StoreError(f"entry.json cannot be read: {error.strerror or error}", where=path) from error
    except (ValueError, RecursionError) as error:
        raise StoreError("entry.json is not valid JSON", where=path, got=str(error)[:200], fix=ADD) from error
    if wrong := violations_of(document, "entry"):
        raise StoreError("entry.json is not as docs/entry.schema.json says", where=path, got=wrong[0], fix=ADD)
    if not is_unicode(document):
        raise StoreError("entry.json holds a text that is no Unicode", where=path, fix=ADD)
    fields = {key: value for key, value in document.items() if key != "schema"}
    return Manifest(**{**fields, "sequences": tuple(fields["sequences"])})


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


ADD = "make the entry with `evalsuite publish --add RUN`, and change nothing by hand"
"""What to do about an entry that is wrong."""

FILES = (*RESULT_FILES, MANIFEST)
"""What the folder of an entry holds, and nothing else."""
