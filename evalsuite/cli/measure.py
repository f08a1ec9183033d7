"""`evalsuite measure`: score any decoded video against its source."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from evalsuite.cli.exitcodes import NOT_WHOLE
from evalsuite.cli.output import arrow, check_output, echo_folded, parse_geometry, print_json, print_table, say

if TYPE_CHECKING:
    from evalsuite.engine.compare import Compared
    from evalsuite.engine.measure import Measured
    from evalsuite.metrics.pooling import Pooled
    from evalsuite.results.profile import Profile
    from evalsuite.types import MetricInfo


_SHOWN = ("mean", "p5", "worst")
"""Statistics of the table; `--json` has all."""


def measure(
    source: Path = typer.Argument(..., help="The source: Y4M, raw planar, or a container."),
    decoded: Path = typer.Argument(..., help="The decoded video: the same geometry and number of frames."),
    metrics: str = typer.Option("default", help="default, all, or names separated by commas."),
    profile: str = typer.Option(
        "none", help="Sum up the scores for a kind of content: names of profiles, separated by commas."
    ),
    size: str = typer.Option(None, help="WIDTHxHEIGHT of raw files."),
    fps: str = typer.Option(None, help="Frame rate of raw files."),
    pixel_format: str = typer.Option("yuv420p", help="Pixel format of raw files, such as yuv420p10le."),
    matrix: str = typer.Option(
        None, help="bt601, bt709 or bt2020, for metrics that want RGB. Default: as the source says."
    ),
    colour_range: str = typer.Option(
        None, "--range", help="limited or full. Default: as the source says, else limited."
    ),
    transfer: str = typer.Option(None, help="sdr, pq or hlg. Default: as the source says, else sdr."),
    per_frame: Path = typer.Option(None, help="Write per-frame scores to this CSV file."),
    json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Score a decoded video against its source, frame by frame, by index.

    Exit code 3: a metric failed, or not one of them could be measured.

    Example: evalsuite measure source.y4m decoded.y4m --metrics psnr_y,vmaf
    """
    from evalsuite.engine.compare import compare_files
    from evalsuite.metrics.pooling import pool
    from evalsuite.metrics.registry import select

    check_output(per_frame, (source, decoded))
    profiles = _profiles(profile)
    infos = {info.name: info for info in select(",".join([metrics, *(n for one in profiles for n in one.metrics)]))}
    result = compare_files(
        source,
        decoded,
        tuple(infos.values()),
        parse_geometry(size, fps, pixel_format),
        matrix=matrix,
        colour_range=colour_range,
        transfer=transfer,
    )
    by_name = {series.metric: series for series in result.series}
    pooled = {name: pool(by_name[name], info) for name, info in infos.items()}
    if per_frame is not None:
        _write_frames(per_frame, result, {info.name for info in infos.values() if info.per_frame})
        say(f"per-frame scores: {per_frame}")
    for one in profiles:
        means = {name: figures[0] for name, figures in pooled.items()}
        infos[one.info.name], pooled[one.info.name] = one.info, one.scores([means])
    scored = {name: figures for name, figures in pooled.items() if figures[0].status in ("ok", "infinite", "nan")}
    if json:
        print_json(
            {
                "schema": 1,
                "frames": result.frames,
                "source": _source(result),
                "scores": {name: _entry(infos[name], p) for name, p in pooled.items()},
            }
        )
    else:
        _print(result.frames, infos, pooled, scored, profiles)
    states = {figures[0].status for figures in pooled.values()}
    if "failed" in states or not scored:
        raise typer.Exit(NOT_WHOLE)


def _print(
    frames: int,
    infos: Mapping[str, MetricInfo],
    pooled: Mapping[str, list[Pooled]],
    scored: Mapping[str, list[Pooled]],
    profiles: tuple[Profile, ...],
) -> None:
    from evalsuite.results.profile import formula_of

    print_table(
        f"{frames} frames",
        ("metric", "", "unit", *_SHOWN),
        ((name, arrow(infos[name]), infos[name].unit, *_cells(figures)) for name, figures in scored.items()),
        numbers=len(_SHOWN),
    )
    _print_gaps({name: figures[0] for name, figures in pooled.items() if name not in scored})
    for one in profiles:
        if one.info.name in scored:
            left_out = formula_of(pooled[one.info.name][0].reason)
            formula = one.formula_with({name: figures[0] for name, figures in pooled.items()})
            echo_folded(f"{one.info.name} = {formula}" + (f" ({left_out})" if left_out else ""))
        else:
            echo_folded(f"{one.info.name} = {one.formula}")


def _print_gaps(gaps: Mapping[str, Pooled]) -> None:
    """The metrics that have no score, those of one reason together."""
    alike: dict[tuple[str, str], list[str]] = {}
    for name, pooled in gaps.items():
        alike.setdefault((pooled.status.replace("_", " "), pooled.reason), []).append(name)
    if alike:
        print_table(
            "Without a score",
            ("metrics", "state", "why"),
            ((", ".join(names), state, reason) for (state, reason), names in alike.items()),
        )


def _profiles(request: str) -> tuple[Profile, ...]:
    from evalsuite.errors import RequestError
    from evalsuite.results.profile import AUTO, profiles_for

    if request == AUTO:
        raise RequestError(
            "a file has no tags to choose a profile by", expected="--profile with a name", fix="name the profile"
        )
    return profiles_for(request, {"": ()})[""]


def _source(result: Compared) -> dict[str, Any]:
    from evalsuite.sources.hdr import as_json

    format, colour = result.setting.format, result.setting.colour
    return {
        "width": format.width,
        "height": format.height,
        "pixel_format": format.pixel_format,
        "frame_rate": str(result.setting.frame_rate),
        "colour": str(colour),
        "transfer": colour.transfer,
        "primaries": colour.primaries or None,
        **as_json(result.hdr),
    }


def _cells(figures: list[Pooled]) -> list[str]:
    by_statistic = {one.statistic: _cell(one) for one in figures}
    return [by_statistic.get(statistic, "") for statistic in _SHOWN]


def _cell(pooled: Pooled) -> str:
    return f"{pooled.score:.4f}" if pooled.status == "ok" else pooled.status.replace("_", " ")


def _entry(info: MetricInfo, pooled: list[Pooled]) -> dict[str, Any]:
    first = pooled[0]
    entry: dict[str, Any] = {"unit": info.unit, "higher_is_better": info.higher_is_better, "status": first.status}
    if first.reason:
        entry["reason"] = first.reason
    if first.status in ("ok", "infinite"):
        entry.update({one.statistic: one.score for one in pooled})
    return entry


def _write_frames(path: Path, result: Measured, per_frame: set[str]) -> None:
    import csv

    from evalsuite.errors import RequestError

    columns = {}
    for series in result.series:
        # A figure of the whole sequence is in no frame's row.
        if series.status == "ok" and series.metric in per_frame:
            frames = range(result.frames) if series.frames is None else series.frames.tolist()
            columns[series.metric] = dict(zip(frames, series.values.tolist(), strict=True))
    try:
        with path.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.writer(stream)
            writer.writerow(["frame", *columns])
            for index in range(result.frames):
                # An empty field: the metric does not apply to this frame.
                writer.writerow([index, *(repr(row[index]) if index in row else "" for row in columns.values())])
    except OSError as error:
        raise RequestError(f"cannot write the per-frame scores: {error.strerror}", where=path) from error
