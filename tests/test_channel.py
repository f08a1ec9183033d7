"""Channels that lose packets: rates and bursts against closed forms, and models as they are written."""

from __future__ import annotations

import hashlib
import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evalsuite.codec.channel import Channel, parse_channel
from evalsuite.errors import RequestError

SHA256 = hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5])
def test_independent_losses_have_their_rate_and_no_memory(rate: float) -> None:
    hits = Channel(rate).hits(400_000, Channel(rate).chance(SHA256))
    # Four standard deviations of a binomial share.
    assert abs(hits.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / len(hits))
    after = hits[1:][hits[:-1]]
    assert abs(after.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / len(after))


@pytest.mark.parametrize(("rate", "burst"), [(0.02, 3.0), (0.1, 1.0), (0.3, 8.0)])
def test_bursts_have_their_rate_and_mean_length(rate: float, burst: float) -> None:
    channel = Channel(rate, burst, bursty=True)
    hits = channel.hits(600_000, channel.chance(SHA256))
    lengths = np.array([len(list(run)) for hit, run in itertools.groupby(hits) if hit])
    # Lengths are geometric: their deviation is sqrt(burst (burst - 1)).
    assert abs(lengths.mean() - burst) <= 4 * np.sqrt(burst * (burst - 1) / len(lengths)) + 1e-9
    # The share of a two-state chain varies more than independent draws do, by (1 + memory) / (1 - memory).
    memory = 1 - 1 / burst - rate / (1 - rate) / burst
    assert abs(hits.mean() - rate) < 4 * np.sqrt(rate * (1 - rate) / len(hits) * (1 + memory) / (1 - memory))


def test_the_same_channel_does_the_same_to_the_same_bitstream() -> None:
    # NumPy's own doubles are made of the same bits; what it promises of them is less.
    seed = int.from_bytes(hashlib.sha256(f"iid:0.05 {SHA256}".encode()).digest(), "little")
    expected = np.random.Generator(np.random.PCG64(seed)).random(1000) < 0.05
    channel = parse_channel("iid:5%")
    np.testing.assert_array_equal(channel.hits(1000, channel.chance(SHA256)), expected)
    other = parse_channel("iid:5%,seed=2")
    assert (other.hits(1000, other.chance(SHA256)) != expected).any()
    assert (channel.hits(1000, channel.chance(hashlib.sha256(b"x").hexdigest())) != expected).any()


def test_everything_may_be_lost() -> None:
    assert Channel(1.0).hits(50, Channel(1.0).chance(SHA256)).all()


@pytest.mark.parametrize(
    ("written", "channel"),
    [
        ("iid:0.02", Channel(0.02)),
        ("IID:2%", Channel(0.02)),
        ("ge:0.05,burst=3", Channel(0.05, 3, bursty=True)),
        ("iid:1,class=latents", Channel(1.0, only="latents")),
        (
            "ge:5%,burst=2.5,packet=500,seed=9,kind=damage,class=key",
            Channel(0.05, 2.5, bursty=True, packet_bytes=500, seed=9, kind="damage", only="key"),
        ),
    ],
)
def test_models_are_read_and_written(written: str, channel: Channel) -> None:
    assert parse_channel(written) == channel
    assert parse_channel(str(channel)) == channel


@pytest.mark.parametrize(
    "written",
    [
        *("", "0.05", "iid", "iid:", "iid:0", "iid:1.5", "iid:-0.1", "iid:200%", "iid:nan", "iid:0.1.2", "burst:0.1"),
        *("ge:0.1", "iid:0.1,burst=2", "ge:0.1,burst=0.5", "ge:1,burst=3", "ge:0.9,burst=2", "ge:0.1,burst="),
        *("iid:0.1,packet=10", "iid:0.1,packet=99999", "iid:0.1,packet=1.5", "iid:0.1,seed=x", "iid:0.1,kind=bent"),
        *("iid:0.1,color=red", "iid:0.1,", "iid:0.1,seed=1;rm", "iid:0.1,seed=99999999999"),
        *("iid:0.1,seed=1,seed=2", "ge:0.1,burst=inf", "ge:0.1,burst=nan"),
        "ge:1,burst=100000000000000000",
    ],
)
def test_what_is_no_model_is_refused(written: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse_channel(written)
    assert caught.value.expected


@given(st.text(max_size=40) | st.from_regex(r"(iid|ge):[0-9.]{1,4}%?(,[a-z]{1,6}=[a-z0-9.]{1,6}){0,3}", fullmatch=True))
def test_any_text_is_a_channel_or_refused(text: str) -> None:
    try:
        channel = parse_channel(text)
    except RequestError:
        return
    assert parse_channel(str(channel)) == channel
    assert channel.hits(20, channel.chance(SHA256)).shape == (20,)


def test_channels_of_one_name_are_one() -> None:
    assert parse_channel("iid:0.3333333") == parse_channel("iid:0.33333334") == parse_channel("iid:33.3333%")


@given(st.floats(1e-9, 0.5), st.one_of(st.none(), st.floats(1, 1e7)))
def test_what_a_channel_is_called_is_read_back(rate: float, burst: float | None) -> None:
    channel = parse_channel(f"iid:{rate:g}" if burst is None else f"ge:{rate:g},burst={burst:g}")
    assert channel.rate == float(f"{rate:g}")
    assert parse_channel(str(channel)) == channel
