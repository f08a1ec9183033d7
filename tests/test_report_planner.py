"""The page for planners: what it says of runs that are known in closed form, and in a real browser."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_browser import PHONE, serious, silent_tabs
from report_facts import LOSS, metric_entry
from report_sample import write_sample

from evalsuite.errors import RequestError
from evalsuite.planning.points import rate_points
from evalsuite.planning.reach import Target, cheapest, directions
from evalsuite.report.build import build_report
from evalsuite.report.linechart import Line, line_chart
from evalsuite.report.merge import merge
from evalsuite.report.planner import planner
from evalsuite.report.ranking import documents
from evalsuite.results.load import FrameScores, read_run, write_results
from evalsuite.results.losscurve import losses


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two codecs, one of them also behind a channel."""
    return write_sample(
        tmp_path_factory.mktemp("planner") / "run",
        codecs=["vvenc", "x265", "x265@2%"],
        codec_facts={"x265@2%": {"loss": LOSS}},
    )


def test_each_level_is_what_the_cheapest_points_take(run: Path) -> None:
    results = read_run(run)
    found = planner(merge([results]))
    assert found is not None
    assert found.levels
    points = [point for point in rate_points([results]) if point.codec != "x265@2%"]
    for level in found.levels:
        reach = cheapest(points, [Target(found.metric, level.target.value)]).points
        for row in level.rows:
            rates = [point.kbps for (codec, _), point in reach.items() if codec == row.codec]
            assert row.figures["kbps"].mean == pytest.approx(sum(rates) / len(rates))
        assert {row.codec for row in level.rows} == {codec for codec, _ in reach}


def test_a_codec_behind_a_channel_is_in_no_comparison(run: Path) -> None:
    report = merge([read_run(run), read_run(run)])
    assert [codec.label for codec in report.compared] == ["vvenc", "x265"]
    ranked = dict(documents(report))
    assert {(pair["anchor"], pair["test"]) for pair in ranked["pairs-0"]["pairs"]} == {(0, 1), (1, 0)}
    assert not any(name.endswith("-2") and name.startswith("each") for name in ranked)
    assert not any("@" in row.test or "@" in row.anchor for row in report.bd_rows)
    found = planner(report)
    assert found is not None
    assert found.losses == tuple(losses(read_run(run)))
    assert {one.codec for one in found.losses} == {"x265"}
    assert not any("@" in line for level in found.levels for line in level.said)


def test_two_versions_of_a_codec_are_two_codecs(run: Path, tmp_path: Path) -> None:
    rates = {"x265@2%": LOSS, "x265@1%": {**LOSS, "model": "iid:0.01", "rate": 0.01}}
    facts = {name: {"loss": told, "version": "x265 5"} for name, told in rates.items()}
    newer = write_sample(
        tmp_path / "newer", codecs=["vvenc", "x265", *rates], codec_facts={"x265": {"version": "x265 5"}, **facts}
    )
    found = planner(merge([read_run(run), read_run(newer)]))
    assert found is not None
    assert {(one.codec, one.rate) for one in found.losses} == {
        *(("x265 (run)", 0.02), ("x265 (newer)", 0.01), ("x265 (newer)", 0.02)),
    }
    (chart, *_) = found.loss_charts
    # A line for each, over rates that rise.
    assert [line.name for line in chart.lines] == ["x265 (newer)", "x265 (run)"]
    assert [len(line.dots) for line in chart.lines] == [3, 2]
    assert all(dots == sorted(dots) for dots in (list(line.dots) for line in chart.lines))
    assert {row.codec for level in found.levels for row in level.rows} == {"vvenc", "x265 (run)", "x265 (newer)"}


def test_what_a_channel_takes_is_told_over_the_sequences_of_all_runs(tmp_path: Path) -> None:
    shared: dict[str, Any] = {"codecs": ["x265", "x265@2%"], "codec_facts": {"x265@2%": {"loss": LOSS}}}
    runs = [
        read_run(write_sample(tmp_path / name, **shared, sequences=[name], metrics=["vmaf"]))
        for name in ("face", "bikes")
    ]
    found, one = planner(merge(runs)), planner(merge(runs[:1]))
    assert found is not None
    assert one is not None
    ((both,), (single,)) = found.losses, one.losses
    assert (both.sequences, both.seeds, single.sequences) == (2, 1, 1)
    own = [loss.lost for run in runs for loss in losses(run)]
    assert both.lost == pytest.approx(sum(own) / 2)


def test_points_of_other_sequences_are_no_points_of_one_curve(tmp_path: Path) -> None:
    worse = {**LOSS, "model": "iid:0.05", "rate": 0.05}
    facts = {"x265@2%": {"loss": LOSS}, "x265@5%": {"loss": worse}}
    cases, more = (("face", "x265@2%"), ("bikes", "x265@5%")), {"codec_facts": facts, "steep": {("x265", "bikes"): 1.2}}
    runs = [
        read_run(write_sample(tmp_path / name, codecs=["x265", codec], sequences=[name], **more))
        for name, codec in cases
    ]
    found = planner(merge(runs))
    assert found is not None
    for chart in found.loss_charts:
        assert [(line.name, len(line.dots)) for line in chart.lines] == [("x265, 1 sequence", 2)] * 2


def test_scores_of_two_versions_are_two_metrics(tmp_path: Path) -> None:
    shared: dict[str, Any] = {"sequences": ["face"], "metrics": ["vmaf"]}
    old = write_sample(tmp_path / "old", codecs=["x265"], **shared)
    new = write_sample(tmp_path / "new", codecs=["vvenc"], metric_facts={"version": "9"}, **shared)
    found = planner(merge([read_run(old), read_run(new)]))
    assert found is not None
    assert found.metric in ("vmaf (old)", "vmaf (new)")
    assert all("not measured" in said or "reaches" in said for level in found.levels for said in level.said)
    assert {row.codec for level in found.levels for row in level.rows} == {"x265"}
    with pytest.raises(RequestError, match="different versions"):
        directions(rate_points([read_run(old), read_run(new)]), [Target("vmaf", 50)])


def test_one_encode_that_two_runs_measured_is_one_point(tmp_path: Path) -> None:
    shared = {"codecs": ["vvenc", "x265"], "sequences": ["face"]}
    first = read_run(write_sample(tmp_path / "first", **shared, metrics=["vmaf"]))
    second = read_run(write_sample(tmp_path / "second", **shared, metrics=["lpips"]))
    both, alone = rate_points([first, second]), rate_points([first])
    assert [set(point.means) for point in both] == [{"vmaf", "lpips"}] * len(alone)
    found, expected = planner(merge([first, second])), planner(merge([first]))
    assert found is not None
    assert expected is not None
    assert found.metric == "vmaf"
    assert [level.said for level in found.levels] == [level.said for level in expected.levels]
    # Kept apart by version, a codec is still known: what it was decoded on, and whether a device plays it.
    newer = write_sample(tmp_path / "newer", **shared, metrics=["vmaf"], facts={"version": "5"})
    apart = planner(merge([first, read_run(newer)]))
    assert apart is not None
    assert {row.codec for level in apart.levels for row in level.rows} == {
        *("vvenc (first)", "vvenc (newer)", "x265 (first)", "x265 (newer)"),
    }
    played = [device.all for level in apart.levels for row in level.rows for device in row.devices]
    assert all(one.verdict.playable is not None for own in played for one in own)


@pytest.mark.parametrize("known", [True, False])
def test_a_slot_of_which_nothing_was_sent_is_drawn_as_empty(tmp_path: Path, known: bool) -> None:
    tokens, full = np.zeros(50), np.zeros(50)
    tokens[[0, 8, 16, 48]] = 400, 300, 200, 100  # slots of four frames; those at 4 and 12 and from 20 to 44 send none
    full[::4] = 400  # at higher rates all are sent
    slots = [tokens, full, full, full] if known else [*[tokens[:1].repeat(50) * (np.arange(50) == 0)] * 4]
    run = read_run(write_sample(tmp_path / "run", codecs=["tvc"], sequences=["face"], metrics=["vmaf"]))
    rows = run.points.astype(object).where(run.points.notna(), None).to_dict("records")
    told = {"metric": "frame_tokens", "unit": "tokens", "higher_is_better": None, "score": 20.0}
    cells = {row["cell_key"]: (row["cell_key"], row["codec"], row["sequence"], row["q"]) for row in rows}
    write_results(
        run.folder,
        [*rows, *({**row, **told} for row in rows if row["statistic"] == "mean")],
        [FrameScores(*cell, "frame_tokens", one) for cell, one in zip(cells.values(), slots, strict=True)],
        {
            **{key: value for key, value in run.summary.items() if key not in ("schema", "files")},
            "metrics": [*run.summary["metrics"], {**metric_entry("frame_tokens"), "higher_is_better": None}],
        },
    )
    found = planner(merge([read_run(run.folder)]))
    assert found is not None
    if not known:  # of none but the first frame is anything sent: nothing tells how long a slot is
        assert found.adaptation == ()
        return
    ((_, (chart,)),) = found.adaptation
    heights = [float(one) for one in re.findall(r"[ V]([\d.]+)", chart.lines[0].path)]
    floor = chart.field[3]
    shares = [(floor - y) / (floor - heights[0]) for y in heights]
    # 13 slots, and where the last one ends.
    assert shares == pytest.approx([1, 0, 0.75, 0, 0.5, *[0] * 7, 0.25, 0.25], abs=0.01)


def test_small_scores_fill_their_axis() -> None:
    chart = line_chart("lpips", "loss", [Line("a", 0, ((0.0, 0.05), (1.0, 0.09)))])
    _, top, _, bottom = chart.field
    ((_, high, *_), (_, low, *_)) = sorted(chart.lines[0].dots, key=lambda dot: dot[1])
    # Zero is below, so the higher of the two stands near the top.
    assert top <= high < low
    assert (bottom - high) / (bottom - top) > 0.8


def test_the_page_needs_no_scripts_and_fits_a_phone(run: Path, tmp_path: Path, browser: Any) -> None:
    page_file = build_report([run], tmp_path / "report").with_name("planner.html")
    with silent_tabs(browser) as make:
        page = make(viewport=PHONE, java_script_enabled=False).open(page_file)
        assert page.locator("h1").inner_text() == "For planners"
        assert "reaches" in page.locator("section ul li").first.inner_text()
        assert page.locator("#loss .linechart").count() > 0
        assert page.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
        for scheme in ("light", "dark"):
            assert serious(make(color_scheme=scheme).open(page_file)) == []


def test_lines_stand_where_their_values_are() -> None:
    chart = line_chart("score", "loss", [Line("a", 0, ((0.0, 0.0), (4.0, 40.0))), Line("b", 0, ((0.0, 20.0),))])
    left, top, right, bottom = chart.field
    first, second = chart.lines
    assert first.path == f"M{left:.1f} {bottom:.1f}L{right:.1f} {top:.1f}"
    assert [dot[:2] for dot in second.dots] == [(left, (top + bottom) / 2)]
    assert (first.dash, second.dash) == ("none", "6 3")
    steps = line_chart("tokens", "frame", [Line("a", 1, ((0.0, 10.0), (4.0, 20.0)), steps=True)])
    assert steps.lines[0].path == f"M{left:.1f} {(top + bottom) / 2:.1f}H{right:.1f}V{top:.1f}"
