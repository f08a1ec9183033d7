"""Scene integrity: whether the things in the source are still in the decoded frame, where they were.

The deepest features of LPIPS's AlexNet answer to parts and objects rather than to edges and texture. They are compared
without LPIPS's learned weights, which were fitted to distortions that leave the scene as it is. The features are those
that LPIPS takes of the same frames: no second network, no second pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from evalsuite.errors import AssetError
from evalsuite.metrics.base import Family, FrameMeter, Setting, View
from evalsuite.metrics.lpips import FAMILY as LPIPS
from evalsuite.metrics.lpips import features, network
from evalsuite.metrics.networks import missing, without
from evalsuite.types import MetricInfo

if TYPE_CHECKING:
    import torch

_VERSION = f"1 {LPIPS.infos[0].version}"
_SOURCE = "ours; features of AlexNet's last convolution (Krizhevsky et al., NIPS 2012) as LPIPS normalises them"

_LOW = 0.05
"""Share of the picture that `scene_integrity_low` is the upper end of."""

_INFOS = (
    MetricInfo(
        name="scene_integrity",
        family="perceptual",
        unit="",
        higher_is_better=True,
        version=_VERSION,
        definition="cosine similarity of AlexNet's deepest features of source and decoded, at places 16 samples apart, "
        "each seen in its surroundings of 163 samples a side; mean over places; per frame",
        source=_SOURCE,
        range=(0, 1),
        needs=("rgb",),
        traps="A network of still pictures: it does not see motion, and text or faces that are redrawn alike pass. "
        "Read the task metrics for those.",
    ),
    MetricInfo(
        name="scene_integrity_low",
        family="perceptual",
        unit="",
        higher_is_better=True,
        version=_VERSION,
        definition="as scene_integrity, but the 5th percentile over places: how well the worst part of the picture "
        "held; "
        "per frame",
        source=_SOURCE,
        range=(0, 1),
        needs=("rgb",),
        traps="One object that is lost or made up moves this long before it moves the mean.",
    ),
)


def similarities(source: View, decoded: View) -> torch.Tensor:
    """Cosine similarity at each place, (h, w); 1 for the same frame.

    Features are of unit length, so it is 1 - |a - b|² / 2, which is 1 also where neither frame excites the network.
    """
    import torch

    with torch.inference_mode():
        apart = features(source)[-1] - features(decoded)[-1]
        # What excites no common feature comes out at 0 but for rounding.
        return (1 - apart.square().sum(1)[0] / 2).clamp(min=0)


def _open(_setting: Setting, names: tuple[str, ...]) -> FrameMeter:
    import torch

    try:
        network()
    except AssetError as error:
        raise without(error) from error

    def score(source: View, decoded: View) -> tuple[float, ...]:
        places = similarities(source, decoded)
        scores = {"scene_integrity": places.mean(), "scene_integrity_low": torch.quantile(places, _LOW)}
        return tuple(float(scores[name]) for name in names)

    return FrameMeter(names, score)


FAMILY = Family(
    infos=_INFOS,
    open=_open,
    smallest={info.name: LPIPS.smallest["lpips"] for info in _INFOS},
    check=lambda: missing("torch", "torchvision", "lpips"),
)
