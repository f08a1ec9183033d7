"""What a device must be able to do for each codec and rate: the figures of the sequence that needs most.

Times are those of the machine that measured. What another device could do is not known: it is worked out for assumed
speeds, and the assumption stands beside it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from evalsuite.planning.devices import Device
from evalsuite.report.model import Codec, Point, Report
from evalsuite.report.traffic import frame_rates, places


@dataclass(frozen=True, slots=True)
class Column:
    """One figure that is needed."""

    title: str
    unit: str
    of: Callable[[Point], float | None]


@dataclass(frozen=True, slots=True)
class Need:
    """What one codec needs at one rate."""

    codec: Codec
    rate: str
    sequences: int
    figures: tuple[float | None, ...]
    """The largest over the sequences, in the order of the columns; None where it is known of none."""
    cores: float | None
    """Of the machine that measured, that decoding in real time takes."""
    whole: bool
    """Whether that is known of every sequence."""

    def in_time(self, device: Device) -> bool | None:
        """Whether one core of the device would decode every sequence in real time; None where nobody knows."""
        if self.cores is not None and self.cores > device.speed:
            return False
        return True if self.cores is not None and self.whole else None


@dataclass(frozen=True, slots=True)
class Needs:
    """The table: columns that have a figure, and a row for each codec and rate."""

    columns: tuple[Column, ...]
    rows: tuple[Need, ...]
    sequences: int


def needs(report: Report) -> Needs:
    """What every codec that was decoded or sent needs at each of its rates."""
    rates = frame_rates(report)

    def cores(point: Point) -> float | None:
        seconds, rate = point.cost.cpu_per_frame("decode"), rates.get(point.sequence)
        return None if seconds is None or rate is None else seconds * float(rate)

    rows = []
    figures = _columns(report)
    for (codec, _, rate), points in _grouped(report).items():
        if codec == len(report.codecs):
            continue  # the run does not describe it
        found = tuple(_most(column.of, points) for column in figures)
        # Of what was only published nothing but the rate is known.
        if any(value is not None for value in found[1:]):
            count = len({point.sequence for point in points})
            whole = all(cores(point) is not None for point in points)
            rows.append(Need(report.codecs[codec], rate, count, found, _most(cores, points), whole))
    held = [place for place in range(len(figures)) if any(row.figures[place] is not None for row in rows)]
    return Needs(
        tuple(figures[place] for place in held),
        tuple(replace(row, figures=tuple(row.figures[place] for place in held)) for row in rows),
        len({point.sequence for point in report.points}),
    )


def _most(of: Callable[[Point], float | None], points: list[Point]) -> float | None:
    return max((value for point in points if (value := of(point)) is not None), default=None)


def _columns(report: Report) -> list[Column]:
    """All figures that may be known, in reading order."""

    def metric(name: str, scale: float = 1.0) -> Callable[[Point], float | None]:
        labels = [one.label for one in report.metrics if one.name == name]

        def of(point: Point) -> float | None:
            scores = (point.scores[label] for label in labels if label in point.scores)
            return next((score.values["mean"] * scale for score in scores if score.status == "ok"), None)

        return of

    def delay(place: int) -> Callable[[Point], float | None]:
        # A decoder that does not stream has no intervals between frames.
        return lambda point: _scaled(point.cost.delays_s[place], 1e3) if point.cost.streams else None

    return [
        Column("Bitrate", "kbps", lambda point: point.kbps),
        Column("Tokens", "tokens/s", metric("token_rate")),
        Column("Peak rate", "kbps", metric("peak_kbps")),
        Column("Bucket", "kbit", metric("vbv_bits", 1e-3)),
        Column("Decode CPU", "ms/frame", lambda point: _scaled(point.cost.cpu_per_frame("decode"), 1e3)),
        Column("Latency p95", "ms", delay(_P95)),
        Column("Jitter", "ms", delay(_JITTER)),
        Column("Memory", "MB", lambda point: _scaled(point.cost.decode.peak_bytes, 1e-6)),
    ]


_P95, _JITTER = 2, 4
"""Places in the delays of a cost."""


def _scaled(value: float | None, times: float) -> float | None:
    return None if value is None else value * times


def _grouped(report: Report) -> dict[tuple[int, float, str], list[Point]]:
    """Points by codec and rate, in order: a rate is a target that sequences share, else its rank among each one's."""
    by_sequence: dict[str, list[Point]] = {}
    for point in report.own_points:
        by_sequence.setdefault(point.sequence, []).append(point)
    each = [places(own) for own in by_sequence.values()]
    targets = [[place for place in own if place.target is not None] for own in each]
    own_rates = len({tuple(one.bpp for one in own) for own in targets}) > 1
    in_kbps = len({tuple(one.kbps for one in own) for own in targets}) == 1
    found: dict[tuple[int, float, str], list[Point]] = {}
    for own in each:
        for rank, (place, points) in enumerate(own.items(), 1):
            if place.target is None:
                order, title = float(place.rank), place.title
            elif own_rates:
                order, title = float(rank), place.kbps if in_kbps else f"target {rank}"
            else:
                order, title = place.target, place.bpp
            for point in points:
                found.setdefault((report.place(point.codec), order, title), []).append(point)
    return dict(sorted(found.items()))
