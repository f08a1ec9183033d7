"""Mutated bitstreams: each one ends in a BitstreamError or in frames, within 10 seconds and 2 GB.

500 in the suite. `TVC_FUZZ=20000 pytest -s tests/test_tvc_fuzz.py` runs as many as asked for, and
`TVC_FUZZ_WEIGHTS=shipped` uses the weights that tvc ships in place of tiny random ones.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
import torch
from tvc_samples import moving, tiny_weights

import tvc
from tvc.bitstream import Checksum, Header, Packet, Reader, index_bytes, varint
from tvc.decoder import _read_slot
from tvc.entropy import Meter
from tvc.entropy import Reader as RangeReader
from tvc.model import TVC
from tvc.operating import POINTS
from tvc.slots import SlotCoder
from tvc.video import Format

CASES = int(os.environ.get("TVC_FUZZ", "500"))
SECONDS = 10
KILOBYTES = 2e6

HUGE = (0, 1, 15, 17, 255, 4096, 16384, 65535, 2**31 - 1, 2**32 - 1, 2**35 - 1)


def _flip(data: bytearray, rng: random.Random) -> bytes:
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def _overwrite(data: bytearray, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    data[start : start + rng.randrange(1, 9)] = rng.randbytes(rng.randrange(1, 9))
    return bytes(data)


def _truncate(data: bytearray, rng: random.Random) -> bytes:
    return bytes(data[: rng.randrange(len(data))])


def _cut(data: bytearray, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    del data[start : start + rng.randrange(1, 40)]
    return bytes(data)


def _repeat(data: bytearray, rng: random.Random) -> bytes:
    start = rng.randrange(len(data))
    data[start:start] = data[start : start + rng.randrange(1, 60)]
    return bytes(data)


def _assemble(header: bytes, packets: list[bytes], entries: list[tuple[int, int]]) -> bytes:
    return header + b"".join(packets) + index_bytes(entries, zlib.crc32(header))


class Bases:
    """Good bitstreams, and mutations that need to understand them."""

    def __init__(self, model: TVC) -> None:
        self.model = model
        self.streams = [
            tvc.encode(moving(width, height, frames, seed=q), 25, q=q, intra_period=period, model=model)
            for width, height, frames, q, period in (
                (48, 32, 12, 0, 8),
                (33, 17, 9, 20, -1),
                (64, 64, 8, 32, 4),
                (80, 48, 16, 50, -1),
                (16, 16, 30, 63, 12),
            )
        ]

    def splice(self, data: bytearray, rng: random.Random) -> bytes:
        other = rng.choice(self.streams)
        return bytes(data[: rng.randrange(len(data))]) + other[rng.randrange(len(other)) :]

    def shuffle_packets(self, data: bytearray, rng: random.Random) -> bytes:
        """Packets of two streams in any order, under a correct header and index."""
        reader = Reader(bytes(data))
        packets = [packet for _, packet in reader.packets()]
        packets += [packet for _, packet in Reader(rng.choice(self.streams)).packets()]
        rng.shuffle(packets)
        return self._file(reader.header, packets[: rng.randrange(1, len(packets) + 1)])

    def lie_in_header(self, data: bytearray, rng: random.Random) -> bytes:
        """Sizes, rates and counts of any value, under a correct checksum."""
        header = Reader(bytes(data)).header
        old = header.to_bytes()
        numbers = [header.format.width, header.format.height, 25, 1, header.frames]
        flags = old[4 + len(header.model) + len(b"".join(map(varint, numbers)))]
        numbers += header.coded or ()
        for _ in range(rng.choice((1, 1, 2, 3))):
            place = rng.randrange(len(numbers))
            numbers[place] = rng.choice((*HUGE, numbers[place] + 1, 2 * numbers[place], rng.randrange(1, 4000)))
        body = old[:4] + header.model + b"".join(map(varint, numbers[:5])) + bytes([flags])
        body += b"".join(map(varint, numbers[5:]))
        head = body + zlib.crc32(body).to_bytes(4, "little")
        reader = Reader(bytes(data))
        entries, packets = [], b""
        for first, packet in reader.packets():
            if packet.intra:
                entries.append((len(packets), first))
            packets += packet.to_bytes()
        return _assemble(head, [packets], entries)

    def any_payload(self, data: bytearray, rng: random.Random) -> bytes:
        """Random payloads with the checksum of what they decode to: a good bitstream of arbitrary tokens."""
        header = Reader(bytes(data)).header
        coded = rng.choice((None, header.coded))
        header = Header(Format(header.format.width, header.format.height, Fraction(25)), 8, header.model, coded)
        coder = SlotCoder(self.model, *header.tokens)
        point = rng.choice(POINTS)
        discrete, continuous = rng.randbytes(rng.randrange(2000)), rng.randbytes(rng.randrange(4000))
        packet = Packet(True, 2, point, 0, discrete, continuous if point.step_index is not None else b"")
        checksum = Checksum(header.seed, 0, True, point.q)
        readers = Meter(RangeReader(packet.discrete)), Meter(RangeReader(packet.continuous))
        try:
            for i in range(2):
                slot = _read_slot(coder, packet, *readers, intra=i == 0)
                checksum.add_tokens(slot.codes.numpy(), slot.detail)
                if slot.symbols is not None:
                    checksum.add(slot.symbols)
        except tvc.BitstreamError:
            checksum.value = 0
        good = Packet(True, 2, point, checksum.value, packet.discrete, packet.continuous)
        return self._file(header, [good])

    def lie_in_packet(self, data: bytearray, rng: random.Random) -> bytes:
        """Wrong slots, operating points and lengths in packets that are otherwise in place."""
        reader = Reader(bytes(data))
        packets = [packet for _, packet in reader.packets()]
        place = rng.randrange(len(packets))
        old = packets[place]
        q = rng.choice((old.point.q, rng.randrange(64)))
        packets[place] = Packet(
            old.intra != rng.choice((False, False, True)),
            rng.choice((old.slots, rng.randrange(1, 33))),
            POINTS[q],
            rng.choice((old.crc, rng.getrandbits(32))),
            old.discrete[: rng.randrange(len(old.discrete) + 1)] + rng.randbytes(rng.choice((0, 3, 500))),
            old.continuous + rng.randbytes(rng.choice((0, 3, 500))) if q < 32 else b"",
        )
        return self._file(reader.header, packets)

    def _file(self, header: Header, packets: list[Packet]) -> bytes:
        entries, position, slot = [], 0, 0
        for packet in packets:
            if packet.intra:
                entries.append((position, slot))
            position += len(packet.to_bytes())
            slot += packet.slots
        return _assemble(header.to_bytes(), [packet.to_bytes() for packet in packets], entries)

    def mutate(self, number: int) -> tuple[str, bytes]:
        """The mutation of a number: the same bytes each time."""
        rng = random.Random(number)
        kinds: list[Callable[[bytearray, random.Random], bytes]] = [
            *(_flip, _flip, _overwrite, _truncate, _cut, _repeat),
            *(self.splice, self.shuffle_packets, self.lie_in_header, self.lie_in_header, self.lie_in_packet),
        ]
        kind = self.any_payload if number % 50 == 0 else rng.choice(kinds)
        return kind.__name__, kind(bytearray(rng.choice(self.streams)), rng)


def _run(weights: str, first: int, last: int) -> None:
    """Decode mutations; prints one JSON line. Ends the process with a traceback where one takes too long."""
    torch.set_num_threads(1)
    model = tvc.weights.load(None if weights == "shipped" else Path(weights))
    bases = Bases(model)
    for data in bases.streams:
        assert list(tvc.decode(data, model=model))
    outcomes: Counter[str] = Counter()
    slowest = 0.0
    for number in range(first, last):
        kind, data = bases.mutate(number)
        faulthandler.dump_traceback_later(SECONDS * 6, exit=True)
        begin = time.process_time()
        try:
            frames = sum(1 for _ in tvc.decode(data, model=model))
            outcomes[f"{kind}: decoded"] += frames > 0
        except tvc.BitstreamError as error:
            outcomes[f"{kind}: error"] += bool(str(error))
        slowest = max(slowest, time.process_time() - begin)
        faulthandler.cancel_dump_traceback_later()
    # What getrusage tells of a process may be the peak of the one that started it.
    status = Path("/proc/self/status").read_text(encoding="ascii")
    kilobytes = int(status.partition("VmHWM:")[2].split()[0])
    sys.stdout.write(json.dumps({"outcomes": outcomes, "slowest": slowest, "kilobytes": kilobytes}))


def test_mutated_bitstreams_end_in_an_error_or_in_frames(tmp_path):
    weights = os.environ.get("TVC_FUZZ_WEIGHTS", str(tmp_path / "tiny.safetensors"))
    if weights != "shipped":
        tiny_weights(Path(weights))
    outcomes: Counter[str] = Counter()
    slowest, kilobytes = 0.0, 0
    for first in range(0, CASES, 2000):
        last = min(first + 2000, CASES)
        code = f"import test_tvc_fuzz as fuzz; fuzz._run({weights!r}, {first}, {last})"
        environment = os.environ | {"PYTHONPATH": os.pathsep.join((str(Path(__file__).parent), *sys.path))}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment
        )
        assert done.returncode == 0, done.stderr[-3000:]
        result = json.loads(done.stdout)
        outcomes.update(result["outcomes"])
        slowest, kilobytes = max(slowest, result["slowest"]), max(kilobytes, result["kilobytes"])
    summary = f"{CASES} mutations, slowest {slowest:.2f} s, {kilobytes / 1e6:.2f} GB: {dict(sorted(outcomes.items()))}"
    sys.stdout.write(f"\n{summary}\n")
    assert sum(outcomes.values()) == CASES
    assert slowest < SECONDS
    assert kilobytes < KILOBYTES


@pytest.mark.parametrize("number", [50, 100, 150])
def test_mutations_are_reproducible(tmp_path, number):
    bases = Bases(tiny_weights(tmp_path / "tiny.safetensors"))
    assert bases.mutate(number) == bases.mutate(number)
