"""Speed of the metrics against the tools that one would string together, as ratios of one run; memory at 1080p.

    python benchmarks/metrics.py [panel] [workers] [libvmaf] [lpips] [memory] [--sequence face]

Decodes a demo sequence of 640x360 from eight bitstreams of x264 and measures the same files both ways, two workers
against tools with the threads that they take by themselves. The means must agree to 1e-3 before a ratio is printed.

- panel: the default panel, against `benchmarks/strung_together.py`. Starting processes and loading networks counts.
- workers: the default panel by two workers of one thread against one worker of two threads, and with and without
  allocator settings; not run unless it is named.
- libvmaf: fidelity and VMAF of one decoded file, against one bare ffmpeg with libvmaf that computes the same features.
- lpips: LPIPS of eight decoded files, against the package called frame by frame, per frame pair, without start-up.
- memory: peak resident set of one worker with the whole default panel at 1920x1080, over 10 and over 40 frames.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
from strung_together import lpips_loop, lpips_network

from evalsuite.engine.execute import Pool, Task
from evalsuite.engine.features import FeatureCache
from evalsuite.engine.measure import Measured, measure
from evalsuite.errors import EvalError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.metrics.base import Setting
from evalsuite.metrics.pooling import pool
from evalsuite.metrics.registry import DEFAULT, select
from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.sources.reader import open_video
from evalsuite.sources.tags import resolve_colour
from evalsuite.sources.y4m import write_y4m

QPS = (22, 26, 30, 34, 38, 42, 46, 50)
AGREEMENT = 1e-3
LPIPS_AGREEMENT = 1e-4
FIDELITY = "psnr_y,psnr_cb,psnr_cr,psnr_yuv,ssim,ms_ssim,vmaf,vmaf_neg"
WORKERS = 2

Means = dict[str, float]


def decode_all(source: Path, folder: Path) -> list[Path]:
    """Eight decoded files of the source."""
    made = []
    for qp in QPS:
        stream, target = folder / f"{qp}.h264", folder / f"{qp}.y4m"
        ffmpeg("-i", source, "-c:v", "libx264", "-qp", qp, "-f", "h264", stream)
        ffmpeg("-i", stream, "-fps_mode", "passthrough", target)
        made.append(target)
    return made


def ffmpeg(*arguments: object) -> None:
    """Run the pinned ffmpeg."""
    subprocess.run([str(ffmpeg_path()), "-loglevel", "error", "-y", *map(str, arguments)], check=True)


def measure_files(source: Path, decoded: list[Path], metrics: str, cache: FeatureCache) -> list[Means]:
    """Means of every metric, for each decoded file, in one pass: what a worker does, but for running decoders."""
    reader = open_video(source)
    setting = Setting(reader.format, resolve_colour(reader.format, reader.told), reader.frame_rate)
    infos = select(metrics)
    with cache.source(content=str(source)) as features:
        frames = {str(path): iter(open_video(path)) for path in decoded}
        results = measure(reader, setting, frames, infos, features=features)
    return [_means(results[str(path)], metrics) for path in decoded]


def _means(result: Measured | EvalError, metrics: str) -> Means:
    if isinstance(result, EvalError):
        raise result
    by_name = {info.name: info for info in select(metrics)}
    pooled = ((series.metric, pool(series, by_name[series.metric])[0]) for series in result.series)
    return {name: mean.score for name, mean in pooled if mean.status == "ok"}


def ours(source: Path, decoded: list[Path], metrics: str, folder: Path, jobs: int = WORKERS) -> list[Means]:
    """The same by a pool of workers that starts cold, with nothing kept from earlier."""
    cache = FeatureCache(folder)
    share = -(-len(decoded) // jobs)
    with Pool[int](jobs) as tasks:
        for first in range(0, len(decoded), share):
            tasks.submit(first, Task(measure_files, (source, decoded[first : first + share], metrics, cache)))
        outcomes = {outcome.key: outcome for outcome in tasks.outcomes()}
    for outcome in outcomes.values():
        if outcome.error is not None:
            raise outcome.error
    return [means for first in sorted(outcomes) for means in outcomes[first].value]


def check(mine: list[Means], theirs: list[Means], tolerance: float) -> float:
    """The largest relative difference; ends the benchmark where it is too large."""
    worst = 0.0
    for index, (one, other) in enumerate(zip(mine, theirs, strict=True)):
        if one.keys() != other.keys():
            raise SystemExit(f"file {index}: one side alone has {sorted(one.keys() ^ other.keys())}")
        for name, value in other.items():
            difference = abs(one[name] - value) / max(abs(value), 1e-9)
            if difference > tolerance:
                raise SystemExit(f"file {index}: {name} is {one[name]:.6g} against {value:.6g}")
            worst = max(worst, difference)
    return worst


def panel(source: Path, decoded: list[Path], folder: Path) -> None:
    """The default panel over eight rate points."""
    started = time.perf_counter()
    mine = ours(source, decoded, ",".join(DEFAULT), folder / "features")
    cold = time.perf_counter() - started
    started = time.perf_counter()
    ours(source, decoded, ",".join(DEFAULT), folder / "features")
    warm = time.perf_counter() - started
    started = time.perf_counter()
    command = [sys.executable, str(Path(__file__).with_name("strung_together.py")), str(source), *map(str, decoded)]
    theirs = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    strung = time.perf_counter() - started
    worst = check(mine, theirs, AGREEMENT)
    print(f"default panel, {len(DEFAULT)} metrics, {len(decoded)} rate points: {cold:.1f} s against {strung:.1f} s")
    print(f"  {strung / cold:.2f} times faster (with kept features {strung / warm:.2f}); means agree to {worst:.1e}")


def workers(source: Path, decoded: list[Path], folder: Path) -> None:
    """Other ways to use two cores, each in a fresh process: threads and allocators are settled when it starts."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM"), "2")
    never = str(1 << 30)
    ways = {
        "two workers of one thread": ("2", {}),
        "one worker of two threads": ("1", threads),
        "two workers that keep what they freed": (
            "2",
            {"MALLOC_MMAP_THRESHOLD_": never, "MALLOC_TRIM_THRESHOLD_": never},
        ),
        "two workers with huge pages": ("2", {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}),
    }
    code = (
        "import sys; from pathlib import Path\n"
        "from metrics import DEFAULT, ours\n"
        "if __name__ == '__main__':\n"
        "    source, *decoded = map(Path, sys.argv[3:])\n"
        "    ours(source, decoded, ','.join(DEFAULT), Path(sys.argv[1]), int(sys.argv[2]))\n"
    )
    script = folder / "way.py"
    script.write_text(code)
    path = os.pathsep.join((str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")))
    taken = {}
    for name, (count, settings) in ways.items():
        features = folder / f"features-{len(taken)}"
        command = [sys.executable, str(script), str(features), count, str(source), *map(str, decoded)]
        started = time.perf_counter()
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": path, **settings})
        taken[name] = time.perf_counter() - started
        print(f"{name}: {taken[name]:.1f} s, {taken[name] / next(iter(taken.values())):.2f} times the first")


def libvmaf(source: Path, decoded: list[Path], folder: Path) -> None:
    """Fidelity and VMAF of one file in one worker, against one bare ffmpeg; the better of three each."""
    log = folder / "log.json"
    models = r"version=vmaf_v0.6.1\:name=vmaf|version=vmaf_v0.6.1neg\:name=vmaf_neg"
    features = "name=psnr|name=float_ssim|name=float_ms_ssim"
    graph = f"libvmaf=log_fmt=json:log_path={log}:model='{models}':feature='{features}'"
    bare, mine = [], []
    scores: list[Means] = []
    for _ in range(3):
        started = time.perf_counter()
        ffmpeg("-i", decoded[2], "-i", source, "-lavfi", graph, "-f", "null", "-")
        bare.append(time.perf_counter() - started)
        started = time.perf_counter()
        scores = measure_files(source, decoded[2:3], FIDELITY, FeatureCache(folder / "nothing", 0))
        mine.append(time.perf_counter() - started)
    frames = [frame["metrics"] for frame in json.loads(log.read_text())["frames"]]
    names = {"float_ssim": "ssim", "float_ms_ssim": "ms_ssim"}
    keys = ("psnr_y", "psnr_cb", "psnr_cr", "float_ssim", "float_ms_ssim", "vmaf", "vmaf_neg")
    theirs = {names.get(key, key): float(np.mean([frame[key] for frame in frames])) for key in keys}
    theirs["psnr_yuv"] = (6 * theirs["psnr_y"] + theirs["psnr_cb"] + theirs["psnr_cr"]) / 8
    worst = check(scores, [theirs], AGREEMENT)
    print(f"fidelity and VMAF, {len(theirs)} metrics, one file: {min(mine):.2f} s against {min(bare):.2f} s")
    print(f"  {min(mine) / min(bare):.2f} times the bare ffmpeg; means agree to {worst:.1e}")


def lpips(source: Path, decoded: list[Path], folder: Path) -> None:
    """LPIPS alone, both warm; frames are read and converted by both."""
    network = lpips_network()
    lpips_loop(source, decoded[0], network)
    started = time.perf_counter()
    theirs = [lpips_loop(source, path, network) for path in decoded]
    package = time.perf_counter() - started
    with Pool[int](WORKERS) as tasks:
        nothing = FeatureCache(folder / "nothing", 0)
        share = len(decoded) // WORKERS

        def submit() -> list[Means]:
            for first in range(0, len(decoded), share):
                tasks.submit(first, Task(measure_files, (source, decoded[first : first + share], "lpips", nothing)))
            done = {outcome.key: outcome.value for outcome in tasks.outcomes()}
            return [means for first in sorted(done) for means in done[first]]

        submit()
        started = time.perf_counter()
        mine = submit()
        taken = time.perf_counter() - started
    worst = max(abs(a["lpips"] - b["lpips"]) for a, b in zip(mine, theirs, strict=True))
    if worst > LPIPS_AGREEMENT:
        raise SystemExit(f"LPIPS differs by {worst:.2g}")
    print(f"LPIPS, {len(decoded)} files: {taken:.1f} s against {package:.1f} s")
    print(f"  {package / taken:.2f} times faster per frame pair; values agree to {worst:.1e}")


def memory(source: Path, folder: Path) -> None:
    """Peak of one worker at 1080p, for two lengths."""
    large = folder / "large.y4m"
    ffmpeg("-i", source, "-vf", "scale=1920:1080", large)
    reader = open_video(large)
    stored = list(itertools.islice(reader, 10))
    peaks = {}
    for length in (10, 40):
        clips = folder / f"source{length}.y4m", folder / f"decoded{length}.y4m"
        for clip, shift in zip(clips, (0, 3), strict=True):
            frames = itertools.islice(itertools.cycle(_darker(stored, shift)), length)
            write_y4m(clip, reader.format, Fraction(reader.frame_rate), frames)
        peaks[length] = peak_mb(*clips)
        print(f"default panel at {reader.format}, {length} frames: peak {peaks[length]:.0f} MB")
    print(f"  {peaks[40] / peaks[10]:.3f} times as much for four times the frames")


def _darker(frames: list[tuple[np.ndarray, ...]], levels: int) -> Iterator[tuple[np.ndarray, ...]]:
    for frame in frames:
        yield (np.maximum(frame[0], levels) - levels, *frame[1:])


def peak_mb(source: Path, decoded: Path) -> float:
    """Peak resident set in MB of a process that measures as a worker does."""
    code = (
        "import sys; from pathlib import Path; from evalsuite.engine.features import FeatureCache\n"
        "sys.path.insert(0, sys.argv[1]); from metrics import measure_files, DEFAULT\n"
        "measure_files(Path(sys.argv[2]), [Path(sys.argv[3])], ','.join(DEFAULT), FeatureCache(Path('unused'), 0))\n"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(source), str(decoded)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}
    process = subprocess.Popen(command, env=environment)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"measuring ended with {os.waitstatus_to_exitcode(status)}")
    return usage.ru_maxrss / 1024


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=["panel", "libvmaf", "lpips", "memory"])
    parser.add_argument("--sequence", default="face")
    arguments = parser.parse_args()
    entry = next(one for one in load_dataset("demo").sequences if one.name == arguments.sequence)
    source = prepare(entry).path
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        decoded = decode_all(source, folder)
        for part in arguments.parts:
            if part == "memory":
                memory(source, folder)
            else:
                {"panel": panel, "workers": workers, "libvmaf": libvmaf, "lpips": lpips}[part](source, decoded, folder)


if __name__ == "__main__":
    main()
