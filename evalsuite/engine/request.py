"""One whole run: the request is checked, everything is fetched and verified, then it is run and written."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalsuite import provenance
from evalsuite.assets import cache_dir
from evalsuite.codec.channel import parse_channel
from evalsuite.codec.recipe import Recipe, load_recipe, look_again
from evalsuite.codec.taking import check_format
from evalsuite.codec.transport import through
from evalsuite.engine.board import check_plan
from evalsuite.engine.choice import choose
from evalsuite.engine.content import fetch_detector
from evalsuite.engine.engines import open_pool
from evalsuite.engine.execute import Pool
from evalsuite.engine.features import FeatureCache
from evalsuite.engine.lanes import Job, RunOutcome
from evalsuite.engine.plan import MatchCodec, Plan, parse_match
from evalsuite.engine.progress import Event
from evalsuite.engine.records import failed_rows, frame_rows, hulls, result_rows, rows_of_hulls, summary
from evalsuite.engine.run import Runner
from evalsuite.engine.store import Store
from evalsuite.errors import AssetError, RequestError, did_you_mean
from evalsuite.metrics.concealment import FAMILY as LOSS
from evalsuite.metrics.registry import select
from evalsuite.proctree import can_watch
from evalsuite.results.bdrows import BDRow
from evalsuite.results.board import Board
from evalsuite.results.history import keep_run
from evalsuite.results.load import read_run, write_results
from evalsuite.results.profile import profiles_for
from evalsuite.results.tables import bd_table
from evalsuite.sources.dataset import FILES, load_dataset
from evalsuite.sources.tags import Stated
from evalsuite.sources.y4m import Geometry
from evalsuite.types import OperatingPoint


@dataclass(frozen=True, slots=True)
class Request:
    """What the user asked for, as given."""

    codecs: tuple[str, ...]
    dataset: str
    sequences: tuple[str, ...]
    """Files, names of sequences of the dataset, or choices such as `tag:faces`; empty means the whole dataset."""
    geometry: Geometry | None
    stated: Stated
    """Of the colour of files."""
    match: str | None
    anchor: str | None
    metrics: str
    profile: str
    """`none`, `auto`, or names of profiles."""
    frames: int | None
    intra_period: int
    threads: int
    jobs: int | None
    timing: bool
    """One task at a time, after a warm-up."""
    hull: bool
    """Make a codec of the convex hull of each codec's variants."""
    memory_limit: int | None
    """Bytes for each program and all that it starts; None for no limit."""
    timeout: float
    feature_bytes: int
    """Size limit of the features of sources that are kept between runs; 0 keeps none."""
    store: Path
    out: Path
    command: tuple[str, ...]
    """What was typed, for the record."""
    board: Board | None = None
    """The protocol that all this must agree with."""
    split: bool = True
    """Split long encodes by GoP where that gives the same stream."""
    loss: tuple[str, ...] = ()
    """Models of channels that lose packets: every codec is also measured behind each of them."""
    cluster: str | None = None
    """Address or scheduler file of a Dask cluster; None for this machine."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A run that ended: its folder, and what it found out."""

    folder: Path
    plan: Plan
    outcome: RunOutcome
    summary: dict[str, Any]
    """As in summary.json, but for the BD-rate rows."""
    bd_rate: list[BDRow]


def make_plan(request: Request) -> Plan:
    """Check the request and fetch and verify all it needs.

    Raises:
        EvalError: anything about it that is wrong or cannot be had; nothing has been encoded then.
    """
    look_again()
    recipes = _recipes(request.codecs)
    names = [recipe.name for recipe in recipes]
    # Variants may be named in any order, a recipe by its path: what was typed means the codec that it made.
    typed = dict(zip(request.codecs, names, strict=True))
    match = parse_match(typed.get(request.match or "", request.match), names)
    anchor = typed.get(request.anchor or "", request.anchor or names[0])
    if request.frames is not None and request.frames < 1:
        raise RequestError("--frames must be at least 1", got=request.frames)
    if request.timing and request.jobs not in (None, 1):
        raise RequestError(
            "--timing does one thing at a time", expected="--jobs 1, or none", got=f"--jobs {request.jobs}"
        )
    if request.memory_limit is not None and not can_watch():
        raise RequestError(
            "the memory of programs cannot be watched on this system",
            expected="/proc/PID/status, as Linux has it",
            fix="leave --memory-limit out, or set a limit by other means, such as a container's",
        )
    behind = _behind_channels(request, recipes)
    metrics = select(request.metrics, tokens=any(recipe.info for recipe in recipes))
    if behind:
        metrics += tuple(info for info in LOSS.infos if info not in metrics)
    features = FeatureCache(cache_dir() / "features", request.feature_bytes)
    sequences = choose(
        request.sequences,
        request.dataset,
        geometry=request.geometry,
        stated=request.stated,
        frames=request.frames,
        features=features,
    )
    profiles = profiles_for(request.profile, {sequence.name: sequence.tags for sequence in sequences})
    asked = {info.name: info for info in metrics}
    for profile in {one.name: one for chosen in profiles.values() for one in chosen}.values():
        asked.update({info.name: info for info in select(",".join(profile.metrics))})
    metrics = tuple(asked.values())
    if any(info.family == "faces" for info in metrics):
        # Before sources are described; the metrics themselves say it where it cannot be had.
        with suppress(AssetError):
            fetch_detector()
    for recipe in recipes:
        recipe.check_available()
        recipe.check_point(OperatingPoint(recipe.knob.ladder[0], request.intra_period, request.threads))
        for sequence in sequences:
            check_format(recipe, sequence)
    plan = Plan(
        recipes=recipes + behind,
        sequences=sequences,
        metrics=metrics,
        match=match,
        anchor=anchor,
        intra_period=request.intra_period,
        threads=request.threads,
        timeout=request.timeout,
        features=features,
        profiles=profiles,
        timing=request.timing,
        hull=request.hull,
        split=request.split,
    )
    names += hulls(plan)
    if anchor not in names:
        raise RequestError(f"--anchor {anchor!r} is not a codec of this run", fix=did_you_mean(anchor, names))
    if request.hull and not hulls(plan):
        raise RequestError(
            "--hull has nothing to make a hull of",
            expected="two or more variants of one codec that differ in size or preset, such as x265,x265:half",
            got=", ".join(names),
        )
    if request.board is not None:
        check_plan(request.board, plan)
    return plan


def run_request(request: Request, progress: Callable[[Event], None]) -> Finished:
    """Run a request and write results.parquet, frames.parquet, bd_rate.csv and summary.json to its folder.

    Args:
        request: what is asked for.
        progress: called whenever a task of the run starts or ends.

    Raises:
        EvalError: the request is wrong, or the store or the output folder cannot be written.
    """
    started, began = time.time(), time.monotonic()
    cpu_started = _cpu_seconds()
    load = os.getloadavg()[0]
    plan = make_plan(request)
    _try_folder(request.out)
    with Store(request.store) as store:
        with _open_pool(request, plan) as pool:
            outcome = Runner(plan, store, pool, progress).run()
            machines = {"jobs": pool.jobs, "workers": pool.machines}
        commit, dirty = provenance.commit()
        run = {
            "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
            "wall_s": round(time.monotonic() - began, 3),
            "cpu_s": round(_cpu_seconds() - cpu_started, 3),
            "commit": commit,
            "dirty": dirty,
            "machine": {**provenance.machine(), **machines, "load_average_1min": round(load, 2)},
            "environment": provenance.environment(),
            "versions": provenance.versions(),
            "timing": {
                "alone": plan.timing,
                "remarks": outcome.remarks,
                "load_s": {
                    name: {"encode": encode, "decode": decode} for name, (encode, decode) in outcome.loads.items()
                },
            },
        }
        document = summary(plan, outcome, store, _as_json(request, plan), run)
        rows = list(result_rows(plan, outcome, store))
        rows += failed_rows(plan, outcome)
        rows += rows_of_hulls(plan, rows)
        # What a channel costs is told against the same bitstreams without it (evalsuite.results.losscurve).
        behind = {recipe.name for recipe in plan.recipes if recipe.channel}
        bd_rows = _bd_rows([row for row in rows if row["codec"] not in behind], plan.anchor)
        write_results(request.out, rows, frame_rows(plan, outcome), {**document, "bd_rate": bd_rows})
        # Before anybody may prune the store: what a kept run refers to stays.
        keep_run(read_run(request.out), request.store)
    return Finished(request.out, plan, outcome, document, bd_rows)


def _open_pool(request: Request, plan: Plan) -> Pool[Job]:
    named = {sequence.dataset for sequence in plan.sequences} - {FILES}
    return open_pool(
        plan,
        jobs=request.jobs,
        cluster=request.cluster,
        memory_limit=request.memory_limit,
        entries=load_dataset(request.dataset).sequences if named else (),
    )


def _bd_rows(rows: list[dict[str, Any]], anchor: str) -> list[BDRow]:
    # A run whose anchor failed everywhere still has scores to write, only nothing to compare them with.
    if not any(row["codec"] == anchor for row in rows):
        return []
    import pandas as pd

    return bd_table(pd.DataFrame(rows), anchor)


def _try_folder(folder: Path) -> None:
    # Hours of work must not end at a folder that cannot be written.
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise RequestError(
            f"the output folder cannot be written: {error.strerror}", where=folder, fix="give another one with --out"
        ) from error


def _cpu_seconds() -> float:
    import resource

    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    )


def _recipes(names: tuple[str, ...]) -> tuple[Recipe, ...]:
    recipes = tuple(load_recipe(name) for name in names)
    if not recipes:
        raise RequestError("no codec is named", fix="name some with --codecs, such as --codecs tvc,x265")
    seen = [recipe.name for recipe in recipes]
    twice = sorted({name for name in seen if seen.count(name) > 1})
    if twice:
        raise RequestError(f"codec named twice: {', '.join(twice)}", fix="name each codec once")
    return recipes


def _behind_channels(request: Request, recipes: tuple[Recipe, ...]) -> tuple[Recipe, ...]:
    """Every codec behind every channel.

    Raises:
        RequestError: no such channel, a codec that cannot be sent over one, or a request that goes with none.
    """
    channels = dict.fromkeys(parse_channel(text) for text in request.loss)
    for option, given in (("--hull", request.hull), ("--timing", request.timing), ("--board", request.board)):
        if channels and given:
            raise RequestError(f"--loss and {option} do not go together", fix="make two runs")
    return tuple(through(recipe, channel) for recipe in recipes for channel in channels)


def _as_json(request: Request, plan: Plan) -> dict[str, Any]:
    return {
        "command": list(request.command),
        "board": None if request.board is None else request.board.stamp,
        "codecs": [recipe.name for recipe in plan.recipes],
        "dataset": request.dataset,
        "sequences": [sequence.name for sequence in plan.sequences],
        "match": plan.match.name if isinstance(plan.match, MatchCodec) else request.match,
        "anchor": plan.anchor,
        "metrics": [info.name for info in plan.metrics],
        "profiles": {name: [one.name for one in chosen] for name, chosen in plan.profiles.items() if chosen},
        "frames": request.frames,
        "intra_period": plan.intra_period,
        "threads": plan.threads,
        "timeout_s": plan.timeout,
        "timing": plan.timing,
        "hull": plan.hull,
        "memory_limit_bytes": request.memory_limit,
        "loss": [str(parse_channel(text)) for text in request.loss],
    }
