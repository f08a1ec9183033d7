"""What tvc's operating points cost, and the two ways to ask for a rate."""

from __future__ import annotations

import importlib
import io
import itertools
import math
import re
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tvc_losses import equal
from tvc_samples import moving, one_thread, tiny_weights  # noqa: F401 (a fixture)

import tvc
from tvc.bitstream import Reader
from tvc.content import CHANNEL, usual
from tvc.encoder import encode_stream
from tvc.operating import POINTS
from tvc.video import Format


def test_thresholds_fall_in_two_slopes():
    depths = np.cumsum([1 / 8] * 10 + [1 / 4] * 21)  # octaves
    assert [point.threshold for point in POINTS[33:]] == np.round(65536 * 2.0**-depths).tolist()
    assert POINTS[40].threshold == 65536 // 2
    assert POINTS[45].threshold == 65536 // 4
    assert not any(point.threshold for point in POINTS[:33])


def test_rate_falls_with_q_at_one_coded_size(model):
    clip = moving(96, 64, 8)
    sizes = [len(tvc.encode(clip, 25, q=q, scale=1.5, model=model)) for q in range(0, 64, 5)]
    assert sizes == sorted(sizes, reverse=True)


def test_rate_falls_with_q_at_the_usual_sizes():
    # Tokens alone are coded larger than tokens with the coarsest latents: they cost less all the same.
    clip = moving(96, 64, 8)
    sizes = [len(tvc.encode(clip, 25, q=q)) for q in (*range(0, 28, 9), *range(28, 36), *range(36, 64, 9))]
    assert sizes == sorted(sizes, reverse=True)


def test_trap29_bpp_finds_the_nearest_of_all_points(model):
    clip = moving(64, 48, 4)
    sizes = [len(tvc.encode(clip, 25, q=q, model=model)) for q in range(0, 64, 3)]
    for bpp in (1e-4, 0.13, 0.4, 50.0):
        target = bpp * 64 * 48 * 4 / 8
        found = len(tvc.encode(clip, 25, bpp=bpp, model=model))
        best = min(abs(np.log(size / target)) for size in sizes)
        assert abs(np.log(found / target)) <= best


def test_trap29_the_index_counts_when_the_nearest_is_chosen(model):
    """It is a third of such a file: between two sizes the nearer one is taken."""
    clip, options = moving(64, 64, 24), {"intra_period": 4, "packet_slots": 1, "scale": 1, "model": model}
    sizes = sorted({len(tvc.encode(clip, 25, q=q, **options)) for q in range(20)})
    for smaller, larger in itertools.pairwise(sizes):
        middle = math.sqrt(smaller * larger)
        for target, nearest in ((middle * 0.999, smaller), (middle * 1.001, larger)):
            assert len(tvc.encode(clip, 25, bpp=target * 8 / (64 * 64 * 24), **options)) == nearest


@pytest.mark.parametrize(("share", "seconds", "slots"), [(1.0, 0.4, 1), (0.6, 1.0, 2), (1.6, 1.0, 2)])
def test_a_channel_delivers_every_packet_in_time(model, share, seconds, slots):
    still = [moving(64, 48, 1, seed=1)[0]] * 24
    clip = moving(64, 48, 24) + still + moving(64, 48, 16, seed=2)
    # A share of what all tokens take.
    kbps = share * 8 * len(tvc.encode(clip, 25, q=32, packet_slots=slots, intra_period=32, model=model)) / 3.2 / 1000
    data = tvc.encode(clip, 25, kbps=kbps, buffer_s=seconds, packet_slots=slots, intra_period=32, model=model)
    waiting, waits, used = 0.0, [], set()
    for _, packet in Reader(data).packets():
        waiting = max(0.0, waiting - 4 * packet.slots / 25) + 8 * len(packet.to_bytes()) / (1000 * kbps)
        waits.append(waiting)
        used.add(packet.point.q)
    late = [wait for wait in waits if wait > seconds + 1e-9]
    assert not late
    assert len(used) > 1
    # What can be sent is sent: one step better, and some packet would have been late.
    assert max(waits) > 0.7 * seconds
    decoded = list(tvc.decode(data, model=model))
    assert len(decoded) == len(clip)
    assert all(map(equal, decoded[40:], tvc.decode(data, 40, model=model)))


@pytest.mark.parametrize("kbps", [2.0, 3.0, 4.0, 30.0])
def test_the_last_packet_has_the_time_of_its_own_frames(model, kbps):
    """Sixteen frames that stand still, then a single one of noise, which fills no slot."""
    noise = np.random.default_rng(1).integers(0, 256, (96, 144), dtype=np.uint8)
    last = noise[:64, :96], noise[64:, :48], noise[64:, 48:96]
    clip, format, output = [moving(96, 64, 1)[0]] * 16 + [last], Format(96, 64, Fraction(25)), io.BytesIO()
    made = encode_stream(clip, format, output, model, kbps=kbps, buffer_s=0.3, packet_slots=1, scale=1)
    waiting, late = 0.0, 0
    for first, packet in Reader(output.getvalue()).packets():
        frames = min(4, len(clip) - 4 * first)
        waiting = max(0.0, waiting - frames / 25) + 8 * len(packet.to_bytes()) / (1000 * kbps)
        late += waiting > 0.3 + 1e-9
    assert made.late == late


@pytest.mark.parametrize(
    ("rate", "seconds", "slots"), [(Fraction(25), 2.0, 12), (Fraction(30000, 1001), 1.0, 7), (10, 0.5, 1)]
)
def test_packets_for_a_channel_fit_its_buffer(model, rate, seconds, slots):
    """Those of a small video are as long as the buffer allows, not so long that it could not hold them."""
    format, output = Format(32, 32, Fraction(rate)), io.BytesIO()
    encode_stream(moving(32, 32, 60), format, output, model, kbps=100, buffer_s=seconds)
    assert max(packet.slots for _, packet in Reader(output.getvalue()).packets()) == slots


def test_a_channel_that_is_too_narrow_gets_the_least_and_says_so(model):
    clip, output = moving(64, 48, 32), io.BytesIO()
    format = Format(64, 48, Fraction(25))
    made = encode_stream(clip, format, output, model, kbps=0.02, buffer_s=1, packet_slots=4)
    assert (made.q, made.late) == ((63, 63), 2)
    # The coded size is one for all operating points, that of q 40.
    scales = (usual(CHANNEL, textured=textured)[1] for textured in (False, True))
    least = [tvc.encode(clip, 25, q=63, scale=scale, packet_slots=4, model=model) for scale in scales]
    assert output.getvalue() in least
    with pytest.raises(tvc.RequestError, match="less than the frames of a packet take"):
        encode_stream(clip, format, output, model, kbps=10, buffer_s=0.5, packet_slots=4)
    # What is asked for is enough.
    wanted = Format(64, 48, Fraction(30000, 1001))
    with pytest.raises(tvc.RequestError) as refused:
        encode_stream(clip, wanted, output, model, kbps=10, buffer_s=0.1, packet_slots=1)
    seconds = float(re.fullmatch(r"at least ([0-9.]+) s", str(refused.value.expected))[1])
    encode_stream(clip, wanted, output, model, kbps=10, buffer_s=seconds, packet_slots=1)


def test_the_benchmark_counts_the_frames_of_the_last_packet(model, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parent.parent / "benchmarks")
    longest_wait = importlib.import_module("tvc_channel").longest_wait
    data = tvc.encode(moving(64, 64, 5), 25, q=20, packet_slots=1, scale=1, model=model)
    first, second = (8 * len(packet.to_bytes()) for _, packet in Reader(data).packets())
    # A channel so slow that it is never idle: one of the two packets' five frames is over when the second one is sent.
    kbps = (first + second) / 1000
    expected = (first + second) / (1000 * kbps) - 1 / 25
    assert first / (1000 * kbps) < expected
    assert longest_wait(data, kbps, Fraction(25)) == pytest.approx(expected)
