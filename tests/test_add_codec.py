"""A codec from elsewhere by a recipe alone: one TOML file of at most 25 lines, from file to report."""

from __future__ import annotations

import json
import stat
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from json_schema import published_schema, violations
from run_bench import Bench

RECIPE = """\
name = "blocky"
description = "means of 8x8 blocks, a codec for tests"
container = "none"
extension = "blk"
formats = ["yuv420p"]
source = "raw"
size_multiple = 16
binary = "blocky"
preset = "none"
structure = "intra only"
rate_control = "other"
internal_bit_depth = 8
encode = ["{binary}", "encode", "{input}", "{output}", "{q}", "{width}", "{height}"]
decode = ["{binary}", "decode", "{input}", "{output}", "{width}", "{height}"]
version = ["{binary}", "--version"]
version_pattern = 'blocky (\\S+)'
[q]
min = 0
max = 60
ladder = [4, 12, 20, 28, 36]
ladder_bpp = [0.8, 0.6, 0.45, 0.34, 0.26]
[intra_period]
infinite = "-1"
"""

# It reads and writes raw planar frames in files, as research codes do, and writes a log to stdout.
SCRIPT = """\
import lzma, struct, sys
import numpy as np

def planes(width, height):
    return [(height, width), (height // 2, width // 2), (height // 2, width // 2)]

def encode(source, target, q, width, height):
    step, data = max(1, round(2 ** (float(q) / 10))), np.fromfile(source, np.uint8)
    size, coded = width * height * 3 // 2, []
    for frame in data.reshape(-1, size):
        at = 0
        for rows, columns in planes(width, height):
            plane = frame[at : at + rows * columns].reshape(rows // 8, 8, columns // 8, 8)
            coded.append((plane.mean(axis=(1, 3)) / step).round().astype(np.uint8).ravel())
            at += rows * columns
    with open(target, "wb") as stream:
        stream.write(struct.pack("<BH", step, len(data) // size) + lzma.compress(np.concatenate(coded).tobytes()))
    print("blocky: all is well")

def decode(source, target, width, height):
    data = open(source, "rb").read()
    step, count = struct.unpack("<BH", data[:3])
    values, at = np.frombuffer(lzma.decompress(data[3:]), np.uint8), 0
    with open(target, "wb") as stream:
        for _ in range(count):
            for rows, columns in planes(width, height):
                blocks = values[at : at + rows * columns // 64].reshape(rows // 8, columns // 8)
                at += rows * columns // 64
                whole = np.minimum(blocks.repeat(8, 0).repeat(8, 1).astype(int) * step, 255)
                stream.write(whole.astype(np.uint8).tobytes())
    print("blocky: decoded")

if sys.argv[1] == "encode":
    encode(*sys.argv[2:5], *map(int, sys.argv[5:7]))
elif sys.argv[1] == "decode":
    decode(*sys.argv[2:4], *map(int, sys.argv[4:6]))
else:
    print("blocky 1.0")
"""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    bench = Bench(tmp_path)
    program = tmp_path / "bin" / "blocky"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f"#!{sys.executable}\n{SCRIPT}", encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    bench.env["EVALSUITE_BLOCKY"] = str(program)
    recipes = tmp_path / "codecs" / "recipes"
    recipes.mkdir(parents=True, exist_ok=True)
    (recipes / "blocky.toml").write_text(RECIPE, encoding="utf-8")
    return bench


def points(folder: Path) -> pd.DataFrame:
    found = pd.read_parquet(folder / "results.parquet")
    return found[(found["statistic"] == "mean") & (found["metric"] == "psnr_y")]


def test_a_recipe_of_25_lines_is_a_codec(bench: Bench) -> None:
    assert len(RECIPE.splitlines()) <= 25
    bench.run(*bench.arguments(codecs="x265,blocky", clips=1))
    found = points(bench.folder / "results")
    assert set(found["codec"]) == {"x265", "blocky"}
    assert (found["status"] == "ok").all()
    summary = json.loads((bench.folder / "results" / "summary.json").read_text())
    assert not summary["failures"]
    schema = published_schema()
    assert violations(summary, schema, schema) == []
    (source,) = {row["source_sha256"] for _, row in found.iterrows()}
    assert source
    assert (bench.folder / "results" / "report" / "index.html").is_file()


def test_what_it_decodes_is_what_its_script_gives(bench: Bench) -> None:
    bench.run(*bench.arguments("--match", "none", codecs="blocky", clips=1))
    found = points(bench.folder / "results").sort_values("q")
    assert list(found["q"]) == [4, 12, 20, 28, 36]
    # The same codec, written down again: means of blocks of the padded luma, quantised, spread, cropped and compared.
    raw = Path(bench.clips[0]).read_bytes()
    _, _, body = raw.partition(b"\n")
    frames = [np.frombuffer(part, np.uint8)[: 64 * 48].reshape(48, 64) for part in body.split(b"FRAME\n")[1:]]
    for q, score in zip(found["q"], found["score"], strict=True):
        step = round(2 ** (q / 10))
        wanted = []
        for frame in frames:
            means = np.round(frame.reshape(6, 8, 8, 8).mean(axis=(1, 3)) / step)
            decoded = np.minimum(means * step, 255).repeat(8, 0).repeat(8, 1)
            wanted.append(10 * np.log10(255**2 / np.mean((decoded - frame) ** 2.0)))
        assert score == pytest.approx(np.mean(wanted), abs=1e-6)


def test_a_codec_that_only_estimates_is_labelled_so_everywhere(bench: Bench) -> None:
    # A research script that writes no bitstream: the decoded frames, and how many bits it believes they would take.
    recipe = bench.folder / "codecs" / "recipes" / "believer.toml"
    text = RECIPE.replace('"blocky"', '"believer"', 1).replace('binary = "blocky"', 'binary = "believer"')
    text = text.replace('"{q}", "{width}", "{height}"]', '"{q}", "{estimate}"]')
    recipe.write_text("\n".join(line for line in text.splitlines() if not line.startswith("decode =")))
    program = bench.folder / "bin" / "believer"
    program.write_text(
        f"#!{sys.executable}\n"
        "import pathlib, sys\n"
        "if sys.argv[1] == 'encode':\n"
        "    data = pathlib.Path(sys.argv[2]).read_bytes()\n"
        "    pathlib.Path(sys.argv[3]).write_bytes(data)\n"
        "    pathlib.Path(sys.argv[5]).write_text(str(8000 / (1 + float(sys.argv[4]))))\n"
        "else:\n"
        "    print('blocky 0.1')\n"
    )
    program.chmod(0o755)
    bench.env["EVALSUITE_BELIEVER"] = str(program)
    done = bench.run(*bench.arguments("--match", "none", codecs="blocky,believer", clips=1))
    found = points(bench.folder / "results")
    estimated = found[found["codec"] == "believer"]
    assert set(estimated["rate_source"]) == {"estimate"}
    assert set(found[found["codec"] == "blocky"]["rate_source"]) == {"file"}
    # 8000 / (1 + q) bits, rounded up to whole bytes; the frames are the source's.
    assert sorted(estimated["bytes"]) == sorted(-(-8000 // (8 * (1 + q))) for q in (4, 12, 20, 28, 36))
    assert np.isinf(estimated["score"]).all()
    assert "estimate" in (done.stdout + done.stderr)
    assert "estimate" in (bench.folder / "results" / "report" / "index.html").read_text()
