"""What a cell will cost, learnt from what others did.

So that long ones start first, and a machine is not asked for more memory than it has.

The logarithm of an encoder's seconds for each luma sample falls about linearly with q, with a slope that is the
encoder's: a regression for each codec, drawn towards no slope while little is known.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from evalsuite.types import Sequence

_UNKNOWN_S = 1e-6
"""For each luma sample, of a codec that nothing is known of: in the middle of the field, where encoders differ by five
orders of magnitude; the order of its own cells is right whatever it is."""

_RIDGE = 25.0
"""Sum of squared deviations of q that stands for "no slope": that of two points ten apart is 50."""

_MEASURING_BYTES = 700_000_000
_MEASURING_BYTES_PER_SAMPLE = 700
"""Memory of a worker that measures: 2.1 GB at 1920x1080 with the default panel (`benchmarks/metrics.py memory`), of
which the libraries and networks take 0.7."""

_ENCODING_BYTES = 100_000_000
_ENCODING_BYTES_PER_SAMPLE = 100
"""Of an encoder that nothing is known of; x265 takes 60 to 100 bytes a sample."""


@dataclass(frozen=True, slots=True)
class EncodeCost:
    """What one encode has cost."""

    codec: str
    pixels: int
    """Luma samples of the whole sequence."""
    frames: int
    q: float
    cpu_s: float
    wall_s: float
    peak_rss_bytes: int
    """0 where it is not known."""


@dataclass(slots=True)
class _Line:
    """Sums of a regression of log seconds per sample over q."""

    count: int = 0
    q: float = 0.0
    y: float = 0.0
    qq: float = 0.0
    qy: float = 0.0

    def add(self, q: float, y: float) -> None:
        self.count += 1
        self.q += q
        self.y += y
        self.qq += q * q
        self.qy += q * y

    def at(self, q: float) -> float:
        mean_q, mean_y = self.q / self.count, self.y / self.count
        slope = (self.qy - self.count * mean_q * mean_y) / (self.qq - self.count * mean_q**2 + _RIDGE)
        return mean_y + slope * (q - mean_q)


@dataclass(slots=True)
class CostModel:
    """What is known of codecs' costs; learns from every encode.

    Args:
        known: encodes of earlier runs.
    """

    known: Iterable[EncodeCost] = ()
    _lines: defaultdict[str, _Line] = field(default_factory=lambda: defaultdict(_Line))
    _memory: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Luma samples of a frame, and the memory that they took."""

    def __post_init__(self) -> None:
        for cost in self.known:
            self.learn(cost)
        self.known = ()

    def learn(self, cost: EncodeCost) -> None:
        """Take what an encode has cost."""
        if cost.cpu_s > 0 and cost.pixels > 0:
            self._lines[cost.codec].add(cost.q, math.log(cost.cpu_s / cost.pixels))
        if cost.peak_rss_bytes > 0 and cost.frames > 0:
            samples = cost.pixels // cost.frames
            # At the largest size that is known: what a small one takes says little about a large one.
            largest, peak = self._memory.get(cost.codec, (0, 0))
            if samples >= largest:
                self._memory[cost.codec] = samples, max(cost.peak_rss_bytes, peak if samples == largest else 0)

    def knows(self, codec: str) -> bool:
        """Whether anything is known of the codec's time."""
        return codec in self._lines

    def encode_s(self, codec: str, sequence: Sequence, q: float) -> float:
        """CPU seconds that an encode may take."""
        line = self._lines.get(codec)
        return sequence.pixels * (math.exp(line.at(q)) if line else _UNKNOWN_S)

    def encode_bytes(self, codec: str, sequence: Sequence) -> int:
        """Memory that an encode may take: what the largest known frames took, more for larger ones, never less."""
        samples = sequence.format.width * sequence.format.height
        largest, peak = self._memory.get(codec, (0, 0))
        if not largest:
            return _ENCODING_BYTES + _ENCODING_BYTES_PER_SAMPLE * samples
        return round(peak * max(1.0, samples / largest))


def measure_bytes(sequence: Sequence, count: int) -> int:
    """Memory that measuring `count` decoded sequences in one pass may take."""
    samples = sequence.format.width * sequence.format.height
    return _MEASURING_BYTES + _MEASURING_BYTES_PER_SAMPLE * samples * max(1, count)
