"""Building the site: every page, picture and table of it, from the entries of boards."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import evalsuite
from evalsuite.errors import RequestError
from evalsuite.report.build import PLOTLY, build_report, plotly_js
from evalsuite.report.site import downloads, entrypage, words
from evalsuite.report.site.badges import badge
from evalsuite.report.site.boards import (
    PAGE_ROWS,
    Line,
    MetricFacts,
    Ranking,
    compared_metrics,
    glances,
    metric_facts,
    page_name,
    paged,
    ranking,
)
from evalsuite.report.site.histories import HISTORY, History, Version, history_charts
from evalsuite.report.site.output import Output
from evalsuite.report.site.render import ASSETS, render
from evalsuite.results.board import Board
from evalsuite.results.entries import by_codec, latest, list_entries
from evalsuite.results.entries_history import Snapshot, snapshot, steps
from evalsuite.results.entries_rank import Standing
from evalsuite.results.entry import FILES, Entry, codec_slug
from evalsuite.results.entry_files import bd_rows
from evalsuite.results.entry_schema import SchemaName, schema_text
from evalsuite.results.folder import is_document
from evalsuite.results.load import RunResults, read_run

MARKER = "site.json"
"""What tells a site from another folder, which is never replaced."""

REPORT_CODECS = 12
"""Codecs in the interactive report: of more, nobody can tell the curves apart, and its pages grow beyond reading."""

LATEST = 25
"""Entries on the first page, and in the feed."""

_REPORT_CSS = Path(__file__).parents[1] / "assets" / "report.css"
_ENTRY_ROWS = 400
_RESERVED = ("badges",)


@dataclass
class BoardSite:
    """What is known of a board once its entries have been gone through."""

    board: Board
    entries: list[Entry]
    rankings: list[Ranking] = field(default_factory=list)
    results: dict[str, list[Line]] = field(default_factory=dict)
    """By id of an entry, its line by each headline metric, as if it were alone with the anchor."""

    @property
    def codecs(self) -> int:
        """How many codecs rank, or could."""
        return len(self.rankings[0].lines) if self.rankings else 0


def build_site(boards: Sequence[Board], entries: Path, out: Path, base_url: str = "") -> int:
    """Build the site; what was in its folder before is replaced once all of it is there.

    Args:
        boards: in the order of the first page.
        entries: the folder of all entries.
        out: the site's folder: new, empty, or an earlier site.
        base_url: where the site will be, for the links of the feed; empty for relative ones.

    Returns:
        How many pages it has, without those of interactive reports.

    Raises:
        RequestError: `out` is another folder or cannot be written, or a board's name cannot be a folder there.
        StoreError: an entry cannot be read; `evalsuite publish --check` says more.
    """
    for board in boards:
        if board.name in _RESERVED:
            raise RequestError(f"a board cannot be called {board.name} on a site", fix="give it another name")
    is_site = is_document(out / MARKER, ("schema", "evalsuite", "boards"))
    if out.exists() and not (out.is_dir() and (is_site or not any(out.iterdir()))):
        raise RequestError("this is not a site, and it is not empty", where=out, fix="give --out a new folder")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".publishing-") as temporary:
            site = Output(Path(temporary) / "site")
            _write_site(site, boards, entries, base_url)
            if out.exists():
                out.rename(Path(temporary) / "before")
            site.folder.rename(out)
    except OSError as error:
        raise RequestError(
            f"the site cannot be written: {error.strerror or error}", where=out, fix="give --out another folder"
        ) from error
    return site.pages


def _write_site(site: Output, boards: Sequence[Board], entries: Path, base_url: str) -> None:
    sites = [_write_board(site, board, list_entries(entries, board)) for board in boards]
    newest = sorted(
        ((one, entry) for one in sites for entry in one.entries),
        key=lambda pair: (pair[1].manifest.date, pair[0].board.name, pair[1].manifest.id),
        reverse=True,
    )[:LATEST]
    site.write("index.html", render("index.html", root="", sites=sites, newest=newest))
    base = base_url.rstrip("/") + "/" if base_url else ""
    site.write("feed.atom", render("feed.atom", base=base, newest=newest))
    for name in ("site.css", "site.js"):
        site.write(name, (ASSETS / name).read_bytes())
    site.write("report.css", _REPORT_CSS.read_bytes())
    if any(one.entries for one in sites):
        site.write(PLOTLY, plotly_js())
    schemas: tuple[SchemaName, ...] = ("entry", "summary")
    for schema in schemas:
        site.write(f"{schema}.schema.json", schema_text(schema))
    marker = {"schema": 1, "evalsuite": evalsuite.__version__, "boards": [one.board.stamp for one in sites]}
    site.write(MARKER, json.dumps(marker, indent=1) + "\n")


def _write_board(site: Output, board: Board, entries: list[Entry]) -> BoardSite:
    found = BoardSite(board, entries)
    facts: dict[str, MetricFacts] = {}
    standings: list[Standing] = []
    ranked: dict[str, Entry] = {}
    for codec, versions in by_codec(entries).items():
        current = latest(versions, board)
        history: list[Version] = []
        before: Snapshot | None = None
        for entry in versions:
            run = read_run(entry.folder)
            facts |= metric_facts(run.summary["metrics"])
            standing = Standing(entry, tuple(bd_rows(run.summary)))
            lines = [_alone(board, standing, metric, facts) for metric in board.headline]
            found.results[entry.manifest.id] = [one.lines[0] for one in lines]
            after = snapshot(entry, run, board.headline)
            history.append(
                Version(
                    entry,
                    tuple(found.results[entry.manifest.id]),
                    before,
                    after.anchor,
                    steps(before, after, board.headline),
                )
            )
            before = after
            _write_entry(site, found, entry, run, standing, lines, ranks=entry is current)
        if current is not None:
            standings.append(
                next(Standing(one.entry, one.lines[0].place.standing.rows) for one in history if one.entry is current)
            )
            ranked[current.manifest.id] = current
        _write_codec(site, found, codec, history, facts)
    found.rankings = [ranking(board, standings, metric, _facts(facts, metric)) for metric in board.headline]
    _write_tables(site, found, standings, ranked)
    _write_pages(site, found, standings, facts)
    return found


def _alone(board: Board, standing: Standing, metric: str, facts: Mapping[str, MetricFacts]) -> Ranking:
    return ranking(board, [standing], metric, _facts(facts, metric))


def _facts(facts: Mapping[str, MetricFacts], metric: str) -> MetricFacts:
    return facts.get(metric, MetricFacts("", 4, None))


def _write_entry(
    site: Output,
    found: BoardSite,
    entry: Entry,
    run: RunResults,
    standing: Standing,
    headline: Sequence[Ranking],
    *,
    ranks: bool,
) -> None:
    board, manifest = found.board, entry.manifest
    folder = f"{board.name}/entries/{manifest.id}"
    for name in FILES:
        target = site.folder / folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(entry.folder / name, target)
    for one in headline:
        picture = badge(one, one.lines[0])
        slug = words.metric_slug(one.metric)
        site.write(f"badges/{board.name}/{manifest.id}/{slug}.svg", picture)
        if ranks:
            site.write(f"badges/{board.name}/{codec_slug(manifest.codec)}/{slug}.svg", picture)
    metrics = metric_facts(run.summary["metrics"])
    codec = next(one for one in run.summary["codecs"] if one["name"] == manifest.codec)
    site.write(
        f"{folder}/index.html",
        render(
            "entry.html",
            root="../../../",
            board=board,
            entry=entry,
            slug=codec_slug(manifest.codec),
            ranks=ranks,
            headline=headline,
            rankings=[_alone(board, standing, metric, metrics) for metric in compared_metrics([standing], board)],
            metrics=metrics,
            sequences=entrypage.points_by_sequence(run, entry, metrics),
            codec=entrypage.codec_facts(codec),
            description=str(codec.get("description") or ""),
            notes=str(codec.get("notes") or ""),
            cost=entrypage.cost(run, manifest.codec),
            commands=[("Encode", codec["encode"]), ("Decode", codec["decode"])],
            digests=entrypage.digests(codec),
            run=entrypage.run_facts(run.summary),
            failures=entrypage.described(run.summary["failures"]),
            files={**manifest.files},
        ),
    )


def _write_codec(
    site: Output, found: BoardSite, codec: str, versions: Sequence[Version], facts: Mapping[str, MetricFacts]
) -> None:
    shown = versions[-HISTORY:]
    histories = [
        History(metric, _facts(facts, metric), history_charts(shown, index), tuple(reversed(shown)), index)
        for index, metric in enumerate(found.board.headline)
    ]
    site.write(
        f"{found.board.name}/codecs/{codec_slug(codec)}.html",
        render(
            "codec.html",
            root="../../",
            board=found.board,
            codec=codec,
            slug=codec_slug(codec),
            histories=histories,
            versions=len(versions),
            shown=len(shown),
            newest=versions[-1].entry,
        ),
    )


def _write_tables(site: Output, found: BoardSite, standings: Sequence[Standing], ranked: Mapping[str, Entry]) -> None:
    name = found.board.name
    current = downloads.Current()
    order = [line.entry.manifest.id for line in found.rankings[0].lines]
    for each in order:
        current.add(ranked[each], read_run(ranked[each].folder))
    site.write(f"{name}/data/board.json", downloads.board_json(found.board, found.rankings, found.entries))
    if not current.tables:
        return
    points = current.points
    site.write(f"{name}/data/points.csv", downloads.points_csv(points))
    site.write(f"{name}/data/points.parquet", downloads.points_parquet(points))
    site.write(f"{name}/data/ranking.csv", downloads.ranking_csv(standings, current.anchor_entry))
    build_report(current.runs[:REPORT_CODECS], site.folder / name / "report", plotly=f"../../{PLOTLY}")


def _write_pages(
    site: Output, found: BoardSite, standings: Sequence[Standing], facts: Mapping[str, MetricFacts]
) -> None:
    board = found.board
    every = glances(board, found.rankings[0], compared_metrics(standings, board))
    pages = list(paged(every, PAGE_ROWS))
    for number, rows in pages:
        codecs = {row.line.entry.manifest.codec for row in rows}
        first = (number - 1) * PAGE_ROWS
        site.write(
            f"{board.name}/{page_name('index', number)}",
            render(
                "board.html",
                root="../",
                site=found,
                board=board,
                protocol=words.protocol(board),
                glances=rows,
                rankings=[(one, one.lines[first : first + PAGE_ROWS]) for one in found.rankings],
                number=number,
                pages=[(n, page_name("index", n)) for n, _ in pages],
                codecs=codecs,
                facts=facts,
                report_codecs=REPORT_CODECS,
            ),
        )
    listed = list(paged(list(reversed(found.entries)), _ENTRY_ROWS))
    for number, some in listed:
        site.write(
            f"{board.name}/{page_name('entries', number)}",
            render(
                "entries.html",
                root="../",
                site=found,
                board=board,
                entries=some,
                number=number,
                pages=[(n, page_name("entries", n)) for n, _ in listed],
            ),
        )
