"""Dropping latents from a bitstream, packets of chosen size, and tokens over time."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tvc_golden import TINY_WEIGHTS
from tvc_samples import moving, one_thread, tiny_weights  # noqa: F401 (a fixture)

import tvc
from tvc.bitstream import Reader
from tvc.decoder import decode_tokens


def _encode(model, q: int, slots: int | None = None, frames: int = 26, period: int = 12) -> bytes:
    clip = moving(48, 40, frames, seed=frames)
    return tvc.encode(clip, 25, q=q, intra_period=period, packet_slots=slots, scale=1, model=model)


@pytest.mark.parametrize("slots", [None, 1, 2])
@pytest.mark.parametrize("q", [0, 8, 18, 31])
def test_thinned_is_byte_for_byte_what_q_32_gives(model, q, slots):
    full = _encode(model, q, slots)
    thinned = tvc.thin(full, model=model)
    assert thinned == _encode(model, 32, slots)
    assert len(thinned) < len(full)
    payloads = [packet.discrete for _, packet in Reader(full).packets()]
    assert [packet.discrete for _, packet in Reader(thinned).packets()] == payloads


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 31), st.integers(1, 20), st.sampled_from([-1, 4, 8]), st.integers(1, 32))
def test_thinned_is_q_32_for_any_layout(model, q, frames, period, slots):
    full, tokens = (_encode(model, each, slots, frames, period) for each in (q, 32))
    assert tvc.thin(full, model=model) == tokens


def test_shipped_weights_too():
    clip = moving(64, 48, 12)
    assert tvc.thin(tvc.encode(clip, 25, q=18)) == tvc.encode(clip, 25, q=32, scale=2.2)


@pytest.mark.parametrize("q", [32, 50, 63])
def test_a_stream_without_latents_stays_as_it_is(model, q):
    data = _encode(model, q)
    assert tvc.thin(data, model=model) == data


def test_damage_is_an_error(model):
    data = bytearray(_encode(model, 10))
    data[len(data) // 2] ^= 16
    with pytest.raises(tvc.BitstreamError):
        tvc.thin(bytes(data), model=model)


def test_the_command_thins(tmp_path):
    data = tvc.encode(moving(48, 40, 8), 25, q=5, scale=1.5, model=tvc.weights.load(TINY_WEIGHTS))
    (tmp_path / "in.tvc").write_bytes(data)
    command = [sys.executable, "-m", "tvc", "thin", "in.tvc", "out.tvc", "--weights", str(TINY_WEIGHTS)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    thinned = (tmp_path / "out.tvc").read_bytes()
    assert thinned == tvc.encode(moving(48, 40, 8), 25, q=32, scale=1.5, model=tvc.weights.load(TINY_WEIGHTS))
    assert done.stderr == f"{len(thinned)} bytes of {len(data)}\n"
    (tmp_path / "in.tvc").write_bytes(data[:-9])
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert (tmp_path / "out.tvc").read_bytes() == thinned


@pytest.mark.parametrize("slots", [1, 2, 3, 32])
@pytest.mark.parametrize("q", [0, 32, 56])
def test_packets_hold_so_many_slots_and_the_same_tokens(model, q, slots):
    data, usual = _encode(model, q, slots), _encode(model, q)
    # Intra packets every 12 frames: three slots each, and one of two frames at the end.
    sizes = [packet.slots for _, packet in Reader(data).packets()]
    each = [min(slots, 3 - first) for first in range(0, 3, slots)]
    assert sizes == [*each, *each, 1]
    tokens, expected = (
        [slot.codes.numpy() for packet in decode_tokens(Reader(one), model) for slot in packet.slots]
        for one in (data, usual)
    )
    assert np.array_equal(tokens, expected)


@pytest.mark.parametrize("slots", [0, 33, -1])
def test_packets_of_other_sizes_are_refused(model, slots):
    with pytest.raises(tvc.RequestError, match="no such packet"):
        _encode(model, 32, slots)


@pytest.mark.parametrize("q", [20, 32, 63])
def test_sent_tokens_fall_due_at_the_first_frame_of_their_slot(model, q):
    data = _encode(model, q)
    slots = [slot for packet in decode_tokens(Reader(data), model) for slot in packet.slots]
    facts = tvc.stats(data, model=model)
    # 48 x 40 samples are 3 x 3 tokens; 26 frames are six slots and a half.
    expected = [0] * 26
    expected[::4] = [9 if slot.mask is None else int((~slot.mask).sum()) for slot in slots]
    assert facts["frame_tokens"] == expected
    assert sum(expected) == pytest.approx(facts["sent_token_rate"] / 25 * 26)
    assert (q == 63) == (sum(expected) < 9 * 7)
