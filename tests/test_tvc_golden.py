"""Golden bitstreams decode to the same tokens, and to the same pixels within one level, for ever."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tvc_golden import CASES, FOLDER, TINY_WEIGHTS, decoded
from tvc_samples import one_thread  # noqa: F401 (a fixture)

import tvc
from tvc.bitstream import Reader


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("which", ["tiny", "shipped"])
def test_golden_bitstream(which: str, name: str) -> None:
    stream = FOLDER / f"{which}_{name}.tvc"
    if not stream.is_file():
        pytest.skip(f"missing: {stream.name}, made by tests/tvc_golden.py {which}")
    model = tvc.weights.load(TINY_WEIGHTS if which == "tiny" else None)
    data = stream.read_bytes()
    if which == "shipped":
        Reader(data).check_model(tvc.weights.model_hash(model))
    got, expected = decoded(data, model), dict(np.load(Path(stream).with_suffix(".npz")))
    assert got.keys() == expected.keys()
    for key, value in expected.items():
        if key in ("y", "cb", "cr"):
            assert np.abs(got[key].astype(int) - value.astype(int)).max() <= 1
        else:
            assert np.array_equal(got[key], value)
