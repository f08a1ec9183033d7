"""BD-rate rows brought together: a mean, the sequences it holds, and which way it points."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evalsuite.report import text
from evalsuite.report.model import Metric, Report
from evalsuite.results.bdrows import ALL, BDRow, Verdict, own_reason

HEADLINE_METRICS = ("vmaf", "psnr_yuv")
"""The metric of the headline: the first of these that was compared, else the first of any."""


@dataclass(frozen=True, slots=True)
class Group:
    """One test codec against one anchor by one metric: the mean and its sequences."""

    metric: Metric
    test: str
    anchor: str
    mean: BDRow | None
    rows: tuple[BDRow, ...]

    @property
    def percent(self) -> float | None:
        """The mean BD-rate; negative: the test codec needs fewer bits."""
        return self.mean.bd_rate_percent if self.mean else None

    @property
    def used(self) -> list[BDRow]:
        """The sequences that the mean holds."""
        return [row for row in self.rows if row.bd_rate_percent is not None]

    @property
    def refused(self) -> list[BDRow]:
        """The sequences that it does not hold."""
        return [row for row in self.rows if row.bd_rate_percent is None]

    @property
    def flagged(self) -> list[BDRow]:
        """The sequences that it holds with a caveat."""
        return [row for row in self.used if row.status == "flagged"]

    @property
    def held(self) -> int:
        """How many sequences the mean holds."""
        return self.mean.sequences if self.mean else 0

    @property
    def with_quality(self) -> int:
        """How many sequences the mean BD-quality holds: it is refused by itself."""
        return sum(row.bd_quality is not None for row in self.rows)

    @property
    def why(self) -> str:
        """Why nothing could be compared: the reasons, each once, with how often it came up.

        What is not like with like is said of the pair, and of each row.
        """
        reasons = [own_reason(row) or "refused" for row in self.refused]
        return "; ".join(
            f"{reason} ({text.plural(reasons.count(reason), 'sequence')})" for reason in dict.fromkeys(reasons)
        )

    @property
    def holds_zero(self) -> bool:
        """Whether the interval holds zero; where there is none, whether the sequences disagree about the sign."""
        return self.mean is not None and self.mean.holds_zero

    @property
    def below_noise(self) -> bool:
        """Whether the mean is smaller than the noise floor of the points that it is made of."""
        return self.mean is not None and self.mean.below_noise

    @property
    def noise(self) -> str:
        """The noise floor of the mean, in words; empty where it is not known."""
        floor = self.mean.noise_floor if self.mean else None
        return "" if floor is None else text.percent(floor, signed=False)

    @property
    def crossings(self) -> str:
        """On how many sequences the curves cross; empty where they do on none."""
        count = sum(row.crossings > 0 for row in self.used)
        if not count:
            return ""
        return f"curves cross on {count} of {text.plural(len(self.used), 'sequence')}"

    @property
    def statistics(self) -> list[tuple[str, str]]:
        """What the sequences come to beside the mean, names and values; nothing for one sequence."""
        mean = self.mean
        if mean is None or mean.win_rate is None or len(self.used) < 2:
            return []
        wins = sum((row.bd_rate_percent or 0) < 0 for row in self.used)
        won = text.percent(100 * mean.win_rate, 0, signed=False)
        log_mean = text.percent(mean.log_mean)
        if mean.log_ci_low is not None:
            log_mean += f", {text.INTERVAL} {text.interval(mean.log_ci_low, mean.log_ci_high)}"
        return [
            ("median", text.percent(mean.median)),
            ("sequences", text.interval(mean.lowest, mean.highest)),
            ("win rate", f"{won}, bits saved on {wins} of {len(self.used)}"),
            ("mean of log-ratios", log_mean),
            ("noise floor", self.noise or "needs five points a side"),
            ("at single qualities", text.interval(mean.change_low, mean.change_high)),
        ]

    @property
    def verdict(self) -> Verdict:
        """Which way the comparison points, if it points at all."""
        return self.mean.verdict if self.mean else "refused"

    @property
    def quality_interval(self) -> str:
        """Interval of the mean BD-quality; empty where there is none."""
        if self.mean is None or self.mean.quality_ci_low is None:
            return ""
        bounds = self.mean.quality_ci_low, self.mean.quality_ci_high
        return text.change_interval(*bounds, self.metric.decimals, self.metric.unit)

    @property
    def spread(self) -> str:
        """Lowest and highest BD-rate of the sequences in the mean."""
        percents = [row.bd_rate_percent for row in self.used if row.bd_rate_percent is not None]
        return text.interval(min(percents), max(percents)) if percents else text.NONE

    @property
    def overlap(self) -> str:
        """Lowest and highest overlap of the sequences in the mean."""
        shares = [100 * row.overlap for row in self.used if row.overlap is not None]
        if not shares:
            return text.NONE
        low, high = round(min(shares)), round(max(shares))
        return text.percent(high, 0, signed=False) if low == high else f"{low} to {text.percent(high, 0, signed=False)}"


def groups(report: Report) -> list[Group]:
    """The report's own comparisons: pairs in the order of the rows, metrics in the report's order."""
    return groups_of(report, report.bd_rows)


def groups_of(report: Report, rows: Iterable[BDRow]) -> list[Group]:
    """One group for each pair of codecs and metric: pairs in the order of the rows, metrics in the report's order."""
    found: dict[tuple[str, str, str], list[BDRow]] = {}
    compared = (row for row in rows if report.metric(row.metric).higher_is_better is not None)
    for row in compared:
        found.setdefault((row.test, row.anchor, row.metric), []).append(row)
    order = {metric.label: place for place, metric in enumerate(report.metrics)}
    made = [
        Group(
            report.metric(metric),
            test,
            anchor,
            next((row for row in rows if row.sequence == ALL), None),
            tuple(row for row in rows if row.sequence != ALL),
        )
        for (test, anchor, metric), rows in found.items()
    ]
    return sorted(made, key=lambda group: order.get(group.metric.label, len(order)))


def headline_metric(metrics: Iterable[Metric]) -> Metric | None:
    """Which of these metrics the headline speaks of; None where there is none."""
    metrics = list(metrics)
    preferred = (metric for name in HEADLINE_METRICS for metric in metrics if metric.name == name)
    return next(preferred, metrics[0] if metrics else None)
