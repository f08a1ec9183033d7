"""Channels that lose packets: which model, at which rate, and what became of each packet.

Losses come alone, or in bursts by the model of Gilbert and Elliott in its usual form: a good state that loses nothing
and a bad one that loses everything, with the chances of going from one to the other that give the wanted rate and mean
burst. A channel begins in its stationary state.

Source: E. Gilbert, Capacity of a burst-noise channel, Bell System Technical Journal 39 (1960); E. O. Elliott, Estimates
of error rates for codes on burst-noise channels, ibid. 42 (1963).
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalsuite.codec.command import Command
from evalsuite.errors import RequestError

CHANNEL = "@"
"""Between a codec's name and its channel's."""

CHANNELS_VERSION = "1"
"""Changes whenever what arrives behind a channel, or what the suite's receiver shows of it, could."""

PACKET_BYTES = 1200
"""Payload of a network packet where none is stated: fits 1,280 bytes of IPv6 with the headers of UDP and RTP."""

_LARGEST_PACKET = 65_000
_LARGEST_SEED = 1 << 32
_EXPECTED = "iid:RATE or ge:RATE,burst=PACKETS, with packet=BYTES, seed=N, kind=drop or damage, class=NAME behind it"
_NUMBER = r"[0-9.]+(?:e[-+]?[0-9]+)?"
_MODEL = re.compile(rf"(iid|ge):({_NUMBER})(%?)((?:,[a-z]+=(?:{_NUMBER}|[a-z0-9.]+))*)")


@dataclass(frozen=True, slots=True)
class Transport:
    """What a recipe says of sending its bitstreams over a network that loses packets: `[transport]`."""

    decode: Command
    """Decodes what arrived, given `{lost}`; empty where the suite takes the format apart and decodes it itself."""
    classes: tuple[str, ...] = ()
    """Of the parts that the codec reports, those that may be lost."""


class Chance:
    """Numbers by chance that are the same with every version of NumPy, which promises that of bit generators alone.

    Args:
        seed: of them.
    """

    def __init__(self, seed: int) -> None:
        self._bits = np.random.PCG64(seed)

    def draw(self, count: int) -> NDArray[np.float64]:
        """Uniform in [0, 1), (count,)."""
        raw = np.asarray(self._bits.random_raw(count), np.uint64)
        return np.asarray((raw >> np.uint64(11)) * 2.0**-53)

    def whole(self, low: int, high: int, count: int) -> list[int]:
        """Whole numbers from `low` to `high` - 1."""
        return [low + int(draw * (high - low)) for draw in self.draw(count)]


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel between encoder and decoder."""

    rate: float
    """Share of the packets that are hit, above 0, at most 1; of a class, of its packets."""
    burst: float = 1.0
    """Mean number of packets that are hit in a row, where `bursty`."""
    bursty: bool = False
    packet_bytes: int = PACKET_BYTES
    """Of the payload of a network packet, at most."""
    seed: int = 1
    kind: Literal["drop", "damage"] = "drop"
    """Whether a packet that is hit is lost, or arrives with bytes changed."""
    only: str = ""
    """The class of packets that are hit; empty for all."""

    def __str__(self) -> str:
        """The canonical form: what is as usual is not said."""
        said = [f"ge:{self.rate:g},burst={self.burst:g}" if self.bursty else f"iid:{self.rate:g}"]
        said += [f"packet={self.packet_bytes}"] if self.packet_bytes != PACKET_BYTES else []
        said += [f"seed={self.seed}"] if self.seed != 1 else []
        said += [f"kind={self.kind}"] if self.kind != "drop" else []
        said += [f"class={self.only}"] if self.only else []
        return ",".join(said)

    @property
    def label(self) -> str:
        """The short form that a codec's name has: rate, `x` and burst, then what is not as usual.

        >>> parse_channel("ge:0.05,burst=3,class=key").label
        '5%x3+class=key'
        """
        rate = f"{100 * self.rate:g}%" + (f"x{self.burst:g}" if self.bursty else "")
        more = str(self).split(",")[2 if self.bursty else 1 :]
        return "+".join([rate, *more])

    def chance(self, bitstream_sha256: str) -> Chance:
        """What a bitstream meets: the same for the same channel and bitstream, on any machine."""
        digest = hashlib.sha256(f"{self} {bitstream_sha256}".encode()).digest()
        return Chance(int.from_bytes(digest, "little"))

    def hits(self, count: int, chance: Chance) -> NDArray[np.bool_]:
        """Which of so many packets in a row are hit, (count,)."""
        draws = chance.draw(count)
        if not self.bursty:
            return np.asarray(draws < self.rate)
        leave = 1 / self.burst
        enter = leave * self.rate / (1 - self.rate)
        hit, found = bool(chance.draw(1)[0] < self.rate), np.empty(count, np.bool_)
        for place, draw in enumerate(draws):
            found[place] = hit
            hit = draw >= leave if hit else draw < enter
        return found


def _said(number: float) -> float:
    """As its name has it: two channels of one name are the same one."""
    return float(f"{number:g}")


def parse_channel(text: str) -> Channel:
    """The channel that a model is, such as `iid:0.02`, `ge:5%,burst=4` or `iid:1,class=latents`.

    Raises:
        RequestError: it is no model, or one that cannot be.
    """
    found = _MODEL.fullmatch(text.strip().lower())
    if found is None:
        raise _wrong(text, "it is no model")
    try:
        rate = _said(float(found[2]) / (100 if found[3] else 1))
        listed = [option.split("=") for option in found[4].split(",") if option]
        options = dict(listed)
        channel = Channel(
            rate=rate,
            bursty=found[1] == "ge",
            burst=_said(float(options.pop("burst", "1"))),
            packet_bytes=int(options.pop("packet", PACKET_BYTES)),
            seed=int(options.pop("seed", "1")),
            kind="damage" if (kind := options.pop("kind", "drop")) == "damage" else "drop",
            only=options.pop("class", ""),
        )
    except ValueError:
        raise _wrong(text, "a number in it is none") from None
    if len({name for name, _ in listed}) < len(listed):
        raise _wrong(text, "an option is given twice")
    if options or kind not in ("drop", "damage") or ("burst=" in found[4]) != channel.bursty:
        raise _wrong(text, "an option is unknown, is not of this model, or is missing")
    if not (0 < channel.rate <= 1 and 64 <= channel.packet_bytes <= _LARGEST_PACKET and channel.seed < _LARGEST_SEED):
        raise _wrong(text, f"the rate is above 0 and at most 1, a packet has 64 to {_LARGEST_PACKET} bytes")
    # Between two bursts there is at least one packet that is not hit.
    most = channel.burst / (channel.burst + 1)
    if channel.bursty and not (1 <= channel.burst < math.inf and channel.rate <= most < 1):
        raise _wrong(text, "no channel loses at this rate in bursts of this length: at most burst / (burst + 1)")
    return channel


def _wrong(text: str, why: str) -> RequestError:
    return RequestError(f"--loss {text!r} cannot be: {why}", expected=_EXPECTED)
