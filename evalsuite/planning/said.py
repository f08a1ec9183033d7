"""A forecast in words: what comes out, and what was assumed. The same on the terminal, in the files and on the page."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from evalsuite.planning.forecast import CodecNeed, Forecast
from evalsuite.planning.playing import few
from evalsuite.planning.savings import Change
from evalsuite.results.stats import MIN_SEQUENCES

_TOKEN_UNITS = (("million tokens/s", 1e6), ("tokens/s", 1.0))
_UNITS = (("Tbit/s", 1e12), ("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3))


def rate_unit(largest: float) -> tuple[str, float]:
    """The unit for rates of up to so many bit/s, and how many bit/s it is."""
    return next((one for one in _UNITS if largest >= one[1]), _UNITS[-1])


def number(value: float, digits: int = 4) -> str:
    """To so many significant digits, never in scientific notation.

    >>> number(71.3689), number(71368.9), number(0)
    ('71.37', '71369', '0')
    """
    if not value:
        return "0"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(decimals, 12)}f}"


def rate(value: float) -> str:
    """A rate in bit/s with the unit that suits it."""
    unit, scale = rate_unit(abs(value))
    return f"{number(value / scale)} {unit}"


def tokens(value: float) -> str:
    """A token rate with the unit that suits it."""
    unit, scale = token_unit(value)
    return f"{number(value / scale)} {unit}"


def token_unit(largest: float) -> tuple[str, float]:
    """The unit for token rates of up to so many tokens/s, and how many it is."""
    return next((one for one in _TOKEN_UNITS if largest >= one[1]), _TOKEN_UNITS[-1])


def percent(change: Change) -> str:
    """A saving in percent with its interval, negative where more is needed: `48.7 % (46.0 to 51.1 %)`."""
    if change.percent_interval is None:
        return f"{change.percent:.1f} % (n/a)"
    low, high = change.percent_interval
    return f"{change.percent:.1f} % ({low:.1f} to {high:.1f} %)"


def amount_interval(change: Change, rates: bool) -> str:
    """The interval of what is saved, as rates or as GB: `46.0 to 51.1 Gbit/s`."""
    if change.saved_interval is None:
        return "n/a"
    unit, scale = rate_unit(max(map(abs, change.saved_interval))) if rates else ("GB", 1.0)
    low, high = change.saved_interval
    return f"{number(low / scale)} to {number(high / scale)} {unit}"


def headlines(forecast: Forecast) -> list[str]:
    """What comes out, a sentence for each codec and each comparison."""
    return [*map(_needs, forecast.codecs), *_saved(forecast)]


def _needs(one: CodecNeed) -> str:
    day = one.day.bandwidth
    means = [hour.bandwidth.mean for hour in one.hours]  # exact: of the p99 chance decides among hours that are alike
    alike = sum(math.isclose(mean, max(means), rel_tol=1e-9) for mean in means)
    busiest = means.index(max(means))
    hour = f"{busiest}:00" if alike == 1 else f"{busiest}:00, one of {alike} alike"
    peak = one.hours[busiest].bandwidth.p99
    parts = [
        f"{one.codec} needs {rate(day.mean)} on average over the day, {rate(day.p95)} at the p95 and {rate(day.p99)} "
        f"at the p99; in the busiest hour, {hour}, {rate(peak)} at the p99."
    ]
    if one.day.tokens is not None:
        parts.append(f"It sends {tokens(one.day.tokens.mean)} on average, {tokens(one.day.tokens.p99)} at the p99.")
    if one.storage_gb is not None:
        parts.append(f"What is kept takes {number(one.storage_gb)} GB.")
    return " ".join(parts)


def _saved(forecast: Forecast) -> Iterable[str]:
    for one in forecast.savings:
        parts = [f"{_less(one.mean)} mean bandwidth ({rate(abs(one.mean.saved))})"]
        if one.p99 is not None:
            parts.append(f"{_less(one.p99)} at the p99 ({rate(abs(one.p99.saved))})")
        if one.storage is not None:
            parts.append(f"{_less(one.storage)} storage ({number(abs(one.storage.saved))} GB)")
        yield f"{one.codec} in place of {one.against} takes {_listed(parts)}."


def _less(change: Change) -> str:
    """How much less, or more: `48.7 % less`."""
    return f"{abs(change.percent):.1f} % {'less' if change.saved >= 0 else 'more'}"


def assumed(forecast: Forecast) -> list[str]:
    """What was assumed, a sentence each."""
    audience = forecast.audience
    rows = [play.row for play in forecast.plays]
    points = [point for play in forecast.plays for own in play.points.values() for point in own]
    targets = dict.fromkeys(" and ".join(map(str, row.targets)) for row in rows)
    shortest = min(point.frames / point.frame_rate for point in points)
    number_of_streams = (
        "Exactly the given number of streams plays at once"
        if audience.fixed
        else "Viewers come and go independently of each other, so that the number of streams is Poisson's around the "
        "given one"
    )
    said = [
        f"{number_of_streams}; which row of the mix a stream is of is chance, by the shares.",
        "A stream plays one of the sequences of its row, each as likely, in a loop, and is at any frame alike, "
        "whatever the others do. Viewers of one live event, who are all at the same frame, are not like this.",
        f"The shortest sequence lasts {number(shortest, 3)} s: a loop starts with an intra frame each time, which a "
        "long stream may do less often.",
        f"Each sequence is at the measured rate point of the lowest kbps that reaches {' or '.join(targets)}.",
        f"Bandwidth is averaged over {audience.window_s:g} s, and is that of the bitstreams: no headers of packets, "
        "no audio, nothing sent twice. Every stream counts, as if none were shared or cached.",
        "The p95 and p99 of the day are over all its instants, each hour counting alike. They were simulated at "
        f"{_instants(forecast)} independent instants, seed {forecast.seed}; the means are exact.",
        *_tokens(forecast),
    ]
    if audience.storage_hours is not None:
        said.append(f"{audience.storage_hours:g} hours of video are kept, by the mix of the whole day, once per codec.")
    if forecast.savings:
        said.append(_intervals(forecast))
    said += [
        f"Left out of {play.row.title}, since not every codec reaches the target there: {few(play.left_out)}."
        for play in forecast.plays
        if play.left_out
    ]
    return said


def _instants(forecast: Forecast) -> str:
    counts = sorted({one.day.instants for one in forecast.codecs})
    return str(counts[0]) if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"


def _tokens(forecast: Forecast) -> list[str]:
    with_tokens = [one.codec for one in forecast.codecs if one.day.tokens is not None]
    if not with_tokens:
        return []
    return [
        f"Tokens of {_listed(with_tokens)}: every stream sends at the mean token rate of its sequence, however its "
        "frames differ."
    ]


def _intervals(forecast: Forecast) -> str:
    short = dict.fromkeys(play.row.title for play in forecast.plays if len(play.sequences) < MIN_SEQUENCES)
    if short:
        return (
            f"Savings have no interval (n/a), for too few sequences: fewer than {MIN_SEQUENCES} cannot tell how much "
            f"depends on their choice. It is so for {_listed(list(short))}."
        )
    return (
        "Intervals of savings are of the choice of sequences, resampled within the rows of the mix, the same for both "
        "codecs; that of the p99 is from the closed form."
    )


def _listed(names: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))
