"""CompressAI's result JSON: `{"name", "description", "results": {figure: [one number for each rate point]}}`.

Its tools write means over a dataset, so the points are of an averaged curve; a file of the video evaluation that names
its `source` is one point of one sequence. The video tools give the same key (`psnr-y`) to the mean of the frames' PSNR
and to the PSNR of the mean error, so no figure here is taken for one of the suite's. Older versions of
`compressai.utils.video.bench` write `y_psnr` and a `bitrate` in kilobytes per second.

Source: github.com/InterDigitalInc/CompressAI, compressai/utils and results.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from evalsuite.errors import RequestError
from evalsuite.results.published.base import (
    Figure,
    Given,
    Publication,
    PublishedPoint,
    Source,
    finite,
    number,
    read_json,
    refused,
)

_OLD_BENCH = ("rgb_psnr", "y_psnr")
_TIMES = ("encoding_time", "decoding_time")
_Q = ("qp", "q", "crf", "quality")


def read(path: Path, given: Given) -> Publication:
    """Read one file.

    Raises:
        RequestError: it cannot be read, is not of this format, or has means over a dataset that is not named.
    """
    document = read_json(path)
    results = document.get("results") if isinstance(document, dict) else None
    if not isinstance(results, dict) or not results:
        raise refused(path, "no results", '{"name": ..., "results": {"bpp": [...], "psnr-rgb": [...]}}', repr(document))
    columns = {
        key: value if isinstance(value, list) else [value] for key, value in results.items() if key not in _TIMES
    }
    count = len(next(iter(columns.values()), []))
    if not count or any(len(column) != count for column in columns.values()):
        lengths = ", ".join(f"{key}: {len(column)}" for key, column in columns.items())
        raise refused(path, "figures of different lengths", "one number for each rate point", lengths or "nothing")
    source = _source(path, document, given)
    rates = {key: _numbers(path, columns.pop(key), key) for key in ("bpp", "bitrate") if key in columns}
    if not rates:
        raise refused(path, "no rate", "bpp or bitrate", ", ".join(columns))
    if any(key in columns for key in _OLD_BENCH) and "bitrate" in rates:
        rates["bitrate"] = [8 * value for value in rates["bitrate"]]
    labels = next((columns.pop(key) for key in _Q if key in columns), list(range(count)))
    scores = {_name(key): _numbers(path, column, key) for key, column in columns.items()}
    if len(scores) < len(columns):
        raise refused(path, "two figures of one name", "names that differ in letters or digits", ", ".join(columns))
    points = tuple(
        PublishedPoint(
            source=source,
            label=str(labels[i])[:200],
            scores={name: column[i] for name, column in scores.items()},
            q=_q(labels[i]) if any(key in results for key in _Q) else None,
            bpp=finite(rates["bpp"][i]) if "bpp" in rates else None,
            kbps=finite(rates["bitrate"][i]) if "bitrate" in rates else None,
        )
        for i in range(count)
    )
    name = document.get("name")
    return Publication(
        codec=name if isinstance(name, str) and name else None,
        points=points,
        figures=tuple(_figure(key) for key in columns),
        remarks=str(document.get("description") or "")[:500],
    )


def _source(path: Path, document: dict[str, Any], given: Given) -> Source:
    name = document.get("source")
    if isinstance(name, str) and name:
        return Source(name, given.dataset or "")
    if not given.dataset:
        raise RequestError(
            "the points are means over a dataset that the file does not name",
            where=path,
            fix="say which with --dataset, such as --dataset UVG-1080p",
        )
    return Source(f"mean of {given.dataset}", given.dataset, averaged=True)


def _numbers(path: Path, column: list[Any], key: str) -> list[float]:
    return [number(path, value, key) for value in column]


def _name(key: str) -> str:
    return f"{re.sub(r'[^a-z0-9]+', '_', key.casefold()).strip('_') or 'figure'}_compressai"


def _figure(key: str) -> Figure:
    name, text = _name(key), key.casefold()
    definition = f"{key!r} as CompressAI published it"
    if "psnr" in text:
        return Figure(name, f"{definition}; mean over frames or of the mean error, its tools differ", "dB")
    if "ssim" in text:
        return Figure(name, definition, log_domain_ceiling=1.0)
    if "mse" in text:
        return Figure(name, definition, higher_is_better=False)
    return Figure(name, f"{definition}; its direction is not known", higher_is_better=None)


def _q(label: object) -> float | None:
    return finite(float(label)) if isinstance(label, (int, float)) and abs(label) < 1e9 else None
