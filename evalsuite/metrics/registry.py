"""Which metrics there are: every module here that offers a `FAMILY`, and the entry points of installed packages.

Beside them are the doors to packages, `PREFIX:NAME`, of every module here that offers a `DOOR`.
"""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType

import evalsuite.metrics
from evalsuite import resources
from evalsuite.errors import RequestError, did_you_mean
from evalsuite.metrics.base import Family
from evalsuite.metrics.doors import Door
from evalsuite.metrics.tokens import NAMES as TOKENS
from evalsuite.types import MetricInfo

ENTRY_POINTS = "evalsuite.metrics"

DEFAULT = (
    *("psnr_y", "psnr_cb", "psnr_cr", "psnr_yuv", "ssim", "ms_ssim"),
    *("vmaf", "vmaf_neg", "lpips"),
    *("warp_error", "warp_error_ratio", "flicker", "frame_diff_mad", "tof", "tlpips"),
    *("face_ap50", "face_recall", "face_precision", "face_matched", "landmark_nme", "identity_cos"),
    "frame_bits",
)
"""The default panel, in the order of tables: fidelity, perceptual, temporal, faces, traffic."""

FAMILIES = (
    *("fidelity", "perceptual", "sharpness", "temporal", "faces", "text", "objects", "no-reference"),
    *("tokens", "traffic", "complexity", "loss", "content"),
)
"""The families of what is shipped, in the order of tables; those of other packages come after them."""


@functools.cache
def _shipped() -> tuple[ModuleType, ...]:
    names = [module.name for module in pkgutil.iter_modules(evalsuite.metrics.__path__)]
    return tuple(importlib.import_module(f"evalsuite.metrics.{name}") for name in names)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What an installed package offers and cannot be used."""

    offer: str
    """What its entry point names, such as `package.module:FAMILY`."""
    package: str
    reason: str


@functools.cache
def _all() -> tuple[tuple[Family, ...], tuple[LeftOut, ...]]:
    found = [module.FAMILY for module in _shipped() if hasattr(module, "FAMILY")]
    left: list[LeftOut] = []
    for point in entry_points(group=ENTRY_POINTS):
        family, reason = _load(point, {info.name for family in found for info in family.infos})
        if family is not None:
            found.append(family)
        if reason:
            left.append(LeftOut(point.value, point.dist.name if point.dist else "unknown", reason))
    return tuple(found), tuple(left)


def _load(point: EntryPoint, taken: Iterable[str]) -> tuple[Family | None, str]:
    """The family that a package offers, without metrics whose names are taken, and why not all of it is there."""
    try:
        family = point.load()
    except (Exception, SystemExit) as error:  # whatever it raises, the other metrics are there
        return None, f"cannot be loaded: {type(error).__name__}: {error}"
    if not isinstance(family, Family):
        return None, f"is no Family of metrics but {type(family).__name__}"
    double = [info.name for info in family.infos if info.name in taken]
    if not double:
        return family, ""
    infos = tuple(info for info in family.infos if info.name not in double)
    return replace(family, infos=infos) if infos else None, f"another metric has the name {', '.join(double)}"


def families() -> tuple[Family, ...]:
    """Every family but those behind doors, shipped ones first; no two metrics share a name."""
    return _all()[0]


def left_out() -> tuple[LeftOut, ...]:
    """What installed packages offer beside, and why it is not there."""
    return _all()[1]


@functools.cache
def doors() -> tuple[Door, ...]:
    """The packages whose metrics are asked for as `PREFIX:NAME`."""
    return tuple(module.DOOR for module in _shipped() if hasattr(module, "DOOR"))


def infos() -> dict[str, MetricInfo]:
    """Every metric's description by name, but those behind doors: by family, the default panel first in each."""
    known = {info.name: info for family in families() for info in family.infos}
    first = (*DEFAULT, *TOKENS)
    order = dict.fromkeys((*FAMILIES, *(info.family for info in known.values())))
    place = {family: index for index, family in enumerate(order)}
    names = (*first, *(name for name in known if name not in first))
    return {name: known[name] for name in sorted(names, key=lambda name: place[known[name].family])}


def family_of(name: str) -> Family:
    """The family that measures the metric.

    Raises:
        RequestError: unknown metric, or behind a door to a package that is not installed; the message suggests near
            misses.
    """
    prefix, colon, _ = name.partition(":")
    for door in doors() if colon else ():
        if door.prefix == prefix:
            return door.family(name)
    for family in families():
        if any(info.name == name for info in family.infos):
            return family
    fix = did_you_mean(name, infos(), "`evalsuite metrics list` shows all")
    if (profile := name.removeprefix("profile:").casefold()) in resources.available("profiles"):
        fix = f"{profile} is a profile: --profile {profile}; `evalsuite metrics show profile:{profile}` explains it"
    raise RequestError(f"unknown metric {name!r}", fix=fix)


def info_of(name: str) -> MetricInfo:
    """The metric's description. Raises RequestError as `family_of` does."""
    return next(info for info in family_of(name).infos if info.name == name)


def select(request: str, *, tokens: bool = False) -> tuple[MetricInfo, ...]:
    """The metrics that `--metrics` asks for: `default`, `all`, or names separated by commas, in any mix.

    Args:
        request: as given.
        tokens: some codec reports tokens: they are part of the default then.

    Raises:
        RequestError: an unknown name, or nothing asked for.
    """
    known = infos()
    chosen: dict[str, MetricInfo] = {}
    for word in (word.strip() for word in request.split(",") if word.strip()):
        panel = (*DEFAULT, *(TOKENS if tokens else ()))
        names = panel if word == "default" else tuple(known) if word == "all" else (word,)
        for name in names:
            chosen[name] = info_of(name)
    if not chosen:
        raise RequestError("no metric is asked for", fix="give --metrics default, all, or names separated by commas")
    return tuple(chosen.values())
