"""Objects: does a detector still find those of the source? Pseudo-mAP, by Faster R-CNN of torchvision.

What the detector finds in the source with a high score is what is to be found in the decoded frames: no annotation is
needed, and none is claimed. Two frames of a second are looked at: one takes about a second on one core.
The weights are those that torchvision names, from PyTorch's own cache or their official address; where neither has them
the metric is unavailable.
Ren et al., "Faster R-CNN", NeurIPS 2015; weights FasterRCNN_MobileNet_V3_Large_FPN (COCO, 32.8 box mAP).
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from evalsuite.assets import cache_dir
from evalsuite.download import fetch_url
from evalsuite.errors import AssetError
from evalsuite.files import sha256_of
from evalsuite.metrics.base import Arrays, Family, Setting, View
from evalsuite.metrics.detection import LOOKS_PER_SECOND, Tally, looked_at, match
from evalsuite.metrics.networks import device, engine, missing, picture, without
from evalsuite.types import MetricInfo, Series

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = "fasterrcnn_mobilenet_v3_large_fpn-fb6a3cc7.pth"
"""As torchvision names the file: the eight digits are the first of its sha256, and all of it that is published."""

_ADDRESS = f"https://download.pytorch.org/models/{WEIGHTS}"

REFERENCE_SCORE = 0.7
"""Of an object of the source. Candidates go down to the 0.05 that torchvision's detector has by default."""

SMALLEST = 32
"""Samples on the shorter side of the frame."""

_NO_OBJECT = "the source shows no object that is sure enough"

_INFO = MetricInfo(
    name="object_map50",
    family="objects",
    unit="",
    higher_is_better=True,
    version="1 fasterrcnn_mobilenet_v3_large_fpn fb6a3cc7",
    definition="average precision, at an overlap of 0.5, of the objects found in the decoded frames against those "
    "found in the source, over all points of the curve (VOC 2010); mean over the classes that the source shows, of the "
    "whole sequence",
    source="Faster R-CNN (Ren et al., NeurIPS 2015) on MobileNetV3-Large FPN, torchvision's COCO_V1 weights",
    range=(0, 1),
    needs=("rgb",),
    traps=f"The objects to be found are the detector's own in the source, at score {REFERENCE_SCORE:g} or above: it is "
    f"fidelity to what it sees, not accuracy. {LOOKS_PER_SECOND} frames of a second are looked at. A class of which "
    "there is one object counts as much as one of which there are a hundred.",
    per_frame=False,
)


def weights_file() -> Path:
    """The weights, from PyTorch's own cache or their official address.

    Raises:
        AssetError: neither has them; or the file is not the one that its name says.
    """
    import torch

    kept = Path(torch.hub.get_dir()) / "checkpoints" / WEIGHTS
    if not kept.is_file():
        kept = cache_dir() / "files" / WEIGHTS
    path = kept if kept.is_file() else fetch_url(_ADDRESS, kept, attempts=1)
    expected, found = Path(WEIGHTS).stem.rsplit("-", 1)[1], sha256_of(path)
    if not found.startswith(expected):
        raise AssetError(
            "the object detector's weights are damaged",
            where=path,
            expected=f"a sha256 that begins with {expected}",
            got=f"sha256 {found}",
            fix="delete the file: it is fetched again",
        )
    return path


@functools.cache
def network(weights: Path) -> nn.Module:
    """The detector with its weights, in evaluation mode; loaded once per process.

    Raises:
        AssetError: the file holds other weights.
    """
    import torch
    from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_fpn

    net: nn.Module = fasterrcnn_mobilenet_v3_large_fpn(weights=None, weights_backbone=None)
    try:
        net.load_state_dict(torch.load(weights, map_location="cpu", weights_only=True))
    except Exception as error:  # torch.load and load_state_dict raise of every kind
        raise AssetError("the object detector's weights cannot be read", where=weights, got=str(error)) from error
    return net.eval().to(device())


def find(net: nn.Module, view: View) -> Arrays:
    """`boxes` (n, 4), `scores` (n,) and `classes` (n,) of every candidate in the frame."""
    import torch

    with torch.inference_mode():
        found = {name: values.cpu().numpy() for name, values in net([picture(view)[0]])[0].items()}
    boxes = found["boxes"].astype(np.float32)
    boxes[:, 2:] -= boxes[:, :2]
    return {"boxes": boxes, "scores": found["scores"], "classes": found["labels"].astype(np.int64)}


class ObjectMeter:
    """Matches the objects of decoded frames with the source's, class by class.

    Args:
        name: of the metric.
        detector: gives `boxes`, `scores` and `classes` of the candidates in a frame.
        version: of what the detector gives.
    """

    child_cpu_s = 0.0

    def __init__(self, name: str, detector: Callable[[View], Arrays], version: str) -> None:
        self._name = name
        self._detector = detector
        self._version = version
        self._tallies: dict[int, Tally] = {}

    def push(self, source: View, decoded: View) -> None:
        """Find the objects of the next frame pair, where it is one to look at."""
        if not looked_at(source):
            return
        wanted = self._objects(source)
        candidates = self._objects(decoded)
        for kind in {*wanted["classes"].tolist(), *candidates["classes"].tolist()}:
            self._compare(kind, _of_class(wanted, kind), _of_class(candidates, kind))

    def _objects(self, view: View) -> Arrays:
        return view.recall("objects", self._version, lambda: self._detector(view))

    def _compare(self, kind: int, wanted: Arrays, candidates: Arrays) -> None:
        sure = wanted["scores"] >= REFERENCE_SCORE
        found = match(wanted["boxes"][sure], wanted["boxes"][~sure], candidates["boxes"], candidates["scores"])
        self._tallies.setdefault(kind, Tally()).add(int(sure.sum()), found, candidates["scores"])

    def finish(self) -> list[Series]:
        """The one series."""
        shown = [tally.curve().average_precision() for tally in self._tallies.values() if tally.references]
        if not shown:
            return [Series(self._name, "not_applicable", reason=_NO_OBJECT)]
        return [Series(self._name, "ok", np.array([np.mean(shown)]))]

    def close(self) -> None:
        """Nothing is held."""


def _of_class(objects: Arrays, kind: int) -> Arrays:
    chosen = objects["classes"] == kind
    return {name: values[chosen] for name, values in objects.items()}


def _open(_setting: Setting, names: tuple[str, ...]) -> ObjectMeter:
    try:
        net: Any = network(weights_file())
    except AssetError as error:
        raise without(error) from error
    return ObjectMeter(names[0], functools.partial(find, net), f"{_INFO.version} {engine()}")


def _check() -> str:
    return missing("torch", "torchvision")


FAMILY = Family(infos=(_INFO,), open=_open, smallest={_INFO.name: SMALLEST}, check=_check)
