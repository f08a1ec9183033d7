"""Rows of the BD-rate table: one comparison on one sequence, and the mean over sequences that says what it holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from evalsuite.results.bdrate import BDResult, BDStatus
from evalsuite.results.stats import Summary, mean_interval, summarise

Verdict = Literal["fewer", "more", "unclear", "refused"]
"""What a mean says of the bits that the test codec needs."""

ALL = "*"
"""What the row over all sequences has for a sequence."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What is unlike between the two curves of a comparison."""

    differs: tuple[str, ...]
    """Columns of `comparable.PROPERTIES` in which they differ."""
    unlike: str
    """The properties that make it not like with like, each with the two values; empty where it is."""
    anchor_rate: str
    """`rate_source` of the anchor's points."""
    test_rate: str


@dataclass(frozen=True, slots=True)
class BDRow:
    """One line of bd_rate.csv: the test codec against the anchor, on one sequence or (`*`) over all of them."""

    metric: str
    anchor: str
    test: str
    sequence: str
    status: BDStatus
    """Of a `*` row: `ok` only where every sequence is, `refused` where none gives a number."""
    reason: str
    bd_rate_percent: float | None
    """Of a `*` row: the mean over the sequences that are not refused."""
    ci_low: float | None
    """95 % bootstrap interval of the mean, in percent; only `*` rows, and none below five sequences."""
    ci_high: float | None
    bd_quality: float | None
    """In the metric's own unit and direction. Of a `*` row: the mean over the sequences that have one."""
    overlap: float | None
    """Of the quality ranges, in [0, 1]. Of a `*` row: the poorest that its mean holds."""
    points_anchor: int
    """Points used. Of a `*` row: the fewest that its mean holds."""
    points_test: int
    sequences: int
    """Sequences that the number holds: 1 or 0, or for `*` the size of the mean."""
    differs: str = ""
    """Columns in which the codecs differ, comma-joined: see `comparable.PROPERTIES`. Of a `*` row: on any sequence."""
    unlike: str = ""
    """What makes it not like with like, with both values; empty where it is. Of a `*` row: on those it holds."""
    anchor_rate: str = ""
    """Where the anchor's rates come from: file, estimate or published; several are joined by a slash."""
    test_rate: str = ""
    change_low: float | None = None
    """Smallest change of the rate at any one quality, in percent. Of a `*` row: on any sequence."""
    change_high: float | None = None
    """Largest change of the rate at any one quality."""
    crossings: int = 0
    """How often the curves cross. Of a `*` row: on how many sequences they do."""
    noise_floor: float | None = None
    """What the points cannot tell from zero, in percent: see `bdrate.noise_floor`. Of a `*` row: the mean of those."""
    median: float | None = None
    """Of the BD-rates of the sequences, in percent; this and what follows only of `*` rows."""
    lowest: float | None = None
    highest: float | None = None
    log_mean: float | None = None
    """Mean of the log-ratios, as percent."""
    log_ci_low: float | None = None
    log_ci_high: float | None = None
    win_rate: float | None = None
    """Share of the sequences on which the test codec saves bits, in [0, 1]."""
    quality_ci_low: float | None = None
    """95 % bootstrap interval of the mean BD-quality."""
    quality_ci_high: float | None = None

    @property
    def below_noise(self) -> bool:
        """Whether the number is smaller than what its points cannot tell from zero."""
        if self.bd_rate_percent is None or self.noise_floor is None:
            return False
        return abs(self.bd_rate_percent) < self.noise_floor

    @property
    def holds_zero(self) -> bool:
        """Of a `*` row: whether its interval holds zero; without one, whether the sequences disagree about the sign."""
        low, high = (self.ci_low, self.ci_high) if self.ci_low is not None else (self.lowest, self.highest)
        return low is not None and high is not None and low <= 0 <= high

    @property
    def verdict(self) -> Verdict:
        """Of a `*` row: which way it points, if it points at all.

        A change that is shown as 0.0 % does not, nor does one that the points cannot tell from zero.
        """
        if self.bd_rate_percent is None:
            return "refused"
        if self.holds_zero or self.below_noise or round(self.bd_rate_percent, 1) == 0:
            return "unclear"
        return "fewer" if self.bd_rate_percent < 0 else "more"


@dataclass(frozen=True, slots=True)
class BDSummary:
    """One test codec against the anchor in one metric, over all sequences."""

    row: BDRow
    """The `*` row."""
    summary: Summary | None
    """Mean, median, range, interval, win rate; None where every sequence is refused."""
    refused: tuple[BDRow, ...]
    """The sequences that the mean does not hold, each with its reason."""
    flagged: tuple[BDRow, ...]
    """The sequences that the mean holds with a caveat."""


BD_COLUMNS = tuple(field.name for field in fields(BDRow))
"""The columns of bd_rate.csv, in order."""


def with_caveats(result: BDResult, caveats: Sequence[str]) -> BDResult:
    """The result with more to say, first; an `ok` becomes `flagged`."""
    if not caveats:
        return result
    return replace(
        result,
        status="flagged" if result.status == "ok" else result.status,
        reason="; ".join(filter(None, [*caveats, result.reason])),
    )


def not_alike(unlike: str) -> str:
    """The caveat of a comparison that is not like with like; empty where it is."""
    return f"not like with like: {unlike}" if unlike else ""


def own_reason(row: BDRow) -> str:
    """A row's reason without what is unlike, for where that is said of all rows at once."""
    return row.reason.removeprefix(not_alike(row.unlike)).removeprefix("; ")


def bd_row(
    metric: str, anchor: str, test: str, sequence: str, result: BDResult, likeness: Likeness | None = None
) -> BDRow:
    """The row of one sequence; without `likeness` nothing is known of the codecs but their points."""
    return BDRow(
        metric=metric,
        anchor=anchor,
        test=test,
        sequence=sequence,
        status=result.status,
        reason=result.reason,
        bd_rate_percent=result.percent,
        ci_low=None,
        ci_high=None,
        bd_quality=result.quality,
        overlap=result.overlap,
        points_anchor=result.points_anchor,
        points_test=result.points_test,
        sequences=int(result.percent is not None),
        differs=",".join(likeness.differs) if likeness else "",
        unlike=likeness.unlike if likeness else "",
        anchor_rate=likeness.anchor_rate if likeness else "",
        test_rate=likeness.test_rate if likeness else "",
        change_low=float(result.relative.percents.min()) if result.relative else None,
        change_high=float(result.relative.percents.max()) if result.relative else None,
        crossings=len(result.relative.crossings) if result.relative else 0,
        noise_floor=result.noise_floor,
    )


def mean_row(rows: Sequence[BDRow]) -> BDRow:
    """The `*` row of one metric, anchor and test.

    Args:
        rows: one row per sequence, at least one.
    """
    held = [row for row in rows if row.bd_rate_percent is not None]
    summary = _summary(held)
    qualities = [row.bd_quality for row in rows if row.bd_quality is not None]
    refused = [row.sequence for row in rows if row.status == "refused"]
    flagged = [row.sequence for row in rows if row.status == "flagged"]
    reasons = [f"refused: {', '.join(refused)}"] if refused else []
    if flagged:
        reasons.append(f"flagged: {', '.join(flagged)}")
    if reasons:
        reasons.insert(0, f"holds {len(held)} of {len(rows)} sequences")
    if qualities and len(qualities) != len(held):
        reasons.append(f"BD-quality holds {len(qualities)}")
    unlike = _unlike(held or rows)
    if unlike:
        reasons.append(not_alike(unlike))
    low, high = summary.interval if summary and summary.interval else (None, None)
    log_low, log_high = summary.log_interval if summary and summary.log_interval else (None, None)
    quality_low, quality_high = mean_interval(qualities) or (None, None)
    floors = [row.noise_floor for row in held if row.noise_floor is not None]
    return BDRow(
        metric=rows[0].metric,
        anchor=rows[0].anchor,
        test=rows[0].test,
        sequence=ALL,
        status="refused" if not held else "flagged" if reasons else "ok",
        reason="; ".join(reasons),
        bd_rate_percent=summary.mean if summary else None,
        ci_low=low,
        ci_high=high,
        bd_quality=float(np.mean(qualities)) if qualities else None,
        overlap=min((row.overlap for row in held if row.overlap is not None), default=None),
        points_anchor=min((row.points_anchor for row in held), default=0),
        points_test=min((row.points_test for row in held), default=0),
        sequences=len(held),
        differs=_union((row.differs for row in rows), ","),
        unlike=unlike,
        anchor_rate=_union((row.anchor_rate for row in rows), "/"),
        test_rate=_union((row.test_rate for row in rows), "/"),
        change_low=min((row.change_low for row in held if row.change_low is not None), default=None),
        change_high=max((row.change_high for row in held if row.change_high is not None), default=None),
        crossings=sum(row.crossings > 0 for row in held),
        noise_floor=float(np.mean(floors)) if floors else None,
        median=summary.median if summary else None,
        lowest=summary.lowest if summary else None,
        highest=summary.highest if summary else None,
        log_mean=summary.log_mean if summary else None,
        log_ci_low=log_low,
        log_ci_high=log_high,
        win_rate=summary.win_rate if summary else None,
        quality_ci_low=quality_low,
        quality_ci_high=quality_high,
    )


def _unlike(rows: Sequence[BDRow]) -> str:
    """What is unlike on every sequence; where sequences differ in that, what on which."""
    where: dict[str, list[str]] = {}
    for row in rows:
        where.setdefault(row.unlike, []).append(row.sequence)
    if len(where) == 1:
        return next(iter(where))
    return "sequences differ in this: " + "; ".join(
        f"{', '.join(names)}: {unlike or 'like with like'}" for unlike, names in where.items()
    )


def _union(joined: Iterable[str], separator: str) -> str:
    return separator.join(dict.fromkeys(name for text in joined for name in text.split(separator) if name))


def bd_summary(rows: Iterable[BDRow]) -> list[BDSummary]:
    """For each metric, anchor and test: the `*` row, the statistics behind it, and what it does not hold.

    Args:
        rows: what `bd_table` returned, or any part that has whole groups.
    """
    groups: dict[tuple[str, str, str], list[BDRow]] = {}
    for row in rows:
        group = groups.setdefault((row.metric, row.anchor, row.test), [])
        if row.sequence != ALL:
            group.append(row)
    return [
        BDSummary(
            row=mean_row(group),
            summary=_summary(group),
            refused=tuple(row for row in group if row.status == "refused"),
            flagged=tuple(row for row in group if row.status == "flagged"),
        )
        for group in groups.values()
        if group
    ]


def _summary(rows: Iterable[BDRow]) -> Summary | None:
    return summarise([row.bd_rate_percent for row in rows if row.bd_rate_percent is not None])
