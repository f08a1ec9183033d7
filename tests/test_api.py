"""`import evalsuite` in scripts: the same numbers as the command line, whatever the script looks like."""

from __future__ import annotations

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from conftest import run_ffmpeg
from report_sample import write_sample
from run_bench import Bench
from sample_carphone import carphone_file

import evalsuite
from evalsuite.cli.output import parse_bytes
from evalsuite.cli.run import run as run_command
from evalsuite.engine.execute import WORKER_ENVIRONMENT
from evalsuite.errors import RequestError, ShapeError, StoreError
from evalsuite.results import bdrate
from evalsuite.results.tables import bd_table

DOCS = Path(__file__).parents[1] / "docs" / "api.md"

# No guard, and whatever runs it again would say so.
SCRIPT = """
import evalsuite
print("the script runs")
results = evalsuite.run(
    ["toy", "toytwo"], CLIPS, metrics=["psnr_y", "psnr_yuv"], jobs=2, out="results", store="store", progress=print
)
print(results)
"""


def script(bench: Bench, source: str = SCRIPT, expect: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
    path = bench.folder / "script.py"
    path.write_text(source.replace("CLIPS", repr(bench.clips)))
    done = subprocess.run(
        [sys.executable, str(path)],
        cwd=bench.folder,
        env={**bench.env, **env},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == expect, f"{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Bench, str]:
    """A folder in which a script has run two toy codecs on two clips, and what it printed."""
    bench = Bench(tmp_path_factory.mktemp("api"))
    return bench, script(bench).stdout


def loaded(code: str, *names: str) -> list[str]:
    """Which of these modules some code leaves imported."""
    check = f"{code}\nimport sys; print([name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout.splitlines()[-1].replace("'", '"'))
    return found


def test_the_import_is_instant() -> None:
    heavy = ("numpy", "pandas", "torch", "plotly", "scipy", "evalsuite.api")
    assert loaded("import evalsuite; evalsuite.__version__; dir(evalsuite)", *heavy) == []


def test_numbers_and_curves_need_no_torch(tmp_path: Path) -> None:
    write_sample(tmp_path / "run")
    code = f"import evalsuite\nr = evalsuite.load({str(tmp_path / 'run')!r}); r.bd_rate('vvenc'); evalsuite.plot_rd(r)"
    assert loaded(code, "torch", "lpips", "torchvision") == []


def test_what_is_exported_is_there_and_nothing_else() -> None:
    assert set(evalsuite.__all__) <= set(dir(evalsuite))
    assert all(getattr(evalsuite, name) is not None for name in evalsuite.__all__)
    assert issubclass(RequestError, evalsuite.EvalError)
    with pytest.raises(AttributeError, match="no attribute 'plot'"):
        evalsuite.plot  # type: ignore[attr-defined] # noqa: B018
    assert (Path(evalsuite.__file__).parent / "py.typed").is_file()


def test_trap_a_script_without_a_guard_runs_once(ran: tuple[Bench, str]) -> None:
    _, printed = ran
    assert printed.count("the script runs") == 1
    assert "measured 20 of 20" in printed
    assert "Results of toy, toytwo on clip0, clip1: 20 rate points, 0 failed" in printed


def test_a_script_finds_what_the_command_line_finds(ran: tuple[Bench, str]) -> None:
    bench, _ = ran
    command = bench.summary()["request"]["command"]
    assert command[:2] == ["evalsuite", "run"]
    # What the report says to type to repeat it: everything is in the store already, so it is the same request.
    bench.run(*command[1:], "--out", "typed")
    ours, typed = (evalsuite.load(bench.folder / name) for name in ("results", "typed"))
    assert typed.summary["outcomes"]["encodes"] == typed.summary["outcomes"]["measured"] == 0
    pd.testing.assert_frame_equal(ours.points, typed.points)
    assert (bench.folder / "results/bd_rate.csv").read_bytes() == (bench.folder / "typed/bd_rate.csv").read_bytes()
    assert (bench.folder / "results/report/index.html").is_file()


def test_options_are_those_of_the_command_line() -> None:
    def defaults(function: Any) -> dict[str, Any]:
        found = {name: one.default for name, one in inspect.signature(function).parameters.items()}
        return {name: getattr(value, "default", value) for name, value in found.items()}

    typed, ours = defaults(run_command), defaults(evalsuite.run)
    # A board is run to be published: the command line judges the entry.
    assert {"more", "json"} <= typed.keys() - ours.keys() <= {"more", "json", "ctx", "board", "pictures"}
    assert ours.keys() - typed.keys() == {"progress"}
    differ = {name for name in ours.keys() & typed.keys() if ours[name] != typed[name]}
    assert differ == {"codecs", "feature_cache", "out"}
    assert ours["codecs"] is inspect.Parameter.empty
    assert ours["feature_cache"] == parse_bytes(typed["feature_cache"])
    assert Path(ours["out"]) == typed["out"]


OPTIONS = """
import evalsuite
evalsuite.run(
    "toy , toytwo",
    "raw,1.yuv",
    match="0.3,0.5bpp",
    anchor="toytwo",
    metrics=("psnr_y", "psnr_yuv"),
    profile=["none"],
    frames=5,
    intra_period=-1,
    threads=2,
    out="first",
    store="store",
    timeout=99,
    timing=True,
    memory_limit=2_123_456_789,
    feature_cache=0,
    size=(64, 48),
    fps="30000/1001",
    matrix="bt709",
    colour_range="full",
    transfer="sdr",
)
"""


def test_every_option_is_recorded_as_it_is_typed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    # A comma in a name is no second name.
    (tmp_path / "raw,1.yuv").write_bytes(run_ffmpeg("-i", bench.clips[0], "-f", "rawvideo", "-"))
    script(bench, OPTIONS)
    ours = evalsuite.load(tmp_path / "first")
    command = ours.summary["request"]["command"]
    bench.run(*command[1:])
    again = evalsuite.load(tmp_path / "first")
    assert again.summary["request"] == ours.summary["request"]
    assert again.summary["outcomes"]["encodes"] == again.summary["outcomes"]["measured"] == 0
    assert again.points["source_sha256"].unique().tolist() == ours.points["source_sha256"].unique().tolist()
    assert ours.summary["request"]["memory_limit_bytes"] == 2_123_456_789
    assert ours.summary["sequences"][0]["frame_rate"] == "30000/1001"


def test_a_recipe_whose_path_holds_a_comma_is_recorded_as_it_is_typed(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "com,ma").mkdir()
    (tmp_path / "codecs/recipes/toy.toml").rename(tmp_path / "com,ma/toy.toml")
    options = "match='none', frames=1, metrics='psnr_y', jobs=1, out='first', store='store'"
    script(bench, f"import evalsuite\nevalsuite.run(['com,ma/toy.toml', 'toytwo'], 'clip0.y4m', {options})\n")
    ours = evalsuite.load(tmp_path / "first").summary["request"]
    bench.run(*ours["command"][1:])
    assert evalsuite.load(tmp_path / "first").summary["request"] == ours
    assert ours["codecs"] == ["toy", "toytwo"]


def test_bd_rate_of_results_is_the_table_of_the_run(ran: tuple[Bench, str]) -> None:
    results = evalsuite.load(ran[0].folder / "results")
    table = results.bd_rate()
    written = pd.read_csv(ran[0].folder / "results/bd_rate.csv")
    assert list(table.columns) == list(written.columns)
    assert table["bd_rate_percent"].tolist() == pytest.approx(written["bd_rate_percent"].tolist(), nan_ok=True)
    assert table["status"].tolist() == written["status"].tolist()
    assert table["ci_low"].dtype == float
    other = results.bd_rate("toytwo", method="akima")
    expected = [row.bd_rate_percent for row in bd_table(results.points, "toytwo", method="akima")]
    assert other["bd_rate_percent"].tolist() == expected
    with pytest.raises(RequestError, match="did you mean toy"):
        results.bd_rate("toyy")
    assert set(results.means["statistic"]) == {"mean"}
    assert set(results.frames(metric="psnr_y")["metric"]) == {"psnr_y"}


def test_results_without_an_anchor_ask_for_one(tmp_path: Path) -> None:
    results = evalsuite.load(write_sample(tmp_path / "run"))
    assert "anchor" not in results.summary["request"]
    with pytest.raises(RequestError, match="vvenc, x265"):
        results.bd_rate()
    means = results.bd_rate("vvenc").query("sequence == '*'")
    assert means["bd_rate_percent"].tolist() == pytest.approx([27] * len(means))


def test_load_takes_a_store_and_its_history(ran: tuple[Bench, str], tmp_path: Path) -> None:
    assert evalsuite.load(ran[0].folder / "store").bd_rate().equals(evalsuite.load(ran[0].folder / "results").bd_rate())
    with pytest.raises(RequestError, match="neither a run nor a store"):
        evalsuite.load(tmp_path)
    (tmp_path / "summary.json").write_text("{}")
    with pytest.raises(StoreError):
        evalsuite.load(str(tmp_path))


def test_a_codec_that_was_changed_between_two_runs_is_another(tmp_path: Path) -> None:
    """In one script: an encoder that was built again must not be answered for by what the old one made."""
    bench = Bench(tmp_path)
    source = """
import evalsuite, os, pathlib
program = pathlib.Path(os.environ["EVALSUITE_TOYCODEC"])
for out in ("first", "second"):
    evalsuite.run("toy", CLIPS[0], metrics="psnr_y", match="none", jobs=1, out=out, store="store")
    program.write_text(program.read_text().replace("/ 8)", "/ 4)").replace("version 1.0", "version 2.0"))
"""
    script(bench, source)
    first, second = (evalsuite.load(tmp_path / name) for name in ("first", "second"))
    assert set(first.points["cell_key"]).isdisjoint(second.points["cell_key"])
    assert (second.points["bytes"] < first.points["bytes"]).all()


def test_failures_are_rows(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    source = SCRIPT.replace("CLIPS", "CLIPS[:1]").replace("jobs=2", "match='none', jobs=1")
    assert "2 failed" in script(bench, source, TOY_FAULT="exit@20").stdout
    results = evalsuite.load(tmp_path / "results")
    assert results.failures["q"].tolist() == [20, 20]
    assert set(results.failures["stage"]) == {"encode"}
    assert results.failures["stderr_tail"].str.contains("the toy encoder gave up").all()
    assert evalsuite.load(write_sample(tmp_path / "fine")).failures.empty


def test_a_run_leaves_the_callers_threads_and_main_module_alone(
    ran: tuple[Bench, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bench, _ = ran
    for name in WORKER_ENVIRONMENT:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MKL_NUM_THREADS", "3")
    for name in ("EVALSUITE_TOYCODEC", "EVALSUITE_CACHE"):
        monkeypatch.setenv(name, bench.env[name])
    monkeypatch.chdir(bench.folder)
    main = sys.modules["__main__"]
    results = evalsuite.run("toy", bench.clips[0], match="none", metrics="psnr_y", jobs=1, out=tmp_path, store=tmp_path)
    assert results.summary["outcomes"]["measured"] == 5
    assert sys.modules["__main__"] is main
    assert {name: os.environ.get(name) for name in WORKER_ENVIRONMENT} == {
        **dict.fromkeys(WORKER_ENVIRONMENT),
        "MKL_NUM_THREADS": "3",
    }


ANCHOR = ([9487.76, 4593.60, 2486.44, 1358.24], [40.037, 38.615, 36.845, 34.851])
TEST = ([9787.80, 4469.00, 2451.52, 1356.24], [40.121, 38.651, 36.970, 34.987])


def test_bd_rate_knows_metrics_by_name() -> None:
    # The four-point example of the package bjontegaard; its own numbers are in docs/bd-rate.md.
    assert evalsuite.bd_rate(*ANCHOR, *TEST, metric="PSNR").percent == pytest.approx(-4.417485, abs=1e-6)
    cubic = evalsuite.bd_rate(*ANCHOR, *TEST, higher_is_better=True, method="cubic")
    assert cubic.percent == pytest.approx(-4.420463, abs=1e-6)
    vmaf = evalsuite.bd_rate(*ANCHOR, *TEST, metric="vmaf")
    assert vmaf == bdrate.bd_rate(*ANCHOR, *TEST, higher_is_better=True, log_domain_ceiling=100)
    assert evalsuite.bd_rate(*ANCHOR, *TEST, metric="lpips").status == "refused"  # falling with the rate
    own = evalsuite.bd_rate(*ANCHOR, *TEST, metric="my_metric", higher_is_better=True)
    assert own.percent == pytest.approx(-4.417485, abs=1e-6)


@pytest.mark.parametrize("wrong", [["a", "b", "c", "d"], [1j, 2, 3, 4], [[1, 2], [3]], [10**400, 1, 2, 3], [{}] * 4])
@pytest.mark.parametrize("place", range(4))
def test_bd_rate_refuses_what_is_no_number(place: int, wrong: Any) -> None:
    given: list[Any] = [*ANCHOR, *TEST]
    given[place] = wrong
    side, what = ("anchor", "test")[place // 2], ("rates", "scores")[place % 2]
    with pytest.raises(RequestError, match=f"the {side}'s {what} are not numbers"):
        evalsuite.bd_rate(*given, metric="psnr")


def test_frames_of_what_is_not_there_are_refused(ran: tuple[Bench, str]) -> None:
    results = evalsuite.load(ran[0].folder / "results")
    assert set(results.frames(metric="psnr_y")["metric"]) == {"psnr_y"}
    with pytest.raises(RequestError, match="no metric 'psnr_x'") as caught:
        results.frames(metric="psnr_x")
    assert "did you mean psnr_y" in str(caught.value)
    with pytest.raises(RequestError, match="no cell_key 'nope'"):
        results.frames(cell_key="nope")


def test_bd_rate_takes_frames_and_refuses_halves(ran: tuple[Bench, str]) -> None:
    results = evalsuite.load(ran[0].folder / "results")
    means = results.means.query("metric == 'psnr_y' and sequence == 'clip0'")
    sides = [means[means["codec"] == codec] for codec in ("toy", "toytwo")]
    found = evalsuite.bd_rate(*(side[name] for side in sides for name in ("bpp", "score")), metric="psnr_y")
    table = results.bd_rate().query("metric == 'psnr_y' and sequence == 'clip0'")
    assert found.percent == pytest.approx(table["bd_rate_percent"].item())
    with pytest.raises(ShapeError):
        evalsuite.bd_rate([1, 2, 3], [1, 2], [1, 2], [1, 2], metric="psnr")


def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    carphone_file("pristine")  # skips where it cannot be had
    monkeypatch.chdir(tmp_path)
    text = DOCS.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    assert len(blocks) == text.count("```python") >= 5
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block, str(DOCS), "exec"), names)
    assert names["table"]["bd_rate_percent"].notna().all()
    assert (tmp_path / "curves.html").is_file()
