"""Validation on the pinned clips: whole frames through `place_slot` and `decode_slot`, as the codec runs them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

import torch
from torch import Tensor

from tvc.bitstream import tokens_at
from tvc.config import SLOT_FRAMES, TOKEN_PIXELS
from tvc.errors import TrainingError
from tvc.haar import Planes
from tvc.latent_context import dequantised
from tvc.model import TVC
from tvc.operating import MULTIPLIER
from tvc.resampling import resized
from tvc.training.crops import decode, planes
from tvc.training.losses import rgb
from tvc.training.material import Material, ValidationClip, read_manifest, split, verify
from tvc.training.perceptual import Lpips
from tvc.training.settings import check_factors

_SHORTER_SIDE = 288


@dataclass(frozen=True)
class Score:
    """Means over a clip's frames, after rounding to 8 bits.

    Attributes:
        psnr_y: dB, of the mean squared error of the whole clip's luma.
        lpips: LPIPS with AlexNet on BT.709 RGB; lower is better; NaN where not measured.
        bits_per_token: of the discrete context model, without range coder and headers; -1 where not asked.
        cost_per_token: these, and what the choice of codes adds in squared distance at the price of a bit.
        latent_bits_per_token: of the continuous context model; -1 where not asked, or without latents.
    """

    psnr_y: float
    lpips: float
    bits_per_token: float
    cost_per_token: float
    latent_bits_per_token: float = -1.0


def load_clip(clip: ValidationClip, material: Material, frames: int) -> Planes:
    """The clip's frames as codes 0 ... 255, shorter side about 288, sides multiples of 16: (1, frames, H, W) float.

    Raises:
        TrainingError: the file is not the one that is pinned, cannot be decoded, or has fewer frames.
    """
    verify(material)
    decoded = decode(material.path, frames, clip.start)
    if len(decoded) < frames:
        expected = f"{frames} frames from number {clip.start} on"
        raise TrainingError("the clip ends early", where=material.path, expected=expected, got=len(decoded))
    width, height = decoded[0].width, decoded[0].height
    scale = min(Fraction(1), Fraction(_SHORTER_SIDE, min(width, height)))
    width, height = (int(edge * scale) // TOKEN_PIXELS * TOKEN_PIXELS for edge in (width, height))
    small = [planes(frame.reformat(width, height, format="yuv420p", interpolation="AREA")) for frame in decoded]
    y, cb, cr = (torch.stack([torch.from_numpy(p) for p in part])[None].float() for part in zip(*small, strict=True))
    return y, cb, cr


@torch.inference_mode()
def score(
    model: TVC,
    clip: Planes,
    lpips: Lpips | None,
    *,
    enlarge: float = 1.0,
    step: float | None = None,
    threshold: float = 1.0,
    count_bits: bool = False,
) -> Score:
    """Codes one clip as the encoder does and compares.

    Args:
        model: in eval mode.
        clip: from `load_clip`, moved to the model's device.
        lpips: the AlexNet variant, or None: not measured.
        enlarge: the clip is coded at this many times its height and width.
        step: quantisation step of the latents, or None: discrete stream only.
        threshold: tokens surer than this are masked; 1: none.
        count_bits: ask the context models what codes and latents cost.
    """
    encoder, decoder = model.new_encoder_state(), model.new_decoder_state()
    previous1: Tensor | None = None
    previous2: Tensor | None = None
    previous: Tensor | None = None
    errors, distances, bits, costs, latent_bits = [], [], [], [], []
    shape = clip[0].shape[2:]
    coded = [tokens_at(side, enlarge) * TOKEN_PIXELS for side in shape]
    for start in range(0, clip[0].shape[1], SLOT_FRAMES):
        y, cb, cr = (plane[:, start : start + SLOT_FRAMES] for plane in clip)
        slot = resized(((y - 128) / 128, (cb - 128) / 128, (cr - 128) / 128), *coded)
        places, latents, encoder = model.place_slot(slot, encoder)
        codes, mask = model.discrete_context.chosen(
            places, previous1, previous2, MULTIPLIER, threshold if threshold < 1 else None
        )
        sent = None if step is None or latents is None else dequantised(latents, step)
        decoded, decoder = model.decode_slot(codes, mask if threshold < 1 else None, sent, decoder)
        shown = resized(decoded, *shape)
        dy, dcb, dcr = ((plane.float() * 128 + 128).round().clamp(0, 255) for plane in shown)
        errors.append((y - dy).square().mean())
        if lpips is not None:
            distances.append(lpips(_pictures(y, cb, cr), _pictures(dy, dcb, dcr)).mean())
        if count_bits:
            bits.append((model.discrete_context(codes, previous1, previous2) * ~mask).sum() / codes[:, 0].numel())
            distance = (places - codes).square().sum() / codes[:, 0].numel()
            costs.append(bits[-1] + distance / MULTIPLIER)
            if step is not None and latents is not None and model.continuous_context is not None:
                cost = model.continuous_context(latents, step, codes, previous, previous1)
                latent_bits.append(cost.sum() / codes[:, 0].numel())
        previous1, previous2, previous = codes, previous1, sent
    psnr = 10 * torch.log10(255**2 / torch.stack(errors).mean())
    per_token = float(torch.stack(bits).mean()) if bits else -1.0
    cost = float(torch.stack(costs).mean()) if costs else -1.0
    latent = float(torch.stack(latent_bits).mean()) if latent_bits else -1.0
    perceptual = float(torch.stack(distances).mean()) if distances else math.nan
    return Score(float(psnr), perceptual, per_token, cost, latent)


def table(
    model: TVC, data: Path, lpips: Path | None, frames: int, steps: list[float], enlarge: float
) -> dict[str, dict[str, dict[str, float]]]:
    """Scores of every validation clip: without latents, then with latents in each step.

    Args:
        model: in eval mode, on the CPU.
        data: folder of the training material.
        lpips: LPIPS weights, or None: not measured.
        frames: per clip, whole slots.
        steps: quantisation steps.
        enlarge: clips are coded at this many times their height and width.

    Raises:
        TrainingError: settings that make no sense, or the material or LPIPS weights are not the known ones.
    """
    if frames < 1 or frames % SLOT_FRAMES:
        raise TrainingError("clips are coded in whole slots", got=frames, expected=f"a multiple of {SLOT_FRAMES}")
    check_factors((enlarge,))
    for step in steps:
        if not 0 < step < math.inf:
            raise TrainingError("not a quantisation step", got=step, expected="a number above 0")
    alex = None if lpips is None else Lpips(lpips, "alexnet")
    _, held_out = split(read_manifest(data))
    clips = {f"{clip.category} {clip.file}": load_clip(clip, file, frames) for clip, file in held_out}
    modes: dict[str, float | None] = {"discrete": None, **{f"step {step:g}": step for step in steps}}
    return {
        mode: {
            name: asdict(score(model, clip, alex, enlarge=enlarge, step=step, count_bits=True))
            for name, clip in clips.items()
        }
        for mode, step in modes.items()
    }


def _pictures(y: Tensor, cb: Tensor, cr: Tensor) -> Tensor:
    """Codes (1, T, H, W) and (1, T, H/2, W/2) -> RGB (T, 3, H, W) in [-1, 1]."""
    return rgb((y[0] - 128) / 128, (cb[0] - 128) / 128, (cr[0] - 128) / 128).clamp(-1, 1)
