"""From a checkpoint and the stages' logs to the weights file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tvc import weights
from tvc.config import ModelConfig
from tvc.errors import TrainingError
from tvc.model import TVC
from tvc.training.loop import load_parts, read_checkpoint
from tvc.training.stages import CONTEXTS


def export(
    checkpoint: Path, logs: list[Path], target: Path, contexts: Path | None = None, before: Path | None = None
) -> dict[str, Any]:
    """Writes the averaged weights of a checkpoint and returns the summary kept in the file.

    Args:
        checkpoint: of the last stage.
        logs: log.jsonl of every stage, in order.
        target: the safetensors file.
        contexts: a checkpoint to take the context models from, where they and the decoder were trained side by side.
        before: the weights file that the first stage started from; its stages come before those of the logs.

    Raises:
        TrainingError: a file is missing or is not one of training's, or the contexts belong to another encoder.
    """
    content = read_checkpoint(checkpoint)
    model = TVC(ModelConfig.from_json(content["config"]))
    load_parts(model, content["average"] if contexts is None else _joined(content["average"], contexts))
    earlier = [] if before is None else weights.training_summary(before)["stages"]
    summary = {"stages": [*earlier, *(_summary(log) for log in logs)]}
    weights.save(model.eval(), target, summary)
    return summary


def _joined(state: dict[str, Tensor], contexts: Path) -> dict[str, Tensor]:
    """The state with the context models of another checkpoint of the same encoder."""
    other = read_checkpoint(contexts)["average"]
    mine = {name for name in state if name.startswith("encoder.")}
    if any(name not in other or not torch.equal(state[name], other[name]) for name in mine):
        raise TrainingError("the context models were trained on the tokens of another encoder", where=contexts)
    return {name: other[name] if name.startswith(CONTEXTS) else value for name, value in state.items()}


def _summary(log: Path) -> dict[str, Any]:
    """Settings, first and last losses, and validations of one stage."""
    try:
        entries = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    except (OSError, json.JSONDecodeError) as error:
        raise TrainingError(f"cannot read the log: {error}", where=log) from error
    starts = [entry for entry in entries if entry["event"] in ("start", "resume")]
    steps = [entry for entry in entries if entry["event"] == "step"]
    validations = [entry for entry in entries if entry["event"] == "validation"]
    if not starts:
        raise TrainingError("the log has no beginning", where=log)
    dropped = ("time", "stage", "event")
    return {
        "settings": starts[-1]["settings"],
        "crops": starts[-1]["crops"],
        "machine": starts[-1]["machine"],
        "losses": [{k: v for k, v in entry.items() if k not in dropped} for entry in (steps[:1] + steps[-1:])],
        "validations": [{"step": entry["step"], **entry["means"]} for entry in validations],
    }
