"""The encoder's choice of codes: near, and cheap."""

from __future__ import annotations

import io
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tvc_samples import moving, one_thread, tiny_weights  # noqa: F401 (a fixture)

import tvc
from tvc.encoder import encode_stream
from tvc.entropy import Writer
from tvc.operating import POINTS
from tvc.slots import SlotCoder, rounded
from tvc.tables import TOTAL
from tvc.video import Format


def test_a_bit_is_weighed_against_distance():
    # Half of the counts for code 0, an eighth for each of 1 to 4: 1 bit and 3 bits.
    counts = np.array([[32768, 8192, 8192, 8192, 8192]] * 3)
    places = np.array([0.9, 0.6, 3.2], np.float32)
    assert rounded(places, counts, 0).tolist() == [1, 1, 3]
    # 0.9 is nearer to 1 by 0.81 - 0.01 = 0.8, 0.6 by 0.36 - 0.16 = 0.2; code 0 saves 2 bits.
    assert rounded(places, counts, 0.15).tolist() == [1, 0, 3]
    assert rounded(places, counts, 0.45).tolist() == [0, 0, 3]


@settings(max_examples=50, deadline=None)
@given(st.integers(2, 9), st.floats(0, 2), st.integers(0, 1000))
def test_no_other_code_is_better(levels, price, seed):
    rng = np.random.default_rng(seed)
    places = rng.uniform(-0.5, levels - 0.5, 20).astype(np.float32)
    counts = rng.integers(1, 65536, (20, levels))
    for place, row, chosen in zip(places, counts, rounded(places, counts, price), strict=True):
        costs = [(float(place) - k) ** 2 + price * -np.log2(row[k] / 65536) for k in range(levels)]
        assert costs[chosen] == pytest.approx(min(costs))
    assert np.array_equal(rounded(places, counts, 0), np.clip(np.rint(places), 0, levels - 1))


def test_places_round_to_the_codes(model):
    planes = tuple(torch.rand(1, 4, *shape) * 2 - 1 for shape in ((32, 48), (16, 24), (16, 24)))
    codes, _, _ = model.encode_slot(planes, None)
    places, _, _ = model.place_slot(planes, None)
    assert torch.equal(places.round().long(), codes)


@pytest.mark.parametrize("q", [20, 32, 44])
def test_cheap_codes_make_a_smaller_file(model, q):
    clip, sizes = moving(96, 80, 12), []
    for price in (0.0, 0.5):
        output = io.BytesIO()
        encode_stream(clip, Format(96, 80, Fraction(25)), output, model, q=q, multiplier=price)
        sizes.append(tvc.stats(output.getvalue(), model=model)["discrete_bytes"])
    assert sizes[0] > sizes[1]


@pytest.mark.parametrize("price", [-0.1, float("nan"), float("inf")])
def test_other_prices_are_refused(model, price):
    with pytest.raises(tvc.RequestError, match="no such price"):
        encode_stream(moving(16, 16, 4), Format(16, 16, Fraction(25)), io.BytesIO(), model, q=32, multiplier=price)


@pytest.mark.parametrize("q", [32, 52, 63])
def test_training_sees_the_codes_that_the_decoder_has(model, q):
    rng = np.random.default_rng(3)
    levels = model.config.levels
    shape = (1, len(levels), 12, 14)
    places = [torch.from_numpy(rng.uniform(0, np.array(levels)[None, :, None, None] - 1, shape)) for _ in range(3)]
    coder, previous1, previous2, shares = SlotCoder(model, 12, 14), None, None, []
    threshold = 1.0 if POINTS[q].threshold is None else POINTS[q].threshold / TOTAL
    for one in places:
        decoded, masked = coder.discrete(Writer(), POINTS[q], one.float(), 0.2)
        codes, mask = model.discrete_context.chosen(one.float(), previous1, previous2, 0.2, threshold)
        # Float counts differ from whole ones by a rounding, so two codes that weigh the same may change places.
        assert float((codes == decoded).float().mean()) > 0.99
        assert float((mask == (torch.zeros_like(mask) if masked is None else masked)).float().mean()) > 0.98
        assert not torch.equal(codes, one.round().long())
        shares.append(float(mask.float().mean()))
        previous1, previous2 = decoded, previous1
    assert (max(shares) > 0) == (q > 32)
