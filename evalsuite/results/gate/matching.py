"""Which cells of a baseline and a candidate are the same: codec, sequence and operating point.

Only what both sides have is compared. What one of them lacks is listed, never made up for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from evalsuite.errors import RequestError, did_you_mean
from evalsuite.results.comparable import likeness, sequence_key
from evalsuite.results.curve import MIN_POINTS
from evalsuite.results.gate.rules import Gate
from evalsuite.results.hull import SUFFIX, hull_name, members_of
from evalsuite.results.load import RunResults

BASELINE, CANDIDATE = "baseline", "candidate"
"""What the two sides are called in the column `codec` of matched points."""

TARGET_TOLERANCE = 0.05
"""Relative distance of two target rates that are taken for the same point: rates to match may move a little."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed cells of one codec."""

    before: int
    after: int
    new: tuple[str, ...]
    """Those of the candidate that the baseline does not have, in words."""


@dataclass(frozen=True, slots=True)
class Matched:
    """One codec on both sides."""

    codec: str
    """Its name in the candidate."""
    baseline_codec: str
    points: pd.DataFrame
    """Rows of results.parquet of both sides; `codec` is `baseline` or `candidate`, `sequence` the candidate's name, and
    `point` says which points belong together (empty where they do not pair)."""
    baseline: pd.DataFrame
    """All of the baseline's rows of these sequences, also of points that the candidate lacks."""
    tags: Mapping[str, tuple[str, ...]]
    """By sequence, those of either side."""
    missing: tuple[str, ...]
    """What one side lacks, and which points do not pair, in words."""
    lost: Mapping[str, tuple[str, ...]]
    """By sequence, the points that the candidate lacks though it has the sequence; of a hull, that its members lack."""
    members: Mapping[str, pd.DataFrame]
    """Of a hull, the `points` of the codecs that it is made of, by name in the candidate; of others none."""
    failures: Failures
    same_machine: str
    """Why costs are not comparable; empty where they are."""
    unlike: str
    """What is not like with like between the two sides; empty where nothing is, or one side was published."""
    may_differ: bool = False
    """Whether that may pass."""

    @property
    def sequences(self) -> tuple[str, ...]:
        """The sequences that both sides have."""
        return tuple(self.tags)


def match_runs(baseline: RunResults, candidate: RunResults, gate: Gate) -> tuple[Matched, ...]:
    """Bring two runs together, codec by codec.

    Raises:
        RequestError: no codec, or no sequence of a codec, is on both sides, or one codec has several presets.
    """
    pairs = _codec_pairs(baseline, candidate, gate)
    found = [replace(_match(baseline, candidate, *pair), may_differ=gate.may_differ) for pair in pairs]
    if not any(match.sequences for match in found):
        raise RequestError(
            "the baseline and the candidate have nothing in common",
            where=f"{baseline.folder}, {candidate.folder}",
            got="; ".join(dict.fromkeys(line for match in found for line in match.missing)) or "no points",
            fix="give two runs of the same sequences, frames and points",
        )
    if not gate.codec and not gate.baseline_codec:
        found[0] = replace(found[0], missing=(*_codecs_of_one_side(baseline, candidate, pairs), *found[0].missing))
    return tuple(found)


def _codecs_of_one_side(baseline: RunResults, candidate: RunResults, pairs: list[tuple[str, str]]) -> Iterator[str]:
    for run, side, other in ((baseline, 0, CANDIDATE), (candidate, 1, BASELINE)):
        for name in dict.fromkeys(run.points["codec"]):
            if name not in [pair[side] for pair in pairs]:
                yield f"the codec {name}: not in the {other}"


def _codec_pairs(baseline: RunResults, candidate: RunResults, gate: Gate) -> list[tuple[str, str]]:
    ours, theirs = (list(dict.fromkeys(run.points["codec"])) for run in (baseline, candidate))
    for name, known, run in ((gate.codec, theirs, candidate), (gate.baseline_codec, ours, baseline)):
        if name and name not in known:
            raise RequestError(f"the run has no codec {name!r}", where=run.folder, fix=did_you_mean(name, known))
    if gate.codec or gate.baseline_codec:
        after = gate.codec or (gate.baseline_codec if gate.baseline_codec in theirs else _only(theirs, candidate))
        before = gate.baseline_codec or (after if after in ours else _only(ours, baseline))
        return [(before, after)]
    common = [name for name in ours if name in theirs]
    return [(name, name) for name in common] or [(_only(ours, baseline), _only(theirs, candidate))]


def _only(names: list[str], run: RunResults) -> str:
    if len(names) != 1:
        raise RequestError(
            "which codec is to be compared is not clear",
            where=run.folder,
            expected="a codec of the same name on both sides, or one codec a side",
            got=", ".join(names) or "none",
            fix="name it with --codec and --baseline-codec",
        )
    return names[0]


def _match(baseline: RunResults, candidate: RunResults, before: str, after: str) -> Matched:
    missing: list[str] = []
    members, absent = _members(baseline, candidate, before, after)
    parts: list[pd.DataFrame] = []
    whole: list[pd.DataFrame] = []
    tags: dict[str, tuple[str, ...]] = {}
    lost: dict[str, tuple[str, ...]] = {}
    ours, theirs = _rows(baseline, before), _rows(candidate, after)
    missing += [f"{one}: not in the {CANDIDATE}, and the hull without it" for one in absent]
    for own, other, name in _sequences(ours, theirs, missing):
        pairing = _of_hull(own, other, name, members) if members else _points(own, other)
        missing += [f"{name}: {one}" for one in (*pairing.lost, *pairing.said)]
        if pairing.points is None:
            continue
        if gone := (*pairing.lost, *(f"{one}: not in the {CANDIDATE}" for one in absent)):
            lost[name] = gone
        parts += [
            _labelled(own, BASELINE, name, {cells[0]: point for point, cells in pairing.points.items()}),
            _labelled(other, CANDIDATE, name, {cells[1]: point for point, cells in pairing.points.items()}),
        ]
        whole.append(own.assign(sequence=name))
        both = (tag for rows in (own, other) for tag in str(rows["tags"].iloc[0]).split(","))
        tags[name] = tuple(dict.fromkeys(filter(None, both)))
    points = pd.concat(parts, ignore_index=True) if parts else theirs.iloc[:0].assign(point="")
    return Matched(
        codec=after,
        baseline_codec=before,
        points=points,
        baseline=pd.concat(whole, ignore_index=True) if whole else ours.iloc[:0],
        tags=tags,
        missing=tuple(missing),
        lost=lost,
        members={name: member.points for name, member in members.items()},
        failures=_failures(baseline, before, candidate, after),
        same_machine=_machines(baseline.summary, candidate.summary),
        unlike=_unlike(points),
    )


def _members(
    baseline: RunResults, candidate: RunResults, before: str, after: str
) -> tuple[dict[str, Matched], list[str]]:
    """The codecs that a hull is made of: on both sides, matched, by name in the candidate; and in the baseline alone.

    Nothing where the candidate's codec is no hull.
    """
    if not after.endswith(SUFFIX):
        return {}, []
    ours, theirs = (_member_names(run, name) for run, name in ((baseline, before), (candidate, after)))
    both = {theirs[variant]: name for variant, name in ours.items() if variant in theirs}
    absent = [name for variant, name in ours.items() if variant not in theirs]
    return {after: _match(baseline, candidate, before, after) for after, before in both.items()}, absent


def _of_hull(own: pd.DataFrame, other: pd.DataFrame, name: str, members: Mapping[str, Matched]) -> _Pairing:
    """The points of a hull: those of its members, which pair as they do. It may well have fewer: it lost theirs."""
    before, after = _cells(own), _cells(other)
    known = [set(side["cell_key"]) for side in (before, after)]
    pairs: dict[str, tuple[str, str]] = {}
    for member, match in members.items():
        rows = match.points[(match.points["sequence"] == name) & (match.points["point"] != "")]
        cells = rows.drop_duplicates(["point", "codec"]).pivot(index="point", columns="codec", values="cell_key")
        for point, key, partner in cells.reindex(columns=[BASELINE, CANDIDATE]).dropna().itertuples():
            if key in known[0] and partner in known[1]:
                pairs[f"{member} at {point}"] = (key, partner)
    held = [{cells[side] for cells in pairs.values()} for side in (0, 1)]
    alone = (side[~side["cell_key"].isin(paired)] for side, paired in zip((before, after), held, strict=True))
    lost = tuple(f"{member}: {one}" for member, match in members.items() for one in match.lost.get(name, ()))
    lost += tuple(f"{member}: not in the {CANDIDATE}" for member, match in members.items() if name not in match.tags)
    return _Pairing(None if before.empty else pairs | _apart(*alone), lost, () if pairs else (_UNPAIRED,))


def _member_names(run: RunResults, codec: str) -> dict[str, str]:
    """Names of a hull's members by what follows the first colon; empty where it is no hull."""
    versions = run.points["codec_version"][run.points["codec"] == codec]
    names = members_of(str(versions.iloc[0])) if codec.endswith(SUFFIX) and len(versions) else []
    return {name.partition(":")[2]: name for name in names if (run.points["codec"] == name).any()}


def _rows(run: RunResults, codec: str) -> pd.DataFrame:
    rows = run.points[run.points["codec"] == codec]
    presets = sorted(set(rows["preset"]))
    if len(presets) > 1:
        raise RequestError(
            f"the codec {codec} has several presets in one run",
            where=run.folder,
            expected="one preset",
            got=", ".join(presets),
            fix="run each preset by itself, or as a codec of its own",
        )
    return rows


def _unlike(points: pd.DataFrame) -> str:
    sides = [points[points["codec"] == side] for side in (BASELINE, CANDIDATE)]
    if any(side.empty or (side["rate_source"] == "published").any() for side in sides):
        return ""  # of what was published much is unknown by nature
    return likeness(*sides).unlike


def _sequences(
    ours: pd.DataFrame, theirs: pd.DataFrame, missing: list[str]
) -> Iterator[tuple[pd.DataFrame, pd.DataFrame, str]]:
    """The sequences of both sides; what has no partner goes to `missing`, with the reason."""
    left = {str(name): rows for name, rows in ours.groupby("sequence", sort=True)}
    for key, other in theirs.groupby("sequence", sort=True):
        name = str(key)
        partner = next((one for one, own in left.items() if _same_content(own, other)), None)
        if partner is not None:
            yield left.pop(partner), other, name
        elif name in left:
            missing.append(f"{name}: {_differs(left.pop(name), other)}")
        else:
            missing.append(f"{name}: not in the baseline")
    missing += [f"{name}: not in the candidate" for name in left]


def _same_content(own: pd.DataFrame, other: pd.DataFrame) -> bool:
    if _facts(own)[1:] != _facts(other)[1:]:
        return False
    digests = {_facts(own)[0], _facts(other)[0]}
    if "" in digests:  # published points have none
        return sequence_key(str(own["sequence"].iloc[0])) == sequence_key(str(other["sequence"].iloc[0]))
    return len(digests) == 1


def _facts(rows: pd.DataFrame) -> tuple[str, ...]:
    return tuple(str(rows[column].iloc[0]) for column in ("source_sha256", "frames", "width", "height"))


def _differs(own: pd.DataFrame, other: pd.DataFrame) -> str:
    for title, column in (("frames", 1), ("pixels in width", 2), ("pixels in height", 3)):
        before, after = _facts(own)[column], _facts(other)[column]
        if before != after:
            return f"{before} {title} in the baseline, {after} in the candidate"
    return "other content on the two sides (the digests of the sources differ)"


@dataclass(frozen=True, slots=True)
class _Pairing:
    """Which cells of one sequence belong together."""

    points: dict[str, tuple[str, str]] | None
    """Both sides' cells, by what a point is called; None where the baseline has no point at all.

    Where no point has a partner, all are compared, as curves: names begin with # then, and one cell is empty.
    """
    lost: tuple[str, ...]
    """Points that the candidate lacks."""
    said: tuple[str, ...]
    """What else does not pair."""


def _points(own: pd.DataFrame, other: pd.DataFrame) -> _Pairing:
    before, after = _cells(own), _cells(other)
    known = _failed(own)
    # What failed on both sides was not lost.
    broken = [failed for failed in _failed(other) if failed not in known]
    said = [f"{failed} in the {BASELINE}" for failed in known]
    if before.empty:
        return _Pairing(None, (), (*said, f"no point in the {BASELINE}"))
    lost = [f"{failed} in the {CANDIDATE}" for failed in broken]
    if after.empty:
        return _Pairing(_apart(before, after), (*lost, f"no point in the {CANDIDATE}"), tuple(said))
    targets = bool(before["target_bpp"].notna().all() and after["target_bpp"].notna().all())
    column = "target_bpp" if targets else "q"
    matched = _nearest(before[column].to_numpy(float), after[column].to_numpy(float), targets=targets)
    if not matched:
        return _Pairing(_apart(before, after), tuple(lost), (*said, _UNPAIRED))
    if not targets and len(matched) < MIN_POINTS <= min(len(before), len(after)) and _encoder(own) != _encoder(other):
        return _Pairing(_apart(before, after), tuple(lost), (*said, _OTHER_SCALE))
    if targets:
        # What failed is a try of the search: a target that it left without a point has no partner.
        said, lost = [*lost, *said], []
    pairs: dict[str, tuple[str, str]] = {}
    for first, second in sorted(matched.items()):
        value = float(before[column].iloc[first])
        name = f"{value:.4g} bpp" if targets else f"q {value:g}"
        # Two targets may look alike in four digits.
        name = name if name not in pairs else f"{name} ({len(pairs) + 1})"
        pairs[name] = (before["cell_key"].iloc[first], after["cell_key"].iloc[second])
    lost += _named(before.drop(index=[*matched]), column, f"not in the {CANDIDATE}", lost)
    said += _named(after.drop(index=[*matched.values()]), column, f"not in the {BASELINE}", said)
    return _Pairing(pairs, tuple(lost), tuple(said))


def _encoder(rows: pd.DataFrame) -> str:
    return str(rows["codec"].iloc[0]).partition(":")[0]


def _apart(before: pd.DataFrame, after: pd.DataFrame) -> dict[str, tuple[str, str]]:
    """All cells of both sides, none of which has a partner."""
    return {f"#b{i}": (key, "") for i, key in enumerate(before["cell_key"])} | {
        f"#c{i}": ("", key) for i, key in enumerate(after["cell_key"])
    }


def _nearest(before: NDArray[np.float64], after: NDArray[np.float64], *, targets: bool) -> dict[int, int]:
    """Which values of two sides are one, by place: as many as there are, each at most once, and then the nearest."""
    from scipy.optimize import linear_sum_assignment  # takes a moment to import

    distance = np.abs(before[:, None] - after[None, :]) / np.where(before == 0, 1.0, np.abs(before))[:, None]
    near = distance <= (TARGET_TOLERANCE if targets else 1e-9)
    # No sum of near ones is as dear as one that is not.
    pairs = zip(*linear_sum_assignment(np.where(near, distance, 1e6)), strict=True)
    return {int(first): int(second) for first, second in pairs if near[first, second]}


_OTHER_SCALE = "q of two codecs is not one scale: all points of each are used, and points do not pair"
_UNPAIRED = "no point is on both sides: all points of each are used, and points do not pair"


def _named(rows: pd.DataFrame, column: str, words: str, known: list[str]) -> list[str]:
    """Points without a partner, in words, but for those that are known to have failed."""
    if rows.empty:
        return []
    names = [f"{value:.4g}" if column == "target_bpp" else f"{value:g}" for value in rows[column] if value == value]
    names = [name for name in names if not any(line.startswith(f"q {name} failed") for line in known)]
    if not names and known:
        return []
    return [f"{'rate' if column == 'target_bpp' else 'q'} {', '.join(names) or 'unknown'}: {words}"]


def _cells(rows: pd.DataFrame) -> pd.DataFrame:
    good = rows[(rows["status"] != "failed") & rows["bpp"].notna()]
    cells: pd.DataFrame = good.drop_duplicates("cell_key")[["cell_key", "q", "target_bpp", "bpp"]]
    return cells.astype({"q": float, "target_bpp": float}).reset_index(drop=True)


def _failed(rows: pd.DataFrame) -> list[str]:
    failed = rows[rows["status"] == "failed"].groupby("q", dropna=False)["metric"].nunique()
    whole = rows["metric"].nunique()
    return [f"q {q:g} failed" if q == q else "failed" for q, count in failed.items() if count == whole]


def _labelled(rows: pd.DataFrame, side: str, sequence: str, points: Mapping[str, str]) -> pd.DataFrame:
    kept = rows[rows["cell_key"].isin([key for key in points if key]) & (rows["bpp"].notna())]
    names = kept["cell_key"].map(lambda key: points[key]).where(lambda name: ~name.str.startswith("#"), "")
    # One codec a side, whatever its preset is called: what differs is said by the comparison.
    return kept.assign(codec=side, preset="", sequence=sequence, point=names)


def _failures(baseline: RunResults, before: str, candidate: RunResults, after: str) -> Failures:
    ours, theirs = _failed_cells(baseline, before), _failed_cells(candidate, after)
    return Failures(len(ours), len(theirs), tuple(sorted(theirs - ours)))


def _failed_cells(run: RunResults, codec: str) -> set[str]:
    """Failed cells of a codec, in words; of a hull those of every member it could have."""
    found = set()
    for failure in run.summary["failures"]:
        name = str(failure.get("codec"))
        if name == codec or (codec.endswith(SUFFIX) and hull_name(name) == codec):
            q = failure.get("q")
            found.add(f"{failure.get('sequence')}{'' if q is None else f' q {q:g}'} at {failure.get('stage')}")
    return found


def _machines(baseline: Mapping[str, Any], candidate: Mapping[str, Any]) -> str:
    facts = [
        {key: run["run"].get("machine", {}).get(key) for key in ("processor", "cores", "jobs")}
        for run in (baseline, candidate)
    ]
    if facts[0] == facts[1] and facts[0]["processor"]:
        return ""
    shown = [", ".join(f"{key} {value}" for key, value in one.items()) for one in facts]
    return f"the two sides were not run on the same kind of machine ({shown[0]}; {shown[1]})"
