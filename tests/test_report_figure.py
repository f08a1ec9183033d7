"""`plot_rd`: the report's curves as a plotly figure."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from report_sample import TARGETS, write_sample

import evalsuite
from evalsuite.errors import RequestError
from evalsuite.report.figure import STATISTIC_WORDS, SYMBOLS
from evalsuite.report.page import ASSETS

SEQUENCES = ("carphone", "face", "street", "bikes")


def results(folder: Path, **options: Any) -> evalsuite.Results:
    return evalsuite.load(write_sample(folder, **{"sequences": SEQUENCES, **options}))


def headings(figure: Any) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


def test_every_sequence_has_its_own_curves_with_the_points_of_the_table(tmp_path: Path) -> None:
    run = results(tmp_path / "run")
    figure = evalsuite.plot_rd(run)
    assert headings(figure) == list(SEQUENCES)
    assert [trace.name for trace in figure.data] == ["vvenc", "x265"] * len(SEQUENCES)
    assert [trace.showlegend for trace in figure.data] == [True, True] + [False] * 6
    means = run.means.query("metric == 'vmaf'").sort_values("bpp")
    for index, trace in enumerate(figure.data):
        rows = means[(means["codec"] == trace.name) & (means["sequence"] == SEQUENCES[index // 2])]
        assert list(trace.x) == rows["bpp"].tolist()
        assert list(trace.y) == rows["score"].tolist()


def test_axes_say_rate_unit_and_direction(tmp_path: Path) -> None:
    run = results(tmp_path / "run")
    figure = evalsuite.plot_rd(run, "psnr_yuv", "face", x="kbps")
    assert headings(figure) == ["face"]
    assert (figure.layout.xaxis.type, figure.layout.xaxis.title.text) == ("log", "rate, kbps")
    assert figure.layout.yaxis.title.text == "PSNR-YUV, dB   ↑ higher is better"
    assert "↓ lower is better" in evalsuite.plot_rd(run, "lpips", "face").layout.yaxis.title.text
    rows = run.means.query("metric == 'psnr_yuv' and sequence == 'face' and codec == 'x265'").sort_values("bpp")
    assert list(figure.data[1].x) == rows["kbps"].tolist()
    # Where the targets were, in the unit of the axis: the same ratio to them as to the points.
    bpp = evalsuite.plot_rd(run, "psnr_yuv", "face")
    assert sorted({line.x0 for line in bpp.layout.shapes}) == pytest.approx(sorted(TARGETS))


def test_colours_marks_and_words_are_those_of_the_page(tmp_path: Path) -> None:
    names = [f"codec{index}" for index in range(10)]
    figure = evalsuite.plot_rd(results(tmp_path / "run", codecs=names, sequences=("face",)))
    script = (ASSETS / "plots.js").read_text(encoding="utf-8")
    assert list(SYMBOLS) == json.loads(re.search(r"const SYMBOLS = (\[.*?\]);", script)[1])  # type: ignore[index]
    words = re.search(r"const STATISTICS = \{(.*?)\};", script, re.DOTALL)
    known = dict(re.findall(r'(\w+): "(.*?)"', words[1]))  # type: ignore[index]
    assert known.pop("interval")  # of means, which the figure does not draw
    assert known == STATISTIC_WORDS
    light = (ASSETS / "report.css").read_text(encoding="utf-8").partition("@media")[0]
    colours = re.findall(r"--c\d: (#\w+);", light)
    assert len(colours) == 8
    assert [trace.line.color for trace in figure.data] == [*colours, *colours[:2]]
    # The ninth codec has the first's colour, and another mark.
    assert [trace.marker.symbol for trace in figure.data] == [*SYMBOLS, *SYMBOLS[1:3]]
    assert {trace.line.dash for trace in figure.data} == {"solid"}


def test_what_was_not_measured_is_dashed_and_named(tmp_path: Path) -> None:
    facts = {"x265": {"rate_source": "published"}, "vvenc": {"rate_source": "estimate"}}
    figure = evalsuite.plot_rd(results(tmp_path / "run", codec_facts=facts), sequence="face")
    assert [trace.line.dash for trace in figure.data] == ["dash", "dash"]
    assert [trace.name for trace in figure.data] == [
        "vvenc (estimated rate, no bitstream)",
        "x265 (published, not re-run)",
    ]


def test_a_point_tells_what_the_page_tells(tmp_path: Path) -> None:
    figure = evalsuite.plot_rd(results(tmp_path / "run"), sequence="face")
    lines = figure.data[0].hovertext[0].split("<br>")
    assert lines[0] == "vvenc"
    assert re.fullmatch(r"VMAF: mean [\d.]+", lines[1])
    assert any(line.startswith("q ") for line in lines)
    assert any("bpp" in line and "kbps" in line for line in lines)
    assert any(line.startswith("target ") for line in lines)


def test_points_that_cannot_be_drawn_are_counted_with_their_reason(tmp_path: Path) -> None:
    failure = {"codec": "x265", "sequence": "street", "q": 30.0, "stage": "encode", "message": "it gave up"}
    failure |= {"cell_key": "k", "command": ["x265"], "stderr_tail": ""}
    run = results(tmp_path / "run", gaps={("vmaf", "face"): "too_small"}, failures=[failure])
    figure = evalsuite.plot_rd(run)
    plain = [re.sub(r"<[^>]*>", " ", heading) for heading in headings(figure)]
    assert plain[0] == "carphone"
    assert "8 points not drawn: too small" in plain[1]
    assert "1 point not drawn: failed at encode" in plain[2]
    assert "x265 at q 30: failed at encode: it gave up" in figure.layout.annotations[2].hovertext
    assert len(figure.data) == 6
    with pytest.raises(RequestError, match="nothing to draw"):
        evalsuite.plot_rd(run, sequence="face")


def test_several_runs_are_one_figure(tmp_path: Path) -> None:
    monday = results(tmp_path / "monday", codecs=("vvenc",))
    tuesday = results(tmp_path / "tuesday", codecs=("x265",))
    figure = evalsuite.plot_rd([monday, tuesday], sequence="face")
    assert [trace.name for trace in figure.data] == ["vvenc", "x265"]


def test_trap_names_are_text_and_never_markup(tmp_path: Path) -> None:
    evil = "<b>x & y</b>"
    figure = evalsuite.plot_rd(results(tmp_path / "run", codecs=("vvenc", evil), sequences=(evil,)))
    assert headings(figure) == ["&lt;b&gt;x &amp; y&lt;/b&gt;"]
    assert figure.data[1].name == "&lt;b&gt;x &amp; y&lt;/b&gt;"
    assert evil not in figure.data[1].hovertext[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"metric": "vamf"}, "did you mean vmaf"),
        ({"sequence": "fase"}, "did you mean face"),
        ({"x": "mbps"}, "bpp or kbps"),
    ],
    ids=str,
)
def test_what_is_not_there_is_refused_by_name(arguments: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match=words):
        evalsuite.plot_rd(results(tmp_path / "run"), **arguments)
    with pytest.raises(RequestError, match="at least one run"):
        evalsuite.plot_rd([])
