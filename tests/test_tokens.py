from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import moving_frames
from test_tables import rows as curve
from test_tables import table

import tvc.bitstream
import tvc.decoder
import tvc.weights
from evalsuite.codec.recipe import load_recipe
from evalsuite.codec.report import report
from evalsuite.codec.run import encode
from evalsuite.engine.measure import Measured, measure
from evalsuite.errors import ProcessError
from evalsuite.metrics.base import Report, Setting
from evalsuite.metrics.pooling import pool
from evalsuite.metrics.registry import DEFAULT, infos, select
from evalsuite.metrics.tokens import NAMES
from evalsuite.results.tables import bd_table
from evalsuite.sources.y4m import write_y4m
from evalsuite.types import CodecReport, Colour, MetricInfo, OperatingPoint, Sequence, Series, Usage, VideoFormat

FORMAT = VideoFormat(50, 34)
SETTING = Setting(FORMAT, Colour("bt709"), Fraction(25))
FRAMES = list(moving_frames(FORMAT, 9))
TOKENS = tuple(infos()[name] for name in NAMES)


def scored(reports: dict[str, Report], wanted: tuple[MetricInfo, ...] = TOKENS) -> dict[str, Series]:
    result = measure(FRAMES, SETTING, {"one": iter(FRAMES)}, wanted, reports)["one"]
    assert isinstance(result, Measured)
    return {series.metric: series for series in result.series}


def test_token_figures_join_the_default_panel_where_a_codec_reports_them() -> None:
    assert [info.name for info in select("default")] == list(DEFAULT)
    assert [info.name for info in select("default", tokens=True)] == [*DEFAULT, *NAMES]
    assert set(NAMES) <= {info.name for info in select("all")}


def test_a_report_becomes_one_figure_for_the_whole_bitstream() -> None:
    told = {name: float(index) for index, name in enumerate(NAMES)}
    series = scored({"one": lambda: CodecReport(told, Usage(1, 2.5))})
    # Density is per megapixel of the source, whatever size the codec says that it coded.
    told["token_density"] = told["tokens_per_frame"] / (50 * 34 / 1e6)
    assert {name: one.values.tolist() for name, one in series.items()} == {name: [told[name]] for name in NAMES}
    for info in TOKENS:
        assert [one.statistic for one in pool(series[info.name], info)] == ["mean"]


def test_tokens_of_each_frame_are_asked_for_by_name_alone() -> None:
    wanted = (infos()["frame_tokens"], infos()["token_rate"])
    told = CodecReport(dict.fromkeys(NAMES, 1.0), Usage(1, 2.5), frame_tokens=(12, 0, 0, 0, 7, 0, 0, 0, 5))
    found = scored({"one": lambda: told}, wanted)
    assert found["frame_tokens"].values.tolist() == [12, 0, 0, 0, 7, 0, 0, 0, 5]
    assert found["token_rate"].values.tolist() == [1]
    assert "frame_tokens" not in {info.name for info in select("default", tokens=True)}
    assert "frame_tokens" in {info.name for info in select("all")}


def test_a_codec_that_does_not_tell_the_tokens_of_frames_keeps_its_other_figures() -> None:
    wanted = (*TOKENS, infos()["frame_tokens"])
    values = dict.fromkeys(NAMES, 1.0)
    silent = scored({"one": lambda: CodecReport(values, Usage(1, 1))}, wanted)
    assert silent["frame_tokens"].status == "not_applicable"
    short = scored({"one": lambda: CodecReport(values, Usage(1, 1), frame_tokens=(4, 0))}, wanted)
    assert short["frame_tokens"].status == "failed"
    assert {one[name].status for one in (silent, short) for name in NAMES} == {"ok"}
    assert scored({}, wanted)["frame_tokens"].status == "not_applicable"


def test_what_asking_the_codec_costs_is_counted() -> None:
    told = dict.fromkeys(NAMES, 1.0)
    result = measure(FRAMES, SETTING, {"one": iter(FRAMES)}, TOKENS, {"one": lambda: CodecReport(told, Usage(1, 2.5))})
    assert isinstance(measured := result["one"], Measured)
    assert measured.cost_s["tokens_per_frame"] == pytest.approx(2.5, abs=0.1)


def test_trap21_a_codec_without_tokens_is_not_applicable_and_costs_no_other_metric() -> None:
    series = scored({}, (*TOKENS, infos()["psnr_y"]))
    assert {series[name].status for name in NAMES} == {"not_applicable"}
    assert series["psnr_y"].status == "ok"
    silent = scored({"one": lambda: CodecReport({}, Usage(0, 0))})
    assert {one.status for one in silent.values()} == {"not_applicable"}


def test_a_report_that_fails_or_lacks_a_figure_fails_the_figures_alone() -> None:
    def broken() -> CodecReport:
        raise ProcessError("the codec's report did not come")

    series = scored({"one": broken}, (*TOKENS, infos()["psnr_y"]))
    assert {(series[name].status, series[name].reason) for name in NAMES} == {
        ("failed", "the codec's report did not come")
    }
    assert series["psnr_y"].status == "ok"
    assert {one.status for one in scored({"one": lambda: CodecReport({"token_rate": 1.0}, Usage(1, 1))}).values()} == {
        "failed"
    }


def test_figures_that_describe_make_no_bd_rate() -> None:
    rates, scores = 0.01 * 2 ** np.arange(5), 30.0 + np.arange(5)
    points = table(
        *(
            curve(codec, "s", rates * scale, scores, metric=metric, higher_is_better=higher)
            for codec, scale in (("a", 1.0), ("b", 0.5))
            for metric, higher in (("psnr_y", True), ("masked_share", None))
        )
    )
    assert {row.metric for row in bd_table(points, "a")} == {"psnr_y"}


def test_tvc_tells_what_its_bitstream_holds(tmp_path: Path) -> None:
    source = tmp_path / "source.y4m"
    write_y4m(source, FORMAT, SETTING.frame_rate, FRAMES)
    sequence = Sequence("s", "d", source, "", FORMAT, SETTING.frame_rate, 9, SETTING.colour)
    recipe = load_recipe("tvc")
    stream = tmp_path / "stream.tvc"
    encode(recipe, sequence, OperatingPoint(48, 32, 1), stream)
    reported = report(recipe, stream, timeout=60)
    told = reported.values
    # Nine frames are three slots of four; 50 x 34 samples, coded at 1.102 times that, are 3 x 2 blocks of 16 x 16.
    tokens = 3 * 3 * 2
    assert told["tokens_per_frame"] == pytest.approx(tokens / 9)
    assert told["token_rate"] == pytest.approx(tokens / 9 * 25)
    assert told["token_density"] == pytest.approx(tokens / (50 * 34 * 9 / 1e6))
    masks = [slot.mask for slot in tvc_slots(stream)]
    masked = sum(int(mask.sum()) for mask in masks if mask is not None)
    assert told["masked_share"] == pytest.approx(masked / tokens)
    assert told["sent_token_rate"] == pytest.approx((tokens - masked) / 9 * 25)
    sent = [6 if mask is None else int((~mask).sum()) for mask in masks]
    assert reported.frame_tokens == (sent[0], 0, 0, 0, sent[1], 0, 0, 0, sent[2])
    assert 1 <= told["codebook_perplexity"] <= tokens
    assert told["discrete_share"] == 1  # no latents at this q
    assert told["bits_per_token"] * tokens == pytest.approx(8 * told["discrete_bytes"])
    assert np.isfinite(list(told.values())).all()


def tvc_slots(stream: Path) -> list[tvc.decoder.DecodedSlot]:
    reader = tvc.bitstream.Reader(stream.read_bytes())
    return [slot for packet in tvc.decoder.decode_tokens(reader, tvc.weights.load()) for slot in packet.slots]
