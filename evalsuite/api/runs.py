"""`evalsuite run`, from Python."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalsuite.api import given
from evalsuite.api.given import Names
from evalsuite.api.results import Results, load
from evalsuite.errors import RequestError

if TYPE_CHECKING:
    from evalsuite.engine.progress import Event
    from evalsuite.sources.y4m import Geometry


def run(
    codecs: Names,
    sequences: Names | None = None,
    *,
    dataset: str | os.PathLike[str] = "demo",
    match: str | None = None,
    anchor: str | None = None,
    metrics: Names = "default",
    profile: Names = "none",
    frames: int | None = None,
    intra_period: int = 32,
    threads: int = 1,
    out: str | os.PathLike[str] = "results",
    store: str | os.PathLike[str] | None = None,
    jobs: int | None = None,
    cluster: str | os.PathLike[str] | None = None,
    split: bool = True,
    loss: str | Iterable[str] | None = None,
    timeout: float = 3600.0,
    timing: bool = False,
    hull: bool = False,
    memory_limit: int | None = None,
    feature_cache: int = 4_000_000_000,
    size: tuple[int, int] | None = None,
    fps: float | str | Fraction | None = None,
    pixel_format: str = "yuv420p",
    matrix: str | None = None,
    colour_range: str | None = None,
    transfer: str | None = None,
    progress: Callable[[str], object] | None = None,
) -> Results:
    """Encode, decode and measure codecs on sequences at matched bitrates: `evalsuite run`, from Python.

    Writes results and report to `out`; pictures and boards are for the command line. Works in a notebook and in a
    script, with or without `if __name__ == "__main__"`. What was finished is kept in the store: after an interruption
    the same call goes on.

    Args:
        codecs: names or recipe files; the first is the one to match.
        sequences: video files, names of sequences of the dataset, or choices such as `tag:faces`; None for the whole
            dataset.
        dataset: a name or a TOML file.
        match: a codec to match, rates such as `0.01,0.02bpp` or `50,100kbps`, or `none`; None for the first codec.
        anchor: the codec that BD-rate is relative to; None for the first.
        metrics: `default`, `all`, or names.
        profile: `none`, `auto`, or names of profiles, which sum up scores for a kind of content.
        frames: only the first so many frames of each sequence.
        intra_period: frames between random-access points; -1: only the first frame is intra.
        threads: of each encoder; part of a result's identity.
        out: folder for results and report.
        store: folder of the results store; None for the one in the user's cache folder.
        jobs: tasks at a time; None for as many as cores and memory of this machine are good for.
        cluster: address of a Dask scheduler, or its scheduler file; None for this machine.
        split: split long encodes by GoP, where the codec's recipe says that it gives the same stream.
        loss: models of channels that lose packets, such as `iid:0.02`: every codec is also measured behind each.
        timeout: seconds that one encode, or one frame of a decode, may take.
        timing: time every rate point by itself: one task at a time, after a warm-up.
        hull: add the convex hull of each codec's variants as a codec.
        memory_limit: bytes for each encoder, decoder or measuring program with all it starts.
        feature_cache: bytes on disk for what metrics compute of sources alone; 0 keeps nothing.
        size: width and height of raw files.
        fps: frames per second of raw files.
        pixel_format: of raw files, such as `yuv420p10le`.
        matrix: `bt601`, `bt709` or `bt2020`, of files that do not say or are wrong.
        colour_range: `limited` or `full`, likewise.
        transfer: `sdr`, `pq` or `hlg`, likewise.
        progress: called with a line of text whenever something was finished, such as `print`; None is quiet.

    Returns:
        The results. Cells that failed do not stop a run: they are in `Results.failures`.

    Raises:
        EvalError: the request is wrong, or something that it needs cannot be had; nothing was encoded then. Messages
            name options as the command line does.
    """
    from evalsuite.assets import cache_dir
    from evalsuite.codec.variants import split_list
    from evalsuite.engine.request import Request, run_request
    from evalsuite.report.build import build_report, check_run_folder
    from evalsuite.sources.tags import stated

    if progress is not None and not callable(progress):
        raise RequestError("progress must be a function of one text", got=repr(progress)[:80])
    if match is not None:
        given.text("match", match, "a codec, rates such as '0.01,0.02bpp', or 'none'")
    words = {"anchor": anchor, "matrix": matrix, "colour_range": colour_range, "transfer": transfer}
    for name, word in {**words, "pixel_format": pixel_format}.items():
        if word is not None:
            given.text(name, word)
    codecs = split_list(codecs) if isinstance(codecs, str) else given.names("codecs", codecs)
    metrics, profile = (",".join(given.names(*one)) for one in (("metrics", metrics), ("profile", profile)))
    wanted = () if sequences is None else given.names("sequences", sequences)
    if sequences is not None and not wanted:
        raise RequestError("sequences names nothing", fix="name files or sequences, or leave it out for all of them")
    loss = None if loss is None else ((loss,) if isinstance(loss, str) else given.names("loss", loss)) or None
    typed = {**locals(), "sequences": wanted}
    request = Request(
        codecs=codecs,
        dataset=given.path("dataset", dataset),
        sequences=wanted,
        geometry=_geometry(size, fps, pixel_format),
        stated=stated(matrix, colour_range, transfer),
        match=match,
        anchor=anchor,
        metrics=metrics,
        profile=profile,
        frames=None if frames is None else given.whole("frames", frames, 1),
        intra_period=given.whole("intra_period", intra_period, -1),
        threads=given.whole("threads", threads, 1),
        jobs=None if jobs is None else given.whole("jobs", jobs, 1),
        timing=given.flag("timing", timing),
        hull=given.flag("hull", hull),
        memory_limit=None if memory_limit is None else given.whole("memory_limit", memory_limit, 1),
        timeout=given.seconds("timeout", timeout),
        feature_bytes=given.whole("feature_cache", feature_cache, 0),
        store=cache_dir() / "store" if store is None else Path(given.path("store", store)),
        out=Path(given.path("out", out)),
        cluster=None if cluster is None else given.path("cluster", cluster),
        split=given.flag("split", split),
        loss=loss or (),
        command=_command(typed),
    )

    check_run_folder(request.out, with_pictures=False)

    def tell(event: Event) -> None:
        if progress is not None and event.has_ended:
            progress(str(event))

    with _environment_kept():
        run_request(request, tell)
    results = load(out)
    build_report([results], results.folder / "report")
    return results


def _geometry(size: tuple[int, int] | None, fps: float | str | Fraction | None, pixel_format: str) -> Geometry | None:
    from evalsuite.sources.framerate import FRAME_RATES, read_frame_rate
    from evalsuite.sources.y4m import Geometry

    if size is None or fps is None:
        words = {"size": size is not None, "fps": fps is not None, "pixel_format": pixel_format != "yuv420p"}
        if not any(words.values()):
            return None
        got = ", ".join(name for name, is_given in words.items() if is_given)
        raise RequestError("half a geometry", expected="size and fps", got=got)
    try:
        width, height = size
    except (TypeError, ValueError):
        raise RequestError("size cannot be read", expected="such as size=(416, 240)", got=repr(size)[:80]) from None
    # By its text, 29.97 is the decimal that was meant and not the binary number next to it.
    frame_rate = read_frame_rate(str(fps))
    if frame_rate is None:
        raise RequestError("fps is no frame rate", expected=FRAME_RATES, got=str(fps)[:80])
    return Geometry(given.whole("width", width, 1), given.whole("height", height, 1), frame_rate, pixel_format)


def _command(typed: Mapping[str, Any]) -> tuple[str, ...]:
    """The same request as it is typed into a shell: what the report says to type to repeat it."""
    words = ["evalsuite", "run"]
    for codec in typed["codecs"] if any("," in name for name in typed["codecs"]) else [",".join(typed["codecs"])]:
        words += ["--codecs", codec]
    for sequence in typed["sequences"]:
        words += ["--sequences", sequence]
    for name, parameter in inspect.signature(run).parameters.items():
        value = typed[name]
        if name in ("codecs", "sequences", "progress") or value == parameter.default:
            continue
        if name == "loss":
            words += [word for model in value for word in ("--loss", model)]
            continue
        words.append("--range" if name == "colour_range" else f"--{name.replace('_', '-')}")
        if name == "size":
            words.append("x".join(map(str, value)))
        elif name in ("memory_limit", "feature_cache"):
            words.append(f"{value / 1e9:.9f}".rstrip("0").rstrip(".") + "GB" if value else "0")
        elif value is False:
            words[-1] = f"--no-{words[-1][2:]}"
        elif value is not True:
            words.append(str(value))
    return tuple(words)


@contextmanager
def _environment_kept() -> Iterator[None]:
    """The variables that workers start with are not left behind: the caller's own libraries keep their threads."""
    from evalsuite.engine.execute import WORKER_ENVIRONMENT

    added = WORKER_ENVIRONMENT.keys() - os.environ.keys()
    try:
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
