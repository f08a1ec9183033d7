"""What a target quality costs each codec, for each kind of content.

For each codec and sequence the operating point is the cheapest measured one that reaches the target; a row sums up
those of one codec over the sequences of one tag. What it means and what it does not: docs/planning.md.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from evalsuite.errors import RequestError, did_you_mean
from evalsuite.planning.attarget import AT_TARGET, at_target
from evalsuite.planning.audience import ANY
from evalsuite.planning.devices import Device, Verdict, judge
from evalsuite.planning.figures import FIGURES, Figure, Gaps
from evalsuite.planning.playing import few
from evalsuite.planning.points import RatePoint, tagged
from evalsuite.planning.reach import Missed, Place, Reach, Target, cheapest, directions
from evalsuite.results.comparable import RATE_WORDS
from evalsuite.results.stats import mean_interval


@dataclass(frozen=True, slots=True)
class Judged:
    """What a device makes of one rate point."""

    point: RatePoint
    verdict: Verdict


@dataclass(frozen=True, slots=True)
class Operating:
    """One codec on one sequence at its operating point."""

    point: RatePoint
    figures: Mapping[str, float]
    """By name; those that are not known are not here."""
    at_target: Mapping[str, float | None]
    """What exactly the target would take, by name; None where the curve does not tell, empty for several targets."""


@dataclass(frozen=True, slots=True)
class Amount:
    """One figure over sequences."""

    mean: float | None
    """None where it is known of no sequence."""
    interval: tuple[float, float] | None
    """95 % bootstrap interval of the mean; None of fewer than five sequences."""
    sequences: int
    """That it is known of."""
    reason: str
    """Why it is not known of the others; empty where it is known of all."""


@dataclass(frozen=True, slots=True)
class Playing:
    """What one device makes of the rate points of a row."""

    device: Device
    operating: tuple[Judged, ...]
    """Its operating points."""
    all: tuple[Judged, ...]
    """Every point of its codec on its sequences."""


@dataclass(frozen=True, slots=True)
class Row:
    """One codec on the sequences of one tag."""

    codec: str
    tag: str
    sequences: int
    """Of the tag, whether the codec was run on them or not."""
    reached: tuple[Operating, ...]
    missed: tuple[Missed, ...]
    """The nearest miss first."""
    not_run: tuple[str, ...]
    figures: Mapping[str, Amount]
    """Of the operating points, by name, in the order of FIGURES."""
    at_target: Mapping[str, Amount]
    """Likewise, for exactly the target; empty for several targets."""
    devices: tuple[Playing, ...]

    @property
    def label(self) -> str:
        """What every number is labelled with: the rates are no file's; empty where they are."""
        sources = dict.fromkeys(str(one.point.facts.get("rate_source")) for one in self.reached)
        return "; ".join(filter(None, (RATE_WORDS.get(source) for source in sources)))


@dataclass(frozen=True, slots=True)
class Profile:
    """The answer, with what was asked."""

    targets: tuple[Target, ...]
    higher_is_better: Mapping[str, bool]
    """Of the targets' metrics."""
    rows: tuple[Row, ...]
    """By tag, then by codec."""

    @property
    def unlike(self) -> tuple[str, ...]:
        """Tags whose codecs reach the target on different sequences: their means are not of the same content."""
        held: dict[str, set[frozenset[str]]] = {}
        for row in self.rows:
            if row.reached:
                held.setdefault(row.tag, set()).add(frozenset(one.point.sequence for one in row.reached))
        return tuple(tag for tag, own in held.items() if len(own) > 1)


def profile(
    points: Sequence[RatePoint],
    targets: Sequence[Target],
    *,
    tags: Sequence[str] = (),
    codecs: Sequence[str] = (),
    devices: Sequence[Device] = (),
) -> Profile:
    """What the targets cost each codec on the sequences of each tag.

    Args:
        points: measured.
        targets: one or more, all of which must be reached.
        tags: of content, or `*`; where none is named, `*` and all that the sequences have.
        codecs: by name; all where none is named.
        devices: to judge every rate point by.

    Raises:
        RequestError: an unknown codec, metric or tag, or targets that no point reaches.
    """
    known = list(dict.fromkeys(point.codec for point in points))
    for codec in codecs:
        if codec not in known:
            raise RequestError(f"these results have no codec {codec!r}", fix=did_you_mean(codec, known))
    wanted = list(dict.fromkeys(codecs or known))
    made = _Rows([point for point in points if point.codec in wanted], targets, devices)
    rows = []
    for tag in dict.fromkeys(tags or all_tags(points)):
        names = list(dict.fromkeys(point.sequence for point in tagged(points, tag)))
        rows += [made.row(codec, tag, names) for codec in wanted]
    if not any(row.reached for row in rows):
        raise RequestError(
            f"no rate point reaches {made.said}",
            got=few(list(dict.fromkeys(str(row.missed[0]) for row in rows if row.missed))),
            fix="lower the target, or measure points of higher quality",
        )
    return Profile(tuple(targets), made.higher, tuple(rows))


def all_tags(points: Iterable[RatePoint]) -> tuple[str, ...]:
    """`*`, and every tag and trait that a sequence has."""
    return (ANY, *sorted({trait for point in points for trait in point.traits}))


def said(targets: Iterable[Target], higher_is_better: Mapping[str, bool]) -> str:
    """Targets with their directions: `vmaf ≥ 80 and lpips ≤ 0.3`."""
    return " and ".join(
        f"{one.metric} {'≥' if higher_is_better[one.metric] else '≤'} {one.value:.12g}" for one in targets
    )


class _Rows:
    """Makes rows; what belongs to a codec and sequence is worked out once, whatever tags share it."""

    def __init__(self, points: Sequence[RatePoint], targets: Sequence[Target], devices: Sequence[Device]) -> None:
        self.higher = directions(points, targets)
        self.said = said(targets, self.higher)
        self._targets = targets
        self._devices = devices
        self._gaps = Gaps()
        self._reach: Reach = cheapest(points, targets)
        self._points: dict[Place, list[RatePoint]] = {}
        for point in points:
            self._points.setdefault(point.place, []).append(point)
        self._operating = {place: self._operate(place, point) for place, point in self._reach.points.items()}
        self._judged = {
            place: [tuple(Judged(point, judge(point, device)) for point in own) for device in devices]
            for place, own in self._points.items()
        }

    def _operate(self, place: Place, point: RatePoint) -> Operating:
        figures = {one.name: value for one in FIGURES if (value := one.of(point)) is not None}
        if len(self._targets) > 1:
            return Operating(point, figures, {})
        target = self._targets[0]
        return Operating(point, figures, at_target(self._points[place], target, self.higher[target.metric]))

    def row(self, codec: str, tag: str, names: Sequence[str]) -> Row:
        reached = tuple(self._operating[codec, name] for name in names if (codec, name) in self._operating)
        missed = [one for one in self._reach.missed if one.codec == codec and one.sequence in names]
        figures = {one.name: _figure(one, reached, self._gaps) for one in FIGURES}
        return Row(
            codec=codec,
            tag=tag,
            sequences=len(names),
            reached=reached,
            missed=tuple(sorted(missed, key=lambda one: one.shortfall(self.higher))),
            not_run=tuple(name for name in names if (codec, name) not in self._points),
            figures=figures,
            at_target={name: _exactly(name, reached, figures[name]) for name in AT_TARGET}
            if len(self._targets) == 1
            else {},
            devices=tuple(self._playing(place, codec, names) for place in range(len(self._devices))),
        )

    def _playing(self, place: int, codec: str, names: Sequence[str]) -> Playing:
        held = [one for name in names for own in (self._judged.get((codec, name)),) if own for one in own[place]]
        keys = {self._reach.points[codec, name].cell_key for name in names if (codec, name) in self._reach.points}
        operating = tuple(one for one in held if one.point.cell_key in keys)
        return Playing(self._devices[place], operating, tuple(held))


def _figure(figure: Figure, reached: Sequence[Operating], gaps: Gaps) -> Amount:
    missing = next((one.point for one in reached if figure.name not in one.figures), None)
    reason = "no sequence reaches the target" if not reached else "" if missing is None else figure.why(missing, gaps)
    return _amount([one.figures[figure.name] for one in reached if figure.name in one.figures], reason)


def _exactly(name: str, reached: Sequence[Operating], measured: Amount) -> Amount:
    values = [value for one in reached if (value := one.at_target[name]) is not None]
    reason = "" if len(values) == len(reached) else "the curve does not tell"
    return _amount(values, measured.reason or reason)


def _amount(values: Sequence[float], reason: str) -> Amount:
    if not values:
        return Amount(None, None, 0, reason)
    return Amount(math.fsum(values) / len(values), mean_interval(values), len(values), reason)
