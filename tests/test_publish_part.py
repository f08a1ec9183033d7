"""What the site says of means over some of the sequences, of equal numbers, and of what decided."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from publish_samples import add, board_of
from test_publish import Page

from evalsuite.report.site.boards import MetricFacts, ranking
from evalsuite.report.site.build import build_site
from evalsuite.report.site.charts import Reading, history_chart
from evalsuite.report.site.render import render
from evalsuite.report.site.words import decided_by
from evalsuite.results.bdrate import bd_rate
from evalsuite.results.bdrows import BDRow, bd_row, mean_row
from evalsuite.results.entries import by_codec, list_entries
from evalsuite.results.entries_history import snapshot, steps
from evalsuite.results.entries_rank import Standing, rank, undecided_by, verdict
from evalsuite.results.load import read_run

BOARD = board_of()


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """Three versions of tvc, each better than the one before; the second is refused on a sequence."""
    folder = tmp_path_factory.mktemp("made")
    out = folder / "entries"
    add(out, BOARD, folder, {"tvc": 0.9}, day="2026-01-01", version="1")
    add(out, BOARD, folder, {"tvc": 0.8}, day="2026-02-01", version="2", shift={("tvc", "city"): -1.5})
    add(out, BOARD, folder, {"tvc": 0.7}, day="2026-03-01", version="3")
    return out


@pytest.fixture(scope="module")
def site(entries, tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "site"
    build_site([BOARD], entries, out)
    return out


def folder_of(site, version):
    (found,) = (site / "small/entries").glob(f"tvc-{version}-*")
    return found


def plain(text):
    return text.replace("\u202f", " ")


def test_a_mean_over_some_sequences_says_so_everywhere(site):
    said = "on 4 of 5 sequences"
    entry = folder_of(site, 2)
    for path, times in (
        (site / "index.html", 2),
        (site / "small/entries.html", 2),
        (site / "small/codecs/tvc.html", 2),
    ):
        assert Page(path).text.count(said) >= times, path
    feed = ElementTree.parse(site / "feed.atom").getroot()
    (summary,) = (
        one.findtext("{*}summary") for one in feed.findall("{*}entry") if " 2 on " in (one.findtext("{*}title") or "")
    )
    assert summary.count(said) == 2
    assert Page(entry / "index.html").text.count(said) >= 2
    pictures = list((site / "badges/small" / entry.name).iterdir())
    assert len(pictures) == 2
    for picture in pictures:
        assert f"vs x265 {said}" in picture.read_text()
        assert "#0b5c96" not in picture.read_text()


def test_what_is_over_all_sequences_says_nothing_of_it(site):
    assert "of 5 sequences" not in (site / "badges/small/tvc/vmaf.svg").read_text()
    page = (site / "small/codecs/tvc.html").read_text()
    assert page.count("<circle") == 2 * 3
    assert page.count('<circle class="part"') == 2
    # Of three versions the middle one is of other content: no two that could be joined are neighbours.
    assert 'class="run"' not in page


def test_steps_to_and_from_other_content_cannot_be_told(entries, site):
    versions = by_codec(list_entries(entries, BOARD))["tvc"]
    one, two, three = (snapshot(entry, read_run(entry.folder), BOARD.headline) for entry in versions)
    for before, after in ((one, two), (two, three)):
        for step in steps(before, after, BOARD.headline).values():
            assert step.kind == "unknown"
            assert step.row is not None
            assert step.row.sequences == 4
            assert step.reason.startswith("a mean over fewer sequences is of other content: holds 4 of 5 sequences")
    assert {step.kind for step in steps(one, three, BOARD.headline).values()} == {"better"}
    assert 'class="step better"' not in (site / "small/codecs/tvc.html").read_text()


@pytest.mark.parametrize(("percents", "lines"), [([1, 2, 3], 2), ([10, None, None, -10], 0), ([1, 2, None, 3, 4], 2)])
def test_a_line_joins_neighbours_alone(percents, lines):
    chart = history_chart([Reading(one, None, None, True, "2026-01-01", "x", 1, ()) for one in percents])
    assert chart is not None
    assert len(chart.lines) == lines


# ---------------------------------------------------------------- equal numbers


def made(name: str, entry, factor: float) -> Standing:
    """A codec whose rates are `factor` times the anchor's on every sequence of the board."""
    manifest = replace(entry.manifest, codec=name, anchor="x265")
    scores, rates = [60.0, 70.0, 80.0, 90.0], [1.0, 2.0, 4.0, 8.0]
    found = bd_rate(rates, scores, [rate * factor for rate in rates], scores, higher_is_better=True)
    rows = [bd_row("vmaf", "x265", name, one.name, found) for one in BOARD.sequences]
    return Standing(replace(entry, manifest=manifest), () if name == "x265" else (*rows, mean_row(rows)))


@pytest.fixture(scope="module")
def entry(entries):
    return by_codec(list_entries(entries, BOARD))["tvc"][0]


def test_equal_numbers_share_a_place(entry):
    factors = {"c": 0.5, "a": 0.5, "b": 0.5, "d": 0.75, "x265": 1.0, "e": 1.0, "f": 2.0}
    places = rank([made(name, entry, factor) for name, factor in factors.items()], "vmaf", BOARD)
    shown = [(one.place, one.standing.entry.manifest.codec) for one in places]
    assert shown == [(1, "a"), (1, "b"), (1, "c"), (4, "d"), (5, "e"), (5, "x265"), (7, "f")]


def sentence(entry, factors, board=BOARD):
    standings = [made(name, entry, factor) for name, factor in factors.items()]
    one = ranking(board, standings, "vmaf", MetricFacts("", 2, True))
    page = render("index.html", root="", sites=[Site(board, one)], newest=[])
    return plain(" ".join(re.sub("<[^>]*>", "", page.split("findings")[1].split("</ul>")[0]).split()))


class Site:
    def __init__(self, board, one):
        self.board, self.rankings, self.entries, self.codecs, self.results = board, [one], [], len(one.lines), {}


def test_who_shares_the_first_place_is_named(entry):
    assert "By VMAF a leads, beside b and c: 50 % fewer bits" in sentence(
        entry, {"a": 0.5, "x265": 1.0, "c": 0.5, "b": 0.5}
    )
    assert "no codec with a BD-rate on every sequence needs fewer bits than the anchor" in sentence(
        entry, {"a": 1.0, "x265": 1.0}
    )


def test_a_leader_that_nothing_judges_is_not_called_undecided(entry):
    few = board_of(sequences=[{"name": s.name, "sha256": s.sha256, "colour": s.colour} for s in BOARD.sequences[:2]])
    standing = made("a", entry, 0.5)
    rows = [row for row in standing.sequences("vmaf") if row.sequence in ("face", "city")]
    judged = replace(standing, rows=(*rows, mean_row(rows)))
    assert verdict(judged.mean("vmaf")) == "unjudged"
    one = ranking(few, [judged, made("x265", entry, 1.0)], "vmaf", MetricFacts("", 2, True))
    page = plain(render("index.html", root="", sites=[Site(few, one)], newest=[]))
    assert "is first, and nothing says how sure that is: −50.0 %" in page
    assert "is first, but not told apart" not in page


# ---------------------------------------------------------------- what decided


def row(percent: float, **how) -> BDRow:
    empty = mean_row([bd_row("vmaf", "x265", "tvc", "face", bd_rate([], [], [], [], higher_is_better=True))])
    return replace(empty, status="ok", bd_rate_percent=percent, sequences=5, **how)


@pytest.mark.parametrize(
    ("found", "why", "rests"),
    [
        (
            row(-0.9, ci_low=-1.0, ci_high=-0.8, noise_floor=2.0),
            "it is within the noise floor of its points",
            "95 % interval −1.0 to −0.8 %; noise floor 2.0 %",
        ),
        (
            row(-3.0, ci_low=-7.0, ci_high=1.0, noise_floor=2.0),
            "its interval holds zero",
            "95 % interval −7.0 to +1.0 %",
        ),
        (
            row(-1.0, ci_low=-7.0, ci_high=1.0, noise_floor=2.0),
            "its interval holds zero, it is within the noise floor of its points",
            "95 % interval −7.0 to +1.0 %; noise floor 2.0 %",
        ),
        (
            row(-3.0, lowest=-9.0, highest=3.0, noise_floor=2.0),
            "its sequences disagree about the sign",
            "noise floor 2.0 %; no interval below five sequences; its sequences disagree about the sign",
        ),
        (
            row(-1.0, lowest=-1.5, highest=-0.5, noise_floor=2.0),
            "it is within the noise floor of its points",
            "noise floor 2.0 %; no interval below five sequences",
        ),
        (
            row(-0.04, ci_low=-0.05, ci_high=-0.03),
            "it is 0.0 % when rounded",
            "95 % interval −0.1 to 0.0 %; 0.0 % when rounded",
        ),
        (
            row(-3.0, lowest=-4.0, highest=-2.0, noise_floor=2.0),
            "",
            "noise floor 2.0 %; no interval below five sequences",
        ),
        (row(-3.0, ci_low=-4.0, ci_high=-2.0, noise_floor=2.0), "", "95 % interval −4.0 to −2.0 %"),
    ],
)
def test_the_reason_is_what_decided(found, why, rests):
    assert undecided_by(found) == why
    assert (verdict(found) == "undecided") == bool(why)
    assert plain(decided_by(found)) == rests
