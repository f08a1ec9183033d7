"""How the site says things: metrics, verdicts and BD-rates in words that need no colour."""

from __future__ import annotations

import re

from evalsuite.report import text
from evalsuite.results.bdrows import BDRow
from evalsuite.results.board import Board
from evalsuite.results.entries_history import Step
from evalsuite.results.entries_rank import Place, Verdict
from evalsuite.results.profile import PREFIX

VERDICTS: dict[Verdict, str] = {
    "fewer": "saves bits",
    "more": "costs bits",
    "undecided": "not told apart",
    "unjudged": "nothing says how sure",
    "none": "no number",
}

STEPS = {
    "better": "▼ better",
    "worse": "▲ worse",
    "same": "≈ no real change",
    "unknown": "? cannot be told",
    "first": "first",
    "protocol": "new protocol",
}

SIGNS: dict[Verdict, str] = {"fewer": "▼", "more": "▲", "undecided": "≈", "unjudged": "?", "none": "–"}


def metric_title(name: str) -> str:
    """A metric's name as read in text.

    >>> metric_title("psnr_yuv"), metric_title("profile:streaming")
    ('PSNR-YUV', 'streaming profile')
    """
    return f"{name.removeprefix(PREFIX)} profile" if name.startswith(PREFIX) else text.metric(name)


def metric_slug(name: str) -> str:
    """A metric's name as part of a file's name: metrics are words of a-z, 0-9 and '_', some with ':' within."""
    return re.sub(r"[^a-z0-9_]+", "-", name.lower())


def bits(percent: float) -> str:
    """A BD-rate in a sentence."""
    if round(percent, 1) == 0:
        return "as many bits"
    return f"{text.magnitude(percent)} {'fewer' if percent < 0 else 'more'} bits"


def part(place: Place) -> str:
    """Of how many sequences a number is, where that is not all of them: `4 of 5 sequences`; else empty."""
    held = place.row.sequences if place.row else 0
    return f"{held} of {text.plural(place.of, 'sequence')}" if place.is_part else ""


def decided_by(row: BDRow | None) -> str:
    """What a verdict rests on."""
    if row is None or row.bd_rate_percent is None:
        return ""
    floor = "" if row.noise_floor is None else f"noise floor {text.percent(row.noise_floor, 1, signed=False)}"
    if row.ci_low is not None:
        told = [f"{text.INTERVAL} {text.interval(row.ci_low, row.ci_high)}", floor if row.below_noise else ""]
    else:
        disagree = "its sequences disagree about the sign" if row.holds_zero else ""
        told = [floor or "no noise floor with four points", "no interval below five sequences", disagree]
    if row.verdict == "unclear" and not (row.holds_zero or row.below_noise):
        told.append("0.0 % when rounded")
    return "; ".join(filter(None, told))


def step_text(step: Step) -> str:
    """A step on one line: what it is, how large, and why."""
    size = "" if step.row is None or step.row.bd_rate_percent is None else f" {text.percent(step.row.bd_rate_percent)}"
    return f"{STEPS[step.kind]}{size}"


def protocol(board: Board) -> list[tuple[str, str]]:
    """What a board pins, in words."""
    frames = "all of each sequence" if board.frames is None else f"the first {board.frames} of each sequence"
    intra = "the first frame only" if board.intra_period == -1 else f"every {board.intra_period} frames"
    structure = text.listing(board.structure) if board.structure else "any"
    delay = "any" if board.max_delay is None else f"at most {text.plural(board.max_delay, 'frame')}"
    return [
        ("Sequences", f"{text.listing([one.name for one in board.sequences])}, of {board.dataset}"),
        ("Frames", frames),
        ("Rates to match", f"{', '.join(f'{one:g}' for one in board.targets)} {board.unit}"),
        ("Intra frames", intra),
        ("Structure", structure),
        ("Delay beyond the coded frame", delay),
        ("Encoder threads", str(board.threads)),
        ("Anchor", board.anchor),
    ]
