"""Codecs written in Python: how they are named, found and told apart."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
import textwrap
import tomllib
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import hypothesis
import numpy as np
import psutil
import pytest
from conftest import make_clip
from hypothesis import given
from hypothesis import strategies as st
from sample_python_codec import RECIPE, SOURCE, python_recipe
from typer.testing import CliRunner

from evalsuite.cli.commands import app
from evalsuite.codec.hosted import hosted
from evalsuite.codec.plugin import entry_points, frames_sha256, located
from evalsuite.codec.recipe import available, load_recipe
from evalsuite.codec.recipe_file import parse_recipe
from evalsuite.codec.tokenizer import tokenizers
from evalsuite.errors import AssetError, ProcessError, RecipeError, RequestError


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str, source: str, **points: str) -> None:
    """A distribution with one module and entry points to its classes, as an installer leaves it."""
    (folder / f"{name}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    info = folder / f"{name}-2.5.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 2.5\n")
    (info / "top_level.txt").write_text(name)
    lines = "".join(f"{point} = {name}:{kind}\n" for point, kind in points.items())
    (info / "entry_points.txt").write_text(f"[evalsuite.codecs]\n{lines}")
    monkeypatch.syspath_prepend(str(folder))


def test_an_installed_package_is_a_codec_without_a_recipe_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "installed_coder", SOURCE, newcodec="Coder")
    assert "newcodec" in available()
    recipe = load_recipe("newcodec")
    assert (recipe.name, recipe.python, recipe.container) == ("newcodec", "newcodec", "none")
    assert recipe.knob.ladder == (1, 4, 8, 16, 32)
    assert recipe.version() == "installed_coder 2.5 sample 1.0"
    digest = hashlib.sha256((tmp_path / "installed_coder.py").read_bytes()).hexdigest()
    assert recipe.binary_sha256() == {"installed_coder": digest}


def test_a_table_of_the_intra_period_adds_to_what_a_class_has_anyway(tmp_path: Path) -> None:
    plain = python_recipe(tmp_path)
    (tmp_path / "more").mkdir()
    more = python_recipe(tmp_path / "more", extra="[intra_period]\nmultiple = 4")
    assert more.intra_periods == replace(plain.intra_periods, multiple=4)


def test_what_a_class_cannot_do_behind_a_channel_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"\[transport\] does not fit"):
        python_recipe(tmp_path, extra="[transport]")


def test_show_names_the_class_and_no_command_or_file_that_is_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "shown_coder", SOURCE, showncodec="Coder")
    shown = CliRunner().invoke(app, ["codecs", "show", "showncodec"]).stdout
    assert "runs in a host process: Coder from shown_coder" in shown.splitlines()
    assert "recipe:      the class has it" in shown
    assert "--device" not in shown
    told = json.loads(CliRunner().invoke(app, ["codecs", "show", "showncodec", "--json"]).stdout)
    assert (told["commands"], told["recipe"], told["class"]) == ({}, "", "Coder from shown_coder")
    recipe = python_recipe(tmp_path)
    shown = CliRunner().invoke(app, ["codecs", "show", str(recipe.path)]).stdout
    assert f"runs in a host process: Coder from {tmp_path / 'coder.py'}" in shown.splitlines()
    assert f"recipe:      {recipe.path}" in shown
    (tmp_path / "coder.py").unlink()
    assert (
        "runs in a host process: coder.py:Coder" in CliRunner().invoke(app, ["codecs", "show", str(recipe.path)]).stdout
    )


def test_a_recipe_file_may_take_an_installed_class_with_other_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, monkeypatch, "other_coder", SOURCE, othercodec="Coder")
    path = tmp_path / "fake.toml"
    path.write_text(
        RECIPE.format(name="fake", settings="load = 0.25", extra="").replace("coder.py:Coder", "othercodec")
    )
    recipe = load_recipe(str(path))
    assert recipe.settings == {"load": 0.25}
    assert located(recipe.python, tmp_path) == "other_coder:Coder"
    assert recipe.version() == "other_coder 2.5 sample 1.0"


def test_a_recipe_of_the_folder_wins_over_an_installed_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "third_coder", SOURCE, twice="Coder")
    folder = tmp_path / "codecs" / "recipes"
    folder.mkdir(parents=True)
    python_recipe(folder, name="twice")
    monkeypatch.chdir(tmp_path)
    assert load_recipe("twice").python == "coder.py:Coder"
    assert available().count("twice") == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("raise RuntimeError('compiled for another GPU')", "RuntimeError: compiled for another GPU"),
        ("import a_module_that_is_nowhere", "No module named 'a_module_that_is_nowhere'"),
        ("import os; os._exit(3)", "exited with code 3"),
        ("Coder = 3", "has no class Coder"),
    ],
    ids=["raises", "import", "exits", "no class"],
)
def test_a_class_that_cannot_be_imported_is_named_and_stops_nobody(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    module = f"broken_{request.node.callspec.id.replace(' ', '_')}"
    install(tmp_path, monkeypatch, module, source, broken="Coder")
    assert "broken" in available()
    with pytest.raises(ProcessError, match=message) as caught:
        load_recipe("broken")
    assert str(caught.value.where) == f"{module}:Coder"


def test_a_class_without_a_recipe_says_how_it_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "bare_coder", SOURCE, bare="Bare")
    with pytest.raises(RequestError, match="no recipe of its own") as caught:
        load_recipe("bare")
    assert 'python = "bare"' in str(caught.value.fix)


def test_names_that_mean_no_class_are_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="offers a codec class") as caught:
        located("torchscrip", tmp_path)
    assert caught.value.fix == "did you mean torchscript?"
    with pytest.raises(RecipeError, match="no such file"):
        located("nowhere.py:Coder", tmp_path)
    assert located("torchscript", tmp_path) == "evalsuite.codec.torchscript:TorchScript"
    assert located("some.module:Outer.Inner", tmp_path) == "some.module:Outer.Inner"
    assert "torchscript" not in entry_points()


def test_identity_changes_with_source_settings_files_and_device_and_with_nothing_else(tmp_path: Path) -> None:
    def identity(settings: str = "", extra: str = "", source: str = SOURCE, data: str = "1") -> str:
        # What a class says of itself is remembered by path: each has a folder of its own.
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        folder.mkdir()
        (folder / "weights.txt").write_text(data)
        python_recipe(folder, f"{settings}\n[files]\nlog = 'weights.txt'\n", extra=extra)
        (folder / "coder.py").write_text(source)
        return load_recipe(str(folder / "fake.toml")).identity()

    plain = identity()
    assert identity(extra="notes = 'prose'") == plain
    others = {
        identity("load = 0.5"),
        identity(extra="device = 'cuda'"),
        identity(source=SOURCE + "\n# another encoder\n"),
        identity(data="2"),
    }
    assert len(others | {plain}) == 5


@pytest.mark.parametrize("name", ["json", "host", "my-coder"])
def test_a_file_may_have_any_name(name: str, tmp_path: Path) -> None:
    python_recipe(tmp_path)
    (tmp_path / "coder.py").rename(tmp_path / f"{name}.py")
    path = tmp_path / "fake.toml"
    path.write_text(path.read_text().replace("coder.py", f"{name}.py"))
    assert load_recipe(str(path)).version() == "sample 1.0"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    recipe = python_recipe(tmp_path, "[files]\nlog = 'weights.bin'")
    with pytest.raises(AssetError, match=r"weights\.bin is not on this machine"):
        recipe.check_available()


def test_what_a_base_says_of_its_class_and_files_is_found_beside_the_base(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir()
    (folder / "weights.bin").write_bytes(b"theirs")
    theirs = python_recipe(folder, "[files]\nweights = 'weights.bin'")
    mine = tmp_path / "mine.toml"
    mine.write_text('name = "mine"\nbase = "theirs/fake.toml"\n[files]\nmore = "more.bin"\n')
    (tmp_path / "more.bin").write_bytes(b"mine")
    recipe = load_recipe(str(mine))
    assert recipe.locate_files() == {"weights": folder / "weights.bin", "more": tmp_path / "more.bin"}
    assert recipe.version() == theirs.version()
    assert hosted(recipe).python == hosted(theirs).python == f"{folder / 'coder.py'}:Coder"
    shown = CliRunner().invoke(app, ["codecs", "show", str(mine), "--json"])
    assert json.loads(shown.stdout)["class"] == f"Coder from {folder / 'coder.py'}"

    # What stands beside the recipe itself comes first.
    (tmp_path / "weights.bin").write_bytes(b"mine")
    (tmp_path / "coder.py").write_text(SOURCE.replace("sample 1.0", "sample 2.0"), encoding="utf-8")
    mine.write_text(mine.read_text().replace("[files]", 'preset = "mine"\n[files]'))
    recipe = load_recipe(str(mine))
    assert recipe.locate_files()["weights"] == tmp_path / "weights.bin"
    assert recipe.version() == "sample 2.0"


def test_a_class_that_is_in_no_folder_is_looked_for_in_each(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no such file") as caught:
        located("coder.py:Coder", tmp_path / "mine", tmp_path / "theirs")
    assert caught.value.got == f"{tmp_path / 'mine' / 'coder.py'}, {tmp_path / 'theirs' / 'coder.py'}"


@pytest.mark.parametrize("field", ["encode = ['x']", "binary = 'x'", "decoded = 'raw'", "info = ['x']"])
def test_fields_of_commands_do_not_go_with_a_class(field: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="does not go with `python`"):
        python_recipe(tmp_path, extra=field)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=5,
)


@hypothesis.settings(max_examples=100, deadline=None)
@given(field=st.sampled_from(["python", "device", "settings", "files", "home", "intra_period"]), value=_values)
def test_any_value_in_a_field_of_classes_is_taken_or_refused(field: str, value: object) -> None:
    data = {**tomllib.loads(RECIPE.format(name="fake", settings="", extra="")), field: value}
    with suppress(RecipeError):
        assert parse_recipe(data, Path("fake.toml")).python


def test_the_digest_of_frames_is_that_of_their_raw_planes() -> None:
    eight = (np.array([[1, 2]], np.uint8), np.array([[3]], np.uint8), np.array([[4]], np.uint8))
    ten = (np.array([[1, 2]], np.uint16), np.array([[3]], np.uint16), np.array([[1023]], np.uint16))
    wanted = hashlib.sha256(bytes([1, 2, 3, 4]) + bytes([1, 0, 2, 0, 3, 0, 255, 3])).hexdigest()
    assert frames_sha256([eight, ten]) == wanted


def test_settings_reach_results_as_they_are_written(tmp_path: Path) -> None:
    recipe = python_recipe(tmp_path, "load = 0.5")
    assert json.loads(json.dumps(list(recipe.encode)))[:4] == ["python", "coder.py:Coder", "--device", "cpu"]


def test_the_recipes_in_the_docs_are_valid_and_short(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "neural-codecs.md").read_text()
    blocks = [block for block in re.findall(r"```toml\n(.*?)```", page, re.DOTALL) if "\npython = " in block]
    names = []
    for block in blocks:
        names.append(re.search(r'name = "(.*)"', block)[1])  # type: ignore[index]
        path = tmp_path / f"{names[-1]}.toml"
        path.write_text(block)
        assert load_recipe(str(path)).name == names[-1]
        assert len([line for line in block.splitlines() if line.strip()]) <= 25
    assert {"mycodec", "tvc-tokens", "cosmos-dv"} <= set(names)


def test_the_tokenizer_settings_in_the_docs_are_valid(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "neural-codecs.md").read_text()
    for name, pairs in (("tvc-tokens", 1), ("cosmos-dv", 3)):
        block = re.search(rf'```toml\n(name = "{name}".*?)```', page, re.DOTALL)
        assert block is not None
        recipe = tomllib.loads(block[1])
        assert len(recipe["files"]) == 2 * pairs
        settings = {key: value for key, value in recipe["settings"].items() if key != "dtype"}
        assert len(tokenizers(pairs, **settings)) == pairs


def test_a_broken_package_does_not_stop_the_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "broken_for_the_list", "raise RuntimeError('no such GPU')", brokenlist="Coder")
    install(tmp_path, monkeypatch, "good_for_the_list", SOURCE, goodlist="Coder")
    result = CliRunner().invoke(app, ["codecs", "list", "--json"])
    assert result.exit_code == 0, result.output
    rows = {row["name"]: row for row in json.loads(result.stdout)}
    assert rows["brokenlist"]["available"] is False
    assert "RuntimeError: no such GPU" in rows["brokenlist"]["needs"]
    assert rows["goodlist"]["version"] == "good_for_the_list 2.5 sample 1.0"
    assert rows["x265"]["available"] is True


def test_a_run_measures_a_class_at_matched_rates_and_leaves_no_host_behind(tmp_path: Path) -> None:
    make_clip(tmp_path / "clip.y4m", 64, 48, 4)
    (tmp_path / "log.txt").write_text("")
    python_recipe(tmp_path, "load = 0.1\n[files]\nlog = 'log.txt'")
    arguments = ["run", "--codecs", "fake.toml", "--sequences", "clip.y4m", "--metrics", "psnr_y", "--jobs", "2"]
    arguments += ["--pictures", "none"]
    result = subprocess.run(
        [sys.executable, "-m", "evalsuite", *arguments, "--out", "out", "--store", "store"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    outcomes = json.loads((tmp_path / "out" / "summary.json").read_text())["outcomes"]
    assert (outcomes["measured"], outcomes["failed"]) == (5, 0)
    notes = [line.split() for line in (tmp_path / "log.txt").read_text().splitlines()]
    # Five encodes by two workers at most, and all decodes of a group side by side: models are loaded no more often.
    loads = [line[1] for line in notes if line[0] == "load"]
    assert loads.count("encode") <= 2
    assert loads.count("decode") <= 5
    hosts = [psutil.Process(pid) for pid in {int(line[2]) for line in notes} if psutil.pid_exists(pid)]
    assert psutil.wait_procs(hosts, timeout=10)[1] == []
