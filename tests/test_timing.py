"""Times that can be trusted: alone, warmed up, and never at the price of a bitstream."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from conftest import make_clip
from run_bench import Bench
from sample_recipes import point, script_recipe, sequence_of

from evalsuite import provenance
from evalsuite.cli.output import parse_bytes
from evalsuite.engine.timing import latency, time_decode, warm_up
from evalsuite.errors import ProcessError, RequestError
from evalsuite.types import Latency

# Takes START seconds to begin, EACH for a frame, and writes as it goes or, with AT_ONCE, at the end.
SLOW = """
import pathlib, sys, time
if sys.argv[1] == "encode":
    pathlib.Path(sys.argv[3]).write_bytes(pathlib.Path(sys.argv[2]).read_bytes())
elif sys.argv[1] == "decode":
    header, *frames = pathlib.Path(sys.argv[2]).read_bytes().split(b"FRAME\\n")
    out = sys.stdout.buffer
    ready = [header]
    time.sleep(START)
    for frame in frames:
        time.sleep(EACH)
        ready.append(b"FRAME\\n" + frame)
        if not AT_ONCE:
            out.write(b"".join(ready))
            out.flush()
            ready = []
    out.write(b"".join(ready))
else:
    print("slow codec 1.0")
"""


def slow_script(start: float, each: float, at_once: bool) -> str:
    return SLOW.replace("START", repr(start)).replace("EACH", repr(each)).replace("AT_ONCE", repr(at_once))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def timing_arguments(bench: Bench, *more: str, codecs: str = "toy", clips: int = 1) -> list[str]:
    given = bench.arguments("--timing", *more, codecs=codecs, clips=clips)
    place = given.index("--jobs")
    return [*given[:place], *given[place + 2 :]]


def stored(bench: Bench) -> dict[str, tuple[object, ...]]:
    with sqlite3.connect(bench.folder / "store" / "store.sqlite") as db:
        return {key: rest for key, *rest in db.execute("SELECT cell_key, sha256, wall_s, timed_on FROM cells")}


def test_latency_of_even_and_uneven_frames() -> None:
    # 100 intervals of 10 ms.
    even = latency([0.5 + 0.01 * index for index in range(101)])
    assert even is not None
    assert (even.first_frame_s, even.streams) == (0.5, True)
    assert even.p50_s == pytest.approx(0.01)
    assert even.p99_s == pytest.approx(0.01)
    assert even.jitter_s == pytest.approx(0, abs=1e-12)
    # 50 of 10 ms and 50 of 30 ms: the standard deviation of a fair coin is half the distance of its sides.
    uneven = [0.5]
    for index in range(100):
        uneven.append(uneven[-1] + (0.03 if index % 2 else 0.01))
    found = latency(uneven)
    assert found is not None
    assert found.p50_s == pytest.approx(0.02)
    assert found.p95_s == pytest.approx(0.03)
    assert found.jitter_s == pytest.approx(0.01)


def test_latency_is_told_only_where_it_means_something() -> None:
    assert latency([0.1 * index for index in range(10)]) is None
    # All frames in the last fifth: they were ready before the first of them came.
    assert latency([5 + 0.001 * index for index in range(20)]) == Latency(5, streams=False)
    # Unless it was the model that took so long.
    after_load = latency([5 + 0.001 * index for index in range(20)], load_s=4.999)
    assert after_load is not None
    assert after_load.streams
    assert after_load.p50_s == pytest.approx(0.001)


def test_frames_of_a_decoder_that_streams_are_timed_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = script_recipe(monkeypatch, tmp_path, slow_script(0.2, 0.03, False))
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 64, 48, 16), 16)
    timed = time_decode(recipe, sequence, point(recipe), sequence.path, 30)
    assert timed.usage.wall_s >= 0.2 + 16 * 0.03
    assert timed.latency is not None
    assert timed.latency.streams
    assert 0.23 <= timed.latency.first_frame_s < 0.6
    # A sleep is never short, but frames are held up on their way.
    assert timed.latency.p50_s == pytest.approx(0.03, abs=0.01)
    assert timed.latency.jitter_s < 0.03  # type: ignore[operator]


def test_a_decoder_that_writes_at_the_end_has_no_latency_by_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = script_recipe(monkeypatch, tmp_path, slow_script(0.2, 0.03, True))
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 64, 48, 16), 16)
    timed = time_decode(recipe, sequence, point(recipe), sequence.path, 30)
    assert timed.latency is not None
    assert (timed.latency.streams, timed.latency.p50_s, timed.latency.jitter_s) == (False, None, None)
    assert timed.latency.first_frame_s >= 0.2 + 16 * 0.03


def test_a_warm_up_takes_a_few_frames_and_leaves_the_source_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = script_recipe(monkeypatch, tmp_path)
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 64, 48, 20), 20)
    before = sequence.path.read_bytes()
    assert warm_up(recipe, sequence, point(recipe), tmp_path / "warm", 30) == (None, None)
    # The storing codec's stream is its source: 8 frames and their header.
    frame = 64 * 48 * 3 // 2 + len("FRAME\n")
    header = before.index(b"\n") + 1
    assert (tmp_path / "warm" / "stream.bin").stat().st_size == header + 8 * frame
    assert sequence.path.read_bytes() == before
    bad = script_recipe(monkeypatch, tmp_path, "import sys; sys.exit(sys.argv[1] == 'encode')", name="bad")
    with pytest.raises(ProcessError):
        warm_up(bad, sequence, point(recipe), tmp_path / "bad", 30)


def test_trap30_timing_runs_everything_alone_and_once(bench: Bench) -> None:
    bench.clips[0] = str(make_clip(bench.folder / "long.y4m", 64, 48, 14))
    arguments = timing_arguments(bench, codecs="toy,toytwo")
    bench.run(*arguments)
    points = bench.points()
    assert points["encode_ran_alone"].all()
    assert points["decode_ran_alone"].all()
    assert (points["decode_first_frame_s"] > 0).all()
    assert (points["decode_first_frame_s"] < points["decode_wall_s"]).all()
    assert (points["decode_latency_p50_s"].isna() == ~points["decode_streams"].astype(bool)).all()
    assert (points["encode_peak_rss_bytes"] > 1e6).all()
    assert points["encode_load_s"].isna().all()
    run, outcomes = bench.summary()["run"], bench.summary()["outcomes"]
    untold = {"encode": None, "decode": None}
    assert run["timing"] == {"alone": True, "remarks": [], "load_s": {"toy": untold, "toytwo": untold}}
    assert run["machine"]["jobs"] == 1
    assert run["machine"]["load_average_1min"] >= 0
    assert run["environment"]["OMP_NUM_THREADS"] == "1"
    assert outcomes["timed"] == outcomes["measured"]
    # Each codec was warmed up once, each point decoded to be measured and to be timed.
    assert bench.logged("encode") == outcomes["encodes"] + 2
    assert bench.logged("decode") == 2 * outcomes["measured"] + 2
    logged = bench.logged("encode"), bench.logged("decode")
    bench.run(*arguments)
    assert (bench.logged("encode"), bench.logged("decode")) == logged
    assert bench.points().equals(points)


def test_trap30_what_was_timed_in_company_is_timed_again_and_stays_the_same_bitstream(bench: Bench) -> None:
    bench.run(*bench.arguments(codecs="toy", clips=1), TOY_SLEEP="0.5")
    first, before = bench.points(), stored(bench)
    # Two workers: nothing but the last of five encodes could have been alone, and it began when another was at work.
    assert not first["encode_ran_alone"].any()
    assert not first["decode_ran_alone"].any()
    encodes = bench.logged("encode")
    bench.run(*timing_arguments(bench))
    after = stored(bench)
    assert bench.logged("encode") == encodes + 5 + 1
    assert {key: row[0] for key, row in after.items()} == {key: row[0] for key, row in before.items()}
    for key, (_, wall_s, timed_on) in after.items():
        assert timed_on
        assert before[key][2] == ""
        assert before[key][1] >= 0.5 > wall_s  # type: ignore[operator]
    points = bench.points()
    assert points["encode_ran_alone"].all()
    assert points["decode_ran_alone"].all()
    columns = ["q", "metric", "statistic", "score", "bitstream_sha256"]
    assert points[columns].equals(first[columns])
    # A run without --timing keeps what was timed alone.
    bench.run(*bench.arguments("--metrics", "psnr_cb", codecs="toy", clips=1))
    assert bench.points()["decode_ran_alone"].all()
    assert stored(bench) == after


def test_odd_and_failed_timings_are_named_and_change_neither_bitstreams_nor_scores(bench: Bench) -> None:
    script = bench.folder / "toycodec"
    salted = script.read_text().replace("header])", "header + b' X%d' % time.time_ns()])")
    assert salted != script.read_text()
    script.write_text(salted)
    bench.run(*bench.arguments(codecs="toy", clips=1))
    before, scores = stored(bench), bench.points()["score"]
    done = bench.run(*timing_arguments(bench), TOY_FAULT="exit@14")
    remarks = bench.summary()["run"]["timing"]["remarks"]
    assert all(remark in done.stderr for remark in remarks)
    assert sum("other bytes" in remark for remark in remarks) == 4
    assert sum("toy clip0 q 14: the encode could not be timed" in remark for remark in remarks) == 1
    assert len(remarks) == 5
    assert {key: row[0] for key, row in stored(bench).items()} == {key: row[0] for key, row in before.items()}
    assert bench.points()["score"].equals(scores)
    assert bench.summary()["failures"] == []


def test_a_timing_run_has_one_worker(bench: Bench) -> None:
    arguments = timing_arguments(bench, "--jobs", "2")
    assert "one thing at a time" in bench.run(*arguments, expect=2).stderr
    assert bench.logged("encode") == 0


@pytest.mark.parametrize(
    ("text", "size"), [("8GB", 8 * 10**9), ("512mb", 512 * 10**6), ("1.5GiB", 3 << 29), (" 64 KiB ", 65536)]
)
def test_sizes_are_read(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["0", "0GB", "0 KiB", "0.0MB"])
def test_nothing_is_nothing_in_any_unit(text: str) -> None:
    assert parse_bytes(text, 0) == 0
    with pytest.raises(RequestError, match="is not a size"):
        parse_bytes(text)


@pytest.mark.parametrize("text", ["", "much", "8", "8G", "0GB", "-1GB", "1e3MB", "nanGB", "8GB/s"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(RequestError, match="is not a size"):
        parse_bytes(text)


def test_an_encoder_over_the_memory_limit_is_a_failure_and_the_rest_goes_on(bench: Bench) -> None:
    arguments = bench.arguments("--memory-limit", "150MB", "--jobs", "1", codecs="toy", clips=1)
    bench.run(*arguments, expect=3, TOY_FAULT="hungry@20")
    (failure,) = bench.summary()["failures"]
    assert (failure["stage"], failure["q"]) == ("encode", 20)
    assert "more memory than it may" in failure["message"]
    assert "at most 150 MB" in failure["message"]
    assert bench.summary()["request"]["memory_limit_bytes"] == 150_000_000
    scored = bench.points().query("status == 'ok'")
    assert sorted(set(scored["q"])) == [8, 14, 26, 32]
    # With one worker every encode is alone. A decoder that feeds metrics is not: it waits for them.
    assert scored["encode_ran_alone"].all()
    assert not scored["decode_ran_alone"].any()


def test_the_environment_that_bears_on_results_is_told_and_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"MALLOC_ARENA_MAX": "2", "EVALSUITE_ACCESS_TOKEN": "hush", "HOME_OF_NOTHING": "x", "CUDA_API_KEY": "y"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert given.items() & provenance.environment().items() == {("MALLOC_ARENA_MAX", "2")}


def test_what_a_killed_check_leaves_is_removed_by_the_next(bench: Bench) -> None:
    left = bench.folder / "cache" / "tmp"
    running = subprocess.Popen(
        bench.command("codecs", "check", "toy"),
        cwd=bench.folder,
        env={**bench.env, "TOY_SLEEP": "3"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 30
    while not bench.logged("encode") and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert [path.name for folder in left.iterdir() for path in folder.glob("source.y4m")] == ["source.y4m"]
    bench.run("codecs", "check", "toy")
    assert list(left.iterdir()) == []
