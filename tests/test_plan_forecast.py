"""Forecasts of audiences against closed forms, what is refused, and the command on runs on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from planning_samples import rate_point
from report_sample import write_sample
from report_streams import with_streams
from scipy import stats
from typer.testing import CliRunner, Result

from evalsuite.cli.commands import app
from evalsuite.errors import RequestError
from evalsuite.planning.audience import Audience, parse_audience
from evalsuite.planning.forecast import Forecast, forecast
from evalsuite.planning.forecastfile import document
from evalsuite.planning.points import RatePoint
from evalsuite.planning.said import assumed, headlines
from evalsuite.planning.simulate import window_rates
from evalsuite.results.stats import mean_interval


def audience(**changes: Any) -> Audience:
    data = {"version": "1", "streams": 100, "codecs": ["x265"], "target": "vmaf=80", **changes}
    return parse_audience(data, "audience.toml")


# ---------------------------------------------------------------- forecasts


def test_the_p99_is_that_of_the_known_distribution() -> None:
    """The bar: within 3 %. Frames of one size: the sum is that size times a Poisson number."""
    point = rate_point(bits=[4000] * 60)  # 100 kbit/s at 25 frames per second
    for streams in (5, 50, 1000, 100_000):
        found = forecast([point], audience(streams=streams)).codecs[0]
        for need in (found.day, found.hours[3]):
            exact = [100_000 * stats.poisson(streams).ppf(share) for share in (0.95, 0.99)]
            assert [need.bandwidth.p95, need.bandwidth.p99] == pytest.approx(exact, rel=0.03)
            assert need.bandwidth.mean == pytest.approx(100_000 * streams)
            assert need.simulated_mean == pytest.approx(need.bandwidth.mean, rel=0.03)
            gaussian = 100_000 * stats.norm(streams, math.sqrt(streams)).ppf(0.99)
            assert need.gaussian_p99 == pytest.approx(gaussian, rel=1e-6)


def test_many_streams_are_gaussian() -> None:
    bits = np.random.default_rng(5).gamma(0.5, 1e4, 100)
    points = [rate_point(sequence=name, bits=list(bits * times)) for name, times in (("a", 1), ("b", 3))]
    day = [2000.0] * 12 + [20000.0] * 12
    need = forecast(points, audience(streams=day, window_s=0.2)).codecs[0].day
    assert need.bandwidth.p99 == pytest.approx(need.gaussian_p99, rel=0.003)
    assert need.bandwidth.p95 == pytest.approx(need.gaussian_p95, rel=0.003)
    assert need.bandwidth.mean == pytest.approx(11000 * 25 * bits.mean() * 2)
    # The day's p99 is that of its upper half, so 98 % of that half.
    rates = [window_rates(bits * times, 25, 0.2) for times in (1, 3)]
    variance = 20000 * np.mean([np.mean(one**2) for one in rates])
    upper = stats.norm(20000 * np.mean(rates), math.sqrt(variance)).ppf(0.98)
    assert need.gaussian_p99 == pytest.approx(upper, rel=1e-6)


def test_the_busiest_hour_is_that_of_the_highest_mean_and_hours_alike_are_said() -> None:
    point = rate_point(bits=[4000] * 60)  # 100 kbit/s
    flat = headlines(forecast([point], audience(streams=100)))[0]
    assert "in the busiest hour, 0:00, one of 24 alike, " in flat
    evening = headlines(forecast([point], audience(streams=[100.0] * 19 + [101.0] + [100.0] * 4)))[0]
    assert "in the busiest hour, 19:00, " in evening
    busy = headlines(forecast([point], audience(streams=[100.0] * 18 + [200.0] * 2 + [100.0] * 4)))[0]
    assert "in the busiest hour, 18:00, one of 2 alike, " in busy


def test_the_mix_and_devices() -> None:
    ladder = [(1000, 70.0), (4000, 85.0), (9000, 95.0)]
    points = [
        rate_point(sequence=name, kbps=bits * 25 / 1000, bits=[bits * times] * 50, means={"vmaf": vmaf}, traits=[name])
        for name, times in (("talk", 1), ("sport", 2))
        for bits, vmaf in ladder
    ]
    day = [0.8] * 12 + [0.2] * 12
    mix = [
        {"tag": "talk", "device": "phone", "share": day, "target": "vmaf=70"},
        {"tag": "sport", "share": [1 - one for one in day], "target": ["vmaf=80", "vmaf=90"]},
    ]
    found = forecast(points, audience(mix=mix, storage={"hours": 2}))
    rate = {"talk": 25_000, "sport": 450_000}
    first, last = (100 * (share * rate["talk"] + (1 - share) * rate["sport"]) for share in (0.8, 0.2))
    need = found.codecs[0]
    assert [need.hours[hour].bandwidth.mean for hour in (0, 23)] == pytest.approx([first, last])
    assert need.day.bandwidth.mean == pytest.approx((first + last) / 2)
    assert need.storage_gb == pytest.approx(2 * 3600 * (rate["talk"] + rate["sport"]) / 2 / 8 / 1e9)
    assert [play.row.title for play in found.plays] == ["talk on phone", "sport"]


def test_two_rows_may_play_one_point() -> None:
    point = rate_point(bits=[4000] * 50, traits=["talk"])
    mix = [{"tag": "talk", "device": name, "share": 0.5} for name in ("phone", "laptop")]
    found = forecast([point], audience(mix=mix, concurrency="fixed")).codecs[0]
    assert (found.day.bandwidth.p99, found.day.bandwidth.p99_se) == pytest.approx((100 * 100_000, 0))
    assert found.day.gaussian_p99 == pytest.approx(100 * 100_000)


def test_the_seed_is_the_answer() -> None:
    point = rate_point(bits=[100, 900] * 30)
    one, same, other = (document(forecast([point], audience(), seed=seed)) for seed in (1, 1, 2))
    assert one == same
    assert one["codecs"][0]["day"]["simulated_mean_bps"] != other["codecs"][0]["day"]["simulated_mean_bps"]
    assert one["codecs"][0]["day"]["mean_bps"] == other["codecs"][0]["day"]["mean_bps"]


def test_tokens_are_known_of_tokenized_codecs_alone() -> None:
    points = [
        rate_point("tvc", "a", bits=[4000] * 50, means={"vmaf": 90.0, "sent_token_rate": 300.0, "token_rate": 900.0}),
        rate_point("tvc", "b", bits=[4000] * 50, means={"vmaf": 90.0, "token_rate": 900.0}),
        *(rate_point("x265", name, bits=[4000] * 50) for name in "ab"),
    ]
    tvc, x265 = forecast(points, audience(streams=2000, codecs=["tvc", "x265"])).codecs
    assert x265.day.tokens is None
    assert tvc.day.tokens is not None
    assert tvc.day.tokens.mean == pytest.approx(2000 * 600)
    deviation = math.sqrt(1000 * (300**2 + 900**2))
    assert tvc.day.tokens.p99 == pytest.approx(2000 * 600 + stats.norm.ppf(0.99) * deviation, rel=0.005)


# ---------------------------------------------------------------- savings


def compared(rates: Sequence[float], **changes: Any) -> Forecast:
    """Of a codec that needs 100 kbit/s on every sequence, and one that needs these."""
    points = [rate_point("x265", f"s{place}", bits=[4000] * 50) for place in range(len(rates))]
    points += [
        rate_point("tvc", f"s{place}", bits=[rate * 40] * 50, kbps=rate, means={"vmaf": 90.0})
        for place, rate in enumerate(rates)
    ]
    return forecast(points, audience(codecs=["x265", "tvc"], storage={"hours": 10}, **changes))


def test_savings_and_their_intervals() -> None:
    rates = [20, 40, 45, 50, 55, 60, 75, 90]
    (saving,) = compared(rates, streams=1000).savings
    shares = [100.0 - rate for rate in rates]
    assert saving.mean.percent == pytest.approx(np.mean(shares))
    assert saving.mean.saved == pytest.approx(1000 * 1000 * np.mean(shares))
    # The first codec is the same on all, so the saving is the mean of the sequences', and so is its interval.
    assert saving.mean.percent_interval == pytest.approx(mean_interval(shares), abs=1.0)
    assert saving.mean.saved_interval == pytest.approx([1e6 * one for one in mean_interval(shares) or ()], abs=1e6)
    assert saving.storage is not None
    assert saving.storage.saved == pytest.approx(10 * 3600 * np.mean(shares) * 1000 / 8 / 1e9)
    assert saving.storage.percent_interval == pytest.approx(saving.mean.percent_interval)
    assert saving.p99 is not None
    assert saving.p99.percent == pytest.approx(saving.mean.percent, abs=2)
    low, high = saving.p99.percent_interval or (math.nan, math.nan)
    assert low < saving.p99.percent < high


def test_a_saving_that_is_the_same_on_all_has_no_width() -> None:
    (saving,) = compared([50] * 5).savings
    assert (saving.mean.percent, *(saving.mean.percent_interval or ())) == pytest.approx((50, 50, 50))


def test_too_few_sequences_have_no_interval() -> None:
    found = compared([20, 40, 45, 50])
    (saving,) = found.savings
    assert saving.mean.percent == pytest.approx(61.25)
    assert saving.mean.percent_interval is None
    assert any("fewer than 5" in line for line in assumed(found))


def test_what_takes_more_is_said_to_take_more() -> None:
    found = compared([150] * 5)
    assert found.savings[0].mean.percent == pytest.approx(-50)
    assert "tvc in place of x265 takes 50.0 % more mean bandwidth (5.000 Mbit/s)" in headlines(found)[-1]


# ---------------------------------------------------------------- what is refused


def ladder(codec: str, sequence: str, best: float, **changes: Any) -> RatePoint:
    return rate_point(codec, sequence, means={"vmaf": best}, **{"bits": [4000] * 50, "traits": ["talk"], **changes})


POINTS = [ladder("x265", "a", 95.0), ladder("x265", "b", 91.0), ladder("tvc", "a", 70.0), ladder("tvc", "b", 60.0)]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"codecs": ["x256"]}, r"no codec 'x256'[\s\S]*did you mean x265"),
        ({"target": "vmax=3"}, r"no rate point has the metric 'vmax'[\s\S]*did you mean vmaf"),
        ({"mix": [{"tag": "sport", "share": 1}]}, r"the tag 'sport'[\s\S]*talk"),
        ({"target": "vmaf=99"}, r"no sequence of all content reaches vmaf=99[\s\S]*the best vmaf there is is 95"),
        (
            {"codecs": ["x265", "tvc"]},
            r"with every codec[\s\S]*x265: reached on 2; tvc on a: the best vmaf there is is 70",
        ),
    ],
    ids=str,
)
def test_what_the_results_do_not_have_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        forecast(POINTS, audience(**changes))


def test_frames_that_nobody_knows_are_refused() -> None:
    for bits in ([], [0, 0], [math.nan, 3.0]):
        with pytest.raises(RequestError, match=r"bits of single frames of x265 on a are not known[\s\S]*frame_bits"):
            forecast([ladder("x265", "a", 95.0, bits=bits)], audience())


def test_sequences_that_one_codec_misses_are_left_out_for_all_and_named() -> None:
    points = [*POINTS, ladder("x265", "c", 90.0), ladder("x265", "d", 90.0), ladder("tvc", "c", 85.0)]
    found = forecast(points, audience(codecs=["x265", "tvc"]))
    (play,) = found.plays
    assert play.sequences == ("c",)
    assert "tvc on a: the best vmaf there is is 70" in play.left_out
    assert "tvc on d: not run" in play.left_out
    assert any("Left out of all content" in line and "tvc on d: not run" in line for line in assumed(found))


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forecast") / "run"
    return with_streams(write_sample(folder, codecs=["x265", "tvc"], tokenized=["tvc"]), ["x265", "tvc"])


def invoke(run_folder: Path, text: str, *options: str) -> Result:
    path = run_folder.parent / "audience.toml"
    path.write_text(text, encoding="utf-8")
    return CliRunner().invoke(app, ["plan", "forecast", str(path), "--results", str(run_folder), *options])


TOML = """
version = "1"
streams = 500
codecs = ["x265", "tvc"]
target = "vmaf=40"

[storage]
hours = 10
"""


def test_the_answer_is_printed_with_what_was_assumed(run_folder: Path) -> None:
    done = invoke(run_folder, TOML)
    assert done.exit_code == 0, done.output
    assert max(map(len, done.stdout.splitlines())) <= 80
    words = " ".join(done.stdout.split())
    for part in ("x265 needs", "tvc in place of x265 takes", "Gaussian p99", "million tokens/s", "What was assumed"):
        assert part in words
    assert "Every stream counts" in words


def test_json_parquet_and_page(run_folder: Path, tmp_path: Path) -> None:
    done = invoke(run_folder, TOML, "--json", "--seed", "4", "--out", str(tmp_path / "out"))
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["schema"], told["seed"]) == (1, 4)
    assert told.pop("page") == str(tmp_path / "out" / "index.html")
    assert told == json.loads((tmp_path / "out" / "forecast.json").read_text(encoding="utf-8"))
    # The mean is that of the points, as the run has them.
    play = told["plays"][0]
    for one in told["codecs"]:
        kbps = [point["kbps"] for point in play["points"][one["codec"]]]
        assert one["day"]["mean_bps"] == pytest.approx(500 * 1000 * np.mean(kbps), rel=1e-3)
        assert one["day"]["p95_bps"] < one["day"]["p99_bps"]
        assert one["storage_gb"] == pytest.approx(10 * 3600 * 1000 * np.mean(kbps) / 8 / 1e9, rel=1e-3)
    table = pd.read_parquet(tmp_path / "out" / "forecast.parquet")
    assert table.groupby("codec")["hour"].apply(list).tolist() == [list(range(24))] * 2
    hours = [hour["p99_bps"] for one in told["codecs"] for hour in one["hours"]]
    assert table["p99_bps"].tolist() == hours
    assert table[table["codec"] == "x265"]["mean_tokens_s"].isna().all()
    assert table[table["codec"] == "tvc"]["mean_tokens_s"].notna().all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (TOML.replace("streams = 500", "streams = -1"), "streams"),
        (TOML.replace("vmaf=40", "vmaf=101"), "the best vmaf there is"),
        (TOML.replace("vmaf=40", "vmax=40"), "did you mean vmaf"),
        (TOML.replace("x265", "x256"), "did you mean x265"),
        (TOML + '[[mix]]\ntag = "operas"\nshare = 1\n', "the tag 'operas'"),
        ("streams = ", "not valid TOML"),
    ],
    ids=["hour", "quality", "metric", "codec", "tag", "toml"],
)
def test_a_wrong_request_ends_with_2(run_folder: Path, text: str, words: str) -> None:
    done = invoke(run_folder, text)
    assert (done.exit_code, done.stdout) == (2, "")
    assert words in done.stderr


def test_a_forecast_takes_the_place_of_a_forecast_alone(run_folder: Path, tmp_path: Path) -> None:
    for _ in range(2):
        assert invoke(run_folder, TOML, "--out", str(tmp_path / "out")).exit_code == 0
    before = {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "index.html").write_text("mine")
    for folder in (run_folder, tmp_path / "site"):
        done = invoke(run_folder, TOML, "--out", str(folder))
        assert (done.exit_code, "not a forecast" in done.stderr) == (2, True)
    assert {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()} == before
    assert (tmp_path / "site" / "index.html").read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_refused(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = invoke(run_folder, TOML, "--out", str(tmp_path / "file"))
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr
