"""The picture order count of H.266: written anew in a part of a stream whose encoder counted from 0.

An IDR picture of H.265 is number 0; one of H.266 has the number that its header says, and an encoder may go on counting
there. Then parts differ from the whole by these numbers alone.
Source: ITU-T H.266 (04/2022), sections 7.3.2.8 (picture header), 7.3.7 (slice header) and 7.4.2 (emulation prevention).
"""

from __future__ import annotations

import re
from itertools import pairwise

_PICTURE_HEADER = 19
_SLICES = range(12)
_HEADER_BYTES = 2

_START = re.compile(b"\0\0\1")
_ESCAPED = re.compile(b"\0\0\3")
_TO_ESCAPE = re.compile(rb"\0\0(?=[\0-\3]|\Z)")


def shifted(stream: bytes, by: int, bits: int) -> bytes:
    """The annex B stream with `by` added to the picture order count of every picture.

    Args:
        stream: whole NAL units, each behind its start code.
        by: pictures that come before the first one.
        bits: of the part of the count that headers hold (`sps_log2_max_pic_order_cnt_lsb_minus4` + 4).
    """
    starts = [match.end() for match in _START.finditer(stream)]
    first, *units = (stream[start:end] for start, end in pairwise([0, *starts, len(stream)]))
    return first + b"".join(_unit(unit, by, bits) for unit in units)


def _unit(unit: bytes, by: int, bits: int) -> bytes:
    # The start code of the next unit stands at the end; it and zeros before it are no part of this one.
    nal = unit.removesuffix(b"\0\0\1").rstrip(b"\0")
    kind = nal[1] >> 3 if len(nal) > _HEADER_BYTES else 0
    if len(nal) <= _HEADER_BYTES or (kind not in _SLICES and kind != _PICTURE_HEADER):
        return unit
    payload = _ESCAPED.sub(b"\0\0", nal[_HEADER_BYTES:])
    position = _position(payload, 0 if kind == _PICTURE_HEADER else 1)
    length = 8 * len(payload)
    if position is None or position + bits > length:
        return unit
    number, low = int.from_bytes(payload), length - position - bits
    mask = (1 << bits) - 1
    count = (number >> low) + by & mask
    changed = (number & ~(mask << low) | count << low).to_bytes(len(payload))
    return nal[:_HEADER_BYTES] + _TO_ESCAPE.sub(b"\0\0\3", changed) + unit[len(nal) :]


def _position(payload: bytes, header_bit: int) -> int | None:
    """Where the count begins, in bits; None for a slice whose picture header is a unit of its own.

    Args:
        payload: of a slice or a picture header.
        header_bit: where the picture header begins.
    """

    def bit(at: int) -> int:
        return payload[at // 8] >> 7 - at % 8 & 1 if at < 8 * len(payload) else 1

    if header_bit and not bit(0):
        return None
    at = header_bit
    random_access = bit(at)
    at += 2 + random_access  # with ph_non_ref_pic_flag, and ph_gdr_pic_flag where it is there
    inter = bit(at)
    at += 1 + inter  # with ph_intra_slice_allowed_flag where it is there
    zeros = 0
    while not bit(at + zeros):
        zeros += 1
    return at + 2 * zeros + 1  # ph_pic_parameter_set_id, an Exp-Golomb code
