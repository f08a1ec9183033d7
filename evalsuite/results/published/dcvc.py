"""The JSON of the DCVC family's test scripts: dataset, sequence file, rate point, figures.

Only the figures over all frames are read (`ave_all_frame_*`): in published anchors every frame is labelled intra. PSNR
is the mean over frames of the PSNR of each plane, and (6 Y + U + V) / 8 of them: the suite's definitions. MS-SSIM is
an implementation of its own, so it keeps a name of its own.

Source: github.com/microsoft/DCVC, test_video.py and the `anchors` folders.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalsuite.results.published.base import (
    Figure,
    Given,
    Publication,
    PublishedPoint,
    Source,
    finite,
    from_name,
    number,
    read_json,
    refused,
)

_PREFIX = "ave_all_frame_"
_SCORES = {
    "psnr": "psnr_yuv",
    "psnr_y": "psnr_y",
    "psnr_u": "psnr_cb",
    "psnr_v": "psnr_cr",
    "msssim": "ms_ssim_yuv_dcvc",
    "msssim_y": "ms_ssim_y_dcvc",
    "msssim_u": "ms_ssim_cb_dcvc",
    "msssim_v": "ms_ssim_cr_dcvc",
}
_PLANES = {"y": "luma", "cb": "Cb", "cr": "Cr", "yuv": "(6 Y + Cb + Cr) / 8"}
_FIGURES = tuple(
    Figure(f"ms_ssim_{plane}_dcvc", f"MS-SSIM of DCVC's own implementation, {what}", log_domain_ceiling=1.0)
    for plane, what in _PLANES.items()
)


def read(path: Path, given: Given) -> Publication:
    """Read one file.

    Raises:
        RequestError: it cannot be read, or is not of this format.
    """
    document = read_json(path)
    points = []
    for dataset, sequences in _items(path, document, "datasets"):
        if given.dataset not in (None, dataset):
            continue
        for name, rates in _items(path, sequences, f"sequences in {dataset}"):
            for label, entry in _items(path, rates, f"rate points of {name}"):
                points.append(_point(path, dataset, name, label, entry))
    if not points:
        wanted = f"a dataset called {given.dataset}" if given.dataset else "rate points"
        raise refused(path, "no rate points", wanted, ", ".join(map(str, document)) or "nothing")
    return Publication(None, tuple(points), _FIGURES)


def _items(path: Path, value: Any, what: str) -> list[tuple[str, Any]]:
    if not isinstance(value, dict):
        raise refused(path, f"no {what}", "dataset: {sequence: {rate point: {figure: number}}}", repr(value))
    return list(value.items())


def _point(path: Path, dataset: str, name: str, label: str, entry: Any) -> PublishedPoint:
    where = f"{dataset}, {name}, {label}"
    figures: Mapping[str, Any] = dict(_items(path, entry, f"figures of {where}"))
    values = {
        key: number(path, figures[_PREFIX + key], f"{_PREFIX}{key} of {where}")
        for key in ("bpp", *_SCORES)
        if _PREFIX + key in figures
    }
    if "bpp" not in values:
        raise refused(path, f"{where} has no rate", f"{_PREFIX}bpp", ", ".join(figures) or "nothing")
    width, height, rate = from_name(name)
    pixels = number(path, figures.get("frame_pixel_num"), f"frame_pixel_num of {where}")
    if width is not None and height is not None and not math.isnan(pixels) and pixels != width * height:
        raise refused(path, f"{where} contradicts its file name", f"{width}x{height} pixels", f"{pixels:g}")
    counts = [number(path, figures.get(key), f"{key} of {where}") for key in ("i_frame_num", "p_frame_num")]
    frames = sum(counts)
    source = Source(
        name=name,
        dataset=dataset,
        width=width,
        height=height,
        frame_rate=rate,
        frames=int(frames) if 0 < frames < 1e9 else None,
    )
    return PublishedPoint(
        source=source,
        label=label,
        scores={_SCORES[key]: value for key, value in values.items() if key != "bpp"},
        q=finite(number(path, figures.get("qp"), f"qp of {where}")),
        bpp=finite(values["bpp"]),
    )
