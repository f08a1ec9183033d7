"""tvc's adversary: what its judges learn, what they teach, and a run with it that resumes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from tvc_eye import Pyramid
from tvc_material import SMALL_CROPS, material_folder, run_settings
from tvc_samples import UNEVEN as TINY

from tvc.errors import TrainingError
from tvc.training import crops, loop, material
from tvc.training.adversary import ALONE, CHANNELS, FULL, Adversary
from tvc.training.losses import Distortion, LossWeights

CPU = torch.device("cpu")


EYE = Pyramid()


def _pictures(kind: str, seed: int) -> Tensor:
    """Noise, or a grid of dots four samples apart: (4, 3, 32, 32)."""
    noise = torch.randn(4, 3, 32, 32, generator=torch.Generator().manual_seed(seed)) * 0.3
    grid = torch.zeros(4, 3, 32, 32)
    grid[..., ::4, ::4] = 0.6
    return noise if kind == "noise" else grid + noise * 0.1


def _pull(adversary: Adversary, seed: int, reference: Tensor) -> tuple[Tensor, Tensor, list[float]]:
    """A grid of dots, where noise was the source; how it is pulled; and the judges' losses."""
    made = _pictures("grid", seed).requires_grad_()
    with torch.no_grad():
        source = EYE.features(_pictures("noise", seed))
    pull, losses = adversary.pull(source, EYE.features(made), made, reference)
    return made.detach(), pull, [float(loss) for loss in losses.values()]


def test_judges_learn_what_a_grid_of_dots_is_and_pull_away_from_it() -> None:
    torch.manual_seed(0)
    adversary, reference = Adversary(0.5, CPU), torch.ones(4, 3, 32, 32)
    history = [_pull(adversary, step, reference)[2] for step in range(FULL)]
    # Who knows nothing loses 2: one for each kind.
    assert history[0] == pytest.approx([2] * len(CHANNELS), abs=0.3)
    assert max(history[-1]) < 0.2
    adversary.steps = FULL
    made, pull, _ = _pull(adversary, 1000, reference)
    with torch.no_grad():
        scale = [one.square().mean().sqrt() for one in EYE.features(_pictures("noise", 1000))]
        for number in range(len(CHANNELS)):
            said = [
                float(adversary.judges.heads[number](EYE.features(one)[number] / scale[number]).mean())
                for one in (made, made - 0.1 * pull / pull.abs().max())
            ]
            assert said[1] > said[0]


def test_the_pull_is_a_share_of_the_gradient_of_lpips_and_comes_late() -> None:
    torch.manual_seed(0)
    adversary, reference = Adversary(0.5, CPU), torch.randn(4, 3, 32, 32)
    lengths = []
    for steps in (0, ALONE, (ALONE + FULL) // 2, FULL, 10 * FULL):
        adversary.steps = steps
        lengths.append(float(_pull(adversary, 0, reference)[1].norm() / reference.norm()))
    assert lengths == pytest.approx([0, 0, 0.25, 0.5, 0.5], abs=1e-5)


def test_the_decoder_gets_both_gradients_and_the_loss_keeps_its_value() -> None:
    torch.manual_seed(0)
    weights = LossWeights(l1=0, mse=0, lpips=3, temporal=0)
    source, (y, cb, cr) = ([torch.rand(2, 4, side, side) - 0.5 for side in (32, 16, 16)] for _ in range(2))

    def gradient(adversary: Adversary | None) -> tuple[float, Tensor]:
        leaf = y.clone().requires_grad_()
        distortion = Distortion(weights, EYE, 32, adversary)  # type: ignore[arg-type]
        look = distortion.look(y.shape, torch.Generator().manual_seed(1))
        total, parts = distortion((source[0], source[1], source[2]), (leaf, cb, cr), look, perceptual=2.0)
        assert float(total.detach()) == pytest.approx(6 * float(parts["lpips"]))
        (found,) = torch.autograd.grad(total, leaf)
        return float(total.detach()), found

    alone, plain = gradient(None)
    adversary = Adversary(0.5, CPU)
    early_value, early = gradient(adversary)
    adversary.steps = FULL
    value, both = gradient(adversary)
    assert value == early_value == pytest.approx(alone)
    assert torch.allclose(early, plain, atol=1e-9)
    # At the picture the pull is half as long; from there to the planes it is the same linear map for both.
    assert 0.1 < float((both - plain).norm() / plain.norm()) < 1


def test_a_run_with_an_adversary_resumes_where_it_was_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = material_folder(tmp_path / "material", monkeypatch)
    train, _ = material.split(material.read_manifest(data))
    crops.build(train, tmp_path / "crops", SMALL_CROPS)
    monkeypatch.setattr(loop, "Lpips", lambda *_: Pyramid())
    monkeypatch.setattr("tvc.training.adversary.ALONE", 0)
    monkeypatch.setattr("tvc.training.adversary.FULL", 1)
    settings = run_settings(stage="adversarial", lpips_size=32)

    def run(folder: str, steps: int) -> loop._Run:
        made = loop._Run(settings, data, tmp_path / "crops", tmp_path, tmp_path / folder, None, TINY)
        for _ in range(steps):
            made.advance()
        made.save()
        return made

    straight = run("straight", 3)
    run("broken", 2)
    resumed = run("broken", 1)
    assert resumed.adversary is not None
    assert straight.adversary is not None
    assert resumed.adversary.steps == straight.adversary.steps > 0
    pairs = [(straight.model, resumed.model), (straight.adversary.judges, resumed.adversary.judges)]
    for one, other in pairs:
        states = one.state_dict(), other.state_dict()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_features_that_are_not_finite_teach_nothing() -> None:
    torch.manual_seed(0)
    adversary = Adversary(0.5, CPU)
    for step in range(3):
        _pull(adversary, step, torch.ones(4, 3, 32, 32))
    made = (_pictures("grid", 0) * torch.inf).requires_grad_()
    adversary.pull(EYE.features(_pictures("noise", 0)), EYE.features(made), made, torch.ones(4, 3, 32, 32))
    assert all(value.isfinite().all() for value in adversary.judges.state_dict().values())
    moments = adversary.state_dict()["optimiser"]["state"].values()
    assert all(value.isfinite().all() for one in moments for value in one.values())
    fresh = Adversary(0.5, CPU)
    before = {name: value.clone() for name, value in fresh.judges.state_dict().items()}
    fresh.pull(EYE.features(_pictures("noise", 0)), EYE.features(made), made, torch.ones(4, 3, 32, 32))
    assert all(torch.equal(value, before[name]) for name, value in fresh.judges.state_dict().items())


@pytest.mark.parametrize("learned", [0, 3])
def test_what_is_forgotten_was_never_learned(learned: int) -> None:
    def after(rehearsed: bool) -> dict[str, Tensor]:
        torch.manual_seed(0)
        adversary = Adversary(0.5, CPU)
        for step in range(learned + 2):
            if rehearsed and step == learned:
                with adversary.forgotten():
                    _pull(adversary, 99, torch.ones(4, 3, 32, 32))
            _pull(adversary, step, torch.ones(4, 3, 32, 32))
        return adversary.judges.state_dict()

    straight, rehearsed = after(False), after(True)
    assert all(torch.equal(value, rehearsed[name]) for name, value in straight.items())


def test_a_run_without_an_adversary_does_not_go_on_with_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = material_folder(tmp_path / "material", monkeypatch)
    train, _ = material.split(material.read_manifest(data))
    crops.build(train, tmp_path / "crops", SMALL_CROPS)
    monkeypatch.setattr(loop, "Lpips", lambda *_: Pyramid())

    def run(share: float) -> loop._Run:
        settings = run_settings(stage="adversarial", lpips_size=32, adversary=share)
        return loop._Run(settings, data, tmp_path / "crops", tmp_path, tmp_path / "run", None, TINY)

    run(0.0).save()
    with pytest.raises(TrainingError, match="another adversary"):
        run(0.5)


def test_an_adversary_without_lpips_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = material_folder(tmp_path / "material", monkeypatch)
    with pytest.raises(TrainingError, match="looks where LPIPS looks"):
        loop._Run(run_settings(stage="adversarial"), data, tmp_path, None, tmp_path / "run", None, TINY)
