"""Whether the scores of frames are those that the scores of a run are over: all that a metric has, and no others.

A mean over the best frames only is a better mean. Which frames a metric has follows from what it is: all of them; all
but the first, for a change from the frame before; or those in which the source shows a face, or a text.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from evalsuite.metrics.registry import infos
from evalsuite.results.load import RunResults
from evalsuite.results.plausible_scores import ROUNDING, SCORED, number, place, said

_OF_CHANGE = ("temporal",)
"""Families whose scores are of a frame and the one before it."""

_OF_CONTENT = ("faces", "text", "objects", "traffic")
"""Families that have a score only for some frames, or count them in another order."""

_OF_FACES_FOUND = ("identity_cos", "landmark_nme", "landmark_nme_centerface")
"""Scores of those faces that are found in the decoded frame too: there may be fewer of them at a lower rate."""

_ALL_FOUND = ("face_ap50", "face_recall", "face_matched")
"""Each is 1 only where every face is found in every frame."""

FrameSets = Mapping[tuple[str, str], frozenset[int]]
"""Frames by sequence and metric."""


def implausible_frames(run: RunResults) -> Iterator[str]:
    """Every reason that the frames of a run cannot be those of its scores."""
    frames = run.frames()
    yield from _lacking(run, frames)
    if not len(frames):
        return
    if frames.duplicated(["cell_key", "metric", "frame"]).any():
        yield "frames.parquet: a frame stands there twice"
    if frames["score"].isna().any():
        yield "frames.parquet: a score of a frame is no number"
    cells = run.points.drop_duplicates("cell_key").set_index("cell_key")
    if unknown := set(frames["cell_key"]) - set(cells.index):
        yield f"frames.parquet: {len(unknown)} bitstreams that results.parquet does not have"
    count = frames["cell_key"].map(cells["frames"].astype(float))
    if (frames["frame"] < 0).any() or (frames["frame"] >= count).any():
        yield "frames.parquet: a frame beyond the number of frames"
    yield from _pooled(run, frames)
    yield from _left_out(run, frames)
    yield from sparse_faults(run, frame_sets(run))


def _pooled(run: RunResults, frames: pd.DataFrame) -> Iterator[str]:
    """Means and worst frames are those of the frames."""
    pooled = frames.groupby(["cell_key", "metric"])["score"].agg(["mean", "min", "max"])
    told = run.points[run.points["status"].isin(SCORED)].drop_duplicates(["cell_key", "metric", "statistic"])
    for statistic in ("mean", "worst"):
        rows = told[told["statistic"] == statistic].set_index(["cell_key", "metric"])
        both = rows.join(pooled, how="inner")
        ours = both["mean"] if statistic == "mean" else both["min"].where(both["higher_is_better"] == True, both["max"])  # noqa: E712 - may be null
        score = both["score"].astype(float)
        near = np.isclose(ours, score, rtol=2 * ROUNDING, atol=ROUNDING) | (ours == score)
        for row in both.assign(ours=ours).reset_index()[~np.asarray(near)].iloc[:1].to_dict("records"):
            yield (
                f"{row['codec']} on {row['sequence']}, q {said(row['q'])}: {row['metric']} {statistic} is "
                f"{said(row['score'])}, but {said(row['ours'])} by its frames"
            )


def _lacking(run: RunResults, frames: pd.DataFrame) -> Iterator[str]:
    """A mean over frames has frames, for the codec whose frames are kept at all."""
    scored = _over_frames(run)
    held = set(zip(frames["cell_key"], frames["metric"], strict=True))
    missing = [key not in held for key in zip(scored["cell_key"], scored["metric"], strict=True)]
    for at, rows in scored[missing].groupby(["codec", "sequence"]):
        yield f"{place(at)}: {', '.join(sorted(set(rows['metric'])))} without frames in frames.parquet"


def _left_out(run: RunResults, frames: pd.DataFrame) -> Iterator[str]:
    """A metric of every frame has every frame, one of changes every frame but the first."""
    scored = _over_frames(run)
    facts = frames.groupby(["cell_key", "metric"])["frame"].agg(["min", "max", "nunique"])
    both = scored[~scored["family"].isin(_OF_CONTENT)].join(facts, on=["cell_key", "metric"], how="inner")
    first = both["family"].isin(_OF_CHANGE).astype(int)
    last = both["frames"].astype(float) - 1
    whole = (both["min"] == first) & (both["max"] == last) & (both["nunique"] == last - first + 1)
    for at, rows in both[~whole].groupby(["codec", "sequence"]):
        first_row = rows.iloc[0]
        yield (
            f"{place(at)}: {', '.join(sorted(set(rows['metric'])))} is over other frames than all of them: "
            f"{first_row['nunique']} of {first_row['frames']} for {first_row['metric']}"
        )


def frame_sets(run: RunResults) -> FrameSets:
    """The frames that metrics of faces and texts have a score of at any rate, by sequence and metric."""
    scored = _over_frames(run)
    kept = scored[scored["family"].isin(_OF_CONTENT)]
    rows = run.frames()[["cell_key", "metric", "frame"]]
    both = rows.merge(kept[["cell_key", "metric", "sequence"]], on=["cell_key", "metric"])
    return {
        (str(sequence), str(metric)): frozenset(map(int, held))
        for (sequence, metric), held in both.groupby(["sequence", "metric"])["frame"]
    }


def sparse_faults(run: RunResults, shown: FrameSets) -> Iterator[str]:
    """Scores of faces and texts leave out no frame that the source shows one in.

    Args:
        run: with its frames.
        shown: the frames that have a score at all, of this run or of another of the same sources.
    """
    scored = _over_frames(run)
    kept = scored[scored["family"].isin(_OF_CONTENT)]
    frames = run.frames()
    frames = frames[frames["cell_key"].isin(kept["cell_key"]) & frames["metric"].isin({*kept["metric"], *_ALL_FOUND})]
    held = {key: rows.set_index("frame")["score"] for key, rows in frames.groupby(["cell_key", "metric"])}
    means = figures(run)
    for row in kept.to_dict("records"):
        key, metric, sequence = str(row["cell_key"]), str(row["metric"]), str(row["sequence"])
        mine, wanted = held.get((key, metric)), shown.get((sequence, metric))
        if mine is None or wanted is None:
            continue
        matched = held.get((key, found_by("face_matched", metric)))
        if metric not in _OF_FACES_FOUND:
            wrong = set(mine.index) ^ set(wanted)
        elif matched is not None:
            # Where a face is found there is a score of it; landmarks of faces in profile have none, at any rate.
            found = set(matched.index[matched > 0])
            wrong = set(mine.index) ^ (found if metric.startswith("identity") else found & wanted)
        else:
            told = [means[key, name] for name in map(found_by, _ALL_FOUND, [metric] * 3) if (key, name) in means]
            # A frame without its face is one in which it was not found, and then these are below 1.
            wrong = set() if told and max(told) < 1 else set(wanted) - set(mine.index)
        if wrong:
            at = f"{row['codec']} on {sequence}, q {said(row['q'])}"
            yield f"{at}: {metric} leaves out frames that it has, or has others: {len(wrong)} of {row['frames']}"


def figures(run: RunResults) -> dict[tuple[str, str], float]:
    """The mean of every cell and metric that has one."""
    means = run.points[(run.points["statistic"] == "mean") & run.points["status"].isin(SCORED)]
    keys = zip(means["cell_key"].astype(str), means["metric"].astype(str), strict=True)
    return dict(zip(keys, map(number, means["score"]), strict=True))


def found_by(figure: str, metric: str) -> str:
    """A figure of the detector that a metric of faces is made with."""
    return f"{figure}_centerface" if metric.endswith("_centerface") else figure


def _over_frames(run: RunResults) -> pd.DataFrame:
    """The means over frames of the codec whose frames are kept, with the family of each."""
    ours = infos()
    over_frames = {
        str(one["name"]): str(one["family"])
        for one in run.summary["metrics"]
        if (known.per_frame if (known := ours.get(str(one["name"]))) else one.get("per_frame"))
    }
    anchor = run.summary["request"]["anchor"]
    codecs = {str(one["name"]) for one in run.summary["codecs"]} - {anchor} or {anchor}
    scored = run.points[
        run.points["status"].isin(SCORED)
        & (run.points["statistic"] == "mean")
        & run.points["metric"].isin(over_frames)
        & run.points["codec"].isin(codecs)
    ]
    return scored.assign(family=scored["metric"].map(over_frames))
