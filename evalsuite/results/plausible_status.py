"""Whether what has no score can have none: a bad rate point must not leave a curve by a status.

What a metric does not apply to, and what is too small for it, follows from the source for most of them, and from the
codec for tokens and traffic. A face that a codec lost is the one thing that follows from decoded frames.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import pandas as pd

from evalsuite.metrics.registry import families
from evalsuite.results.load import RunResults
from evalsuite.results.plausible_frames import figures, found_by
from evalsuite.results.plausible_scores import number, place, said

_LACKING = ("not_applicable", "too_small")

_OF_PIXELS = ("fidelity", "perceptual")
"""Families that apply to every picture that is large enough."""

_OF_CODEC = ("tokens", "traffic")
"""Families that a codec has or has not: its bitstream tells, or does not."""

_OF_MACHINE = ("complexity",)
"""Families whose figures may be there for some bitstreams only."""

_FOUND = ("face_ap50", "face_recall", "face_matched")
"""Figures that are 0 where no face is found."""

_NEEDS = re.compile(r"needs (\d{1,4}) samples on the (shorter|longer) side, this has (\d{1,6})")
_LARGEST_NEED = 256
"""Samples: no metric needs more of the longer side."""


def implausible_statuses(run: RunResults) -> Iterator[str]:
    """Every reason that a score cannot be missing."""
    family = {str(one["name"]): str(one["family"]) for one in run.summary["metrics"]}
    yield from _failed(run)
    points = run.points.assign(family=run.points["metric"].map(family).fillna(""))
    points = points[points["status"] != "failed"]
    yield from _refused(points)
    yield from _too_small(points)
    yield from _in_part(points, run)


def _failed(run: RunResults) -> Iterator[str]:
    """What failed is a bitstream as a whole, and is listed."""
    listed = {(str(one["codec"]), str(one["sequence"]), _q(one["q"])) for one in run.summary["failures"]}
    for (codec, sequence, q), rows in run.points.groupby(["codec", "sequence", "q"], dropna=False):
        failed = rows["status"] == "failed"
        at = f"{codec} on {sequence}, q {said(q)}"
        if failed.any() and (str(codec), str(sequence), _q(q)) not in listed:
            yield f"{at}: {', '.join(sorted(set(rows['metric'][failed])))} failed, and no failure is listed"
        if failed.any() and not failed.all():
            yield f"{at}: some of its scores failed and others did not"


def _refused(points: pd.DataFrame) -> Iterator[str]:
    """No number is no score that a board can be ranked by, and pictures have pixels."""
    bad = (points["status"] == "nan") | ((points["status"] == "not_applicable") & points["family"].isin(_OF_PIXELS))
    for at, rows in points[bad].groupby(["codec", "sequence"]):
        row = rows.iloc[0]
        yield f"{place(at)}: {', '.join(sorted(set(rows['metric'])))} cannot be {row['status']}"


def _too_small(points: pd.DataFrame) -> Iterator[str]:
    smallest = {name: side for family in families() for name, side in family.smallest.items()}
    small = points[points["status"] == "too_small"].drop_duplicates(["sequence", "metric", "width", "height", "reason"])
    for row in small.to_dict("records"):
        told = _NEEDS.fullmatch(str(row["reason"]))
        sides = number(row["width"]), number(row["height"])
        good = False
        if told:
            needed, side = int(told[1]), min(sides) if told[2] == "shorter" else max(sides)
            most = smallest.get(str(row["metric"]), _LARGEST_NEED) if told[2] == "shorter" else _LARGEST_NEED
            good = side == int(told[3]) < needed <= most
        if not good:
            at = f"{row['codec']} on {row['sequence']}"
            yield f"{at}: {said(sides[0])} by {said(sides[1])} samples are not too small for {row['metric']}"


def _in_part(points: pd.DataFrame, run: RunResults) -> Iterator[str]:
    """What has no score for a reason that holds for all of a sequence, or a codec, has none in all of it."""
    judged = points[~points["family"].isin(_OF_MACHINE)]
    of_codec = judged["family"].isin(_OF_CODEC)
    means = figures(run)
    for what, rows in (("sequence", judged[~of_codec]), ("codec", judged[of_codec])):
        for (at, metric), group in rows.groupby([what, "metric"]):
            lacking = group["status"].isin(_LACKING)
            if not lacking.any() or (lacking.all() and group["status"].nunique() == 1):
                continue
            odd = group[lacking].drop_duplicates("cell_key")
            if group["family"].iloc[0] == "faces" and set(odd["status"]) == {"not_applicable"}:
                odd = odd[[not _lost(str(key), str(metric), means) for key in odd["cell_key"]]]
            for row in odd.iloc[:1].to_dict("records"):
                yield (
                    f"{row['codec']} on {row['sequence']}, q {said(row['q'])}: {metric} is {row['status']}, "
                    f"and has a score elsewhere on {what} {at}"
                )


def _lost(key: str, metric: str, means: dict[tuple[str, str], float]) -> bool:
    """Whether a bitstream shows no face any more, by all that counts them."""
    told = [means[key, name] for figure in _FOUND if (key, name := found_by(figure, metric)) in means]
    return bool(told) and not any(told)


def _q(value: object) -> float | None:
    return None if pd.isna(value) else float(value)  # type: ignore[call-overload, arg-type]
