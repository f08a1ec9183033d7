"""Whole lost slots of tvc predicted, on request, by context model and transformer."""

from __future__ import annotations

import pytest
import torch
from tvc_losses import equal, stream, without
from tvc_samples import one_thread, tiny_weights  # noqa: F401 (a fixture)

import tvc
from tvc.bitstream import Reader
from tvc.decoder import DecodedSlot, decode_tokens, to_frames
from tvc.levels import UNTOLD, Told
from tvc.operating import POINTS
from tvc.parts import placed
from tvc.slots import Memory, SlotCoder


@pytest.mark.parametrize("period", [-1, 8])
@pytest.mark.parametrize("q", [20, 32, 40])
def test_a_lost_slot_is_predicted_where_that_is_asked_for(model, q, period):
    """As two slots of nothing but the context model's likeliest tokens after what came, all of them masked.

    Also where the first of them was an intra slot: what is shown goes on from the picture before.
    """
    data = stream(model, q, frames=16, period=period, slots=1)
    reader = Reader(data)
    lost = [(at.discrete, at.end) for at in list(placed(reader))[2:]]
    sent = [slot for packet in decode_tokens(reader, model) for slot in packet.slots]
    coder, state, expected = SlotCoder(model, 2, 3), None, []
    for number in range(4):
        codes, mask, latents = sent[number].codes, sent[number].mask, sent[number].latents
        if number > 1:
            codes, mask, latents = _likeliest(coder, q), torch.ones(1, 1, 2, 3, dtype=torch.bool), None
        else:
            coder.memory = Memory(codes, coder.memory.codes1, None, Told(sent[number].detail, UNTOLD.moved))
        planes, state = model.decode_slot(codes, mask, latents, state)
        shown = DecodedSlot(False, codes, mask, latents, None, coder.memory.told.levels)
        expected += to_frames(planes, reader.header, shown)
    received = list(tvc.receive(without(data, lost), lost, conceal="predict", model=model))
    assert [concealed for _, concealed in received] == [False] * 8 + [True] * 8
    assert all(map(equal, (frame for frame, _ in received), expected))


def _likeliest(coder: SlotCoder, q: int) -> torch.Tensor:
    class Likeliest:
        def code(self, counts, symbols=None):
            return counts.argmax(axis=1)

    codes, _ = coder.discrete(Likeliest(), POINTS[q], None)
    return codes


@pytest.mark.parametrize("kind", ["key", "tokens"])
@pytest.mark.parametrize("conceal", ["still", "predict"])
def test_a_damaged_packet_is_shown_as_a_lost_one(model, kind, conceal):
    data = stream(model, 32)
    for at in list(placed(Reader(data)))[1:4]:
        if at.packet.intra != (kind == "key"):
            continue
        damaged = bytearray(data)
        damaged[(at.discrete + at.end) // 2] ^= 64
        lost = [(at.discrete, at.end)]
        shown = list(tvc.receive(bytes(damaged), [], conceal=conceal, model=model))
        expected = list(tvc.receive(without(data, lost), lost, conceal=conceal, model=model))
        assert [mark for _, mark in shown] == [mark for _, mark in expected]
        assert all(equal(one, other) for (one, _), (other, _) in zip(shown, expected, strict=True))
