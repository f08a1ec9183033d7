"""What people were shown: the sequences of a study, and the key that tells what its blind names stand for."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalsuite.errors import RequestError, did_you_mean

KEY_SCHEMA = 1
"""Version of key.json."""


@dataclass(frozen=True, slots=True)
class Stimulus:
    """One sequence as it was shown. What the votes do not tell is empty or None."""

    name: str
    """What the votes call it: a blind name, a cell key, a codec or a row's number."""
    sequence: str = ""
    codec: str = ""
    q: float | None = None
    target_bpp: float | None = None
    cell_key: str = ""
    is_source: bool = False
    """Whether it is the source itself, as a hidden reference."""

    @property
    def label(self) -> str:
        """For tables: codec, sequence and rate where they are known."""
        if not self.codec:
            return self.name
        point = ""
        if self.target_bpp is not None:
            point = f"{self.target_bpp:.4g} bpp"
        elif self.q is not None:
            point = f"q {self.q:g}"
        return " ".join(filter(None, (self.codec, self.sequence, point)))


def read_key(path: Path) -> dict[str, Stimulus]:
    """The stimuli of a study by their blind names, from the key.json that `evalsuite study make` wrote.

    Raises:
        RequestError: it cannot be read, or is no such file.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RequestError(f"the key cannot be read: {error.strerror or error}", where=path) from error
    except (ValueError, RecursionError) as error:
        raise _bad_key(path, str(error)[:200]) from error
    entries = document.get("stimuli") if isinstance(document, dict) else None
    if not isinstance(entries, dict) or document.get("schema") != KEY_SCHEMA:
        raise _bad_key(path, "another document")
    return {name: _stimulus(path, name, entry) for name, entry in entries.items()}


def resolve(name: str, key: Mapping[str, Stimulus], where: object) -> Stimulus:
    """The stimulus that a blind name stands for.

    Raises:
        RequestError: the key does not know it.
    """
    if name not in key:
        raise RequestError(
            f"the key does not know the stimulus {name[:80]!r}",
            where=where,
            fix=f"give the key.json of the study that these votes are of; {did_you_mean(name[:80], key)}",
        )
    return key[name]


def _stimulus(path: Path, name: str, entry: Any) -> Stimulus:
    if not isinstance(entry, dict):
        raise _bad_key(path, f"{name[:80]} is no object")
    texts = {field: entry.get(field, "") for field in ("sequence", "codec", "cell_key")}
    numbers = {field: entry.get(field) for field in ("q", "target_bpp")}
    for field, text in texts.items():
        if not isinstance(text, str):
            raise _bad_key(path, f"{field} of {name[:80]} is no text")
    for field, number in numbers.items():
        if number is not None and not _is_finite(number):
            raise _bad_key(path, f"{field} of {name[:80]} is no number")
    q, target = (None if number is None else float(number) for number in numbers.values())
    return Stimulus(name, **texts, q=q, target_bpp=target, is_source=entry.get("is_source") is True)


def _is_finite(value: Any) -> bool:
    try:
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        return False


def _bad_key(path: Path, got: str) -> RequestError:
    return RequestError(
        "not the key of a study",
        where=path,
        expected=f"the key.json, schema {KEY_SCHEMA}, that `evalsuite study make` wrote",
        got=got,
    )
