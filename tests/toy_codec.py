"""A small real codec in one script: quantises, compresses with zlib, and misbehaves when TOY_FAULT says so.

TOY_FAULT is FAULT or FAULT@Q: exit, hang, hungry, empty, no_file (encoder); drop, repeat, cut, resize, fail, late,
early, exchange, swap (decoder).
"""

from __future__ import annotations

import stat
import sys
from pathlib import Path

SCRIPT = """#!PYTHON
import os, pathlib, sys, time, zlib
fault, _, at = os.environ.get("TOY_FAULT", "").partition("@")

def log(text):
    path = os.environ.get("TOY_LOG")
    if path:
        with open(path, "a") as stream:
            stream.write(text + "\\n")

def encode(source, target, q):
    log("encode %s" % q)
    if not at or float(at) == float(q):
        if fault == "exit":
            print("the toy encoder gave up", file=sys.stderr)
            sys.exit(9)
        if fault == "hang":
            time.sleep(600)
        if fault == "hungry":
            held = bytearray(b"x") * (300 << 20)
            time.sleep(5)
        if fault == "empty":
            open(target, "wb").close()
            return
        if fault == "no_file":
            return
    data = pathlib.Path(source).read_bytes()
    header, _, body = data.partition(b"\\n")
    step = max(1, int(2 ** (float(q) / 8)))
    table = bytes(min(255, (value // step) * step + step // 2) for value in range(256))
    frames = body.split(b"FRAME\\n")[1:]
    packed = zlib.compress(b"".join(frame.translate(table) for frame in frames), 9)
    time.sleep(float(os.environ.get("TOY_SLEEP", "0")))
    head = b"\\n".join([q.encode(), str(len(frames)).encode(), header])
    pathlib.Path(target).write_bytes(head + b"\\n" + packed)

def decode(source):
    log("decode")
    q, count, header, packed = pathlib.Path(source).read_bytes().split(b"\\n", 3)
    raw = zlib.decompress(packed)
    size = len(raw) // int(count)
    frames = [raw[i : i + size] for i in range(0, len(raw), size)]
    here = not at or float(at) == float(q)
    out = sys.stdout.buffer
    if here and fault == "drop":
        frames = frames[:-1]
    if here and fault == "repeat":
        frames.append(frames[-1])
    if here and fault == "late":
        frames = frames[:1] + frames[:-1]
    if here and fault == "early":
        frames = frames[1:] + frames[-1:]
    if here and fault == "exchange":
        frames[3:5] = frames[4], frames[3]
    if here and fault == "swap":
        luma, chroma = size * 2 // 3, size // 6
        frames = [f[:luma] + f[luma + chroma :] + f[luma : luma + chroma] for f in frames]
    if here and fault == "resize":
        header = header.replace(b" W", b" W1")
    out.write(header + b"\\n")
    for index, frame in enumerate(frames):
        if here and fault == "cut" and index == len(frames) - 1:
            frame = frame[: len(frame) // 2]
        out.write(b"FRAME\\n" + frame)
    out.flush()
    if here and fault == "fail":
        print("the toy decoder gave up", file=sys.stderr)
        sys.exit(4)

if sys.argv[1] == "encode":
    encode(*sys.argv[2:])
elif sys.argv[1] == "decode":
    decode(sys.argv[2])
else:
    print("toy version 1.0")
"""

RECIPE = """
name = "{name}"
description = "toy"
container = "none"
extension = "toy"
formats = ["yuv420p"]
binary = "toycodec"
preset = "{preset}"
structure = "intra only"
rate_control = "qp"
internal_bit_depth = 8
encode = ["{{binary}}", "encode", "{{input}}", "{{output}}", "{{q}}"]
decode = ["{{binary}}", "decode", "{{input}}"]
decoded = "y4m"
version = ["{{binary}}", "version"]
version_pattern = 'version (\\S+)'
[q]
min = 0
max = 51
step = 0.5
ladder = [8, 14, 20, 26, 32]
ladder_bpp = [0.8, 0.53, 0.35, 0.23, 0.15]
[intra_period]
infinite = "-1"
"""


def install(folder: Path, *names: str) -> dict[str, str]:
    """Put the script and one recipe per name under `folder`; the environment variables that make them work."""
    script = folder / "toycodec"
    script.write_text(SCRIPT.replace("PYTHON", sys.executable))
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    recipes = folder / "codecs" / "recipes"
    recipes.mkdir(parents=True, exist_ok=True)
    for name in names or ("toy",):
        (recipes / f"{name}.toml").write_text(RECIPE.format(name=name, preset="standard"))
    return {"EVALSUITE_TOYCODEC": str(script)}
