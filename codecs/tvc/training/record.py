"""What happened in training, as JSON that every reader takes."""

from __future__ import annotations

import json
import math
from typing import Any


def plain(value: Any) -> Any:
    """The value with null for each number that JSON has no word for: what was not measured, and what went wrong."""
    if isinstance(value, dict):
        return {name: plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def dumped(value: Any, indent: int | None = None) -> str:
    """JSON of `plain` values."""
    return json.dumps(plain(value), indent=indent, allow_nan=False)
