"""`evalsuite gate` as it is called: exit codes, files, and what it prints."""

import json
from xml.etree import ElementTree

import pytest
from gate_samples import rows, write_run
from test_cli import run

RULES = """
[[rule]]
measure = "bd_rate"
metric = "vmaf"
allowed = 1
"""
FEW = '[[rule]]\nmeasure = "bd_rate"\nmetric = "vmaf"\nsequences = ["face"]\nallowed = 1\n'


@pytest.fixture
def sides(tmp_path):
    """Folders of a baseline, the same again, a regression of 2 %, and files of rules."""
    for name, rate in (("base", 1.0), ("same", 1.0), ("worse", 1.02)):
        write_run(tmp_path / name, rows(rate, seed=int(name == "same")))
    (tmp_path / "gate.toml").write_text(RULES)
    (tmp_path / "few.toml").write_text(FEW)
    return tmp_path


def gate(sides, candidate, *options, config="gate.toml", expect=0):
    return run(
        *("gate", "--baseline", "base", "--candidate", candidate, "--config", config, *options),
        cwd=sides,
        expect=expect,
    )


@pytest.mark.parametrize(
    ("candidate", "config", "options", "code", "verdict"),
    [
        ("same", "gate.toml", (), 0, "pass"),
        ("worse", "gate.toml", (), 1, "fail"),
        ("worse", "few.toml", (), 4, "undecided"),
        ("worse", "few.toml", ("--undecided", "pass"), 0, "undecided"),
    ],
)
def test_exit_codes(sides, candidate, config, options, code, verdict):
    done = gate(sides, candidate, *options, "--json", config=config, expect=code)
    document = json.loads(done.stdout)
    assert document["verdict"] == verdict
    assert document["schema"] == 1
    assert [rule["verdict"] for rule in document["rules"]] == [verdict]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--baseline", "base"], "there is no candidate"),
        (["--candidate", "base"], "there is no baseline"),
        (["--baseline", "base", "--candidate", "nowhere"], "neither a run nor a store"),
        (["--baseline", "base", "--candidate", "same", "--config", "nothing"], "unknown gate 'nothing'"),
        (["--baseline", "base", "--candidate", "same", "--undecided", "maybe"], "--undecided is fail or pass"),
        (["--baseline", "base", "--candidate", "same", "--codec", "x266"], "did you mean x265?"),
    ],
)
def test_a_wrong_request_says_what_to_do(sides, arguments, said):
    assert said in run("gate", *arguments, cwd=sides, expect=2).stderr


def test_nobody_is_sent_to_change_the_rules_that_ship(sides):
    said = run("gate", "--baseline", "base", cwd=sides, expect=2).stderr
    assert "give --candidate" in said
    assert "name it in" not in said
    own = run("gate", "--baseline", "base", "--config", "gate.toml", cwd=sides, expect=2).stderr
    assert "name it in gate.toml" in " ".join(own.split())


def test_the_table_fits_80_columns_and_signs_stand_beside_words(sides):
    done = gate(sides, "worse", expect=1)
    table = done.stdout.split("\n✗ rate")[0].splitlines()
    assert max(map(len, table)) <= 80
    assert "✗ fail" in done.stdout
    assert "+2.00 %" in done.stdout
    assert done.stdout.rstrip().endswith("verdict: ✗ fail")


def test_files_for_ci(sides):
    files = ("--junit", "out/junit.xml", "--markdown", "out/comment.md", "--report", "out/report")
    gate(sides, "worse", *files, "--report-url", "https://example.org/7", expect=1)
    assert ElementTree.parse(sides / "out/junit.xml").getroot()[0].get("failures") == "1"
    comment = (sides / "out/comment.md").read_text()
    assert "https://example.org/7/curves.html#at=curves&metric=vmaf" in comment
    assert (sides / "out/report/index.html").is_file()


@pytest.mark.parametrize("option", ["--junit", "--markdown"])
@pytest.mark.parametrize("read", ["base/summary.json", "same/results.parquet", "gate.toml"])
def test_what_is_read_is_not_replaced(sides, option, read):
    before = (sides / read).read_bytes()
    assert "would be replaced" in gate(sides, "same", option, read, expect=2).stderr
    assert (sides / read).read_bytes() == before


def test_sides_can_stand_in_the_file_of_rules(sides):
    (sides / "sub").mkdir()
    (sides / "sub/gate.toml").write_text('baseline = "../base"\ncandidate = "../same"\n' + RULES)
    run("gate", "--config", "sub/gate.toml", cwd=sides)


def test_an_accepted_candidate_is_the_next_baseline(sides):
    gate(sides, "worse", "--accept", "kept", expect=1)
    done = run("gate", "--baseline", "kept", "--candidate", "worse", "--config", "gate.toml", "--json", cwd=sides)
    (rule,) = json.loads(done.stdout)["rules"]
    assert (rule["verdict"], rule["reason"]) == ("pass", "no difference at all")


def test_what_is_missing_is_listed(sides):
    write_run(sides / "part", rows(sequences=("bikes", "bunny", "carphone", "city", "face")))
    done = gate(sides, "part")
    assert "not compared: jump: not in the candidate" in done.stderr
