"""Who is where on a board, and what a BD-rate lets us say: the rules are in `docs/publishing.md`.

Codecs are ranked by the mean over sequences of their BD-rates against the anchor that was run beside each of them. A
mean over fewer sequences than the board has is of other content, and is shown without a place.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from evalsuite.results.bdrows import ALL, BDRow
from evalsuite.results.board import Board
from evalsuite.results.entry import Entry

_DIGITS = 6
"""Of percents that are told apart; below it is what other versions of NumPy and SciPy may make."""

Verdict = Literal["fewer", "more", "undecided", "unjudged", "none"]
"""What can be said of the rate at equal quality. unjudged: nothing says how sure the number is; none: there is none."""


@dataclass(frozen=True, slots=True)
class Standing:
    """The entry of a codec that ranks, with its BD-rates."""

    entry: Entry
    rows: tuple[BDRow, ...]
    """All of its BD-rate table; empty for the anchor."""

    def mean(self, metric: str) -> BDRow | None:
        """The row over all sequences."""
        return next((row for row in self.rows if row.metric == metric and row.sequence == ALL), None)

    def sequences(self, metric: str) -> list[BDRow]:
        """The rows of single sequences."""
        return [row for row in self.rows if row.metric == metric and row.sequence != ALL]


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a ranking."""

    place: int | None
    """From 1, the same for equal numbers; the anchor has one, at 0 %. None where no number is over all sequences."""
    standing: Standing
    row: BDRow | None
    """None for the anchor."""

    @property
    def percent(self) -> float | None:
        """What it is ranked by."""
        return 0.0 if self.standing.entry.manifest.is_anchor else self.row.bd_rate_percent if self.row else None

    @property
    def of(self) -> int:
        """The sequences that a number over all of them holds, by the protocol of the entry."""
        return len(self.standing.entry.manifest.sequences)

    @property
    def is_part(self) -> bool:
        """Whether the number is a mean over fewer: of other content, and never to be shown as if it were not."""
        return self.row is not None and 0 < self.row.sequences < self.of


def rank(standings: Iterable[Standing], metric: str, board: Board) -> list[Place]:
    """The ranking by one metric: those with a place from the fewest bits to the most, then the others by name.

    Those with one number share a place, and the next is as if each had had one of its own: 1, 1, 3.
    """
    listed = [(standing, standing.mean(metric)) for standing in standings]
    whole = [
        (round((row and row.bd_rate_percent) or 0.0, _DIGITS), standing.entry.manifest.codec, i)
        for i, (standing, row) in enumerate(listed)
        if standing.entry.manifest.is_anchor
        or (row is not None and row.bd_rate_percent is not None and row.sequences == len(board.sequences))
    ]
    numbers = [number for number, *_ in sorted(whole)]
    places = [Place(1 + bisect_left(numbers, number), *listed[index]) for number, _, index in sorted(whole)]
    placed = {index for *_, index in whole}
    others = [listed[index] for index in range(len(listed)) if index not in placed]
    others.sort(key=lambda one: one[0].entry.manifest.codec)
    return places + [Place(None, standing, row) for standing, row in others]


def verdict(row: BDRow | None) -> Verdict:
    """What a row over all sequences lets us say.

    The rules are those of every report (`BDRow.verdict`); a number with neither interval nor noise floor is not judged.
    """
    if row is None or row.verdict == "refused":
        return "none"
    if row.verdict == "unclear":
        return "undecided"
    return "unjudged" if row.ci_low is None and row.noise_floor is None else row.verdict


def undecided_by(row: BDRow) -> str:
    """All that keeps a row over all sequences from saying which way it points; empty where it says so."""
    reasons = []
    if row.holds_zero:
        reasons.append("its sequences disagree about the sign" if row.ci_low is None else "its interval holds zero")
    if row.below_noise:
        reasons.append("it is within the noise floor of its points")
    if not reasons and row.verdict == "unclear":
        reasons.append("it is 0.0 % when rounded")
    return ", ".join(reasons)


def wins(rows: Sequence[BDRow]) -> tuple[int, int]:
    """On how many sequences the codec saves bits, and of how many that is."""
    percents = [row.bd_rate_percent for row in rows if row.bd_rate_percent is not None]
    return sum(percent < 0 for percent in percents), len(percents)
