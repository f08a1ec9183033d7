"""What a bitstream spends its bits on: tokens, rate, masking, and how evenly the codebook is used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tvc.bitstream import Reader
from tvc.config import SLOT_FRAMES, TOKEN_PIXELS
from tvc.decoder import decode_tokens
from tvc.model import TVC
from tvc.parts import parts


def bitstream_stats(reader: Reader, model: TVC) -> dict[str, Any]:
    """Statistics of a whole bitstream, as plain numbers for JSON.

    Keys, beside geometry: `coded_width` and `coded_height` (what the tokens cover), `tokens_per_frame` (padded ones are
    tokens), `token_rate` (tokens a second),
    `sent_token_rate` (of those not masked), `token_density` (tokens per megapixel of the video), `bits_per_token`
    (bits of the discrete payload over all tokens), `bits_per_sent_token` (over those not masked), `masked_share`,
    `discrete_bytes`, `continuous_bytes`, `overhead_bytes` (the rest of the file), `discrete_share` (of the two
    payloads), `ideal_bits` (of both payloads, by the model), `codebook_perplexity` (2 to the entropy of the tokens'
    histogram) and `dimension_perplexity`; `parameters` (weights of all networks); `packet_bytes` and `packet_frames` of
    each packet, header and index counted with the first and the last one; `frame_tokens`, sent tokens that fall due at
    each frame, a slot's at its first one; `parts`, where what lies in the file (`tvc.parts`).

    Args:
        reader: of the bitstream.
        model: the weights that made it.

    Raises:
        BitstreamError: other weights made it, or it is damaged.
    """
    header, levels = reader.header, model.config.levels
    histogram = _Histogram(levels)
    masked = discrete = continuous = packets = 0
    ideal = 0.0
    points: dict[int, int] = {}
    packet_bytes: list[int] = []
    packet_frames: list[int] = []
    frame_tokens: list[int] = []
    rows, columns = header.tokens
    for decoded in decode_tokens(reader, model):
        packets += 1
        packet_bytes.append(len(decoded.packet.to_bytes()))
        packet_frames.append(SLOT_FRAMES * decoded.packet.slots)
        discrete += len(decoded.packet.discrete)
        continuous += len(decoded.packet.continuous)
        ideal += decoded.discrete_bits + decoded.continuous_bits
        points[decoded.packet.point.q] = points.get(decoded.packet.point.q, 0) + decoded.packet.slots
        for slot in decoded.slots:
            histogram.add(slot.codes[0].flatten(1).numpy())
            guessed = 0 if slot.mask is None else int(slot.mask.sum())
            masked += guessed
            frame_tokens += [rows * columns - guessed, *([0] * (SLOT_FRAMES - 1))]
    packet_bytes[0] += len(header.to_bytes())
    packet_bytes[-1] += reader.size - sum(packet_bytes)
    packet_frames[-1] -= SLOT_FRAMES * header.slots - header.frames
    tokens = header.slots * rows * columns
    rate = float(header.format.rate)
    megapixels = header.format.width * header.format.height * header.frames / 1e6
    return {
        "bytes": reader.size,
        "bpp": 8e-6 * reader.size / megapixels,
        "kbps": 8e-3 * reader.size * rate / header.frames,
        "width": header.format.width,
        "height": header.format.height,
        "coded_width": columns * TOKEN_PIXELS,
        "coded_height": rows * TOKEN_PIXELS,
        "frames": header.frames,
        "frame_rate": str(header.format.rate),
        "model": header.model.hex(),
        "q": max(points, key=lambda q: points[q]),
        "parameters": sum(weights.numel() for weights in model.parameters()),
        "gops": reader.gops,
        "packets": packets,
        "tokens": tokens,
        "tokens_per_frame": tokens / header.frames,
        "token_rate": tokens * rate / header.frames,
        "sent_token_rate": (tokens - masked) * rate / header.frames,
        "token_density": tokens / megapixels,
        "bits_per_token": 8 * discrete / tokens,
        "bits_per_sent_token": 8 * discrete / (tokens - masked) if masked < tokens else 0.0,
        "masked_share": masked / tokens,
        "discrete_bytes": discrete,
        "continuous_bytes": continuous,
        "overhead_bytes": reader.size - discrete - continuous,
        "discrete_share": discrete / (discrete + continuous) if discrete + continuous else 1.0,
        "ideal_bits": ideal,
        "codebook_size": int(np.prod(levels)),
        "codebook_perplexity": histogram.joint_perplexity(),
        "dimension_perplexity": histogram.dimension_perplexities(),
        "packet_bytes": packet_bytes,
        "packet_frames": packet_frames,
        "frame_tokens": frame_tokens[: header.frames],
        "parts": [{"offset": part.offset, "bytes": part.bytes, "class": part.kind} for part in parts(reader)],
    }


class _Histogram:
    """How often each token, and each code of each dimension, occurs."""

    def __init__(self, levels: tuple[int, ...]) -> None:
        self._levels = levels
        self._tokens: dict[int, int] = {}
        self._codes = [np.zeros(count, np.int64) for count in levels]

    def add(self, codes: NDArray[np.int64]) -> None:
        """Count the tokens of a slot, (D, N)."""
        for codes_seen, row in zip(self._codes, codes, strict=True):
            codes_seen += np.bincount(row, minlength=len(codes_seen))
        tokens, counts = np.unique(np.ravel_multi_index(tuple(codes), self._levels), return_counts=True)
        for token, count in zip(tokens.tolist(), counts.tolist(), strict=True):
            self._tokens[token] = self._tokens.get(token, 0) + count

    def joint_perplexity(self) -> float:
        return _perplexity(np.array(list(self._tokens.values())))

    def dimension_perplexities(self) -> list[float]:
        return [_perplexity(counts) for counts in self._codes]


def _perplexity(counts: NDArray[np.int64]) -> float:
    shares = counts[counts > 0] / counts.sum()
    return float(2 ** -(shares * np.log2(shares)).sum())
