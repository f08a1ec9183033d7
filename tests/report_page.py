"""A report built and read back as a document, for its tests."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from evalsuite.report import page
from evalsuite.report.build import build_report
from evalsuite.report.merge import merge
from evalsuite.results.load import RunResults

VOID = {"meta", "link", "input", "img", "br", "hr"}


class Page(HTMLParser):
    """A page as tags, attributes and text; fails on tags that do not nest."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.rows: list[list[str]] = []
        self.pieces: list[str] = []
        self.titles: list[str] = []
        self._open: list[str] = []
        self.feed(source)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs), f"repeated attribute on {tag}"
        self.tags.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
        if tag == "h1":
            self.titles.append("")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)
        if "h1" in self._open:
            self.titles[-1] += data
        if {"td", "th"} & set(self._open):
            self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return plain(" ".join(self.pieces))

    def row(self, *starts: str) -> list[str]:
        """The first row whose first cells are these."""
        rows = [[plain(cell) for cell in row] for row in self.rows]
        return next(row for row in rows if [cell.split(" ")[0] for cell in row[: len(starts)]] == list(starts))

    def heading(self) -> str:
        return plain(self.titles[0])


def plain(value: str) -> str:
    return re.sub(r"\s+", " ", value).strip()


def build(tmp_path: Path, *runs: Path) -> tuple[Page, dict[str, Any]]:
    """The pages of a report on these runs, the overview first, and its data: points and scores of all sequences."""
    index = build_report(list(runs), tmp_path / "report")
    texts = {path.name: path.read_text(encoding="utf-8") for path in index.parent.glob("*.html")}
    return _joined(texts), read_data(index.parent)


def rendered(run: RunResults) -> Page:
    """The pages of a report on a run that was changed in memory, the overview first."""
    return _joined(dict(page.render(merge([run]), "plotly.min.js")))


def _joined(texts: dict[str, str]) -> Page:
    order = sorted(texts, key=lambda name: (name != "index.html", not name.startswith("pair-"), name))
    return Page("".join(texts[name] for name in order))


def document(folder: Path, name: str) -> Any:
    """What a file of data/ hands over."""
    text = (folder / "data" / f"{name}.js").read_text(encoding="utf-8")
    start = f'window.evalsuiteData("{name}", '
    assert text.startswith(start)
    return json.loads(text[len(start) : -3])


def read_data(folder: Path) -> dict[str, Any]:
    """What every page knows, with the points, scores and relative curves of all sequences, one after another."""
    data = {**document(folder, "report"), "points": [], "scores": {}, "relative": []}
    for place, sequence in enumerate(data["sequences"]):
        own = document(folder, f"sequence-{place}")
        data["points"] += [{**point, "sequence": sequence} for point in own["points"]]
        for metric, scores in own["scores"].items():
            data["scores"].setdefault(metric, []).extend(scores)
        if (folder / "data" / f"relative-{place}.js").exists():
            data["relative"] += [{**one, "sequence": sequence} for one in document(folder, f"relative-{place}")]
    return data
