from __future__ import annotations

import copy
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_recipes import REFERENCE, SHIPPED, STANDARD, edited

from evalsuite import resources
from evalsuite.codec import binary
from evalsuite.codec.command import DECODE_PLACEHOLDERS, PROGRAMS, placeholders
from evalsuite.codec.knob import Knob
from evalsuite.codec.recipe import Recipe, load_recipe
from evalsuite.codec.recipe_file import parse_recipe
from evalsuite.codec.taking import check_format
from evalsuite.errors import EvalError, RecipeError, RequestError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.types import Colour, OperatingPoint, Sequence, VideoFormat


def sequence(width: int = 640, height: int = 360, bit_depth: int = 8) -> Sequence:
    return Sequence(
        name="s",
        dataset="test",
        path=Path("/video/in put.y4m"),
        sha256="",
        format=VideoFormat(width, height, bit_depth),
        frame_rate=Fraction(30000, 1001),
        frames=60,
        colour=Colour("bt709"),
    )


def data_of(name: str) -> dict[str, Any]:
    return tomllib.loads(load_recipe(name).path.read_text(encoding="utf-8"))


def commands(recipe: Recipe, q: float, intra_period: int = 32, threads: int = 1) -> tuple[tuple[str, ...], ...]:
    point = OperatingPoint(q, intra_period, threads)
    source = sequence()
    return recipe.encode_commands(source, point, source.path, Path("/out/o.bin"), Path("/tmp/st"))


def test_the_shipped_recipes_are_these() -> None:
    assert set(resources.available("codecs")) == {*STANDARD, *REFERENCE, "tvc"}


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_recipes_load_and_tell_a_version(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.licence
    assert any(character.isdigit() for character in recipe.version())
    assert recipe.internal_bit_depth == 8


@pytest.mark.parametrize("name", [*STANDARD, "x265:half"])
def test_encoders_of_a_standard_are_run_in_the_same_structure(name: str) -> None:
    assert load_recipe(name).structure.startswith("random access, closed GoP")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_commands_are_complete_argument_lists(name: str) -> None:
    recipe = load_recipe(name)
    program = str(binary.locate(recipe.binary))
    assert (program == str(ffmpeg_path())) == (name != "tvc")
    for command in (
        *commands(recipe, recipe.knob.ladder[0]),
        recipe.decode_command(Path("b"), VideoFormat(64, 64), 60),
    ):
        assert command[0] == program
        assert not placeholders(command)
    assert "/video/in put.y4m" in commands(recipe, recipe.knob.ladder[0])[-1]
    assert "/out/o.bin" in commands(recipe, recipe.knob.ladder[0])[-1]


@pytest.mark.parametrize("name", SHIPPED)
def test_decoders_are_given_the_bitstream_and_nothing_else(name: str) -> None:
    assert placeholders(load_recipe(name).decode) == {"binary" if name == "tvc" else "ffmpeg", "input", "threads"}


def test_q_and_intra_period_are_written_as_the_encoder_reads_them() -> None:
    x265 = load_recipe("x265")
    assert "30.25" in commands(x265, 30.25)[0]
    assert "30" in commands(x265, 30.0)[0]
    assert any("keyint=32:" in argument for argument in commands(x265, 30)[0])
    assert any("keyint=-1:" in argument for argument in commands(x265, 30, intra_period=-1)[0])
    assert any("keyint=infinite:" in argument for argument in commands(load_recipe("x264"), 30, intra_period=-1)[0])


def test_two_passes_are_two_commands_that_share_their_statistics() -> None:
    first, second = commands(load_recipe("vp9"), 40)
    assert "/tmp/st/stats" in first
    assert "/tmp/st/stats" in second
    assert "/out/o.bin" not in first


def test_sizes_are_padded_to_the_encoders_multiple() -> None:
    odd = VideoFormat(175, 143)
    assert load_recipe("svtav1").coded_format(odd) == odd
    assert load_recipe("x265").coded_format(odd) == VideoFormat(176, 144)
    assert load_recipe("x265").coded_format(VideoFormat(40, 22)) == VideoFormat(40, 32)
    assert load_recipe("kvazaar").coded_format(VideoFormat(177, 145)) == VideoFormat(184, 152)


def test_a_path_in_a_value_is_not_taken_for_a_placeholder() -> None:
    recipe, source = load_recipe("x265"), sequence()
    point = OperatingPoint(30, 32, 1)
    (command,) = recipe.encode_commands(source, point, Path("/a {q} {nope}.y4m"), Path("/o/{input}"), Path("/s"))
    assert "/a {q} {nope}.y4m" in command
    assert command[-1] == "/o/{input}"


def test_relative_and_dashed_paths_cannot_pass_for_options(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    command = load_recipe("x265").decode_command(Path("-rf.bin"), VideoFormat(64, 64), 60)
    assert str(tmp_path / "-rf.bin") in command


@pytest.mark.parametrize("q", [0, 51.5, float("nan"), -3])
def test_q_outside_the_range_is_refused(q: float) -> None:
    with pytest.raises(RequestError, match="has no q"):
        load_recipe("x265").check_point(OperatingPoint(q, 32, 1))


def test_q_between_the_steps_of_an_integer_encoder_is_refused() -> None:
    with pytest.raises(RequestError, match=r"has no q 32\.5"):
        load_recipe("vvenc").check_point(OperatingPoint(32.5, 32, 1))
    load_recipe("svtav1").check_point(OperatingPoint(32.25, 32, 1))


def test_an_intra_period_that_the_encoder_does_not_have_is_refused() -> None:
    kvazaar = load_recipe("kvazaar")
    with pytest.raises(RequestError, match="every 25 frames") as caught:
        kvazaar.check_point(OperatingPoint(30, 25, 1))
    assert "multiple of 16" in str(caught.value)
    kvazaar.check_point(OperatingPoint(30, -1, 1))
    for period in (0, -2):
        with pytest.raises(RequestError):
            load_recipe("x265").check_point(OperatingPoint(30, period, 1))


def test_ten_bit_sources_are_refused_with_what_is_taken() -> None:
    with pytest.raises(RequestError, match="pixel format") as caught:
        check_format(load_recipe("x265"), sequence(bit_depth=10))
    assert caught.value.expected == "yuv420p or yuv422p or yuv444p or gray"
    assert caught.value.got == "yuv420p10le"
    assert caught.value.fix == "name x265:10bit"
    with pytest.raises(RequestError, match="pixel format") as caught:
        check_format(load_recipe("kvazaar"), sequence(bit_depth=10))
    assert "convert the sequence" in str(caught.value.fix)


@given(st.floats(-100, 400))
def test_snap_gives_a_q_that_is_accepted(q: float) -> None:
    for name in ("x265", "svtav1", "rav1e"):
        recipe = load_recipe(name)
        snapped = recipe.knob.snap(q)
        recipe.check_point(OperatingPoint(snapped, -1, 1))
        if recipe.knob.smallest <= q <= recipe.knob.largest:
            assert abs(snapped - q) <= recipe.knob.step / 2 + 1e-6


@pytest.mark.parametrize(
    ("smallest", "largest", "step", "q", "right"),
    [
        (1, 63, 4, 63, 61),  # 1, 5, ... 61: the largest is not among them
        (1, 63, 4, 60, 61),
        (1, 63, 4, 58.9, 57),
        (0, 51, 1, 60, 51),
        (0.1, 0.7, 0.1, 0.7, 0.7),  # 0.6 / 0.1 is below 6 in binary
        (10, 12, 5, 12, 10),
    ],
)
def test_snap_stays_at_or_below_the_largest_q(
    smallest: float, largest: float, step: float, q: float, right: float
) -> None:
    knob = Knob(smallest, largest, step, ())
    assert knob.snap(q) == right
    assert knob.has(right)


def change(field: str, value: object) -> Callable[[dict[str, Any]], None]:
    def apply(data: dict[str, Any]) -> None:
        *tables, last = field.split("/")
        for table in tables:
            data = data[table]
        data[last] = value

    return apply


def without(field: str) -> Callable[[dict[str, Any]], None]:
    return lambda data: data.pop(field)


ENCODE = ["{ffmpeg}", "{input}", "{output}", "{q}"]

WRONG = [
    (without("encode"), "`encode` is missing"),
    (without("q"), "`q` is missing"),
    (without("standard"), "`standard` is missing"),
    (change("encode", "ffmpeg -i {input}"), "`encode` is not valid"),
    (change("encode", []), "`encode` is not valid"),
    (change("encode", [*ENCODE, 3]), "`encode` is not valid"),
    (change("encode", [*ENCODE, "{qp}"]), r"`encode` has an unknown placeholder \{qp\}"),
    (change("encode", [*ENCODE, "{decoder_binary}"]), "unknown placeholder"),
    (change("encode", [*ENCODE, "{stats}"]), "unknown placeholder"),
    (change("encode", [*ENCODE, "{}"]), "unknown placeholder"),
    (change("encode", [*ENCODE, "{q"]), "`encode` is not valid"),
    (change("encode", [*ENCODE, "a}"]), "`encode` is not valid"),
    (change("encode", [*ENCODE, "a\0b"]), "`encode` is not valid"),
    (change("encode", ["{ffmpeg}", "{input}", "{output}"]), r"`encode` lacks the placeholder \{q\}"),
    (change("encode", ["/bin/sh", "-c", "{input}{output}{q}"]), "does not begin with a program"),
    (change("decode", ["{ffmpeg}", "{input}", "{q}"]), r"unknown placeholder \{q\}"),
    (change("decode", ["{ffmpeg}", "{output}"]), r"lacks the placeholder \{input\}"),
    (change("decode", ["{ffmpeg}", "{stats}"]), r"unknown placeholder \{stats\}"),
    (change("decode_errors", "("), "`decode_errors` is not valid"),
    (change("version_pattern", "version"), "`version_pattern` is not valid"),
    (change("first_pass", ["{ffmpeg}", "{input}"]), r"lacks the placeholder \{stats\}"),
    (change("container", "mp4"), "`container` is not valid"),
    (change("extension", "../x"), "`extension` is not valid"),
    (change("name", "../../x265"), "`name` is not valid"),
    (change("name", "x266"), "name is not that of its file"),
    (change("binary", "/bin/sh"), "`binary` is not valid"),
    (change("formats", []), "`formats` is not valid"),
    (change("formats", ["rgb24"]), "`formats` is not valid"),
    (change("size_multiple", 0), "`size_multiple` is not valid"),
    (change("size_multiple", 10**9), "`size_multiple` is not valid"),
    (change("rate_control", "abr"), "`rate_control` is not valid"),
    (change("presett", "slow"), "`presett` is unknown"),
    (change("q/min", 60), "not a range"),
    (change("q/step", 0), "`step` is not valid"),
    (change("q/step", 1e-9), "too small"),
    (change("q/max", float("inf")), "`max` is not valid"),
    (change("q/max", 10**400), "`max` is not valid"),
    (change("q/min", True), "`min` is not valid"),
    (change("q/ladder", [24, 30, 36, 42]), "`ladder` is not valid"),
    (change("q/ladder", [30, 24, 36, 42, 48]), "`ladder` is not valid"),
    (change("q/ladder", [24, 30, 36, 42, 99]), "cannot be given"),
    (change("q/ladder_bpp", 0.2), "`ladder_bpp` is not valid"),
    (change("q/ladder_bpp", [0.1, 0.05]), "`ladder_bpp` is not valid"),
    (change("q/ladder_bpp", [0.1, 0.2, 0.3, 0.4, 0.5]), "`ladder_bpp` is not valid"),
    (change("q/ladder_bpp", [0.1, 0.05, 0.02, 0.01, 0]), "`ladder_bpp` is not valid"),
    (change("intra_period/infinite", ""), "`infinite` is not valid"),
    (change("intra_period/multiple", 0), "`multiple` is not valid"),
    (change("intra_period/every", 3), "`every` is unknown"),
]


@pytest.mark.parametrize(("break_it", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_recipe_names_file_and_field(break_it: Callable[[dict[str, Any]], None], message: str) -> None:
    data, path = data_of("x265"), Path("/recipes/x265.toml")
    break_it(data)
    with pytest.raises(RecipeError, match=message) as caught:
        parse_recipe(data, path)
    assert "/recipes/x265.toml" in str(caught.value)


@pytest.mark.parametrize(
    ("field", "wrong", "fix"),
    [
        ("rate_control", "rate_contrl", "rename `rate_contrl`, if that is meant"),
        ("internal_bit_depth", "internal_bitdepth", "rename `internal_bitdepth`, if that is meant"),
        ("encode", "cmd", "add `encode = ...`"),  # `decode` is another field
    ],
)
def test_a_misspelt_field_that_must_be_there_is_named(field: str, wrong: str, fix: str) -> None:
    data = data_of("x265")
    data[wrong] = data.pop(field)
    with pytest.raises(RecipeError, match=f"`{field}` is missing") as caught:
        parse_recipe(data, Path("/recipes/x265.toml"))
    assert caught.value.fix == fix


def test_an_unknown_placeholder_names_itself_and_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(RecipeError) as caught:
        edited("x265", tmp_path, ('"-crf", "{q}"', '"-crf", "{q}", "-g", "{intra_perod}"'))
    shown = str(caught.value)
    assert "{intra_perod}" in shown
    assert "did you mean intra_period" in shown
    for known in ("{input}", "{output}", "{q}", "{frames}", "{fps}", "{threads}"):
        assert known in shown


def test_an_unknown_codec_suggests_the_near_ones() -> None:
    with pytest.raises(RequestError, match="unknown codec") as caught:
        load_recipe("x256")
    assert "x265" in str(caught.value)


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.data())
@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
def test_any_value_in_any_field_is_taken_or_refused(data: st.DataObject) -> None:
    document = copy.deepcopy(data_of(data.draw(st.sampled_from(["vp9", "kvazaar"]))))
    table: Any = document
    if data.draw(st.booleans()):
        table = document[data.draw(st.sampled_from(["q", "intra_period"]))]
    field = data.draw(st.sampled_from(sorted(table)) | st.text(max_size=8))
    table[field] = data.draw(_values)
    try:
        recipe = parse_recipe(document, Path("vp9.toml"))
    except RecipeError:
        return
    assert placeholders(recipe.decode) <= set(DECODE_PLACEHOLDERS)
    assert recipe.encode[0].strip("{}") in PROGRAMS


@given(st.binary(max_size=200))
def test_any_bytes_as_a_recipe_are_refused(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz.toml"
    path.write_bytes(data)
    with pytest.raises(RecipeError):
        load_recipe(str(path))


def test_loading_recipes_is_quick_and_brings_no_torch() -> None:
    code = """
import json, sys, time
started = time.perf_counter()
from evalsuite.codec.recipe import load_recipe
from evalsuite.codec.taking import check_format
for name in json.loads(sys.argv[1]): load_recipe(name)
heavy = [name for name in ("torch", "pandas", "requests", "av") if name in sys.modules]
print(json.dumps([time.perf_counter() - started, heavy]))
"""
    done = subprocess.run([sys.executable, "-c", code, json.dumps(SHIPPED)], capture_output=True, text=True, check=True)
    seconds, heavy = json.loads(done.stdout)
    assert heavy == []
    assert seconds < 2


def test_every_error_is_the_suites_own() -> None:
    with pytest.raises(EvalError, match="there is no file"):
        load_recipe("/nonexistent/x.toml")
