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
from tvc.training.checkpoint import check_target, load_parts, read_start
from tvc.training.record import plain
from tvc.training.stages import CONTEXTS


def export(
    checkpoint: Path, logs: list[Path], target: Path, contexts: Path | None = None, before: Path | None = None
) -> dict[str, Any]:
    """Writes the averaged weights of a checkpoint and returns the summary kept in the file.

    Args:
        checkpoint: of the last stage; or a weights file.
        logs: log.jsonl of every stage, in order.
        target: the safetensors file.
        contexts: a checkpoint to take the context models from, where they and the decoder were trained side by side.
        before: the weights file that the first stage started from; its stages come before those of the logs.

    Raises:
        TrainingError: a file is missing or is not one of training's, context models are missing, or they belong to
            another encoder; or the target cannot be written.
        WeightsError: a file of weights is not one of this version's, or weights are not finite as float16.
    """
    check_target(target)
    content = read_start(checkpoint)
    model = TVC(ModelConfig.from_json(content["config"]))
    state = content["average"] if contexts is None else _joined(content["average"], contexts)
    load_parts(model, state)
    if missing := sorted(set(model.state_dict()) - set(state)):
        raise TrainingError(
            "the context models have not been trained",
            where=contexts or checkpoint,
            got=f"no {', '.join(missing[:4])}",
            fix="train them (`tvc train run context`) and name their checkpoint with --contexts",
        )
    earlier = [] if before is None else weights.training_summary(before).get("stages", [])
    summary = {"stages": plain([*earlier, *(_summary(log) for log in logs)])}
    weights.save(model.eval(), target, summary)
    return summary


def _joined(state: dict[str, Tensor], contexts: Path) -> dict[str, Tensor]:
    """The state with the context models of another checkpoint of the same encoder."""
    other = read_start(contexts)["average"]
    mine = {name for name in state if name.startswith("encoder.")}
    if any(name not in other or not torch.equal(state[name], other[name]) for name in mine):
        raise TrainingError("the context models were trained on the tokens of another encoder", where=contexts)
    own = {name: value for name, value in state.items() if not name.startswith(CONTEXTS)}
    return own | {name: value for name, value in other.items() if name.startswith(CONTEXTS)}


def _summary(log: Path) -> dict[str, Any]:
    """Settings, first and last losses, and validations of one stage."""
    entries = _entries(log)
    starts = [entry for entry in entries if entry["event"] in ("start", "resume")]
    steps = [entry for entry in entries if entry["event"] == "step"]
    # A run that was ended between a validation and the next checkpoint has made it again.
    validations = {(entry.get("stage"), entry["step"]): entry for entry in entries if entry["event"] == "validation"}
    if not starts:
        raise TrainingError("the log has no beginning", where=log)
    dropped = ("time", "stage", "event")
    return {
        "settings": starts[-1]["settings"],
        "crops": starts[-1]["crops"],
        "machine": starts[-1]["machine"],
        "losses": [{k: v for k, v in entry.items() if k not in dropped} for entry in (steps[:1] + steps[1:][-1:])],
        "validations": [{"step": entry["step"], **entry["means"]} for entry in validations.values()],
    }


_TOLD = {
    "start": {"settings", "crops", "machine"},
    "resume": {"settings", "crops", "machine"},
    "step": {"step"},
    "validation": {"step", "means"},
}
"""What an entry of each kind has at least."""


def _entries(log: Path) -> list[dict[str, Any]]:
    """The lines of a log.

    Raises:
        TrainingError: it cannot be read, or a line is not one of training's.
    """
    try:
        lines = log.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(f"cannot read the log: {error}", where=log) from error
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
        except json.JSONDecodeError:
            entry = None
        if not _known(entry):
            raise TrainingError("not a line of a training log", where=f"{log}, line {number}", got=line[:80])
        entries.append(entry)
    return entries


def _known(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("event"), str):
        return False
    whole = isinstance(entry.get("step", 0), int) and isinstance(entry.get("means", {}), dict)
    return whole and _TOLD.get(entry["event"], set()) <= entry.keys()
