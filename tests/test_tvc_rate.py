"""What tvc's operating points cost, and the two ways to ask for a rate."""

from __future__ import annotations

import io
from fractions import Fraction

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
