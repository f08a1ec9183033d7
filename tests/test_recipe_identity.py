"""What a codec is told apart by, and the programs it is made of."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sample_recipes import edited, script_recipe

from evalsuite.codec import binary
from evalsuite.codec.recipe import load_recipe
from evalsuite.errors import ProcessError, RecipeError
from evalsuite.ffmpeg import ffmpeg_path


def test_identity_is_the_same_in_another_process_and_for_another_prose(tmp_path: Path) -> None:
    code = "from evalsuite.codec.recipe import load_recipe; print(load_recipe('x265').identity())"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert load_recipe("x265").identity() == other
    assert edited("x265", tmp_path, ('description = "', 'description = "Another: ')).identity() == other
    assert edited("x265", tmp_path, ("ladder = [24,", "ladder = [23,")).identity() == other


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("rc-lookahead=25", "rc-lookahead=30"),
        ('"explode"', '"ignore_err"'),
        ("size_multiple = 2", "size_multiple = 8"),
    ],
)
def test_identity_changes_with_what_bears_on_the_result(tmp_path: Path, old: str, new: str) -> None:
    assert edited("x265", tmp_path, (old, new)).identity() != load_recipe("x265").identity()


def test_identity_changes_with_the_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = set()
    for index, script in enumerate(("print('codec 1')", "print('codec 1') # changed")):
        folder = tmp_path / str(index)
        folder.mkdir()
        found.add(script_recipe(monkeypatch, folder, script).identity())
    assert len(found) == 2


def test_the_digest_of_a_program_is_remembered_and_noticed_to_be_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))
    program = tmp_path / "program"
    program.write_bytes(b"first")
    assert binary.digest(program) == hashlib.sha256(b"first").hexdigest()
    notes = list((tmp_path / "cache" / "programs").iterdir())
    assert [note.read_text() for note in notes] == [hashlib.sha256(b"first").hexdigest()]
    time.sleep(0.01)
    program.write_bytes(b"other")
    assert binary.digest(program) == hashlib.sha256(b"other").hexdigest()


def test_a_damaged_or_unwritable_cache_of_digests_does_no_harm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"program")
    expected = hashlib.sha256(b"program").hexdigest()
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))
    binary.digest(program)
    for note in (tmp_path / "cache" / "programs").iterdir():
        note.write_bytes(b"\xff" + b"0" * 10)
    assert binary.digest(program) == expected
    (tmp_path / "file").write_bytes(b"")
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "file"))
    assert binary.digest(program) == expected


def test_a_missing_program_says_how_to_name_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = script_recipe(monkeypatch, tmp_path)
    (tmp_path / recipe.binary).unlink()
    with pytest.raises(ProcessError) as caught:
        recipe.check_available()
    assert binary.variable_of(recipe.binary) in str(caught.value)
    executable = tmp_path / "elsewhere"
    executable.write_text(f"#!{sys.executable}\nprint('codec 9')")
    executable.chmod(0o755)
    monkeypatch.setenv(binary.variable_of(recipe.binary), str(executable))
    assert recipe.version() == "9"


def test_an_encoder_that_this_build_lacks_is_said(tmp_path: Path) -> None:
    recipe = edited("x265", tmp_path, ('"-c:v", "libx265", "-f", "hevc", "-"', '"-c:v", "libnope", "-f", "hevc", "-"'))
    with pytest.raises(ProcessError, match="does not run here") as caught:
        recipe.check_available()
    assert "libnope" in str(caught.value)


def test_output_without_a_version_is_the_recipes_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RecipeError, match="no version"):
        script_recipe(monkeypatch, tmp_path, "print('hello')").version()


def test_the_pinned_ffmpeg_is_never_one_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    impostor = tmp_path / "ffmpeg"
    impostor.write_text("#!/bin/sh\nexit 1\n")
    impostor.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setenv("EVALSUITE_FFMPEG", str(impostor))
    assert binary.locate("ffmpeg") == ffmpeg_path()
    assert "imageio_ffmpeg" in str(binary.locate("ffmpeg"))
