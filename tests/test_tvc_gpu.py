"""tvc's training on a GPU: a recorded step is the step that it was recorded from."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from tvc_eye import Pyramid
from tvc_samples import UNEVEN as TINY

from tvc.haar import Planes
from tvc.model import TVC
from tvc.training.adversary import FULL, Adversary
from tvc.training.gpu import Replayed, prepare
from tvc.training.losses import Distortion, LossWeights
from tvc.training.objective import Objective
from tvc.training.stages import STAGES, parameters

DEVICE = torch.device("cuda")
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU here, which recorded steps run on")


def test_a_cpu_is_left_as_it_is() -> None:
    network = nn.Conv2d(3, 3, 3)
    before = torch.backends.cuda.matmul.allow_tf32
    prepare(torch.device("cpu"), network, None)
    assert not network._forward_pre_hooks
    assert torch.backends.cuda.matmul.allow_tf32 == before


@needs_gpu
@pytest.mark.parametrize("name", ["whole", "decoder"])
def test_a_replayed_step_has_the_loss_and_gradients_of_the_step_itself(name: str) -> None:
    torch.manual_seed(0)
    model = TVC(TINY).to(DEVICE)
    assert model.predictor is not None
    nn.init.constant_(model.predictor.gate, 0.5)
    parameters(model, STAGES[name])
    prepare(DEVICE, model)
    adversary = Adversary(0.5, DEVICE)
    adversary.steps = FULL
    distortion = Distortion(LossWeights(), Pyramid().to(DEVICE), 24, adversary)  # type: ignore[arg-type]
    objective = Objective(model, STAGES[name], distortion, side=48, looks=2)
    objective._threshold = lambda: 0.0  # type: ignore[method-assign]  # a fresh context model is sure of nothing
    precision = torch.autocast(DEVICE.type, torch.bfloat16, enabled=False)
    replayed = Replayed(objective, precision)
    seen = set()

    def step(planes: Planes, seed: int, *, recorded: bool) -> tuple[float, list[Tensor | None]]:
        for parameter in model.parameters():
            parameter.grad = None
        objective.seed(seed)
        torch.manual_seed(seed)
        with adversary.forgotten():
            if recorded:
                value = float(replayed(planes, 0.5)["loss"])
            else:
                loss, _ = objective(planes, 0.5, precision)
                loss.backward()  # type: ignore[no-untyped-call]
                value = float(loss.detach())
        return value, [None if p.grad is None else p.grad.clone() for p in model.parameters()]

    for seed in range(60):
        y, cb, cr = (torch.rand(4, 8, side, side, device=DEVICE) - 0.5 for side in (32, 16, 16))
        objective.seed(seed)
        draw = objective.draw((y, cb, cr), 0.5)
        seen.add((draw.kind, draw.rounds > 0))
        (expected, wanted), (value, given) = (step((y, cb, cr), seed, recorded=way) for way in (False, True))
        assert value == pytest.approx(expected, rel=1e-3)
        # The predictor is not told that there was nothing before the first slot of what comes before.
        close = 0.5 if draw.kind == "masked" and draw.rounds else 0.02
        for one, other in zip(wanted, given, strict=True):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert torch.allclose(one, other, atol=close * float(one.abs().max()) + 1e-6)
    assert len(seen) == 6
