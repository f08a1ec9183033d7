"""LPIPS with the AlexNet backbone, version 0.1, by the authors' own package.

The distance is a sum over layers of weighted squared differences of normalised features, so the features of the source
frame are computed once and serve every decoded sequence that is measured beside it.
Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018.
"""

from __future__ import annotations

import functools
import importlib.util
import math
import warnings
from typing import TYPE_CHECKING

from evalsuite.errors import AssetError
from evalsuite.metrics.base import Family, FrameMeter, NotMeasured, Setting, View
from evalsuite.metrics.weights import ALEXNET_SHA256, alexnet
from evalsuite.types import MetricInfo

if TYPE_CHECKING:
    import torch
    from lpips import LPIPS

_INFO = MetricInfo(
    name="lpips",
    family="perceptual",
    unit="",
    higher_is_better=False,
    version=f"0.1 alex {ALEXNET_SHA256[:8]}",
    definition="LPIPS, AlexNet backbone with its learned linear layers, of RGB frames, per frame",
    source="Zhang et al., CVPR 2018; package lpips 0.1.4",
    range=(0, math.inf),
    needs=("rgb",),
    traps="RGB goes in as [-1, 1], not [0, 1]. AlexNet and VGG backbones are different metrics. "
    "Needs 32 samples a side.",
)


@functools.cache
def network() -> LPIPS:
    """The network with verified weights, in evaluation mode; loaded once per process."""
    import torch

    with warnings.catch_warnings():
        # lpips 0.1.4 calls torchvision by names that it has deprecated.
        warnings.simplefilter("ignore")
        from lpips import LPIPS

        net = LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False)
    arrays = alexnet()
    layers = [module for module in net.net.modules() if isinstance(module, torch.nn.Conv2d)]
    for index, layer in enumerate(layers):
        state = {kind: torch.from_numpy(arrays[f"conv{index}.{kind}"].copy()) for kind in ("weight", "bias")}
        layer.load_state_dict(state)
    # Channels-last convolutions are about a tenth faster on CPUs, with the same values.
    return net.eval().to(memory_format=torch.channels_last)


def features(view: View) -> list[torch.Tensor]:
    """Unit-normalised features of the five layers, each (1, channels, h, w)."""
    import torch
    from lpips import normalize_tensor

    net = network()
    image = torch.from_numpy(view.rgb()).unsqueeze(0).contiguous(memory_format=torch.channels_last)
    with torch.inference_mode():
        layers = net.net(net.scaling_layer(image * 2 - 1))
        return [normalize_tensor(layer) for layer in layers]


def distance(source: View, decoded: View) -> float:
    """LPIPS of one frame pair; 0 for identical frames."""
    import torch

    net = network()
    reference = source.derive("lpips_alex", lambda: features(source))
    with torch.inference_mode():
        layers = zip(net.lins, reference, features(decoded), strict=True)
        return float(sum(linear((a - b) ** 2).mean() for linear, a, b in layers))


def _open(_setting: Setting, names: tuple[str, ...]) -> FrameMeter:
    try:
        network()
    except AssetError as error:
        raise NotMeasured("unavailable", f"{error.what} ({error.got})", fix=error.fix) from error
    return FrameMeter(names, lambda source, decoded: (distance(source, decoded),))


def _check() -> str:
    missing = [name for name in ("torch", "torchvision", "lpips") if importlib.util.find_spec(name) is None]
    return f"pip install {' '.join(missing)}" if missing else ""


FAMILY = Family(infos=(_INFO,), open=_open, smallest={"lpips": 32}, check=_check)
