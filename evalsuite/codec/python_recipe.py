"""Recipes of codecs written in Python: the fields that need not be said, and what stands for commands in results."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from evalsuite.errors import RecipeError

DEVICE_VARIABLE = "EVALSUITE_DEVICE"
"""The environment variable that puts all codecs written in Python on another device than their recipes say."""

_COMMAND_FIELDS = (
    *("binary", "decoder_binary", "source", "first_pass", "encode", "decode", "decoded", "decode_errors"),
    *("log_bytes", "log_psnr_y", "version", "version_pattern", "info"),
)


def with_commands(data: dict[str, Any], path: Path) -> dict[str, Any]:
    """The fields of a recipe that has `python`, with those that follow from it.

    Raises:
        RecipeError: a field of command-line codecs.
    """
    for name in _COMMAND_FIELDS:
        if name in data:
            raise RecipeError(
                f"the field `{name}` does not go with `python`", where=path, fix="a class has no commands: leave it out"
            )
    device = os.environ.get(DEVICE_VARIABLE, "").strip() or data.get("device", "cpu")
    asked = ["python", data["python"], "--device", device]
    period = data.get("intra_period", {})
    usual = {"infinite": "-1", **_period(data)}
    return {
        "container": "none",
        **data,
        "intra_period": {**usual, **period} if isinstance(period, dict) else period,
        "device": device,
        "binary": "python",
        # These are shown in results; `evalsuite.codec.hosted` asks the class.
        "encode": [*asked, "encode", "{input}", "{output}", "{q}", "{intra_period}", "{frames}", "{threads}"],
        "decode": [*asked, "decode", "{input}", "{threads}"],
        "info": [*asked, "info", "{input}"],
        "decoded": "y4m",
        "version": [*asked, "version"],
        "version_pattern": "(.+)",
    }


def _period(data: dict[str, Any]) -> dict[str, int]:
    """The intra period of a tokenizer, which cannot be asked for one: each window is decoded alone."""
    settings = data.get("settings")
    if data["python"] != "torchscript" or not isinstance(settings, dict):
        return {}
    windows = settings.get("window", 0)
    listed = windows if isinstance(windows, list) else [windows]
    longest = max((window for window in listed if isinstance(window, int)), default=0)
    return {"fixed": longest if longest > 0 else -1}
