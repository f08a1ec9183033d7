"""LPIPS version 0.1 with the AlexNet backbone, by the authors' own package.

The distance is a sum over layers of weighted squared differences of normalised features, so the features of the source
frame are computed once and serve every decoded sequence that is measured beside it.
Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import TYPE_CHECKING, Literal

from evalsuite.errors import AssetError
from evalsuite.metrics.base import Family, FrameMeter, Setting, View
from evalsuite.metrics.networks import device, missing, picture, without
from evalsuite.metrics.weights import ALEXNET, VGG16, convolutions
from evalsuite.types import MetricInfo

if TYPE_CHECKING:
    import torch
    from lpips import LPIPS

Net = Literal["alex", "vgg"]
"""Which backbone, as the package names them: distances of different backbones are different metrics."""

BACKBONES = {"alex": ALEXNET, "vgg": VGG16}

# What normalize_tensor adds to the length of a feature.
_TINY = 1e-10


def describe(name: str, net: Net, title: str) -> MetricInfo:
    """What LPIPS with this backbone is."""
    return MetricInfo(
        name=name,
        family="perceptual",
        unit="",
        higher_is_better=False,
        version=f"0.1 {net} {BACKBONES[net].version}",
        definition=f"LPIPS, {title} backbone with its learned linear layers, of RGB frames, per frame",
        source="Zhang et al., CVPR 2018; package lpips 0.1.4",
        range=(0, math.inf),
        needs=("rgb",),
        traps="RGB goes in as [-1, 1], not [0, 1]. AlexNet and VGG backbones are different metrics. "
        "Needs 32 samples a side.",
    )


def network(net: Net = "alex") -> LPIPS:
    """The network with verified weights, in evaluation mode; loaded once per process.

    Raises:
        AssetError: the weights cannot be had.
    """
    return _load(net)


@functools.cache  # on an argument without a default: with one, network() and network("alex") are two
def _load(net: Net) -> LPIPS:
    import torch

    from evalsuite.metrics.nets.winograd import quicken

    arrays = convolutions(BACKBONES[net])
    with warnings.catch_warnings():
        # lpips 0.1.4 calls torchvision by names that it has deprecated.
        warnings.simplefilter("ignore")
        from lpips import LPIPS

        model = LPIPS(net=net, version="0.1", pnet_rand=True, verbose=False)
    layers = [module for module in model.net.modules() if isinstance(module, torch.nn.Conv2d)]
    for index, layer in enumerate(layers):
        state = {kind: torch.from_numpy(arrays[f"conv{index}.{kind}"].copy()) for kind in ("weight", "bias")}
        layer.load_state_dict(state)
    if device().type == "cpu":
        quicken(model.net)
    return model.eval().to(device(), memory_format=torch.channels_last)


def features(view: View, net: Net = "alex") -> list[torch.Tensor]:
    """Unit-normalised features of the five layers of a frame, each (1, channels, h, w); computed once per frame."""
    import torch

    def compute() -> list[torch.Tensor]:
        model = network(net)
        with torch.inference_mode():
            layers = model.net(model.scaling_layer(picture(view) * 2 - 1))
            # The package's normalize_tensor, without its copies: one of all layers is 1 GB of VGG's at 1080p.
            return [layer.div_(torch.linalg.vector_norm(layer, dim=1, keepdim=True) + _TINY) for layer in layers]

    return view.derive(("lpips", net), compute)


def release(view: View, net: Net = "alex") -> None:
    """Drop the features of a frame that nothing will ask for again: a frame's take more memory than the frame."""
    view.forget(("lpips", net))


def distance_between(a: list[torch.Tensor], b: list[torch.Tensor], net: Net = "alex") -> float:
    """LPIPS of two frames given by their `features`; 0 for the same."""
    import torch

    with torch.inference_mode():
        layers = zip(network(net).lins, a, b, strict=True)
        return float(sum(linear((first - second).square_()).mean() for linear, first, second in layers))


def distance(source: View, decoded: View, net: Net = "alex") -> float:
    """LPIPS of one frame pair; 0 for identical frames."""
    return distance_between(features(source, net), features(decoded, net), net)


def family(info: MetricInfo, net: Net, *, keeps: bool) -> Family:
    """The one metric as a family.

    Args:
        info: what it is.
        net: its backbone.
        keeps: whether other metrics ask for the features of decoded and earlier frames too.
    """

    def score(source: View, decoded: View) -> tuple[float]:
        scored = distance(source, decoded, net)
        if not keeps:
            release(decoded, net)
            if source.previous is not None:
                release(source.previous, net)
        return (scored,)

    def start(_setting: Setting, names: tuple[str, ...]) -> FrameMeter:
        try:
            network(net)
        except AssetError as error:
            raise without(error) from error
        return FrameMeter(names, score)

    return Family((info,), start, {info.name: 32}, lambda: missing("torch", "torchvision", "lpips"))


FAMILY = family(describe("lpips", "alex", "AlexNet"), "alex", keeps=True)
