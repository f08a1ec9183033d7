"""What the report takes for granted about summary.json, checked before anything is drawn from it.

The reader of run folders checks the shape of the document; the entries of its lists are checked here, so that a summary
that was edited or written by another program is refused by name and not by a traceback.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from evalsuite.errors import StoreError
from evalsuite.results.layout import RERUN
from evalsuite.results.load import RunResults

_TEXT = (str,)
_NUMBER = (int, float)
_GAP = (type(None),)

_BD_NUMBERS = (
    *("bd_rate_percent", "ci_low", "ci_high", "bd_quality", "overlap", "change_low", "change_high", "noise_floor"),
    *("median", "lowest", "highest", "log_mean", "log_ci_low", "log_ci_high", "win_rate"),
    *("quality_ci_low", "quality_ci_high"),
)

_ENTRIES: dict[str, dict[str, tuple[type, ...]]] = {
    "codecs": {"name": _TEXT, "files": (dict,)},
    "sequences": {"name": _TEXT},
    "metrics": {"name": _TEXT, "higher_is_better": (bool, *_GAP)},
    "rate_match": {
        "codec": _TEXT,
        "sequence": _TEXT,
        "target_bpp": _NUMBER,
        "bpp": _NUMBER,
        "deviation_percent": _NUMBER,
        "q": _NUMBER,
        "encodes": (int, *_GAP),
    },
    "commands": {
        "cell_key": _TEXT,
        "codec": _TEXT,
        "sequence": _TEXT,
        "q": _NUMBER,
        "encode": (list,),
        "decode": (list,),
    },
    "failures": {
        "cell_key": _TEXT,
        "codec": _TEXT,
        "sequence": _TEXT,
        "q": (*_NUMBER, *_GAP),
        "stage": _TEXT,
        "message": _TEXT,
        "command": (list,),
        "stderr_tail": _TEXT,
    },
    "bd_rate": {
        "metric": _TEXT,
        "anchor": _TEXT,
        "test": _TEXT,
        "sequence": _TEXT,
        "status": _TEXT,
        "reason": _TEXT,
        **dict.fromkeys(_BD_NUMBERS, (*_NUMBER, *_GAP)),
        **dict.fromkeys(("points_anchor", "points_test", "sequences", "crossings"), (int,)),
        **dict.fromkeys(("differs", "unlike", "anchor_rate", "test_rate"), _TEXT),
    },
}
_OPTIONAL: dict[str, dict[str, tuple[type, ...]]] = {
    "codecs": {
        "preset": (*_TEXT, *_GAP),
        "trained_on": (list,),
        "encode": (list,),
        "decode": (list,),
        "scale": (dict, *_GAP),
    },
    "sequences": {"dataset": _TEXT, "unsteady": _TEXT, "tags": (list,), "traits": (list,), "cuts": (list, *_GAP)},
    "metrics": {"range": (list,)},
}
_RECORDS: dict[str, dict[str, tuple[type, ...]]] = {
    "run": {"machine": (dict,), "environment": (dict,), "versions": (dict,), "timing": (dict,)},
    "request": {"command": (list,)},
}


def check_run(run: RunResults) -> None:
    """Refuse a run whose summary lacks what the report needs.

    Raises:
        StoreError: the first entry that is wrong, and what it should be.
    """
    for where, key, value, kinds in _facts(run.summary):
        # A truth value is a number to Python, but not here.
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise StoreError(
                f"not a summary that can be reported: {where} has no usable {key}",
                where=run.folder / "summary.json",
                expected=" or ".join("null" if kind is type(None) else kind.__name__ for kind in kinds),
                got="nothing" if value is ... else repr(value)[:100],
                fix=RERUN,
            )
    _check_points(run)


def _check_points(run: RunResults) -> None:
    """Points of what the summary does not describe, or that no encode can have."""
    for column, key in (("codec", "codecs"), ("sequence", "sequences")):
        described = {entry["name"] for entry in run.summary[key]}
        if unknown := [name for name in run.points[column].unique() if name not in described]:
            raise StoreError(
                f"results that cannot be reported: summary.json does not describe the {column} of some points",
                where=run.folder,
                got=", ".join(map(str, unknown[:4])),
                fix=RERUN,
            )
    for column in ("bpp", "kbps", "bytes", "frames", "frame_rate"):
        if (run.points[column] <= 0).any():
            raise StoreError(
                f"results that cannot be reported: {column} of some points is not above zero",
                where=run.folder,
                fix=RERUN,
            )


def _facts(summary: Mapping[str, Any]) -> Iterator[tuple[str, str, Any, tuple[type, ...]]]:
    """Each fact that is needed: where it stands, its key, its value (... where it is missing), its possible types."""
    for name, fields in _ENTRIES.items():
        for index, entry in enumerate(summary[name]):
            where = f"{name}[{index}]"
            yield from ((where, key, entry.get(key, ...), kinds) for key, kinds in fields.items())
            yield from (
                (where, key, entry[key], kinds) for key, kinds in _OPTIONAL.get(name, {}).items() if key in entry
            )
            for key in ("tags", "traits") if name == "sequences" else ():
                if isinstance(listed := entry.get(key), list):
                    yield from ((where, key, one, _TEXT) for one in listed)
    for name, fields in _RECORDS.items():
        record = summary[name]
        yield from ((name, key, record[key], kinds) for key, kinds in fields.items() if key in record)
