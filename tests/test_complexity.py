"""What coding costs, as metrics: figures from the records of a run, and reasons where there are none."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from conftest import moving_frames
from run_bench import Bench

from evalsuite.engine.measure import Measured, measure
from evalsuite.metrics.base import Report, Setting
from evalsuite.metrics.complexity import COSTS, Costs, series_of
from evalsuite.metrics.registry import infos, select
from evalsuite.provenance import machine_name
from evalsuite.types import SHARED, CodecReport, Colour, Latency, Series, Timing, Usage, VideoFormat

NAMES = tuple(name for name, info in infos().items() if COSTS in info.needs)
ALONE = Timing(ran_alone=True, timed_on=machine_name())
FULL = Costs(
    frames=50,
    encode=Usage(wall_s=12, cpu_s=20, peak_rss_bytes=300_000_000, load_s=2),
    encode_timing=ALONE,
    decode=Usage(wall_s=2, cpu_s=2.5, peak_rss_bytes=80_000_000),
    decode_timing=ALONE,
    latency=Latency(0.3, True, p50_s=0.01, p95_s=0.02, p99_s=0.04, jitter_s=0.005),
)


def found(costs: Costs) -> dict[str, Series]:
    return {one.metric: one for one in series_of(costs, NAMES)}


def test_every_figure_by_hand() -> None:
    values = {name: one.values.tolist() for name, one in found(FULL).items() if one.status == "ok"}
    assert values == {
        "encode_fps": [5.0],  # 50 frames in 12 - 2 seconds
        "decode_fps": [25.0],
        "encode_cpu_per_frame": [0.4],
        "decode_cpu_per_frame": [0.05],
        "decode_latency_p50": [0.01],
        "decode_latency_p95": [0.02],
        "decode_latency_p99": [0.04],
        "decode_jitter": [0.005],
        "encode_peak_memory": [300.0],
        "decode_peak_memory": [80.0],
        "encode_load": [2.0],
    }
    assert found(FULL)["decode_load"].reason == "the codec does not tell what loading took"


def test_trap30_wall_time_in_company_is_no_figure() -> None:
    shared = Costs(FULL.frames, FULL.encode, SHARED, Usage(2, 2.5), SHARED, None)
    states = {name: (one.status, one.reason) for name, one in found(shared).items()}
    assert states["encode_fps"] == ("not_applicable", "the encode did not run alone: run with --timing")
    assert states["decode_fps"][0] == "not_applicable"
    assert states["encode_cpu_per_frame"][0] == "ok"
    assert states["decode_peak_memory"] == (
        "not_applicable",
        "it ended before its memory could be looked at",
    )
    assert "not timed frame by frame" in states["decode_latency_p99"][1]


def test_times_of_another_machine_are_no_figure_of_this_one() -> None:
    elsewhere = replace(ALONE, timed_on="another processor, 64 cores, x86_64")
    states = {one.metric: (one.status, one.reason) for one in found(replace(FULL, encode_timing=elsewhere)).values()}
    assert states["encode_fps"] == ("not_applicable", "the encode was timed on another machine: run with --timing")
    assert states["decode_fps"][0] == "ok"


def test_a_decoder_that_does_not_stream_has_no_latency() -> None:
    waits = Costs(FULL.frames, FULL.encode, ALONE, FULL.decode, ALONE, Latency(1.9, False))
    assert found(waits)["decode_jitter"].reason == "the decoder does not deliver frames as it decodes them"


def sized(report: Report | None) -> dict[str, Series]:
    format = VideoFormat(32, 32)
    frames = list(moving_frames(format, 2))
    reports = {} if report is None else {"it": report}
    wanted = select("parameters,encode_kmac_per_pixel,encode_fps")
    setting = Setting(format, Colour("bt709"), Fraction(25))
    result = measure(frames, setting, {"it": iter(frames)}, wanted, reports)["it"]
    assert isinstance(result, Measured)
    return {one.metric: one for one in result.series}


def test_the_size_of_a_model_is_what_the_codec_tells() -> None:
    told = sized(lambda: CodecReport({"parameters": 1.5e6}, Usage(1, 1)))
    assert told["parameters"].values == [1.5e6]
    assert (told["encode_kmac_per_pixel"].status, told["encode_kmac_per_pixel"].reason) == (
        "not_applicable",
        "the codec does not tell",
    )
    assert {one.status for one in sized(None).values()} == {"not_applicable"}


def test_files_that_are_compared_have_no_costs() -> None:
    assert sized(None)["encode_fps"].reason == "it is of a run that encodes and decodes"


def test_a_run_has_rows_of_them_and_nothing_else_need_be_asked(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    asked = "encode_cpu_per_frame,decode_cpu_per_frame,encode_fps,decode_latency_p50,parameters"
    bench.run(*bench.arguments("--metrics", asked, "--timing", "--jobs", "1", codecs="toy", clips=1))
    points = bench.points()
    assert set(points["metric"]) == set(asked.split(","))
    assert set(points["statistic"]) == {"mean"}
    assert points["higher_is_better"].isna().all()
    rows = points.set_index(["cell_key", "metric"])
    for key in set(points["cell_key"]):
        cpu = rows.loc[(key, "encode_cpu_per_frame")]
        assert cpu["score"] == cpu["encode_cpu_s"] / 6
        fps = rows.loc[(key, "encode_fps")]
        assert fps["score"] == 6 / fps["encode_wall_s"]
        # Six frames are too few for intervals.
        assert rows.loc[(key, "decode_latency_p50")]["status"] == "not_applicable"
        assert rows.loc[(key, "parameters")]["status"] == "not_applicable"
    # Again, from the store: no decode is made only to ask what decoding costs.
    decodes = bench.logged("decode")
    bench.run(*bench.arguments("--metrics", asked, "--timing", "--jobs", "1", codecs="toy", clips=1))
    assert bench.logged("decode") == decodes
