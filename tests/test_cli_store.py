"""`evalsuite store`: what each subcommand prints, and exits with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from store_samples import add_cell, content_of, digest, file_of, filled, held, keep, key
from typer.testing import CliRunner

from evalsuite.cli.commands import app
from evalsuite.engine.store import Store

PAGE = Path(__file__).parents[1] / "docs" / "store.md"


def run(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(app, ["store", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result


def document(*arguments: object, code: int = 0) -> Any:
    return json.loads(run(*arguments, "--json", code=code).stdout)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = filled(tmp_path / "store", ("a", "b"))
    keep(folder, 1, ("a",))
    return folder


def test_check_says_what_is_wrong_and_repair_what_it_did(folder: Path) -> None:
    assert run("check", folder).stdout == "nothing is wrong\n"
    path = file_of(folder, content_of("a"))
    path.unlink()
    where = f"bitstreams/{path.parent.name}/{path.name}"
    found = run("check", folder, code=3)
    assert found.stdout == f"wrong: a bitstream is missing: {where}\n1 wrong\n"
    assert "evalsuite store check --repair" in found.stderr
    finding = {"what": "a bitstream is missing", "where": where, "is_wrong": True, "done": ""}
    assert document("check", folder, code=3) == {"schema": 1, "status": "wrong", "findings": [finding]}
    said = run("check", folder, "--repair").stdout
    assert said == (
        f"wrong: a bitstream is missing: {where}: its encode is dropped; the next run encodes again\nnothing is wrong\n"
    )
    assert document("check", folder) == {"schema": 1, "status": "ok", "findings": []}


def test_merge_lists_conflicts(folder: Path, tmp_path: Path) -> None:
    other = filled(tmp_path / "other", ("b", "c"))
    said = run("merge", folder, other)
    assert said.stdout == f"{other}: added 1 cells, 1 bitstreams, 1 decodes, 2 scores, 0 runs\n"
    with Store(other) as store:
        add_cell(store, "d", b"there")
    with Store(folder) as store:
        add_cell(store, "d", b"here")
    conflict = {"cell_key": key("d"), "kept": digest(b"here"), "left": digest(b"there")}
    assert document("merge", folder, other, code=3)["merged"][0]["conflicts"] == [conflict]
    assert f"conflict: cell {key('d')}: kept {digest(b'here')}" in run("merge", folder, other, code=3).stdout
    assert "into itself" in run("merge", folder, folder, code=2).stderr


def test_prune_tells_before_it_removes(folder: Path) -> None:
    told = document("prune", folder, "--unused", "--dry-run")
    assert (told["dry_run"], told["cells"], told["runs"], told["freed_bytes"]) == (True, [key("b")], [], 100)
    assert run("prune", folder, "--unused").stdout == ("removed 0 runs, 1 cells, 0 segments, 1 bitstreams: 0.0 MB\n")
    assert document("prune", folder, "--runs", 1, "--older-than", "30d")["runs"] == []
    for wrong in ("30", "d", "30 years", "-1d"):
        assert "is not an age" in run("prune", folder, f"--older-than={wrong}", code=2).stderr


def test_export_and_import(folder: Path, tmp_path: Path) -> None:
    said = run("export", folder, tmp_path / "export").stdout
    assert said.startswith("sent 2 bitstreams, 1 runs, the results: 0.")
    assert document("export", folder, tmp_path / "export") == {
        "schema": 1,
        "bitstreams": 0,
        "runs": 0,
        "is_database_new": False,
        "sent_bytes": 0,
    }
    assert "added 2 cells" in run("import", tmp_path / "export", tmp_path / "there").stdout
    assert held(tmp_path / "there") == held(folder)
    file_of(tmp_path / "export", content_of("a")).unlink()
    assert document("import", tmp_path / "export", tmp_path / "again", code=3)["cells"] == 1
    assert "no store has been exported" in run("import", tmp_path / "nothing", tmp_path / "x", code=2).stderr


@pytest.mark.parametrize("command", ["check", "prune", "export", "merge"])
def test_what_is_no_store_is_refused_and_not_made(command: str, tmp_path: Path) -> None:
    more = [tmp_path / "x"] if command in ("export", "merge") else []
    arguments = [*more, tmp_path / "none"] if command == "merge" else [tmp_path / "none", *more]
    assert "no results store" in run(command, *arguments, code=2).stderr
    assert not (tmp_path / "none").exists()


def test_every_command_is_documented_and_has_an_example() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for command in ("check", "merge", "prune", "export", "import"):
        assert f"evalsuite store {command} " in page
        assert "Example: evalsuite store" in " ".join(run(command, "--help").stdout.split())
