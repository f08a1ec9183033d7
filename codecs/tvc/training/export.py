"""From a checkpoint and the stages' logs to the weights file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tvc import weights
from tvc.config import ModelConfig
from tvc.errors import TrainingError
from tvc.model import TVC
from tvc.training.loop import load_parts, read_checkpoint


def export(checkpoint: Path, logs: list[Path], target: Path) -> dict[str, Any]:
    """Writes the averaged weights of a checkpoint and returns the summary kept in the file.

    Args:
        checkpoint: the last stage's best.
        logs: log.jsonl of every stage, in order.
        target: the safetensors file.

    Raises:
        TrainingError: a file is missing or is not one of training's.
    """
    content = read_checkpoint(checkpoint)
    model = TVC(ModelConfig.from_json(content["config"]))
    load_parts(model, content["average"])
    summary = {"stages": [_summary(log) for log in logs]}
    weights.save(model.eval(), target, summary)
    return summary


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
