"""What metrics say of themselves: on the screen, and as the generated part of the page of metrics."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from evalsuite.cli.commands import app
from evalsuite.metrics.describe import BEGIN, END, generated, main, renewed, sheet
from evalsuite.metrics.registry import DEFAULT, infos

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"


def test_the_page_is_current() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "evalsuite.metrics.describe", "--check", str(PAGE)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_every_metric_has_its_row_and_everything_it_must_say() -> None:
    text = generated()
    plain = text.replace("\\", "")
    for name, info in infos().items():
        (row,) = (line for line in plain.splitlines() if line.startswith(f"| {name} |"))
        for said in (info.unit, info.version, sheet(info)["range"]):
            assert f" {said} |" in row
        for said in (f"**{name}**: {info.definition}", f"*Source*: {info.source}", f"*Traps*: {info.traps}"):
            assert said.replace("\\", "") in plain
        for label in ("definition", "source", "range", "unit", "direction", "version", "traps"):
            assert sheet(info)[label], f"{name} says nothing of its {label}"


def test_the_page_says_which_metrics_are_the_default() -> None:
    rows = [line.replace("\\", "") for line in generated().splitlines() if line.startswith("| ")]
    assert {row.split(" | ")[0].removeprefix("| ") for row in rows if row.split(" | ")[1] == "yes"} == set(DEFAULT)


@pytest.mark.parametrize("name", ["vmaf", "xpsnr", "vbv_bits", "encode_fps"])
def test_show_prints_it_all(name: str) -> None:
    done = CliRunner().invoke(app, ["metrics", "show", name])
    assert done.exit_code == 0
    for label, text in sheet(infos()[name]).items():
        assert f"  {label}:" in done.stdout
        assert " ".join(text.split()) in " ".join(done.stdout.split())


def test_a_page_is_made_anew_and_only_between_its_marks(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nwritten before\n{END}\nafter\n")
    assert main(["--check", str(page)]) == 1
    assert "written before" in page.read_text()
    assert main([str(page)]) == 0
    text = page.read_text()
    assert text.startswith(f"before\n{BEGIN}\n")
    assert text.endswith(f"{END}\nafter\n")
    assert "written before" not in text
    assert main(["--check", str(page)]) == 0
    assert renewed(text) == text
    assert main([]) == 2
    with pytest.raises(ValueError, match="lacks the lines"):
        renewed("no marks")


def test_text_is_kept_from_being_markup() -> None:
    # |a| < b_c * d would be a table cell, a tag and emphasis.
    lines = [line for line in generated().splitlines() if line.startswith(("| ", "- "))]
    assert lines
    said = [line.removeprefix("| ").removesuffix(" |").replace(" | ", " ") for line in lines]
    assert not any(sign in line.replace(f"\\{sign}", "") for line in said for sign in "<[|")
