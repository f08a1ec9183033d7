"""A small real codec written in Python: quantises, compresses with zlib, and misbehaves where `fault` says so.

Faults: print, raise, die, hang, nonsense, float, short, grow, stateful, wrong_digest.
"""

from __future__ import annotations

from pathlib import Path

from evalsuite.codec.recipe import Recipe, load_recipe

SOURCE = """
import hashlib, os, random, subprocess, sys, time, zlib
from pathlib import Path

import numpy as np

from evalsuite.codec.plugin import frames_sha256
from evalsuite.sources.y4m import Y4MReader, join_planes, split_planes
from evalsuite.types import VideoFormat

# Other in every process, as a table made of unseeded random numbers is.
PRIVATE = os.urandom(16)
print("imported, and said so on standard output")


class Coder:
    recipe = {
        "description": "a codec class for tests",
        "extension": "bin",
        "formats": ["yuv420p", "yuv420p10le"],
        "preset": "none",
        "structure": "intra only",
        "rate_control": "other",
        "internal_bit_depth": 8,
        "q": {"min": 1, "max": 64, "step": 1, "ladder": [1, 4, 8, 16, 32]},
    }

    def __init__(self, *, device, role, files, fault="", at="encode", load=0.0, reconstruct=False, hold=""):
        print("loading")
        self.role, self.fault, self.reconstruct = role, fault if at == role else "", reconstruct
        self.log, self.hold = files.get("log"), hold
        self.device = device
        time.sleep(load)
        if at == "load" and fault == "raise":
            raise OSError("the weights are not there")
        self.note("load")

    def note(self, what):
        if self.log:
            with open(self.log, "a") as stream:
                stream.write(f"{what} {self.role} {os.getpid()} {self.device} {os.environ['OMP_NUM_THREADS']}\\n")

    @classmethod
    def version(cls):
        return "sample 1.0"

    def misbehave(self):
        if self.fault == "print":
            print('{"ok": true}')
            sys.stdout.buffer.write(b"\\\\0\\\\n" * 100000)
            subprocess.run(["echo", "and a child too"])
            sys.stdin.read()
        if self.fault == "raise":
            raise ValueError("no such luck")
        if self.fault == "die":
            print("last words", file=sys.stderr)
            os._exit(7)
        if self.fault == "hang":
            child = subprocess.Popen(["sleep", "300"])
            Path(self.log).write_text(f"{os.getpid()} {child.pid}")
            time.sleep(300)

    def encode(self, source, output, job):
        self.note("encode")
        self.misbehave()
        if self.hold == "own":
            np.ones(int(job.q) << 20, np.uint8)
        if self.hold == "child":
            code = f"import time; held = bytearray(b'x') * ({int(job.q)} << 20); time.sleep(0.5)"
            subprocess.run([sys.executable, "-c", code], check=True)
        reader = Y4MReader(source)
        format = reader.format
        assert (format, reader.frame_rate) == (job.format, job.frame_rate)
        frames = [tuple(plane // int(job.q) for plane in frame) for frame in reader]
        assert len(frames) == job.frames
        kind = f"{format.width} {format.height} {format.bit_depth} {format.chroma}"
        head = f"{kind} {int(job.q)} {len(frames)}\\n".encode()
        output.write_bytes(head + zlib.compress(b"".join(map(join_planes, frames)), 9))
        if self.fault == "wrong_digest":
            return "not a digest"
        return frames_sha256(self.decode(output)) if self.reconstruct else None

    def decode(self, bitstream):
        self.note("decode")
        if self.role == "decode":
            self.misbehave()
        head, packed = bitstream.read_bytes().split(b"\\n", 1)
        width, height, depth, chroma, q, count = map(int, head.split())
        format = VideoFormat(width, height, depth, str(chroma))
        data = zlib.decompress(packed)
        for index in range(count - (self.fault == "short")):
            raw = data[index * format.frame_bytes : (index + 1) * format.frame_bytes]
            steps, peak = split_planes(raw, format), (1 << depth) - 1
            frame = tuple(np.minimum(plane * q + q // 2, peak).astype(plane.dtype) for plane in steps)
            if self.fault == "float":
                frame = tuple(plane / 255 for plane in frame)
            if self.fault == "grow" and index:
                frame = tuple(np.pad(plane, size) for plane, size in zip(frame, (4, 2, 2)))
            if self.fault == "stateful" or (self.role == "encode" and at_stateful(self)):
                frame[0][0, :16] = np.frombuffer(PRIVATE, np.uint8)
            yield frame

    def info(self, bitstream):
        return {"tokens": 3, "odd": float("nan")}


def at_stateful(coder):
    return coder.reconstruct == "stateful"


class Bare:
    pass
"""

RECIPE = """
name = "{name}"
python = "coder.py:Coder"
description = "a codec class for tests"
extension = "bin"
formats = ["yuv420p", "yuv420p10le", "yuv422p10le", "yuv444p", "gray", "gray10le"]
preset = "none"
structure = "intra only"
rate_control = "other"
internal_bit_depth = 8
{extra}
[q]
min = 1
max = 64
step = 1
ladder = [1, 4, 8, 16, 32]
[settings]
{settings}
"""


def python_recipe(folder: Path, settings: str = "", *, name: str = "fake", extra: str = "") -> Recipe:
    """A recipe whose class stands in a file beside it; each folder's is another class to the suite."""
    (folder / "coder.py").write_text(SOURCE, encoding="utf-8")
    path = folder / f"{name}.toml"
    path.write_text(RECIPE.format(name=name, settings=settings, extra=extra), encoding="utf-8")
    return load_recipe(str(path))
