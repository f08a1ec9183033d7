"""What moves the parameters: Muon for the matrices inside the networks, AdamW for everything else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tvc.errors import TrainingError

_LEAST_SIDE = 32
"""A matrix with fewer rows or columns is not worth orthogonalising."""

_OTHERS = {"stem", "head", "shortcut", "direct", "first", "last", "embed", "logits"}
"""First and last layers, by name: their columns or rows are colours, codes and coefficients, each of its own size."""
_CONTEXTS = {"discrete_context", "continuous_context"}
"""Whole networks of integer layers learn no faster by Muon."""


class Optimiser:
    """Muon (K. Jordan et al., "Muon: An optimizer for hidden layers in neural networks", 2024), and AdamW beside it.

    Muon's updates are as long as AdamW's (Liu et al., "Muon is scalable for LLM training", arXiv 2502.16982): one
    learning rate does for both.

    Args:
        groups: of parameters, each with `scale`, its factor on the learning rate.
        names: of these parameters.
    """

    def __init__(self, groups: list[dict[str, Any]], names: dict[nn.Parameter, str]) -> None:
        self.parameters = [parameter for group in groups for parameter in group["params"]]
        # Muon takes matrices: a view of a convolution's weights as one is stepped, and with it the weights.
        self._matrices: dict[nn.Parameter, nn.Parameter] = {
            parameter: nn.Parameter(parameter.detach().view(len(parameter), -1))
            for parameter in self.parameters
            if _is_inside(names[parameter], parameter)
        }
        inside, rest = [], []
        for group in groups:
            scale = group["scale"]
            matrices = [self._matrices[p] for p in group["params"] if p in self._matrices]
            others = [p for p in group["params"] if p not in self._matrices]
            inside += [{"params": matrices, "scale": scale}] if matrices else []
            rest += [{"params": others, "scale": scale}] if others else []
        self._optimisers: list[torch.optim.Optimizer] = []
        if inside:
            self._optimisers.append(
                torch.optim.Muon(inside, weight_decay=1e-3, ns_steps=4, adjust_lr_fn="match_rms_adamw")
            )
        if rest:
            self._optimisers.append(torch.optim.AdamW(rest, betas=(0.9, 0.99), weight_decay=1e-3))

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in (*self.parameters, *self._matrices.values()):
            parameter.grad = None

    def step(self, rate: float) -> None:
        """One step at this learning rate."""
        for parameter, matrix in self._matrices.items():
            matrix.grad = None if parameter.grad is None else parameter.grad.reshape(matrix.shape)
        for optimiser in self._optimisers:
            for group in optimiser.param_groups:
                group["lr"] = rate * group["scale"]
            optimiser.step()

    def state_dict(self) -> list[dict[str, Any]]:
        """What `load_state_dict` takes."""
        return [optimiser.state_dict() for optimiser in self._optimisers]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Go on from where `state_dict` was taken.

        Raises:
            TrainingError: it was taken from another optimiser, as before there was Muon.
        """
        if not isinstance(states, list) or len(states) != len(self._optimisers):
            raise TrainingError(
                "the checkpoint is of another optimiser",
                got=type(states).__name__,
                expected=f"the states of {len(self._optimisers)}",
                fix="start a new run from its weights, with --start",
            )
        for optimiser, state in zip(self._optimisers, states, strict=True):
            optimiser.load_state_dict(state)


def _is_inside(name: str, parameter: Tensor) -> bool:
    matrix = parameter.ndim > 1 and min(len(parameter), parameter[0].numel()) >= _LEAST_SIDE
    return matrix and (_OTHERS | _CONTEXTS).isdisjoint(name.split("."))
