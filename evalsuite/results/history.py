"""The runs that a store has seen: a copy of each one's results, so that any of them can be compared with later.

`STORE` means the latest of them, `STORE@1` the one before, and so on. A copy is a run folder like any other, without
its report.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from evalsuite.errors import RequestError, StoreError
from evalsuite.results.exported import fetch_run, nth_latest
from evalsuite.results.load import RESULT_FILES, RunResults, read_run
from evalsuite.scratch import Scratch

RUNS = "runs"
"""Folder of a store that its runs are kept in."""

_DATABASE = "store.sqlite"

_NAMES = ("name", "codec", "codecs", "anchor", "sequence")
"""Keys of a summary whose values are names, which other files have too, whatever they look like."""

_STAMP = "%Y%m%dT%H%M%S"

_PATH = r"/(?:[^\s/'\":;,]+/)+"
_FOLDERS = re.compile(
    rf"""
      (?<=')/(?:[^'\n]*/)(?=[^'/\n]*')|(?<=")/(?:[^"\n]*/)(?=[^"/\n]*")  # within quotes, where blanks are of the path
    | (?<!\w)file:/+(?:[^\s/'":;,]+/)*                                          # an address of this machine
    | (?<![^\s'"=([,;:])(-[A-Za-z]){_PATH}                               # an option that its path is written behind
    | (?<![\w.~/-]){_PATH}                         # any other; an address of the web has none of the character before
    """,
    re.VERBOSE,
)
"""The folders of an absolute path within a text, and before them an option that stays."""


def keep_run(run: RunResults, store: Path, name: str = "") -> Path:
    """Copy a run's results into the store's history, unless it is there.

    Args:
        run: one that has just ended, which becomes the latest whatever the clock says.
        store: its folder.
        name: of a run that comes from another store's history; it keeps its place among those that are here.

    Returns:
        The copy: named by when the run began, or just after the latest one, so that names sort by age.

    Raises:
        StoreError: the store cannot be written.
    """
    digest = hashlib.sha256((run.folder / "summary.json").read_bytes()).hexdigest()
    there = kept_runs(store)
    for one in there:
        if one.name.endswith(f"-{digest[:8]}"):
            return one
    began = re.sub(r"[^0-9TZ]", "", str(run.summary["run"]["started"]).replace("+00:00", "Z"))
    kept = store / RUNS / (name or f"{_after(began, there)}-{digest[:8]}")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        with Scratch(store / "tmp") as temporary:
            whole = temporary / "run"
            whole.mkdir()
            for name in RESULT_FILES:
                shutil.copyfile(run.folder / name, whole / name)
                with (whole / name).open("rb") as file:
                    os.fsync(file.fileno())
            whole.replace(kept)
    except OSError as error:
        raise StoreError(
            f"the run cannot be kept in the store: {error.strerror or error}",
            where=kept,
            fix="free some space or make the folder writable; the results themselves are written",
        ) from error
    return kept


def _after(began: str, there: list[Path]) -> str:
    """The time, or one second after the latest run's name where that is not before it: the clock was put back."""
    for latest in reversed(there):
        try:
            next_second = datetime.strptime(latest.name[:15], _STAMP) + timedelta(seconds=1)
        except (ValueError, OverflowError):
            continue  # not a name that this module gives
        return began if began[:15] > latest.name[:15] else f"{next_second.strftime(_STAMP)}Z"
    return began


def accept_run(run: RunResults, folder: Path) -> None:
    """Keep a run as a baseline that can be committed: its results, without the paths and commands of its machine.

    Raises:
        StoreError: the folder cannot be written.
    """
    summary = without_machine(run.summary)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".writing-") as temporary:
            new = Path(temporary)
            for name in RESULT_FILES[:-1]:
                shutil.copyfile(run.folder / name, new / name)
            text = json.dumps(summary, indent=1, allow_nan=False, ensure_ascii=False)
            (new / RESULT_FILES[-1]).write_text(text + "\n", encoding="utf-8")
            for name in RESULT_FILES:
                (new / name).replace(folder / name)
    except OSError as error:
        raise StoreError(
            f"the baseline cannot be written: {error.strerror or error}", where=folder, fix="give another folder"
        ) from error


def without_machine(summary: Mapping[str, Any]) -> dict[str, Any]:
    """A summary without what is of one machine alone: paths, commands as they were run, and its environment.

    The codecs' own command templates stay, and so do the messages of failures.
    """
    return {
        **summary,
        "request": without_paths({**summary["request"], "command": []}),
        "run": {**without_paths(summary["run"]), "environment": {}},
        "codecs": without_paths(summary["codecs"]),
        "sequences": without_paths(summary["sequences"]),
        "commands": [],
        "failures": without_paths([{**one, "command": [], "stderr_tail": ""} for one in summary["failures"]]),
    }


def without_paths(value: Any) -> Any:
    """The value with the last part of every absolute path in its place, in texts and keys too.

    >>> without_paths({"binary": "/usr/bin/tvc", "why": "no '/home/my files/a.y4m', see https://example.com/a"})
    {'binary': 'tvc', 'why': "no 'a.y4m', see https://example.com/a"}
    """
    if isinstance(value, dict):
        found: dict[str, Any] = {}
        for key, one in value.items():
            short = name = without_paths(key)
            number = 1
            while name in found:  # two paths may end alike, and neither is to be lost
                number += 1
                name = f"{short} ({number})"
            found[name] = one if key in _NAMES else without_paths(one)
        return found
    if isinstance(value, list):
        return [without_paths(one) for one in value]
    if not isinstance(value, str):
        return value
    return Path(value).name if Path(value).is_absolute() else _FOLDERS.sub(lambda found: found[1] or "", value)


def open_run(text: str) -> RunResults:
    """The run that a path means: the folder of a run or of published points, or a store's latest run.

    Args:
        text: a folder, or the address of a run folder or of an exported store (`evalsuite.remote`), whose files are
            fetched into the cache; a store's may end in `@N`, the N-th run before its latest.

    Raises:
        RequestError: it is neither, or the store has no such run.
        StoreError: a file of the run is missing, damaged or of another version.
        AssetError: the address cannot be read.
    """
    if "://" in text:
        return read_run(fetch_run(text))
    path, back = Path(text), 0
    if not path.exists() and (found := re.fullmatch(r"(.+)@(\d{1,6})", text)):
        path, back = Path(found[1]), int(found[2])
    if (path / "summary.json").is_file() and not back:
        return read_run(path)
    if not (path / _DATABASE).is_file():
        expected = "a folder that `evalsuite run --out` or `evalsuite import` wrote, or a store's folder"
        got, fix = "no such folder", None
        if path.is_dir():
            got = "a folder without summary.json and without store.sqlite"
        elif path.exists():
            got, fix = "a file", f"give the folder of a run: {path.parent}" if path.name in RESULT_FILES else None
        elif "@" in path.name and path.with_name(path.name.rpartition("@")[0]).is_dir():
            expected, got = "STORE@N, the N-th run before its latest", f"@{path.name.rpartition('@')[2]}"
        raise RequestError("this is neither a run nor a store", where=path, expected=expected, got=got, fix=fix)
    runs = kept_runs(path)
    return read_run(path / RUNS / nth_latest([one.name for one in runs], back, path))


def kept_runs(store: Path) -> list[Path]:
    """The runs in a store's history, the latest last."""
    return sorted(one for one in (store / RUNS).glob("[0-9]*") if one.is_dir())
