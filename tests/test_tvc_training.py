"""tvc's training recipe: losses, stages and a loop that resumes where it was ended."""

from __future__ import annotations

import dataclasses
import io
import json
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from tvc_material import SMALL_CROPS, material_folder, moving, run_settings
from tvc_samples import UNEVEN as TINY

from tvc.bitstream import Reader
from tvc.decoder import decode_frames
from tvc.encoder import encode_stream
from tvc.errors import TrainingError
from tvc.haar import Planes
from tvc.model import TVC
from tvc.operating import DISCRETE_ONLY, MULTIPLIER, POINTS
from tvc.resampling import resized
from tvc.statistics import bitstream_stats
from tvc.tables import TOTAL
from tvc.training import checkpoint, crops, loop, material
from tvc.training.grow import GrowSettings, grow, regression
from tvc.training.losses import Distortion, LossWeights
from tvc.training.objective import Objective
from tvc.training.stages import STAGES, parameters
from tvc.training.validate import load_clip, score
from tvc.video import Format


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return material_folder(tmp_path / "material", monkeypatch)


def _batch(slots: int = 2) -> Planes:
    y, cb, cr = (torch.rand(2, 4 * slots, s, s) * 2 - 1 for s in (32, 16, 16))
    return y, cb, cr


@pytest.mark.parametrize("name", list(STAGES))
def test_a_stage_trains_its_parts_and_nothing_else(name: str) -> None:
    torch.manual_seed(0)
    model = TVC(TINY)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    stage = STAGES[name]
    optimiser = torch.optim.SGD(parameters(model, stage), lr=1e-3)
    # Zero-initialised outputs hold back the gradients behind them for the first steps.
    for step in range(4):
        latents = stage.latents == 1 or (stage.latents > 0 and step % 2 == 1)
        turn = dataclasses.replace(stage, latents=float(latents), masks=float(stage.masks > 0))
        objective = Objective(model, turn, Distortion(LossWeights(), None, 16), seed=step)
        objective._threshold = lambda: 0.0  # type: ignore[method-assign]  # a fresh context model is sure of nothing
        loss, logs = objective(_batch(), 0.5, torch.autocast("cpu", enabled=False))
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        assert math.isfinite(float(loss.detach()))
        assert all(math.isfinite(float(value)) for value in logs.values())
    moved = [key for key, value in model.state_dict().items() if not torch.equal(value, before[key])]
    assert all(key.startswith(tuple(f"{part}." for part in stage.parts)) for key in moved)
    assert all(any(key.startswith(f"{part}.") for key in moved) for part in stage.parts)


def test_enlarged_crops_are_compared_at_their_own_size() -> None:
    torch.manual_seed(0)
    model = TVC(TINY)
    stage = dataclasses.replace(STAGES["discrete"], latents=0)
    parameters(model, stage)
    planes = _batch(1)
    # Seeds of which the batch starts with an intra slot.
    objective = Objective(model, stage, Distortion(LossWeights(), None, 16), 1, side=48)
    objective._chance = lambda share: False  # type: ignore[method-assign]
    loss, logs = objective(planes, 0.5, torch.autocast("cpu", enabled=False))
    places, _, _ = model.place_slot(resized(planes, 48, 48), None)
    codes, _ = model.discrete_context.chosen(places, None, None, MULTIPLIER)
    decoded, _, _ = model.reconstruct(model.fsq.values(codes), None, None, None)
    shown = resized(decoded, 32, 32)
    expected, parts = Distortion(LossWeights(), None, 16)(planes, shown)
    assert float(loss.detach()) == pytest.approx(float(expected.detach()), rel=1e-5)
    assert float(logs["l1"]) == pytest.approx(float(parts["l1"]), rel=1e-5)


@pytest.mark.parametrize("factors", [(), (0.0,), (-1.0,), (1.0, 5.0), (float("nan"),)])
def test_crops_are_not_enlarged_without_bounds(data: Path, tmp_path: Path, factors: tuple[float, ...]) -> None:
    with pytest.raises(TrainingError, match="not coded at such a size"):
        loop.train(run_settings(enlarge=factors), data=data, crops=tmp_path, lpips=None, folder=tmp_path / "out")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"looks": 0}, "looks at slots"),
        ({"looks": 3}, "looks at slots"),
        ({"tokens": 0.1}, "not in the loss"),
        ({"stage": "context", "tokens": 0.1}, "not in the loss"),
    ],
)
def test_settings_that_a_stage_does_not_know_are_refused(
    data: Path, tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    with pytest.raises(TrainingError, match=said):
        loop.train(run_settings(**changes), data=data, crops=tmp_path, lpips=None, folder=tmp_path / "out")


def test_a_run_draws_its_factors_and_resumes_with_them(data: Path, tmp_path: Path) -> None:
    train, _ = material.split(material.read_manifest(data))
    crops.build(train, tmp_path / "crops", SMALL_CROPS)
    settings = run_settings(stage="latents", enlarge=(1.5, 1.0, 0.5), steps=3, validate_every=3)
    run = loop._Run(settings, data, tmp_path / "crops", None, tmp_path / "run", None, TINY)
    sides: list[int] = []
    drawn = run.store.batch

    def watched(rng: np.random.Generator, batch: int, slots: int, size: int) -> Planes:
        sides.append(size)
        return drawn(rng, batch, slots, size)

    run.store.batch = watched  # type: ignore[method-assign]
    for _ in range(12):
        run.advance()
    # 32 / 1.5 to a multiple of 4, 32, and 32 / 0.5.
    assert set(sides) == {20, 32, 64}
    run.validate()
    assert math.isfinite(run.best)


def test_the_rate_weight_comes_late_and_reaches_the_latents() -> None:
    torch.manual_seed(0)
    model = TVC(TINY)
    stage = dataclasses.replace(STAGES["continuous"], latents=1.0)
    parameters(model, stage)
    objective = Objective(model, stage, Distortion(LossWeights(), None, 16))
    losses = []
    for progress in (0.2, 0.4, 1.0):
        torch.manual_seed(1)
        objective.seed(3)
        loss, logs = objective(_batch(), progress, torch.autocast("cpu", enabled=False))
        losses.append((float(loss.detach()), float(logs["continuous_bpp"])))
    objective.seed(3)
    step = objective.draw(_batch(), 1.0).step
    assert step != 1
    # Nothing in the first fifth, half at two fifths, all of it from three fifths on; coarse steps count for more.
    (free, none), (half, rate), (full, same) = losses
    assert none == rate == pytest.approx(same)
    assert half - free == pytest.approx(0.5 * stage.rate * step * rate, rel=1e-3)
    assert full - free == pytest.approx(stage.rate * step * rate, rel=1e-3)


def test_validation_masks_at_an_operating_point() -> None:
    # 57 in loop.py and in the model card: an octave in 8 steps to q 42, then one in 4.
    assert POINTS[57].threshold == TOTAL * loop._SURE == TOTAL * 2 ** -(10 / 8 + 15 / 4)


def test_a_resumed_run_ends_where_an_unbroken_one_does(data: Path, tmp_path: Path) -> None:
    train, _ = material.split(material.read_manifest(data))
    crops.build(train, tmp_path / "crops", SMALL_CROPS)

    def run(folder: str, **changes: object) -> dict[str, torch.Tensor]:
        where = loop.train(
            run_settings(**changes),
            data=data,
            crops=tmp_path / "crops",
            lpips=None,
            folder=tmp_path / folder,
            config=TINY,
        )
        content = checkpoint.read_checkpoint(where)
        average: dict[str, torch.Tensor] = content["average"]
        return average

    straight = run("straight")
    # The learning rate depends on the stage's length, so the first half is ended by the clock, not by steps.
    stopped = loop._Run(run_settings(), data, tmp_path / "crops", None, tmp_path / "broken", None, TINY)
    stopped.advance()
    stopped.advance()
    stopped.save()
    resumed = run("broken")
    assert all(torch.equal(straight[name], resumed[name]) for name in straight)
    entries = [json.loads(line) for line in (tmp_path / "broken" / "log.jsonl").read_text().splitlines()]
    assert [entry["event"] for entry in entries] == ["start", "resume", "step", "validation"]
    assert entries[-1]["clips"]["discrete"]["lab held.mkv"]["psnr_y"] > 0


def test_training_latents_leaves_what_is_decoded_without_them_as_it_was(data: Path, tmp_path: Path) -> None:
    train, _ = material.split(material.read_manifest(data))
    crops.build(train, tmp_path / "crops", SMALL_CROPS)
    settings = run_settings(stage="latents", steps=3, rate=12.0, fidelity=3.0)
    run = loop._Run(settings, data, tmp_path / "crops", None, tmp_path / "run", None, TINY)
    assert (run.stage.rate, run.stage.fidelity) == (12.0, 3.0)  # not the stage's own
    planes = run.store.batch(np.random.default_rng(0), 1, 1, settings.size)

    def decoded() -> tuple[torch.Tensor, torch.Tensor | None]:
        codes, latents, _ = run.model.encode_slot(planes, None)
        return run.model.decode_slot(codes, None, None, None)[0][0], latents

    before, first = decoded()
    for _ in range(settings.steps):
        run.advance()
    after, last = decoded()
    assert torch.equal(before, after)
    assert first is not None
    assert last is not None
    assert not torch.equal(first, last)


def test_reduced_rank_regression_is_principal_components_where_the_error_is_the_source() -> None:
    generator = torch.Generator().manual_seed(0)
    samples = torch.randn(4000, 12, generator=generator, dtype=torch.float64) * torch.arange(1, 13).sqrt()
    samples = samples @ torch.linalg.qr(torch.randn(12, 12, generator=generator, dtype=torch.float64))[0]
    own = samples.T @ samples / len(samples)
    analysis, synthesis = regression(own, own, 3)
    axes = np.linalg.eigh(own.numpy())[1][:, -3:]
    projector = axes @ axes.T
    # The ridge takes a little of each.
    assert np.allclose((synthesis @ analysis).numpy(), projector, atol=0.01)
    assert np.allclose((synthesis.T @ synthesis).numpy(), np.eye(3), atol=1e-5)


def test_more_latents_leave_tokens_as_they_were_and_bring_errors_down(data: Path, tmp_path: Path) -> None:
    train, _ = material.split(material.read_manifest(data))
    crops.build(train, tmp_path / "crops", SMALL_CROPS)
    torch.manual_seed(0)
    model, store = TVC(TINY).eval(), crops.CropStore(tmp_path / "crops")
    start = {"config": TINY.to_json(), "average": model.state_dict()}
    more = TINY.latents + 4
    settings = GrowSettings(batches=2, size=SMALL_CROPS.size, slots=2)
    content = grow(start, store, more, settings)
    checkpoint.write_checkpoint(tmp_path / "grown.pt", content)
    run = loop._Run(run_settings(), data, tmp_path / "crops", None, tmp_path / "run", tmp_path / "grown.pt", None)
    grown = run.model.eval()
    planes = store.batch(np.random.default_rng(0), 4, 1, SMALL_CROPS.size)
    errors = []
    for one in (model, grown):
        codes, latents, _ = one.encode_slot(planes, None)
        assert latents is not None
        errors.append((one.decode_slot(codes, None, latents, None)[0][0] - planes[0]).square().mean())
        tokens = one.decode_slot(codes, None, None, None)[0][0]
        assert torch.equal(tokens, model.decode_slot(codes, None, None, None)[0][0])
    assert latents.shape[1] == more
    assert errors[1] < 0.8 * errors[0]
    with pytest.raises(TrainingError, match="only be added"):
        grow(start, store, TINY.latents, settings)


def test_checkpoints_of_other_models_and_unknown_stages_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="unknown stage"):
        loop.train(run_settings(stage="x"), data=data, crops=tmp_path, lpips=None, folder=tmp_path / "out")
    (tmp_path / "bad.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(TrainingError, match="cannot read"):
        checkpoint.read_checkpoint(tmp_path / "bad.pt")
    state = TVC(TINY).state_dict()
    del state["encoder.stem.bias"]
    with pytest.raises(TrainingError, match="another model"):
        checkpoint.load_parts(TVC(TINY), state)


def test_validation_scores_whole_clips(data: Path) -> None:
    _, held_out = material.split(material.read_manifest(data))
    clip = load_clip(*held_out[0], frames=8)
    assert [tuple(plane.shape) for plane in clip] == [(1, 8, 64, 96), (1, 8, 32, 48), (1, 8, 32, 48)]
    expected = moving(20, 64, 96)[6][:64].astype(np.float32)
    assert np.array_equal(clip[0][0, 0].numpy(), expected)
    torch.manual_seed(0)
    model = TVC(TINY).eval()
    frames = [tuple(plane[0, t].numpy().astype(np.uint8) for plane in clip) for t in range(8)]

    def coded(q: int, scale: float) -> Reader:
        stream = io.BytesIO()
        encode_stream(frames, Format(96, 64, Fraction(25)), stream, model, q=q, scale=scale, detail=False)
        return Reader(stream.getvalue())

    def psnr(reader: Reader) -> float:
        luma = np.stack([frame[0] for frame in decode_frames(reader, model)]).astype(np.float64)
        return float(10 * np.log10(255**2 / np.square(luma - clip[0][0].numpy()).mean()))

    # What the codec writes and decodes, before detail is given back.
    result = score(model, clip, None)
    assert result.psnr_y == pytest.approx(psnr(coded(DISCRETE_ONLY, 1)), abs=0.01)
    assert math.isnan(result.lpips)
    assert (result.bits_per_token, result.cost_per_token) == (-1, -1)
    counted = score(model, clip, None, count_bits=True)
    assert 0 < counted.bits_per_token < counted.cost_per_token < 6 * 16
    assert counted.latent_bits_per_token == -1
    # Its range coder is within a percent of the ideal length.
    reader = coded(8, 1)
    asked = score(model, clip, None, step=1.0, count_bits=True)
    assert asked.psnr_y == pytest.approx(psnr(reader), abs=0.01)
    stats = bitstream_stats(reader, model)
    tokens = 2 * 4 * 6
    assert asked.latent_bits_per_token == pytest.approx(8 * stats["continuous_bytes"] / tokens, rel=0.01)
    assert asked.bits_per_token == counted.bits_per_token
    # Twice as high and wide, back to what it was before it is compared.
    assert score(model, clip, None, enlarge=2).psnr_y == pytest.approx(psnr(coded(DISCRETE_ONLY, 2)), abs=0.01)
    # All but everything masked.
    masked = score(model, clip, None, threshold=2**-31, count_bits=True)
    assert masked.bits_per_token < counted.bits_per_token
