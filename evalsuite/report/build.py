"""A report folder that opens from disk: pages, their styles, scripts and data, and plotly.js beside them, once."""

from __future__ import annotations

import importlib.util
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import evalsuite
from evalsuite.errors import AssetError, RequestError
from evalsuite.report import data, page, pictures
from evalsuite.report.merge import merge
from evalsuite.report.model import Report
from evalsuite.results.folder import check_results, is_document
from evalsuite.results.load import RunResults, read_run
from evalsuite.viewing.pictures import check_place

PLOTLY = "plotly.min.js"
MARKER = "report.json"
"""Says that a folder is a report: what is in another one is not replaced."""
_SCRIPT = b'<script src="data/report.js" defer></script>'
"""In the head of every page of a report and of no other: earlier reports, which have no marker, are known by it."""
_HEAD_BYTES = 4096

_GENERATED = (
    *("pair-*.html", "sequence-*.html", "data/*.js"),
    *("frames.html", "time.html", "traffic.html", "complexity.html"),
)
"""Files that not every report has: those of an earlier one in the same folder are taken away."""

# A style sheet that plotly's bundle brings for its maps is injected when the bundle loads, unless an element of this
# id is there. The page has no maps and forbids injected styles: it carries the id, so nothing is attempted.
_INJECTED_STYLE = re.compile(
    rb'if\(!document\.getElementById\("([0-9a-f]{64})"\)\)\{\w+ \w+=document\.createElement\("style"\)'
)


def injected_style_ids(bundle: bytes) -> tuple[str, ...]:
    """The ids of the elements that keep plotly.js from injecting styles."""
    return tuple(match.decode() for match in _INJECTED_STYLE.findall(bundle))


def build_report(runs: Sequence[RunResults] | Sequence[Path], out: Path, *, plotly: str | None = None) -> Path:
    """Write one report from one or many runs.

    Args:
        runs: result folders, or what was read from them. See `merge` for what several runs come to.
        out: the report's folder; made where missing, its files replaced where it is a report.
        plotly: where plotly.js already is, relative to `out`; it is copied into `out` where this is None.

    Returns:
        The page to open, `index.html` in `out`.

    Raises:
        RequestError: no runs, or `out` cannot be written or holds something else than a report.
        AssetError: the installed plotly package lacks plotly.min.js.
    """
    if not runs:
        raise RequestError("a report needs at least one run", fix="name a folder that `evalsuite run` wrote")
    read = [read_run(run) if isinstance(run, Path) else run for run in runs]
    _check_folder(out)
    report = merge(read)
    report = replace(report, pictures=pictures.gather(read, report))
    bundle = plotly_js()
    # All of it before the first file is replaced: what cannot be written leaves no pages of two reports in one folder.
    files = list(_files(report, plotly or PLOTLY, bundle))
    try:
        # First of all the marker: a build that is cut off leaves a folder that the next one knows.
        out.mkdir(parents=True, exist_ok=True)
        _replace(out / MARKER, json.dumps({"schema": 1, "evalsuite": evalsuite.__version__}).encode() + b"\n")
        (out / "data").mkdir(exist_ok=True)
        written = set()
        if plotly is None:
            _replace(out / PLOTLY, bundle)
        for name, content in files:
            _replace(out / name, content)
            written.add(out / name)
        pictures.place(report.pictures or pictures.Pictures(), out)
        for pattern in _GENERATED:
            for stale in set(out.glob(pattern)) - written:
                stale.unlink()
    except OSError as error:
        raise RequestError(
            "the report cannot be written",
            where=out,
            got=error.strerror or str(error),
            fix="give a folder that can be written, with 20 MB free",
        ) from error
    return out / "index.html"


def check_run_folder(folder: Path, *, with_pictures: bool) -> None:
    """Refuse a folder in which a run with its report would replace what is not theirs, before hours of work.

    Args:
        folder: of the results, which may not be there yet.
        with_pictures: whether the run makes pictures too.

    Raises:
        RequestError: there is something else in place of its results, report or pictures.
    """
    check_results(folder)
    _check_folder(folder / "report")
    if with_pictures:
        check_place(folder)


def _is_report(folder: Path) -> bool:
    if is_document(folder / MARKER, ("schema", "evalsuite")):
        return True
    try:
        with (folder / "index.html").open("rb") as page:
            return _SCRIPT in page.read(_HEAD_BYTES)
    except OSError:
        return False


def _check_folder(out: Path) -> None:
    if out.is_dir() and any(out.iterdir()) and not _is_report(out):
        raise RequestError(
            "this is not a report, and it is not empty: its files would be replaced", where=out, fix="give a new folder"
        )


def _files(report: Report, plotly: str, bundle: bytes) -> Iterator[tuple[str, bytes]]:
    """Every file but plotly.js, by its path in the report."""
    for asset in sorted(page.ASSETS.iterdir()):
        if asset.suffix in (".css", ".js"):
            yield asset.name, asset.read_bytes()
    style_ids = injected_style_ids(bundle)
    files = []
    for name, text in page.render(report, plotly, style_ids):
        files.append(name)
        yield name, text.encode()
    for name, document in data.documents(report, files):
        yield f"data/{name}.js", data.script(name, document).encode()


def plotly_js() -> bytes:
    """The browser library, from the installed package; the package itself is slow to import and is not needed.

    Raises:
        AssetError: the package lacks it.
    """
    spec = importlib.util.find_spec("plotly")
    places = spec.submodule_search_locations if spec else None
    for place in places or ():
        path = Path(place) / "package_data" / PLOTLY
        if path.is_file():
            return path.read_bytes()
    raise AssetError(
        "plotly.min.js is missing",
        expected="package_data/plotly.min.js in the installed plotly package",
        fix="install plotly again: python -m pip install --force-reinstall plotly",
    )


def _replace(path: Path, content: bytes) -> None:
    """Write beside, then rename: a page that is open, or a build that is cut off, never sees half a file."""
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
        beside = Path(file.name)
        try:
            file.write(content)
            file.close()
            beside.chmod(0o644)
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
