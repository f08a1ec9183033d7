"""The worked examples in `examples/`: as they stand, and against programs that stand in for what cannot be had here."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import make_clip
from sample_recipes import sequence_of
from sample_streams import decoded_frames, source_frames

from evalsuite.codec.recipe import Recipe, load_recipe
from evalsuite.codec.run import encode
from evalsuite.errors import EvalError, ProcessError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.types import OperatingPoint

EXAMPLES = Path(__file__).parents[1] / "examples"
FRAMES = 5

# A research repository in small: it takes the arguments of the three families' READMEs, reads the configuration,
# "codes" by dropping the low bits of every sample, and puts streams and frames where the real scripts put them.
TEST_SCRIPT = """
import argparse, json, os, zlib
parser = argparse.ArgumentParser()
for name in ("i_frame_model_path p_frame_model_path model_path_i model_path_p test_config stream_path "
             "decoded_frame_path output_path force_zero_thres").split():
    parser.add_argument("--" + name)
for name in "i_frame_q_indexes p_frame_q_indexes q_indexes_i q_indexes_p qp_i qp_p".split():
    parser.add_argument("--" + name, type=int, nargs="+")
for name in "rate_num cuda worker write_stream save_decoded_frame yuv420 reset_interval check_existing".split():
    parser.add_argument("--" + name, type=int)
args = parser.parse_args()
assert args.write_stream and args.save_decoded_frame and args.rate_num == 1
index = (args.i_frame_q_indexes or args.q_indexes_i or args.qp_i)[0]
for model in (args.i_frame_model_path or args.model_path_i, args.p_frame_model_path or args.model_path_p):
    assert open(model).read() == "weights"
config = json.load(open(args.test_config))
((name, sequence),) = config["test_classes"]["evalsuite"]["sequences"].items()
assert sequence["gop"] == sequence["intra_period"] > 0
path = os.path.join(config["root_path"], config["test_classes"]["evalsuite"]["base_path"], name)
data, size = open(path, "rb").read(), sequence["width"] * sequence["height"] * 3 // 2
assert len(data) == size * sequence["frames"]
mask = 255 & ~((1 << ((63 - index) // 16)) - 1)
kept = bytes(value & mask for value in data)
if args.decoded_frame_path:  # DCVC-DC: a stream for each frame, frames in a folder that is renamed in the end
    streams, frames = os.path.join(args.stream_path, name, "0"), os.path.join(args.decoded_frame_path, name, "0_0.1_30")
    files = {f"{i}.bin": kept[i * size : (i + 1) * size] for i in range(sequence["frames"])}
    frames_name = "out.yuv"
else:
    streams = frames = os.path.join(args.stream_path, "evalsuite")
    files, frames_name = {f"{name}_q{index}.bin": kept}, f"{name}_q{index}_100kbps.yuv"
os.makedirs(streams, exist_ok=True)
os.makedirs(frames, exist_ok=True)
for file, part in files.items():
    open(os.path.join(streams, file), "wb").write(zlib.compress(part))
open(os.path.join(frames, frames_name), "wb").write(kept)
total = sum(os.path.getsize(os.path.join(streams, file)) for file in files)
json.dump({"bytes": total}, open(args.output_path, "w"))
json.dump({"bytes": total}, open(os.environ["WITNESS"], "w"))
"""


# Those in ci/ are rules of gates: tests/test_ci_examples.py has them.
RECIPES = sorted(path for path in EXAMPLES.rglob("*.toml") if path.parent.name not in ("ci", "planning"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_examples_load_and_say_what_they_need(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    recipe = load_recipe(str(path))
    with pytest.raises(EvalError, match="not on this machine") as caught:
        recipe.check_available()
    assert recipe.obtain in str(caught.value)


def dcvc(family: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> Recipe:
    recipe = load_recipe(str(EXAMPLES / "dcvc" / f"dcvc-{family}.toml"))
    repository = folder / "repository"
    for path in (recipe.files["image"], recipe.files["video"]):
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_text("weights")
    (repository / "test_video.py").write_text(TEST_SCRIPT)
    monkeypatch.setenv(f"EVALSUITE_DCVC_{family.upper()}", str(repository))
    monkeypatch.setenv("EVALSUITE_DCVC_PYTHON", sys.executable)
    monkeypatch.setenv("WITNESS", str(folder / "witness.json"))
    return recipe


@pytest.mark.parametrize("family", ["dc", "fm", "rt"])
def test_a_dcvc_repository_is_run_by_its_own_test_script(
    family: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = dcvc(family, monkeypatch, tmp_path)
    recipe.check_available()
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 48, 32, FRAMES), FRAMES)
    encoded = encode(recipe, sequence, OperatingPoint(32, -1, 1), tmp_path / "out.yuv", timeout=60)
    assert recipe.rate_source == "estimate"
    assert encoded.payload_bytes == json.loads((tmp_path / "witness.json").read_text())["bytes"]
    # q 32 is index 31: the stand-in drops the two lowest bits.
    for source, decoded in zip(
        source_frames(sequence.path), decoded_frames(recipe, encoded.path, sequence), strict=True
    ):
        for plane, kept in zip(source, decoded, strict=True):
            assert np.array_equal(kept, plane & 0xFC)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.y4m", "out.yuv", "repository", "witness.json"]


def test_a_test_script_that_fails_is_shown_with_its_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    recipe = dcvc("fm", monkeypatch, tmp_path)
    (tmp_path / "repository" / recipe.files["video"]).write_text("not the weights")
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 48, 32, FRAMES), FRAMES)
    with pytest.raises(ProcessError) as caught:
        encode(recipe, sequence, OperatingPoint(32, -1, 1), tmp_path / "out.yuv", timeout=60)
    assert "AssertionError" in caught.value.stderr_tail


def test_weights_and_scripts_are_part_of_the_identity(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    one = dcvc("rt", monkeypatch, tmp_path).identity()
    again = load_recipe(str(EXAMPLES / "dcvc" / "dcvc-rt.toml"))
    (tmp_path / "repository" / again.files["image"]).write_text("other weights")
    other = tmp_path / "other"
    other.mkdir()
    for path in (EXAMPLES / "dcvc").iterdir():
        (other / path.name).write_bytes(path.read_bytes())
    assert load_recipe(str(other / "dcvc-rt.toml")).identity() != one


def test_what_a_vendors_ffmpeg_needs_is_said_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("EVALSUITE_VENDOR_FFMPEG", raising=False)
    with pytest.raises(EvalError, match="vendor-ffmpeg is not on this machine") as caught:
        load_recipe(str(EXAMPLES / "vendor-ffmpeg" / "vendor.toml")).check_available()
    assert str(caught.value).count("EVALSUITE_VENDOR_FFMPEG") == 1


def test_a_vendors_ffmpeg_is_a_codec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # libvpx-vp9 in the pinned FFmpeg stands for the vendor's encoder, which is not to be had.
    text = (EXAMPLES / "vendor-ffmpeg" / "vendor.toml").read_text()
    text = text.replace('encoder = "libvendor"', 'encoder = "libvpx-vp9"').replace('"-qp", "{q}"', '"-crf", "{q}"')
    text = text.replace('decoder = "libvendor"', 'decoder = "vp9"').replace("options = []", 'options = ["-b:v", "0"]')
    (tmp_path / "vendor.toml").write_text(text)
    monkeypatch.setenv("EVALSUITE_VENDOR_FFMPEG", str(ffmpeg_path()))
    recipe = load_recipe(str(tmp_path / "vendor.toml"))
    assert recipe.version()
    sequence = sequence_of(make_clip(tmp_path / "clip.y4m", 64, 48, FRAMES), FRAMES)
    sizes = []
    for q in (22, 46):
        encoded = encode(recipe, sequence, OperatingPoint(q, -1, 1), tmp_path / f"{q}.ivf", timeout=60)
        assert len(decoded_frames(recipe, encoded.path, sequence)) == FRAMES
        # The container's own bytes are no rate: a header of 32, and 12 for each frame.
        assert encoded.file_bytes - encoded.payload_bytes == 32 + 12 * FRAMES
        sizes.append(encoded.payload_bytes)
    assert sizes[0] > sizes[1]
