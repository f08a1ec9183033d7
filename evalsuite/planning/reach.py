"""Which rate points reach a target quality, the cheapest of them, and what is missing where none does."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalsuite.errors import RequestError, did_you_mean
from evalsuite.planning.points import RatePoint
from evalsuite.results.profile import other_formula

Place = tuple[str, str]
"""Codec and sequence."""


@dataclass(frozen=True, slots=True)
class Target:
    """A quality that is good enough: at least `value`, or at most where lower is better."""

    metric: str
    value: float
    """In the metric's unit, of the mean over frames."""

    def __str__(self) -> str:
        return f"{self.metric}={self.value:.12g}"


@dataclass(frozen=True, slots=True)
class Missed:
    """A codec on a sequence that no measured point reaches the targets on."""

    codec: str
    sequence: str
    target: Target
    """The first that no point reaches; the first of all where each is reached, but by different points."""
    best: float | None
    """The best mean of that metric there is; None where it was not measured."""
    apart: bool = False
    """Each target is reached, but all of them by no one point."""

    @property
    def reason(self) -> str:
        """Why it is missed, in words."""
        if self.apart:
            return "each target is reached, but all by no one point"
        if self.best is None:
            return f"{self.target.metric} was not measured"
        return f"the best {self.target.metric} there is is {self.best:.6g}"

    def shortfall(self, higher_is_better: Mapping[str, bool]) -> float:
        """What the best lacks of the target, as a share of it; 0 where each target is reached, inf if not measured.

        Args:
            higher_is_better: by metric.
        """
        if self.apart:
            return 0.0
        if self.best is None:
            return math.inf
        lacks = self.target.value - self.best
        return (lacks if higher_is_better[self.target.metric] else -lacks) / (abs(self.target.value) or 1.0)

    def __str__(self) -> str:
        return f"{self.codec} on {self.sequence}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Reach:
    """What reaches the targets, and what does not."""

    points: Mapping[Place, RatePoint]
    """The measured point with the lowest kbps, by codec and sequence."""
    missed: tuple[Missed, ...]


def parse_target(text: str) -> Target:
    """A target as it is written: metric and value, such as `vmaf=80` or `lpips=0.3`.

    Raises:
        RequestError: it is not one.
    """
    metric, sign, written = (part.strip() for part in text.rpartition("="))
    try:
        value = float(written)
    except ValueError:
        value = math.nan
    if not sign or not metric or not math.isfinite(value):
        raise RequestError(f"{text!r} is not a target", expected="a metric and a number, such as vmaf=80")
    return Target(metric, value)


def directions(points: Iterable[RatePoint], targets: Iterable[Target]) -> dict[str, bool]:
    """Whether higher is better, for the metric of each target.

    Raises:
        RequestError: no point has the metric, it describes and does not judge, or the points have several versions or,
            on one sequence, several formulas of it.
    """
    points = list(points)
    known: dict[str, bool] = {}
    described: set[str] = set()
    versions: dict[str, set[str]] = {}
    for point in points:
        known.update(point.higher_is_better)
        described.update(point.means)
        for metric, version in point.versions.items():
            versions.setdefault(metric, set()).add(version)
    for metric in (target.metric for target in targets):
        if len(versions.get(metric, ())) > 1:
            raise RequestError(
                f"these runs scored {metric} by different versions of it: one target does not mean the same for all",
                got=", ".join(sorted(versions[metric])),
                fix="make the runs again with one version",
            )
        _one_formula(metric, points)
        if metric in known:
            continue
        if metric in described:
            raise RequestError(
                f"{metric} describes a stream and does not judge it: it cannot be a target",
                expected=f"one of {', '.join(sorted(known))}",
            )
        raise RequestError(
            f"no rate point has the metric {metric!r}",
            fix=f"{did_you_mean(metric, known)} (or measure it: `evalsuite run --metrics`; a profile: `--profile`)",
        )
    return {target.metric: known[target.metric] for target in targets}


def _one_formula(metric: str, points: Iterable[RatePoint]) -> None:
    reasons: dict[str, set[str]] = {}
    for point in points:
        if metric in point.means:
            reasons.setdefault(point.sequence, set()).add(point.reasons.get(metric, ""))
    for sequence, said in reasons.items():
        if other := other_formula(said):
            raise RequestError(
                f"these runs made {metric} on {sequence} of different terms: one target does not mean the same for all",
                got=other,
                fix="make the runs again with the same metrics, or name another target",
            )


def cheapest(points: Sequence[RatePoint], targets: Sequence[Target]) -> Reach:
    """For each codec and sequence the measured point of the lowest kbps that reaches every target.

    Args:
        points: of any codecs and sequences.
        targets: one or more; a point must reach all of them.

    Raises:
        RequestError: as `directions`.
    """
    higher = directions(points, targets)
    places: dict[Place, list[RatePoint]] = {}
    for point in points:
        places.setdefault(point.place, []).append(point)
    found: dict[Place, RatePoint] = {}
    missed: list[Missed] = []
    for place, own in places.items():
        enough = [point for point in own if all(_reaches(point, one, higher[one.metric]) for one in targets)]
        if enough:
            found[place] = min(enough, key=lambda point: point.kbps)
        else:
            missed.append(_missed(place, own, targets, higher))
    return Reach(found, tuple(missed))


def _reaches(point: RatePoint, target: Target, higher: bool) -> bool:
    if target.metric in point.infinite:
        return higher
    mean = point.means.get(target.metric)
    return mean is not None and (mean >= target.value if higher else mean <= target.value)


def _missed(place: Place, points: Sequence[RatePoint], targets: Sequence[Target], higher: Mapping[str, bool]) -> Missed:
    def alone(target: Target) -> bool:
        return any(_reaches(point, target, higher[target.metric]) for point in points)

    failed = [one for one in targets if not alone(one)]
    target = (failed or targets)[0]
    means = [point.means[target.metric] for point in points if target.metric in point.means]
    best = (max if higher[target.metric] else min)(means, default=None)
    return Missed(*place, target, best, apart=not failed)
