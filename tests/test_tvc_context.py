"""tvc.context: what each square may see, training against coding, float against integer, one result on any machine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from tvc.checkerboard import halves
from tvc.config import ModelConfig
from tvc.context import DiscreteContext
from tvc.integer import integer_state, quantise
from tvc.latent_context import ContinuousContext
from tvc.tables import REACH, TOTAL, steps

SMALL = ModelConfig(context_width=32, latents=8)


def _fields(seed: int, batch: int = 6, side: int = 10, slots: int = 3) -> list[torch.Tensor]:
    """Slots of tokens like a codec's: smooth in space, changing slowly, correlated between dimensions, noisy."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.tensor(SMALL.levels).reshape(1, -1, 1, 1)
    coarse = torch.randn(batch, 6, side // 2, side // 2, generator=generator)
    result = []
    for _ in range(slots):
        field = functional.interpolate(coarse, size=(side, side), mode="bilinear")
        field[:, 1:] = field[:, 1:] + 0.5 * field[:, :-1]
        noise = 0.3 * torch.randn(field.shape, generator=generator)
        level = (torch.tanh(field) + 1) / 2 * (levels - 1) + noise
        result.append(level.round().clamp(min=0).minimum(levels - 1).long())
        coarse = coarse + 0.1 * torch.randn(coarse.shape, generator=generator)
    return result


def _features(model: DiscreteContext, slots: list[torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Per half the squares and the (B, width, h, w) features."""
    first, second = halves(*slots[2].shape[2:], True)
    past = model.past_features(slots[1], slots[0], slots[2].shape)
    present = model.present_features(past, torch.where(second, -1, slots[2]))
    return [(first, past), (second, present)]


def _coded_bits(model: DiscreteContext, slots: list[torch.Tensor]) -> float:
    """Ideal length by the integer counts, bits a token."""
    total = 0.0
    for half, (squares, features) in enumerate(_features(model, slots)):
        rows = features.permute(0, 2, 3, 1)[:, squares].flatten(0, 1)
        tokens = slots[2].permute(0, 2, 3, 1)[:, squares].flatten(0, 1)
        for d in range(6):
            counts = model.frequencies(half, d, rows, tokens)
            total -= np.log2(counts[np.arange(len(counts)), tokens[:, d].numpy()] / TOTAL).sum()
    return total / slots[2][:, 0].numel()


def test_halves_are_a_checkerboard():
    first, second = halves(2, 3, True)
    assert first.tolist() == [[True, False, True], [False, True, False]]
    assert torch.equal(second, ~first)
    assert halves(2, 3, False)[0].all()


def test_integer_costs_at_most_a_twentieth_of_a_bit_more_than_float():
    torch.manual_seed(0)
    model = DiscreteContext(SMALL)
    quantise(model, on=False)
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3)
    for step in range(160):
        slots = _fields(step)
        optimiser.zero_grad()
        model(slots[2], slots[1], slots[0]).sum(1).mean().backward()
        optimiser.step()
        if step == 110:
            quantise(model, on=True)
    held_out = _fields(10_000, batch=16)
    model.eval()
    with torch.no_grad():
        estimate = model(held_out[2], held_out[1], held_out[0]).sum(1).mean().item()
        coded = _coded_bits(model, held_out)
        quantise(model, on=False)
        in_float = model(held_out[2], held_out[1], held_out[0]).sum(1).mean().item()
    assert in_float < 14  # of 15.97: it has learned something to lose
    assert abs(coded - estimate) < 0.005
    assert coded - in_float < 0.05


def test_training_forward_is_the_integer_forward():
    torch.manual_seed(1)
    model = DiscreteContext(SMALL)
    slots = _fields(1)
    with torch.no_grad():
        training = model.train()(slots[2], slots[1], slots[0])
        coding = model.eval()(slots[2], slots[1], slots[0])
    assert torch.equal(training, coding)


def test_a_square_sees_only_what_is_decoded_before_it():
    torch.manual_seed(2)
    model = DiscreteContext(SMALL).eval()
    with torch.no_grad():
        for layer in model.logits:
            layer.weight.mul_(10)
        slots = _fields(2, batch=1)
        base = model(slots[2], slots[1], slots[0])
        first, _ = halves(10, 10, True)
        changed = slots[2].clone()
        changed[:, 3, 4, 5] = (changed[:, 3, 4, 5] + 1) % 5  # 4 + 5 is odd: second half
        moved = (model(changed, slots[1], slots[0]) != base)[0]
    assert not moved[:, first].any()
    moved[3:, 4, 5] = False  # the code itself and the dimensions after it
    assert not moved.any()


def test_no_checkerboard_codes_all_squares_from_the_past():
    torch.manual_seed(3)
    model = DiscreteContext(ModelConfig(context_width=16, checkerboard=False)).eval()
    slots = _fields(3, batch=1)
    changed = slots[2].clone()
    changed[:, :, 4, 4] = 0
    with torch.no_grad():
        moved = model(changed, slots[1], slots[0]) != model(slots[2], slots[1], slots[0])
    moved[:, :, 4, 4] = False
    assert not moved.any()


@pytest.mark.parametrize("step_index", [-8, 0, 5, 24])
def test_continuous_estimate_is_what_the_counts_say(step_index):
    torch.manual_seed(4)
    model = ContinuousContext(SMALL).eval()
    with torch.no_grad():
        for layer in model.gaussian:
            layer.weight.mul_(3)
    codes = _fields(4, batch=2)
    latents = 3 * torch.randn(2, 8, 10, 10)
    previous = (3 * torch.randn(2, 8, 10, 10) * 256).round() / 256
    step, _ = steps(step_index)
    symbols = torch.round(latents * 256 / step)
    dequantised = symbols * step / 256
    coded = 0.0
    with torch.no_grad():
        estimate = model(dequantised, step / 256, codes[2], previous, codes[1])
        features = model.past_features(codes[2], previous, codes[1])
        for half, squares in enumerate(halves(10, 10, True)):
            if half:
                features = model.present_features(features, dequantised * ~squares, previous * ~squares)
            rows, before = (one.permute(0, 2, 3, 1)[:, squares].flatten(0, 1) for one in (features, previous))
            mean, counts = model.gaussians(half, rows, before, step_index)
            here = symbols.permute(0, 2, 3, 1)[:, squares].flatten(0, 1).numpy().astype(np.int64)
            place = np.clip(here - mean + REACH, 0, 2 * REACH)
            assert (counts.sum(-1) == TOTAL).all()
            coded -= np.log2(np.take_along_axis(counts, place[..., None], -1) / TOTAL).sum()
    # Means are rounded to 1/16 step in the counts; distances beyond the reach are cut.
    assert abs(coded - estimate.sum().item()) < 0.02 * coded


def test_continuous_training_learns_and_reaches_the_latents():
    torch.manual_seed(5)
    model = ContinuousContext(SMALL)
    optimiser = torch.optim.AdamW(model.parameters(), 5e-3)
    costs = []
    for seed in range(120):
        codes = _fields(seed, batch=4)[2]
        # Half of each latent is told by the codes.
        latents = (codes[:, [0, 1, 2, 3, 4, 5, 0, 1]] - 3 + torch.randn(4, 8, 10, 10)).requires_grad_()
        bits = model(latents, 1.0, codes, noise=True).sum(1).mean()
        optimiser.zero_grad()
        bits.backward()
        optimiser.step()
        costs.append(bits.item() / 8)
    assert latents.grad.abs().max() > 0
    # A Gaussian of deviation 1 in steps of 1 has 2.05 bits; of the spread of the codes (about 2.4) 3.3 bits.
    assert np.mean(costs[-10:]) < 2.6


def test_latents_that_come_again_exactly_cost_almost_nothing():
    torch.manual_seed(6)
    model = ContinuousContext(SMALL)
    optimiser = torch.optim.AdamW(model.parameters(), 5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 400)
    for seed in range(400):
        codes = _fields(seed, batch=4)[2]
        previous = (3 * torch.randn(4, 8, 10, 10)).round()
        # Half of the crops stand still, tokens and latents; the others are new.
        still = (torch.arange(4) % 2 == 0).reshape(4, 1, 1, 1)
        latents = torch.where(still, previous, (3 * torch.randn(4, 8, 10, 10)).round())
        bits = model(latents, 1.0, codes, previous, torch.where(still, codes, codes.flip(3))).mean((1, 2, 3))
        optimiser.zero_grad()
        bits.mean().backward()
        optimiser.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        alike, new = model(previous, 1.0, codes, previous, codes).mean(), bits[~still.flatten()].mean()
    # A Gaussian of deviation 3 in steps of 1 has 3.6 bits.
    assert alike < 0.3
    assert new < 4.2


_CHILD = """
import hashlib, sys, torch
from safetensors.torch import load_file
from tvc.config import ModelConfig
from tvc.context import DiscreteContext
from tvc.latent_context import ContinuousContext
from tvc.integer import load_integer_state
torch.set_num_threads(int(sys.argv[2]))
tensors = load_file(sys.argv[1])
digest = hashlib.sha256()
with torch.inference_mode():
    for kind in (DiscreteContext, ContinuousContext):
        model = kind(ModelConfig()).eval()
        prefix = kind.__name__ + ":"
        load_integer_state(model, {k[len(prefix):]: v for k, v in tensors.items() if k.startswith(prefix)})
        codes = [tensors[f"codes{i}"] for i in range(3)]
        if kind is DiscreteContext:
            past = model.past_features(codes[1], codes[0], codes[2].shape)
            present = model.present_features(past, codes[2])
            for half, rows in enumerate((past, present)):
                for d in range(6):
                    counts = model.frequencies(half, d, rows[0].flatten(1).T, codes[2][0].flatten(1).T)
                    digest.update(counts.tobytes())
        else:
            latents = tensors["latents"]
            past = model.past_features(codes[2], latents, codes[1])
            for half, rows in enumerate((past, model.present_features(past, latents, latents.flip(3)))):
                mean, counts = model.gaussians(half, rows[0].flatten(1).T, latents[0].flatten(1).T, 3)
                digest.update(mean.tobytes() + counts.tobytes())
print(torch.backends.cpu.get_cpu_capability(), digest.hexdigest())
"""


def _run_child(tensors: Path, threads: int, capability: str, isa: str) -> tuple[str, str]:
    environment = os.environ | {"ATEN_CPU_CAPABILITY": capability, "ONEDNN_MAX_CPU_ISA": isa}
    # The matrix products of MKL follow their own switch.
    environment["MKL_ENABLE_INSTRUCTIONS"] = {"SSE41": "SSE4_2", "AVX2": "AVX2", "AVX512_CORE": "AVX512"}[isa]
    command = [sys.executable, "-c", _CHILD, str(tensors), str(threads)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=300)
    name, digest = done.stdout.split()[-2:]
    return name, digest


def test_trap31_counts_are_the_same_on_every_instruction_set_and_thread_count(tmp_path):
    torch.manual_seed(6)
    tensors = {f"codes{i}": codes for i, codes in enumerate(_fields(6, batch=1, side=16))}
    tensors["latents"] = (4 * torch.randn(1, ModelConfig().latents, 16, 16) * 256).round() / 256
    for model in (DiscreteContext(ModelConfig()), ContinuousContext(ModelConfig())):
        with torch.no_grad():
            for layer in model.logits if isinstance(model, DiscreteContext) else model.gaussian:
                layer.weight.mul_(8)
        prefix = type(model).__name__
        tensors |= {f"{prefix}:{name}": value for name, value in integer_state(model).items()}
    path = tmp_path / "context.safetensors"
    save_file(tensors, path)
    variants = [
        (1, "default", "SSE41"),
        (2, "avx2", "AVX2"),
        (1, "avx512", "AVX512_CORE"),
        (2, "avx512", "AVX512_CORE"),
    ]
    results = [_run_child(path, *variant) for variant in variants]
    assert {name for name, _ in results} >= {"DEFAULT"}  # the switch was obeyed
    assert len({digest for _, digest in results}) == 1


def test_the_price_of_a_place_is_linear_between_the_bits_of_the_codes_beside_it():
    torch.manual_seed(0)
    model = DiscreteContext(SMALL)
    slots = _fields(3, batch=2)
    codes, mask = slots[2], torch.rand(2, 1, 10, 10) < 0.3
    places = (codes + 0.25 * torch.randn(codes.shape)).requires_grad_()
    bits, price = model.priced(places, codes, mask, slots[1], slots[0])
    spent = model(codes, slots[1], slots[0]) * ~mask
    assert float(bits.detach()) == pytest.approx(float(spent.detach().sum()) / codes[:, 0].numel(), rel=1e-5)
    assert bits.requires_grad
    # Nothing but the places hears the price.
    price.backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert places.grad is not None
    assert not places.grad[mask.expand_as(codes)].any()
    # One more in the last dimension of the second half changes what that code costs, and nothing else.
    second = halves(10, 10, True)[1] & ~mask[0, 0]
    y, x = (int(v[0]) for v in second.nonzero(as_tuple=True))
    below = int(places[0, 5, y, x].detach().floor().clamp(0, SMALL.levels[5] - 2))
    costs = []
    for code in (below, below + 1):
        other = codes.clone()
        other[0, 5, y, x] = code
        costs.append(float(model(other, slots[1], slots[0])[0, 5, y, x].detach()))
    slope = float(places.grad[0, 5, y, x]) * codes[:, 0].numel()
    assert slope == pytest.approx(costs[1] - costs[0], abs=1e-3)
