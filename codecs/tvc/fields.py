"""Numbers and bytes as they stand in headers, packets and index."""

from __future__ import annotations

from tvc.errors import BitstreamError

_LARGEST = (1 << 35) - 1


def varint(number: int) -> bytes:
    """A whole number in groups of seven bits, least first (LEB128)."""
    groups = bytearray()
    while number > 127:
        groups.append(number & 127 | 128)
        number >>= 7
    groups.append(number)
    return bytes(groups)


class Fields:
    """Reads numbers off a few bytes.

    Args:
        data: the bytes.
        start: where they stand in the file, for errors.
        where: its name, likewise.
    """

    def __init__(self, data: bytes, start: int, where: object) -> None:
        self._data = data
        self._start = start
        self._where = where
        self.position = 0
        """Bytes read so far."""

    def take(self, count: int) -> bytes:
        """So many bytes; raises BitstreamError where there are fewer."""
        taken = self._data[self.position : self.position + count]
        if len(taken) < count:
            place = f"byte {self._start + self.position}"
            raise BitstreamError(
                "the bitstream ends inside a field",
                where=place if self._where is None else f"{self._where}, {place}",
                fix="fetch or make it again",
            )
        self.position += count
        return taken

    def byte(self) -> int:
        """One byte as a number."""
        return self.take(1)[0]

    def varint(self) -> int:
        """Inverse of `varint`; raises BitstreamError where it is too large or longer than it need be."""
        number = shift = 0
        while True:
            group = self.byte()
            number |= (group & 127) << shift
            shift += 7
            if number > _LARGEST or (group == 0 and shift > 7):
                raise BitstreamError("a number in the bitstream is out of range", where=self._where)
            if group < 128:
                return number
