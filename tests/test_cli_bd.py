import json
import math
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from evalsuite.cli.bd import bd
from evalsuite.errors import EvalError, RequestError

# The example in the README of the package `bjontegaard`.
ANCHOR = "bitrate,psnr\n9487.76,40.037\n4593.60,38.615\n2486.44,36.845\n1358.24,34.851\n"
TEST = "bitrate,psnr\n9787.80,40.121\n4469.00,38.651\n2451.52,36.970\n1356.24,34.987\n"
CONTRACT = {"schema", "metric", "status", "reason", "bd_rate_percent", "bd_quality", "overlap", "points"}

app = typer.Typer()
app.command()(bd)


@pytest.fixture
def answer(run_bd):
    return lambda anchor, test, *options: json.loads(run_bd(anchor, test, "--json", *options))


def curve(header: str, factor: float = 1, shift: float = 0, sequence: str = "") -> str:
    lines = [
        f"{sequence}{rate * factor},{score + shift}"
        for rate, score in ((100, 30), (200, 33), (400, 35.5), (800, 37.5), (1600, 39))
    ]
    return "\n".join([*([header] if header else []), *lines]) + "\n"


@pytest.mark.parametrize(("method", "percent"), [("cubic", -4.420463), ("pchip", -4.417485), ("akima", -4.425245)])
def test_golden_example(answer, method, percent):
    found = answer(ANCHOR, TEST, "--method", method)
    assert set(found) >= CONTRACT
    assert found["bd_rate_percent"] == pytest.approx(percent, abs=1e-5)
    assert (found["schema"], found["metric"], found["status"], found["points"]) == (1, "psnr", "ok", [4, 4])


def test_table_fits_eighty_columns(run_bd):
    text = run_bd(ANCHOR, TEST)
    assert "-4.42 %" in text
    assert max(map(len, text.splitlines())) <= 80
    rows = "".join(curve("", 0.9, sequence=f"a_very_long_sequence_name_1920x1080_{i}," * 1) for i in range(6))
    text = run_bd("sequence,kbps,psnr\n" + rows, "sequence,kbps,psnr\n" + rows)
    assert max(map(len, text.splitlines())) <= 80
    assert "95 % interval" in " ".join(text.split())


def test_a_file_has_no_colour_and_whole_numbers_whatever_the_environment_says(tmp_path):
    (tmp_path / "a.csv").write_text(ANCHOR)
    (tmp_path / "b.csv").write_text(TEST)
    done = subprocess.run(
        [sys.executable, "-m", "evalsuite", "bd", "a.csv", "b.csv"],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
        env={**os.environ, "FORCE_COLOR": "1", "TTY_COMPATIBLE": "1", "COLUMNS": "30", "TERM": "xterm-256color"},
    )
    assert "\x1b" not in done.stdout + done.stderr
    assert "-4.42 %" in done.stdout
    assert "…" not in done.stdout


def test_names_are_shown_as_they_are(run_bd):
    header = "sequence,kbps,psnr\n"
    name = "[red]a[/red]:smile:"
    text = run_bd(header + curve("", sequence=f"{name},"), header + curve("", 0.9, sequence=f"{name},"))
    assert name in text


def test_per_sequence_and_mean(answer):
    header = "sequence,kbps,psnr\n"
    factors = {"a": 0.9, "b": 0.8, "c": 0.7, "d": 0.95, "e": 1.1}
    anchor = header + "".join(curve("", sequence=f"{name},") for name in factors)
    test = header + "".join(curve("", factor, sequence=f"{name},") for name, factor in factors.items())
    found = answer(anchor, test)
    assert set(found) >= CONTRACT
    assert found["bd_rate_percent"] == pytest.approx(-11)
    assert [row["bd_rate_percent"] for row in found["sequences"]] == pytest.approx([-10, -20, -30, -5, 10])
    assert (found["mean"]["count"], found["mean"]["win_rate"], found["mean"]["median"]) == (5, 0.8, pytest.approx(-10))
    low, high = found["mean"]["interval"]
    assert low < -11 < high


def test_different_sequence_sets_are_named(answer):
    header = "sequence,kbps,psnr\n"
    anchor = header + curve("", sequence="a,") + curve("", sequence="b,")
    found = answer(anchor, header + curve("", 0.9, sequence="b,") + curve("", sequence="c,"))
    by_name = {row["sequence"]: row for row in found["sequences"]}
    assert by_name["a"]["status"] == by_name["c"]["status"] == "refused"
    assert "anchor.csv" in by_name["a"]["reason"]
    assert "test.csv" in by_name["c"]["reason"]
    assert (found["status"], found["bd_rate_percent"]) == ("flagged", pytest.approx(-10))
    assert found["reason"] == "holds 1 of 3 sequences; refused: a, c"


@pytest.mark.parametrize(
    ("anchor", "test", "said"),
    [
        ("kbps,psnr\n100,30\n", curve("kbps,psnr"), "anchor: 1 usable of 1 points, at least 4 are needed"),
        (curve("kbps,psnr"), "kbps,psnr\n100,30\n200,33\n", "test: 2 usable of 2 points"),
        ("kbps,psnr\n" + "100,30\n" * 5, curve("kbps,psnr"), "4 repeated"),
        ("kbps,psnr\n100,30\n100,31\n100,32\n100,33\n", curve("kbps,psnr"), "3 same rate, worse score"),
        ("kbps,psnr\n" + "100,nan\n" * 4, curve("kbps,psnr"), "4 score missing (NaN)"),
        ("kbps,psnr\n" + "100,inf\n" * 4, curve("kbps,psnr"), "4 score infinite"),
        ("kbps,psnr\n" + "-1,30\n" * 4, curve("kbps,psnr"), "4 rate not positive and finite"),
        ("kbps,vmaf\n" + "9,100\n" * 4, "kbps,vmaf\n" + "9,100\n" * 4, "4 score at its ceiling"),
        (curve("kbps,psnr", shift=20), curve("kbps,psnr"), "ranges overlap by 0%"),
        (curve("kbps,lpips"), curve("kbps,lpips"), "is the metric's direction right?"),
    ],
)
def test_bad_points_are_refused_by_name(run_bd, answer, anchor, test, said):
    found = answer(anchor, test)
    assert (found["status"], found["bd_rate_percent"]) == ("refused", None)
    assert said in found["reason"]
    assert "refused" in run_bd(anchor, test)


@pytest.mark.parametrize("column", ["kbps", "mbps", "bps", "bpp"])
def test_a_rate_without_a_unit_is_in_that_of_the_other_file(answer, column):
    for name in ("rate", "bitrate"):
        for anchor, test in ((column, name), (name, column)):
            found = answer(curve(f"{anchor},psnr"), curve(f"{test},psnr", 0.9))
            assert (found["status"], found["bd_rate_percent"]) == ("ok", pytest.approx(-10))
            assert column in found["assumed"][0]


def test_rates_of_which_no_file_says_the_unit_are_taken_to_be_alike(answer):
    found = answer(curve("rate,psnr"), curve("rate,psnr", 0.9))
    assert (found["status"], found["bd_rate_percent"]) == ("ok", pytest.approx(-10))
    assert "say no unit" in found["assumed"][0]
    assert not answer(curve("kbps,psnr"), curve("kbps,psnr", 0.9))["assumed"]


def test_more_colour_difference_in_db_is_better(answer):
    """CIEDE2000 in dB, 45 - 20 log10 of the difference, as libvmaf's: not the difference itself."""
    found = answer(curve("kbps,ciede2000"), curve("kbps,ciede2000", 0.9))
    assert (found["status"], found["bd_rate_percent"]) == ("ok", pytest.approx(-10))


def test_an_average_curve_of_other_ranks_is_refused(run_bd):
    def points(sequence: str, worse: int) -> str:
        scores = [30 + 2 * i - (3 if i == worse else 0) for i in range(5)]
        return "".join(f"{sequence},{100 * 2**i},{score}\n" for i, score in enumerate(scores))

    header = "sequence,kbps,psnr\n"
    anchor, test = (header + points("a", 1) + points("b", worse) for worse in (1, 3))
    with pytest.raises(RequestError, match="every point to be on its curve"):
        run_bd(anchor, test, "--average-curve")


@pytest.mark.parametrize(
    ("anchor", "test", "options", "said"),
    [
        ("", TEST, (), "no rate points"),
        ("bitrate,psnr\nfast,good\n", TEST, (), "not a number"),
        ("psnr,ssim\n1,2\n", TEST, (), "no rate column"),
        (ANCHOR, curve("kbps,vmaf"), (), "no metric in common"),
        (ANCHOR, TEST, ("--metric", "vmaf"), "no column for the metric 'vmaf'"),
        ("kbps,psnr,vmaf\n1,2,3\n", "kbps,psnr,vmaf\n1,2,3\n", (), "several metrics"),
        (curve("kbps,psnr"), curve("bpp,psnr"), (), "different units"),
        (curve("kbps,psnr"), "sequence,kbps,psnr\na,1,2\n", (), "one file has a sequence column"),
        (ANCHOR, TEST, ("--method", "linear"), "unknown method 'linear'"),
        (ANCHOR, TEST, ("--lower-is-better",), "higher psnr is better"),
        ("kbps,metric,score\n1,psnr,2\n", "kbps,metric,score\n1,psnr,2\n", ("--metric", "vmaf"), "not in both files"),
    ],
)
def test_wrong_requests_are_errors(run_bd, anchor, test, options, said):
    with pytest.raises(RequestError, match=said):
        run_bd(anchor, test, *options)


def test_metric_is_chosen_by_any_of_its_names(answer):
    text = curve("kbps,psnr").replace("kbps,psnr", "kbps,MS-SSIM")
    scaled = "kbps,MS-SSIM,psnr\n100,.90,30\n200,.95,33\n400,.97,35\n800,.98,37\n"
    assert "MS-SSIM" in text
    found = answer(scaled, scaled, "--metric", "MsSsim")
    assert (found["metric"], found["log_domain_ceiling"], found["bd_rate_percent"]) == ("ms_ssim", 1.0, 0)


def test_trap27_lower_is_better_flipped_once(answer):
    def points(factor):
        lines = [f"{rate * factor},{score}" for rate, score in ((1, 0.5), (2, 0.4), (4, 0.3), (8, 0.2))]
        return "\n".join(lines) + "\n"

    for header, options in (("kbps,lpips\n", ()), ("kbps,mine\n", ("--lower-is-better",))):
        found = answer(header + points(1), header + points(0.8), *options)
        assert found["higher_is_better"] is False
        assert found["bd_rate_percent"] == pytest.approx(-20)
        assert found["bd_quality"] < 0


def test_assumptions_are_said(answer, tmp_path):
    found = answer(curve("bitrate,mine"), curve("kbps,mine"))
    assert len(found["assumed"]) == 2
    assert "higher is better" in found["assumed"][0]
    assert "in kbps" in found["assumed"][1]
    done = CliRunner().invoke(app, [str(tmp_path / "anchor.csv"), str(tmp_path / "test.csv")])
    assert "assumed: mine is not known by name" in " ".join(done.stderr.split())
    assert "assumed" not in done.stdout


def test_mbps_and_kbps_are_the_same_unit(answer):
    found = answer(curve("mbps,psnr", 0.001), curve("kbps,psnr", 0.9))
    assert found["bd_rate_percent"] == pytest.approx(-10)


def test_markup_and_control_characters_in_names_are_shown_plainly(run_bd):
    rows = curve("", sequence="[red]\x1b[31m,")
    text = run_bd("sequence,kbps,psnr\n" + rows, "sequence,kbps,psnr\n" + rows)
    assert "\x1b" not in text
    assert "[red]" in text


def test_trap23_json_has_no_nan(run_bd):
    text = run_bd("kbps,psnr\n" + "100,nan\n" * 4, curve("kbps,psnr"), "--json")
    found = json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))
    assert found["bd_rate_percent"] is None


number = st.floats(width=32).map(str) | st.sampled_from(["", "nan", "inf", "x", "1e999", "-0"])
header = st.sampled_from(["kbps,psnr", "bitrate,vmaf", "bpp,lpips", "kbps,mine", "sequence,kbps,psnr", ""])
sheet = st.builds(
    lambda head, rows: "\n".join([head, *(",".join(row) for row in rows)]),
    header,
    st.lists(st.lists(number, min_size=2, max_size=3), max_size=8),
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sheet, sheet)
def test_any_table_gives_an_answer_or_a_clear_error(answer, anchor, test):
    try:
        found = answer(anchor, test)
    except EvalError:
        return
    assert found["status"] in ("ok", "flagged", "refused")
    assert (found["bd_rate_percent"] is None) == (found["status"] == "refused")
    assert found["bd_rate_percent"] is None or math.isfinite(found["bd_rate_percent"])


PROGRAM = """
import sys, typer
from evalsuite.cli.bd import bd
try:
    typer.run(bd)
finally:
    loaded = [name for name in ("torch", "pandas", "pyarrow", "matplotlib", "scipy.stats") if name in sys.modules]
    print("loaded", *loaded, file=sys.stderr)
"""


def test_starts_in_well_under_a_second_without_torch(tmp_path):
    (tmp_path / "a.csv").write_text(ANCHOR)
    (tmp_path / "b.csv").write_text(TEST)
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "a.csv"), str(tmp_path / "b.csv"), "--json"]
    walls = []
    for _ in range(3):
        start = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[1])
        walls.append(time.monotonic() - start)
    assert json.loads(done.stdout)["status"] == "ok"
    assert done.stderr.split() == ["loaded"]
    assert min(walls) < 1.5, "0.5 s on one quiet core; the margin is for a busy machine"


def test_help_has_an_example():
    text = CliRunner().invoke(app, ["--help"]).stdout
    assert "evalsuite bd anchor.csv test.csv" in text


def test_the_documented_example_gives_the_documented_number(answer):
    text = (Path(__file__).parents[1] / "docs/bd-rate.md").read_text(encoding="utf-8")
    anchor, test = re.findall(r"```csv\n(.*?)```", text, re.DOTALL)
    for method in ("pchip", "cubic", "akima"):
        assert f"{answer(anchor, test, '--method', method)['bd_rate_percent']:.6f} %" in re.sub(r"\s+", " ", text)
