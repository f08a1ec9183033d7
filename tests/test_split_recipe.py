"""What recipes say of encodes in parts, and what the command line makes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from sample_recipes import REFERENCE, SHIPPED, edited
from sample_splits import SPLIT, looking_recipe
from typer.testing import CliRunner

from evalsuite.cli.commands import app
from evalsuite.codec.part import Split
from evalsuite.codec.recipe import load_recipe
from evalsuite.errors import RecipeError

RAV1E = 'at = "gop"'


def test_what_the_shipped_recipes_say() -> None:
    said = {name: load_recipe(name).split for name in (*SHIPPED, *REFERENCE)}
    looking = Split(context=4, next_intra=True, arguments=("--FrameSkip={skip}",))
    assert {name: split for name, split in said.items() if split} == {
        "rav1e": Split(),
        "hm": looking,
        "vtm": replace(looking, poc_bits=8),
    }
    assert load_recipe("kvazaar:lowdelay:half").split == Split()
    assert load_recipe("rav1e:lowdelay:10bit").split == Split()
    assert load_recipe("vtm:lowdelay-p:10bit").split == replace(looking, poc_bits=8, next_intra=False)


@pytest.mark.parametrize("name", ["rav1e", "kvazaar:lowdelay", "hm", "vtm:lowdelay"])
def test_saying_so_is_no_part_of_the_identity(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.split is not None
    assert replace(recipe, split=None).recipe_sha256 == recipe.recipe_sha256


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('at = "frame"', "gop or none"),
        ('at = "gop"\nby = 1', "`by` is unknown"),
        ("context = 2", "`at` is missing"),
        ('at = "gop"\ncontext = 2', "{skip} alone as placeholder"),
        ('at = "gop"\ncontext = -2\narguments = ["{skip}"]', "a whole number"),
        ('at = "gop"\narguments = ["{start}"]', "{skip} alone as placeholder"),
        ('at = "gop"\nnext_intra = 1', "true or false"),
        ('at = "gop"\npoc_bits = 3', "4 or 5 or 6"),
        ('at = "gop"\npoc_bits = 8', "for H.266 alone"),
    ],
)
def test_what_makes_no_sense_is_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        edited("rav1e", tmp_path, (RAV1E, text))
    assert message in str(caught.value)
    assert "rav1e.toml, [split]" in str(caught.value)


@pytest.mark.parametrize("name", ["vp9", "tvc"])
def test_streams_that_cannot_be_joined_are_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="cannot be joined"):
        edited(name, tmp_path, ("[q]\n", '[split]\nat = "gop"\n\n[q]\n'))


def test_a_recipe_on_top_of_another_can_take_it_back(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('name = "mine"\nbase = "rav1e"\ndescription = "another"\n')
    assert load_recipe(str(path)).split == Split()
    path.write_text('name = "mine"\nbase = "rav1e"\ndescription = "another"\n[split]\nat = "none"\n')
    assert load_recipe(str(path)).split is None


def test_it_is_shown() -> None:
    shown = CliRunner().invoke(app, ["codecs", "show", "rav1e"]).stdout
    assert "encoded:     long sequences at intra frames; the stream is the same" in shown
    assert "encoded:     whole sequences only" in CliRunner().invoke(app, ["codecs", "show", "x265"]).stdout
    said = json.loads(CliRunner().invoke(app, ["codecs", "show", "kvazaar:lowdelay", "--json"]).stdout)
    assert said["split"] == "gop"


def test_check_tries_it(tmp_path: Path) -> None:
    claim = ("[intra_period]", '[split]\nat = "gop"\n\n[intra_period]')
    path = edited("x265", tmp_path, claim, ('preset = "slow"', 'preset = "superfast"')).path
    result = CliRunner().invoke(app, ["codecs", "check", str(path), "--json"])
    assert result.exit_code == 2
    assert "encode in parts: x265 says that it may be split" in result.stderr
    assert CliRunner().invoke(app, ["codecs", "check", "kvazaar:fast:lowdelay"]).exit_code == 0


def test_a_recipe_of_ones_own_may_say_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert looking_recipe(monkeypatch, tmp_path, SPLIT).split == Split(2, next_intra=True, arguments=("{skip}",))
