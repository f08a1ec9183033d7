"""A made-up encoder that is hard to split: it looks around, codes out of order, and changes q on the way."""

from __future__ import annotations

from pathlib import Path

import pytest
from sample_recipes import script_recipe

from evalsuite.codec.recipe import Recipe, load_recipe

# Each frame is a unit of H.265 that tells of its samples, of those of two frames before and behind it, and of its q.
# As in HM, an IDR picture is coded before the two frames that come before it, which begin with another type of unit.
LOOKING = """
import json, pathlib, sys
if sys.argv[1] != "encode":
    print("looking codec 1.2.3")
    raise SystemExit
source, output, q, count, switch, period = sys.argv[2:8]
skip = int(sys.argv[8]) if len(sys.argv) > 8 else 0
count, switch, period = int(count), int(switch), int(period)
sums = [sum(frame) for frame in pathlib.Path(source).read_bytes().split(b"FRAME\\n")[1:]]
order = []
for index in range(count):
    intra = (index // period + 1) * period
    if intra - index <= 2 and intra < count and intra not in order:
        order.append(intra)
    if index not in order:
        order.append(index)
stream = b""
for index in order:
    at = index + skip
    facts = [index % period, sums[max(0, at - 2):at + 3], int(q) + (at >= switch)]
    kind = 1 if index % period else 19
    stream += bytes([0, 0, 0, 1, kind << 1, 1, 0x80]) + json.dumps(facts).encode()
pathlib.Path(output).write_bytes(stream)
"""

SPLIT = """
[split]
at = "gop"
context = 2
next_intra = true
arguments = ["{skip}"]
"""


def looking_recipe(monkeypatch: pytest.MonkeyPatch, folder: Path, split: str = SPLIT) -> Recipe:
    """The made-up encoder's recipe, with a table [split]; q has steps of 1/8."""
    recipe = script_recipe(monkeypatch, folder, LOOKING, container="annexb", extra='standard = "hevc"')
    text = recipe.path.read_text(encoding="utf-8").replace("step = 1", "step = 0.125")
    text = text.replace('"{q}"]', '"{q_floor}", "{frames}", "{q_switch}", "{intra_period}"]')
    recipe.path.write_text(text + split, encoding="utf-8")
    return load_recipe(str(recipe.path))
