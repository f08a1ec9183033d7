"""What a codec has learned from is no test of it: recipes tell, and reports and runs say so."""

from __future__ import annotations

import json
import tomllib
from importlib.resources import files
from pathlib import Path

import pytest
from report_page import build
from report_sample import write_sample

from evalsuite.codec.recipe import load_recipe
from evalsuite.codec.recipe_file import parse_recipe
from evalsuite.errors import RecipeError
from evalsuite.results.hull import hull_codec
from evalsuite.results.trained import trained_on
from evalsuite.sources.dataset import load_dataset


def test_the_recipe_of_tvc_names_what_its_weights_were_trained_on():
    known = json.loads(files("tvc.training").joinpath("evaluated.json").read_text(encoding="utf-8"))["trained_on"]
    registry = {entry.name for entry in load_dataset("registry").sequences}
    assert set(known) <= registry
    for name in ("tvc", "tvc:live", "tvc:half"):
        assert load_recipe(name).trained_on == tuple(f"registry/{one}" for one in known)


def test_only_that_sequence_of_that_dataset_is_meant():
    codecs = [("tvc", {"trained_on": ["set/a", "set/b"]}), ("x265", {"trained_on": []}), ("old", {})]
    sequences = [
        ("a", {"name": "a", "dataset": "set"}),
        ("b (one)", {"name": "b", "dataset": "set"}),
        ("c", {"name": "a", "dataset": "other"}),
        ("d", {"name": "a"}),
    ]
    assert trained_on(codecs, sequences) == ["tvc was trained on a, b (one): what it scores there is no test of it."]


def test_a_hull_was_trained_on_what_any_of_its_codecs_was():
    shared = {"recipe_sha256": "0" * 64}
    members = [
        {"name": "a", "trained_on": ["set/a"], **shared},
        {"name": "b", **shared},
        {"name": "c", "trained_on": ["set/c", "set/a"], **shared},
    ]
    assert hull_codec("hull", members)["trained_on"] == ["set/a", "set/c"]


def test_the_overview_says_it(tmp_path: Path):
    run = write_sample(tmp_path / "run", codec_facts={"x265": {"trained_on": ["demo/face", "demo/moon"]}})
    made, _ = build(tmp_path, run)
    assert "No test: x265 was trained on face: what it scores there is no test of it." in made.text
    made, _ = build(tmp_path, write_sample(tmp_path / "other"))
    assert "No test" not in made.text


@pytest.mark.parametrize("value", ["registry/earth", ["earth"], ["registry/"], ["a/b/c"], [1]])
def test_what_names_no_sequence_of_a_dataset_is_refused(value):
    recipe = tomllib.loads(load_recipe("x264").path.read_text(encoding="utf-8"))
    with pytest.raises(RecipeError, match="trained_on"):
        parse_recipe(recipe | {"trained_on": value}, Path("x264.toml"))
