"""`evalsuite doctor`: what works on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Literal

import typer

from evalsuite.cli.output import print_json, print_table


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at."""

    name: str
    status: Literal["ok", "missing", "broken"]
    detail: str
    fix: str = ""


def doctor(json: bool = typer.Option(False, "--json", help="Print one JSON document.")) -> None:
    """Check encoders, metrics, weights, cache and GPU on this machine.

    Example: evalsuite doctor
    """
    checks = list(_checks())
    if json:
        print_json({"schema": 1, "checks": [asdict(check) for check in checks]})
        return
    signs = {"ok": "✓", "missing": "–", "broken": "✗"}
    print_table(
        "",
        ("", "what", "status", "detail"),
        (
            (signs[check.status], check.name, check.status, f"{check.detail}{f' → {check.fix}' if check.fix else ''}")
            for check in checks
        ),
    )


def _checks() -> Iterator[Check]:
    yield _ffmpeg()
    yield from _codecs()
    yield from _metrics()
    yield from _weights()
    yield _cache()
    yield _gpu()


def _ffmpeg() -> Check:
    from evalsuite import process
    from evalsuite.errors import EvalError
    from evalsuite.ffmpeg import INSTALL, ffmpeg_path

    try:
        path = ffmpeg_path()
        return Check("ffmpeg", "ok", f"{process.output([str(path), '-version']).splitlines()[0]}, {path}")
    except EvalError as error:
        return Check("ffmpeg", "broken", f"{error.what}: {error.got}" if error.got else error.what, INSTALL)


def _codecs() -> Iterator[Check]:
    from evalsuite.codec.recipe import available, load_recipe
    from evalsuite.errors import EvalError, RecipeError

    for name in available():
        try:
            recipe = load_recipe(name)
            recipe.check_available()
            yield Check(f"codec {name}", "ok", recipe.version())
        except EvalError as error:
            status: Literal["missing", "broken"] = "broken" if isinstance(error, RecipeError) else "missing"
            yield Check(f"codec {name}", status, error.what, error.fix or "")


def _metrics() -> Iterator[Check]:
    from evalsuite.errors import EvalError
    from evalsuite.metrics.registry import families, left_out

    for family in families():
        name = f"metrics {', '.join(info.name for info in family.infos)}"
        try:
            missing = family.check()
        except EvalError as error:
            missing = error.what
        yield Check(name, "missing" if missing else "ok", missing or family.infos[0].version)
    for one in left_out():
        yield Check(f"metrics {one.offer}", "broken", one.reason, f"repair or uninstall {one.package}")


def _weights() -> Iterator[Check]:
    from evalsuite.assets import is_present
    from evalsuite.metrics.detectors import SFACE, YUNET
    from evalsuite.metrics.weights import ALEXNET, VGG16, read_kept

    kept = {
        "AlexNet (lpips)": read_kept(ALEXNET) is not None,
        "VGG16 (lpips_vgg, dists)": read_kept(VGG16) is not None,
        "YuNet and SFace (faces)": all(any(map(is_present, asset.sources)) for asset in (YUNET, SFACE)),
    }
    for name, there in kept.items():
        if there:
            yield Check(f"weights {name}", "ok", "verified, in the cache")
        else:
            yield Check(f"weights {name}", "missing", "not in the cache", "fetched by the first run that needs them")


def _cache() -> Check:
    import shutil

    from evalsuite.assets import cache_dir

    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".probe"
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        return Check("cache", "broken", f"{folder}: {error.strerror}", "make it writable, or set EVALSUITE_CACHE")
    return Check("cache", "ok", f"{folder}, {shutil.disk_usage(folder).free / 1e9:.0f} GB free")


def _gpu() -> Check:
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        return Check("torch", "missing", "not installed", "pip install torch torchvision")
    try:
        import torch

        device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU: metrics run on the CPU"
    except Exception as error:  # whatever a broken installation raises
        return Check("torch", "broken", f"{type(error).__name__}: {error}", "pip install --force-reinstall torch")
    return Check("torch", "ok", f"{torch.__version__}, {device}")
