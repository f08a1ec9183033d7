"""tvc under loss: every frame comes, marks are exactly the frames concerned, and nothing else changes.

1,000 random losses in the suite; `TVC_LOSS_FUZZ=20000 pytest -s tests/test_tvc_loss.py` takes as many as asked for.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from tvc_losses import Ranges, delivered, equal, stream, without
from tvc_samples import moving, one_thread, tiny_weights  # noqa: F401 (a fixture)

import tvc
from tvc.bitstream import Reader
from tvc.decoder import decode_tokens
from tvc.parts import Lost, Part, parts, placed
from tvc.receiver import receive_slots
from tvc.video import Frame

CASES = int(os.environ.get("TVC_LOSS_FUZZ", "1000"))
SECONDS = 5


def _digest(received: Iterator[tuple[Frame, bool]]) -> str:
    state = hashlib.sha256()
    for frame, concealed in received:
        state.update(b"".join(plane.tobytes() for plane in frame) + bytes([concealed]))
    return state.hexdigest()


def _payloads(data: bytes, kind: str) -> list[Part]:
    return [part for part in parts(Reader(data)) if part.kind == kind]


@pytest.mark.parametrize("q", [0, 20, 32, 60])
def test_parts_cover_the_file_and_are_the_payloads(model, q):
    data = stream(model, q)
    found = list(parts(Reader(data)))
    assert [part.offset for part in found] == list(np.cumsum([0] + [part.bytes for part in found[:-1]]))
    assert sum(part.bytes for part in found) == len(data)
    packets = [packet for _, packet in Reader(data).packets()]
    for kind, expected in (
        ("key", [packet.discrete for packet in packets if packet.intra]),
        ("tokens", [packet.discrete for packet in packets if not packet.intra]),
        ("latents", [packet.continuous for packet in packets if packet.continuous]),
    ):
        got = [data[part.offset : part.offset + part.bytes] for part in found if part.kind == kind]
        assert got == [payload for payload in expected if payload]
    assert tvc.stats(data, model=model)["parts"] == [
        {"offset": part.offset, "bytes": part.bytes, "class": part.kind} for part in found
    ]


@pytest.mark.parametrize("q", [0, 20, 32, 60])
def test_losing_nothing_is_the_normal_decode(model, q):
    data = stream(model, q)
    frames, marks = delivered(data, [], model)
    expected = list(tvc.decode(data, model=model))
    assert len(frames) == len(expected) == 36
    assert all(map(equal, frames, expected))
    assert not any(marks)


@pytest.mark.parametrize("q", [8, 32, 50])
def test_marks_are_from_the_loss_to_the_next_intra_packet_and_all_else_is_bit_identical(model, q):
    data = stream(model, q)
    clean = list(tvc.decode(data, model=model))
    # Packets of 8 frames, intra ones at frames 0, 16 and 32; one byte of each packet's tokens in turn.
    for at in placed(Reader(data)):
        begin = 4 * at.first
        stop = min(begin // 16 * 16 + 16, 36)
        frames, marks = delivered(data, [(at.discrete, at.discrete + 1)], model)
        assert marks == [begin <= index < stop for index in range(36)]
        for index, frame in enumerate(frames):
            if not marks[index]:
                assert equal(frame, clean[index])


def test_a_lost_slot_stands_still(model):
    data = stream(model, 32)
    second = list(placed(Reader(data)))[1]
    frames, _ = delivered(data, [(second.discrete, second.end)], model)
    assert all(equal(frame, frames[7]) for frame in frames[8:16])


def test_losing_the_last_packet_leaves_the_frames_before_it(model):
    data = stream(model, 20)
    clean = list(tvc.decode(data, model=model))
    last = list(placed(Reader(data)))[-1]
    frames, marks = delivered(data, [(last.discrete, last.end)], model)
    assert all(map(equal, frames[:32], clean[:32]))
    assert marks == [False] * 32 + [True] * 4
    assert all(equal(frame, clean[31]) for frame in frames[32:])


def test_lost_latents_leave_the_tokens_as_sent(model):
    data = stream(model, 0)
    reader = Reader(data)
    sent = [slot for packet in decode_tokens(reader, model) for slot in packet.slots]
    second = list(placed(reader))[1]
    received = list(receive_slots(reader, model, Lost([(second.continuous, second.end)], len(data))))
    for index, (one, other) in enumerate(zip(received, sent, strict=True)):
        assert one.slot is not None
        assert torch.equal(one.slot.codes, other.codes)
        assert one.slot.mask is None
        hit = index in (2, 3)
        assert (one.slot.latents is None) == one.concealed == hit
        if not hit:
            assert torch.equal(one.slot.latents, other.latents)


def test_all_latents_lost_are_the_frames_of_the_thinned_stream(model):
    data = stream(model, 8)
    lost = [(part.offset, part.offset + part.bytes) for part in _payloads(data, "latents")]
    frames, marks = delivered(data, lost, model)
    assert all(marks)
    assert all(map(equal, frames, tvc.decode(tvc.thin(data, model=model), model=model)))


@pytest.mark.parametrize("q", [0, 32, 50])
def test_what_arrived_before_a_hole_is_used_and_never_wrong(model, q):
    """Whatever stood in the hole: tokens taken as sent are those that were sent."""
    data = stream(model, q, frames=32, period=-1, slots=8)
    reader = Reader(data)
    (at,) = placed(reader)
    sent = [slot for packet in decode_tokens(reader, model) for slot in packet.slots]
    whole = []
    for hole in range(at.discrete, at.continuous, 1 + (at.continuous - at.discrete) // 16):
        lost = Lost([(hole, at.continuous)], len(data))
        for fill in (0, 90, 255):
            received = list(receive_slots(Reader(without(data, [(hole, at.continuous)], fill)), model, lost))
            good = [one for one in received if not one.concealed]
            assert all(torch.equal(a.slot.codes, b.codes) for a, b in zip(good, sent, strict=False) if a.slot)
            # The slot that is hit: no square is both taken as sent and wrong.
            if len(good) < len(received) and (partly := received[len(good)].slot) is not None and good:
                wrong = (partly.codes != sent[len(good)].codes).any(1, keepdim=True)
                assert partly.mask is not None
                assert not (wrong & ~partly.mask).any()
        whole.append(len(good))
    assert whole == sorted(whole)
    # All but the last words of a stream decide slots: half of the bytes are about half of the slots.
    assert 2 <= whole[len(whole) // 2] <= 5
    assert whole[-1] >= 7


@pytest.mark.parametrize("q", [32, 52, 63])
def test_half_a_slot_is_predicted_from_the_other_half(model, q):
    """Flags of what is corrected stand before the tokens of each half."""
    data = stream(model, q, frames=8, period=-1, slots=1)
    reader = Reader(data)
    second = list(placed(reader))[1]
    sent = next(packet.slots[0] for packet in decode_tokens(reader, model) if packet.first == 1)
    odd = (torch.arange(2)[:, None] + torch.arange(3)) % 2 == 1
    seen = 0
    for hole in range(second.discrete, second.end):
        slot = list(receive_slots(reader, model, Lost([(hole, second.end)], len(data))))[1].slot
        if slot is not None and slot.mask is not None and not torch.equal(slot.codes, sent.codes):
            assert slot.mask[0, 0][odd].all()
            assert torch.equal(slot.mask[0, 0][~odd], torch.zeros(3, dtype=bool) if q == 32 else sent.mask[0, 0][~odd])
            assert torch.equal(slot.codes[0][:, ~odd], sent.codes[0][:, ~odd])
            seen += 1
    assert seen


@pytest.mark.parametrize("number", [0, 1])
def test_a_predicted_slot_has_its_own_detail_where_that_arrived(model, number):
    soft = tuple(plane // 4 + 96 for plane in moving(48, 32, 1)[0])
    clip = [soft] * 4 + moving(48, 32, 4, seed=1)
    data = tvc.encode(clip, 25, q=32, packet_slots=1, scale=1, model=model)
    reader = Reader(data)
    at = list(placed(reader))[number]
    sent = [packet.slots[0].detail for packet in decode_tokens(reader, model)]
    assert not np.array_equal(*sent)
    got = []
    for hole in range(at.discrete, at.end):
        received = receive_slots(reader, model, Lost([(hole, at.end)], len(data)), "predict")
        slot = list(received)[number].slot
        assert slot is not None
        got.append(np.array_equal(slot.detail, sent[number]))
    # From some byte on it arrived, and then it is there whatever became of the tokens.
    assert got == sorted(got)
    assert not got[0]
    assert got.index(True) < len(got) // 4


@pytest.mark.parametrize("kind", ["key", "tokens", "latents"])
def test_a_packet_that_arrives_damaged_is_concealed_not_an_error(model, kind):
    data = stream(model, 0)
    clean = list(tvc.decode(data, model=model))
    for part in _payloads(data, kind):
        damaged = bytearray(data)
        damaged[part.offset + part.bytes // 2] ^= 64
        with pytest.raises(tvc.BitstreamError):
            list(tvc.decode(bytes(damaged), model=model))
        received = list(tvc.receive(bytes(damaged), [], model=model))
        begin = 4 * next(at.first for at in placed(Reader(data)) if part.offset < at.end)
        stop = min(begin // 16 * 16 + 16, 36)
        assert [concealed for _, concealed in received] == [begin <= index < stop for index in range(36)]
        assert all(equal(frame, clean[index]) for index, (frame, concealed) in enumerate(received) if not concealed)


def test_all_lost_is_one_picture(model):
    data = stream(model, 20)
    lost = [(at.discrete, at.end) for at in placed(Reader(data))]
    frames, marks = delivered(data, lost, model)
    assert len(frames) == 36
    assert all(marks)
    assert all(equal(frame, frames[3]) for frame in frames[4:])


def _random_loss(data: bytes, rng: random.Random) -> tuple[bytes, Ranges]:
    """Pieces of payloads lost, some others damaged."""
    payloads = [part for part in parts(Reader(data)) if part.kind != "header"]
    size = rng.choice((5, 20, 60, 1200))
    rate = rng.choice((0.02, 0.1, 0.3, 0.9))
    pieces = [
        (start, min(start + size, part.offset + part.bytes))
        for part in payloads
        for start in range(part.offset, part.offset + part.bytes, size)
    ]
    lost = [piece for piece in pieces if rng.random() < rate]
    damaged = bytearray(without(data, lost))
    if rng.random() < 0.3:
        start, end = rng.choice(pieces)
        damaged[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
    return bytes(damaged), lost


def test_1000_random_losses_give_every_frame(model):
    streams = [
        tvc.encode(moving(width, height, frames, seed=q), 25, q=q, intra_period=period, packet_slots=slots, model=model)
        for width, height, frames, q, period, slots in (
            (32, 32, 8, 0, 4, 1),
            (17, 18, 10, 20, -1, 2),
            (32, 32, 9, 32, 4, None),
            (48, 16, 8, 50, 8, 2),
            (16, 16, 13, 40, 8, 1),
        )
    ]
    clean = [list(tvc.decode(data, model=model)) for data in streams]
    slowest = 0.0
    for number in range(CASES):
        rng = random.Random(number)
        which = number % len(streams)
        data, lost = _random_loss(streams[which], rng)
        begin = time.process_time()
        conceal = rng.choice(("still", "predict"))
        received = list(tvc.receive(data, lost, conceal=conceal, model=model))
        slowest = max(slowest, time.process_time() - begin)
        assert len(received) == len(clean[which])
        if data == without(streams[which], lost):
            # Lost bytes alone: what is not marked is as sent.
            assert all(
                concealed or equal(frame, before)
                for (frame, concealed), before in zip(received, clean[which], strict=True)
            )
        if number % 50 == 0:
            assert _digest(iter(received)) == _digest(tvc.receive(data, lost, conceal=conceal, model=model))
    assert slowest < SECONDS


_ELSEWHERE = """
import json, sys
from pathlib import Path
import torch
import tvc
from test_tvc_loss import _digest
torch.set_num_threads(1)
model = tvc.weights.load(Path(sys.argv[1]))
print(_digest(tvc.receive(Path(sys.argv[2]).read_bytes(), json.loads(sys.argv[3]), model=model)))
"""


def test_another_process_gives_the_same_bits(weights, model, tmp_path):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), *sys.path))}
    for q in (0, 58):
        data, lost = _random_loss(stream(model, q), random.Random(q))
        path = tmp_path / f"{q}.tvc"
        path.write_bytes(data)
        command = [sys.executable, "-c", _ELSEWHERE, str(weights), str(path), json.dumps(lost)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        assert done.stdout.strip() == _digest(tvc.receive(data, lost, model=model))


def test_shipped_weights_conceal_too():
    data = tvc.encode(moving(64, 48, 16), 25, q=20, packet_slots=1)
    clean = list(tvc.decode(data))
    third = list(placed(Reader(data)))[2]
    received = list(tvc.receive(data, [(third.discrete + 8, third.end)]))
    assert [concealed for _, concealed in received] == [False] * 8 + [True] * 8
    assert all(equal(frame, before) for (frame, _), before in zip(received[:8], clean, strict=False))


def test_lost_heads_are_an_error(model):
    data = stream(model, 20)
    headers = _payloads(data, "header")
    assert len(headers) > 3
    for part in headers:
        for place in (part.offset, part.offset + part.bytes - 1):
            # Whether a byte of it is really gone or not: a receiver cannot know.
            with pytest.raises(tvc.BitstreamError, match="head of a packet was lost"):
                tvc.receive(data, [(place, place + 1)], model=model)
