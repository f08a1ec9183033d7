"""The JSON of the DCVC family's test scripts: dataset, sequence file, rate point, figures.

Only the figures over all frames are read (`ave_all_frame_*`): in published anchors every frame is labelled intra. PSNR
is the mean over frames of the PSNR of each plane, and (6 Y + U + V) / 8 of them: the suite's definitions. MS-SSIM is
an implementation of its own, so it keeps a name of its own.

The scripts write the figures of RGB frames under the keys of those of YUV frames, and no planes beside them. So a
figure is the mean of the planes only where the planes are there and give it.

Source: github.com/microsoft/DCVC, test_video.py and the `anchors` folders.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
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
_PLANES = {"y": "y", "u": "cb", "v": "cr"}
_WHAT = {"y": "luma", "cb": "Cb", "cr": "Cr", "yuv": "(6 Y + Cb + Cr) / 8"}
_NOT_OF_PLANES = "RGB, or whatever else is not (6 Y + Cb + Cr) / 8 of published planes"


@dataclass(frozen=True, slots=True)
class _Kind:
    """What one key stands for, depending on whether it is the mean of its planes."""

    of_planes: str
    """Name of the metric, with {} for the plane."""
    otherwise: str
    tolerance: float
    """Beyond what rounding to six digits does, and below what matters in the metric's unit."""


_KINDS = {
    "psnr": _Kind("psnr_{}", "psnr_rgb_dcvc", 1e-3),
    "msssim": _Kind("ms_ssim_{}_dcvc", "ms_ssim_rgb_dcvc", 1e-5),
}
_FIGURES = (
    *(
        Figure(f"ms_ssim_{plane}_dcvc", f"MS-SSIM of DCVC's own implementation, {what}", log_domain_ceiling=1.0)
        for plane, what in _WHAT.items()
    ),
    Figure("ms_ssim_rgb_dcvc", f"MS-SSIM of DCVC's own implementation, {_NOT_OF_PLANES}", log_domain_ceiling=1.0),
    Figure("psnr_rgb_dcvc", f"PSNR of DCVC's scripts, mean over frames, {_NOT_OF_PLANES}", unit="dB"),
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
        for key in ("bpp", *(kind + plane for kind in _KINDS for plane in ("", "_y", "_u", "_v")))
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
        scores=_scores(values),
        q=finite(number(path, figures.get("qp"), f"qp of {where}")),
        bpp=finite(values["bpp"]),
    )


def _scores(values: Mapping[str, float]) -> dict[str, float]:
    """The scores under their names; `values` are figures by key, without the prefix."""
    scores = {}
    for key, kind in _KINDS.items():
        planes = {plane: values[f"{key}_{plane}"] for plane in _PLANES if f"{key}_{plane}" in values}
        if key in values:
            mean = sum(6 * value if plane == "y" else value for plane, value in planes.items()) / 8
            agrees = len(planes) == len(_PLANES) and math.isclose(values[key], mean, rel_tol=0, abs_tol=kind.tolerance)
            scores[kind.of_planes.format("yuv") if agrees else kind.otherwise] = values[key]
        scores |= {kind.of_planes.format(_PLANES[plane]): value for plane, value in planes.items()}
    return scores
