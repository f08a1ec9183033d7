"""Judges that learn to tell decoded pictures from sources by what the perceptual network sees, and teach the decoder.

LPIPS asks whether a place looks like the same place of the source, an adversary whether it looks like a source at all:
a texture in the wrong place is none of its business. On features of a trained network judges learn far sooner than with
a network of their own (Sauer et al., "Projected GANs", NeurIPS 2021).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = (64, 128, 256, 512)
"""Of the features that are judged: the first four taps of VGG-16."""

_WIDTH = 32
_LEARNING_RATE = 1e-3
ALONE, FULL = 50, 250
"""The steps from which on the decoder listens, and listens fully: what fresh judges say means nothing."""


class Judges(nn.Module):
    """One for each tap; says of every place how much it looks like a source."""

    def __init__(self) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, _WIDTH, 1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(_WIDTH, _WIDTH, 3, padding=1),
                nn.LeakyReLU(0.2),
                nn.Conv2d(_WIDTH, 1, 1),
            )
            for channels in CHANNELS
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Features (B, C, h, w) of each tap -> (B, 1, h, w) of each; high where it looks like a source."""
        # They begin with differences that bfloat16 would round away.
        with torch.autocast(features[0].device.type, enabled=False):
            return [head(one.float()) for head, one in zip(self.heads, features, strict=True)]


class Adversary:
    """The judges, and their own training by the hinge loss (Lim and Ye, arXiv 1705.02894).

    Args:
        share: length of their gradient at a decoded picture, as a multiple of that of the perceptual distance. It is
            scaled to that at every step, as by Esser et al. (CVPR 2021) at the last layer: no weight has to be found.
        device: of the pictures.
    """

    def __init__(self, share: float, device: torch.device) -> None:
        self.share = share
        self._strength = torch.zeros((), device=device)
        self.judges = Judges().to(device)
        self._optimiser = torch.optim.Adam(
            self.judges.parameters(), lr=_LEARNING_RATE, betas=(0.5, 0.99), capturable=device.type == "cuda"
        )
        self.steps = 0

    @property
    def steps(self) -> int:
        """How many steps of training it has been part of."""
        return self._steps

    @steps.setter
    def steps(self, steps: int) -> None:
        self._steps = steps
        self._strength.fill_(self.share * min(1.0, max(0.0, (steps - ALONE) / (FULL - ALONE))))

    def pull(
        self, source: list[Tensor], decoded: list[Tensor], picture: Tensor, reference: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Where the judges pull a decoded picture, after which they learn from it: one step.

        Args:
            source: features of the source, (B, C, h, w) of each of `CHANNELS` at least.
            decoded: those of the decoded picture, with gradients to it.
            picture: the decoded one, RGB (B, 3, H, W).
            reference: the gradient of the perceptual distance at it, of the same shape.

        Returns:
            A gradient to add to the reference, of its shape; and the losses of `judge1` and the others: 2 of one that
            knows nothing, 0 of one that is sure and right. Features that are not finite teach nothing: the judges go on
            by momentum alone.
        """
        sizes = [one.square().mean().sqrt().clamp(min=1e-12) for one in source[: len(CHANNELS)]]
        real = [one / size for one, size in zip(source, sizes, strict=False)]
        made = [one / size for one, size in zip(decoded, sizes, strict=False)]
        doubt = -torch.stack([said.mean() for said in self.judges(made)]).mean()
        (gradient,) = torch.autograd.grad(doubt, picture)
        losses = self._learn(real, [one.detach() for one in made])
        factor = self._strength * reference.norm() / gradient.norm().clamp(min=1e-12)
        return factor * gradient, {f"judge{number}": loss for number, loss in enumerate(losses, 1)}

    def _learn(self, real: list[Tensor], made: list[Tensor]) -> list[Tensor]:
        said = zip(self.judges(real), self.judges(made), strict=True)
        losses = [functional.relu(1 - true).mean() + functional.relu(1 + false).mean() for true, false in said]
        weights = list(self.judges.parameters())
        total = torch.stack(losses).mean()
        gradients = torch.autograd.grad(total, weights)
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = torch.where(total.isfinite(), gradient, 0)
        self._optimiser.step()
        return [loss.detach() for loss in losses]

    @contextmanager
    def forgotten(self) -> Iterator[None]:
        """What the judges learn inside is undone in the end, in the tensors that they have."""

        def known() -> list[Tensor]:
            state = self._optimiser.state_dict()["state"].values()
            return [*self.judges.parameters(), *(value for one in state for value in one.values())]

        before = [one.detach().clone() for one in known()]
        yield
        with torch.no_grad():
            for number, one in enumerate(known()):
                # What was not there begins as it always does.
                one.copy_(before[number]) if number < len(before) else one.zero_()

    def state_dict(self) -> dict[str, Any]:
        """What `load_state_dict` takes."""
        return {
            "steps": self.steps,
            "judges": self.judges.state_dict(),
            "optimiser": self._optimiser.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from where `state_dict` was taken."""
        self.steps = state["steps"]
        self.judges.load_state_dict(state["judges"])
        capturable = self._optimiser.param_groups[0]["capturable"]
        self._optimiser.load_state_dict(state["optimiser"])
        # It says where a run was, not where it goes on.
        self._optimiser.param_groups[0]["capturable"] = capturable
