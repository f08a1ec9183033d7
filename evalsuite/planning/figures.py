"""The figures of a rate point that planning asks for, and why one is not known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from evalsuite.planning.points import FRAME_BITS, RatePoint
from evalsuite.results.leakybucket import start
from evalsuite.results.load import RunResults


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure of a rate point."""

    name: str
    unit: str
    of: Callable[[RatePoint], float | None]
    """None where it is not known."""
    why: Callable[[RatePoint, Gaps], str]
    """Of a point that it is not known of: the reason, and what to run."""


class Gaps:
    """Why scores are missing. Each run is looked through once, when it is first asked about."""

    def __init__(self) -> None:
        self._runs: dict[int, tuple[RunResults, dict[tuple[str, str], str]]] = {}

    def reason(self, point: RatePoint, metric: str) -> str:
        """The reason that its latest run gives; empty where none has such a score of the point at all."""
        for run in point.runs:
            if id(run) not in self._runs:  # it is kept, so that no other can come to have its id
                self._runs[id(run)] = run, _reasons(run)
            if reason := self._runs[id(run)][1].get((point.cell_key, metric)):
                return reason
        return ""


def _reasons(run: RunResults) -> dict[tuple[str, str], str]:
    rows = run.points
    if not len(rows):
        return {}
    rows = rows.loc[rows["status"] != "ok", ["cell_key", "metric", "status", "reason"]]
    return {
        (str(key), str(metric)): str(reason or status.replace("_", " "))
        for key, metric, status, reason in rows.to_numpy()
    }


def startup_s(point: RatePoint) -> float | None:
    """Seconds that a decoder waits for its first frame, so that none comes late, on a channel of the mean rate.

    None where the bits of frames are not known.
    """
    bits = point.frame_bits()
    if not len(bits) or not np.isfinite(bits).all() or not bits.sum():
        return None
    whole = [round(one) for one in bits]
    mean = Fraction(sum(whole), len(whole))
    return float(start(whole).at(mean) / mean) / point.frame_rate


def decode_cpu_s(point: RatePoint) -> float | None:
    """CPU seconds of the decoder over frames; the start of a program is in them (docs/timing.md)."""
    seconds = point.decode.get("cpu_s")
    return None if seconds is None else seconds / point.frames


def _metric(name: str, unit: str) -> Figure:
    return Figure(name, unit, lambda point: point.means.get(name), lambda point, gaps: _no_metric(point, name, gaps))


def _decode(name: str, unit: str, why: Callable[[RatePoint, Gaps], str]) -> Figure:
    return Figure(f"decode_{name}", unit, lambda point: point.decode.get(name), why)


def _no_metric(point: RatePoint, name: str, gaps: Gaps) -> str:
    missing = f"not measured: name {FRAME_BITS if name == FRAME_BITS else 'it'} in `evalsuite run --metrics`"
    return gaps.reason(point, name) or missing


def _no_delay(point: RatePoint, gaps: Gaps) -> str:  # noqa: ARG001 - every reason is asked for alike
    if "streams" not in point.decode:
        return "not timed: run with `--timing`"
    return "no times of single frames: most of the time passes before the first"


def _no_effort(point: RatePoint, gaps: Gaps) -> str:  # noqa: ARG001 - as above
    return "the machine that measured could not tell"


FIGURES = (
    Figure("kbps", "kbps", lambda point: point.kbps, _no_effort),
    Figure("bpp", "bpp", lambda point: point.bpp, _no_effort),
    _metric("sent_token_rate", "tokens/s"),
    _metric("token_rate", "tokens/s"),
    _metric("token_density", "tokens/Mpixel"),
    _metric("peak_to_mean", ""),
    _metric("frame_dispersion", "bit"),
    _metric("vbv_bits", "bit"),
    _metric("vbv_seconds", "s"),
    Figure("startup_s", "s", startup_s, lambda point, gaps: _no_metric(point, FRAME_BITS, gaps)),
    Figure("decode_cpu_s", "s", decode_cpu_s, _no_effort),
    _decode("latency_p95_s", "s", _no_delay),
    _decode("jitter_s", "s", _no_delay),
    _decode("peak_rss_bytes", "byte", _no_effort),
)
"""In reading order; all but the first two may be unknown. docs/planning.md says what each is."""

UNITS = {one.name: one.unit for one in FIGURES}
