"""What training minimises: sample errors on YCbCr, perceptual distance on RGB."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from tvc.config import SLOT_FRAMES
from tvc.haar import Planes
from tvc.training.adversary import Adversary
from tvc.training.perceptual import Lpips


@dataclass(frozen=True)
class LossWeights:
    """Factors of the parts of the distortion."""

    l1: float = 1.0
    mse: float = 2.0
    lpips: float = 1.0
    temporal: float = 0.3


_CHROMA = 0.5
"""Weight of each chroma plane beside luma."""


def rgb(y: Tensor, cb: Tensor, cr: Tensor) -> Tensor:
    """Planes of limited-range BT.709, (code - 128) / 128: y (B, H, W), cb and cr (B, H/2, W/2) -> RGB in [-1, 1].

    Material of another matrix looks slightly off, source and reconstruction alike; the loss needs no more.
    """
    luma = (y[:, None] * 128 + 112) / 219
    small = torch.stack((cb, cr), dim=1) * (128 / 224)
    chroma = functional.interpolate(small, scale_factor=2.0, mode="bilinear", align_corners=False)
    cb_, cr_ = torch.split(chroma, 1, dim=1)
    red, blue = luma + 1.5748 * cr_, luma + 1.8556 * cb_
    green = luma - 0.187324 * cb_ - 0.468124 * cr_
    return torch.cat((red, green, blue), dim=1) * 2 - 1


class Look(NamedTuple):
    """Where the perceptual distance looks in a slot: at one square of one frame of each crop.

    Attributes:
        frame: (B,) number of the frame.
        top: (1,) the square's first row, in samples of chroma.
        left: (1,) its first column.
    """

    frame: Tensor
    top: Tensor
    left: Tensor


class Distortion:
    """The weighted distance between a slot and its reconstruction.

    LPIPS is taken on one square of one frame per crop: whole slots would cost many times as much and say nearly the
    same.

    Args:
        weights: factors of the parts.
        lpips: the perceptual distance, or None for none.
        size: side of the square that LPIPS sees.
        adversary: looks at these squares too; None: nobody does.
    """

    def __init__(
        self, weights: LossWeights, lpips: Lpips | None, size: int, adversary: Adversary | None = None
    ) -> None:
        self.weights = weights
        self.lpips = lpips
        self.adversary = adversary
        self.size = size

    def look(self, shape: torch.Size, random: torch.Generator) -> Look:
        """A random place to look at in slots of luma (B, ..., H, W), on the CPU."""
        rows, columns = (length // 2 - self._half(shape) + 1 for length in shape[-2:])
        return Look(
            torch.randint(SLOT_FRAMES, (shape[0],), generator=random),
            torch.randint(rows, (1,), generator=random),
            torch.randint(columns, (1,), generator=random),
        )

    def __call__(
        self,
        source: Planes,
        decoded: Planes,
        look: Look | None = None,
        perceptual: float = 1.0,
        fidelity: float | Tensor = 1.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and its parts without gradients.

        Args:
            source: planes of a slot.
            decoded: its reconstruction.
            look: where LPIPS looks; None leaves it out.
            perceptual: factor on the weight of LPIPS, which stands for other slots too.
            fidelity: factor on the weights of the others.
        """
        y, cb, cr = source
        dy, dcb, dcr = decoded
        chroma_l1 = (cb - dcb).abs().mean() + (cr - dcr).abs().mean()
        chroma_mse = (cb - dcb).square().mean() + (cr - dcr).square().mean()
        parts = {
            "l1": (y - dy).abs().mean() + _CHROMA * chroma_l1,
            "mse": (y - dy).square().mean() + _CHROMA * chroma_mse,
            "temporal": (y.diff(dim=1) - dy.diff(dim=1)).abs().mean(),
        }
        total = fidelity * torch.stack([getattr(self.weights, name) * value for name, value in parts.items()]).sum()
        if self.lpips is not None and look is not None:
            real, made = (self._square(slot, look) for slot in (source, decoded))
            distance, seen = self._perceived(real, made, perceptual * self.weights.lpips)
            total = total + distance
            parts |= seen
        return total, {name: value.detach() for name, value in parts.items()}

    def _perceived(self, real: Tensor, made: Tensor, factor: float) -> tuple[Tensor, dict[str, Tensor]]:
        """LPIPS of RGB (B, 3, H, W) times its factor, with the adversary's gradient beside its own; what to log."""
        assert self.lpips is not None
        if self.adversary is None:
            distance = self.lpips(real, made).mean()
            return factor * distance, {"lpips": distance}
        # Its pull is scaled to that of LPIPS, so both gradients are taken here, at the picture.
        with torch.no_grad():
            source = self.lpips.features(real)
        shown = made.detach().requires_grad_()
        decoded = self.lpips.features(shown)
        distance = self.lpips.between(source, decoded).mean()
        (gradient,) = torch.autograd.grad(factor * distance, shown, retain_graph=True)
        pull, losses = self.adversary.pull(source, decoded, shown, gradient)
        value = factor * distance.detach() + ((made - made.detach()) * (gradient + pull)).sum()
        return value, {"lpips": distance, **losses}

    def _square(self, slot: Planes, look: Look) -> Tensor:
        """What is looked at, as RGB (B, 3, H, W)."""
        y, cb, cr = slot
        half = torch.arange(self._half(y.shape), device=y.device)
        whole = torch.arange(2 * len(half), device=y.device)
        frame, top, left = (place.to(y.device) for place in look)

        def cut(plane: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
            chosen = plane.gather(1, frame[:, None, None, None].expand(-1, 1, *plane.shape[2:]))[:, 0]
            return chosen.index_select(1, rows).index_select(2, columns)

        chroma = [cut(plane, top + half, left + half) for plane in (cb, cr)]
        return rgb(cut(y, 2 * top + whole, 2 * left + whole), chroma[0], chroma[1])

    def _half(self, shape: torch.Size) -> int:
        """Side of the square that is looked at in luma (..., H, W), in samples of chroma."""
        height, width = shape[-2:]
        return min(self.size, height, width) // 2
