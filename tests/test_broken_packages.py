"""Packages that are broken, or in each other's way: commands go on without them, and say so."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from conftest import make_clip
from test_cli import run
from typer.testing import CliRunner

from evalsuite.cli.commands import app

LOST = 'raise OSError("libcudart.so.12: cannot open shared object file")\n'
MAD = """
from evalsuite.metrics.base import Family, FrameMeter
from evalsuite.types import MetricInfo

def info(name):
    return MetricInfo(name, "fidelity", "levels", False, "mine", "always seven", "closed form", (0, 9))

def seven(source, decoded):
    return (7.0,)

def family(*names):
    return Family(tuple(map(info, names)), lambda setting, asked: FrameMeter(asked, seven), {}, str)
"""


def install(folder: Path, code: str, offer: str = "madmod:FAMILY") -> dict[str, str]:
    """The environment in which the package `mad` offers a family of metrics."""
    (folder / "mad-1.dist-info").mkdir(parents=True)
    (folder / "mad-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: mad\nVersion: 1\n")
    (folder / "mad-1.dist-info" / "entry_points.txt").write_text(f"[evalsuite.metrics]\nmad = {offer}\n")
    (folder / "madmod.py").write_text(code)
    return {"PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}


def checks(**env: str) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in json.loads(run("doctor", "--json", **env).stdout)["checks"]}


@pytest.mark.parametrize(
    ("code", "offer", "said"),
    [
        ("1 / 0", "madmod:FAMILY", "ZeroDivisionError"),
        ("raise SystemExit(3)", "madmod:FAMILY", "SystemExit"),
        ("FAMILY = 3", "madmod:FAMILY", "is no Family"),
        ("", "nomod:FAMILY", "No module named 'nomod'"),
        ("", "madmod:FAMILY", "has no attribute 'FAMILY'"),
    ],
)
def test_a_broken_metric_package_is_left_out(tmp_path: Path, code: str, offer: str, said: str) -> None:
    env = install(tmp_path / "site", code, offer)
    entries = {entry["name"]: entry for entry in json.loads(run("metrics", "list", "--json", **env).stdout)}
    assert (entries[offer]["available"], entries["psnr_y"]["available"]) == (False, True)
    assert said in entries[offer]["needs"]


def test_what_is_left_out_is_said_to_people_too(tmp_path: Path) -> None:
    env = install(tmp_path / "site", "1 / 0")
    assert "infinite" in measured(tmp_path, "psnr_y", **env)
    text = " ".join(run("metrics", "list", **env).stdout.split())
    assert "Left out of what installed packages offer" in text
    check = checks(**env)["metrics madmod:FAMILY"]
    assert (check["status"], check["fix"]) == ("broken", "repair or uninstall mad")
    assert "ZeroDivisionError" in check["detail"]


def measured(folder: Path, names: str, **env: str) -> str:
    clip = str(make_clip(folder / "a.y4m", 32, 32, 2))
    return run("measure", clip, clip, "--metrics", names, **env).stdout


def test_a_whole_metric_package_is_there(tmp_path: Path) -> None:
    env = install(tmp_path / "site", MAD + "FAMILY = family('seven')\n")
    assert "7.0000" in measured(tmp_path, "seven", **env)
    assert "Left out" not in run("metrics", "list", **env).stdout


def test_a_shipped_metric_keeps_its_name(tmp_path: Path) -> None:
    """What describes a metric and what measures it are of one package: else scores would have another's version."""
    env = install(tmp_path / "site", MAD + "FAMILY = family('psnr_y', 'seven')\n")
    listed = json.loads(run("metrics", "list", "--json", **env).stdout)
    (shipped,) = [entry for entry in listed if entry["name"] == "psnr_y"]
    assert shipped["unit"] == "dB"
    (left,) = [entry for entry in listed if entry["name"] == "madmod:FAMILY"]
    assert left["needs"] == "left out: another metric has the name psnr_y"
    out = measured(tmp_path, "psnr_y,seven", **env)
    assert "infinite" in out
    assert "7.0000" in out


@pytest.mark.parametrize(("module", "check"), [("torch", "torch"), ("imageio_ffmpeg", "ffmpeg")])
def test_doctor_reports_a_package_that_cannot_be_imported(tmp_path: Path, module: str, check: str) -> None:
    (tmp_path / f"{module}.py").write_text(LOST)
    found = checks(PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))[check]
    assert found["status"] == "broken"
    assert "OSError: libcudart.so.12" in found["detail"]
    assert found["fix"].startswith(f"pip install --force-reinstall {module.replace('_', '-')}")


def test_nothing_but_what_cannot_be_had_is_not_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights that cannot be fetched; beside a score that there is they are listed, and no more."""
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    clips = [str(make_clip(tmp_path / f"{name}.y4m", 64, 48, 3, seed=name)) for name in (0, 1)]
    runner = CliRunner()
    for flags in ([], ["--json"]):
        alone = runner.invoke(app, ["measure", *clips, "--metrics", "object_map50", *flags])
        assert alone.exit_code == 3
        assert "unavailable" in alone.stdout
    beside = runner.invoke(app, ["measure", *clips, "--metrics", "psnr_y,object_map50"])
    assert beside.exit_code == 0
