"""What a run tells of itself: forecasts by hand, and how they are shown where nobody watches."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from evalsuite.cli import progress as shown
from evalsuite.cli.progress import Watch, watching
from evalsuite.codec.knob import Knob
from evalsuite.engine import progress
from evalsuite.engine.lanes import Counts, Job, Lane
from evalsuite.engine.plan import Match, MatchCodec, MatchRates, OwnLadder
from evalsuite.engine.progress import Event, Forecast, Narrator
from evalsuite.engine.search import RateSearch
from evalsuite.types import Colour, Failure, Sequence, VideoFormat

KNOB = Knob(0, 50, 1, (10, 20, 30, 40))


class Pool:
    """A pool that is told what it does."""

    def __init__(self, jobs: int) -> None:
        self.jobs = jobs
        self.at: list[Job] = []
        self.on_start: Callable[[Job], None] | None = None

    def tasks(self) -> list[Job]:
        return list(self.at)

    @property
    def is_idle(self) -> bool:
        return not self.at


class Stage:
    """A run of codecs on sequences, in which time passes as the test says."""

    def __init__(
        self,
        monkeypatch: pytest.MonkeyPatch,
        match: Match,
        codecs: str,
        widths: tuple[int, ...],
        jobs: int = 1,
        timing: bool = False,
    ) -> None:
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)
        self.events: list[Event] = []
        self.pool = Pool(jobs)
        self.counts = Counts()
        self.lanes = [
            Lane(cast(Any, SimpleNamespace(name=codec, knob=KNOB, channel=None)), sequence(width), RateSearch(KNOB, ()))
            for width in widths
            for codec in codecs
        ]
        plan = cast(Any, SimpleNamespace(match=match, timing=timing))
        self.narrator = Narrator(plan, self.lanes, self.counts, cast(Any, self.pool), self.events.append)

    def start(self, *task: object) -> None:
        job = cast(Job, task)
        if job not in self.pool.at:
            self.pool.at.append(job)
        assert self.pool.on_start is not None
        self.pool.on_start(job)

    def end(self, *task: object, after: float, failures: tuple[Failure, ...] = ()) -> None:
        job = cast(Job, task)
        self.now += after
        self.pool.at.remove(job)
        self.narrator.end(job, "done", failures)

    @property
    def forecast(self) -> Forecast:
        return self.events[-1].forecast


def sequence(width: int) -> Sequence:
    return Sequence(f"w{width}", "files", Path("none"), "", VideoFormat(width, 10), Fraction(25), 3, Colour("bt709"))


def test_nothing_is_made_up_and_time_goes_by_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, OwnLadder(), "a", (10, 20))
    small, large = stage.lanes
    small.is_complete = large.is_complete = True
    small.points = cast(Any, [point(q) for q in (10.0, 20.0)])
    large.points = cast(Any, [point(q) for q in (10.0, 20.0, 30.0)])
    stage.pool.at = [("measure", 0, ("10.0", "20.0")), ("measure", 1, ("10.0", "20.0", "30.0"))]
    stage.start("measure", 0, ("10.0", "20.0"))
    assert stage.events[-1].qs == (10.0, 20.0)
    assert stage.forecast == Forecast(5)
    assert stage.forecast.words() == "time left unknown yet"
    # Two points of 10 wide take 8 s: three of 20 wide take 24 s.
    stage.end("measure", 0, ("10.0", "20.0"), after=8)
    assert stage.forecast == Forecast(5, pytest.approx(24))
    stage.start("measure", 1, ("10.0", "20.0", "30.0"))
    stage.now += 10
    stage.narrator._tell(("measure", 1, ()), has_ended=False)
    assert stage.forecast.left_s == pytest.approx(14)


def test_what_failed_says_nothing_about_time(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, OwnLadder(), "a", (10,))
    stage.lanes[0].ladder, stage.lanes[0].waiting = (10, 20), {10, 20}
    stage.pool.at = [("encode", 0, 10.0), ("encode", 0, 20.0)]
    stage.start("encode", 0, 10.0)
    failure = Failure("a", "w10", 10, "encode", "it broke")
    stage.end("encode", 0, 10.0, after=3, failures=(failure,))
    assert stage.forecast.left_s is None
    assert stage.events[-1].failures == (failure,)


def test_a_search_waits_for_itself_and_what_was_not_seen_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, MatchRates((1.0, 2.0), "bpp"), "a", (10,), jobs=4)
    (lane,) = stage.lanes
    lane.targets = lane.search.targets = (2000, 1000)
    lane.waiting = {30.0}
    stage.start("encode", 0, 30.0)
    assert stage.forecast == Forecast(2)
    # One encode hits one target: the other is expected to take one as well. No worker but one can help.
    lane.encodes[30.0] = cast(Any, None)
    lane.search.learn(30.0, 2000)
    lane.waiting = {20.0}
    stage.pool.at.append(("encode", 0, 20.0))
    stage.end("encode", 0, 30.0, after=6)
    # Nothing was measured yet, which takes longest.
    assert stage.forecast == Forecast(2)
    stage.start("measure", 0, ("30.0",))
    stage.end("measure", 0, ("30.0",), after=5)
    # An encode of 6 s and two points of 5 s on four workers: the encode is what takes longest.
    assert stage.forecast == Forecast(2, pytest.approx(6))


def test_what_measuring_takes_is_known_by_any_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, OwnLadder(), "ab", (10,))
    for lane in stage.lanes:
        lane.is_complete, lane.points = True, cast(Any, [point(10.0)])
    stage.pool.at = [("measure", 0, ("10.0",)), ("measure", 1, ("10.0",))]
    stage.start("measure", 0, ("10.0",))
    stage.end("measure", 0, ("10.0",), after=7)
    assert stage.forecast == Forecast(2, pytest.approx(7))


def test_lanes_that_wait_count_with_what_they_will_match(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, MatchCodec("a"), "ab", (10, 20))
    stage.start("encode", 0, 10.0)
    assert stage.forecast.points == 16
    first = stage.lanes[0]
    first.is_complete, first.points = True, cast(Any, [point(10.0)])
    stage.now += 1
    stage.start("encode", 1, 10.0)
    assert stage.forecast.points == 1 + 1 + 4 + 4


def test_decodes_that_are_yet_to_be_timed_count(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(monkeypatch, OwnLadder(), "a", (10, 20), timing=True)
    done, waiting = stage.lanes
    done.is_complete, done.points = True, cast(Any, [point(10.0)])
    waiting.ladder = KNOB.ladder
    for kind, what, seconds in (("warm_up", "", 9), ("measure", ("10.0",), 3), ("time_decode", "10.0", 2)):
        stage.start(kind, 0, what)
        stage.end(kind, 0, what, after=seconds)
    # Four points of twice the size, each measured and timed.
    assert stage.forecast == Forecast(5, pytest.approx(4 * 2 * (3 + 2)))


def point(q: float) -> object:
    return SimpleNamespace(cell_key=str(q), encode=SimpleNamespace(q=q))


@pytest.mark.parametrize(
    ("forecast", "words"),
    [
        (Forecast(1), "time left unknown yet"),
        (Forecast(1, 0.4, is_partial=True), "time left unknown yet"),
        (Forecast(1, 0.0), "about 0 s left"),
        (Forecast(1, 99.4), "about 99 s left"),
        (Forecast(1, 100.0), "about 2 min left"),
        (Forecast(1, 3570.0, is_partial=True), "about 1 h 0 min or more left"),
        (Forecast(1, 9000.0), "about 2 h 30 min left"),
    ],
)
def test_time_left_in_words(forecast: Forecast, words: str) -> None:
    assert forecast.words() == words


def test_time_left_runs_down_between_events_and_stops_at_nothing() -> None:
    assert Forecast(1, 50.0).words(20.0) == "about 30 s left"
    assert Forecast(1, 50.0).words(70.0) == "about 0 s left"


def an_event() -> Event:
    counts = Counts(cells=5, encodes=2, encodes_cached=1, measured=3)
    return Event(("encode", 0, 27.5), "x264", "city", (27.5,), counts, Forecast(8, 30.0), True, "812 bytes")


def test_an_event_is_one_line() -> None:
    assert (
        str(an_event()) == "encodes 3, rate points measured 3 of 8, about 30 s left  encode x264 city q 27.5: 812 bytes"
    )
    started = replace(an_event(), task=("time_decode", 0, "key"), has_ended=False, outcome="")
    assert str(started).endswith("  time decode x264 city q 27.5")


def test_where_nobody_watches_a_line_comes_now_and_then(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = 0.0
    monkeypatch.setattr(shown.time, "monotonic", lambda: now)
    watch = Watch()
    with watching(watch):
        for now in (1.0, 9.9, 10.1, 12.0, 20.0, 20.2):  # noqa: B007 - read by the clock
            watch(an_event())
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == ["preparing sequences", *[str(an_event())] * 2]
    assert (watch.counts.encodes, watch.points) == (2, 8)


def test_a_run_that_works_on_is_not_silent(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(shown, "SILENT_S", 0.5)
    monkeypatch.setattr(shown, "PLAIN_INTERVAL_S", 1e9)
    watch, started = Watch(), replace(an_event(), has_ended=False, outcome="")
    with watching(watch):
        watch(started)
        time.sleep(1.6)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["preparing sequences", f"{started.progress}  1 at work"]
