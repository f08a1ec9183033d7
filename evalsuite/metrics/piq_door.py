"""`piq:NAME`: the picture metrics of the package piq (PyTorch Image Quality), by the names that it gives them.

Kastryulin et al., "PyTorch Image Quality: Metrics for Image Quality Assessment", 2022, https://arxiv.org/abs/2208.14818.
"""

from __future__ import annotations

import functools
import importlib.metadata
import math
from dataclasses import dataclass

from evalsuite.metrics.base import Family
from evalsuite.metrics.doors import Door
from evalsuite.metrics.networks import device, missing
from evalsuite.metrics.pictures import Compare, picture_family
from evalsuite.types import MetricInfo


@dataclass(frozen=True, slots=True)
class _Metric:
    """What piq's documentation says of one of its metrics; piq itself does not carry it."""

    definition: str
    higher_is_better: bool | None
    range: tuple[float, float]
    paper: str
    smallest: int
    """Shortest side for which piq 0.8 gives a number."""
    reference: bool = True
    network: bool = False
    """Whether it is a class that loads weights, not a function."""


_INFINITE = math.inf
METRICS = {
    "psnr": _Metric("PSNR of RGB; 80 dB for identical frames", True, (0, 80), "-", 8),
    "ssim": _Metric("SSIM of RGB, scaled down to about 256", True, (-1, 1), "Wang et al., 2004", 11),
    "multi_scale_ssim": _Metric("MS-SSIM of RGB, five scales", True, (0, 1), "Wang et al., 2003", 161),
    "information_weighted_ssim": _Metric(
        "IW-SSIM: MS-SSIM of luma weighted by information content", True, (0, 1), "Wang and Li, 2011", 161
    ),
    "vif_p": _Metric("VIFp: visual information fidelity in the pixel domain", True, (0, _INFINITE), "Sheikh, 2006", 41),
    "fsim": _Metric("FSIMc: feature similarity, with chroma", True, (0, 1), "Zhang et al., 2011", 8),
    "srsim": _Metric("SR-SIM: similarity weighted by spectral residual", True, (0, 1), "Zhang and Li, 2012", 40),
    "gmsd": _Metric("GMSD: deviation of gradient magnitude similarity", False, (0, 1), "Xue et al., 2013", 8),
    "multi_scale_gmsd": _Metric("MS-GMSD: GMSD at four scales", False, (0, 1), "Zhang et al., 2017", 17),
    "vsi": _Metric("VSI: similarity weighted by visual saliency", True, (0, 1), "Zhang et al., 2014", 8),
    "dss": _Metric("DSS: similarity of DCT subbands", True, (0, 1), "Balanov et al., 2015", 32),
    "haarpsi": _Metric("HaarPSI: similarity of Haar wavelets", True, (0, 1), "Reisenhofer et al., 2018", 16),
    "mdsi": _Metric(
        "MDSI: deviation of gradient and chroma similarity", False, (0, _INFINITE), "Nafchi et al., 2016", 8
    ),
    "ContentLoss": _Metric(
        "squared difference of VGG16 features (relu3_3)", False, (0, _INFINITE), "Gatys et al., 2015", 32, network=True
    ),
    "StyleLoss": _Metric(
        "squared difference of VGG16 Gram matrices", False, (0, _INFINITE), "Gatys et al., 2015", 32, network=True
    ),
    "LPIPS": _Metric("LPIPS, VGG16, piq's own port", False, (0, _INFINITE), "Zhang et al., 2018", 32, network=True),
    "DISTS": _Metric("DISTS, weights as piq publishes them", False, (0, 2), "Ding et al., 2020", 32, network=True),
    "PieAPP": _Metric(
        "PieAPP: learned by pairwise preference", False, (-_INFINITE, _INFINITE), "Prashnani, 2018", 64, network=True
    ),
    "CLIPIQA": _Metric("CLIP-IQA", True, (0, 1), "Wang et al., 2022", 32, reference=False, network=True),
    "brisque": _Metric(
        "BRISQUE, piq's own port", False, (-_INFINITE, _INFINITE), "Mittal et al., 2012", 32, reference=False
    ),
    "total_variation": _Metric("total variation", None, (0, _INFINITE), "Rudin et al., 1992", 2, reference=False),
}


@functools.cache
def _load(name: str) -> Compare:
    import piq

    metric: Compare = getattr(piq, name)
    if name == "brisque":
        import torch

        # It downloads its machine when it is called: any picture with texture shows whether it can.
        metric(torch.rand(1, 3, 64, 64))
    if METRICS[name].network:
        metric = metric().eval().to(device())  # type: ignore[attr-defined]
    return metric


@functools.cache
def _find(name: str) -> Family:
    metric = METRICS[name]
    version = importlib.metadata.version("piq")
    info = MetricInfo(
        name=f"piq:{name}",
        family="open door",
        unit="dB" if name == "psnr" else "",
        higher_is_better=metric.higher_is_better,
        version=f"piq {version}",
        definition=f"{metric.definition}, of {'' if metric.reference else 'decoded '}RGB frames, per frame",
        source=f"{metric.paper}; package piq {version}",
        range=metric.range,
        needs=("rgb",),
        traps="As piq has it, with its defaults; its own port of a metric may differ from the authors'."
        + (" What piq downloads for it is not verified by evalsuite." if metric.network or name == "brisque" else "")
        + ("" if metric.reference else " It looks at the decoded frame alone."),
    )
    return picture_family(info, lambda: _load(name), reference=metric.reference, smallest=metric.smallest)


DOOR = Door(
    prefix="piq",
    title="picture metrics of piq",
    names=lambda: tuple(METRICS),
    find=_find,
    check=lambda: missing("piq"),
)
