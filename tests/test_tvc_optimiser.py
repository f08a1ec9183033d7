"""What moves tvc's parameters: which of them by Muon, which by AdamW, and how far."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tvc.config import ModelConfig
from tvc.errors import TrainingError
from tvc.model import TVC
from tvc.training.optimiser import Optimiser
from tvc.training.stages import STAGES, parameters

RATE = 1e-3


def _network() -> dict[str, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    shapes = {"at8.look.weight": (64, 40, 3, 3), "at8.look.bias": (64,), "head.weight": (64, 40, 3, 3)}
    return {name: nn.Parameter(torch.randn(shape, generator=generator)) for name, shape in shapes.items()}


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_matrices_take_orthogonal_steps_and_others_the_steps_of_adamw(scale: float) -> None:
    network = _network()
    before = {name: value.detach().clone() for name, value in network.items()}
    names = {value: name for name, value in network.items()}
    optimiser = Optimiser([{"params": list(names), "scale": scale}], names)
    for value in network.values():
        value.grad = torch.randn(value.shape, generator=torch.Generator().manual_seed(1))
    gradients = {name: value.grad.clone() for name, value in network.items() if value.grad is not None}
    optimiser.step(RATE)
    rate = RATE * scale
    # Weight decay first; what is left of the movement is the step.
    steps = {name: before[name] * (1 - rate * 1e-3) - value.detach() for name, value in network.items()}
    # Without a past, AdamW moves every parameter by the rate, against its gradient.
    for name in ("at8.look.bias", "head.weight"):
        assert torch.allclose(steps[name], rate * gradients[name].sign(), rtol=1e-3, atol=1e-7)
    # Muon: the gradient with singular values of about one, as long as a step of AdamW (RMS 0.2).
    matrix = steps["at8.look.weight"].flatten(1) / (rate * 0.2 * 360**0.5)
    values = torch.linalg.svdvals(matrix)
    assert 0.6 < float(values.min()) < float(values.max()) < 1.3
    rows, _, columns = torch.linalg.svd(gradients["at8.look.weight"].flatten(1), full_matrices=False)
    assert float((matrix * (rows @ columns)).sum()) / 64 == pytest.approx(float(values.mean()), rel=0.02)
    optimiser.zero_grad()
    assert all(value.grad is None for value in network.values())


def test_an_optimiser_goes_on_from_its_state() -> None:
    """Two steps in one go, and two with the state taken out and put into another in between."""
    ends = []
    for broken in (False, True):
        network = _network()
        names = {value: name for name, value in network.items()}
        groups = [{"params": list(names), "scale": 1.0}]
        optimiser = Optimiser(groups, names)
        for step in range(2):
            for value in network.values():
                value.grad = torch.randn(value.shape, generator=torch.Generator().manual_seed(step))
            optimiser.step(RATE)
            if broken:
                state, optimiser = optimiser.state_dict(), Optimiser(groups, names)
                optimiser.load_state_dict(state)
        ends.append(network)
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


@pytest.mark.parametrize("state", [{"state": {}, "param_groups": []}, []])
def test_the_state_of_another_optimiser_is_refused(state) -> None:
    network = _network()
    optimiser = Optimiser([{"params": list(network.values()), "scale": 1.0}], {v: k for k, v in network.items()})
    with pytest.raises(TrainingError, match="another optimiser"):
        optimiser.load_state_dict(state)


@pytest.mark.parametrize("stage", list(STAGES.values()), ids=list(STAGES))
def test_every_parameter_of_a_stage_moves_once_and_matrices_by_muon(stage) -> None:
    model = TVC(ModelConfig())
    names = {parameter: name for name, parameter in model.named_parameters()}
    optimiser = Optimiser(parameters(model, stage), names)
    wanted = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert sorted(map(id, optimiser.parameters)) == sorted(map(id, wanted))
    by_kind: dict[str, set[int]] = {}
    for part in optimiser._optimisers:
        moved = [p.data_ptr() for group in part.param_groups for p in group["params"]]
        assert len(moved) == len(set(moved))
        by_kind[type(part).__name__] = set(moved)
    assert sum(len(moved) for moved in by_kind.values()) == len(wanted)
    by_muon = {names[p] for p in wanted if p.data_ptr() in by_kind.get("Muon", set())}
    if stage.name == "context":
        assert not by_muon
        return
    # Within the networks: not where pictures, codes and coefficients come in or go out, nor in the integer networks.
    assert "decoder.control.zero8.weight" in by_muon
    assert ("decoder.at8.1.look.weight" in by_muon) == ("decoder" in stage.parts)
    ends = {"decoder.stem", "decoder.head", "decoder.control.direct", "encoder.stem", "encoder.latents.shortcut"}
    assert not any(name.startswith((*ends, "discrete_context", "continuous_context")) for name in by_muon)
    assert not any(name.endswith(("bias", "gate", "position", "place")) for name in by_muon)
