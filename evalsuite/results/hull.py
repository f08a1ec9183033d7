"""Convex hulls: what a codec reaches when the best of its resolutions or presets is taken at each rate.

The AOM common test conditions compare codecs for adaptive streaming by the hull over coded resolutions. Here the hull
of a codec's variants becomes a codec of its own, `x265:hull`, made of the rate points on it, metric by metric.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

SUFFIX = ":hull"
_PRESET = "hull"

_KIND = ("structure", "intra_period", "internal_bit_depth", "delay", "rate_source", "threads")


def hull_indices(rates: ArrayLike, scores: ArrayLike, *, higher_is_better: bool) -> NDArray[np.intp]:
    """Which points lie on the upper convex hull of quality over rate, by rising rate.

    From the cheapest point to the best one. The rate is linear, as a receiver that switches between streams mixes them:
    what lies below a chord is beaten by switching between its ends.

    Args:
        rates: (n,) positive rates.
        scores: (n,) finite scores.
        higher_is_better: the metric's direction.

    Source: AOM CTC (CWG-B075o), adaptive streaming; A. Andrew, Another Efficient Algorithm for Convex Hulls in Two
    Dimensions, Information Processing Letters 9 (1979).
    """
    rate = np.asarray(rates, dtype=np.float64)
    goodness = np.asarray(scores, dtype=np.float64) * (1 if higher_is_better else -1)
    kept: list[int] = []
    for i in np.lexsort((-goodness, rate)):
        if kept and goodness[i] <= goodness[kept[-1]]:
            continue
        while len(kept) > 1 and _turns_up(rate[[*kept[-2:], i]], goodness[[*kept[-2:], i]]):
            kept.pop()
        kept.append(int(i))
    return np.array(kept, dtype=np.intp)


def _turns_up(x: NDArray[np.float64], y: NDArray[np.float64]) -> bool:
    """Whether the middle of three points lies on or below the chord of the others."""
    return bool((y[1] - y[0]) * (x[2] - x[0]) <= (y[2] - y[0]) * (x[1] - x[0]))


def hull_name(codec: str) -> str:
    """What the hull of a codec's variants is called."""
    return codec.partition(":")[0] + SUFFIX


def families(codecs: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """The hulls that the codecs of a run offer: names of two or more members, by name of the hull.

    Members have the name before the first colon in common, and structure, intra period, internal bit depth, delay, rate
    source and threads: what remains is resolution, preset and how the rate is controlled.

    Args:
        codecs: entries of summary.json.
    """
    found: dict[str, dict[tuple[str, ...], list[str]]] = {}
    for codec in codecs:
        kind = tuple(str(codec.get(key)) for key in _KIND)
        found.setdefault(hull_name(str(codec["name"])), {}).setdefault(kind, []).append(str(codec["name"]))
    largest = {name: max(kinds.values(), key=len) for name, kinds in found.items()}
    return {name: members for name, members in largest.items() if len(members) > 1}


def hull_codec(name: str, members: list[Mapping[str, Any]]) -> dict[str, Any]:
    """The entry of a hull among the codecs of summary.json."""
    names = [str(member["name"]) for member in members]
    return {
        **members[0],
        "name": name,
        "description": f"convex hull of {', '.join(names)}, metric by metric",
        "preset": _PRESET,
        "version": _version(names),
        "recipe_sha256": "+".join(str(member["recipe_sha256"]) for member in members),
        "scale": None,
        "notes": "",
        "trained_on": sorted({one for member in members for one in member.get("trained_on", ())}),
    }


def is_hull(codec: Mapping[str, Any]) -> bool:
    """Whether an entry among the codecs of summary.json is a hull's."""
    return codec.get("preset") == _PRESET and str(codec.get("name")).endswith(SUFFIX)


def hull_rows(
    rows: list[dict[str, Any]], name: str, members: list[str], metrics: Container[str]
) -> Iterator[dict[str, Any]]:
    """Rows of results.parquet of a hull: for each sequence and metric the points on it, with all their statistics.

    Points have no q, since each is of another codec; their cell keys are those of the members. A metric without a
    direction has no hull, and a point without a score lies on none. Cells of members that failed are the hull's too.

    Args:
        rows: rows of the members, and of any others.
        name: of the hull.
        members: names of the codecs that it is made of.
        metrics: names of those that there is a hull of: not what a codec costs.
    """
    grouped: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        if row["codec"] in members and row["metric"] in metrics and row["higher_is_better"] is not None:
            grouped.setdefault((row["sequence"], row["metric"]), []).append(row)
    for group in grouped.values():
        means = [row for row in group if row["statistic"] == "mean" and row["status"] == "ok" and row["bpp"]]
        on_it = hull_indices(
            [row["bpp"] for row in means],
            [row["score"] for row in means],
            higher_is_better=bool(group[0]["higher_is_better"]),
        )
        chosen = {means[i]["cell_key"] for i in on_it}
        for row in group:
            # A cell that failed may have been on it.
            if row["cell_key"] in chosen or row["status"] == "failed":
                yield {**row, "codec": name, "preset": _PRESET, "q": None, "codec_version": _version(members)}


_MADE_OF = "hull of "


def _version(members: list[str]) -> str:
    return _MADE_OF + ", ".join(members)


def members_of(codec_version: str) -> list[str]:
    """The names of a hull's members, of the version that its rows have; none of another codec's."""
    return codec_version.removeprefix(_MADE_OF).split(", ") if codec_version.startswith(_MADE_OF) else []
