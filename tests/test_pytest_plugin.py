"""The pytest plugin, as a codec's own suite uses it: real pytest processes."""

import json

import pytest
from gate_samples import rows, write_run

pytest_plugins = ["pytester"]

GATE = """
baseline = "base"
candidate = "cand"
[[rule]]
measure = "bd_rate"
metric = "vmaf"
allowed = 5
[[rule]]
name = "strict"
measure = "bd_rate"
metric = "psnr_yuv"
allowed = 1
[[rule]]
name = "unknown"
measure = "bd_rate"
metric = "lpips"
sequences = ["face"]
allowed = 1
[[rule]]
measure = "bd_rate"
metric = "dists"
allowed = 1
optional = true
"""


@pytest.fixture
def suite(pytester):
    write_run(pytester.path / "base", rows())
    write_run(pytester.path / "cand", rows(1.02))
    pytester.makefile(".toml", gate=GATE)
    pytester.makepyfile("def test_codec(): pass")
    return pytester


def test_rules_are_tests(suite):
    result = suite.runpytest_subprocess("-v", "--evalsuite-gate", "gate.toml", "-rs")
    result.assert_outcomes(passed=2, failed=2, skipped=1)
    result.stdout.fnmatch_lines(
        [
            "*gate: strict*",
            "x265: fail, +2.00 % (+2.00 .. +2.00), ≤ 1 %: *",
            "*rate +2.00 %*",
            "*dists was not measured*",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_sides_from_the_command_line_win(suite):
    write_run(suite.path / "other", rows())
    result = suite.runpytest_subprocess("--evalsuite-gate", "gate.toml", "--evalsuite-candidate", "other")
    result.assert_outcomes(passed=4, skipped=1)


def test_undecided_may_pass(suite):
    suite.makefile(".toml", gate='undecided = "pass"\n' + GATE)
    suite.runpytest_subprocess("--evalsuite-gate", "gate.toml").assert_outcomes(passed=2, failed=1, skipped=2)


def test_without_the_option_nothing_happens(suite):
    suite.runpytest_subprocess().assert_outcomes(passed=1)


def test_a_wrong_gate_is_a_usage_error(suite):
    result = suite.runpytest_subprocess("--evalsuite-gate", "missing.toml")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*there is no file missing.toml*"])


def test_a_missing_candidate_fails_every_rule_with_what_to_do(suite):
    result = suite.runpytest_subprocess("--evalsuite-gate", "gate.toml", "--evalsuite-candidate", "nowhere")
    result.assert_outcomes(passed=1, failed=4)
    result.stdout.fnmatch_lines(["*neither a run nor a store*"])
    assert "Traceback" not in result.stdout.str()


def test_the_candidate_is_made_by_the_gates_own_run(suite):
    """A real run of a real codec: 17 frames of one sequence against itself."""
    arguments = [
        "--codecs",
        "x265",
        "--match",
        "none",
        "--sequences",
        "carphone",
        "--frames",
        "9",
        "--metrics",
        "psnr_y",
    ]
    gate = f"""
        baseline = "real"
        run = {json.dumps([*arguments, "--store", str(suite.path / "store")])}
        [[rule]]
        measure = "bd_rate"
        metric = "psnr_y"
        allowed = 1
    """
    suite.makefile(".toml", gate=gate)
    made = suite.run("evalsuite", "run", *arguments, "--store", "store", "--out", "real")
    if made.ret:
        pytest.skip("the demo sequence could not be fetched: a package registry is needed")
    suite.runpytest_subprocess("--evalsuite-gate", "gate.toml").assert_outcomes(passed=2)
