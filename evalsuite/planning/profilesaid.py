"""A profile as JSON, and in sentences: how many tokens and bits are good enough for which content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import Any

from evalsuite.planning.audience import ANY
from evalsuite.planning.devices import Device
from evalsuite.planning.figures import UNITS
from evalsuite.planning.profile import Amount, Judged, Operating, Profile, Row, said
from evalsuite.planning.said import number

SCHEMA = 1


def document(profile: Profile) -> dict[str, Any]:
    """The profile as one JSON document; docs/planning.md describes it."""
    return {
        "schema": SCHEMA,
        "targets": [
            {**asdict(target), "higher_is_better": profile.higher_is_better[target.metric]}
            for target in profile.targets
        ],
        "rows": [_row(row) for row in profile.rows],
        "devices": list(_devices(profile)),
        "different_sequences": list(profile.unlike),
        "said": [sentence(profile, row) for row in profile.rows],
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "codec": row.codec,
        "tag": row.tag,
        "sequences": row.sequences,
        "reached": len(row.reached),
        "figures": {name: {"unit": UNITS[name], **_amount(one)} for name, one in row.figures.items()},
        "at_target": {name: {"unit": UNITS[name], **_amount(one)} for name, one in row.at_target.items()},
        "points": [_operating(one) for one in row.reached],
        "label": row.label,
        "missed": [
            {"sequence": one.sequence, "metric": one.target.metric, "best": one.best, "reason": one.reason}
            for one in row.missed
        ],
        "not_run": list(row.not_run),
        "devices": [
            {"name": one.device.name, "at_target": counts(one.operating), "all": counts(one.all)} for one in row.devices
        ],
    }


def _amount(amount: Amount) -> dict[str, Any]:
    interval = None if amount.interval is None else list(amount.interval)
    return {"mean": amount.mean, "interval": interval, "sequences": amount.sequences, "reason": amount.reason}


def _operating(one: Operating) -> dict[str, Any]:
    point = one.point
    figures = {name: one.figures.get(name) for name in UNITS}
    return {
        "sequence": point.sequence,
        "q": point.q,
        "cell_key": point.cell_key,
        "figures": figures,
        "at_target": dict(one.at_target),
    }


def _devices(profile: Profile) -> Iterator[dict[str, Any]]:
    """Each device with its verdicts on every rate point, once whatever rows it is in."""
    judged: dict[Device, dict[tuple[str, str], Judged]] = {}
    for row in profile.rows:
        for playing in row.devices:
            judged.setdefault(playing.device, {}).update({(row.codec, one.point.cell_key): one for one in playing.all})
    for device, points in judged.items():
        yield {**asdict(device), "points": [_verdict(one) for one in points.values()]}


def _verdict(one: Judged) -> dict[str, Any]:
    point, verdict = one.point, one.verdict
    place = {name: getattr(point, name) for name in ("codec", "sequence", "q", "kbps", "cell_key")}
    return {**place, "verdict": verdict.word, "reason": verdict.reason}


def counts(judged: Iterable[Judged]) -> dict[str, int]:
    """How many of each verdict."""
    words = [one.verdict.word for one in judged]
    return {word: words.count(word) for word in ("yes", "no", "unknown")}


def sentence(profile: Profile, row: Row) -> str:
    """What reaching the targets takes on a row of the profile."""
    kind = "" if row.tag == ANY else f"{row.tag!r} "
    on = f"{len(row.reached)} of {row.sequences} {kind}sequence{'s' * (row.sequences != 1)}"
    reaches = f"{row.codec} reaches {said(profile.targets, profile.higher_is_better)} on {on}"
    if row.reached:
        return f"{reaches} with a mean of {_spent(row)}{f' ({row.label})' if row.label else ''}."
    return f"{reaches}; {row.missed[0]}." if row.missed else f"{reaches}: it was not run on them."


def _spent(row: Row) -> str:
    units = {"kbps": "kbps", "sent_token_rate": "tokens/s sent", "token_rate": "tokens/s in all"}
    return ", ".join(
        f"{number(amount.mean)} {unit}{_interval(amount)}"
        for name, unit in units.items()
        if (amount := row.figures[name]).mean is not None
    )


def _interval(amount: Amount) -> str:
    if amount.interval is None:
        return ""
    low, high = amount.interval
    return f" (95 % interval {number(low)} to {number(high)})"
