"""Tokens to bits and back: fixed width, or an adaptive range code whose probabilities are integer counts.

The counts are the same on every machine, so a bitstream means the same everywhere. The range coder is constriction's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Protocol

import constriction
import numpy as np
from numpy.typing import NDArray

from evalsuite.errors import MediaError

Ints = NDArray[np.int64]

LARGEST_ALPHABET = 256
"""Levels of one dimension that adaptive coding takes: its counts are a table of levels by contexts."""

REACH = 126
"""Quantised latents from -126 to 126 have a symbol each; others are sent as an escape and 16 bits."""

LARGEST_LATENT = 1 << 15
"""Quantised latents are clipped to -32768 ... 32767."""

_ESCAPE = 2 * REACH + 1
_TOTAL = 1 << 16
_FAMILY = constriction.stream.model.Categorical
_RAW = constriction.stream.model.Uniform(2 * LARGEST_LATENT)
_MAGNITUDES = 5
"""Contexts of latents that have one before them: -2 or less, -1, 0, 1, 2 or more."""

_FIRST_CHUNK = 16
_LEANING = 4
_MOST_SEEN = 1 << 24
"""Counts are halved beyond this: sums stay far below 64 bits, and old frames weigh less."""

_SLACK_BITS = 128
"""What the end of a coded stream may leave out, generously."""


def pack(values: Ints, width: int) -> bytes:
    """Values (N,) in `width` bits each, the most significant bit first; zeros fill the last byte."""
    bits = (values[:, None] >> np.arange(width - 1, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


def unpack(data: bytes, count: int, width: int) -> Ints:
    """The `count` values that `pack` wrote.

    Raises:
        MediaError: not as many bytes as they take.
    """
    if len(data) != packed_bytes(count, width):
        raise MediaError("packed tokens are not whole", expected=packed_bytes(count, width), got=len(data))
    bits = np.unpackbits(np.frombuffer(data, np.uint8), count=count * width).reshape(count, width)
    values: Ints = bits.astype(np.int64) @ (1 << np.arange(width - 1, -1, -1, dtype=np.int64))
    return values


def packed_bytes(count: int, width: int) -> int:
    """Bytes of `count` values of `width` bits."""
    return -(-count * width // 8)


class Coder(Protocol):
    """One side of a coded stream: the same calls in the same order write or read."""

    def code(self, frequencies: Ints, symbols: Ints | None, count: int) -> Ints:
        """Code `count` symbols of one distribution; None stands for symbols that are to be read."""
        ...

    def raw(self, values: Ints | None, count: int) -> Ints:
        """Code `count` numbers of 16 bits as they are."""
        ...


class Writer:
    """Symbols to bytes."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def code(self, frequencies: Ints, symbols: Ints | None, count: int) -> Ints:
        """Write symbols, (count,)."""
        return self._write(_model(frequencies), symbols, count)

    def raw(self, values: Ints | None, count: int) -> Ints:
        """Write numbers below 65536, (count,)."""
        return self._write(_RAW, values, count)

    def _write(self, model: object, symbols: Ints | None, count: int) -> Ints:
        if symbols is None or len(symbols) != count:
            raise ValueError("a writer needs the symbols")
        self._coder.encode(symbols.astype(np.int32), model)
        return symbols

    def finish(self) -> bytes:
        """The bytes of everything written, without zeros at the end: the reader adds them."""
        words: NDArray[np.uint32] = self._coder.get_compressed()
        return words.astype(">u4").tobytes().rstrip(b"\0")


class Reader:
    """Bytes to symbols; any bytes are safe to read, wrong ones give wrong symbols or an error.

    What is read is measured against what there is, so that few bytes cannot stand for endless frames.
    """

    def __init__(self, data: bytes) -> None:
        self._bits = 8.08 * len(data) + _SLACK_BITS
        padded = data + bytes(-len(data) % 4)
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, ">u4").astype(np.uint32))

    def code(self, frequencies: Ints, symbols: Ints | None, count: int) -> Ints:
        """Read symbols, (count,).

        Raises:
            MediaError: no encoder wrote these bytes.
        """
        if symbols is not None:
            raise ValueError("a reader takes no symbols")
        read = self._read(_model(frequencies), count)
        self._spend(float(np.log2(_TOTAL / frequencies[read]).sum()))
        return read

    def raw(self, values: Ints | None, count: int) -> Ints:
        """Read numbers below 65536, (count,)."""
        if values is not None:
            raise ValueError("a reader takes no numbers")
        self._spend(16 * count)
        return self._read(_RAW, count)

    def _read(self, model: object, count: int) -> Ints:
        try:
            read: NDArray[np.int32] = self._coder.decode(model, count)
        except AssertionError as error:  # the library's way to say that the data is invalid
            raise MediaError("the coded tokens cannot be read: the file is damaged") from error
        return read.astype(np.int64)

    def _spend(self, bits: float) -> None:
        # A range coder's output is never shorter than the ideal length, but for the rounding of its intervals.
        self._bits -= bits
        if self._bits < 0:
            raise MediaError("the file ends before its tokens do: it is damaged")


def _model(frequencies: Ints) -> object:
    # Whole float32 numbers that sum to 65,536: every partial sum is exact on every machine.
    return _FAMILY(frequencies.astype(np.float32), perfect=False)


def frequencies(counts: Ints) -> Ints:
    """Counts (L,) as L whole numbers of at least 1 that sum to 65,536, in integer arithmetic."""
    size = len(counts)
    shares: Ints = 1 + counts * (_TOTAL - size) // counts.sum()
    shares[int(counts.argmax())] += _TOTAL - shares.sum()
    return shares


class _Adaptive:
    """Counts of symbols by dimension and context, updated after each chunk.

    A context that has seen little leans on what its dimension has seen as a whole, with the weight of a few
    observations (MacKay and Peto, Natural Language Engineering 1, 1995); a dimension starts with all symbols alike,
    with the weight of one (Perks, J. Inst. Actuaries 73, 1947).

    Args:
        sizes: number of symbols in each dimension.
        contexts: number of contexts in each dimension.
    """

    def __init__(self, sizes: tuple[int, ...], contexts: tuple[int, ...]) -> None:
        self._seen = [np.zeros((rows, size), np.int64) for rows, size in zip(contexts, sizes, strict=True)]

    def code(self, coder: Coder, contexts: Ints, symbols: Ints | None) -> Ints:
        """Symbols (D, n) of one chunk, in their contexts (D, n)."""
        coded = np.zeros_like(contexts)
        for dimension, seen in enumerate(self._seen):
            overall = _LEANING * frequencies(1 + seen.shape[1] * seen.sum(axis=0))
            for context in np.unique(contexts[dimension]):
                places = np.flatnonzero(contexts[dimension] == context)
                known = None if symbols is None else symbols[dimension, places]
                shares = frequencies(_TOTAL * seen[context] + overall)
                coded[dimension, places] = coder.code(shares, known, len(places))
            np.add.at(seen, (contexts[dimension], coded[dimension]), 1)
            if seen.sum() > _MOST_SEEN:
                seen >>= 1
        return coded


def _chunks(count: int) -> Iterator[slice]:
    """A latent frame of `count` places in parts of 16, 32, 64, ...: what the first ones teach serves the others."""
    start, size = 0, _FIRST_CHUNK
    while start < count:
        yield slice(start, min(start + size, count))
        start, size = start + size, 2 * size


class TokenModel:
    """Codes FSQ codes adaptively: the context of a code is the one at its place in the latent frame before.

    Args:
        levels: number of levels of each dimension, 2 to 256.
    """

    def __init__(self, levels: tuple[int, ...]) -> None:
        self._adaptive = _Adaptive(levels, tuple(count + 1 for count in levels))
        self._dimensions = len(levels)
        self._past: Ints | None = None

    def start_window(self) -> None:
        """The next latent frame has none before it."""
        self._past = None

    def code(self, coder: Coder, codes: Ints | None, count: int) -> Ints:
        """Codes (D, count) of one latent frame, written or read."""
        coded = []
        for part in _chunks(count):
            length = part.stop - part.start
            past = np.zeros((self._dimensions, length), np.int64) if self._past is None else self._past[:, part] + 1
            coded.append(self._adaptive.code(coder, past, None if codes is None else codes[:, part]))
        self._past = np.concatenate(coded, axis=1)
        return self._past


class LatentModel:
    """Codes quantised latents adaptively: the context is whether the one before at its place was 0, 1 or more.

    Args:
        channels: of the latents.
    """

    def __init__(self, channels: int) -> None:
        self._adaptive = _Adaptive((_ESCAPE + 1,) * channels, (_MAGNITUDES + 1,) * channels)
        self._dimensions = channels
        self._past: Ints | None = None

    def start_window(self) -> None:
        """The next latent frame has none before it."""
        self._past = None

    def code(self, coder: Coder, values: Ints | None, count: int) -> Ints:
        """Values (C, count) of one latent frame, written or read."""
        decoded = [self._chunk(coder, None if values is None else values[:, part], part) for part in _chunks(count)]
        self._past = np.concatenate(decoded, axis=1)
        return self._past

    def _chunk(self, coder: Coder, values: Ints | None, part: slice) -> Ints:
        reach = _MAGNITUDES // 2
        if self._past is None:
            contexts = np.zeros((self._dimensions, part.stop - part.start), np.int64)
        else:
            contexts = self._past[:, part].clip(-reach, reach) + reach + 1
        symbols = None if values is None else np.where(abs(values) > REACH, _ESCAPE, values + REACH)
        coded = self._adaptive.code(coder, contexts, symbols)
        far = coded == _ESCAPE
        decoded = coded - REACH
        if far.any():
            raw = None if values is None else values[far] + LARGEST_LATENT
            decoded[far] = coder.raw(raw, int(far.sum())) - LARGEST_LATENT
        return decoded


Model = TokenModel | LatentModel


def digits(indices: Ints, levels: tuple[int, ...]) -> Ints:
    """Indices of the codebook (N,) as codes (D, N): the first dimension changes fastest, as in the FSQ paper."""
    codes, rest = [], indices
    for count in levels:
        codes.append(rest % count)
        rest = rest // count
    return np.stack(codes)


def indices_of(codes: Ints, levels: tuple[int, ...]) -> Ints:
    """The inverse of `digits`."""
    bases = np.array([math.prod(levels[:dimension]) for dimension in range(len(levels))], np.int64)
    found: Ints = bases @ codes
    return found
