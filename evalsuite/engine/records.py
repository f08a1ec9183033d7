"""From what a run found out to the rows and the summary that are written: `docs/results.md` says what each field is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from evalsuite.codec.channel import Channel
from evalsuite.codec.recipe import Recipe
from evalsuite.engine.lanes import Lane, Point, RunOutcome
from evalsuite.engine.plan import Plan
from evalsuite.engine.store import Store, StoredDecode, StoredEncode
from evalsuite.metrics.pooling import Pooled, pool
from evalsuite.provenance import timed_here
from evalsuite.results.hull import families, hull_codec, hull_rows
from evalsuite.results.layout import NO_SCORE_STATUSES, SCHEMA
from evalsuite.results.load import FrameScores, plain_text
from evalsuite.sources.hdr import as_json
from evalsuite.types import Failure, Latency, MetricInfo, Sequence, Series

_NO_QUALITY = ("tokens", "traffic", "complexity", "loss", "content")
"""Families of metrics that say what a codec costs, not what it gives."""


def result_rows(plan: Plan, outcome: RunOutcome, store: Store) -> Iterator[dict[str, Any]]:
    """Rows of results.parquet: one for each rate point, metric and statistic."""
    # By sequence too: one content may be there under two names, each with profiles of its own.
    figures = {
        (lane.sequence.name, point.cell_key): _pooled(plan, outcome.scores[point.cell_key])
        for lane, point in measured_points(outcome)
    }
    for sequence in plan.sequences:
        _add_profiles(plan, outcome, sequence, figures)
    for lane, point in measured_points(outcome):
        shared = _point_columns(plan, lane, point, store.decode(point.cell_key))
        for info, pooled in figures[lane.sequence.name, point.cell_key]:
            yield {
                **shared,
                "metric": info.name,
                "statistic": pooled.statistic,
                "score": None if pooled.status in NO_SCORE_STATUSES else pooled.score,
                "unit": info.unit,
                "higher_is_better": info.higher_is_better,
                "log_domain_ceiling": info.log_domain_ceiling,
                "status": pooled.status,
                "reason": pooled.reason,
                "metric_version": info.version,
            }


def _pooled(plan: Plan, scores: dict[str, Series]) -> list[tuple[MetricInfo, Pooled]]:
    return [(info, one) for info in plan.metrics if info.name in scores for one in pool(scores[info.name], info)]


def _add_profiles(
    plan: Plan, outcome: RunOutcome, sequence: Sequence, figures: dict[tuple[str, str], list[tuple[MetricInfo, Pooled]]]
) -> None:
    """Sum up the means of every point of a sequence by its profiles, beside them."""
    own = [(lane, point.cell_key) for lane, point in measured_points(outcome) if lane.sequence is sequence]
    behind = {key: lane.recipe.channel is not None for lane, key in own}
    means = {
        key: {info.name: one for info, one in figures[sequence.name, key] if one.statistic == "mean"} for key in behind
    }
    # What a channel takes must not change what a codec scores without it.
    deciding = [means[key] for key in behind if not behind[key]]
    for profile in plan.profiles.get(sequence.name, ()):
        for key, score in zip(means, profile.scores(list(means.values()), deciding or None), strict=True):
            figures[sequence.name, key].append((profile.info, score))


def failed_rows(plan: Plan, outcome: RunOutcome) -> Iterator[dict[str, Any]]:
    """Rows of results.parquet for what failed: one for each failure and metric, with the reason and no score.

    A metric that the rate point was scored by before keeps that score.
    """
    lanes = {(lane.recipe.name, lane.sequence.name): lane for lane in outcome.lanes}
    for failure in outcome.failures:
        lane = lanes[failure.codec, failure.sequence]
        point = next((one for one in lane.points if one.cell_key == failure.cell_key), None)
        shared = _point_columns(plan, lane, point, None)
        known = set(outcome.scores[failure.cell_key]) if failure.cell_key in outcome.scores else set()
        profiles = () if known else (profile.info for profile in plan.profiles.get(failure.sequence, ()))
        for info in (*plan.metrics, *profiles):
            if info.name in known:
                continue
            yield {
                **shared,
                "q": failure.q,
                "cell_key": failure.cell_key,
                "metric": info.name,
                "statistic": "mean",
                "score": None,
                "unit": info.unit,
                "higher_is_better": info.higher_is_better,
                "log_domain_ceiling": info.log_domain_ceiling,
                "status": "failed",
                "reason": plain_text(f"{failure.stage}: {failure.message.splitlines()[0]}"),
                "metric_version": info.version,
            }


def frame_rows(plan: Plan, outcome: RunOutcome) -> Iterator[FrameScores]:
    """Rows of frames.parquet, by cell and metric; none of figures that frames have no part in."""
    per_frame = {info.name for info in plan.metrics if info.per_frame}
    for lane, point in measured_points(outcome):
        for name, series in outcome.scores[point.cell_key].items():
            if series.status == "ok" and name in per_frame:
                yield FrameScores(
                    *(point.cell_key, lane.recipe.name, lane.sequence.name, point.encode.q),
                    *(name, series.values, series.frames),
                )


def measured_points(outcome: RunOutcome) -> Iterator[tuple[Lane, Point]]:
    """Every rate point that has scores, with its lane."""
    for lane in outcome.lanes:
        for point in lane.points:
            if point.cell_key in outcome.scores:
                yield lane, point


def _point_columns(plan: Plan, lane: Lane, point: Point | None, decode: StoredDecode | None) -> dict[str, Any]:
    recipe, sequence = lane.recipe, lane.sequence
    encode = point.encode if point else None
    target = point.target_bytes if point else None
    return {
        "codec": recipe.name,
        "preset": recipe.preset,
        "sequence": sequence.name,
        "dataset": sequence.dataset,
        "tags": ",".join(sequence.tags),
        "width": sequence.format.width,
        "height": sequence.format.height,
        "frame_rate": float(sequence.frame_rate),
        "frames": sequence.frames,
        "q": encode.q if encode else None,
        "target_bpp": None if target is None else target * 8 / sequence.pixels,
        "bpp": sequence.bpp(encode.payload_bytes) if encode else None,
        "kbps": sequence.kbps(encode.payload_bytes) if encode else None,
        "bytes": encode.payload_bytes if encode else None,
        "cell_key": point.cell_key if point else "",
        "codec_version": recipe.version(),
        "intra_period": recipe.intra_periods.coded(plan.intra_period),
        "structure": recipe.structure,
        "rate_control": recipe.rate_control,
        "internal_bit_depth": recipe.internal_bit_depth,
        "lookahead": recipe.lookahead,
        "delay": recipe.delay,
        "scale_divisor": 1 if recipe.scale is None else recipe.scale.divisor,
        "rate_source": recipe.rate_source,
        "threads": plan.threads,
        **_cost_columns("encode", encode),
        **_cost_columns("decode", decode),
        **_latency_columns(decode.latency if decode else None),
        "bitstream_sha256": encode.sha256 if encode else None,
        "source_sha256": sequence.sha256,
    }


def _cost_columns(what: str, done: StoredEncode | StoredDecode | None) -> dict[str, Any]:
    usage = done.usage if done else None
    return {
        f"{what}_wall_s": usage.wall_s if usage else None,
        f"{what}_cpu_s": usage.cpu_s if usage else None,
        f"{what}_load_s": usage.load_s if usage else None,
        f"{what}_peak_rss_bytes": (usage.peak_rss_bytes or None) if usage else None,
        # A store may be another machine's: its times are none of this one, whatever they were taken beside.
        f"{what}_ran_alone": done.timing.ran_alone and timed_here(done.timing) if done else None,
    }


def _latency_columns(latency: Latency | None) -> dict[str, Any]:
    return {
        "decode_streams": latency.streams if latency else None,
        "decode_first_frame_s": latency.first_frame_s if latency else None,
        "decode_latency_p50_s": latency.p50_s if latency else None,
        "decode_latency_p95_s": latency.p95_s if latency else None,
        "decode_latency_p99_s": latency.p99_s if latency else None,
        "decode_jitter_s": latency.jitter_s if latency else None,
    }


def summary(
    plan: Plan,
    outcome: RunOutcome,
    store: Store,
    request: dict[str, Any],
    run: dict[str, Any],
) -> dict[str, Any]:
    """What summary.json says, but for the BD-rate rows."""
    return {
        "schema": SCHEMA,
        "request": request,
        "run": run,
        "codecs": [*(entries := _codecs(plan)), *_hull_entries(plan, entries)],
        "sequences": [{**_sequence(one), **asdict(outcome.contents[one.name])} for one in plan.sequences],
        "metrics": [asdict(info) for info in (*plan.metrics, *plan.profile_infos)],
        "outcomes": {**asdict(outcome.counts), "failed": len(outcome.failures)},
        "cost_cpu_s": {kind: round(seconds, 3) for kind, seconds in sorted(outcome.cost_s.items())},
        "rate_match": [row for lane in outcome.lanes for row in _rate_match(lane)],
        "commands": [_commands(lane, point, store.decode(point.cell_key)) for lane, point in measured_points(outcome)],
        "failures": [failure_row(failure) for failure in outcome.failures],
    }


def failure_row(failure: Failure) -> dict[str, Any]:
    """A failure as JSON."""
    return {**asdict(failure), "command": list(failure.command)}


def _rate_match(lane: Lane) -> Iterator[dict[str, Any]]:
    for target in lane.targets:
        q = lane.search.best(target)
        if q is None or q not in lane.encodes:
            continue
        size = lane.encodes[q].payload_bytes
        yield {
            "codec": lane.recipe.name,
            "sequence": lane.sequence.name,
            "target_bpp": target * 8 / lane.sequence.pixels,
            "bpp": lane.sequence.bpp(size),
            "deviation_percent": 100 * (size / target - 1),
            "q": q,
            "encodes": lane.search.spent(target),
        }


def _commands(lane: Lane, point: Point, decode: StoredDecode | None) -> dict[str, Any]:
    passes = 2 if lane.recipe.first_pass else 1
    last = point.encode.commands[-passes:]
    return {
        "cell_key": point.cell_key,
        "codec": lane.recipe.name,
        "sequence": lane.sequence.name,
        "q": point.encode.q,
        "first_pass": list(last[0]) if passes > 1 else [],
        "encode": list(last[-1]),
        "parts": max(1, len(point.encode.commands) // passes),
        "decode": list(decode.command) if decode else [],
    }


def hulls(plan: Plan) -> dict[str, list[str]]:
    """The hulls of this run: names of their members, by name; none unless they are asked for."""
    return families(_codecs(plan)) if plan.hull else {}


def rows_of_hulls(plan: Plan, rows: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Rows of results.parquet of every hull: of metrics of quality, not of what a codec costs."""
    of_quality = {info.name for info in (*plan.metrics, *plan.profile_infos) if info.family not in _NO_QUALITY}
    for name, members in hulls(plan).items():
        yield from hull_rows(rows, name, members, of_quality)


def _hull_entries(plan: Plan, entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for name, members in hulls(plan).items():
        yield hull_codec(name, [entry for entry in entries if entry["name"] in members])


def _loss(channel: Channel) -> dict[str, Any]:
    return {
        "model": str(channel),
        "rate": channel.rate,
        "burst": channel.burst if channel.bursty else None,
        "packet_bytes": channel.packet_bytes,
        "seed": channel.seed,
        "kind": channel.kind,
        "class": channel.only or None,
    }


def _codecs(plan: Plan) -> list[dict[str, Any]]:
    return [_codec(plan, recipe) for recipe in plan.recipes]


def _codec(plan: Plan, recipe: Recipe) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "description": recipe.description,
        "preset": recipe.preset,
        "version": recipe.version(),
        "binary": recipe.binary,
        "binary_sha256": recipe.binary_sha256(),
        "recipe_sha256": recipe.recipe_sha256,
        "files": recipe.files_sha256(),
        "structure": recipe.structure,
        "intra_period": recipe.intra_periods.coded(plan.intra_period),
        "threads": plan.threads,
        "rate_control": recipe.rate_control,
        "internal_bit_depth": recipe.internal_bit_depth,
        "lookahead": recipe.lookahead,
        "delay": recipe.delay,
        "rate_source": recipe.rate_source,
        "device": recipe.device,
        "scale": None if recipe.scale is None else asdict(recipe.scale),
        "loss": None if recipe.channel is None else _loss(recipe.channel),
        "container": recipe.container,
        "notes": recipe.notes,
        "trained_on": list(recipe.trained_on),
        "licence": recipe.licence,
        "encode": list(recipe.encode),
        "decode": list(recipe.decode),
    }


def _sequence(sequence: Sequence) -> dict[str, Any]:
    return {
        "name": sequence.name,
        "dataset": sequence.dataset,
        "width": sequence.format.width,
        "height": sequence.format.height,
        "frame_rate": str(sequence.frame_rate),
        "unsteady": sequence.unsteady,
        "frames": sequence.frames,
        "bit_depth": sequence.format.bit_depth,
        "chroma": sequence.format.chroma,
        "colour": str(sequence.colour),
        "transfer": sequence.colour.transfer,
        "primaries": sequence.colour.primaries or None,
        **as_json(sequence.hdr),
        "tags": list(sequence.tags),
        "licence": sequence.licence,
        "origin": sequence.origin,
        "sha256": sequence.sha256,
    }
