"""Checkpoints: what a stage leaves for the next one, and for itself to go on with."""

from __future__ import annotations

import json
import pickle
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tvc import weights
from tvc.config import ModelConfig
from tvc.errors import TrainingError
from tvc.model import TVC
from tvc.training.settings import TrainSettings
from tvc.training.stages import CONTEXTS

_DAMAGE = (
    RuntimeError,
    ValueError,
    LookupError,
    EOFError,
    TypeError,
    AttributeError,
    AssertionError,
    struct.error,
    pickle.UnpicklingError,
)
"""What PyTorch raises on damaged checkpoints."""
_RESUMED = ("model", "optimiser", "step", "best")
_KEPT = ("stage", "size", "enlarge", "slots", "seed")
"""Settings that a stage keeps to its end: its batches and what it calls best depend on them."""


def load_parts(model: TVC, state: dict[str, Tensor]) -> None:
    """Loads a checkpoint's tensors; context models may be missing in one from before they were trained.

    Raises:
        TrainingError: any other tensor is missing, left over, or of another shape.
    """
    own = model.state_dict()
    late = {name for name in own if name.startswith(CONTEXTS)}
    odd = sorted((set(own) - late) - set(state)) + sorted(set(state) - set(own))
    odd += sorted(name for name in set(own) & set(state) if own[name].shape != state[name].shape)
    if odd:
        raise TrainingError("the checkpoint is of another model", got=", ".join(odd[:4]))
    model.load_state_dict(state, strict=False)


def read_start(path: Path) -> dict[str, Any]:
    """Configuration (`config`) and weights (`average`) to begin with, of a checkpoint or a weights file.

    Raises:
        TrainingError: as `read_checkpoint`.
        WeightsError: as `weights.load`.
    """
    if path.suffix != ".safetensors":
        return read_checkpoint(path)
    model = weights.load(path)
    return {"config": model.config.to_json(), "average": model.state_dict()}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What a stage wrote, read without executing anything: `config` and `average` at least.

    Raises:
        TrainingError: it is missing, damaged, or another program's.
        WeightsError: its configuration is not one of this version's models.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, *_DAMAGE) as error:
        raise TrainingError("cannot read the checkpoint", where=path, got=str(error)[:200]) from error
    known = isinstance(content, dict) and isinstance(content.get("config"), str)
    if not known or not _tensors(content.get("average")):
        raise TrainingError("not a checkpoint of training", where=path, expected="what `tvc train run` or `grow` wrote")
    ModelConfig.from_json(content["config"])
    checkpoint: dict[str, Any] = content
    return checkpoint


def read_run(path: Path, settings: TrainSettings, *, looks: bool) -> dict[str, Any]:
    """The checkpoint of a stage that is to go on.

    Args:
        path: where it is.
        settings: to go on with; its length, its rates and its weights may be others than so far.
        looks: whether LPIPS has a part in the stage.

    Raises:
        TrainingError: as `read_checkpoint`, or the stage has begun with other settings.
    """
    content = read_checkpoint(path)
    missing = [name for name in _RESUMED if name not in content]
    if missing:
        raise TrainingError("a run cannot go on with this checkpoint", where=path, got=f"no {', '.join(missing)}")
    # Checkpoints of earlier versions do not tell everything; what they do not tell is not compared.
    try:
        before = dict(json.loads(content.get("settings", "{}")))
    except (ValueError, TypeError) as error:
        raise TrainingError("cannot read the checkpoint's settings", where=path, got=str(error)[:200]) from error
    asked = json.loads(json.dumps(asdict(settings)))
    told = {name: (before[name], asked[name]) for name in _KEPT if name in before}
    if "looks" in content:
        told["LPIPS"] = content["looks"], looks
    odd = {name: pair for name, pair in told.items() if pair[0] != pair[1]}
    if odd:
        raise TrainingError(
            "the stage has begun with other settings",
            where=path,
            expected=", ".join(f"{name} {old}" for name, (old, _) in odd.items()),
            got=", ".join(f"{name} {new}" for name, (_, new) in odd.items()),
            fix="give the command that began it, or name another folder with --out",
        )
    return content


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Writes what `read_checkpoint` reads."""
    # A run may be ended at any moment: the old checkpoint stands until the new one is whole.
    partial = path.with_suffix(".partial")
    torch.save(content, partial)
    partial.replace(path)


def check_target(path: Path) -> None:
    """Raises TrainingError where no file can be written under this name: before hours go into what it shall hold."""
    if not path.parent.is_dir():
        raise TrainingError("the folder to write to is missing", where=path, fix="make it first")
    if path.is_dir():
        raise TrainingError("there is a folder of the name to write to", where=path, fix="name a file")


def _tensors(state: object) -> bool:
    return isinstance(state, dict) and all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    )
