"""Recipes that build on another, that scale, that report, and how they enter a codec's identity."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest
from sample_recipes import edited, script_recipe

from evalsuite.codec.recipe import Recipe, load_recipe
from evalsuite.codec.recipe_file import parse_recipe
from evalsuite.codec.scaling import Scale
from evalsuite.errors import RecipeError
from evalsuite.types import VideoFormat

STORED_UNDER = {
    "kvazaar": "c0d3638e3fc70b919d9f4b3c4ff3727d510c1cc182ba7aa9c0a45b8cb449c2b0",
    "libaom": "8c4231234b216aecfe0e3305daf8ec3964abdeea1521c7a5bdc1a948a3ce8af6",
    "rav1e": "c5921aa9e02794e6108c738ea93d7b80a960f293e62903182c9cafe512e473e9",
    "svtav1": "625a003939155d99578b954c5cbc2feafde7e92d560ccc41d0d7d3401b461fc5",
    "vp9": "af0e59aabcf0472a4cd9807d216bec76ba97a097cff26957d94fd622949e75e4",
    "vvenc": "b9ca402926a30f5f4269a5827c102dfafff0af140b31387c6bd3189258bcbcf4",
    "x264": "2c745fce775b3f38b2c0f3761fef5220a377bf58951a9fe2cc1be9c40a2caa2c",
    "x265": "fabfdc44663567211c6ed92f3e50323014e92c6573493044a7f5741030e05e82",
}
"""Recipe digests from before recipes could scale: results of those days are stored under them."""


def write(folder: Path, name: str, text: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(f'name = "{name}"\n{text}', encoding="utf-8")
    return str(path)


def parsed(**changes: object) -> Recipe:
    data: dict[str, Any] = tomllib.loads(load_recipe("x265").path.read_text(encoding="utf-8"))
    return parse_recipe({**data, **changes}, Path("x265.toml"))


def test_a_recipe_is_its_base_with_what_it_says_itself(tmp_path: Path) -> None:
    text = 'base = "x265"\npreset = "mine"\n[q]\nladder = [20, 25, 30, 35, 40]\n[intra_period]\nmultiple = 2'
    mine, base = load_recipe(write(tmp_path, "mine", text)), load_recipe("x265")
    assert (mine.name, mine.preset, mine.knob.ladder) == ("mine", "mine", (20, 25, 30, 35, 40))
    assert (mine.knob.smallest, mine.knob.step) == (base.knob.smallest, base.knob.step)
    assert (mine.intra_periods.infinite, mine.intra_periods.multiple) == (base.intra_periods.infinite, 2)
    for field in ("encode", "decode", "version_command", "standard", "size_min", "structure", "licence", "notes"):
        assert getattr(mine, field) == getattr(base, field)


def test_a_base_may_be_a_path_beside_the_file_or_a_recipe_of_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "recipes").mkdir()
    edited("x264", tmp_path / "recipes", ('preset = "veryslow"', 'preset = "quick"'))
    text = 'base = "../recipes/x264.toml"\n[scale]\ndivisor = 4'
    assert load_recipe(write(tmp_path / "other", "quarter", text)).preset == "quick"
    here = tmp_path / "here"
    (here / "codecs" / "recipes").mkdir(parents=True)
    monkeypatch.chdir(here)
    edited("x264", here / "codecs" / "recipes", ('preset = "veryslow"', 'preset = "of the folder"'))
    assert load_recipe(write(tmp_path, "child", 'base = "x264"')).preset == "of the folder"


@pytest.mark.parametrize(
    ("base", "message"),
    [
        ('"x256"', "cannot be found"),
        ('"nowhere.toml"', "cannot be found"),
        ('"x264:nosuch"', "cannot be found: the codec x264 has no variant"),
        (f'"{"x" * 5000}.toml"', "cannot be found"),
        ('"mine.toml"', "is the recipe itself"),
        ('"./mine.toml"', "is the recipe itself"),
        ('"ecm"', "has a base of its own"),
        ("3", "is not valid"),
        ('""', "is not valid"),
        ('"a\\u0000.toml"', "is not valid"),
    ],
)
def test_a_wrong_base_names_the_file_and_the_problem(base: str, message: str, tmp_path: Path) -> None:
    path = write(tmp_path, "mine", f"base = {base}")
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(path)
    assert caught.value.where == Path(path)


def test_a_recipe_of_the_folder_is_not_its_own_base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "codecs" / "recipes", "x265", 'base = "x265"')
    with pytest.raises(RecipeError, match="is the recipe itself"):
        load_recipe("x265")


@pytest.mark.parametrize("ladder", [[20, 25, 30, 35, 40, 45], [30, 35, 40, 45, 50]])
def test_a_ladder_of_its_own_has_not_the_rates_of_the_bases(tmp_path: Path, ladder: list[int]) -> None:
    assert load_recipe("x265").knob.ladder_bpp
    mine = load_recipe(write(tmp_path, "mine", f'base = "x265"\n[q]\nladder = {ladder}'))
    assert (mine.knob.ladder, mine.knob.ladder_bpp) == (tuple(ladder), ())


@pytest.mark.parametrize("ladder", [[20, 25, 30, 35, 40, 45], [30, 35, 40, 45, 50]])
def test_a_variants_ladder_has_not_the_rates_of_the_recipes(tmp_path: Path, ladder: list[int]) -> None:
    text = f'base = "x265"\n[variants.other]\ndescription = "other q"\nq = {{ ladder = {ladder} }}'
    path = write(tmp_path, "mine", text)
    assert load_recipe(path).knob.ladder_bpp == load_recipe("x265").knob.ladder_bpp
    assert load_recipe(f"{path}:other").knob.ladder_bpp == ()
    assert load_recipe(f"{path}:other").knob.smallest == load_recipe("x265").knob.smallest


def test_a_near_miss_of_a_base_is_suggested_and_a_broken_base_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        load_recipe(write(tmp_path, "mine", 'base = "x256"'))
    assert "x265" in str(caught.value.fix)
    (tmp_path / "broken.toml").write_text("name = ")
    with pytest.raises(RecipeError, match="not valid TOML") as caught:
        load_recipe(write(tmp_path, "mine", 'base = "broken.toml"'))
    assert caught.value.where == tmp_path / "broken.toml"


def test_name_and_unknown_fields_are_the_files_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('base = "x265"')
    with pytest.raises(RecipeError, match="`name` is missing"):
        load_recipe(str(path))
    with pytest.raises(RecipeError, match="`presett` is unknown") as caught:
        load_recipe(write(tmp_path, "mine", 'base = "x265"\npresett = "slow"'))
    assert str(caught.value.where) == str(path)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        *(("scale", {"divisor": divisor}, "`divisor` is not valid") for divisor in (1, 9, 2.0, True, "2", None)),
        ("scale", {}, "`divisor` is missing"),
        ("scale", 2, "`scale` is not valid"),
        *(("scale", {"divisor": 2, "filter": filter}, "`filter` is not valid") for filter in ("point", "", 3, "a:b")),
        ("scale", {"divisor": 2, "width": 3}, "`width` is unknown"),
        *(("check_psnr_y", value, "`check_psnr_y` is not valid") for value in (9.9, 61, "30", True, float("nan"))),
        ("info", ["{binary}"], r"`info` lacks the placeholder \{input\}"),
        ("info", ["{binary}", "{input}", "{output}"], r"`info` has an unknown placeholder \{output\}"),
        ("info", ["{binary}", "{input}", "{q}"], r"`info` has an unknown placeholder \{q\}"),
        ("info", ["/bin/cat", "{input}"], "does not begin with a program"),
        ("info", "{binary} {input}", "`info` is not valid"),
    ],
)
def test_a_wrong_value_is_refused(field: str, value: object, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        parsed(**{field: value})
    assert "x265.toml" in str(caught.value)


def test_what_is_left_out_has_its_default() -> None:
    plain = parsed()
    assert (plain.scale, plain.info, plain.check_psnr_y) == (None, (), 30)
    assert parsed(scale={"divisor": 3}).scale == Scale(3, "lanczos")
    assert parsed(scale={"divisor": 3, "filter": "bicubic"}).scale == Scale(3, "bicubic")
    assert parsed(check_psnr_y=18).check_psnr_y == 18


def test_sizes_are_scaled_first_and_padded_then() -> None:
    half = load_recipe("x265:half")
    assert half.scaled_format(VideoFormat(101, 67)) == VideoFormat(51, 34)
    assert half.coded_format(VideoFormat(101, 67)) == VideoFormat(52, 34)
    assert half.coded_format(VideoFormat(33, 18)) == VideoFormat(32, 32)


@pytest.mark.parametrize("name", STORED_UNDER)
def test_recipes_that_do_not_scale_keep_the_digest_that_results_are_stored_under(name: str) -> None:
    assert load_recipe(name).recipe_sha256 == STORED_UNDER[name]


def test_scaling_is_part_of_a_recipes_digest_but_reports_and_floors_are_not() -> None:
    scales: list[dict[str, object]] = [{"divisor": 2}, {"divisor": 3}, {"divisor": 2, "filter": "bicubic"}]
    assert len({parsed().recipe_sha256, *(parsed(scale=scale).recipe_sha256 for scale in scales)}) == 4
    assert parsed(info=["{binary}", "{input}"]).recipe_sha256 == STORED_UNDER["x265"]
    assert parsed(check_psnr_y=20).recipe_sha256 == STORED_UNDER["x265"]


def test_the_program_that_scales_is_part_of_the_identity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = script_recipe(monkeypatch, tmp_path)
    assert set(plain.binary_sha256()) == {plain.binary}
    scaled = script_recipe(monkeypatch, tmp_path, extra="scale = {divisor = 2}")
    assert set(scaled.binary_sha256()) == {plain.binary, "ffmpeg"}
    assert scaled.binary_sha256()["ffmpeg"] == load_recipe("x265").binary_sha256()["ffmpeg"]
    told = script_recipe(monkeypatch, tmp_path, extra='info = ["{ffmpeg}", "{input}"]')
    assert told.identity() == plain.identity()
