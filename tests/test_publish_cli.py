"""`evalsuite publish` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from publish_samples import board_file, board_of, write_run
from typer.testing import CliRunner

from evalsuite.cli.commands import app

BOARD = board_of()


@pytest.fixture
def there(tmp_path, monkeypatch):
    """A folder with a board, and a run by it."""
    monkeypatch.chdir(tmp_path)
    board_file(tmp_path / "leaderboards", BOARD)
    write_run(tmp_path / "results", BOARD, {"tvc": 0.8})
    return tmp_path


def run(*arguments):
    return CliRunner().invoke(app, ["publish", *arguments])


def test_add_check_and_build(there):
    done = run("--add", "results", "--by", "Ada")
    assert done.exit_code == 0, done.output
    folders = [there / line for line in done.stdout.split()]
    assert [one.name.split("-")[0] for one in folders] == ["x265", "tvc"]
    assert all(json.loads((one / "entry.json").read_text())["by"] == "Ada" for one in folders)
    assert "was there: the same bitstreams and scores" in run("--add", "results").stdout
    done = run("--check")
    assert (done.exit_code, done.stdout) == (0, "2 entries, all fine\n")
    done = run("--out", "site", "--base-url", "https://example.org")
    assert done.exit_code == 0, done.output
    assert (there / "site/small/index.html").is_file()
    assert "https://example.org/small/entries/" in (there / "site/feed.atom").read_text()
    done = run("--out", "site", "--json")
    assert json.loads(done.stdout)["boards"] == ["small"]


def test_every_fault_is_listed_with_what_to_do(there):
    run("--add", "results")
    folders = sorted((there / "leaderboards/entries/small").iterdir())
    (folders[0] / "bd_rate.csv").write_text("x")
    (folders[1] / "entry.json").unlink()
    done = run("--check")
    assert done.exit_code == 1
    assert f"small/{folders[0].name}: bd_rate.csv: bytes 1" in done.stdout
    assert f"small/{folders[1].name}: entry.json is missing\n    to do: make the entry with" in done.stdout
    assert done.stdout.endswith("2 entries, 2 wrong\n")
    document = json.loads(run("--check", "--json").stdout)
    assert document["entries"] == 2
    assert {fault["entry"] for fault in document["faults"]} == {f"small/{one.name}" for one in folders}
    assert all(fault["fix"] for fault in document["faults"])


def test_adding_says_what_it_made_to_programs(there):
    document = json.loads(run("--add", "results", "--json").stdout)
    assert [(one["codec"], one["new"]) for one in document["entries"]] == [("x265", True), ("tvc", True)]


def test_nothing_published_yet_is_fine(there):
    assert run("--check").stdout == "0 entries, all fine\n"
    assert run("--out", "site").exit_code == 0
    assert "There are no entries yet" in (there / "site/index.html").read_text()


def test_a_board_that_is_named_twice_is_one(there):
    run("--add", "results")
    assert run("--check", "small", "leaderboards/small.toml").stdout == "2 entries, all fine\n"
    assert run("--out", "site", "small", "leaderboards/small.toml", "--json").exit_code == 0


def test_two_boards_of_one_name_are_refused(there):
    board_file(there / "mine", board_of(threads=2))
    done = run("--check", "small", "mine/small.toml")
    assert done.exit_code == 2
    assert "two boards are called small" in done.output
    (there / "mine/small.toml").rename(there / "leaderboards/other.toml")
    assert "two boards are called small" in run("--check").output


@pytest.mark.parametrize("what", [["--check"], ["--out", "site"]])
def test_a_mistyped_folder_of_entries_is_no_empty_one(there, what):
    done = run(*what, "--entries", "leaderboards/entires")
    assert done.exit_code == 2
    assert "there is no such folder of entries" in done.output


def test_another_folder_is_not_one_without_entries(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("--check")
    assert done.exit_code == 2
    assert "there is no such folder of entries" in done.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "one thing at a time"),
        (["--check", "--out", "x"], "--out and --check"),
        (["--out", "x", "--base-url", "example.org"], "--base-url is an address"),
        (["--check", "--base-url", "https://example.org"], "--base-url is of --out"),
        (["--check", "--licence", "CC0-1.0"], "--licence is of --add"),
        (["--out", "x", "--by", "Ada"], "--by is of --add"),
        (["--check", "smal"], "did you mean small?"),
        (["--add", "nowhere"], "not the folder of a finished run"),
        (["--add", "results", "ultra-low"], "the run was made by the board small"),
    ],
)
def test_wrong_requests(there, arguments, said):
    done = run(*arguments)
    assert done.exit_code == 2
    assert said in done.output


def test_a_run_that_is_no_entry_is_refused_with_its_deviations(there):
    board_file(there / "leaderboards", board_of(threads=2))
    done = run("--add", "results")
    assert done.exit_code == 2
    assert "request: threads 1, the board has 2" in done.output
    assert not list((there / "leaderboards").rglob("entry.json"))


def test_a_run_without_a_board_is_refused(there):
    summary = json.loads((there / "results/summary.json").read_text())
    summary["request"]["board"] = None
    (there / "results/summary.json").write_text(json.dumps(summary))
    done = run("--add", "results")
    assert done.exit_code == 2
    assert "not made by a board" in done.output


def test_the_workflow_checks_before_it_publishes_and_only_from_main():
    workflow = yaml.safe_load((Path(__file__).parents[1] / ".github/workflows/pages.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    steps = workflow["jobs"]["check"]["steps"]
    runs = [step.get("run", "") for step in steps]
    build = next(index for index, text in enumerate(runs) if "--out site" in text)
    assert runs.index("evalsuite publish --check") < build
    assert "${{" not in "".join(runs)
    assert all(step["if"] == "github.event_name != 'pull_request'" for step in steps[build:])
    deploy = workflow["jobs"]["deploy"]
    assert (deploy["needs"], deploy["if"]) == ("check", "github.event_name != 'pull_request'")
    assert deploy["permissions"] == {"pages": "write", "id-token": "write"}


def test_the_workflow_runs_for_what_is_checked_and_what_checks_it():
    workflow = yaml.safe_load((Path(__file__).parents[1] / ".github/workflows/pages.yml").read_text())
    for event in ("pull_request", "push"):
        paths = workflow[True][event]["paths"]  # `on` is a truth value to YAML 1.1
        assert {"leaderboards/**", "evalsuite/**", "docs/*.schema.json"} <= set(paths)
    assert workflow["concurrency"]["cancel-in-progress"] == "${{ github.event_name == 'pull_request' }}"
