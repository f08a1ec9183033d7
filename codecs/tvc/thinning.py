"""A bitstream without its continuous stream: the tokens as they were, no encoder."""

from __future__ import annotations

from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from tvc.bitstream import SPOOL_BYTES, Checksum, Packet, Reader, Writer
from tvc.decoder import decode_tokens
from tvc.model import TVC
from tvc.operating import DISCRETE_ONLY, POINTS


def thin_stream(reader: Reader, model: TVC, output: BinaryIO) -> int:
    """Drop the latents of a bitstream; packets without latents stay as they are.

    Tokens are read, because the checksum of a packet covers both streams; their payload stays byte for byte. What comes
    out is what the encoder gives at q 32 for the same video at the same coded size in the same packets.

    Args:
        reader: of the bitstream.
        model: the weights that made it.
        output: the new bitstream is written here, once.

    Returns:
        Its size in bytes.

    Raises:
        BitstreamError: other weights made it, or it is damaged.
    """
    start, point = reader.header.seed, POINTS[DISCRETE_ONLY]
    with SpooledTemporaryFile(SPOOL_BYTES) as spool:
        writer = Writer(cast("BinaryIO", spool))
        for first, packet, slots, _, _ in decode_tokens(reader, model):
            if packet.point.step_index is not None:
                checksum = Checksum(start, first, packet.intra, point.q)
                for slot in slots:
                    checksum.add_tokens(slot.codes.numpy(), slot.detail)
                packet = Packet(packet.intra, packet.slots, point, checksum.value, packet.discrete, b"")
            writer.add(packet)
        return writer.finish(reader.header, output)
