"""The report as a document: what it says, what it never says, and that data is text in it."""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import typer
from hypothesis import given
from hypothesis import strategies as st
from report_sample import FACTORS, METRICS, REASONS, SEQUENCES, write_sample
from typer.testing import CliRunner

from evalsuite.cli.report import report as report_command
from evalsuite.errors import EvalError, RequestError, StoreError
from evalsuite.report import page, text
from evalsuite.report.build import build_report
from evalsuite.report.merge import distinct_labels
from evalsuite.report.tables import axis
from evalsuite.results.load import read_run

HOSTILE = "<img src=x onerror=alert(1)>"
BREAKOUT = "</script><script>alert(2)</script>"
QUOTES = "\"'` onmouseover=alert(3) {{ 7*7 }} <!--"
VOID = {"meta", "link", "input", "img", "br", "hr"}


class Page(HTMLParser):
    """A page as tags, attributes and text; fails on tags that do not nest."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.pieces: list[str] = []
        self.titles: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"repeated attribute on {tag}"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "h1":
            self.titles.append("")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)
        if "h1" in self._open:
            self.titles[-1] += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return plain(" ".join(self.pieces))

    def row(self, *starts: str) -> list[str]:
        """The first row whose first cells are these."""
        rows = [[plain(cell) for cell in row] for row in self.rows]
        return next(row for row in rows if [cell.split(" ")[0] for cell in row[: len(starts)]] == list(starts))

    def heading(self) -> str:
        return plain(self.titles[0])


def plain(value: str) -> str:
    return re.sub(r"\s+", " ", value).strip()


def build(tmp_path: Path, *runs: Path) -> tuple[Page, dict]:
    index = build_report(list(runs), tmp_path / "report")
    data = (index.parent / "data.js").read_text(encoding="utf-8")
    assert data.startswith("window.evalsuiteReport = ")
    return Page(index.read_text(encoding="utf-8")), json.loads(data[len("window.evalsuiteReport = ") : -2])


# ---------------------------------------------------------------------------------------------- what it says


def test_headline_is_the_known_bd_rate(tmp_path):
    # (20 + 25 + 27 + 30 + 33) / 5 = 27
    made, _ = build(tmp_path, write_sample(tmp_path / "run"))
    assert made.heading() == "x265 needs 27 % more bits than vvenc for the same VMAF."
    assert "Mean of 5 sequences: +27.0 %, 95 % interval +2" in made.text
    assert "single sequences +20.0 to +33.0 %" in made.text


def test_headline_the_other_way_round(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run", factors=dict.fromkeys(SEQUENCES, 0.8)))
    assert made.heading() == "x265 needs 20 % fewer bits than vvenc for the same VMAF."


def test_trap26_headline_makes_no_claim_where_refused(tmp_path):
    shift = {("x265", name): 0.001 for name in SEQUENCES}
    made, _ = build(tmp_path, write_sample(tmp_path / "run", shift=shift))
    assert made.heading() == "No claim for x265 against vvenc at the same VMAF."
    assert "Refused on 5 sequences." in made.text
    assert "fewer bits by" not in made.text
    assert "more bits by" not in made.text
    assert made.row("VMAF")[1] == "refused"


def test_trap26_a_refused_sequence_is_named_and_not_in_the_mean(tmp_path):
    # Without face: (20 + 27 + 30 + 33) / 4 = 27.5
    made, _ = build(tmp_path, write_sample(tmp_path / "run", shift={("x265", "face"): 0.001}))
    assert "Mean of 4 of 5 sequences (refused: face): +27.5 %" in made.text
    assert re.search(r"face refused: [^.]*overlap", made.text)
    assert made.row("VMAF")[7].startswith("4 of 5, without face")


def test_trap28_an_interval_that_holds_zero_is_no_claim(tmp_path):
    factors = {"carphone": 0.7, "face": 1.2, "street": 0.9, "bikes": 1.3, "bunny": 1.0}
    made, _ = build(tmp_path, write_sample(tmp_path / "run", factors=factors))
    assert made.heading() == "No clear difference in bits between x265 and vvenc for the same VMAF."
    assert "which holds zero" in made.text


def test_trap28_few_sequences_that_disagree_are_no_claim(tmp_path):
    factors = {"carphone": 0.9, "face": 1.2}
    run = write_sample(tmp_path / "run", sequences=["carphone", "face"], factors=factors)
    made, _ = build(tmp_path, run)
    assert made.heading() == "No clear difference in bits between x265 and vvenc for the same VMAF."
    assert "too few for an interval, single sequences −10.0 to +20.0 %, which disagree" in made.text


def test_one_sequence_says_that_it_is_one(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run", sequences=["carphone"]))
    assert made.heading() == "x265 needs 20 % more bits than vvenc for the same VMAF."
    assert "One sequence only, carphone: +20.0 %; one has no interval." in made.text


def test_headline_falls_back_to_psnr_then_to_what_there_is(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "a", metrics=["psnr_y", "psnr_yuv"]))
    assert made.heading().endswith("for the same PSNR-YUV.")
    made, _ = build(tmp_path, write_sample(tmp_path / "b", metrics=["lpips"]))
    assert made.heading() == "x265 needs 27 % more bits than vvenc for the same LPIPS."


def test_trap27_lower_is_better_keeps_its_sign(tmp_path):
    made, data = build(tmp_path, write_sample(tmp_path / "run"))
    assert made.row("LPIPS")[1] == "+27.0 %"
    lpips = next(metric for metric in data["metrics"] if metric["name"] == "lpips")
    assert lpips["direction"] == "↓ lower is better"


def test_several_codecs_are_listed_with_the_fewest_bits_first(tmp_path):
    factors = dict.fromkeys(SEQUENCES, 1.1)
    made, _ = build(tmp_path, write_sample(tmp_path / "run", codecs=["a", "b", "c"], factors=factors))
    assert made.heading() == "a, b and c: bits needed for the same quality"
    assert made.text.index("b needs 10 % more bits than a") < made.text.index("c needs 21 % more bits than a")


def test_one_codec_is_shown_without_a_comparison(tmp_path):
    made, data = build(tmp_path, write_sample(tmp_path / "run", codecs=["x265"]))
    assert made.heading() == "Rate and quality of x265"
    assert len(data["points"]) == len(SEQUENCES) * 4
    assert "BD-rate" not in made.heading()


def test_settings_that_are_not_equal_are_named(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run"))
    assert "internal bit depth (vvenc: 10; x265: 8)" in made.text


def test_rate_match_shows_target_reached_and_distance(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run"))
    assert "x265 : 20 of 20 points within 3 % of the target, furthest +0.4 %; 2.0 encodes for each point" in made.text
    assert [plain(cell) for cell in made.rows[-1]]
    row = next(row for row in made.rows if [plain(c) for c in row[:3]] == ["bunny", "0.01000", "0.01004"])
    assert [plain(cell) for cell in row[3:]] == ["+0.4 %", "40", "2"]


@pytest.mark.parametrize(
    ("status", "word"),
    [("too_small", "too small"), ("unavailable", "unavailable"), ("not_applicable", "not applicable")],
)
def test_trap19_trap21_a_missing_score_is_a_word_with_its_reason(tmp_path, status, word):
    made, data = build(tmp_path, write_sample(tmp_path / "run", gaps={("ms_ssim", "carphone"): status}))
    links = [attributes for tag, attributes in made.tags if tag == "a" and attributes.get("class") == "gap"]
    assert len(links) == 8
    assert {link["title"] for link in links} == {REASONS.get(status, "")}
    row = made.row("MS-SSIM", word.split()[0])
    assert row[1:] == [word, REASONS.get(status, "–"), "carphone", "8"]
    missing = [score for score in data["scores"]["ms_ssim"] if score["mean"] is None]
    assert len(missing) == 8
    assert missing[0]["gap"].startswith(word)


def test_trap23_infinite_scores_are_shown_and_not_drawn(tmp_path):
    made, data = build(tmp_path, write_sample(tmp_path / "run", gaps={("psnr_y", "face"): "infinite"}))
    drawn = [score for score in data["scores"]["psnr_y"] if score["mean"] is None]
    assert len(drawn) == 8
    assert drawn[0]["statistics"]["mean"] == "∞"
    assert any("∞" in cell for row in made.rows for cell in row)
    assert made.row("PSNR-Y", "infinite")[4] == "8"


def test_trap23_nan_is_named(tmp_path):
    made, data = build(tmp_path, write_sample(tmp_path / "run", gaps={("lpips", "*"): "nan"}))
    assert made.row("LPIPS", "not")[1] == "not a number"
    assert data["scores"]["lpips"][0]["mean"] is None


def failure(**changes):
    return {
        "codec": "x265",
        "sequence": "bikes",
        "q": 28.0,
        "stage": "encode",
        "message": "the encoder ended with exit status 187",
        "cell_key": "",
        "command": ["ffmpeg", "-i", "two words.y4m"],
        "stderr_tail": "[libx265] unknown option",
        **changes,
    }


def test_failures_come_before_every_table(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run", failures=[failure(), failure(q=None, stage="decode")]))
    assert "Failures (2)" in made.text
    for words in ("exit status 187", "ffmpeg -i 'two words.y4m'", "[libx265] unknown option", "decode failed"):
        assert words in made.text
    order = [attributes["id"] for tag, attributes in made.tags if tag == "section"]
    assert order == ["failures", "bd", "curves", "rates", "scores", "metrics", "provenance"]


def test_without_failures_none_is_said(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run"))
    assert "failures none" in made.text
    assert "Failures (" not in made.text


def test_provenance_has_every_command_and_what_to_type(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run", run={"dirty": True}))
    assert "git checkout 0123456789abcdef0123456789abcdef01234567" in made.text
    assert "evalsuite run --codecs vvenc,x265 --out 'two words'" in made.text
    assert "uncommitted changes" in made.text
    assert made.text.count("ffmpeg -i 'in put.y4m' -c:v") == 40
    for fact in (
        "Example CPU 3000",
        "n9.0.2",
        "c" * 64,
        "CC0",
        "package example 1.0, data/clip.mp4",
        "face" + "x" * 60,
    ):
        assert fact in made.text


def test_every_score_of_the_curves_is_in_the_table(tmp_path):
    made, data = build(tmp_path, write_sample(tmp_path / "run"))
    cells = {plain(cell).split(" ")[0] for row in made.rows for cell in row}
    for metric in data["metrics"]:
        for score in data["scores"][metric["name"]]:
            shown = text.score(score["mean"], metric["decimals"])
            assert any(cell.startswith(shown) for cell in cells)


# ---------------------------------------------------------------------------------------------- data is text


def hostile_run(folder: Path) -> Path:
    return write_sample(
        folder,
        codecs=["vvenc", HOSTILE, BREAKOUT],
        sequences=["carphone", QUOTES],
        metrics=["vmaf", "m" + HOSTILE],
        failures=[failure(codec=HOSTILE, sequence=QUOTES, message=BREAKOUT, stderr_tail=HOSTILE, command=[BREAKOUT])],
        facts={"version": HOSTILE, "binary": BREAKOUT, "structure": QUOTES, "encode": [HOSTILE, QUOTES]},
        run={"commit": BREAKOUT, "machine": {HOSTILE: {QUOTES: BREAKOUT}}, "versions": {QUOTES: HOSTILE}},
    )


def test_hostile_names_are_text(tmp_path):
    made, data = build(tmp_path, hostile_run(tmp_path / "run"))
    assert [attributes for tag, attributes in made.tags if tag == "script"] == [
        {"src": "report.js"},
        {"src": "data.js", "defer": ""},
        {"src": "plotly.min.js", "defer": ""},
    ]
    assert not [
        tag for tag, _ in made.tags if tag in ("img", "iframe", "object", "style", "base", "form") and tag != "form"
    ]
    assert not [name for _, attributes in made.tags for name in attributes if name.startswith("on") or name == "style"]
    assert HOSTILE in made.text
    assert BREAKOUT in made.text
    assert plain(QUOTES) in made.text  # the template's own signs are not evaluated either
    assert HOSTILE in [codec["name"] for codec in data["codecs"]]
    raw = (tmp_path / "report" / "data.js").read_text(encoding="utf-8")
    assert not set("<>&") & set(raw)


def test_nothing_is_loaded_from_elsewhere(tmp_path):
    made, _ = build(tmp_path, hostile_run(tmp_path / "run"))
    named = [
        attributes[name] for _, attributes in made.tags for name in ("src", "href", "action") if name in attributes
    ]
    files = {name for name in named if not name.startswith("#")}
    assert files == {"report.css", "report.js", "data.js", "plotly.min.js"}
    assert files | {"index.html"} == {path.name for path in (tmp_path / "report").iterdir()}


def test_policy_allows_no_inline_code_and_no_network(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run"))
    policy = next(a["content"] for _, a in made.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?:|\*", policy)


def test_templates_leave_no_way_around_escaping():
    for template in page.ASSETS.glob("*.html"):
        source = template.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe\b|Markup|autoescape|style=|\son\w+=", source), template.name
        # A value in an attribute without quotes could end it with a space.
        assert not re.search(r"=\{\{|=\{%", source), template.name
        assert not re.search(r"<(script|style)[^>]*>[^<]", source), template.name
        assert not re.search(r"(href|src)=\"[^\"#]*\{\{", source), template.name


def test_ids_are_unique_and_references_lead_somewhere(tmp_path):
    made, _ = build(tmp_path, hostile_run(tmp_path / "run"))
    ids = [attributes["id"] for _, attributes in made.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for tag, attributes in made.tags:
        for name in ("aria-controls", "aria-labelledby", "data-table"):
            assert set(attributes.get(name, "").split()) <= set(ids)
        if tag in ("a", "use"):
            assert attributes["href"][1:] in ids


# ---------------------------------------------------------------------------------------------- several runs


def test_runs_of_the_same_codecs_become_one_table(tmp_path):
    one = write_sample(tmp_path / "one", sequences=["carphone", "face"])
    two = write_sample(tmp_path / "two", sequences=["street", "bikes", "bunny"])
    made, data = build(tmp_path, one, two)
    assert made.heading() == "x265 needs 27 % more bits than vvenc for the same VMAF."
    assert "Mean of 5 sequences: +27.0 %" in made.text
    assert [codec["name"] for codec in data["codecs"]] == ["vvenc", "x265"]
    assert "Run one" in made.text
    assert "Run two" in made.text


def test_metrics_of_two_runs_stand_at_the_same_points(tmp_path):
    one = write_sample(tmp_path / "one", metrics=["vmaf"])
    two = write_sample(tmp_path / "two", metrics=["lpips"])
    _, data = build(tmp_path, one, two)
    assert len(data["points"]) == 40
    assert all(score["mean"] for name in ("vmaf", "lpips") for score in data["scores"][name])


def test_trap05_a_codec_that_changed_is_kept_apart(tmp_path):
    one = write_sample(tmp_path / "one", codecs=["x265"])
    two = write_sample(tmp_path / "two", codecs=["x265"], facts={"binary_sha256": "e" * 64})
    _, data = build(tmp_path, one, two)
    assert [codec["name"] for codec in data["codecs"]] == ["x265 (one)", "x265 (two)"]
    assert {point["codec"] for point in data["points"]} == {"x265 (one)", "x265 (two)"}


def test_folders_of_the_same_name_are_numbered(tmp_path):
    one = write_sample(tmp_path / "a" / "run", codecs=["x265"])
    two = write_sample(tmp_path / "b" / "run", codecs=["x265"], facts={"preset": "slow"})
    _, data = build(tmp_path, one, two)
    assert [codec["name"] for codec in data["codecs"]] == ["x265 (run #1)", "x265 (run #2)"]


def test_the_same_run_twice_changes_nothing(tmp_path):
    run = write_sample(tmp_path / "run")
    _, once = build(tmp_path, run)
    _, twice = build(tmp_path, run, run)
    assert once == twice


@given(
    st.lists(st.tuples(st.sampled_from("rst"), st.sampled_from("xyz"), st.integers(0, 2)), max_size=12).map(
        lambda entries: list({(run, name): (run, name, what) for run, name, what in entries}.values())
    )
)
def test_labels_are_equal_exactly_where_name_and_identity_are(entries):
    labels = distinct_labels(entries)
    for run, name, identity in entries:
        for other_run, other_name, other_identity in entries:
            same = (name, identity) == (other_name, other_identity)
            assert (labels[run, name] == labels[other_run, other_name]) == same


# ---------------------------------------------------------------------------------------------- the folder


def test_building_is_repeatable_and_small(tmp_path):
    run = write_sample(tmp_path / "run")
    first = build_report([run], tmp_path / "first").parent
    second = build_report([read_run(run)], tmp_path / "second").parent
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()
    assert (first / "index.html").stat().st_size < 400_000
    assert (first / "index.html").stat().st_mode & 0o077 == 0o044


def test_an_existing_report_is_replaced(tmp_path):
    build(tmp_path, write_sample(tmp_path / "one"))
    made, _ = build(tmp_path, write_sample(tmp_path / "two", codecs=["a", "b"]))
    assert made.heading().startswith("b needs")
    assert len(list((tmp_path / "report").iterdir())) == 5


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RequestError, match="cannot be written") as caught:
        build_report([write_sample(tmp_path / "run")], tmp_path / "file" / "report")
    assert caught.value.where == tmp_path / "file" / "report"


def test_no_run_is_refused(tmp_path):
    with pytest.raises(RequestError, match="at least one run"):
        build_report([], tmp_path)


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(StoreError, match=r"summary\.json"):
        build_report([tmp_path], tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_command_prints_where_the_page_is(tmp_path):
    app = typer.Typer()
    app.command()(report_command)
    run = str(write_sample(tmp_path / "run"))
    done = CliRunner().invoke(app, [run, "--out", str(tmp_path / "out")])
    assert done.exit_code == 0, done.output
    assert Path(done.stdout.strip()) == tmp_path / "out" / "index.html"
    done = CliRunner().invoke(app, [run, "--out", str(tmp_path / "out"), "--json"])
    assert json.loads(done.stdout) == {"schema": 1, "report": str(tmp_path / "out" / "index.html")}
    done = CliRunner().invoke(app, [str(tmp_path / "none"), "--out", str(tmp_path / "out")])
    assert isinstance(done.exception, EvalError)


def test_building_imports_neither_torch_nor_plotly(tmp_path):
    run = write_sample(tmp_path / "run")
    script = (
        "import sys, pathlib; from evalsuite.report.build import build_report;"
        f"build_report([pathlib.Path({str(run)!r})], pathlib.Path({str(tmp_path / 'out')!r}));"
        "print([name for name in ('torch', 'plotly', 'lpips', 'av') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# ---------------------------------------------------------------------------------------------- numbers as text


def value_of(shown: str) -> float:
    return float(shown.replace("\u2212", "-").replace("\u202f", "").removesuffix("%"))


@given(st.floats(-1e6, 1e6))
def test_percent_is_the_number_rounded(value):
    shown = text.percent(value)
    assert abs(value_of(shown) - value) <= 0.05 + 1e-9 * abs(value)
    assert "-" not in shown
    assert value_of(shown) != 0 or shown == "0.0\u202f%"
    assert shown.startswith("+") == (value_of(shown) > 0)


@given(st.floats(1e-9, 1e9))
def test_significant_keeps_four_digits(value):
    shown = text.significant(value)
    assert "e" not in shown
    assert math.isclose(float(shown), value, rel_tol=5.1e-4)


@given(st.lists(st.floats(-500, 500), max_size=20))
def test_strip_axis_holds_every_value_and_zero(values):
    made = axis(values)
    for value in [0.0, *values]:
        assert 0 <= made.x(value) <= 220
    assert made.x(made.low) < made.x(made.high)
    assert 1 <= len(made.ticks) <= 6


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (0.04, "0.0 s"), (59.94, "59.9 s"), (252, "4 min 12 s"), (3600, "1 h 0 min"), (7325, "2 h 2 min")],
)
def test_durations(seconds, shown):
    assert text.duration(seconds).replace("\u202f", " ") == shown


def test_sample_covers_the_default_metrics():
    assert set(FACTORS) == set(SEQUENCES)
    assert {"psnr_y", "psnr_cb", "psnr_cr", "psnr_yuv", "ssim", "ms_ssim", "vmaf", "vmaf_neg", "lpips"} == set(METRICS)
