"""What results say of a codec's structure, and which codec a typed name means."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from run_bench import Bench
from test_recipe_extras import parsed

from evalsuite.codec.recipe import load_recipe
from evalsuite.errors import RecipeError

TOKENIZER = """
name = "tokens"
python = "torchscript"
description = "a tokenizer"
extension = "evt"
formats = ["yuv420p"]
preset = "none"
structure = "windows"
rate_control = "other"
internal_bit_depth = 8
[files]
encoder = "encoder.jit"
decoder = "decoder.jit"
[settings]
levels = [8, 8]
window = {window}
temporal = 4
spatial = 8
[q]
min = 1
max = 1
ladder = [1]
"""


def test_trap02_results_state_the_intra_period_that_is_coded() -> None:
    # With a closed GoP kvazaar puts an extra frame between GoPs.
    assert load_recipe("kvazaar").intra_periods.coded(32) == 33
    assert load_recipe("kvazaar").intra_periods.coded(-1) == -1
    assert load_recipe("x265").intra_periods.coded(32) == 32
    assert parsed(intra_period={"infinite": "-1", "fixed": -1}).intra_periods.coded(32) == -1
    assert parsed(intra_period={"infinite": "-1", "fixed": 8}).intra_periods.coded(-1) == 8
    with pytest.raises(RecipeError, match="`fixed` is not valid"):
        parsed(intra_period={"infinite": "-1", "fixed": -2})


@pytest.mark.parametrize(("window", "period"), [("0", -1), ("17", 17), ("[9, 17]", 17)])
def test_trap02_a_tokenizer_has_the_intra_period_of_its_windows(window: str, period: int, tmp_path: Path) -> None:
    path = tmp_path / "tokens.toml"
    path.write_text(TOKENIZER.format(window=window))
    assert load_recipe(str(path)).intra_periods.coded(32) == period


def test_variants_in_any_order_mean_the_same_codec_everywhere(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    typed = "x265:10bit:fast"
    arguments = bench.arguments("--anchor", typed, "--match", typed, codecs=f"toy,{typed}", clips=1)
    bench.run(*arguments)
    found = pd.read_parquet(bench.folder / "results" / "results.parquet")
    assert set(found["codec"]) == {"toy", "x265:fast:10bit"}
