"""`pyiqa:NAME`: the picture metrics of the package pyiqa (IQA-PyTorch), by the names that it gives them.

pyiqa depends on some seventy packages and may not be used commercially (PolyForm Noncommercial), so it is an extra.
Chen and Mo, "IQA-PyTorch: PyTorch Toolbox for Image Quality Assessment", https://github.com/chaofengc/IQA-PyTorch.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import math
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from evalsuite.errors import MetricError
from evalsuite.metrics.base import Family
from evalsuite.metrics.doors import Door
from evalsuite.metrics.networks import device, missing
from evalsuite.metrics.pictures import Compare, picture_family
from evalsuite.types import MetricInfo

# Metrics of sets of pictures, or of a picture and a text.
_NOT_OF_ONE_PICTURE = ("fid", "inception_score", "clipscore")


@functools.cache
def _table() -> Mapping[str, Mapping[str, Any]]:
    """The package's own table of its metrics; empty where it is not installed."""
    package = importlib.util.find_spec("pyiqa")
    if package is None or package.origin is None:
        return {}
    # Only the table: importing the package itself imports transformers and more, for many seconds.
    path = Path(package.origin).with_name("default_model_configs.py")
    try:
        table = runpy.run_path(str(path))["DEFAULT_CONFIGS"]
    except (OSError, KeyError) as error:
        raise MetricError(
            "pyiqa's table of its metrics is not where it was",
            where=path,
            expected="DEFAULT_CONFIGS, as in pyiqa 0.1.16",
            got=error,
            fix="pip install pyiqa==0.1.16",
        ) from error
    return {
        name: config
        for name, config in table.items()
        if config.get("metric_mode") in ("FR", "NR") and not name.startswith(_NOT_OF_ONE_PICTURE)
    }


def _extent(config: Mapping[str, Any]) -> str:
    """What the package says of a metric's range, a rough estimate by its own words."""
    low, comma, high = str(config.get("score_range", "")).replace("~", "").partition(",")
    return f"about {low.strip()} to {high.strip()}" if comma else "of no stated range"


@functools.cache
def _load(name: str) -> Compare:
    import pyiqa

    metric: Compare = pyiqa.create_metric(name, device=device())
    return metric


@functools.cache
def _find(name: str) -> Family:
    config = _table()[name]
    reference = config["metric_mode"] == "FR"
    version = importlib.metadata.version("pyiqa")
    info = MetricInfo(
        name=f"pyiqa:{name}",
        family="open door",
        unit="",
        higher_is_better=not config.get("lower_better", False),
        version=f"pyiqa {version}",
        definition=f"{name} with pyiqa's defaults, of {'' if reference else 'decoded '}RGB frames, per frame; "
        f"{_extent(config)}",
        source=f"package pyiqa {version}; non-commercial licence",
        range=(-math.inf, math.inf),
        needs=("rgb",),
        traps="As pyiqa has it; its own port of a metric may differ from the authors'. What pyiqa downloads is not "
        "verified by evalsuite." + ("" if reference else " It looks at the decoded frame alone."),
    )
    return picture_family(info, lambda: _load(name), reference=reference, smallest=32)


DOOR = Door(
    prefix="pyiqa",
    title="picture metrics of pyiqa",
    names=lambda: tuple(_table()),
    find=_find,
    check=lambda: missing("pyiqa", install="'evalsuite[pyiqa]' (not for commercial use)"),
)
