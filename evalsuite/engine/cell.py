"""One cell's work, as it is done in a worker process: encode to a file, or decode files and measure them."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from evalsuite.codec.decoder import Decoder, decode
from evalsuite.codec.packets import packets
from evalsuite.codec.recipe import Recipe
from evalsuite.codec.report import report
from evalsuite.codec.run import Encoded, encode
from evalsuite.engine.features import FeatureCache
from evalsuite.engine.measure import Measured, Unavailable, measure
from evalsuite.engine.store import StoredEncode
from evalsuite.errors import EvalError
from evalsuite.metrics.base import Report, Setting
from evalsuite.sources.colour import RGB_VERSION
from evalsuite.sources.reader import open_video
from evalsuite.types import CodecReport, MetricInfo, OperatingPoint, Sequence, Usage

_unavailable = Unavailable()
"""Of this process."""


class _AskedOnce:
    """A report that several metrics ask for: its cost is counted with the first of them."""

    def __init__(self, ask: Report) -> None:
        self._ask = ask
        self._told: CodecReport | None = None

    def __call__(self) -> CodecReport:
        if self._told is None:
            self._told = self._ask()
            return self._told
        return replace(self._told, usage=Usage(0, 0))


@dataclass(frozen=True, slots=True)
class MeasuredCell:
    """What one decoded bitstream scored, and what decoding it cost."""

    cell_key: str
    measured: Measured | None
    usage: Usage = field(default_factory=lambda: Usage(0, 0))
    command: tuple[str, ...] = ()
    error: EvalError | None = None


def encode_cell(recipe: Recipe, sequence: Sequence, point: OperatingPoint, output: Path, timeout: float) -> Encoded:
    """Encode one sequence at one operating point to `output`."""
    return encode(recipe, sequence, point, output, timeout=timeout)


def measure_cells(
    recipe: Recipe,
    sequence: Sequence,
    point: OperatingPoint,
    encodes: dict[str, StoredEncode],
    infos: tuple[MetricInfo, ...],
    timeout: float,
    features: FeatureCache,
) -> list[MeasuredCell]:
    """Decode bitstreams of one codec and sequence, each in a process of its own, and measure them in one pass.

    Args:
        recipe: the codec.
        sequence: the source.
        point: the structure settings of the encodes (q differs and does not matter to a decoder).
        encodes: the bitstreams, by cell key.
        infos: the metrics.
        timeout: seconds each decoder may take.
        features: where costly features of sources are kept.

    Raises:
        MediaError: the source cannot be read.
    """
    setting = Setting(sequence.format, sequence.colour, sequence.frame_rate)
    with ExitStack() as stack:
        colour = f"{sequence.colour} {RGB_VERSION}"
        kept = features.source(content=sequence.sha256, format=str(sequence.format), colour=colour)
        decoders: dict[str, Decoder] = {}
        refused: dict[str, EvalError] = {}
        for key, stored in encodes.items():
            known = stored.reconstruction_sha256
            decoder = decode(recipe, stored.path, sequence, point, timeout=timeout, reconstruction_sha256=known)
            try:
                decoders[key] = stack.enter_context(decoder)
            except EvalError as error:
                refused[key] = error
        reports = {
            key: _AskedOnce(partial(report, recipe, stored.path, timeout=timeout)) for key, stored in encodes.items()
        }
        results = measure(
            open_video(sequence.path),
            setting,
            {key: iter(decoder) for key, decoder in decoders.items()},
            infos,
            reports if recipe.info else {},
            stack.enter_context(kept),
            {key: partial(packets, recipe, stored.path, reports[key]) for key, stored in encodes.items()},
            {key: decoder.delivered for key, decoder in decoders.items()} if recipe.channel else {},
            _unavailable,
        )
        found = [_conclude(key, results[key], decoder.command, decoder.usage) for key, decoder in decoders.items()]
        return found + [MeasuredCell(key, None, error=error) for key, error in refused.items()]


def _conclude(key: str, result: Measured | EvalError, command: tuple[str, ...], usage: Usage | None) -> MeasuredCell:
    if isinstance(result, EvalError):
        return MeasuredCell(key, None, command=command, error=result)
    return MeasuredCell(key, result, usage or Usage(0, 0), command)
