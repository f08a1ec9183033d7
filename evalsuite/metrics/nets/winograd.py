"""Convolutions of stride 1 on a CPU with a half to a quarter of the products, by Winograd's minimal filtering.

A direct convolution already runs at the peak of the core's arithmetic, so only fewer products are faster. Tiles of the
input are transformed, multiplied with transformed kernels one frequency at a time, and transformed back:
F(4x4, 3x3) takes 36 products where 144 are due, F(2x2, 5x5) 36 instead of 100, at the price of a rounding error of
about 1e-5 of the largest output.

Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016; the matrices are those of Toom and Cook:
Winograd, "Arithmetic Complexity of Computations", SIAM 1980.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

# Where polynomials are evaluated, beside infinity: those that keep float32's rounding errors small for six points.
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0)
_TILE = len(_POINTS) + 1

# Below these the transforms cost more than the products saved (measured on one core with AVX-512).
_LEAST_CHANNELS: dict[tuple[int, ...], int] = {(3, 3): 128, (5, 5): 64}

_Matrix = NDArray[np.float64]


def toom_cook(outputs: int) -> tuple[_Matrix, _Matrix, _Matrix]:
    """The matrices of one dimension's filtering: out = A ((G kernel) * (B input)), with 6 inputs.

    Args:
        outputs: 1 to 5; the kernel has 7 - outputs taps.

    Returns:
        A (outputs, 6), G (6, taps) and B (6, 6).
    """

    def powers(columns: int) -> _Matrix:
        infinity = np.eye(1, columns, columns - 1)
        return np.vstack([np.vander(np.array(_POINTS), columns, increasing=True), infinity])

    scale = np.ones(_TILE)
    for index, point in enumerate(_POINTS):
        scale[index] = np.prod([point - other for other in _POINTS if other != point])
    taps = _TILE + 1 - outputs
    return powers(outputs).T, powers(taps) / scale[:, None], scale[:, None] * np.linalg.inv(powers(_TILE)).T


class Winograd(torch.nn.Module):
    """Takes the place of a convolution for channels-last input of one picture on a CPU.

    Args:
        convolution: of 3x3 or 5x5, stride 1, undilated, ungrouped, with a bias.
    """

    kernels: torch.Tensor
    into: torch.Tensor
    back: torch.Tensor
    bias: torch.Tensor

    def __init__(self, convolution: torch.nn.Conv2d) -> None:
        super().__init__()
        taps = convolution.kernel_size[0]
        self._outputs = _TILE + 1 - taps
        self._padding = int(convolution.padding[0])
        a, g, b = toom_cook(self._outputs)
        weight = convolution.weight.detach().double().numpy()
        kernels = np.einsum("ai,bj,kcij->abck", g, g, weight).reshape(_TILE**2, *weight.shape[1::-1])
        assert convolution.bias is not None
        self.register_buffer("bias", convolution.bias.detach())
        self.register_buffer("kernels", torch.from_numpy(kernels).float().contiguous())
        # Both dimensions at once: the Kronecker square acts on a tile's 36 samples as one vector.
        self.register_buffer("into", torch.from_numpy(np.kron(b, b)).float())
        self.register_buffer("back", torch.from_numpy(np.kron(a, a)).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """(1, channels, height, width) to (1, outputs, height, width), both channels last; without gradients."""
        step, border = self._outputs, self._padding
        image = x[0].permute(1, 2, 0)
        height, width, channels = image.shape
        made = self.kernels.shape[2]
        down, across = -(-height // step), -(-width // step)
        margin = _TILE - step
        padded = image.new_zeros((down * step + margin, across * step + margin, channels))
        padded[border : border + height, border : border + width] = image
        row, column, _ = padded.stride()
        out = image.new_empty((down, step, across, step, made))
        # Blocks whose tiles take about as much memory as the kernels: smaller ones read the kernels too often, larger
        # ones leave the cache.
        rows = max(1, channels * made // (channels + made) // across)
        for top in range(0, down, rows):
            count = min(rows, down - top)
            tiles = padded[top * step :].as_strided(
                (_TILE, _TILE, count, across, channels), (row, column, row * step, column * step, 1)
            )
            inside = self.into @ tiles.reshape(_TILE**2, -1)
            products = torch.bmm(inside.view(_TILE**2, count * across, channels), self.kernels)
            block = (self.back @ products.view(_TILE**2, -1)).view(step, step, count, across, made)
            torch.add(block.permute(2, 0, 3, 1, 4), self.bias, out=out[top : top + count])
        flat = out.view(down * step, across * step, made)[:height, :width]
        return flat.permute(2, 0, 1).unsqueeze(0)


def quicken(network: torch.nn.Module) -> None:
    """Put `Winograd` in the place of every convolution of the network that is faster for it."""
    for name, child in network.named_children():
        if isinstance(child, torch.nn.Conv2d):
            least = _LEAST_CHANNELS.get(child.kernel_size)
            plain = child.stride == child.dilation == (1, 1) and child.groups == 1 and child.bias is not None
            same = child.padding == tuple(size // 2 for size in child.kernel_size) and child.padding_mode == "zeros"
            if least is not None and plain and same and child.in_channels >= least:
                setattr(network, name, Winograd(child))
        else:
            quicken(child)
