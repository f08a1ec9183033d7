"""tvc's networks: transforms against closed forms, causality, ablation switches, weights files."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tvc_samples import UNEVEN as TINY

from tvc import weights
from tvc.config import HAAR_CHANNELS, ModelConfig
from tvc.errors import WeightsError
from tvc.fsq import FSQ
from tvc.haar import Planes, analyse, synthesise
from tvc.model import TVC
from tvc.tokenizer import Latents


def _slot(height: int = 32, width: int = 48, seed: int = 0, batch: int = 1) -> Planes:
    generator = torch.Generator().manual_seed(seed)
    shapes = ((height, width), (height // 2, width // 2), (height // 2, width // 2))
    y, cb, cr = (torch.rand(batch, 4, *shape, generator=generator) * 2 - 1 for shape in shapes)
    return y, cb, cr


def _model(seed: int = 0, **switches: object) -> TVC:
    torch.manual_seed(seed)
    return TVC(dataclasses.replace(TINY, **switches)).eval()  # type: ignore[arg-type]


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 1000))
def test_haar_is_inverted_and_keeps_energy(rows: int, columns: int, seed: int) -> None:
    planes = _slot(4 * rows, 4 * columns, seed)
    coefficients = analyse(planes)
    assert coefficients.shape == (1, 96, rows, columns)
    for plane, back in zip(planes, synthesise(coefficients), strict=True):
        assert torch.allclose(plane, back, atol=1e-5)
    energy = sum(float(plane.square().sum()) for plane in planes)
    assert float(coefficients.square().sum()) == pytest.approx(energy, rel=1e-5)


def test_haar_of_a_constant_is_its_mean_alone() -> None:
    y, c = torch.full((1, 4, 8, 8), 0.5), torch.full((1, 4, 4, 4), -0.25)
    coefficients = analyse((y, c, c))
    # Orthonormal: sqrt(64) * 0.5 and sqrt(16) * -0.25.
    expected = torch.zeros(96)
    expected[0], expected[64], expected[80] = 4.0, -1.0, -1.0
    assert torch.allclose(coefficients[0, :, 0, 0], expected, atol=1e-6)


def test_fsq_agrees_with_the_papers_listing() -> None:
    levels = (8, 5, 4)
    generator = np.random.default_rng(0)
    z = generator.normal(0, 3, (2, 3, 5, 7)).astype(np.float32)
    count = np.array(levels, np.float64).reshape(1, -1, 1, 1)
    # The paper's appendix: bound(z), round, divide by L // 2.
    half = (count - 1) * (1 + 1e-3) / 2
    offset = np.where(count % 2 == 1, 0.0, 0.5)
    expected = np.round(np.tanh(z + np.arctanh(offset / half)) * half - offset) / (count // 2)
    fsq = FSQ(levels)
    values = fsq(torch.from_numpy(z))
    assert np.allclose(values.numpy(), expected, atol=1e-6)
    codes = fsq.codes(values)
    for dimension, n in enumerate(levels):
        assert set(codes[:, dimension].flatten().tolist()) == set(range(n))
    assert torch.equal(fsq.values(codes), values)


def test_fsq_gradient_is_that_of_the_bounding_alone() -> None:
    z = torch.linspace(-2, 2, 9).reshape(1, 1, 3, 3).requires_grad_()
    FSQ((5,))(z).sum().backward()  # type: ignore[no-untyped-call]
    expected = (1 - torch.tanh(z.detach()) ** 2) * 2 * 1.001 / 2
    assert z.grad is not None
    assert torch.allclose(z.grad, expected, atol=1e-6)


def test_slots_have_the_promised_shapes() -> None:
    model = _model()
    codes, latents, state = model.encode_slot(_slot(32, 48), model.new_encoder_state())
    assert codes.shape == (1, 6, 2, 3)
    assert codes.dtype == torch.int64
    assert latents is not None
    assert latents.shape == (1, 8, 2, 3)
    limits = torch.tensor(TINY.levels).reshape(1, 6, 1, 1)
    assert bool(((codes >= 0) & (codes < limits)).all())
    mask = torch.zeros(1, 1, 2, 3, dtype=torch.bool)
    planes, _ = model.decode_slot(codes, mask, latents, model.new_decoder_state())
    assert [tuple(p.shape) for p in planes] == [(1, 4, 32, 48), (1, 4, 16, 24), (1, 4, 16, 24)]
    again, _, _ = model.encode_slot(_slot(32, 48), state)
    assert again.shape == codes.shape


def test_the_past_matters_and_only_the_past() -> None:
    model = _model()
    for module in (model.encoder, model.decoder):
        for mix in (module.mix8, module.mix16):
            assert mix is not None
            torch.nn.init.normal_(mix.previous.weight, std=0.5)
    _, _, state_a = model.encode_slot(_slot(seed=1), None)
    _, _, state_b = model.encode_slot(_slot(seed=2), None)
    frames = _slot(seed=3)
    first, _, _ = model.encode_slot(frames, state_a)
    second, _, _ = model.encode_slot(frames, state_b)
    intra, _, _ = model.encode_slot(frames, None)
    zeros = (torch.zeros_like(state_a[0]), torch.zeros_like(state_a[1]))
    as_zero, _, _ = model.encode_slot(frames, zeros)
    assert not torch.equal(first, second)
    assert torch.equal(intra, as_zero)


def test_without_temporal_every_slot_stands_alone() -> None:
    model = _model(temporal=False)
    codes, _, state = model.encode_slot(_slot(seed=1), None)
    alone, _, _ = model.encode_slot(_slot(seed=2), None)
    after, _, _ = model.encode_slot(_slot(seed=2), state)
    assert torch.equal(alone, after)
    _, decoded = model.decode_slot(codes, None, None, None)
    one, _ = model.decode_slot(alone, None, None, None)
    two, _ = model.decode_slot(alone, None, None, decoded)
    assert torch.equal(one[0], two[0])


def test_without_continuous_there_are_no_latents_and_no_control_branch() -> None:
    model = _model(continuous=False)
    _, latents, _ = model.encode_slot(_slot(), None)
    assert latents is None
    assert model.decoder.control is None
    assert model.continuous_context is None


def test_latents_begin_far_above_the_noise_of_their_own_steps() -> None:
    torch.manual_seed(3)
    branch = Latents(ModelConfig())
    # Coefficients arrive divided by their usual sizes: about 1.
    with torch.no_grad():
        latents = branch(torch.randn(2, HAAR_CHANNELS, 64, 64), torch.zeros(2, ModelConfig().widths[2], 16, 16))
    assert latents.shape == (2, ModelConfig().latents, 16, 16)
    assert 2.5 < float(latents.std()) < 5


def test_an_untrained_control_branch_adds_nothing_a_trained_one_does() -> None:
    model = _model()
    codes, latents, _ = model.encode_slot(_slot(), None)
    without, _ = model.decode_slot(codes, None, None, None)
    with_latents, _ = model.decode_slot(codes, None, latents, None)
    assert torch.equal(without[0], with_latents[0])
    control = model.decoder.control
    assert control is not None
    for scale in (control.zero16, control.zero8, control.zero4, control.direct):
        torch.nn.init.normal_(scale.weight, std=0.1)
        moved, _ = model.decode_slot(codes, None, latents, None)
        assert not torch.equal(moved[0], without[0])
        torch.nn.init.zeros_(scale.weight)


def test_without_refinement_the_planes_are_the_synthesis() -> None:
    model, plain = _model(), _model(refine=False)
    plain.load_state_dict({k: v for k, v in model.state_dict().items() if ".refine." not in k})
    refine = model.decoder.refine
    assert refine is not None
    codes, _, _ = model.encode_slot(_slot(), None)
    expected, _ = plain.decode_slot(codes, None, None, None)
    untrained, _ = model.decode_slot(codes, None, None, None)
    assert torch.equal(untrained[0], expected[0])
    torch.nn.init.normal_(refine.last.weight, std=0.1)
    trained, _ = model.decode_slot(codes, None, None, None)
    assert not torch.equal(trained[0], expected[0])


def test_without_predictor_a_mask_is_only_marked() -> None:
    model = _model(predictor=False)
    codes, _, _ = model.encode_slot(_slot(), None)
    _, state = model.decode_slot(codes, torch.ones(1, 1, 2, 3, dtype=torch.bool), None, None)
    assert torch.equal(state.values, model.fsq.values(codes))


def test_decoding_is_local() -> None:
    """What tiling relies on: far tokens do not reach a pixel, as no layer takes statistics of the frame."""
    model = _model()
    codes = torch.zeros(1, 6, 4, 40, dtype=torch.int64)
    other = codes.clone()
    other[..., -1] = 4
    one, _ = model.decode_slot(codes, None, None, None)
    two, _ = model.decode_slot(other, None, None, None)
    assert torch.equal(one[0][..., : 16 * 30], two[0][..., : 16 * 30])
    assert not torch.equal(one[0], two[0])


def test_the_default_model_fits_the_weights_limit() -> None:
    with torch.device("meta"):
        model = TVC(ModelConfig())
    assert 2 * sum(parameter.numel() for parameter in model.parameters()) <= 40_000_000


def test_config_survives_json_and_refuses_anything_else() -> None:
    assert ModelConfig.from_json(TINY.to_json()) == TINY
    good = json.loads(TINY.to_json())
    for change in (
        {"widths": [8, 12]},
        {"widths": "8"},
        {"latents": True},
        {"latents": 0},
        {"latents": 1 << 40},
        {"levels": [1, 8]},
        {"levels": []},
        {"temporal": 1},
        {"predictor_heads": 5},
        {"surprise": 1},
    ):
        with pytest.raises(WeightsError):
            ModelConfig.from_json(json.dumps(good | change))
    for text in ("", "[]", "{", "null"):
        with pytest.raises(WeightsError):
            ModelConfig.from_json(text)


def test_weights_come_back_as_they_were(tmp_path: Path) -> None:
    model = _model()
    path = tmp_path / "w.safetensors"
    weights.save(model, path, {"steps": 3})
    loaded = weights.load(path)
    assert loaded.config == TINY
    assert weights.training_summary(path) == {"steps": 3}
    assert weights.model_hash(loaded) == weights.model_hash(model)
    assert len(weights.model_hash(model)) == 8
    for name, tensor in model.encoder.state_dict().items():
        assert torch.equal(loaded.encoder.state_dict()[name], tensor.half().float())
    again = tmp_path / "again.safetensors"
    weights.save(loaded, again, {"steps": 3})
    assert again.read_bytes() == path.read_bytes()


def test_the_hash_moves_with_any_tensor_and_with_the_config() -> None:
    model = _model()
    seen = {weights.model_hash(model)}
    for part in (model.encoder.stem.bias, model.decoder.head.bias):
        part.data[0] += 0.5
        seen.add(weights.model_hash(model))
    model.discrete_context.past.stem.weight.data[0] += 0.5
    seen.add(weights.model_hash(model))
    assert len(seen) == 4
    plain, other = _model(), _model(checkerboard=False)
    assert weights.model_hash(plain) != weights.model_hash(other)


def test_files_that_are_not_weights_say_so(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no such"):
        weights.load(tmp_path / "absent.safetensors")
    good = tmp_path / "good.safetensors"
    weights.save(_model(), good, {})
    bad = tmp_path / "bad.safetensors"
    save_file({"a": torch.zeros(1)}, bad)
    with pytest.raises(WeightsError, match="not a weights file"):
        weights.load(bad)
    tensors = load_file(good)
    about = {"version": 1, "config": TINY.to_json(), "training": {}}
    for change in (
        {"encoder.stem.weight": torch.zeros(3, dtype=torch.float16)},
        {"encoder.stem.bias": tensors["encoder.stem.bias"].double()},
        {"extra": torch.zeros(1, dtype=torch.float16)},
        {"discrete_context.past.stem.weight": torch.zeros(2, dtype=torch.int8)},
    ):
        save_file(tensors | change, bad, {"tvc": json.dumps(about)})
        with pytest.raises(WeightsError):
            weights.load(bad)
    for other in (about | {"version": 2}, about | {"config": 3}, {"version": 1}, [], None):
        save_file(tensors, bad, {"tvc": json.dumps(other)})
        with pytest.raises(WeightsError, match="not a weights file"):
            weights.load(bad)
    for large in ({"widths": [1024, 1024, 1024]}, {"predictor_window": 1024}, {"predictor_layers": 1024}):
        huge = json.dumps(json.loads(TINY.to_json()) | large)
        save_file(tensors, bad, {"tvc": json.dumps(about | {"config": huge})})
        with pytest.raises(WeightsError, match="do not fit"):
            weights.load(bad)


def test_not_finite_weights_are_not_written(tmp_path: Path) -> None:
    model = _model()
    model.encoder.stem.bias.data[0] = 1e6
    with pytest.raises(WeightsError, match="not finite"):
        weights.save(model, tmp_path / "w.safetensors", {})


def test_damaged_weights_are_an_error_or_a_model(tmp_path: Path) -> None:
    good = tmp_path / "good.safetensors"
    weights.save(_model(), good, {})
    content = good.read_bytes()
    header = 8 + int.from_bytes(content[:8], "little")
    rng = np.random.default_rng(0)
    bad = tmp_path / "bad.safetensors"
    refused = 0
    for _ in range(150):
        damaged = bytearray(content)
        if rng.random() < 0.3:
            damaged = damaged[: int(rng.integers(0, len(content)))]
        else:
            for position in rng.integers(0, header, 2):
                damaged[position] ^= 1 << int(rng.integers(8))
        bad.write_bytes(damaged)
        try:
            weights.load(bad)
        except WeightsError:
            refused += 1
    assert refused > 100
