"""A report folder that opens from disk: the page, its styles, its script, its data, and plotly.js beside it, once."""

from __future__ import annotations

import importlib.util
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

from evalsuite.errors import AssetError, RequestError
from evalsuite.report import chart, page
from evalsuite.report.merge import merge
from evalsuite.results.load import RunResults, read_run

_STATIC = ("report.css", "report.js", "curves.js", "relative.js", "tokens.js")

# A style sheet that plotly's bundle brings for its maps is injected when the bundle loads, unless an element of this
# id is there. The page has no maps and forbids injected styles: it carries the id, so nothing is attempted.
_INJECTED_STYLE = re.compile(
    rb'if\(!document\.getElementById\("([0-9a-f]{64})"\)\)\{\w+ \w+=document\.createElement\("style"\)'
)


def build_report(runs: Sequence[RunResults] | Sequence[Path], out: Path) -> Path:
    """Write one report from one or many runs.

    Args:
        runs: result folders, or what was read from them. See `merge` for what several runs come to.
        out: the report's folder; made where missing, its files replaced where not.

    Returns:
        The page to open, `index.html` in `out`.

    Raises:
        RequestError: no runs, or `out` cannot be written.
        AssetError: the installed plotly package lacks plotly.min.js.
    """
    if not runs:
        raise RequestError("a report needs at least one run", fix="name a folder that `evalsuite run` wrote")
    report = merge([read_run(run) if isinstance(run, Path) else run for run in runs])
    plotly = _plotly_js()
    page_text = page.render(report, tuple(match.decode() for match in _INJECTED_STYLE.findall(plotly)))
    files: dict[str, bytes] = {name: (page.ASSETS / name).read_bytes() for name in _STATIC}
    files |= {
        "plotly.min.js": plotly,
        "data.js": chart.script(report).encode(),
        "index.html": page_text.encode(),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            _replace(out / name, content)
    except OSError as error:
        raise RequestError(
            "the report cannot be written",
            where=out,
            got=error.strerror or str(error),
            fix="give a folder that can be written, with 6 MB free",
        ) from error
    return out / "index.html"


def _plotly_js() -> bytes:
    """The browser library, from the installed package; the package itself is slow to import and is not needed."""
    spec = importlib.util.find_spec("plotly")
    places = spec.submodule_search_locations if spec else None
    for place in places or ():
        path = Path(place) / "package_data" / "plotly.min.js"
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
