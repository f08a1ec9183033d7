"""What entries of a board say of each other: which of a codec's is the latest, and that no two codecs are one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow.parquet as pq

from evalsuite.results.board import Board
from evalsuite.results.entry import Entry, codec_slug
from evalsuite.results.entry_check import Fault

_ONE_DATE = "remove one of the two: a run gives one entry of each codec"
_ONE_CODEC = "remove one of the two, or run the codec that is meant"


def pair_faults(entries: Sequence[Entry], board: Board) -> list[Fault]:
    """Entries of one codec and one date, codecs with the bitstreams of another, and codecs called as an entry is.

    Of two entries it is the later one's fault.

    Args:
        entries: of the board, each of them without a fault of its own.
        board: the protocol.
    """
    by_age = sorted(entries, key=lambda entry: (entry.manifest.date, entry.manifest.id))
    return [
        Fault(f"{board.name}/{entry.folder.name}", text, fix)
        for found in (_of_one_date(by_age), _of_one_content(by_age), _of_one_address(by_age))
        for entry, text, fix in found
    ]


def _of_one_date(by_age: Sequence[Entry]) -> Iterator[tuple[Entry, str, str]]:
    """The latest entry of a codec ranks: of two of one date neither is."""
    first: dict[tuple[str, str], Entry] = {}
    for entry in by_age:
        codec, date = entry.manifest.codec, entry.manifest.date
        if (other := first.setdefault((codec, date), entry)) is not entry:
            yield entry, f"date: {date} is that of another entry of {codec}, {other.folder.name}", _ONE_DATE


def _of_one_content(by_age: Sequence[Entry]) -> Iterator[tuple[Entry, str, str]]:
    """A codec under another name is no other codec, and would rank twice."""
    first: dict[frozenset[str], Entry] = {}
    for entry in by_age:
        other = first.setdefault(_bitstreams(entry), entry)
        if other.manifest.codec != entry.manifest.codec:
            named = f"{other.manifest.codec} in {other.folder.name}"
            yield entry, f"every bitstream of {entry.manifest.codec} is one of {named}, and the reverse", _ONE_CODEC


def _of_one_address(by_age: Sequence[Entry]) -> Iterator[tuple[Entry, str, str]]:
    """Badges of codecs and of entries lie in one folder, so that either would be the other's."""
    ids = {entry.manifest.id for entry in by_age}
    for entry in by_age:
        if (name := codec_slug(entry.manifest.codec)) in ids:
            yield entry, f"codec {entry.manifest.codec} has the file name of the entry {name}", "rename the codec"


def _bitstreams(entry: Entry) -> frozenset[str]:
    wanted = [("codec", "==", entry.manifest.codec)]
    table = pq.read_table(
        entry.folder / "results.parquet", columns=["bitstream_sha256"], filters=wanted, partitioning=None
    )
    return frozenset(table.column(0).drop_null().to_pylist())
