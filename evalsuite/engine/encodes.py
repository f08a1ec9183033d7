"""Encodes of a run: asked for by q, done whole or in parts, and in the store as soon as they are done."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from pathlib import Path

from evalsuite.codec.gops import Segment, join, plan_segments
from evalsuite.codec.run import Encoded
from evalsuite.engine.costs import EncodeCost
from evalsuite.engine.execute import Pool
from evalsuite.engine.lanes import Job, Lane
from evalsuite.engine.plan import Plan
from evalsuite.engine.splitting import parts_of
from evalsuite.engine.store import Origin, Store, StoredEncode
from evalsuite.engine.tasks import Tasks
from evalsuite.errors import EvalError
from evalsuite.types import SHARED, Timing

_REFRESH_S = 10.0
"""Seconds for which the sum of all that is to be encoded holds: it goes over every lane."""


class JoinError(EvalError):
    """The parts of a split encode do not make a whole."""


@dataclass(slots=True)
class _Split:
    """An encode in parts."""

    segments: tuple[Segment, ...]
    done: dict[Segment, StoredEncode] = field(default_factory=dict)


class Encodes:
    """Asks for encodes and keeps what comes of them.

    Args:
        plan: the checked request.
        lanes: the run's lanes.
        store: where they are kept.
        pool: where they are done.
        tasks: makes the tasks.
    """

    def __init__(self, plan: Plan, lanes: list[Lane], store: Store, pool: Pool[Job], tasks: Tasks) -> None:
        self._plan = plan
        self._lanes = lanes
        self._store = store
        self._pool = pool
        self._tasks = tasks
        self._splits: dict[tuple[int, float], _Split] = {}
        self._points = sum(len(lane.recipe.knob.ladder) for lane in lanes if lane.recipe.channel is None)
        self._all_s = 0.0
        self._summed = -math.inf

    def find(self, index: int, q: float) -> StoredEncode | None:
        """The encode of a lane at `q`, where the store has it."""
        lane = self._lanes[index]
        return self._store.encode(self._plan.cell_key(lane.recipe, lane.sequence, q))

    def begin(self, index: int, q: float) -> StoredEncode | None:
        """Have it done; the encode where the store has all its parts already, else None.

        Raises:
            JoinError: it has them, and they cannot be joined.
        """
        lane = self._lanes[index]
        segments = self._segments(lane, q)
        if len(segments) > 1:
            return self._begin_parts(index, q, _Split(segments))
        task, urgency = self._tasks.encode(lane, q, self._scratch(index, q, "whole"))
        self._pool.submit(("encode", index, q), task, urgency)
        return None

    def _begin_parts(self, index: int, q: float, split: _Split) -> StoredEncode | None:
        lane = self._lanes[index]
        key = self._plan.codec_key(lane.recipe, lane.sequence)
        for segment in split.segments:
            stored = self._store.segment(key, q, segment.start, segment.frames)
            if stored is not None:
                split.done[segment] = stored
        self._splits[index, q] = split
        if len(split.done) == len(split.segments):
            return self._join(index, q, split)
        for segment in split.segments:
            if segment not in split.done:
                output = self._scratch(index, q, f"{segment.start}-{segment.frames}")
                task, urgency = self._tasks.encode_segment(lane, q, segment, output)
                self._pool.submit(("encode_part", index, (q, segment.start, segment.frames)), task, urgency)
        return None

    def take(self, index: int, q: float, encoded: Encoded, timing: Timing) -> StoredEncode:
        """Keep a whole encode."""
        lane = self._lanes[index]
        recipe, sequence = lane.recipe, lane.sequence
        usage = encoded.usage
        took = (usage.cpu_s, usage.wall_s, usage.peak_rss_bytes)
        self._tasks.costs.learn(EncodeCost(recipe.name, sequence.pixels, sequence.frames, q, *took))
        return self._store.add_encode(
            self._plan.cell_key(recipe, sequence, q),
            q,
            encoded.path,
            sha256=encoded.sha256,
            payload_bytes=encoded.payload_bytes,
            usage=usage,
            commands=encoded.commands,
            timing=timing,
            reconstruction_sha256=encoded.reconstruction_sha256,
            origin=self._origin(lane),
            codec_key=self._plan.codec_key(recipe, sequence),
        )

    def share(self, index: int, encode: StoredEncode) -> StoredEncode:
        """Record that a lane's cell is of a bitstream that the store has; the encode."""
        lane = self._lanes[index]
        key = self._plan.cell_key(lane.recipe, lane.sequence, encode.q)
        self._store.share_encode(key, encode, self._origin(lane))
        return encode

    def _origin(self, lane: Lane) -> Origin:
        return Origin(
            codec=lane.recipe.name,
            codec_sha256=lane.recipe.identity(),
            sequence=lane.sequence.name,
            pixels=lane.sequence.pixels,
            frames=lane.sequence.frames,
            threads=self._plan.threads,
        )

    def take_part(self, index: int, part: tuple[float, int, int], encoded: Encoded) -> StoredEncode | None:
        """Keep a part of an encode; the whole where it was the last, None where more are to come.

        Raises:
            JoinError: the parts cannot be joined.
        """
        lane = self._lanes[index]
        q, start, frames = part
        stored = self._store.add_segment(
            *(self._plan.codec_key(lane.recipe, lane.sequence), q, start, frames, encoded.path),
            sha256=encoded.sha256,
            payload_bytes=encoded.payload_bytes,
            usage=encoded.usage,
            commands=encoded.commands,
        )
        split = self._splits.get((index, q))
        if split is None:
            return None  # another part has failed, and with it the whole
        split.done[Segment(start, frames)] = stored
        return self._join(index, q, split) if len(split.done) == len(split.segments) else None

    def give_up(self, index: int, q: float) -> bool:
        """A part has failed: the whole cannot be had. Whether it was the first that did."""
        return self._splits.pop((index, q), None) is not None

    def _join(self, index: int, q: float, split: _Split) -> StoredEncode:
        lane = self._lanes[index]
        parts = [
            Encoded(
                path=one.path,
                file_bytes=one.file_bytes,
                payload_bytes=one.payload_bytes,
                sha256=one.sha256,
                usage=one.usage,
                commands=one.commands,
            )
            for one in (split.done[segment] for segment in split.segments)
        ]
        try:
            whole = join(lane.recipe, parts, self._scratch(index, q, "joined"))
        except EvalError as error:
            # With these parts it would fail for ever.
            self._store.drop_segments(self._plan.codec_key(lane.recipe, lane.sequence), q)
            raise JoinError(f"the parts of a split encode cannot be joined: {error}") from error
        self._splits.pop((index, q), None)
        return self.take(index, q, whole, SHARED)

    def _segments(self, lane: Lane, q: float) -> tuple[Segment, ...]:
        # What is timed is timed as it would be used: in one go. One worker gains nothing by parts, and encodes alone.
        if not self._plan.split or self._plan.timing or self._pool.jobs == 1:
            return ()
        costs, name = self._tasks.costs, lane.recipe.name
        point = self._plan.point(q)
        gops = len(plan_segments(lane.recipe, lane.sequence, point, None))
        if gops < 2:
            return ()
        if begun := self._begun(lane, q, gops):
            return begun
        workers = self._pool.jobs
        if costs.knows(name):
            parts = parts_of(costs.encode_s(name, lane.sequence, q), gops, self._whole_s(), workers)
        else:
            # Nobody knows how long it takes: no worker is to be without something to do.
            parts = min(gops, math.ceil(workers / self._points))
        return plan_segments(lane.recipe, lane.sequence, point, parts)

    def _begun(self, lane: Lane, q: float, gops: int) -> tuple[Segment, ...]:
        """The segments that an earlier run has begun with, by what the store has of them; none where it has nothing."""
        kept = {Segment(*one) for one in self._store.segments(self._plan.codec_key(lane.recipe, lane.sequence), q)}
        if not kept:
            return ()
        point = self._plan.point(q)
        plans = (plan_segments(lane.recipe, lane.sequence, point, parts) for parts in range(2, gops + 1))
        best = max(plans, key=lambda plan: sum(one.frames for one in kept.intersection(plan)))
        return best if kept.intersection(best) else ()

    def _whole_s(self) -> float:
        """Seconds that all encodes of the run may take; a search takes about as many as a ladder."""
        if time.monotonic() - self._summed >= _REFRESH_S:
            self._summed = time.monotonic()
            self._all_s = sum(
                self._tasks.costs.encode_s(lane.recipe.name, lane.sequence, q)
                for lane in self._lanes
                if lane.recipe.channel is None
                for q in lane.recipe.knob.ladder
            )
        return self._all_s

    def _scratch(self, index: int, q: float, what: str) -> Path:
        return self._store.scratch / f"{index}-{q!r}-{what}.{self._lanes[index].recipe.extension}"
