"""The training loop: resumable in runs of minutes, everything that happened as lines of JSON."""

from __future__ import annotations

import copy
import json
import math
import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tvc.config import ModelConfig
from tvc.errors import TrainingError
from tvc.haar import Planes
from tvc.model import TVC
from tvc.training.adversary import Adversary
from tvc.training.checkpoint import load_parts, read_run, read_start, write_checkpoint
from tvc.training.crops import CropStore, shown_side
from tvc.training.gpu import Replayed, prepare
from tvc.training.losses import Distortion
from tvc.training.material import read_manifest, split
from tvc.training.objective import Objective
from tvc.training.optimiser import Optimiser
from tvc.training.perceptual import Lpips
from tvc.training.record import dumped
from tvc.training.settings import TrainSettings
from tvc.training.stages import LATENT_BITS, STAGES, parameters
from tvc.training.validate import Score, load_clip, score

_WARM_UP = 100
_SURE = 2**-5
"""Tokens surer than this are masked in validation: q 57."""
_LOG_EVERY = 20
_SAVE_SECONDS = 180


def train(
    settings: TrainSettings,
    *,
    data: Path,
    crops: Path,
    lpips: Path | None,
    folder: Path,
    start: Path | None = None,
    config: ModelConfig | None = None,
    minutes: float = math.inf,
) -> Path:
    """Trains one stage, or goes on with it where `folder` holds its checkpoint.

    Args:
        settings: how.
        data: folder of the training material, for its manifest and the validation clips.
        crops: a crop store cut from it.
        lpips: LPIPS weights, see `perceptual.Lpips`; None: sample errors alone, and validation by PSNR.
        folder: checkpoints and log.jsonl.
        start: checkpoint of the stage before; the weights start from its moving average. Or a weights file.
        config: of a fresh model; default sizes if None.
        minutes: stop (and save) after this long.

    Returns:
        The checkpoint's path.

    Raises:
        TrainingError: settings that make no sense or that the stage does not know, wrong material, an adversary without
            LPIPS, or a checkpoint of another model, optimiser or adversary, or of other settings.
    """
    settings.check(lpips=lpips is not None)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    run = _Run(settings, data, crops, lpips, folder, start, config)
    deadline = time.monotonic() + 60 * minutes
    saved = time.monotonic()
    while run.step < settings.steps and time.monotonic() < deadline:
        run.advance()
        if run.step % settings.validate_every == 0 or run.step == settings.steps:
            run.validate()
        if time.monotonic() - saved > _SAVE_SECONDS:
            run.save()
            saved = time.monotonic()
    run.finish()
    return run.checkpoint


class _Run:
    """One stage in progress."""

    def __init__(
        self,
        settings: TrainSettings,
        data: Path,
        crops: Path,
        lpips: Path | None,
        folder: Path,
        start: Path | None,
        config: ModelConfig | None,
    ) -> None:
        self.settings, self.folder = settings, folder
        folder.mkdir(parents=True, exist_ok=True)
        stage = STAGES[settings.stage]
        chosen = {name: getattr(settings, name) for name in ("rate", "tokens", "fidelity", "adversary")}
        self.stage = replace(stage, **{name: value for name, value in chosen.items() if value is not None})
        if (share := self.stage.adversary) and lpips is None:
            raise TrainingError("an adversary looks where LPIPS looks", fix="name its weights with --lpips")
        self.checkpoint = folder / f"{settings.stage}.pt"
        self.device = torch.device(settings.device)
        torch.manual_seed(settings.seed)
        # The context models are measured by bits alone.
        self.looks = lpips is not None and stage.name != "context"
        kept = read_run(self.checkpoint, settings, looks=self.looks) if self.checkpoint.is_file() else None
        origin = kept or (None if start is None else read_start(start))
        self.model = TVC(ModelConfig.from_json(origin["config"]) if origin else config or ModelConfig())
        if origin:
            load_parts(self.model, origin["model" if kept else "average"])
        self.store = CropStore(crops, self.device)
        self.model.to(self.device)
        self.average = copy.deepcopy(self.model).eval().requires_grad_(False)
        self.step, self.best = 0, math.inf
        names = {parameter: name for name, parameter in self.model.named_parameters()}
        self.optimiser = Optimiser(parameters(self.model, self.stage), names)
        self.adversary = Adversary(share, self.device) if share else None
        if kept:
            load_parts(self.average, kept["average"])
            self.optimiser.load_state_dict(kept["optimiser"])
            self.step, self.best = kept["step"], kept["best"]
            if (self.adversary is None) != (kept.get("adversary") is None):
                raise TrainingError("the checkpoint is of a run with another adversary", where=self.checkpoint)
            if self.adversary is not None:
                self.adversary.load_state_dict(kept["adversary"])
        seen = None if lpips is None or not self.looks else Lpips(lpips, "vgg16").to(self.device)
        self.distortion = Distortion(settings.loss, seen, settings.lpips_size, self.adversary)
        prepare(self.device, self.model, seen)
        self.alex = None if lpips is None else Lpips(lpips, "alexnet").to(self.device)
        _, held_out = split(read_manifest(data))
        self.clips = {
            f"{clip.category} {clip.file}": load_clip(clip, material, settings.validation_frames)
            for clip, material in held_out
        }
        self.precision = torch.autocast(self.device.type, torch.bfloat16, enabled=settings.bfloat16)
        self.objective = Objective(
            self.model, self.stage, self.distortion, settings.seed, settings.size, settings.looks
        )
        replayed = settings.looks == settings.slots > 1 and self.device.type == "cuda" and self.stage.name != "context"
        self.replayed = Replayed(self.objective, self.precision) if replayed else None
        self.model.train()
        self._recent: dict[str, list[Tensor]] = {}
        self._since, self._input_s, self._rate = time.monotonic(), 0.0, 0.0
        self._log(
            event="resume" if kept else "start",
            settings=asdict(settings),
            config=json.loads(self.model.config.to_json()),
            crops=self.store.count,
            start=None if start is None else start.name,
            parameters=sum(p.numel() for p in self.model.parameters()),
            torch=torch.__version__,
            machine=f"{platform.machine()}, {os.cpu_count()} cores, {settings.device}",
        )

    def advance(self) -> None:
        """One step. Its randomness depends on seed and step alone, so that a resumed run sees what it would have."""
        settings, progress = self.settings, self.step / self.settings.steps
        seed = settings.seed * 1_000_003 + self.step
        torch.manual_seed(seed)
        began = time.monotonic()
        rng = np.random.default_rng(seed)
        factor = settings.enlarge[0] if len(settings.enlarge) == 1 else float(rng.choice(settings.enlarge))
        batch = self.store.batch(rng, settings.batch, settings.slots, shown_side(settings.size, factor))
        self._input_s += time.monotonic() - began
        self.objective.seed(seed)
        self.optimiser.zero_grad()
        if self.replayed is not None:
            logs = self.replayed(batch, progress)
        else:
            loss, logs = self.objective(batch, progress, self.precision)
            loss.backward()  # type: ignore[no-untyped-call]
            logs |= {"loss": loss.detach()}
        if self.adversary is not None:
            self.adversary.steps += 1
        rate = settings.learning_rate * min(1.0, (self.step + 1) / _WARM_UP)
        rate *= 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
        norm = torch.nn.utils.clip_grad_norm_(self.optimiser.parameters, 1.0)
        if self.replayed is not None:
            # The processor does not wait to be told: what is not finite becomes a step by momentum alone.
            for gradient in [p.grad for p in self.optimiser.parameters if p.grad is not None]:
                gradient.copy_(torch.where(norm.isfinite(), gradient, 0))
        if self.replayed is not None or bool(norm.isfinite()):
            self.optimiser.step(rate)
        self.step += 1
        self._follow()
        for name, value in (logs | {"gradient_norm": norm.detach()}).items():
            self._recent.setdefault(name, []).append(value)
        self._rate = rate
        if self.step % _LOG_EVERY == 0 or self.step == settings.steps:
            self._log_steps()

    def validate(self) -> None:
        """Scores the averaged weights and keeps them if they are the best so far."""
        names: dict[str, Callable[[Planes], Score]] = {}
        factor = self.settings.enlarge[0]
        if self.stage.name == "context":
            step = 1.0 if self.model.config.continuous else None
            names["bits"] = lambda clip: score(self.average, clip, None, enlarge=factor, step=step, count_bits=True)
        else:
            names["discrete"] = lambda clip: score(self.average, clip, self.alex, enlarge=factor)
            if self.stage.latents:
                names["step 1"] = lambda clip: score(self.average, clip, self.alex, enlarge=factor, step=1.0)
                names["step 4"] = lambda clip: score(self.average, clip, self.alex, enlarge=factor, step=4.0)
            if self.stage.masks:
                names["masked"] = lambda clip: score(self.average, clip, self.alex, enlarge=factor, threshold=_SURE)
        began = time.monotonic()
        self.average.eval()  # the context models drop the integers of earlier weights
        scores = {
            mode: {name: measure(_to(clip, self.device)) for name, clip in self.clips.items()}
            for mode, measure in names.items()
        }
        merit = _merit(scores, context=self.stage.name == "context")
        self._log(
            event="validation",
            step=self.step,
            merit=merit,
            seconds=round(time.monotonic() - began, 1),
            means={mode: _mean_score(table) for mode, table in scores.items()},
            clips={mode: {name: asdict(value) for name, value in table.items()} for mode, table in scores.items()},
        )
        if merit < self.best:
            self.best = merit
            content = {"config": self.model.config.to_json(), "average": self.average.state_dict(), "step": self.step}
            write_checkpoint(self.folder / f"{self.settings.stage}-best.pt", content)
        self._since += time.monotonic() - began

    def save(self) -> None:
        """Writes the checkpoint."""
        content = {
            "config": self.model.config.to_json(),
            "settings": dumped(asdict(self.settings)),
            "looks": self.looks,
            "step": self.step,
            "best": self.best,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "adversary": None if self.adversary is None else self.adversary.state_dict(),
        }
        write_checkpoint(self.checkpoint, content)

    def finish(self) -> None:
        """Logs what has not been logged, and writes the checkpoint."""
        if self._recent:
            self._log_steps()
        self.save()

    def _follow(self) -> None:
        # A short memory at first, so that the average does not carry the initial weights along.
        decay = min(self.settings.averaging, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.model.parameters()), 1 - decay)

    def _log_steps(self) -> None:
        """Means over the steps since the last time: fewer than usual after a resume, and at the end."""
        steps, seconds = len(self._recent["gradient_norm"]), time.monotonic() - self._since
        means = {name: round(float(torch.stack(values).mean()), 5) for name, values in self._recent.items()}
        speed = {"steps_per_second": round(steps / seconds, 3), "input_share": round(self._input_s / seconds, 4)}
        self._log(event="step", step=self.step, steps=steps, lr=self._rate, **speed, **means)
        self._recent, self._since, self._input_s = {}, time.monotonic(), 0.0

    def _log(self, **entry: Any) -> None:
        entry = {"time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "stage": self.settings.stage, **entry}
        with (self.folder / "log.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(dumped(entry) + "\n")


def _to(clip: Planes, device: torch.device) -> Planes:
    y, cb, cr = (plane.to(device) for plane in clip)
    return y, cb, cr


def _mean_score(table: dict[str, Score]) -> dict[str, float]:
    return {
        name: sum(getattr(value, name) for value in table.values()) / len(table)
        for name in ("psnr_y", "lpips", "bits_per_token", "cost_per_token", "latent_bits_per_token")
    }


def _merit(scores: dict[str, dict[str, Score]], *, context: bool) -> float:
    """What the best checkpoint has least of.

    LPIPS (without it, -PSNR) over every mode, or the cost of a token and of its latents, weighted as in the loss.
    """
    means = [_mean_score(table) for table in scores.values()]
    if context:
        return means[0]["cost_per_token"] + LATENT_BITS * max(0.0, means[0]["latent_bits_per_token"])
    merits = [-mean["psnr_y"] if math.isnan(mean["lpips"]) else mean["lpips"] for mean in means]
    return sum(merits) / len(merits)
