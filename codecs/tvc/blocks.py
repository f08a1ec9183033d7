"""Building blocks shared by encoder and decoder.

No block normalises over space: statistics of a tile would differ from those of the whole frame.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


def convolution(inputs: int, outputs: int, kernel: int = 3, *, activated: bool = False) -> nn.Conv2d:
    """A convolution that keeps height and width, and at first the variance too (He et al., arXiv 1502.01852).

    Args:
        inputs: channels in.
        outputs: channels out.
        kernel: 1 or 3.
        activated: its input has passed `activate`, which halves the variance.
    """
    made = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.normal_(made.weight, std=((2 if activated else 1) / (inputs * kernel**2)) ** 0.5)
    nn.init.zeros_(made.bias)  # type: ignore[arg-type]
    return made


def activate(x: Tensor) -> Tensor:
    """Leaky rectifier, slope 0.1: cheap in float32 and bfloat16 on a CPU."""
    return functional.leaky_relu(x, 0.1)


class Residual(nn.Module):
    """Pre-activation residual block (He et al., arXiv 1603.05027): 3x3 looks around, 1x1 mixes channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.look = convolution(width, width, activated=True)
        self.mix = convolution(width, width, 1)
        # Starting near the identity keeps deep stacks trainable without normalisation (Fixup, arXiv 1901.09321).
        nn.init.normal_(self.mix.weight, std=0.3 * width**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> the same shape."""
        out: Tensor = x + self.mix(activate(self.look(activate(x))))
        return out


def residuals(width: int, count: int) -> nn.Sequential:
    """`count` residual blocks in a row."""
    return nn.Sequential(*(Residual(width) for _ in range(count)))


class TemporalMix(nn.Module):
    """Adds what the previous slot's features, moved by at most one position, say about this one's.

    Causal, one step back; the state carries everything older. Without bias, so that no previous slot
    (after an intra reset) and a previous slot of zeros are the same.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.previous = nn.Conv2d(width, width, 3, padding=1, bias=False)
        nn.init.normal_(self.previous.weight, std=0.1 * (9 * width) ** -0.5)

    def forward(self, x: Tensor, previous: Tensor | None) -> Tensor:
        """X and previous (B, width, h, w) -> the same shape."""
        return x if previous is None else x + self.previous(activate(previous))


class Down(nn.Module):
    """Halves height and width: 2x2 positions become channels, then 1x1."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.mix = convolution(4 * width, out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, out, h/2, w/2)."""
        out: Tensor = self.mix(functional.pixel_unshuffle(x, 2))
        return out


class Up(nn.Module):
    """Doubles height and width by sub-pixel convolution (Shi et al., arXiv 1609.05158), 1x1."""

    def __init__(self, width: int, out: int) -> None:
        super().__init__()
        self.mix = convolution(width, 4 * out, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, h, w) -> (B, out, 2h, 2w)."""
        return functional.pixel_shuffle(self.mix(x), 2)


def zero(made: nn.Conv2d) -> nn.Conv2d:
    """The same convolution with weights of zero: it adds nothing until it has learned to."""
    nn.init.zeros_(made.weight)
    return made
