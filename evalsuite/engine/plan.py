"""What a run is asked to do, checked before anything starts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from evalsuite.codec.identity import digest_of
from evalsuite.codec.recipe import Recipe
from evalsuite.engine.features import FeatureCache
from evalsuite.errors import RequestError, did_you_mean
from evalsuite.metrics.complexity import COSTS
from evalsuite.results.profile import Profile
from evalsuite.sources.colour import RGB_VERSION
from evalsuite.types import HIGHEST_RATE, LOWEST_RATE, MetricInfo, OperatingPoint, Sequence


@dataclass(frozen=True, slots=True)
class OwnLadder:
    """Every codec at the operating points of its own ladder: nothing is matched."""


@dataclass(frozen=True, slots=True)
class MatchCodec:
    """Every codec at the rates that one codec's ladder gives, sequence by sequence."""

    name: str


@dataclass(frozen=True, slots=True)
class MatchRates:
    """Every codec at the same given rates."""

    values: tuple[float, ...]
    unit: str
    """bpp or kbps."""

    def sizes(self, sequence: Sequence) -> list[float]:
        """The rates as bytes of bitstream for this sequence, largest first."""
        per_unit = (
            sequence.pixels / 8 if self.unit == "bpp" else float(sequence.frames / sequence.frame_rate) * 1000 / 8
        )
        return sorted((value * per_unit for value in self.values), reverse=True)


Match = OwnLadder | MatchCodec | MatchRates


def parse_match(text: str | None, codecs: list[str]) -> Match:
    """What `--match` means: a codec of the run, a list of rates, or none; by default the first codec.

    >>> parse_match("0.01,0.02bpp", ["x265"])
    MatchRates(values=(0.01, 0.02), unit='bpp')

    Raises:
        RequestError: neither of these.
    """
    if text is None:
        return MatchCodec(codecs[0])
    if text == "none":
        return OwnLadder()
    if text in codecs:
        return MatchCodec(text)
    rates = re.fullmatch(r"([0-9.,eE+-]+)(bpp|kbps)", text)
    if rates:
        try:
            values = tuple(float(part) for part in rates[1].split(","))
        except ValueError:
            values = ()
        if values and all(LOWEST_RATE <= value < HIGHEST_RATE for value in values):
            return MatchRates(values, rates[2])
        raise RequestError(
            f"--match {text!r} is not a list of rates",
            expected="numbers from 1e-9 to 1e6 such as 0.005,0.01,0.02bpp or 50,100kbps",
        )
    raise RequestError(
        f"--match {text!r} is neither a codec of this run nor a list of rates",
        expected="one of the codecs, rates such as 0.005,0.01,0.02bpp or 50,100kbps, or none",
        fix=did_you_mean(text, codecs),
    )


@dataclass(frozen=True, slots=True)
class Plan:
    """A checked request: everything is loaded and verified, nothing has been encoded."""

    recipes: tuple[Recipe, ...]
    sequences: tuple[Sequence, ...]
    metrics: tuple[MetricInfo, ...]
    match: Match
    anchor: str
    intra_period: int
    threads: int
    timeout: float
    features: FeatureCache
    """Where costly features of sources are kept."""
    profiles: Mapping[str, tuple[Profile, ...]] = field(default_factory=dict)
    """By sequence, what its scores are summed up by."""
    timing: bool = False
    """Whether every rate point's encode and decode is timed by itself."""
    hull: bool = False
    """Whether the convex hull of each codec's variants is a codec too."""
    split: bool = True
    """Whether long encodes are split by GoP where that gives the same stream."""

    @property
    def profile_infos(self) -> tuple[MetricInfo, ...]:
        """Every profile of the run as a metric."""
        return tuple({one.name: one.info for chosen in self.profiles.values() for one in chosen}.values())

    def point(self, q: float) -> OperatingPoint:
        """The operating point at `q` under this run's structure settings."""
        return OperatingPoint(q=q, intra_period=self.intra_period, threads=self.threads)

    def codec_key(self, recipe: Recipe, sequence: Sequence) -> str:
        """Identity of every encode of one codec on one sequence, but for its q."""
        return digest_of(
            {
                "source": sequence.sha256,
                "frames": sequence.frames,
                "codec": recipe.identity(),
                "intra_period": self.intra_period,
                "threads": self.threads,
            }
        )

    def cell_key(self, recipe: Recipe, sequence: Sequence, q: float) -> str:
        """Identity of one cell: changes whenever its bitstream could."""
        return digest_of({"codec_key": self.codec_key(recipe, sequence), "q": q})

    def score_versions(self, recipe: Recipe, sequence: Sequence) -> dict[str, str]:
        """By metric name, what a stored score of this codec and sequence must carry to be used again.

        The metric's version; for a metric of RGB the colour that frames were converted by, since the code values in a
        file are the same whatever they are taken for, and likewise the range for a metric of luma that looks at it, and
        what is not SDR for one that is defined for SDR; for one that the codec reports the command that asks it; for
        one of packets how the bitstream is taken apart. Costs are not stored as scores.
        """
        format = {"info": recipe.info, "container": recipe.container, "standard": recipe.standard}
        marks = {
            "rgb": f"{sequence.colour} {RGB_VERSION}",
            "range": "full" if sequence.colour.full_range else "limited",
            "report": digest_of({"info": recipe.info})[:16],
            "packets": digest_of(format)[:16],
        }
        transfer = sequence.colour.transfer
        return {
            info.name: " ".join(
                [
                    info.version,
                    *(mark for need, mark in marks.items() if need in info.needs),
                    *([transfer] if transfer != "sdr" and not info.hdr else []),
                ]
            )
            for info in self.metrics
            if COSTS not in info.needs
        }
