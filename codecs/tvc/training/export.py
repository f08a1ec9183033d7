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
from tvc.training.loop import CONTEXTS, load_parts, read_checkpoint


def export(
    checkpoint: Path,
    logs: list[Path],
    target: Path,
    contexts: Path | None = None,
    before: Path | None = None,
    share: float = 1.0,
) -> dict[str, Any]:
    """Writes the averaged weights of a checkpoint and returns the summary kept in the file.

    Args:
        checkpoint: of the last stage.
        logs: log.jsonl of every stage, in order.
        target: the safetensors file.
        contexts: a checkpoint to take the context models from, where they and the decoder were trained side by side.
        before: the weights file that the first stage started from; its stages come before those of the logs.
        share: 0 to 1, how much of decoder and predictor is the checkpoint's, the rest being that file's (Wang et al.,
            "ESRGAN", ECCV Workshops 2018): less of what an adversary brought, and of what it cost.

    Raises:
        TrainingError: a file is missing or is not one of training's, the contexts belong to another encoder, or there
            is nothing to mix with: no weights before, a share out of range, or an encoder that has moved since.
        WeightsError: the weights before cannot be read.
    """
    content = read_checkpoint(checkpoint)
    model = TVC(ModelConfig.from_json(content["config"]))
    state = content["average"] if contexts is None else _joined(content["average"], contexts)
    load_parts(model, state if share == 1 else _mixed(state, before, share))
    earlier = [] if before is None else weights.training_summary(before)["stages"]
    mixed = [] if share == 1 else [{"share": share}]
    summary = {"stages": [*earlier, *(_summary(log) for log in logs), *mixed]}
    weights.save(model.eval(), target, summary)
    return summary


def _joined(state: dict[str, Tensor], contexts: Path) -> dict[str, Tensor]:
    """The state with the context models of another checkpoint of the same encoder."""
    other = read_checkpoint(contexts)["average"]
    mine = {name for name in state if name.startswith("encoder.")}
    if any(name not in other or not torch.equal(state[name], other[name]) for name in mine):
        raise TrainingError("the context models were trained on the tokens of another encoder", where=contexts)
    return {name: other[name] if name.startswith(CONTEXTS) else value for name, value in state.items()}


def _mixed(state: dict[str, Tensor], before: Path | None, share: float) -> dict[str, Tensor]:
    """The state with decoder and predictor moved back towards those of the weights file before."""
    if before is None or not 0 <= share <= 1:
        raise TrainingError("networks are mixed with those of --before", got=share, expected="a share from 0 to 1")
    other = weights.load(before).state_dict()
    if any(name not in other or other[name].shape != state[name].shape for name in state):
        raise TrainingError("the weights before are of another model", where=before)
    # As they are written: one of the two has been.
    if any(not torch.equal(state[n].half(), other[n].half()) for n in state if n.startswith("encoder.")):
        raise TrainingError("the encoder has moved since the weights before: their decoder knows other tokens")
    networks = [name for name in state if name.startswith(("decoder.", "predictor."))]
    return state | {name: torch.lerp(other[name], state[name], share) for name in networks}


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
