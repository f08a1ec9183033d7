"""What there is to do, as tasks: each with the files it touches, what it needs, and how urgent it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from evalsuite.codec.gops import Segment, encode_segment
from evalsuite.engine.cell import encode_cell, measure_cells
from evalsuite.engine.content import content_of
from evalsuite.engine.costs import CostModel, measure_bytes
from evalsuite.engine.execute import Needs, Task, Urgency
from evalsuite.engine.lanes import Lane
from evalsuite.engine.plan import Plan
from evalsuite.engine.store import StoredEncode
from evalsuite.engine.timing import time_decode, warm_up
from evalsuite.types import MetricInfo, Sequence

BEFORE_ALL: Urgency = (-1, 0.0)
"""Of a warm-up."""
_ENCODES, _MEASUREMENTS = 0, 1
"""Classes of urgency: encodes come before measurements, since others wait for their sizes."""
_MEASURE_S = 1e-6
"""Seconds for each luma sample: of the order of what the default panel takes; only the order of tasks hangs on it."""
AFTER_ALL: Urgency = (2, 0.0)
"""Of what is done only to be timed: a run that is interrupted then has its scores."""


class Tasks:
    """Makes the tasks of a run.

    Args:
        plan: the checked request.
        costs: what is known of codecs' costs.
    """

    def __init__(self, plan: Plan, costs: CostModel) -> None:
        self._plan = plan
        self.costs = costs

    def encode(self, lane: Lane, q: float, output: Path) -> tuple[Task, Urgency]:
        """Encode a lane's sequence to `output`."""
        recipe, sequence = lane.recipe, lane.sequence
        task = Task(
            *(encode_cell, (recipe, sequence, self._plan.point(q), output, self._plan.timeout)),
            needs=self._encoding(lane),
            sequence=sequence,
            writes=output,
            recipe=recipe,
        )
        return task, (_ENCODES, -self.costs.encode_s(recipe.name, sequence, q))

    def encode_segment(self, lane: Lane, q: float, segment: Segment, output: Path) -> tuple[Task, Urgency]:
        """Encode a part of a lane's sequence to `output`."""
        recipe, sequence = lane.recipe, lane.sequence
        arguments = (recipe, sequence, segment, self._plan.point(q), output, self._plan.timeout)
        task = Task(
            *(encode_segment, arguments),
            needs=self._encoding(lane),
            sequence=sequence,
            writes=output,
            recipe=recipe,
        )
        seconds = self.costs.encode_s(recipe.name, sequence, q) * segment.frames / sequence.frames
        return task, (_ENCODES, -seconds)

    def measure(
        self, lane: Lane, group: Mapping[str, StoredEncode], infos: tuple[MetricInfo, ...]
    ) -> tuple[Task, Urgency]:
        """Decode bitstreams of a lane, by cell key, and measure them in one pass over their source."""
        recipe, sequence = lane.recipe, lane.sequence
        how = (dict(group), infos, self._plan.timeout, self._plan.features)
        task = Task(
            *(measure_cells, (recipe, sequence, self._plan.point(0), *how)),
            needs=Needs(1, measure_bytes(sequence, len(group)), recipe.needs_gpu),
            sequence=sequence,
            reads=tuple(stored.path for stored in group.values()),
            recipe=recipe,
        )
        return task, (_MEASUREMENTS, -_MEASURE_S * sequence.pixels * len(group))

    def describe(self, sequence: Sequence) -> tuple[Task, Urgency]:
        """Find out what a source is like."""
        task = Task(
            content_of,
            (sequence, self._plan.features),
            needs=Needs(1, measure_bytes(sequence, 1)),
            sequence=sequence,
        )
        return task, (_MEASUREMENTS, -_MEASURE_S * sequence.pixels)

    def warm_up(self, lane: Lane, folder: Path) -> Task:
        """Run a lane's codec once, at the middle of its ladder."""
        ladder = lane.recipe.knob.ladder
        point = self._plan.point(ladder[len(ladder) // 2])
        return Task(warm_up, (lane.recipe, lane.sequence, point, folder, self._plan.timeout), self._encoding(lane))

    def time_encode(self, lane: Lane, q: float, output: Path) -> Task:
        """Encode once more, for its time alone."""
        return self.encode(lane, q, output)[0]

    def time_decode(self, lane: Lane, encode: StoredEncode) -> Task:
        """Decode with nothing else to do."""
        point = self._plan.point(encode.q)
        return Task(time_decode, (lane.recipe, lane.sequence, point, encode.path, self._plan.timeout))

    def _encoding(self, lane: Lane) -> Needs:
        recipe = lane.recipe
        memory = self.costs.encode_bytes(recipe.name, lane.sequence)
        return Needs(self._plan.threads, memory, recipe.needs_gpu)
