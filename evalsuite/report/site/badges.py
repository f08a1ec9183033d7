"""Badges: one number of an entry as a small picture, for a readme."""

from __future__ import annotations

from evalsuite.report import text
from evalsuite.report.site.boards import Line, Ranking
from evalsuite.report.site.render import render
from evalsuite.report.site.words import part
from evalsuite.results.entries_rank import Verdict

_COLOURS: dict[Verdict, str] = {
    "fewer": "#0b5c96",
    "more": "#a8430c",
    "undecided": "#5a6067",
    "unjudged": "#5a6067",
    "none": "#5a6067",
}
"""White on each has a contrast of at least 4.5:1."""

_WIDE, _NARROW, _OTHER = "mwMW@%", "iljtfrI.,:;'|! ", 6.6


def badge(ranking: Ranking, line: Line) -> str:
    """The SVG of one line of a ranking."""
    percent, anchor = line.place.percent, line.entry.manifest.anchor
    if line.entry.manifest.is_anchor:
        said, verdict = "the anchor", line.verdict
    elif percent is None:
        said, verdict = f"no BD-rate vs {anchor}", line.verdict
    else:
        on = f" on {part(line.place)}" if line.place.is_part else ""
        said, verdict = f"{text.percent(percent)} vs {anchor}{on}", "none" if on else line.verdict
    left, right = (_width(one) + 12 for one in (ranking.title, said))
    return render(
        "badge.svg", label=ranking.title, said=said, left=left, right=right, width=left + right, fill=_COLOURS[verdict]
    )


def _width(said: str) -> int:
    """About how wide a text of 11 px is; the picture stretches it to just that."""
    return round(sum(9.5 if c in _WIDE else 3.8 if c in _NARROW else _OTHER for c in said))
