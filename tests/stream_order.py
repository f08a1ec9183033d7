"""What a bitstream says of the order and kind of its pictures, by FFmpeg's own parsers."""

from __future__ import annotations

import itertools
import re
import subprocess
import threading
from pathlib import Path

from conftest import moving_frames
from sample_streams import DEMUXERS

from evalsuite.codec.recipe import Recipe
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.sources.y4m import join_planes
from evalsuite.types import OperatingPoint, Sequence

_ORDER = {
    "h264": "pic_order_cnt_lsb",
    "h265": "slice_pic_order_cnt_lsb",
    "h266": "ph_pic_order_cnt_lsb",
}
"""Syntax elements of H.264 7.3.3, H.265 7.3.6.1 and H.266 7.3.2.8 that give the display order."""


def coded_order(stream: Path) -> list[str]:
    """The pictures of a stream in the order of decoding.

    Of H.264, H.265 and H.266 `up` where a picture is shown after the one before it in the stream, or begins to count
    anew, and `down` where it is shown earlier. Of AV1 and VP9 `shown`, `hidden`, or `again` for a picture that was
    hidden and is shown by a later header.
    """
    kind = stream.suffix[1:]
    report = subprocess.run(
        [
            *(ffmpeg_path(), "-hide_banner", "-f", DEMUXERS[kind], "-i", stream, "-map", "0:v", "-c", "copy"),
            *("-bsf:v", "trace_headers", "-f", "null", "-"),
        ],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    if kind not in _ORDER:
        names = {"show_existing_frame1": "again", "show_frame1": "shown", "show_frame0": "hidden"}
        found = re.findall(r"\s(show_existing_frame|show_frame)\s.*= (\d+)$", report, re.MULTILINE)
        return [names[name + value] for name, value in found if name + value in names]
    if kind == "h264" and re.search(r"\spic_order_cnt_type\s.*= 2$", report, re.MULTILINE):
        # H.264 8.2.1.3: with this type the order of decoding is that of display, and no element tells it.
        return ["up"] * len(re.findall(r"\sfirst_mb_in_slice\s.*= 0$", report, re.MULTILINE))
    # An IDR picture of H.265 has no such element: its count is 0.
    counts = [
        int(value or 0)
        for value in re.findall(
            rf"\s{_ORDER[kind]}\s.*= (\d+)$" + (r"|\sno_output_of_prior_pics_flag\s.*$" if kind == "h265" else ""),
            report,
            re.MULTILINE,
        )
    ]
    return ["up" if after > before or after == 0 else "down" for before, after in itertools.pairwise([-1, *counts])]


def packets_after(recipe: Recipe, sequence: Sequence, point: OperatingPoint, frames: int, patience: float) -> bool:
    """Whether the encoder gives something out when it was given so many frames, and its input stays open.

    Args:
        recipe: of an encoder of FFmpeg with one pass.
        sequence: gives format and frame rate; its frames are made up.
        point: of the encode.
        frames: how many it is given.
        patience: seconds to wait for it.
    """
    (command,) = recipe.encode_commands(sequence, point, Path("pipe:0"), Path("pipe:1"), Path())
    arguments = ["pipe:0" if one.endswith("/pipe:0") else one for one in command[:-1]]
    first = arguments.index("-f")
    arguments[first:first] = ["-probesize", "32", "-analyzeduration", "0"]
    process = subprocess.Popen(
        [*arguments, "-flush_packets", "1", "pipe:1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    output, came = process.stdout, threading.Event()

    def read() -> None:
        if output.read(1):
            came.set()

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    format, rate = recipe.coded_format(sequence.format), sequence.frame_rate
    try:
        process.stdin.write(
            f"YUV4MPEG2 W{format.width} H{format.height} F{rate.numerator}:{rate.denominator} Ip C420jpeg\n".encode()
        )
        for frame in moving_frames(format, frames):
            process.stdin.write(b"FRAME\n" + join_planes(frame))
        return came.wait(patience)
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdin.close()
        output.close()
