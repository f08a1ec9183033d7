"""What records of a store must be like, as conditions in SQL: whoever wrote the database, it is used only so far."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass

from evalsuite.engine.store import LARGEST, LASTING, latency_of


def _is_amount(name: str) -> str:
    # What is infinite is above all numbers, and text above that.
    return f"(typeof({name}) IN ('integer', 'real') AND {name} >= 0 AND {name} < {LARGEST!r})"


def _is_count(name: str, least: int = 1) -> str:
    return f"(typeof({name}) = 'integer' AND {name} >= {least})"


_COST = (
    f"{_is_amount('wall_s')} AND {_is_amount('cpu_s')} AND {_is_count('peak_rss', 0)}"
    f" AND (load_s IS NULL OR {_is_amount('load_s')}) AND ran_alone IN (0, 1)"
)
_ENCODE = (
    f"typeof(q) IN ('integer', 'real') AND abs(q) < {LARGEST!r}"
    " AND length(sha256) = 64 AND sha256 NOT GLOB '*[^0-9a-f]*'"
    f" AND {_is_count('file_bytes')} AND {_is_count('payload_bytes')}"
    f" AND are_commands(CAST(commands AS BLOB)) AND {_COST}"
)
_ORIGIN = " AND ".join(
    f"({name} IS NULL AND codec = '' OR {_is_count(name)})" for name in ("pixels", "frames", "threads")
)
_STATES = ", ".join(f"'{status}'" for status in LASTING)
_HAS_CELL = "(cell_key IN (SELECT cell_key FROM cells) OR cell_key IN (SELECT cell_key FROM lost))"


def _are_text(*names: str) -> str:
    kinds = " AND ".join(f"typeof({name}) = 'text'" for name in names)
    return f"{kinds} AND is_text(CAST({' || '.join(names)} AS BLOB))"


@dataclass(frozen=True, slots=True)
class Rule:
    """What the records of a table must fulfil."""

    table: str
    condition: str
    what: str
    """What is wrong with one that does not."""
    key: str = "cell_key"
    """What to call a record."""


_OF_SEGMENT = "codec_key || ' q ' || q || ' from frame ' || start"
_OF_SCORES = "cell_key || ' ' || metric"

RULES = (
    Rule(
        "cells",
        f"{_are_text('cell_key', 'reconstruction_sha256', 'timed_on', 'codec', 'codec_sha256', 'sequence')}"
        f" AND {_ORIGIN} AND (added IS NULL OR {_is_amount('added')}) AND {_ENCODE}",
        "an encode's record is not one that a run writes",
    ),
    Rule(
        "segments",
        f"{_are_text('codec_key', 'reconstruction_sha256', 'timed_on')}"
        f" AND {_is_count('frames')} AND {_is_count('start', 0)} AND {_ENCODE}",
        "a segment's record is not one that a run writes",
        _OF_SEGMENT,
    ),
    Rule(
        "decodes",
        f"{_are_text('cell_key', 'timed_on')} AND is_command(CAST(command AS BLOB))"
        f" AND (latency IS NULL OR is_latency(CAST(latency AS BLOB))) AND {_COST}",
        "a decode's record is not one that a run writes",
    ),
    Rule(
        "scores",
        "typeof(frames) = 'blob' AND length(frames) % 8 = 0"
        " AND (indices IS NULL OR typeof(indices) = 'blob' AND length(indices) = length(frames))",
        "scores are not of 8 bytes each, or not as many as their frames",
        _OF_SCORES,
    ),
    Rule(
        "scores",
        f"{_are_text('cell_key', 'metric', 'version', 'reason')} AND status IN ({_STATES})",
        "a record of scores is not one that a run writes",
        _OF_SCORES,
    ),
    Rule("lost", _are_text("cell_key", "sha256"), "the record of a lost bitstream is not one that a repair writes"),
)
"""By which a record can be read at all."""

ORPHANS = (
    Rule("scores", _HAS_CELL, "scores of no cell", _OF_SCORES),
    Rule("decodes", _HAS_CELL, "a decode of no cell"),
)
"""By which a record is of use."""


def wrong_records(database: sqlite3.Connection, rule: Rule) -> list[str]:
    """What to call each record that breaks the rule."""
    _teach(database)
    keys = database.execute(f"SELECT CAST({rule.key} AS BLOB) {_wrong(rule)}").fetchall()
    return [(key or b"?").decode("utf-8", "replace") for (key,) in keys]


def remove_wrong(database: sqlite3.Connection, rule: Rule) -> None:
    """Remove each record that breaks the rule."""
    _teach(database)
    database.execute(f"DELETE {_wrong(rule)}")


def _wrong(rule: Rule) -> str:
    # What is unknown (null) is not right.
    return f"FROM {rule.table} WHERE ({rule.condition}) IS NOT 1"


def _teach(database: sqlite3.Connection) -> None:
    # They are given bytes: text that is not UTF-8 would not reach them.
    database.create_function("is_text", 1, _is_text, deterministic=True)
    database.create_function("is_command", 1, _is_command, deterministic=True)
    database.create_function("are_commands", 1, _are_commands, deterministic=True)
    database.create_function("is_latency", 1, _is_latency, deterministic=True)


def _is_text(text: bytes | None) -> bool:
    try:
        return text is not None and text.decode() is not None
    except UnicodeDecodeError:
        return False


def _is_command(text: bytes | None) -> bool:
    return _are_words(_parsed(text))


def _are_commands(text: bytes | None) -> bool:
    value = _parsed(text)
    return isinstance(value, list) and all(_are_words(one) for one in value)


def _is_latency(text: bytes | None) -> bool:
    try:
        return latency_of((text or b"").decode()) is not None
    except (ValueError, TypeError, RecursionError):
        return False


def _are_words(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(word, str) for word in value)


def _parsed(text: bytes | None) -> object:
    try:
        return json.loads(text or b"")
    except (ValueError, RecursionError):
        return None
