"""tLPIPS: whether the decoded frames change over time, to a network's eye, as much as the source does.

Chu et al., "Learning Temporal Coherence via Self-Supervision for GAN-based Video Generation" (TecoGAN), ACM TOG 39(4),
2020. The features are those that LPIPS takes of the same frames: no second pass of the network.
"""

from __future__ import annotations

import math

import numpy as np

from evalsuite.errors import AssetError
from evalsuite.metrics.base import Family, Setting, View
from evalsuite.metrics.lpips import FAMILY as LPIPS
from evalsuite.metrics.lpips import distance_between, features, network, release
from evalsuite.metrics.networks import engine, missing, without
from evalsuite.metrics.sparse import Pair, Row, SparseMeter, change_meter
from evalsuite.types import MetricInfo

_VERSION = LPIPS.infos[0].version

_INFO = MetricInfo(
    name="tlpips",
    family="temporal",
    unit="",
    higher_is_better=False,
    version=_VERSION,
    definition="100 |LPIPS(X_{t-1}, X_t) - LPIPS(R_{t-1}, R_t)| of decoded X and source R, AlexNet backbone; per frame "
    "from the second on",
    source="Chu et al. (TecoGAN), ACM TOG 39(4), 2020; LPIPS 0.1 by package lpips 0.1.4",
    range=(0, math.inf),
    needs=("rgb",),
    traps="It compares how much changes, not what: frames that change by as much in another way score well. Read it "
    "beside lpips. The authors' code leaves out two frames at either end of a sequence; here all are scored.",
)


def change(before: View, view: View) -> float:
    """LPIPS from the frame before to this one; kept with the source."""

    def compute() -> dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
        distance = distance_between(features(before), features(view))
        release(before)
        return {"distance": np.array([distance])}

    return float(view.recall("lpips_change", f"{_VERSION} {engine()}", compute)["distance"][0])


def tlpips(before: Pair, now: Pair) -> float:
    """100 times the difference between the change of the decoded frames and that of the source's."""
    return 100 * abs(change(before.decoded, now.decoded) - change(before.source, now.source))


def _open(_setting: Setting, names: tuple[str, ...]) -> SparseMeter:
    try:
        network()
    except AssetError as error:
        raise without(error) from error

    def score(before: Pair, now: Pair) -> Row:
        return (tlpips(before, now),)

    return change_meter(names, score)


FAMILY = Family(
    infos=(_INFO,),
    open=_open,
    smallest={"tlpips": LPIPS.smallest["lpips"]},
    check=lambda: missing("torch", "torchvision", "lpips"),
)
