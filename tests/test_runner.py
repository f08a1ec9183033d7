"""What drives a run, over a store that has much of it already."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import make_clip
from sample_recipes import script_recipe, sequence_of

from evalsuite.codec.knob import Knob
from evalsuite.engine.features import FeatureCache
from evalsuite.engine.local import LocalPool
from evalsuite.engine.plan import MatchRates, Plan
from evalsuite.engine.run import Runner
from evalsuite.engine.store import Store, StoredDecode
from evalsuite.files import sha256_of
from evalsuite.types import Usage

USAGE = Usage(1.0, 1.0, 4096)


def test_a_search_may_find_any_number_of_encodes_in_the_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than Python has room for, were each to call for the next."""
    clip = make_clip(tmp_path / "clip.y4m", 64, 64, 3)
    sequence = replace(sequence_of(clip, 3), sha256=sha256_of(clip))
    knob = Knob(0, 50, 0.1, (10, 20, 30, 40))
    recipe = replace(script_recipe(monkeypatch, tmp_path), knob=knob)
    # Rates that halve every other step of q, bent so that the search takes several encodes for each of them.
    sizes = {q: round(2e9 * 2 ** (-(q + 2 * math.sin(q)) / 2)) for q in np.round(np.arange(501) / 10, 6).tolist()}
    rates = tuple(9e5 * 1.065**-number for number in range(1, 260))
    plan = Plan((recipe,), (sequence,), (), MatchRates(rates, "bpp"), "fake", 32, 1, 60.0, FeatureCache(tmp_path, 0))
    with Store(tmp_path / "store") as store, LocalPool(1) as pool:
        sha256 = hashlib.sha256(b"bits").hexdigest()
        for q, size in sizes.items():
            made = store.scratch / "made"
            made.write_bytes(b"bits")
            key = plan.cell_key(recipe, sequence, q)
            store.add_encode(key, q, made, sha256=sha256, payload_bytes=size, usage=USAGE, commands=())
            store.add_decode(key, StoredDecode(USAGE, ()))
        outcome = Runner(plan, store, pool, lambda _: None).run()
    assert outcome.failures == []
    assert outcome.counts.encodes == 0
    assert outcome.counts.encodes_cached > 250
    (lane,) = outcome.lanes
    assert lane.is_complete
    assert {point.encode.q: point.encode.payload_bytes for point in lane.points}.items() <= sizes.items()
