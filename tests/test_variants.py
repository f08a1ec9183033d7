"""Variants of a recipe: what a name asks for, how they are merged, and what is refused."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.codec.variants import COMMON, SEPARATOR, declared, merge, split_list, split_name, with_variants
from evalsuite.errors import EvalError, RecipeError, RequestError

WHERE = Path("mine.toml")

RECIPE: dict[str, Any] = {
    "name": "mine",
    "description": "a codec",
    "notes": "One line.",
    "preset": "usual",
    "lookahead": 9,
    "settings": {"speed": 5, "depth": 8},
    "q": {"ladder": [1, 2], "step": 1},
    "variants": {
        "fast": {"description": "fast", "preset": "quick", "settings": {"speed": 9}},
        "slow": {"description": "slow", "preset": "late", "settings": {"speed": 1}},
        "10bit": {"description": "in 10 bit", "notes": "Another.\n", "settings": {"depth": 10}},
        "lowdelay": {"description": "low delay", "lookahead": 0},
        "half": {"q": {"ladder": [3, 4]}},
    },
}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
"""What a TOML file can hold, and None."""


def test_a_name_without_variants_is_the_recipe() -> None:
    assert with_variants(RECIPE, WHERE, ()) == ({k: v for k, v in RECIPE.items() if k != "variants"}, ())


def test_tables_are_merged_prose_is_joined_and_the_rest_is_replaced() -> None:
    merged, chosen = with_variants(RECIPE, WHERE, ("10bit", "fast", "half"))
    assert chosen == ("fast", "10bit", "half")
    assert merged == {
        "name": "mine",
        "description": "a codec, fast, in 10 bit, at half width and height",
        "notes": "One line.\nAnother.\n",
        "preset": "quick",
        "lookahead": 9,
        "settings": {"speed": 9, "depth": 10},
        "q": {"ladder": [3, 4], "step": 1},
        "scale": {"divisor": 2},
    }
    assert RECIPE["settings"] == {"speed": 5, "depth": 8}


def test_the_order_of_naming_does_not_matter() -> None:
    names = ("fast", "10bit", "lowdelay", "half")
    assert len({str(with_variants(RECIPE, WHERE, order)) for order in itertools.permutations(names)}) == 1


def test_every_recipe_has_the_common_variants_with_what_it_says_of_them() -> None:
    assert list(declared({"name": "bare"}, WHERE)) == list(COMMON) == ["half", "quarter"]
    found = declared(RECIPE, WHERE)
    assert list(found) == ["fast", "slow", "10bit", "lowdelay", "half", "quarter"]
    assert found["half"] == {
        "description": "at half width and height",
        "scale": {"divisor": 2},
        "q": {"ladder": [3, 4]},
    }


def test_an_unknown_variant_is_refused_with_the_near_miss() -> None:
    with pytest.raises(RequestError, match="the codec mine has no variant 'fats'") as caught:
        with_variants(RECIPE, WHERE, ("fats",))
    assert "fast" in str(caught.value.fix)
    assert caught.value.expected == "fast, slow, 10bit, lowdelay, half, quarter"


def test_a_variant_named_twice_is_refused() -> None:
    with pytest.raises(RequestError, match="named twice"):
        with_variants(RECIPE, WHERE, ("fast", "half", "fast"))


@pytest.mark.parametrize("prose", [{}, {"notes": "Already."}])
def test_a_variant_that_changes_nothing_is_refused(prose: dict[str, str]) -> None:
    halved = RECIPE | {"scale": {"divisor": 2}, "variants": {"half": prose}}  # as one on the base `x265:half` is
    with pytest.raises(RequestError, match="the variant half changes nothing of the codec mine"):
        with_variants(halved, WHERE, ("half",))
    assert with_variants(halved, WHERE, ("quarter",))[0]["scale"] == {"divisor": 4}


@pytest.mark.parametrize(("names", "field"), [(("slow", "fast"), "preset"), (("quarter", "half"), r"scale\.divisor")])
def test_variants_of_the_same_field_exclude_each_other(names: tuple[str, ...], field: str) -> None:
    with pytest.raises(RequestError, match=f"exclude each other: both set {field}"):
        with_variants(RECIPE, WHERE, names)


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        (3, "`variants` is not valid"),
        ({"fast": 3}, "`variants` is not valid"),
        ({"fast": {}}, "has no description"),
        ({"fast": {"description": 3}}, "has no description"),
        *(({name: {"description": "x"}}, "name of a variant") for name in ("", "a:b", "a,b", "Fast", " fast")),
        *(({"fast": {"description": "x", field: "y"}}, f"`{field}`") for field in ("name", "base", "variants")),
    ],
)
def test_a_wrong_declaration_names_the_file(variants: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        declared({"name": "mine", "variants": variants}, WHERE)
    assert caught.value.where == WHERE


@given(st.text(max_size=20))
def test_a_name_is_put_together_again(name: str) -> None:
    recipe, variants = split_name(name)
    assert SEPARATOR.join((recipe, *variants)) == name
    assert SEPARATOR not in recipe or recipe.endswith(".toml")


@given(values, st.lists(st.text(max_size=8), max_size=3))
def test_whatever_a_file_declares_is_taken_or_refused(variants: object, names: list[str]) -> None:
    data = {"name": "mine", "variants": variants}
    try:
        found = declared(data, WHERE)
        chosen = with_variants(data, WHERE, tuple(names))[1]
    except EvalError:
        return
    assert set(chosen) == set(names) <= set(found)
    assert all(isinstance(variant["description"], str) for variant in found.values())


@given(st.dictionaries(st.sampled_from("abcdef"), values), st.dictionaries(st.sampled_from("abcdef"), values))
def test_what_is_above_wins_key_by_key(below: dict[str, Any], above: dict[str, Any]) -> None:
    merged = merge(below, above)
    assert merge(merged, {}) == merged
    assert set(merged) == {*below, *above}
    for field in above:
        both = isinstance(below.get(field), dict) and isinstance(above[field], dict)
        assert merged[field] == ({**below[field], **above[field]} if both else above[field])


@pytest.mark.parametrize(
    ("name", "recipe", "variants"),
    [
        ("x265", "x265", ()),
        ("x265:fast:10bit", "x265", ("fast", "10bit")),
        ("a:b/my.toml", "a:b/my.toml", ()),
        ("a:b/my.toml:fast:10bit", "a:b/my.toml", ("fast", "10bit")),
        ("a.toml.d:b/my.toml:fast", "a.toml.d:b/my.toml", ("fast",)),
        ("my.tomlx:fast", "my.tomlx", ("fast",)),
        ("x265:", "x265", ("",)),
    ],
)
def test_a_path_may_hold_what_stands_before_variants(name: str, recipe: str, variants: tuple[str, ...]) -> None:
    assert split_name(name) == (recipe, variants)


def test_a_path_may_hold_what_stands_between_codecs(tmp_path: Path) -> None:
    path = tmp_path / "a,b:c" / "my.toml"
    path.parent.mkdir()
    path.touch()
    assert split_list(str(path)) == (str(path),)
    assert split_list(f"{path}:fast") == (f"{path}:fast",)
    assert split_list("x265:fast, my.toml:fast,,other.toml") == ("x265:fast", "my.toml:fast", "other.toml")
    assert split_list("x" * 5000 + ".toml") == ("x" * 5000 + ".toml",)
