"""Traffic in the report: figures, streams and leaky buckets from closed forms, and what devices need."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from report_page import Page, build, document, plain
from report_sample import write_sample
from report_streams import with_streams
from test_report_cost import TIMED

from evalsuite.errors import StoreError
from evalsuite.planning.devices import standard_devices
from evalsuite.report import devices, traffic
from evalsuite.report.build import build_report
from evalsuite.report.merge import merge
from evalsuite.results.load import read_run

# carphone at 0.01 bpp: 1901 bytes in 60 frames at 30000/1001 a second, half of the bits in the first one.
TOTAL, FRAMES, RATE = 8 * 1901, 60, 30000 / 1001
REST = TOTAL // 2 // 59
FIRST = TOTAL - 59 * REST
MEAN_KBPS = TOTAL / FRAMES * RATE / 1000


def page(tmp_path: Path, name: str, *runs: Path) -> Page:
    folder = build_report(list(runs), tmp_path / "report").parent
    return Page((folder / name).read_text(encoding="utf-8"))


def rows(page: Page, codec: str) -> list[list[str]]:
    made = [[plain(cell) for cell in row] for row in page.rows]
    return [row for row in made if row[0] == codec]


def sample(folder: Path, **options: Any) -> Path:
    return write_sample(folder, **{"sequences": ["carphone", "face"], "metrics": ["vmaf"], **options})


def test_figures_and_buckets_of_every_point_stand_in_the_tables(tmp_path: Path) -> None:
    run = with_streams(sample(tmp_path / "run"), ["vvenc"])
    made = page(tmp_path, "sequence-0-traffic.html", run)
    figures = rows(made, "vvenc")[0]
    assert figures[:4] == ["vvenc", "40", "0.01000", f"{FIRST / (TOTAL / FRAMES):.2f}"]
    assert figures[5] == str(FIRST)  # vbv_bits: the mean rate empties more than any later frame fills
    assert rows(made, "x265")[0][3:] == ["not applicable"] * 5
    bucket = rows(made, "vvenc")[4]
    size = f"{FIRST / 1000:.3f}"
    # The first frame is all that must be there: it takes as long to arrive as the channel needs for it.
    delays = [f"{FIRST / (times * MEAN_KBPS * 1000):.3g}" for times in (1, 1.5, 2)]
    assert [float(cell) for cell in bucket[2:]] == pytest.approx(
        [MEAN_KBPS, *(value for delay in delays for value in (float(size), float(delay)))], rel=1e-3
    )


def test_the_plots_have_the_bits_the_knots_and_the_delays(tmp_path: Path) -> None:
    run = with_streams(sample(tmp_path / "run"), ["vvenc"])
    folder = build_report([run], tmp_path / "report").parent
    rates = document(folder, "traffic-0")["rates"]
    assert [rate["target"] for rate in rates] == [0.01, 0.02, 0.04, 0.08]
    assert plain(rates[0]["title"]).startswith("0.01 bpp, 7.6 kbps")
    assert [rate["without"] for rate in rates] == [["x265"]] * 4
    (stream,) = rates[0]["streams"]
    assert stream["bits"] == [FIRST, *[REST] * 59]
    peak = FIRST * RATE / 1000
    mean, last = stream["knots"]
    assert mean == pytest.approx([MEAN_KBPS, FIRST / 1000, FIRST / MEAN_KBPS / 1000], rel=1e-4)
    assert last == pytest.approx([peak, FIRST / 1000, 1 / RATE], rel=1e-4)
    assert all(sample in stream["channels"] for sample in (mean, last))
    assert [sample[0] for sample in stream["channels"]] == sorted(sample[0] for sample in stream["channels"])
    # A delay is no straight line: between the ends it is what the channel needs for the first frame.
    assert all(delay == pytest.approx(FIRST / rate / 1000, rel=1e-3) for rate, _, delay in stream["channels"])


def test_a_run_without_bits_of_frames_has_its_figures_and_says_so(tmp_path: Path) -> None:
    run = with_streams(sample(tmp_path / "run"), ["vvenc", "x265"], names=["peak_to_mean"])
    made = page(tmp_path, "traffic.html", run)
    assert "No run of this report has the bits of single frames" in made.text
    assert not [attributes for tag, attributes in made.tags if attributes.get("id") == "traffic-controls"]
    assert "Leaky bucket" not in page(tmp_path, "sequence-0-traffic.html", run).text


def test_damaged_bits_of_frames_are_refused(tmp_path: Path) -> None:
    run = with_streams(sample(tmp_path / "run"), ["vvenc"])
    (run / "frames.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"frames\.parquet is damaged"):
        build_report([run], tmp_path / "report")


def test_without_tokens_and_traffic_there_is_no_page(tmp_path: Path) -> None:
    folder = build_report([sample(tmp_path / "run")], tmp_path / "report").parent
    assert not [*folder.glob("*traffic.html")]
    assert not [*folder.glob("data/traffic-*.js")]


def test_streams_of_several_runs_are_joined(tmp_path: Path) -> None:
    one = with_streams(sample(tmp_path / "one", sequences=["carphone"]), ["vvenc"])
    two = with_streams(sample(tmp_path / "two", sequences=["face"]), ["vvenc", "x265"])
    report = merge([read_run(one), read_run(two)])
    known = traffic.streams(report)
    assert {(stream.point.codec, stream.point.sequence) for stream in known.values()} == {
        ("vvenc", "carphone"),
        ("vvenc", "face"),
        ("x265", "face"),
    }
    assert {stream.frame_rate for stream in known.values()} == {Fraction(30000, 1001), Fraction(25)}


def test_points_without_a_target_stand_by_their_rank(tmp_path: Path) -> None:
    run = with_streams(sample(tmp_path / "run"), ["vvenc", "x265"], columns={"target_bpp": None})
    report = merge([read_run(run)])
    own = [point for point in report.points if point.sequence == "face"]
    places = traffic.places(own)
    assert [place.title for place in places] == ["point 1", "point 2", "point 3", "point 4"]
    assert [len(points) for points in places.values()] == [2, 2, 2, 2]
    assert {need.rate for need in devices.needs(report).rows} == {place.title for place in places}


def test_a_device_needs_what_the_hardest_sequence_needs(tmp_path: Path) -> None:
    costs = {"vvenc": {"decode_cpu_s": 0.6}, "x265": {"decode_cpu_s": 30.0, **TIMED}}
    run = with_streams(sample(tmp_path / "run", costs=costs, tokenized=["x265"]), ["vvenc", "x265"])
    table = devices.needs(merge([read_run(run)]))
    titles = [column.title for column in table.columns]
    assert titles == ["Bitrate", "Tokens", "Peak rate", "Bucket", "Decode CPU", "Latency p95", "Jitter", "Memory"]
    first = table.rows[0]
    assert (first.codec.label, first.rate.split("\u202f")[0], first.sequences) == ("vvenc", "0.01", 2)
    told = dict(zip(titles, first.figures, strict=True))
    assert told["Bitrate"] == pytest.approx(0.01 * 640 * 360 * 25 / 1000)  # face is the larger one
    assert told["Tokens"] is None
    assert told["Decode CPU"] == pytest.approx(12)  # 0.6 s for the 50 frames of face
    assert told["Latency p95"] is None
    # Cores: 0.6 s x 29.97 / 60 is less than 0.6 s x 25 / 50.
    assert first.cores == pytest.approx(0.3)
    assert [first.in_time(device) for device in standard_devices()] == [False, True, True]
    dear = dict(zip(titles, table.rows[4].figures, strict=True))
    assert (dear["Tokens"], dear["Latency p95"], dear["Jitter"]) == (9900, 4, 0.75)
    assert table.rows[4].cores == pytest.approx(15)


def test_targets_that_sequences_do_not_share_stand_by_their_rate_in_kbps_or_their_rank(tmp_path: Path) -> None:
    one = sample(tmp_path / "one", sequences=["carphone"], targets=[0.01, 0.02, 0.04, 0.08])
    two = sample(tmp_path / "two", sequences=["face"], targets=[0.011, 0.022, 0.04, 0.08])
    ranked = devices.needs(merge([read_run(one), read_run(two)]))
    assert [row.rate for row in ranked.rows[:4]] == ["target 1", "target 2", "target 3", "target 4"]
    assert {row.sequences for row in ranked.rows} == {2}
    # 176x144 at 29.97 and 640x360 at 25 frames a second: equal kbps are other bpp.
    same = 640 * 360 * 25 / (176 * 144 * 30000 / 1001)
    one = sample(tmp_path / "one", sequences=["carphone"], targets=[target * same for target in (0.01, 0.02)])
    two = sample(tmp_path / "two", sequences=["face"], targets=[0.01, 0.02])
    in_kbps = devices.needs(merge([read_run(one), read_run(two)]))
    assert [plain(row.rate) for row in in_kbps.rows[:2]] == ["57.6 kbps", "115 kbps"]


def test_targets_that_differ_in_the_last_bit_are_one(tmp_path: Path) -> None:
    one = sample(tmp_path / "one", sequences=["carphone"], targets=[0.01, 0.013])
    two = sample(tmp_path / "two", sequences=["face"], targets=[0.01, 0.013000000000000001])
    table = devices.needs(merge([read_run(one), read_run(two)]))
    assert [(plain(row.rate), row.sequences) for row in table.rows[:2]] == [("0.01 bpp", 2), ("0.013 bpp", 2)]


def test_the_assumptions_stand_beside_the_table(tmp_path: Path) -> None:
    made = page(tmp_path, "traffic.html", with_streams(sample(tmp_path / "run"), ["vvenc"]))
    assert "The device classes are assumptions." in made.text
    assert "a core of a phone is taken to be 0.25 times as fast" in made.text
    assert "Example CPU 3000" in made.text
    assert rows(made, "vvenc")[0][-4:] == ["0.0750", "yes", "yes", "yes"]


def test_what_was_published_needs_nothing_that_is_known(tmp_path: Path) -> None:
    unknown = dict.fromkeys(("encode_cpu_s", "decode_cpu_s", "decode_peak_rss_bytes"))
    run = sample(tmp_path / "run", costs={"x265": unknown})
    assert {row.codec.label for row in devices.needs(merge([read_run(run)])).rows} == {"vvenc"}


def test_the_page_is_named_in_the_navigation(tmp_path: Path) -> None:
    made, _ = build(tmp_path, with_streams(sample(tmp_path / "run"), ["vvenc"], names=["vbv_bits"]))
    assert ("a", {"href": "traffic.html"}) in made.tags
