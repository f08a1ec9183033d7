"""The example notebook: kept clean, and executed for real in a kernel."""

from __future__ import annotations

import importlib.util
import os
import re
import time
from pathlib import Path
from typing import Any

import pytest
from run_bench import Bench
from sample_carphone import carphone_file

from evalsuite.results.load import read_run
from evalsuite.results.tables import bd_table

NOTEBOOK = Path(__file__).parents[1] / "examples" / "notebook" / "quickstart.ipynb"
MISSING = [name for name in ("nbformat", "nbclient", "ipykernel") if importlib.util.find_spec(name) is None]

pytestmark = pytest.mark.skipif(bool(MISSING), reason=f"missing: the Python packages {', '.join(MISSING)}")


def read() -> Any:
    import nbformat

    book = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(book)
    return book


def code(book: Any) -> list[Any]:
    return [cell for cell in book.cells if cell.cell_type == "code"]


def test_it_is_stored_without_outputs_and_without_anyones_paths() -> None:
    book = read()
    assert all(cell.outputs == [] and cell.execution_count is None for cell in code(book))
    assert book.metadata.keys() == {"kernelspec", "language_info"}
    assert not re.search(r"/(home|root|tmp|work|Users)\b|[A-Z]:\\", NOTEBOOK.read_text(encoding="utf-8"))
    for cell, after in zip(book.cells[1:], book.cells[2:], strict=False):
        if after.cell_type == "code" and cell.cell_type == "markdown":
            assert len(cell.source.strip().splitlines()) == 4, "a heading, and two lines that explain the cell"


def test_it_runs_and_its_numbers_are_those_of_the_table(tmp_path: Path) -> None:
    from nbclient import NotebookClient

    carphone_file("pristine")  # skips where it cannot be had
    book = read()
    client = NotebookClient(book, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}})
    # What the kernel and the notebook write goes here, and is looked at before the notebook's folder is gone.
    env = {**os.environ, **{name: str(tmp_path) for name in ("TMPDIR", "IPYTHONDIR", "JUPYTER_RUNTIME_DIR")}}
    with client.setup_kernel(env=env):
        for index, cell in enumerate(book.cells):
            client.execute_cell(cell, index)
        (summary,) = tmp_path.glob("*/results/summary.json")
        points = read_run(summary.parent).points
    shown = {cell.id: [output for output in cell.outputs if "data" in output] for cell in code(book)}
    assert not [output for cell in code(book) for output in cell.outputs if output.get("name") == "stderr"]

    (figure,) = [output.data["application/vnd.plotly.v1+json"] for output in shown["draw"]]
    assert [trace["name"] for trace in figure["data"]] == ["x264", "x265"]
    assert all(len(trace["hovertext"]) == 5 for trace in figure["data"])

    rows = bd_table(points, "x264")
    (table,) = [output.data["text/plain"] for output in shown["compare"]]
    for row in rows:
        assert f"{row.bd_rate_percent:.6f}" in table
    (number,) = [float(output.data["text/plain"]) for output in shown["numbers"]]
    (expected,) = [row.bd_rate_percent for row in rows if row.metric == "vmaf" and row.sequence == "carphone"]
    assert number == pytest.approx(expected)


def test_an_interrupted_cell_goes_on_where_it_was(tmp_path: Path) -> None:
    from jupyter_client.manager import start_new_kernel

    bench = Bench(tmp_path)
    private = {name: str(tmp_path) for name in ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR")}
    manager, client = start_new_kernel(env={**bench.env, **private, "TOY_SLEEP": "1"}, cwd=str(tmp_path))
    options = "match='none', metrics='psnr_y', jobs=1, store='store', progress=print"
    cell = f"import evalsuite; evalsuite.run('toy', {bench.clips[:1]}, {options})"
    try:

        def execute(interrupt_at: str | None) -> str:
            found = []

            def hear(message: Any) -> None:
                content = message["content"]
                found.append(content.get("text", content.get("ename", "")))
                if interrupt_at and interrupt_at in found[-1]:
                    manager.interrupt_kernel()

            client.execute_interactive(cell, timeout=120, output_hook=hear)
            return "".join(found)

        assert "KeyboardInterrupt" in execute("encodes 2")
        assert not (tmp_path / "results" / "summary.json").exists()
        time.sleep(1)  # a kernel turns away what comes at once after an error
        assert "KeyboardInterrupt" not in execute(None)
    finally:
        manager.shutdown_kernel(now=True)
        client.stop_channels()
    assert 2 <= bench.summary()["outcomes"]["encodes_cached"] < 5
