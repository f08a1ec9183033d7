"""Where codecs stand in bits and cost: closed forms, and who is on the front."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from report_facts import LOSS
from report_page import Page, document, plain
from report_sample import write_sample
from test_report_cost import TIMED

from evalsuite.report import complexity, provenance
from evalsuite.report.build import build_report
from evalsuite.report.cost import cost_rows
from evalsuite.report.merge import merge
from evalsuite.results.load import read_run

COSTS = {
    "vvenc": {"encode_cpu_s": 60.0, "decode_cpu_s": 0.6},
    "x265": {"encode_cpu_s": 6.0, "decode_cpu_s": 0.3},
    "x264": {"encode_cpu_s": 6.0, "decode_cpu_s": 0.03, "decode_peak_rss_bytes": 90_000_000},
}


def standings(tmp_path: Path, **options: Any) -> complexity.Standings:
    run = write_sample(tmp_path / "run", **{"codecs": list(COSTS), "metrics": ["vmaf"], "costs": COSTS, **options})
    found = complexity.standings(merge([read_run(run)]))
    assert found is not None
    return found


def test_each_codec_stands_by_its_mean_bd_rate_and_its_speed(tmp_path: Path) -> None:
    found = standings(tmp_path)
    assert (found.anchor, found.sequences) == ("vvenc", 5)
    assert found.metric is not None
    assert found.metric.name == "vmaf"
    vvenc, x265, x264 = found.rows
    assert (vvenc.percent, vvenc.group) == (0, None)
    assert x265.percent == pytest.approx(27.0, abs=0.01)
    frames = (60 * 50**3 * 48) ** (1 / 5)  # the geometric mean over the sequences
    assert x265.costs["encode"].cpu_fps == pytest.approx(frames / 6)
    assert x264.costs["decode"].cpu_fps == pytest.approx(frames / 0.03)
    # x264 encodes as fast as x265 and needs more bits: beaten there, and on the front of decoding.
    assert [row.fronts["encode"] for row in found.rows] == [True, True, False]
    assert [row.fronts["decode"] for row in found.rows] == [True, True, True]


def test_a_codec_behind_a_channel_stands_nowhere(tmp_path: Path) -> None:
    costs = {**COSTS, "x265@2%": COSTS["x265"]}
    behind = standings(tmp_path / "behind", codecs=list(costs), costs=costs, codec_facts={"x265@2%": {"loss": LOSS}})
    without = standings(tmp_path / "without")
    assert [row.codec.label for row in behind.rows] == ["vvenc", "x265", "x264"]
    assert [row.percent for row in behind.rows] == [row.percent for row in without.rows]
    report = merge([read_run(tmp_path / "behind" / "run")])
    # What went through the channel is what was encoded without it.
    assert complexity.conditions(report)[0].startswith("0 of 140 encodes")  # of three codecs, and four decodes
    assert [(row.codec.label, row.what) for row in cost_rows(report)][6:] == [("x265@2%", "decode")]


def test_a_hull_costs_nothing_of_its_own(tmp_path: Path) -> None:
    names = ["x265", "x265:half", "x265:hull"]
    run = write_sample(tmp_path / "run", codecs=names, metrics=["vmaf"], codec_facts={"x265:hull": {"preset": "hull"}})
    report = merge([read_run(run)])
    found = complexity.standings(report)
    assert found is not None
    assert [row.codec.label for row in found.rows] == ["x265", "x265:half"]
    assert complexity.conditions(report)[0].startswith("0 of 80 encodes and decodes")  # two codecs, 20 points each
    assert ("rate points", "40") in provenance.glance(report)


def test_the_table_needs_no_javascript(tmp_path: Path) -> None:
    run = write_sample(tmp_path / "run", codecs=list(COSTS), metrics=["vmaf"], costs=COSTS)
    folder = build_report([run], tmp_path / "report").parent
    made = Page((folder / "complexity.html").read_text(encoding="utf-8"))
    rows = [[plain(cell) for cell in row] for row in made.rows if len(row) == 9]
    assert rows[1] == ["vvenc", "anchor", "0.857", "yes", "85.7", "yes", "50", "40", "5 of 5"]
    assert rows[2][:4] == ["x265", "+27.0 %", "8.57", "yes"]
    assert rows[3][2:] == ["8.57", "no", "1715", "yes", "50", "90", "5 of 5"]
    costs = document(folder, "costs")
    assert costs["x264"]["decode"] == {"cpu": pytest.approx(1000 / 1714.5, rel=1e-3), "memory": 90}
    own = document(folder, "sequence-0")["points"][0]["cost"]
    assert own == {"encode": {"cpu": 1000.0, "memory": 50.0}, "decode": {"cpu": 10.0, "memory": 40.0}}


def test_what_cannot_be_compared_or_was_not_run_is_on_no_front(tmp_path: Path) -> None:
    # Qualities too far apart, and a codec that is published: it has bits, and no time.
    shift = {("x265", name): 1e-4 for name in ("carphone", "face", "street", "bikes", "bunny")}
    unknown = dict.fromkeys(("encode_cpu_s", "decode_cpu_s", "encode_peak_rss_bytes", "decode_peak_rss_bytes"))
    found = standings(tmp_path, shift=shift, costs={**COSTS, "x264": unknown})
    assert [row.codec.label for row in found.rows] == ["vvenc", "x265"]
    x265 = found.rows[1]
    assert (x265.percent, x265.fronts) == (None, {"encode": None, "decode": None})
    assert found.rows[0].fronts == {"encode": True, "decode": True}


def test_one_codec_has_costs_and_no_place(tmp_path: Path) -> None:
    run = write_sample(tmp_path / "run", codecs=["vvenc"], metrics=["vmaf"])
    folder = build_report([run], tmp_path / "report").parent
    made = Page((folder / "complexity.html").read_text(encoding="utf-8"))
    ids = {attributes.get("id") for _, attributes in made.tags}
    assert "cost-controls" not in ids
    assert "cost" in ids


def test_a_run_without_an_anchor_is_held_against_its_first_codec(tmp_path: Path) -> None:
    found = standings(tmp_path, compare=False)
    assert found.anchor == "vvenc"
    assert found.rows[1].percent == pytest.approx(27.0, abs=0.01)


def test_without_metrics_nothing_is_compared(tmp_path: Path) -> None:
    found = standings(tmp_path, metrics=[], tokenized=["x264"])
    assert found.metric is None
    assert [row.percent for row in found.rows] == [None, None, None]


def test_how_times_were_taken_is_said(tmp_path: Path) -> None:
    options: dict[str, Any] = {"metrics": ["vmaf"], "sequences": ["face"]}
    run = write_sample(tmp_path / "run", **options, codec_facts={"x265": {"threads": 4}})
    company, threads, machine = complexity.conditions(merge([read_run(run)]))
    assert company.startswith("0 of 16 encodes and decodes are known to have run alone: the others shared the machine")
    assert (threads, machine) == ("Threads: 1 for vvenc; 4 for x265.", "Taken on Example CPU 3000.")
    busy = {"machine": {"processor": "Other CPU", "load_average_1min": 7.25}}
    run = write_sample(tmp_path / "run", **options, costs={"vvenc": TIMED, "x265": TIMED}, run=busy)
    said = complexity.conditions(merge([read_run(run)]))
    assert said == ["Everything ran alone.", "Threads: 1.", "Taken on Other CPU, load average 7.2 at the start."]


@given(st.dictionaries(st.text(max_size=3), st.tuples(st.integers(0, 9), st.integers(-9, 9)), max_size=8))
def test_the_front_is_what_no_other_beats(places: dict[str, tuple[int, int]]) -> None:
    found = complexity.front({name: (float(speed), float(bits)) for name, (speed, bits) in places.items()})
    for name, (speed, bits) in places.items():
        better = [
            other
            for other, (fast, few) in places.items()
            if fast >= speed and few <= bits and (fast, few) != (speed, bits)
        ]
        assert found[name] == (not better)
    assert any(found.values()) == bool(places)
