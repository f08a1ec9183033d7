"""Hulls in reports: curves and comparisons of their own, and nothing else; their points are other codecs' once more."""

from __future__ import annotations

import json
from pathlib import Path

from report_page import document
from report_sample import failure, write_sample
from report_streams import with_streams

from evalsuite.report import devices, traffic
from evalsuite.report.build import build_report
from evalsuite.report.merge import merge
from evalsuite.report.model import Report
from evalsuite.report.tokens import tokenized
from evalsuite.results.hull import hull_codec, hull_rows
from evalsuite.results.load import FrameScores, read_run, write_results

MEMBERS = ["x265", "x265:half"]
HULL = "x265:hull"
SEQUENCES = ["carphone", "face"]


def sample(folder: Path) -> Path:
    """A run of two variants, the second of which is better at the two lower rates, with the bits of every frame."""
    curves = {("x265:half", name): 1.83 for name in SEQUENCES}, {("x265:half", name): 0.7 for name in SEQUENCES}
    failures = [failure(codec="x265:half", sequence="carphone", q=40.0, cell_key="x265:half|1|carphone|40.0")]
    shown = {"codecs": MEMBERS, "sequences": SEQUENCES, "metrics": ["vmaf"], "tokenized": ["x265"]}
    return with_streams(write_sample(folder, shift=curves[0], steep=curves[1], failures=failures, **shown), MEMBERS)


def with_hull(folder: Path) -> Path:
    """The run with the hull of its variants, as `evalsuite run --hull` writes it."""
    run = read_run(folder)
    rows = run.points.astype(object).where(run.points.notna(), None).to_dict("records")
    rows += list(hull_rows(rows, HULL, MEMBERS, {"vmaf"}))
    frames = [
        FrameScores(*place, own["score"].to_numpy(float))
        for place, own in run.frames().groupby(["cell_key", "codec", "sequence", "q", "metric"], sort=False)
    ]
    told = {key: value for key, value in run.summary.items() if key not in ("schema", "files")}
    codecs = [*told["codecs"], hull_codec(HULL, told["codecs"])]
    write_results(folder, rows, frames, {**told, "codecs": codecs})
    return folder


def report(run: Path) -> Report:
    return merge([read_run(run)])


def test_what_was_encoded_is_told_of_the_codecs_that_encoded_it(tmp_path: Path) -> None:
    without, hulled = report(sample(tmp_path / "run")), report(with_hull(sample(tmp_path / "hulled")))
    on_it = [point.cell_key.partition("|")[0] for point in hulled.points if point.codec == HULL]
    assert set(on_it) == set(MEMBERS)
    assert hulled.own_points == without.points
    assert hulled.commands == without.commands
    assert hulled.failures == without.failures
    assert {key: one.point for key, one in traffic.streams(hulled).items()} == {
        key: one.point for key, one in traffic.streams(without).items()
    }
    needs = [devices.needs(one) for one in (hulled, without)]
    assert [[row.codec.label for row in one.rows] for one in needs] == [["x265"] * 4 + ["x265:half"] * 4] * 2
    found = tokenized(hulled)
    assert found is not None
    assert (found.codecs, found.without) == (("x265",), ("x265:half",))


def test_pages_of_time_and_traffic_are_those_without_the_hull(tmp_path: Path) -> None:
    folders = [
        build_report([run], tmp_path / f"report{place}").parent
        for place, run in enumerate((sample(tmp_path / "run"), with_hull(sample(tmp_path / "hulled"))))
    ]
    for name in ("traffic-0", "traffic-1", "costs"):
        first, second = (json.dumps(document(folder, name)) for folder in folders)
        assert first == second
    # It has curves: the points that each metric has on it.
    points = document(folders[1], "sequence-0")["points"]
    assert HULL in {point["codec"] for point in points}
