"""The site: what it says is what the entries say, everything it links to is there, and it is the same every time."""

from __future__ import annotations

import csv
import html
import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote
from xml.etree import ElementTree

import jsonschema
import pandas as pd
import pytest
from publish_samples import HOSTILE, SEQUENCES, add, board_of, edited, unchecked, write_run

from evalsuite.errors import RequestError
from evalsuite.report.site.build import build_site
from evalsuite.report.site.charts import strip_axis
from evalsuite.report.site.downloads import points_csv, ranking_csv
from evalsuite.results.bdrate import bd_rate
from evalsuite.results.entries_rank import Standing, rank, verdict
from evalsuite.results.entry_files import bd_rows
from evalsuite.results.load import read_run
from evalsuite.results.stats import mean_interval

BOARD = board_of()
ATOM = "{http://www.w3.org/2005/Atom}"


@pytest.fixture(scope="module")
def entries(tmp_path_factory):
    """Three versions of tvc (a real step, none), vvenc in one, and x264, which is refused on a sequence."""
    folder = tmp_path_factory.mktemp("made")
    out = folder / "entries"
    add(out, BOARD, folder, {"tvc": 0.9}, day="2026-01-01", version="1.0")
    add(out, BOARD, folder, {"tvc": 0.7, "vvenc": 0.8}, day="2026-02-01", version="2.0", note="better", by="Ada")
    wobble = (0.9, 1.1, 0.95, 1.05, 1.0)
    add(out, BOARD, folder, {"tvc": 0.7}, day="2026-03-01", version="2.1", spread=wobble, anchor_version="4.4")
    add(out, BOARD, folder, {"x264": 1.4}, day="2026-02-15", shift={("x264", "city"): -1.5})
    return out


@pytest.fixture(scope="module")
def site(entries, tmp_path_factory):
    out = tmp_path_factory.mktemp("site") / "site"
    build_site([BOARD, board_of(name="empty", title="Empty")], entries, out, "https://example.org/boards")
    return out


class Page(HTMLParser):
    """Links, ids, scripts and text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.ids: list[str] = []
        self.handlers: list[str] = []
        self.words: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src"):
                self.links.append(value)
            if name == "id":
                self.ids.append(value)
            if name.startswith("on") or name == "style" or (value or "").startswith("javascript:"):
                self.handlers.append(f"{tag} {name}")
        if tag == "script" and not dict(attrs).get("src"):
            self.handlers.append("inline script")

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def own_pages(site):
    return [path for path in sorted(site.rglob("*.html")) if "report" not in path.relative_to(site).parts]


def test_every_link_leads_to_a_file_of_the_site(site):
    pages = own_pages(site)
    assert len(pages) > 10
    for path in pages:
        page = Page(path)
        assert len(page.ids) == len(set(page.ids)), path
        assert page.handlers == []
        for link in page.links:
            target, _, fragment = link.partition("#")
            assert not re.match(r"[a-z]+:|/", link), link
            found = (path.parent / unquote(target)).resolve() if target else path
            assert found.is_file(), f"{path}: {link}"
            assert found.is_relative_to(site.resolve())
            if fragment and found.suffix == ".html":
                assert fragment in Page(found).ids, link


def test_every_page_has_the_policy_and_no_address_of_elsewhere(site):
    for path in own_pages(site):
        text = path.read_text()
        assert "default-src &#39;none&#39;" in text
        assert "unsafe" not in text
        assert not re.search(r"(?:src|href)=\"(?:https?:)?//", text)


def test_the_order_is_that_of_the_mean_bd_rates(site):
    text = Page(site / "small/index.html").text
    assert "By VMAF tvc leads: 30 % fewer bits than x265 at equal quality, fewer on 5 of 5 sequences" in text.replace(
        "\u202f", " "
    )
    board = json.loads((site / "small/data/board.json").read_text())
    ranking = board["rankings"]["vmaf"]
    assert [(one["place"], one["codec"]) for one in ranking] == [(1, "tvc"), (2, "vvenc"), (3, "x265"), (None, "x264")]
    assert [one["verdict"] for one in ranking] == ["fewer", "fewer", "none", "more"]
    assert ranking[0]["bd_rate_percent"] == pytest.approx(-30, abs=1e-6)
    assert ranking[3]["sequences"] == 4
    assert ranking[3]["by_sequence"]["city"] is None
    assert "refused" in text


def test_the_ranking_can_be_computed_by_hand_from_the_tables(site):
    """As docs/publishing.md says: curves of points.csv make the rows of ranking.csv, and their means the order."""
    points = pd.read_csv(site / "small/data/points.csv")
    ranking = pd.read_csv(site / "small/data/ranking.csv")
    assert set(ranking["test"]) == {"tvc", "vvenc", "x264"}
    means = {}
    for (entry, metric), rows in ranking.groupby(["entry", "metric"]):
        found = []
        for row in rows[rows["sequence"] != "*"].to_dict("records"):
            at = points[(points["metric"] == metric) & (points["sequence"] == row["sequence"])]
            test = at[(at["entry"] == entry) & (at["side"] == "test")]
            anchor = at[(at["entry"] == row["anchor_entry"]) & (at["side"] == "anchor")]
            (ceiling,) = at["log_domain_ceiling"].unique()
            result = bd_rate(
                *(anchor["bpp"], anchor["score"], test["bpp"], test["score"]),
                higher_is_better=True,
                log_domain_ceiling=None if math.isnan(ceiling) else ceiling,
            )
            assert (result.percent is None) == (row["status"] == "refused")
            if result.percent is not None:
                assert result.percent == pytest.approx(row["bd_rate_percent"], abs=1e-9)
                found.append(result.percent)
        mean = rows[rows["sequence"] == "*"].iloc[0]
        assert mean["bd_rate_percent"] == pytest.approx(sum(found) / len(found))
        assert mean["sequences"] == len(found)
        if len(found) == 5:
            assert (mean["ci_low"], mean["ci_high"]) == pytest.approx(mean_interval(found))
            means.setdefault(metric, []).append((mean["bd_rate_percent"], mean["test"]))
    board = json.loads((site / "small/data/board.json").read_text())
    for metric in BOARD.headline:
        shown = [one["codec"] for one in board["rankings"][metric] if one["place"] and not one["anchor"]]
        assert [codec for _, codec in sorted(means[metric])] == shown


def test_no_cell_of_a_table_is_a_formula(entries, tmp_path):
    """A name may have come before the schema refused it."""
    run = write_run(tmp_path / "run", BOARD, {"=1+1|x": 0.8})
    points = run.points.assign(entry="-e", side="test", preset="@SUM(A1)", reason=None)
    text = points_csv(points)
    assert ",'=1+1|x,'@SUM(A1)," in text
    assert text.splitlines()[1].startswith("'-e,test,")
    assert len(pd.read_csv(io.StringIO(text))) == (points["statistic"] == "mean").sum()
    entry = unchecked(run, "=1+1|x", tmp_path / "small")
    rows = tuple(bd_rows(read_run(entry.folder).summary))
    table = list(csv.DictReader(io.StringIO(ranking_csv([Standing(entry, rows)], {entry.manifest.id: "x"}))))
    assert {row["test"] for row in table} == {"'=1+1|x"}
    assert all(float(row["bd_rate_percent"]) < 0 for row in table)


def test_tables_agree_with_each_other(site):
    csv_points = pd.read_csv(site / "small/data/points.csv")
    parquet = pd.read_parquet(site / "small/data/points.parquet")
    means = parquet[parquet["statistic"] == "mean"]
    assert len(csv_points) == len(means)
    assert list(csv_points["score"]) == pytest.approx(list(means["score"]), nan_ok=True)
    # Of an anchor with the same bitstreams there is one copy: of 4.3 and of 4.4.
    anchors = means[means["side"] == "anchor"].groupby("codec_version")["cell_key"].nunique()
    assert dict(anchors) == {"4.3": 25, "4.4": 25}


def test_the_history_marks_real_steps_and_other_anchors(site):
    page = (site / "small/codecs/tvc.html").read_text()
    text = Page(site / "small/codecs/tvc.html").text.replace("\u202f", " ")
    assert "2026-02-01: ▼ better −22.2 % (its interval does not hold zero)" in text
    assert "its interval holds zero" in text
    assert "the anchor is another build: 4.4;" in text
    assert 'class="step better"' in page
    assert 'class="step anchor"' in page
    assert 'class="step worse"' not in page
    assert text.index("2026-03-01") < text.index("2026-02-01 2.0")


def test_a_new_protocol_begins_a_new_line_in_the_history(tmp_path):
    add(tmp_path / "entries", BOARD, tmp_path, {"tvc": 0.9}, day="2026-01-01", version="1.0")
    newer = board_of(version=3, max_delay=29)
    add(tmp_path / "entries", newer, tmp_path, {"tvc": 0.9}, day="2026-02-01", version="1.0")
    build_site([newer], tmp_path / "entries", tmp_path / "site")
    text = Page(tmp_path / "site/small/codecs/tvc.html").text
    assert "version 3 of the protocol begins" in text
    board = json.loads((tmp_path / "site/small/data/board.json").read_text())
    assert [one["board"]["version"] for one in board["entries"] if one["codec"] == "tvc"] == [3, 2]
    old = next(one["folder"] for one in board["entries"] if one["board"]["version"] == 2)
    assert "it is history and does not rank" in Page(tmp_path / "site/small" / old / "index.html").text


def test_below_five_sequences_the_noise_floor_decides(tmp_path):
    few = board_of(
        sequences=[
            {"name": n, "sha256": s.sha256, "colour": s.colour}
            for n, s in zip(SEQUENCES[:2], BOARD.sequences[:2], strict=True)
        ]
    )
    run = write_run(tmp_path / "run", few, {"tvc": 0.5})
    row = next(row for row in bd_rows(run.summary) if row.sequence == "*" and row.metric == "vmaf")
    assert row.ci_low is None
    assert verdict(row) == "fewer"
    assert verdict(replace(row, noise_floor=60.0)) == "undecided"
    assert verdict(replace(row, noise_floor=None)) == "unjudged"
    assert verdict(replace(row, bd_rate_percent=None)) == "none"
    entry = unchecked(run, "tvc", tmp_path / "small")
    placed = rank([Standing(entry, tuple(bd_rows(run.summary)))], "vmaf", few)
    assert placed[0].place == 1
    assert rank([Standing(entry, tuple(bd_rows(run.summary)))], "vmaf", BOARD)[0].place is None


def test_an_entry_page_has_every_number_and_file(site, entries):
    folder = next(one for one in (site / "small/entries").iterdir() if one.name.startswith("tvc-2.0"))
    text = Page(folder / "index.html").text
    for name in ("results.parquet", "frames.parquet", "bd_rate.csv", "summary.json", "entry.json"):
        assert (folder / name).read_bytes() == (entries / "small" / folder.name / name).read_bytes()
        assert name in text
    for row in read_run(folder).points.query("statistic == 'mean' and metric == 'vmaf'")["score"]:
        assert f"{row:.2f}" in text
    assert "“better” (Ada)" in text
    assert "There is a later entry of this codec" in text


def test_the_feed_is_atom_with_stable_ids(site, entries, tmp_path):
    feed = ElementTree.parse(site / "feed.atom").getroot()
    assert feed.tag == f"{ATOM}feed"
    for part in ("id", "title", "updated"):
        assert feed.findtext(f"{ATOM}{part}")
    found = feed.findall(f"{ATOM}entry")
    assert len(found) == 7
    dates = [one.findtext(f"{ATOM}updated") for one in found]
    assert dates == sorted(dates, reverse=True)
    assert feed.findtext(f"{ATOM}updated") == dates[0] == "2026-03-01T10:03:20Z"
    ids = [one.findtext(f"{ATOM}id") for one in found]
    assert len(set(ids)) == len(ids)
    link = found[0].find(f"{ATOM}link").get("href")
    assert link.startswith("https://example.org/boards/small/entries/")
    build_site([BOARD], entries, tmp_path / "relative")
    other = ElementTree.parse(tmp_path / "relative/feed.atom").getroot()
    assert [one.findtext(f"{ATOM}id") for one in other.findall(f"{ATOM}entry")] == ids
    assert (tmp_path / "relative" / other.find(f"{ATOM}entry/{ATOM}link").get("href")).is_file()


def test_badges_are_pictures_of_one_number(site):
    picture = ElementTree.parse(site / "badges/small/tvc/vmaf.svg").getroot()
    assert "".join(picture.itertext()).replace("\u202f", " ").split("\n")[1] == "VMAF: −30.0 % vs x265"
    assert len(list((site / "badges/small").rglob("*.svg"))) == 2 * (7 + 4)


def test_published_schemas_are_those_of_the_docs(site):
    docs = Path(__file__).parents[1] / "docs"
    for name in ("entry", "summary"):
        assert (site / f"{name}.schema.json").read_text() == (docs / f"{name}.schema.json").read_text()
        jsonschema.Draft202012Validator.check_schema(json.loads((site / f"{name}.schema.json").read_text()))


def test_the_same_entries_make_the_same_bytes(site, entries, tmp_path):
    again = tmp_path / "again"
    build_site([BOARD, board_of(name="empty", title="Empty")], entries, again, "https://example.org/boards")
    files = {path.relative_to(site) for path in site.rglob("*") if path.is_file()}
    assert files == {path.relative_to(again) for path in again.rglob("*") if path.is_file()}
    different = [str(name) for name in sorted(files) if (site / name).read_bytes() != (again / name).read_bytes()]
    assert different == []


def test_plotly_is_there_once_and_pages_are_small(site):
    assert [path.relative_to(site).as_posix() for path in site.rglob("plotly.min.js")] == ["plotly.min.js"]
    assert max(path.stat().st_size for path in site.rglob("*.html")) < 1_500_000


def test_an_earlier_site_is_replaced_and_nothing_else_is(entries, tmp_path):
    out = tmp_path / "site"
    build_site([BOARD], entries, out)
    (out / "stale.html").touch()
    build_site([BOARD], entries, out)
    assert not (out / "stale.html").exists()
    other = tmp_path / "other"
    other.mkdir()
    (other / "thesis.tex").touch()
    with pytest.raises(RequestError, match="not a site, and it is not empty"):
        build_site([BOARD], entries, other)
    (other / "site.json").write_text('{"name": "my own"}')  # a name that is anybody's
    with pytest.raises(RequestError, match="not a site, and it is not empty"):
        build_site([BOARD], entries, other)
    assert (other / "thesis.tex").exists()
    assert not list(tmp_path.glob(".publishing*"))
    with pytest.raises(RequestError, match="cannot be called badges"):
        build_site([board_of(name="badges")], entries, tmp_path / "x")


def test_hostile_names_are_text_everywhere(tmp_path):
    board = board_of(title=HOSTILE, question=HOSTILE, description=HOSTILE)
    facts = {"description": HOSTILE, "notes": HOSTILE, "encode": [HOSTILE], "structure": HOSTILE, "version": HOSTILE}
    run = write_run(tmp_path / "run", board, {HOSTILE: 0.8}, version=HOSTILE, facts=facts)
    entry = unchecked(run, HOSTILE, tmp_path / "entries/small")
    edited(entry, manifest=lambda one: replace(one, by=HOSTILE, note=HOSTILE))
    unchecked(run, "x265", tmp_path / "entries/small")
    site = tmp_path / "site"
    build_site([board], tmp_path / "entries", site)
    for path in own_pages(site):
        page = Page(path)
        assert page.handlers == []
        assert "alert(1)>" not in path.read_text()
        assert "49" not in html.unescape(page.text).split("{{7*7}}")[0][-4:]
    assert HOSTILE in "".join(Page(site / "index.html").words)
    for path in [site / "feed.atom", *site.rglob("*.svg")]:
        ElementTree.parse(path)
        assert "<img" not in path.read_text()
        assert "<script" not in path.read_text()
    with (site / "small/data/ranking.csv").open(newline="") as file:
        assert {row["test"] for row in csv.DictReader(file)} == {HOSTILE}


def test_axes_of_strips_hold_all_and_have_zero():
    for values in ([], [0.0], [-99.9, 5000.0], [-1e-9], [12.0], [-50.0, 100.0]):
        axis = strip_axis(values)
        assert 0.0 in axis.ticks
        assert all(0 <= axis.x(value) <= 220 for value in (*values, 0.0))
    axis = strip_axis([-50.0, 100.0])
    assert axis.x(0) == pytest.approx((axis.x(-50) + axis.x(100)) / 2, abs=0.1)
