"""What makes training fast on a GPU.

A step is some ten thousand small operations, and the processor takes longer to ask for them than the GPU to do them. So
what a step computes is recorded once for each kind of batch, as a CUDA graph, and then replayed: on one H200 a step of
64 crops takes 0.5 s otherwise.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map_only

from tvc.haar import Planes
from tvc.operating import Kind
from tvc.training.objective import Draw, Logs, Objective, State


def prepare(device: torch.device, *networks: nn.Module | None) -> None:
    """Sets PyTorch up for training on a device, and the networks that are trained there; nothing on a CPU.

    Args:
        device: where.
        networks: on it.
    """
    if device.type != "cuda":
        return
    # Ten bits of mantissa: what the integer context models multiply has eight at most.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    for network in networks:
        for module in () if network is None else network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_pre_hook(_channels_last)


def _channels_last(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    # Tensor cores multiply rows of channels. The weights keep their order: the optimiser sees them as matrices.
    return (inputs[0].contiguous(memory_format=torch.channels_last),)


class _Key(NamedTuple):
    """What a recording depends on; everything else is written into its tensors."""

    kind: Kind
    continued: bool
    shape: torch.Size


class _Recording(NamedTuple):
    """Operations on the tensors that they read, and what they write."""

    graph: torch.cuda.CUDAGraph
    inputs: Any
    outputs: Any


class Replayed:
    """The loss of a batch and its gradients, replayed.

    They are what `objective` and `backward` give, but for the first slot of what comes before a batch with masks.

    Args:
        objective: on a GPU, of two slots at least; its perceptual distance looks at every one, as recordings cannot
            choose.
        precision: of the networks.
    """

    def __init__(self, objective: Objective, precision: torch.autocast) -> None:
        self.objective, self.precision = objective, precision
        self._learning = [p for p in objective.model.parameters() if p.requires_grad]
        self._gradients: list[Tensor] = [torch.zeros_like(p) for p in self._learning]
        self._reached: dict[Kind, list[bool]] = {}
        self._steps: dict[_Key, _Recording] = {}
        self._passes: dict[Kind, _Recording] = {}
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, planes: Planes, progress: float) -> Logs:
        """What to log of planes (B, 4 * slots, H, W) at `progress` 0 ... 1; gradients are in the parameters."""
        draw = self.objective.draw(planes, progress)
        if draw.kind not in self._reached:
            self._rehearse(planes, draw)
        numbers = _numbers(draw, planes[0].device)
        state = self._state(planes, draw, numbers)
        inputs = planes, state, numbers
        key = _Key(draw.kind, draw.rounds > 0, planes[0].shape)
        if key not in self._steps:
            self._steps[key] = self._record(inputs, lambda kept: self._learn(draw, *kept), draw.kind)
        torch._foreach_zero_(self._gradients)
        self._show_gradients(draw.kind)
        logs: Logs = _replay(self._steps[key], inputs)
        return logs

    def _state(self, planes: Planes, draw: Draw, numbers: _Numbers) -> Any:
        """What the slots before leave behind."""
        slots = self.objective.before(planes, draw)
        if not slots:
            return State()
        if draw.kind not in self._passes:
            state = State()
            for slot in slots[:2]:
                state = self.objective.passed(slot, state, draw, self.precision)
            self._passes[draw.kind] = self._record(
                (slots[0], state, numbers),
                lambda kept: self.objective.passed(kept[0], kept[1], kept[2].into(draw), self.precision),
            )
        recording = self._passes[draw.kind]
        # A state of zeros is that of nothing before, but for the predictor, which knows the difference.
        state = tree_map_only(Tensor, _nothing, recording.inputs[1])
        for slot in slots:
            state = _replay(recording, (slot, state, numbers))
        return state

    def _rehearse(self, planes: Planes, draw: Draw) -> None:
        """Runs once what is to be recorded: libraries set themselves up; and notes which parameters it reaches."""
        for parameter in self._learning:
            parameter.grad = None
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        adversary = self.objective.distortion.adversary
        # A run that is resumed rehearses again: it must not leave more behind than noise that was never drawn.
        forgotten = nullcontext() if adversary is None else adversary.forgotten()
        with torch.random.fork_rng([planes[0].device]), torch.cuda.stream(stream), forgotten:
            self._learn(draw, planes, State(), _numbers(draw, planes[0].device))
        torch.cuda.current_stream().wait_stream(stream)
        self._reached[draw.kind] = [p.grad is not None for p in self._learning]

    def _learn(self, draw: Draw, planes: Planes, state: State, numbers: _Numbers) -> Logs:
        loss, logs = self.objective.loss(planes, state, numbers.into(draw), self.precision)
        loss.backward()  # type: ignore[no-untyped-call]
        return logs | {"loss": loss.detach()}

    def _record(self, inputs: Any, made: Any, kind: Kind | None = None) -> _Recording:
        kept = tree_map_only(Tensor, torch.clone, inputs)
        if kind is not None:
            self._show_gradients(kind)
        # Integers that were made before would be read where they were, not made anew.
        self.objective.model.train()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool):
            outputs = made(kept)
        self.objective.model.train()
        return _Recording(graph, kept, outputs)

    def _show_gradients(self, kind: Kind) -> None:
        # What a kind of batch does not reach is not to be moved by momentum alone.
        for parameter, gradient, reached in zip(self._learning, self._gradients, self._reached[kind], strict=True):
            parameter.grad = gradient if reached else None


class _Numbers(NamedTuple):
    """The numbers of a draw, and where it looks, on the GPU."""

    values: Tensor
    looks: Any

    def into(self, draw: Draw) -> Draw:
        step, threshold, fidelity, rate = self.values.unbind()
        return draw._replace(step=step, threshold=threshold, fidelity=fidelity, rate=rate, looks=self.looks)


def _numbers(draw: Draw, device: torch.device) -> _Numbers:
    values = torch.tensor([draw.step, draw.threshold, draw.fidelity, draw.rate])
    return _Numbers(values.to(device), tree_map_only(Tensor, lambda look: look.to(device), draw.looks))


def _replay(recording: _Recording, inputs: Any) -> Any:
    """The outputs for other inputs, copied: the next replay writes over them."""
    for kept, given in zip(tree_leaves(recording.inputs), tree_leaves(inputs), strict=True):
        if isinstance(kept, Tensor):
            kept.copy_(given)
    recording.graph.replay()
    return tree_map_only(Tensor, torch.clone, recording.outputs)


def _nothing(known: Tensor) -> Tensor:
    """What is known of a slot that there was not: features of 0, codes of -1."""
    return torch.zeros_like(known) if known.is_floating_point() else torch.full_like(known, -1)
