"""The bitstream of a tokenizer: header, checksum, and the tokens or quantised latents of one window after another.

The checksum is a CRC-32 of the tokenizer's settings, the header and the payload. Packed, each window is a string of
bits of its own: tokens of ceil(log2(codebook)) bits; or latents as the smallest one (16 bits), a width (8 bits), and
the differences to the smallest in that width. Adaptive, the payload is one range code. Numbers are big endian.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from evalsuite.codec.tokencoding import (
    LARGEST_LATENT,
    Coder,
    Ints,
    LatentModel,
    Model,
    Reader,
    TokenModel,
    Writer,
    digits,
    indices_of,
    pack,
    packed_bytes,
    unpack,
)
from evalsuite.codec.tokenheader import Fields, Header, parse_header
from evalsuite.codec.tokenizer import Tokenizer
from evalsuite.errors import MediaError

_PACKED_LATENTS = struct.Struct(">hB")


def write(path: Path, header: Header, tokenizer: Tokenizer, windows: Iterable[Ints]) -> None:
    """Write a file.

    Args:
        path: of the file.
        header: says what the windows are of.
        tokenizer: the settings.
        windows: tokens (t, h, w), or quantised latents (C, t, h, w).
    """
    if tokenizer.adaptive:
        coder, model = Writer(), _model(header, tokenizer)
        for window in windows:
            planes = _planes(window, tokenizer)
            _code_window(coder, model, planes, planes.shape, tokenizer)
        payload = coder.finish()
    elif tokenizer.levels:
        payload = b"".join(pack(window.reshape(-1), tokenizer.token_bits) for window in windows)
    else:
        payload = b"".join(map(_packed_latents, windows))
    head = header.to_bytes()
    path.write_bytes(head + struct.pack(">I", _checksum(tokenizer, head, payload)) + payload)


class TokenFile:
    """A file whose checksum is right.

    Args:
        path: of the file.
        tokenizers: the settings of each pair of models.

    Raises:
        MediaError: no such file, not of this format, damaged, or written with other settings.
    """

    def __init__(self, path: Path, tokenizers: tuple[Tokenizer, ...]) -> None:
        self._where = path
        try:
            data = path.read_bytes()
        except OSError as error:
            raise MediaError(f"the bitstream cannot be read: {error.strerror}", where=path) from error
        fields = Fields(data, path)
        self.header = parse_header(fields, latents=not tokenizers[0].levels)
        if self.header.pair >= len(tokenizers):
            raise MediaError(
                "the bitstream is of a pair of models that there is not",
                where=path,
                expected=f"fewer than {len(tokenizers)}",
                got=self.header.pair,
            )
        self.tokenizer = tokenizers[self.header.pair]
        head = data[: fields.at]
        (crc,) = struct.unpack(">I", fields.take(4))
        self.payload = data[fields.at :]
        if crc != _checksum(self.tokenizer, head, self.payload):
            raise MediaError(
                "the bitstream is damaged, or was written with other settings",
                where=path,
                fix="encode it again with the recipe that decodes it",
            )
        format = self.header.format
        self.shape = self.tokenizer.latent_shape(self.header.frames, format.height, format.width)
        self.windows = self.tokenizer.windows(self.header.frames)

    def __iter__(self) -> Iterator[Ints]:
        """Windows in order: tokens (t, h, w), or quantised latents (C, t, h, w).

        Raises:
            MediaError: the payload has more or less than the header says.
        """
        try:
            yield from self._adaptive() if self.tokenizer.adaptive else self._packed()
        except MediaError as error:
            error.where = self._where
            raise

    def _adaptive(self) -> Iterator[Ints]:
        coder, model = Reader(self.payload), _model(self.header, self.tokenizer)
        channels = self.header.channels or len(self.tokenizer.levels)
        for _ in range(self.windows):
            yield _code_window(coder, model, None, (channels, *self.shape), self.tokenizer)

    def _packed(self) -> Iterator[Ints]:
        rest, count = memoryview(self.payload), math.prod(self.shape)
        shape = (self.header.channels, *self.shape) if self.header.channels else self.shape
        for _ in range(self.windows):
            if self.header.channels:
                if len(rest) < _PACKED_LATENTS.size:
                    raise MediaError("the file ends before its latents do")
                least, width = _PACKED_LATENTS.unpack_from(rest)
                if not 1 <= width <= 16:
                    raise MediaError("the latents have a width that is out of range", expected="1 to 16", got=width)
                rest = rest[_PACKED_LATENTS.size :]
                size = packed_bytes(math.prod(shape), width)
                window = unpack(bytes(rest[:size]), math.prod(shape), width) + least
            else:
                size = packed_bytes(count, self.tokenizer.token_bits)
                window = unpack(bytes(rest[:size]), count, self.tokenizer.token_bits)
                if window.max() >= self.tokenizer.codebook:
                    raise MediaError(
                        "a token is not in the codebook", expected=f"below {self.tokenizer.codebook}", got=window.max()
                    )
            rest = rest[size:]
            yield window.reshape(shape)
        if rest:
            raise MediaError("the file has more than its header says", got=f"{len(rest)} bytes more")


def statistics(file: TokenFile) -> dict[str, float]:
    """Token statistics under the names of the suite's token metrics; padded tokens are tokens. Empty for latents."""
    header = file.header
    if header.channels:
        return {}
    seen: dict[int, int] = {}
    for window in file:
        for token, times in zip(*np.unique(window, return_counts=True), strict=True):
            seen[int(token)] = seen.get(int(token), 0) + int(times)
    tokens = sum(seen.values())
    shares = np.array(list(seen.values())) / tokens
    rate = float(tokens * header.frame_rate / header.frames)
    return {
        "tokens": tokens,
        "tokens_per_frame": tokens / header.frames,
        "token_rate": rate,
        "sent_token_rate": rate,
        "token_density": tokens / (header.format.width * header.format.height * header.frames / 1e6),
        "bits_per_token": 8 * len(file.payload) / tokens,
        "masked_share": 0.0,
        "discrete_share": 1.0,
        "codebook_perplexity": float(2 ** -(shares * np.log2(shares)).sum()),
    }


def _model(header: Header, tokenizer: Tokenizer) -> Model:
    return TokenModel(tokenizer.levels) if tokenizer.levels else LatentModel(header.channels)


def _planes(window: Ints, tokenizer: Tokenizer) -> Ints:
    """A window as (D, t, h, w): the dimensions of its tokens, or its channels."""
    if not tokenizer.levels:
        return window
    return digits(window.reshape(-1), tokenizer.levels).reshape(-1, *window.shape)


def _code_window(coder: Coder, model: Model, planes: Ints | None, shape: tuple[int, ...], tokenizer: Tokenizer) -> Ints:
    """Write a window's planes, or read them where there are none; `shape` is theirs, (D, t, h, w)."""
    dimensions, times, height, width = shape
    model.start_window()
    coded = []
    for time in range(times):
        frame = None if planes is None else planes[:, time].reshape(dimensions, -1)
        coded.append(model.code(coder, frame, height * width))
    found = np.stack(coded, axis=1)  # (D, t, h * w)
    if tokenizer.levels:
        return indices_of(found.reshape(dimensions, -1), tokenizer.levels).reshape(times, height, width)
    return found.reshape(dimensions, times, height, width)


def _packed_latents(window: Ints) -> bytes:
    least, most = int(window.min()), int(window.max())
    width = max(1, (most - least).bit_length())
    return _PACKED_LATENTS.pack(least, width) + pack(window.reshape(-1) - least, width)


def _checksum(tokenizer: Tokenizer, head: bytes, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(head, zlib.crc32(tokenizer.told().encode())))


def quantised(latents: np.ndarray[tuple[int, ...], np.dtype[np.float32]], step: float) -> Ints:
    """Latents over the step, rounded and clipped to 16 bits."""
    values: Ints = np.rint(latents.astype(np.float64) / step).clip(-LARGEST_LATENT, LARGEST_LATENT - 1).astype(np.int64)
    return values
