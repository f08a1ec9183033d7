"""DISTS: structure and texture similarity of VGG16 features, which piq takes with verified weights.

Ding et al., "Image Quality Assessment: Unifying Structure and Texture Similarity", IEEE TPAMI 44(5), 2022.
"""

from __future__ import annotations

import functools
import pickle
from typing import TYPE_CHECKING, Any

from evalsuite.assets import PackageSource, resolve
from evalsuite.errors import AssetError
from evalsuite.metrics.base import Family, FrameMeter, Setting, View
from evalsuite.metrics.networks import device, missing, picture, without
from evalsuite.metrics.weights import VGG16, convolutions
from evalsuite.types import MetricInfo

if TYPE_CHECKING:
    import torch

_ALPHA_BETA = PackageSource(
    package="dists-pytorch",
    version="0.1",
    archive="DISTS_pytorch-0.1-py3-none-any.whl",
    archive_sha256="73e54ce13e7cf3ca962ee8e433d129884ec3dc75e00a27af90525e1da760ac61",
    path="DISTS_pytorch/weights.pt",
    sha256="f5e65c96230b7f6ca995691647d482237e4cab8a50c5c4a5784f219ef0748218",
)

# Layers of VGG16.features that are compared (relu1_2, 2_2, 3_3, 4_3, 5_3), and the channels of each after RGB itself.
_LAYERS = ("3", "8", "15", "22", "29")
_CHANNELS = (3, 64, 128, 256, 512, 512)

_SIDE = 256

_TINY = 1e-6
"""What is added above and below each ratio: c1 and c2 of the paper, with the authors' value."""

_INFO = MetricInfo(
    name="dists",
    family="perceptual",
    unit="",
    higher_is_better=False,
    version=f"2 vgg {VGG16.version} {_ALPHA_BETA.sha256[:8]}",
    definition="DISTS: 1 - structure and texture similarity of VGG16 features, of RGB frames scaled bilinearly to "
    f"{_SIDE} samples on the shorter side where they are larger, per frame",
    source="Ding et al., IEEE TPAMI 44(5), 2022; network of package piq 0.8, weights of dists-pytorch 0.1",
    # Not [0, 1]: a covariance may be negative.
    range=(0, 2),
    needs=("rgb",),
    traps="Made for pictures of 256 samples: frames are scaled down first, so fine detail of large frames does not "
    "count. It forgives texture that is replaced by like texture, which a fidelity metric does not.",
)


@functools.cache
def network() -> Any:
    """DISTS of piq with verified weights, in evaluation mode; loaded once per process.

    Raises:
        AssetError: the weights cannot be had.
    """
    import torch
    from piq import DISTS
    from piq.perceptual import IMAGENET_MEAN, IMAGENET_STD, ContentLoss
    from torchvision.models import vgg16

    from evalsuite.metrics.nets.winograd import quicken

    arrays = convolutions(VGG16)
    path = resolve(_ALPHA_BETA)
    try:
        learned = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, pickle.UnpicklingError) as error:
        raise AssetError("the weights of DISTS cannot be read", where=path, got=error) from error
    # Without a classifier the random weights that are overwritten below are few.
    backbone = vgg16(weights=None, init_weights=False).features
    for index, layer in zip(range(len(VGG16.layers)), VGG16.layers, strict=True):
        kinds = ("weight", "bias")
        backbone[layer].load_state_dict({kind: torch.from_numpy(arrays[f"conv{index}.{kind}"]) for kind in kinds})
    model = DISTS.__new__(DISTS)
    # DISTS' own constructor downloads both sets of weights; the one it calls takes a network.
    ContentLoss.__init__(
        model,
        feature_extractor=backbone,
        layers=_LAYERS,
        weights=[part for kind in ("alpha", "beta") for part in torch.split(learned[kind], list(_CHANNELS), dim=1)],
        replace_pooling=True,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        allow_layers_weights_mismatch=True,
    )
    if device().type == "cpu":
        quicken(model.model)
    return model.eval().to(device(), memory_format=torch.channels_last)


def features(view: View) -> list[torch.Tensor]:
    """RGB and the five layers' features of a frame, each (1, channels, h, w)."""
    import torch

    image = picture(view)
    side = min(image.shape[-2:])
    with torch.inference_mode():
        if side > _SIDE:
            # As piq's DISTS does it.
            image = torch.nn.functional.interpolate(
                image, scale_factor=_SIDE / side, mode="bilinear", recompute_scale_factor=False
            )
        layers: list[torch.Tensor] = network().get_features(image)
        return layers


def _similarities(first: list[torch.Tensor], second: list[torch.Tensor]) -> list[torch.Tensor]:
    """Structure of every layer, then texture of every layer: each (1, channels, 1, 1), 1 for the same."""
    structure, texture = [], []
    for one, other in zip(first, second, strict=True):
        means = [layer.mean((2, 3), keepdim=True) for layer in (one, other)]
        structure.append((2 * means[0] * means[1] + _TINY) / (means[0] ** 2 + means[1] ** 2 + _TINY))
        # piq takes the covariance as the mean of products less the product of means. What float32 leaves of that is as
        # large as `_TINY` where a frame is flat: two equal grey frames score -0.05.
        one, other = (layer - mean for layer, mean in zip((one, other), means, strict=True))
        variances = (one * one).mean((2, 3), keepdim=True) + (other * other).mean((2, 3), keepdim=True)
        texture.append((2 * (one * other).mean((2, 3), keepdim=True) + _TINY) / (variances + _TINY))
    return [*structure, *texture]


def distance(source: View, decoded: View) -> float:
    """DISTS of one frame pair; 0 for identical frames up to rounding."""
    import torch

    model = network()
    # Of the source alone they are kept: for the other decoded frames beside it.
    of_source = source.derive("dists", lambda: features(source))
    if source.previous is not None:
        source.previous.forget("dists")
    with torch.inference_mode():
        weighted = zip(_similarities(features(decoded), of_source), model.weights, strict=True)
        return 1 - float(sum((similarity * weight.to(similarity)).sum() for similarity, weight in weighted))


def _open(_setting: Setting, names: tuple[str, ...]) -> FrameMeter:
    try:
        network()
    except AssetError as error:
        raise without(error) from error
    return FrameMeter(names, lambda source, decoded: (distance(source, decoded),))


FAMILY = Family(
    infos=(_INFO,), open=_open, smallest={"dists": 32}, check=lambda: missing("torch", "torchvision", "piq")
)
