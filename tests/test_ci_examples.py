"""The GitHub action and the GitLab job: their own commands, run as they stand, on a real codec."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from evalsuite.results.gate.rules import load_gate

ROOT = Path(__file__).parents[1]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
GITLAB = yaml.safe_load((ROOT / "examples/ci/gitlab-ci.yml").read_text())["quality"]
RUN = "--codecs x265 --match none --sequences carphone --frames 9 --metrics psnr_y"
EXPRESSION = re.compile(r"\$\{\{ ([\w.-]+) \}\}")
RULES = """
[[rule]]
measure = "bd_rate"
metric = "psnr_y"
over = "each"
allowed = {allowed}
"""
ONE_SEQUENCE = """
undecided = "pass"
[[rule]]
measure = "bd_rate"
metric = "vmaf"
allowed = 1
"""
"""A rule on a metric that the run does not have."""


def shell(script: str, cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=cwd,
        env={**os.environ, "PATH": path, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """A codec's repository: a baseline, and rules that it passes or fails."""
    folder = tmp_path_factory.mktemp("codec")
    (folder / "quality").mkdir()
    made = shell(f"evalsuite run {RUN} --out first --store store", folder)
    if made.returncode:
        pytest.skip("the demo sequence could not be fetched: a package registry is needed")
    for name, allowed in (("gate", 1), ("strict", -1)):
        (folder / f"quality/{name}.toml").write_text(RULES.format(allowed=allowed))
    kept = "evalsuite gate --baseline first --candidate first --config quality/gate.toml --accept quality/baseline"
    assert shell(kept, folder).returncode == 0
    return folder


def act(repository: Path, folder: Path, **inputs: str) -> dict[str, str | int]:
    """The action's own `run` steps, but for installing and commenting, as a runner runs them."""
    values = {name: str(one.get("default", "")) for name, one in ACTION["inputs"].items()} | inputs
    files = {name: folder / name for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    outputs: dict[str, str | int] = {}
    for step in ACTION["runs"]["steps"]:
        if "run" not in step or step["name"] in ("Install", "Comment"):
            continue
        known = {f"inputs.{name}": value for name, value in values.items()}
        known |= {f"steps.gate.outputs.{name}": str(value) for name, value in outputs.items()}
        env = {name: known[EXPRESSION.fullmatch(text)[1]] for name, text in step.get("env", {}).items()}
        done = shell(step["run"], repository, **env, **{name: str(path) for name, path in files.items()})
        outputs["exit"] = done.returncode
        outputs["said"] = done.stderr
        if files["GITHUB_OUTPUT"].exists():
            outputs |= dict(line.split("=", 1) for line in files["GITHUB_OUTPUT"].read_text().splitlines())
        if done.returncode:
            break
    outputs["summary"] = files["GITHUB_STEP_SUMMARY"].read_text() if files["GITHUB_STEP_SUMMARY"].exists() else ""
    return outputs


@pytest.mark.parametrize(("config", "code", "verdict"), [("gate", 0, "pass"), ("strict", 1, "fail")])
def test_the_github_action_runs_gates_and_reports(repository, tmp_path, config, code, verdict):
    out = tmp_path / "out"
    found = act(
        repository,
        tmp_path,
        run=f"{RUN} --store store",
        baseline="quality/baseline",
        config=f"quality/{config}.toml",
        out=str(out),
    )
    assert (found["exit"], found["verdict"]) == (code, verdict), found["said"]
    assert f"evalsuite gate: {verdict}" in found["summary"]
    for name in ("report/index.html", "junit.xml", "comment.md", "gate.json", "run/results.parquet"):
        assert (out / name).stat().st_size


def test_the_action_heeds_what_the_rules_say_of_undecided(repository, tmp_path):
    (repository / "quality/one.toml").write_text(ONE_SEQUENCE)
    inputs = {"run": f"{RUN} --store store", "baseline": "quality/baseline", "config": "quality/one.toml"}
    found = act(repository, tmp_path, out=str(tmp_path / "out"), **inputs)
    assert (found["exit"], found["verdict"]) == (0, "undecided"), found["said"]
    found = act(repository, tmp_path, out=str(tmp_path / "other"), undecided="fail", **inputs)
    assert (found["exit"], found["verdict"]) == (4, "undecided"), found["said"]


def test_the_action_stops_where_there_is_nothing_to_judge(repository, tmp_path):
    found = act(repository, tmp_path, run=f"{RUN} --store store", baseline="nowhere", out=str(tmp_path / "out"))
    assert found["exit"] == 2
    assert "neither a run nor a store" in found["said"]


def test_arguments_of_the_action_are_split_and_never_run(repository, tmp_path):
    found = act(repository, tmp_path, run="--codecs 'x2 $(touch ran)'", baseline="x", out=str(tmp_path))
    assert "unknown codec 'x2 $(touch ran)'" in found["said"]
    assert not (repository / "ran").exists()


def test_inputs_reach_scripts_through_the_environment_alone():
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")


def test_the_gitlab_job_runs_and_gates(repository):
    script = "\n".join(GITLAB["script"])
    done = shell(script, repository, ARGUMENTS=f"{RUN} --store store")
    assert done.returncode == 0, done.stderr
    for name in ("out/report/index.html", "out/comment.md", GITLAB["artifacts"]["reports"]["junit"]):
        assert (repository / name).stat().st_size


def test_the_example_gate_is_valid():
    assert len(load_gate(str(ROOT / "examples/ci/gate.toml")).rules) == 4


def test_the_example_workflow_uses_inputs_that_the_action_has():
    workflow = yaml.safe_load((ROOT / "examples/ci/github-workflow.yml").read_text())
    (_, use) = workflow["jobs"]["gate"]["steps"]
    assert set(use["with"]) <= set(ACTION["inputs"])
    assert {name for name, one in ACTION["inputs"].items() if one.get("required")} <= set(use["with"])
