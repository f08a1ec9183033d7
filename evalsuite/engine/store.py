"""The results store: SQLite for what was measured, a content-addressed folder for bitstreams.

Only the parent process of a run writes. Every finished encode or measurement is one transaction, so a run that is
killed loses what was in flight and nothing else; two runs may share a store, each adds what the other lacks.
"""

from __future__ import annotations

import json
import math
import time
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from evalsuite.engine.costs import EncodeCost
from evalsuite.engine.storefolder import StoreFolder, settle
from evalsuite.files import is_verified
from evalsuite.types import SHARED, Latency, Series, Status, Timing, Usage

LASTING: tuple[Status, ...] = ("ok", "too_small", "not_applicable")
"""States that measuring again would not change. A metric that failed or was unavailable is tried again."""

LARGEST = 1e300
"""Nothing that a run measures is as much."""

_COSTS = 500
"""Encodes of each codec that the cost model is told of."""

_COST = "wall_s, cpu_s, peak_rss, load_s, ran_alone, timed_on"
_ENCODE = f"sha256, file_bytes, payload_bytes, commands, reconstruction_sha256, {_COST}"
_ORIGIN = "codec, codec_sha256, sequence, pixels, frames, threads"
_UNKNOWN = ("", "", "", None, None, None)


@dataclass(frozen=True, slots=True)
class StoredEncode:
    """One encode in the store: what the bitstream is, and what it cost to make."""

    q: float
    path: Path
    sha256: str
    file_bytes: int
    payload_bytes: int
    usage: Usage
    commands: tuple[tuple[str, ...], ...]
    """One for each pass."""
    timing: Timing = SHARED
    reconstruction_sha256: str = ""
    """Of the frames that the encoder itself reconstructed, where it writes them."""


@dataclass(frozen=True, slots=True)
class StoredDecode:
    """The best-timed decode of a cell."""

    usage: Usage
    command: tuple[str, ...]
    timing: Timing = SHARED
    latency: Latency | None = None
    """Where it was timed by itself, and gave frames enough."""


@dataclass(frozen=True, slots=True)
class Origin:
    """What an encode is of, for whoever wants to know what others will cost; its cell key only tells them apart."""

    codec: str
    codec_sha256: str
    """Of all that the codec is: recipe, binary, version."""
    sequence: str
    pixels: int
    """Luma samples of all frames."""
    frames: int
    threads: int


class Store(StoreFolder):
    """A store folder, opened for one run; see `StoreFolder`."""

    def encode(self, cell_key: str) -> StoredEncode | None:
        """The encode of a cell, or None where there is none or its bitstream is missing or damaged.

        A bitstream is read and hashed the first time that a process asks for it.
        """
        with self.guarded():
            return self._encode("cells WHERE cell_key = ?", (cell_key,))

    def add_encode(
        self,
        cell_key: str,
        q: float,
        bitstream: Path,
        *,
        sha256: str,
        payload_bytes: int,
        usage: Usage,
        commands: tuple[tuple[str, ...], ...],
        timing: Timing = SHARED,
        reconstruction_sha256: str = "",
        origin: Origin | None = None,
        codec_key: str = "",
    ) -> StoredEncode:
        """Move a finished bitstream into the store and record its encode; segments under `codec_key` are dropped.

        Returns:
            What the store has of the cell now. That is another encode where another run was faster and the encoder
            is not deterministic: what has been measured since then is of the first one.
        """
        with self.guarded():
            file_bytes = settle(bitstream)
            stored = StoredEncode(
                *(q, self.bitstream(sha256), sha256, file_bytes, payload_bytes, usage, commands),
                *(timing, reconstruction_sha256),
            )
            with self.transaction():
                # Their files stay until the store is pruned: another run may be joining the same ones.
                self.database.execute("DELETE FROM segments WHERE codec_key = ? AND q = ?", (codec_key, q))
                first = self._encode("cells WHERE cell_key = ?", (cell_key,))
                if first is not None and first.sha256 != sha256:
                    bitstream.unlink()
                    return first
                self.forget_others(cell_key, sha256)
                self.move_in(bitstream, sha256)
                # The same bytes as before, whose file was missing or damaged: a better time stays.
                before = self._encode("cells WHERE cell_key = ?", (cell_key,))
                if before is not None and before.timing.worth > timing.worth:
                    stored = replace(stored, usage=before.usage, timing=before.timing)
                self._record(cell_key, stored, origin)
        return stored

    def share_encode(self, cell_key: str, encode: StoredEncode, origin: Origin) -> None:
        """Record a bitstream of the store under one more cell key: of a cell that differs behind the encoder."""
        with self.guarded(), self.transaction():
            self.forget_others(cell_key, encode.sha256)
            self._record(cell_key, encode, origin)

    def _record(self, cell_key: str, encode: StoredEncode, origin: Origin | None) -> None:
        added = time.time()
        if origin is not None:
            # After all others of the codec, also where the clock was put back.
            find = "SELECT max(added) FROM cells WHERE codec = ? AND codec <> ''"
            (newest,) = self.database.execute(find, (origin.codec,)).fetchone()
            added = added if newest is None else max(added, math.nextafter(newest, math.inf))
        self.database.execute(
            f"INSERT OR REPLACE INTO cells (cell_key, q, {_ENCODE}, {_ORIGIN}, added)"  # noqa: S608
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (cell_key, encode.q, *_row(encode), *(astuple(origin) if origin else _UNKNOWN), added),
        )

    def forget_others(self, cell_key: str, sha256: str) -> None:
        """Forget what was measured on another bitstream of the cell, one that is damaged or missing."""
        query = "SELECT sha256 FROM cells WHERE cell_key = ?1 UNION SELECT sha256 FROM lost WHERE cell_key = ?1"
        if any(other != sha256 for (other,) in self.database.execute(query, (cell_key,)).fetchall()):
            self.database.execute("DELETE FROM scores WHERE cell_key = ?", (cell_key,))
            self.database.execute("DELETE FROM decodes WHERE cell_key = ?", (cell_key,))
        self.database.execute("DELETE FROM lost WHERE cell_key = ?", (cell_key,))

    def segment(self, codec_key: str, q: float, start: int, frames: int) -> StoredEncode | None:
        """The encode of a part of a sequence, as `encode` gives that of the whole."""
        with self.guarded():
            where = "segments WHERE codec_key = ? AND q = ? AND start = ? AND frames = ?"
            return self._encode(where, (codec_key, q, start, frames))

    def segments(self, codec_key: str, q: float) -> list[tuple[int, int]]:
        """First frame and number of frames of each part of an encode that is kept, ascending."""
        with self.guarded():
            query = "SELECT start, frames FROM segments WHERE codec_key = ? AND q = ? ORDER BY start, frames"
            return [(start, frames) for start, frames in self.database.execute(query, (codec_key, q))]

    def drop_segments(self, codec_key: str, q: float) -> None:
        """Forget the parts of an encode; their files stay until the store is pruned."""
        with self.guarded():
            self.database.execute("DELETE FROM segments WHERE codec_key = ? AND q = ?", (codec_key, q))

    def add_segment(
        self,
        codec_key: str,
        q: float,
        start: int,
        frames: int,
        bitstream: Path,
        *,
        sha256: str,
        payload_bytes: int,
        usage: Usage,
        commands: tuple[tuple[str, ...], ...],
        timing: Timing = SHARED,
        reconstruction_sha256: str = "",
    ) -> StoredEncode:
        """Move the bitstream of `frames` frames from `start` on into the store, until the whole is added.

        `codec_key` stands for what the whole's cell key is made of, but for q.
        """
        with self.guarded():
            file_bytes = settle(bitstream)
            stored = StoredEncode(
                *(q, self.bitstream(sha256), sha256, file_bytes, payload_bytes, usage, commands),
                *(timing, reconstruction_sha256),
            )
            with self.transaction():
                self.move_in(bitstream, sha256)
                self.database.execute(
                    f"INSERT OR REPLACE INTO segments (codec_key, q, start, frames, {_ENCODE})"  # noqa: S608
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (codec_key, q, start, frames, *_row(stored)),
                )
        return stored

    def _encode(self, where: str, key: tuple[Any, ...]) -> StoredEncode | None:
        row = self.database.execute(f"SELECT q, {_ENCODE} FROM {where}", key).fetchone()  # noqa: S608
        if row is None:
            return None
        q, sha256, file_bytes, payload_bytes, commands, reconstruction, *usage, ran_alone, timed_on = row
        path = self.bitstream(sha256)
        if not is_verified(path, sha256):
            return None
        return StoredEncode(
            *(_amount(q, -LARGEST), path, sha256, _count(file_bytes), _count(payload_bytes)),
            *(_usage(*usage), _commands(commands)),
            timing=Timing(bool(ran_alone), timed_on),
            reconstruction_sha256=reconstruction,
        )

    def retime_encode(self, cell_key: str, usage: Usage, timing: Timing) -> None:
        """Put another encode's cost in place of the stored one's; the bitstream stays."""
        with self.guarded():
            self.database.execute(
                "UPDATE cells SET wall_s = ?, cpu_s = ?, peak_rss = ?, load_s = ?, ran_alone = ?, timed_on = ?"
                " WHERE cell_key = ?",
                (*_cost(usage, timing), cell_key),
            )

    def decode(self, cell_key: str) -> StoredDecode | None:
        """The decode on record for a cell."""
        with self.guarded():
            row = self.database.execute(
                "SELECT command, wall_s, cpu_s, peak_rss, load_s, ran_alone, timed_on, latency FROM decodes"
                " WHERE cell_key = ?",
                (cell_key,),
            ).fetchone()
            if row is None:
                return None
            command, *usage, ran_alone, timed_on, latency = row
            return StoredDecode(
                _usage(*usage),
                tuple(json.loads(command)),
                Timing(bool(ran_alone), timed_on),
                latency_of(latency) if latency else None,
            )

    def add_decode(self, cell_key: str, decode: StoredDecode) -> None:
        """Record what a decode cost, unless one on record ran alone and this one did not."""
        with self.guarded():
            self._add_decode(cell_key, decode)

    def _add_decode(self, cell_key: str, decode: StoredDecode) -> None:
        self.database.execute(
            "INSERT INTO decodes (cell_key, command, wall_s, cpu_s, peak_rss, load_s, ran_alone, timed_on, latency)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (cell_key) DO UPDATE SET command = excluded.command,"
            " wall_s = excluded.wall_s, cpu_s = excluded.cpu_s, peak_rss = excluded.peak_rss,"
            " load_s = excluded.load_s, ran_alone = excluded.ran_alone, timed_on = excluded.timed_on,"
            " latency = excluded.latency WHERE excluded.ran_alone >= decodes.ran_alone",
            (
                *(cell_key, json.dumps(decode.command), *_cost(decode.usage, decode.timing)),
                json.dumps(asdict(decode.latency)) if decode.latency else None,
            ),
        )

    def scores(self, cell_key: str, versions: dict[str, str]) -> dict[str, Series]:
        """The stored series of a cell, for the metrics in `versions` (version by metric name) that it has."""
        with self.guarded():
            rows = self.database.execute(
                "SELECT metric, version, status, reason, frames, indices FROM scores WHERE cell_key = ?", (cell_key,)
            ).fetchall()
            return {
                metric: Series(
                    *(metric, status, np.frombuffer(frames, "<f8").astype(np.float64), reason),
                    None if indices is None else np.frombuffer(indices, "<i8").astype(np.int64),
                )
                for metric, version, status, reason, frames, indices in rows
                if versions.get(metric) == version
            }

    def add_scores(self, cell_key: str, series: list[Series], versions: dict[str, str], decode: StoredDecode) -> None:
        """Record what one measurement gave, and the decode it was made on, in one transaction."""
        rows = [
            (
                *(cell_key, one.metric, versions[one.metric], one.status, one.reason),
                one.values.astype("<f8").tobytes(),
                None if one.frames is None else one.frames.astype("<i8").tobytes(),
            )
            for one in series
            if one.status in LASTING
        ]
        with self.guarded(), self.transaction():
            self._add_decode(cell_key, decode)
            self.database.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def encode_costs(self) -> list[EncodeCost]:
        """What encodes have cost that are known to be of something: the latest few hundred of each codec."""
        return self._costs("cells")

    def decode_costs(self) -> list[EncodeCost]:
        """The same of decodes. Wall time of one that fed metrics is mostly theirs; CPU time is its own."""
        return self._costs("decodes")

    def _costs(self, table: str) -> list[EncodeCost]:
        with self.guarded():
            # The index gives the latest of each codec in turn: a codec that was used a lot does not hide the others.
            rows = self.database.execute(
                "WITH latest AS (SELECT cell_key, codec, pixels, frames, q, ROW_NUMBER() OVER"  # noqa: S608
                " (PARTITION BY codec ORDER BY added DESC) AS age FROM cells WHERE codec <> '')"
                " SELECT latest.codec, latest.pixels, latest.frames, latest.q, cost.cpu_s, cost.wall_s, cost.peak_rss"
                f" FROM latest JOIN {table} AS cost USING (cell_key) WHERE age <= ?",
                (_COSTS,),
            )
            return [
                EncodeCost(
                    *(codec, _count(pixels), _count(frames), _amount(q, -LARGEST)),
                    *(_amount(cpu_s), _amount(wall_s), _count(peak, 0)),
                )
                for codec, pixels, frames, q, cpu_s, wall_s, peak in rows
            ]


def _row(done: StoredEncode) -> tuple[Any, ...]:
    """The values of `_ENCODE`."""
    return (
        *(done.sha256, done.file_bytes, done.payload_bytes, json.dumps(done.commands), done.reconstruction_sha256),
        *_cost(done.usage, done.timing),
    )


def _cost(usage: Usage, timing: Timing) -> tuple[float | str | None, ...]:
    return usage.wall_s, usage.cpu_s, usage.peak_rss_bytes, usage.load_s, timing.ran_alone, timing.timed_on


def latency_of(text: str) -> Latency:
    """What a record has of a decoder's latency.

    Raises:
        ValueError: it is no JSON, or has no such numbers.
        TypeError: it has other fields.
    """
    values = json.loads(text)
    if not isinstance(values, dict):
        raise TypeError(f"{text[:100]!r} is no latency")
    for name, value in values.items():
        if value is not None or name in ("first_frame_s", "streams"):
            _amount(value)
    return Latency(**values)


def _usage(wall_s: Any, cpu_s: Any, peak_rss_bytes: Any, load_s: Any) -> Usage:
    load = None if load_s is None else _amount(load_s)
    return Usage(_amount(wall_s), _amount(cpu_s), _count(peak_rss_bytes, 0), load)


def _amount(value: Any, least: float = 0) -> Any:
    """The value of a record: SQLite keeps whatever it is given, and a damaged one must not be taken for a measurement.

    Raises:
        ValueError: it is no number of at least `least`.
    """
    if isinstance(value, (int, float)) and least <= value < LARGEST:
        return value
    raise ValueError(f"{value!r} where a number of at least {least:g} belongs")


def _count(value: Any, least: int = 1) -> int:
    if isinstance(value, int):
        return int(_amount(value, least))
    raise ValueError(f"{value!r} where a whole number belongs")


def _commands(text: str) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(command) for command in json.loads(text))
