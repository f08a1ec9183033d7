"""Layers whose sums are exact integers in float32, so that an entropy decoder computes the same on every machine.

Activations are whole numbers 0..127 and weights int8 over a power of two per output channel. Every partial sum of a
dot product is then a multiple of that power of two with at most 24 significant bits, which float32 holds exactly: order
of summation, instruction set, threads and batch no longer matter. While training, the same layers run with
straight-through gradients (Bengio et al. 2013, arXiv 1308.3432), so that training sees exactly what coding will
compute; after Ballé, Johnston and Minnen, "Integer networks for data compression with latent-variable models", ICLR
2019.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvc.errors import WeightsError

UNIT = 32
"""The activation that stands for 1.0: activations reach 127/32."""

PEAK = 127
"""Largest activation and largest magnitude of a weight."""

MAX_TERMS = 1000
"""Non-zero inputs of one dot product: 1040 would fill the 24 bits, and the bias needs room."""

_EXACT = 1 << 24
_LARGEST_SHIFT = 12


class _StraightThrough(torch.autograd.Function):
    """Takes the second value, gives its gradient to the first."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, replacement: Tensor) -> Tensor:  # noqa: ARG004 (autograd's signature)
        return replacement

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:  # noqa: ARG004
        return gradients[0], None


def through(value: Tensor, replacement: Tensor) -> Tensor:
    """`replacement`, with the gradient of `value`."""
    result: Tensor = _StraightThrough.apply(value, replacement)
    return result


class IntegerLayer(nn.Module):
    """A convolution (or, on (N, C) input, a matrix product) in exact integer arithmetic.

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: 1 or 3; zero padding keeps the size.
        terms: most inputs of a dot product that are not zero, where fewer than all of them can be (one-hot planes).
        gain: factor on the initial weights.

    Raises:
        WeightsError: more terms than a float32 sum holds exactly.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, terms: int | None = None, gain: float = 1.0) -> None:
        super().__init__()
        terms = inputs * kernel * kernel if terms is None else terms
        if terms > MAX_TERMS:
            raise WeightsError(
                "an integer layer has more inputs than float32 sums exactly",
                expected=f"at most {MAX_TERMS}",
                got=terms,
                fix="choose a smaller context_width",
            )
        self.kernel = kernel
        self.quantised = True
        self.bias_limit = _EXACT - 1 - terms * PEAK * PEAK
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel) * (gain * math.sqrt(2 / terms)))
        self.bias = nn.Parameter(torch.zeros(outputs))
        self.exact: tuple[Tensor, Tensor] | None = None
        self._versions = (-1, -1)
        self.register_load_state_dict_post_hook(_forget)  # type: ignore[no-untyped-call]

    def forward(self, x: Tensor) -> Tensor:
        """Rounded sums of an activation map, whole numbers when `quantised`.

        Args:
            x: activations (B, inputs, h, w), or (N, inputs) where the kernel is 1.

        Returns:
            (B, outputs, h, w) or (N, outputs), before any clamping.
        """
        if not self.quantised:
            return _product(x, self.weight, self.bias * UNIT, self.kernel, training=True)
        if self.training:
            weight, bias = self._current()
            sums = _product(
                x, through(self.weight, weight), through(self.bias * UNIT, bias), self.kernel, training=True
            )
            return through(sums, torch.floor(sums))
        if self.exact is None:
            self.exact = self._quantise()[:2]
        return torch.floor(_product(x, *self.exact, self.kernel, training=False))

    def train(self, mode: bool = True) -> IntegerLayer:
        """As `nn.Module.train`; weights may change afterwards."""
        self.exact = None
        return super().train(mode)

    def integers(self) -> dict[str, Tensor]:
        """What is stored: `weight` int8 (outputs, inputs, k, k), `shift` int8 and `bias` int32 (outputs,)."""
        weight, bias, shift = self._quantise()
        scale = torch.exp2(shift)
        return {
            "weight": (weight * scale.reshape(-1, 1, 1, 1)).to(torch.int8),
            "shift": shift.to(torch.int8),
            "bias": (bias * scale).to(torch.int32),
        }

    def load_integers(self, weight: Tensor, shift: Tensor, bias: Tensor) -> None:
        """Take the weights that `integers` gave; `integers` gives the same again.

        Raises:
            WeightsError: other shapes or types than this layer's, or values that break exactness.
        """
        kinds = (torch.int8, torch.int8, torch.int32)
        shapes = (self.weight.shape, self.bias.shape, self.bias.shape)
        given = (weight, shift, bias)
        if any(t.dtype != kind or t.shape != shape for t, kind, shape in zip(given, kinds, shapes, strict=True)):
            raise WeightsError(
                "an integer layer does not fit its weights",
                expected=[(str(kind), tuple(shape)) for kind, shape in zip(kinds, shapes, strict=True)],
                got=[(str(t.dtype), tuple(t.shape)) for t in given],
            )
        scale = torch.exp2(shift.float())
        with torch.no_grad():
            self.weight.copy_(weight.float() / scale.reshape(-1, 1, 1, 1))
            self.bias.copy_((bias.double() / scale.double() - 0.5) / UNIT)
        self.exact = None
        if any(
            not torch.equal(mine, stored)
            for mine, stored in zip(self.integers().values(), (weight, shift, bias), strict=True)
        ):
            raise WeightsError("an integer layer's weights are not ones that training can have written")

    def _current(self) -> tuple[Tensor, Tensor]:
        """`exact` of weights that every step changes, made once a step."""
        versions = self.weight._version, self.bias._version
        if self.exact is None or versions != self._versions:
            self.exact, self._versions = self._quantise()[:2], versions
        return self.exact

    @torch.no_grad()
    def _quantise(self) -> tuple[Tensor, Tensor, Tensor]:
        """Weights and bias as multiples of 2**-shift, and the shift of each output channel."""
        peak = self.weight.abs().amax((1, 2, 3))
        # The largest shift that keeps round(peak * 2**shift) at 127 or below; frexp is exact, log2 is not.
        mantissa, exponent = torch.frexp(peak)
        shift = torch.where(mantissa < (PEAK + 0.5) / 128, 7, 6) - exponent
        shift = torch.where(peak > 0, shift, _LARGEST_SHIFT).clamp(0, _LARGEST_SHIFT).float()
        scale = torch.exp2(shift)
        rows = scale.reshape(-1, 1, 1, 1)
        weight = (self.weight * rows).round().clamp(-PEAK, PEAK) / rows
        # Half a unit turns the floor that follows into rounding.
        bias = ((self.bias * UNIT + 0.5) * scale).round().clamp(-self.bias_limit, self.bias_limit) / scale
        return weight, bias, shift


def _forget(layer: IntegerLayer, _: object) -> None:
    layer.exact = None


class _Cut(torch.autograd.Function):
    """Clamp to 0..top whose gradient, above top, still passes where it points back down.

    With the plain clamp a unit that once overshot on all its inputs never learns again. With `rises`, the gradient also
    passes below 0 where it points back up.
    """

    @staticmethod
    def forward(ctx: Any, sums: Tensor, top: int, rises: bool) -> Tensor:
        ctx.save_for_backward(sums)
        ctx.top, ctx.rises = top, rises
        return sums.clamp(0, top)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (sums,) = ctx.saved_tensors
        low = (sums > 0) | (gradients[0] < 0) if ctx.rises else sums > 0
        return gradients[0] * (low & ((sums < ctx.top) | (gradients[0] > 0))), None, None


def activate(sums: Tensor) -> Tensor:
    """Activations: sums cut to 0..127."""
    result: Tensor = _Cut.apply(sums, PEAK, False)
    return result


def gate(sums: Tensor) -> Tensor:
    """Gates: sums cut to 0..UNIT, which stands for 1; half open where the sum is 0."""
    result: Tensor = _Cut.apply(sums + UNIT // 2, UNIT, True)
    return result


def planes(codes: Tensor, levels: tuple[int, ...]) -> Tensor:
    """One-hot planes of token codes, 1.0 being `UNIT`; a code of -1 (not known) sets none.

    Args:
        codes: (B, dimensions, h, w) integers.
        levels: of each dimension.

    Returns:
        (B, sum(levels), h, w) float32.
    """
    return torch.cat([one_hot(codes[:, d], count, 1) for d, count in enumerate(levels)], 1)


def one_hot(codes: Tensor, levels: int, axis: int) -> Tensor:
    """`codes` with a new axis of `levels`: `UNIT` at the code, 0 elsewhere."""
    shape = [1] * (codes.ndim + 1)
    shape[axis] = levels
    return (codes.unsqueeze(axis) == torch.arange(levels, device=codes.device).reshape(shape)).float() * UNIT


def quantise(module: nn.Module, on: bool) -> None:
    """Switch rounding of every integer layer in `module` on (the default) or off (float, to warm up or compare)."""
    for layer in module.modules():
        if isinstance(layer, IntegerLayer):
            layer.quantised = on


def integer_state(module: nn.Module) -> dict[str, Tensor]:
    """Every integer layer's stored tensors, named `<layer>.weight`, `<layer>.shift` and `<layer>.bias`."""
    return {
        f"{name}.{key}": value
        for name, layer in module.named_modules()
        if isinstance(layer, IntegerLayer)
        for key, value in layer.integers().items()
    }


def load_integer_state(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Inverse of `integer_state`.

    Raises:
        WeightsError: a tensor is missing, left over, or of another shape or type.
    """
    layers = {name: layer for name, layer in module.named_modules() if isinstance(layer, IntegerLayer)}
    wanted = {f"{name}.{key}" for name in layers for key in ("weight", "shift", "bias")}
    if set(state) != wanted:
        odd = sorted(set(state) ^ wanted)
        raise WeightsError(
            "the integer layers' tensors are not the model's", got=odd[:4], expected=f"{len(wanted)} tensors"
        )
    for name, layer in layers.items():
        layer.load_integers(state[f"{name}.weight"], state[f"{name}.shift"], state[f"{name}.bias"])


def _product(x: Tensor, weight: Tensor, bias: Tensor, kernel: int, *, training: bool) -> Tensor:
    if x.ndim == 2:
        return x @ weight.flatten(1).T + bias
    if training or kernel == 1:
        return functional.conv2d(x, weight, padding=kernel // 2) + bias.reshape(-1, 1, 1)
    # Written out as matrix products, one for each tap: a convolution library may pick Winograd's algorithm, which is
    # not exact. In rows laid end to end a tap is a distance, so nothing is copied; what lies past a row's end is cut.
    batch, _, height, width = x.shape
    row = width + 2
    length = height * row - 2
    padded = functional.pad(x, (1, 1, 1, 1)).flatten(2)  # (B, inputs, (h + 2) * (w + 2))
    sums = bias.reshape(1, -1, 1).repeat(batch, 1, height * row)
    for tap, weights in enumerate(weight.permute(2, 3, 0, 1).flatten(0, 1)):
        start = tap // 3 * row + tap % 3
        for number in range(batch):
            sums[number, :, :length].addmm_(weights, padded[number, :, start : start + length])
    return sums.reshape(batch, -1, height, row)[..., :width]
