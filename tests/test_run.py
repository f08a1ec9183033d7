"""`evalsuite run` as a user runs it: a process of its own, real worker processes, a real (small) codec."""

from __future__ import annotations

import hashlib
import json
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pandas as pd
import psutil
import pytest
from run_bench import Bench

from evalsuite.assets import cache_dir
from evalsuite.errors import AssetError
from evalsuite.metrics import lpips


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_the_main_job_end_to_end(bench: Bench) -> None:
    done = bench.run(*bench.arguments())
    assert "BD-rate of toytwo against toy" in done.stdout
    shown = [line.split()[0] for line in done.stdout.splitlines() if " ↑ " in line]
    assert shown == ["psnr_y", "psnr_yuv"]  # as in the panel
    assert "report:" in done.stdout
    points = bench.points()
    assert set(points["codec"]) == {"toy", "toytwo"}
    assert set(points["sequence"]) == {"clip0", "clip1"}
    means = points[points["statistic"] == "mean"]
    assert (means["status"] == "ok").all()
    # The two codecs are one and the same: at matched rates there is no difference to find.
    summary = bench.summary()
    rows = [row for row in summary["bd_rate"] if row["sequence"] != "*"]
    assert {row["status"] for row in rows} == {"ok"}
    assert max(abs(row["bd_rate_percent"]) for row in rows) < 0.1
    assert summary["outcomes"]["failed"] == 0
    for name in ("results.parquet", "frames.parquet", "bd_rate.csv", "summary.json", "report/index.html"):
        assert (bench.folder / "results" / name).stat().st_size > 0


def test_trap01_the_rate_is_the_size_of_the_file(bench: Bench) -> None:
    bench.run(*bench.arguments(codecs="toy", clips=1))
    with sqlite3.connect(bench.folder / "store" / "store.sqlite") as db:
        stored = dict(db.execute("SELECT sha256, payload_bytes FROM cells"))
    for sha256, size in stored.items():
        assert (bench.folder / "store" / "bitstreams" / sha256[:2] / f"{sha256}.bin").stat().st_size == size
    for row in bench.points().itertuples():
        assert row.bytes == stored[row.bitstream_sha256]
        assert row.bpp == pytest.approx(row.bytes * 8 / (64 * 48 * 6))
        assert row.kbps == pytest.approx(row.bytes * 8 / 1000 / (6 / 25))


def test_a_second_run_is_answered_from_the_store(bench: Bench) -> None:
    bench.run(*bench.arguments())
    first = bench.points()
    encodes, decodes = bench.logged("encode"), bench.logged("decode")
    started = time.monotonic()
    bench.run(*bench.arguments())
    assert time.monotonic() - started < 6
    assert (bench.logged("encode"), bench.logged("decode")) == (encodes, decodes)
    pd.testing.assert_frame_equal(bench.points(), first)
    assert bench.summary()["outcomes"]["encodes"] == 0


def test_a_new_metric_measures_old_bitstreams(bench: Bench) -> None:
    bench.run(*bench.arguments(codecs="toy"))
    encodes = bench.logged("encode")
    bench.run(*bench.arguments("--metrics", "psnr_y,vmaf", codecs="toy"))
    assert bench.logged("encode") == encodes
    assert set(bench.points()["metric"]) == {"psnr_y", "vmaf"}


def test_a_decode_that_is_no_longer_on_record_is_made_again(bench: Bench) -> None:
    given = bench.arguments("--metrics", "psnr_y,decode_cpu_per_frame", codecs="toy", clips=1)
    bench.run(*given)
    first, encodes = bench.points(), bench.logged("encode")
    assert (first["status"] == "ok").all()
    with closing(sqlite3.connect(bench.folder / "store" / "store.sqlite")) as store, store:
        store.execute("DELETE FROM decodes")
    bench.run(*given)
    again = bench.points()
    assert bench.logged("encode") == encodes
    columns = ["q", "metric", "statistic", "status"]
    pd.testing.assert_frame_equal(again[columns], first[columns])
    assert again["decode_cpu_s"].notna().all()


def test_one_content_under_two_names_has_its_rows_once_each(bench: Bench) -> None:
    copy = bench.folder / "copy.y4m"
    copy.write_bytes(Path(bench.clips[0]).read_bytes())
    bench.run(*bench.arguments("--metrics", "psnr_y,vmaf", "--profile", "streaming", str(copy), clips=1))
    points = bench.points()
    assert set(points["sequence"]) == {"clip0", "copy"}
    assert not points.duplicated(["codec", "sequence", "q", "metric", "statistic"]).any()


def test_a_changed_recipe_encodes_its_own_cells_again(bench: Bench) -> None:
    bench.run(*bench.arguments(clips=1))
    encodes = bench.logged("encode")
    recipe = bench.folder / "codecs" / "recipes" / "toytwo.toml"
    recipe.write_text(recipe.read_text().replace('"{input}", "{output}"', '"{input}", "./{output}"').replace("./", ""))
    bench.run(*bench.arguments(clips=1))
    assert bench.logged("encode") == encodes
    recipe.write_text(recipe.read_text().replace('infinite = "-1"', 'infinite = "9999"'))
    bench.run(*bench.arguments(clips=1))
    assert encodes < bench.logged("encode") <= 2 * encodes


def test_trap05_a_damaged_bitstream_in_the_store_is_made_again(bench: Bench) -> None:
    bench.run(*bench.arguments(codecs="toy", clips=1))
    encodes = bench.logged("encode")
    first = bench.points()
    victim = next((bench.folder / "store" / "bitstreams").rglob("*.bin"))
    victim.write_bytes(victim.read_bytes()[:-3] + b"xyz")
    bench.run(*bench.arguments(codecs="toy", clips=1))
    assert bench.logged("encode") == encodes + 1
    columns = ["q", "metric", "statistic", "score", "bitstream_sha256"]
    pd.testing.assert_frame_equal(bench.points()[columns], first[columns])


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_a_killed_run_resumes_and_repeats_only_what_was_not_finished(bench: Bench, how: signal.Signals) -> None:
    arguments = bench.arguments(codecs="toy")
    running = psutil.Popen(
        bench.command(*arguments),
        cwd=bench.folder,
        env={**bench.env, "TOY_SLEEP": "0.4"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while bench.logged("encode") < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    family = running.children(recursive=True)
    running.send_signal(how)
    code = running.wait(20)
    assert code == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: -15}[how]
    if how == signal.SIGINT:
        assert b"interrupted" in running.stderr.read()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []
    with sqlite3.connect(bench.folder / "store" / "store.sqlite") as db:
        (finished,) = db.execute("SELECT COUNT(*) FROM cells").fetchone()
    assert finished >= 2
    before = bench.logged("encode")
    bench.run(*arguments)
    assert bench.logged("encode") - before == 10 - finished
    assert bench.summary()["outcomes"]["encodes_cached"] == finished
    assert list((bench.folder / "store" / "tmp").iterdir()) == []


def test_two_runs_at_once_on_one_store(bench: Bench) -> None:
    runs = [
        subprocess.Popen(
            bench.command(*bench.arguments("--out", f"out{index}")),
            cwd=bench.folder,
            env={**bench.env, "TOY_SLEEP": "0.05"},
            stdout=subprocess.DEVNULL,
        )
        for index in range(2)
    ]
    assert [run.wait(200) for run in runs] == [0, 0]
    columns = ["codec", "sequence", "q", "metric", "statistic", "score", "bytes"]
    tables = [pd.read_parquet(bench.folder / f"out{index}" / "results.parquet")[columns] for index in range(2)]
    keys = ["codec", "sequence", "q", "metric", "statistic"]
    pd.testing.assert_frame_equal(
        *(table.sort_values(keys).reset_index(drop=True) for table in tables)  # type: ignore[call-overload]
    )


def test_the_same_command_again_gives_the_same_numbers(bench: Bench) -> None:
    # A target that no q of this codec hits, so that the search ends without a match.
    arguments = bench.arguments("--match", "0.05,0.5,1,2,40bpp", codecs="toy", clips=1)
    bench.run(*arguments)
    first, points = bench.summary()["rate_match"], bench.points()
    assert max(abs(row["deviation_percent"]) for row in first) > 3
    bench.run(*arguments)
    assert bench.summary()["rate_match"] == first
    assert bench.summary()["outcomes"]["encodes"] == 0
    pd.testing.assert_frame_equal(bench.points(), points)


def test_trap06_another_matrix_is_another_score(bench: Bench) -> None:
    try:
        lpips.network()
    except AssetError as error:
        pytest.skip(f"the weights of AlexNet cannot be had: {error.got}")
    clip = Path(bench.clips[0])
    sha256 = hashlib.sha256(clip.read_bytes()).hexdigest()
    scores = {}
    for matrix in ("bt601", "bt709"):
        (bench.folder / "own.toml").write_text(
            f"""version = "1"
description = "one clip"
[[sequences]]
name = "clip"
width = 64
height = 48
frame_rate = "25"
start = 0
frames = 6
matrix = "{matrix}"
range = "limited"
tags = ["test"]
licence = "none"
sha256 = "{sha256}"
[[sequences.sources]]
path = "{clip}"
sha256 = "{sha256}"
"""
        )
        arguments = ["run", "--codecs", "toy", "--dataset", "own.toml", "--store", "store", "--metrics", "psnr_y,lpips"]
        bench.run(*arguments, EVALSUITE_CACHE=str(cache_dir()))
        means = bench.points().query("statistic == 'mean'").set_index(["metric", "q"])["score"]
        scores[matrix] = means
    assert (scores["bt601"]["psnr_y"] == scores["bt709"]["psnr_y"]).all()
    assert (scores["bt601"]["lpips"] != scores["bt709"]["lpips"]).all()


def test_match_rates_and_match_none(bench: Bench) -> None:
    bench.run(*bench.arguments("--match", "0.5,1,1.5,2bpp", clips=1))
    matched = bench.summary()["rate_match"]
    assert sorted({row["target_bpp"] for row in matched}) == pytest.approx([0.5, 1, 1.5, 2])
    assert {row["codec"] for row in matched} == {"toy", "toytwo"}
    bench.run(*bench.arguments("--match", "none", clips=1))
    assert bench.summary()["rate_match"] == []
    assert sorted(set(bench.points()["q"])) == [8, 14, 20, 26, 32]
    bench.run(*bench.arguments("--match", "100,200kbps", codecs="toy", clips=1))
    targets = sorted({row["target_bpp"] for row in bench.summary()["rate_match"]})
    assert targets == pytest.approx([rate * 1000 / 25 / (64 * 48) for rate in (100, 200)])


def test_json_is_one_document_on_stdout(bench: Bench) -> None:
    done = bench.run(*bench.arguments("--json", clips=1))
    document = json.loads(done.stdout)
    assert document["schema"] == 3
    assert {row["test"] for row in document["bd_rate"]} == {"toytwo"}


def test_recipes_in_folders_with_a_colon_or_a_comma_are_codecs(bench: Bench) -> None:
    for folder, name in (("co:lon", "toy"), ("com,ma", "toytwo")):
        (bench.folder / folder).mkdir()
        (bench.folder / "codecs" / "recipes" / f"{name}.toml").rename(bench.folder / folder / f"{name}.toml")
    codecs = ("--codecs", "co:lon/toy.toml", "--codecs", "com,ma/toytwo.toml:half", "--codecs", "com,ma/toytwo.toml")
    arguments = bench.arguments("--match", "none", "--frames", "1", clips=1)
    done = bench.run("run", *codecs, *arguments[3:])
    assert "BD-rate of toytwo against toy" in done.stdout
    assert list(dict.fromkeys(bench.points()["codec"])) == ["toy", "toytwo:half", "toytwo"]
