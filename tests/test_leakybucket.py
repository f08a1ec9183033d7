"""Leaky buckets: closed forms, a simulated channel, and agreement with the traffic figures."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from evalsuite.metrics.traffic import smallest_bucket
from evalsuite.results.leakybucket import bends, bucket, start

STREAMS = st.lists(st.integers(0, 5000), min_size=1, max_size=40).filter(any)
SHARES = st.fractions(0, 4)


def mean(bits: list[int]) -> Fraction:
    return Fraction(sum(bits), len(bits))


def spill_free(bits: list[int], leak: Fraction) -> Fraction:
    """The fullest that a bucket gets, by filling and draining it."""
    fill = fullest = Fraction(0)
    for frame in bits:
        fill += frame
        fullest = max(fullest, fill)
        fill = max(fill - leak, Fraction(0))
    return fullest


def late(bits: list[int], leak: Fraction, held: Fraction, size: Fraction | None) -> bool:
    """Whether a frame is late for a decoder that begins with so many bits; a full buffer makes the channel pause."""
    for frame in bits:
        held -= frame
        if held < 0:
            return True
        held = held + leak if size is None else min(held + leak, size)
    return False


def test_a_constant_rate_needs_one_frame_and_waits_for_it() -> None:
    bits = [800] * 20
    assert bends(bits, bucket(bits)) == [800]
    assert bucket(bits).at(Fraction(800)) == start(bits).at(Fraction(800)) == 800
    assert bucket(bits).at(Fraction(5000)) == 800


def test_one_large_frame_and_then_equal_ones() -> None:
    # 900, then nine of 100: above 100 bits a frame nothing is added to the first one.
    bits = [900, *[100] * 9]
    assert bends(bits, bucket(bits)) == [180, 900]
    assert bucket(bits).at(Fraction(180)) == 900
    # Slower than the frames that follow, it grows with each of them.
    assert bucket(bits).at(Fraction(60)) == 900 + 9 * 40


def test_two_bursts_add_up_until_the_first_has_left() -> None:
    bits = [100, 100, 0, 0, 0]
    assert bends(bits, bucket(bits)) == [40, 100]
    assert [bucket(bits).at(Fraction(leak)) for leak in (40, 70, 100, 150)] == [160, 130, 100, 100]
    assert start(bits).at(Fraction(40)) == 160


def test_a_late_burst_needs_a_bucket_and_no_start() -> None:
    bits = [10, 0, 0, 0, 90]
    leak = mean(bits)  # 20
    assert bucket(bits).at(leak) == 90
    # Four frames of 20 arrive before the burst of 90 is due, and 10 are due at once: 100 - 80 = 20.
    assert start(bits).at(leak) == 20
    assert start(bits).at(Fraction(25)) == 10


@given(STREAMS)
def test_at_the_mean_it_is_the_traffic_figure(bits: list[int]) -> None:
    assert bucket(bits).at(mean(bits)) == smallest_bucket(bits)


@given(STREAMS, SHARES)
def test_it_is_what_a_bucket_that_is_filled_and_drained_comes_to(bits: list[int], share: Fraction) -> None:
    leak = share * mean(bits)
    assert bucket(bits).at(leak) == spill_free(bits, leak)


@given(STREAMS)
def test_the_curve_falls_bends_upwards_and_ends_at_the_largest_frame(bits: list[int]) -> None:
    leaks = bends(bits, bucket(bits))
    needed = [bucket(bits).at(leak) for leak in leaks]
    assert leaks == sorted(set(leaks))
    assert leaks[0] == mean(bits)
    assert needed[-1] == max(bits)
    slopes = [(b - a) / (y - x) for a, b, x, y in zip(needed, needed[1:], leaks, leaks[1:], strict=False)]
    assert slopes == sorted(set(slopes))
    assert all(slope <= 0 for slope in slopes)
    # Straight in between.
    for x, y, a, b in zip(leaks, leaks[1:], needed, needed[1:], strict=False):
        assert bucket(bits).at((x + y) / 2) == (a + b) / 2


@given(STREAMS, st.fractions(1, 4))
def test_no_frame_is_late_after_the_start_and_one_is_after_any_shorter_one(bits: list[int], share: Fraction) -> None:
    leak = share * mean(bits)
    held, size = start(bits).at(leak), bucket(bits).at(leak)
    assert held <= size
    assert not late(bits, leak, held, size)
    assert not late(bits, leak, held, None)
    if held:
        assert late(bits, leak, held - Fraction(1, 1000), None)
