"""Range coding of symbols by integer counts (Pasco 1976; Martin 1979), by the library `constriction`.

The counts go in as whole float32 numbers that sum to 65,536: every partial sum is exact, and the library's one
multiplication by a constant is correctly rounded on every machine, so encoder and decoder get the same intervals.
"""

from __future__ import annotations

from typing import Protocol

import constriction
import numpy as np
from numpy.typing import NDArray

from tvc.errors import BitstreamError
from tvc.tables import TOTAL, Ints

_FAMILY = constriction.stream.model.Categorical(perfect=False)
_WORD = 4


class Coder(Protocol):
    """One side of a coded stream: the same calls in the same order encode, decode or measure."""

    def code(self, counts: Ints, symbols: Ints | None) -> Ints:
        """Code N symbols.

        Args:
            counts: (N, alphabet), each row summing to 65,536, each count at least 1.
            symbols: (N,) to be written; None when reading.

        Returns:
            The symbols (N,), written or read.
        """
        ...


class Writer:
    """Symbols to bytes."""

    def __init__(self) -> None:
        self._coder = constriction.stream.queue.RangeEncoder()

    def code(self, counts: Ints, symbols: Ints | None) -> Ints:
        """Write `symbols`."""
        if symbols is None:
            raise ValueError("a writer needs the symbols")
        if len(symbols):
            self._coder.encode(symbols.astype(np.int32), _FAMILY, counts.astype(np.float32))
        return symbols

    def finish(self) -> bytes:
        """The bytes of everything written, without the zeros at the end of the last word: the reader adds them."""
        words: NDArray[np.uint32] = self._coder.get_compressed()
        data = words.astype(">u4").tobytes()
        return data[: 1 - _WORD] + data[1 - _WORD :].rstrip(b"\0")


class Reader:
    """Bytes to symbols; any bytes are safe to read, wrong ones give wrong symbols or an error."""

    def __init__(self, data: bytes) -> None:
        padded = data + bytes(-len(data) % _WORD)
        self._coder = constriction.stream.queue.RangeDecoder(np.frombuffer(padded, ">u4").astype(np.uint32))

    def code(self, counts: Ints, symbols: Ints | None = None) -> Ints:
        """Read as many symbols as there are rows of counts.

        Raises:
            BitstreamError: no encoder wrote these bytes.
        """
        if symbols is not None:
            raise ValueError("a reader takes no symbols")
        if not len(counts):
            return np.zeros(0, np.int64)
        try:
            read: NDArray[np.int32] = self._coder.decode(_FAMILY, counts.astype(np.float32))
        except AssertionError as error:  # the library's way to say that the data is invalid
            raise BitstreamError("the packet's tokens cannot be read: it is damaged") from error
        return read.astype(np.int64)


class Meter:
    """Passes symbols on to another coder and adds up their ideal length."""

    def __init__(self, coder: Coder) -> None:
        self._coder = coder
        self.bits = 0.0
        """Ideal length so far."""

    def code(self, counts: Ints, symbols: Ints | None = None) -> Ints:
        """As the other coder."""
        coded = self._coder.code(counts, symbols)
        self.bits += float(_lengths(counts, coded).sum())
        return coded


class Tally:
    """Writes nothing, and adds up what each row of symbols would take: for symbols that may be sent or not."""

    def __init__(self) -> None:
        self.bits: NDArray[np.float64] = np.zeros(1)
        """Ideal length of each row so far."""

    def code(self, counts: Ints, symbols: Ints | None) -> Ints:
        """Note the cost of `symbols`."""
        if symbols is None:
            raise ValueError("a tally needs the symbols")
        self.bits = self.bits + _lengths(counts, symbols)
        return symbols


def _lengths(counts: Ints, symbols: Ints) -> NDArray[np.float64]:
    """Ideal length of each symbol, in bits."""
    lengths: NDArray[np.float64] = np.log2(TOTAL / counts[np.arange(len(symbols)), symbols])
    return lengths
