"""tvc's training on a GPU: a recorded step is the step that it was recorded from."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from tvc_samples import UNEVEN as TINY

from tvc.model import TVC
from tvc.training.gpu import Replayed, prepare
from tvc.training.losses import Distortion, LossWeights
from tvc.training.objective import Objective
from tvc.training.stages import STAGES, parameters

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
    device = torch.device("cuda")
    model = TVC(TINY).to(device)
    parameters(model, STAGES[name])
    prepare(device, model)
    objective = Objective(model, STAGES[name], Distortion(LossWeights(), None, 16), side=48, looks=2)
    precision = torch.autocast("cuda", torch.bfloat16, enabled=False)
    replayed = Replayed(objective, precision)
    kinds = set()
    for seed in range(24):
        y, cb, cr = (torch.rand(4, 8, side, side, device=device) - 0.5 for side in (32, 16, 16))
        objective.seed(seed)
        kinds.add(objective.draw((y, cb, cr), 0.5).kind)
        found = []
        for way in ("itself", "recorded"):
            for parameter in model.parameters():
                parameter.grad = None
            # Twice: a recording's first use is preceded by a rehearsal, which draws noise.
            for _ in range(2):
                model.zero_grad()
                objective.seed(seed)
                torch.manual_seed(seed)
                if way == "recorded":
                    value = float(replayed((y, cb, cr), 0.5)["loss"])
                else:
                    loss, _ = objective((y, cb, cr), 0.5, precision)
                    loss.backward()  # type: ignore[no-untyped-call]
                    value = float(loss.detach())
                    del loss
            gradients = [None if p.grad is None else p.grad.clone() for p in model.parameters()]
            found.append((value, gradients))
        (expected, wanted), (value, given) = found
        assert value == pytest.approx(expected, rel=1e-3)
        for one, other in zip(wanted, given, strict=True):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert torch.allclose(one, other, atol=0.02 * float(one.abs().max()) + 1e-6)
    assert kinds == {"tokens", "masked", "latents"}
