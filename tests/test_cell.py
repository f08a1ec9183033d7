"""One cell's work, as a worker does it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from conftest import make_clip
from sample_recipes import point, script_recipe, sequence_of

from evalsuite.engine.cell import measure_cells
from evalsuite.engine.features import FeatureCache
from evalsuite.engine.store import StoredEncode
from evalsuite.metrics.registry import select
from evalsuite.types import Usage

NOTHING_KEPT = FeatureCache(Path("unused"), 0)


def test_trap31_decoded_frames_are_held_to_the_encoders_own_reconstruction(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = script_recipe(monkeypatch, tmp_path)
    clip = make_clip(tmp_path / "clip.y4m", 64, 48, 3)
    sequence = sequence_of(clip, 3)
    # The codec stores its source, so its reconstruction is the source's frames without their headers.
    frames = b"".join(clip.read_bytes().split(b"FRAME\n")[1:])

    def stored(reconstruction: str) -> StoredEncode:
        size = clip.stat().st_size
        return StoredEncode(10.0, clip, "", size, size, Usage(1, 1), (), reconstruction_sha256=reconstruction)

    encodes = {"right": stored(hashlib.sha256(frames).hexdigest()), "wrong": stored("0" * 64), "none": stored("")}
    cells = {
        cell.cell_key: cell
        for cell in measure_cells(recipe, sequence, point(recipe), encodes, select("psnr_y"), 30, NOTHING_KEPT)
    }
    assert {key: cell.measured is not None for key, cell in cells.items()} == {
        "right": True,
        "wrong": False,
        "none": True,
    }
    assert "reconstruction" in str(cells["wrong"].error)
