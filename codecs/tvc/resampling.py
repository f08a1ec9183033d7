"""Frames at another size than they are coded at: more or fewer tokens for the same picture."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from tvc.haar import Planes


def resized(planes: Planes, height: int, width: int) -> Planes:
    """Planes of a slot at another size, by an antialiased cubic filter (Keys, IEEE TASSP 29(6), 1981; a = -0.5).

    Args:
        planes: Y (B, T, H, W), Cb and Cr (B, T, ceil(H/2), ceil(W/2)), float.
        height: of Y.
        width: of Y.

    Returns:
        Y (B, T, height, width), Cb and Cr half as high and wide, rounded up; the same planes where nothing changes.
    """
    y, cb, cr = planes
    if tuple(y.shape[2:]) == (height, width):
        return planes
    half = -(-height // 2), -(-width // 2)
    return _plane(y, (height, width)), _plane(cb, half), _plane(cr, half)


def _plane(plane: Tensor, size: tuple[int, int]) -> Tensor:
    return functional.interpolate(plane.float(), size, mode="bicubic", align_corners=False, antialias=True)
