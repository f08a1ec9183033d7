"""tvc end to end: tokens exact in another process, random access, rates, options, the command line."""

from __future__ import annotations

import inspect
import io
import json
import os
import subprocess
import sys
import weakref
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from tvc_samples import TINY, moving, one_thread, tiny_weights  # noqa: F401 (a fixture)

import tvc
from tvc.analysis import Analysis
from tvc.bitstream import Reader
from tvc.decoder import decode_frames, decode_tokens
from tvc.encoder import encode_stream
from tvc.operating import MULTIPLIER, POINTS
from tvc.statistics import bitstream_stats
from tvc.video import Format, Frame, read_y4m, write_raw, write_y4m

CLIPS = int(os.environ.get("TVC_CLIPS", "12"))
"""Random clips of the round trip; the bar is 100, which takes minutes."""


def _same(left: list[Frame], right: list[Frame]) -> bool:
    return len(left) == len(right) and all(
        np.array_equal(a, b) for one, other in zip(left, right, strict=True) for a, b in zip(one, other, strict=True)
    )


_TOKENS = """
import sys
from pathlib import Path
import numpy as np, torch
from tvc.bitstream import Reader
from tvc.decoder import decode_frames, decode_tokens
from tvc.weights import load
torch.set_num_threads(int(sys.argv[3]))
model = load(Path(sys.argv[1]))
for path in sorted(Path(sys.argv[2]).glob("*.tvc")):
    reader = Reader(path.read_bytes())
    slots = [slot for packet in decode_tokens(reader, model) for slot in packet.slots]
    codes = np.concatenate([slot.codes.numpy() for slot in slots])
    none = np.zeros((1, 1, *reader.header.tokens), bool)
    masks = np.concatenate([none if slot.mask is None else slot.mask.numpy() for slot in slots])
    latents = np.concatenate([np.zeros(0) if s.latents is None else s.latents.numpy().ravel() for s in slots])
    frames = list(decode_frames(reader, model))
    shapes = np.array([[plane.shape for plane in frame] for frame in frames])
    np.savez(path.with_suffix(".npz"), codes=codes, masks=masks, latents=latents, shapes=shapes)
"""


def _decode_elsewhere(weights: Path, folder: Path, threads: int = 1, **switches: str) -> None:
    command = [sys.executable, "-c", _TOKENS, str(weights), str(folder), str(threads)]
    subprocess.run(command, check=True, env=os.environ | switches, timeout=1200)


def test_trap31_round_trip_of_random_clips_in_another_process(model, weights, tmp_path):
    rng = np.random.default_rng(1)
    expected = []
    for i in range(CLIPS):
        width, height = (int(2 ** rng.uniform(0, 7.5)) for _ in range(2))
        if i == 0:
            width, height = 1280, 720
        frames = int(rng.integers(1, 41)) if i else 5
        q, period = int(rng.integers(0, 64)), int(rng.choice([-1, 1, 7, 12]))
        format, clip = Format(width, height, Fraction(25)), moving(width, height, frames, seed=i)
        price = 0 if i % 2 else MULTIPLIER
        with (tmp_path / f"{i:03}.tvc").open("wb") as file:
            q, _ = encode_stream(clip, format, file, model, q=q, intra_period=period, multiplier=price).q
        coded = Reader((tmp_path / f"{i:03}.tvc").read_bytes()).header.coded
        expected.append((format, frames, q, price, list(Analysis(clip, format, model, period, coded))))
    _decode_elsewhere(weights, tmp_path)
    for i, (format, frames, q, price, slots) in enumerate(expected):
        decoded = np.load(tmp_path / f"{i:03}.npz")
        assert decoded["shapes"].tolist() == [[list(shape) for shape in format.shapes]] * frames
        places = np.concatenate([slot.places.numpy() for slot in slots])
        sent = np.broadcast_to(~decoded["masks"], places.shape)
        if not price:
            assert np.array_equal(decoded["codes"][sent], places.round()[sent])
        # The nearest code, or another that costs fewer bits, of which there are 16 at most.
        farther = np.square(decoded["codes"] - places)[sent] - np.square(places.round() - places)[sent]
        assert farther.max(initial=0) <= 16 * MULTIPLIER
        assert q > 32 or sent.all()
        step = POINTS[q].step
        if step is None:
            assert not decoded["latents"].size
        else:
            latents = np.concatenate([slot.latents.numpy().ravel() for slot in slots])
            # Half a step, and the step in the file is a fixed-point number; farther only where a latent was cut.
            near = np.abs(decoded["latents"] - latents) <= 0.501 * step + 0.01
            assert near.mean() > 0.95


def test_trap31_tokens_are_the_same_on_every_instruction_set_and_thread_count(model, weights, tmp_path):
    format, clip = Format(80, 64, Fraction(25)), moving(80, 64, 24)
    results = []
    variants = [("default", "SSE41", 1), ("avx2", "AVX2", 2), ("avx512", "AVX512_CORE", 2)]
    for capability, isa, threads in variants:
        folder = tmp_path / capability
        folder.mkdir()
        for q in (0, 20, 60):
            with (folder / f"{q:02}.tvc").open("wb") as file:
                encode_stream(clip, format, file, model, q=q)
        _decode_elsewhere(weights, folder, threads, ATEN_CPU_CAPABILITY=capability, ONEDNN_MAX_CPU_ISA=isa)
        results.append([dict(np.load(path)) for path in sorted(folder.glob("*.npz"))])
    for other in results[1:]:
        for left, right in zip(results[0], other, strict=True):
            assert all(np.array_equal(left[name], right[name]) for name in ("codes", "masks", "latents"))


def test_random_access_gives_the_frames_of_the_whole(model):
    format, clip = Format(40, 24, Fraction(30)), moving(40, 24, 34)
    output = io.BytesIO()
    encode_stream(clip, format, output, model, q=12, intra_period=12)
    reader = Reader(output.getvalue())
    whole = list(decode_frames(reader, model))
    assert len(whole) == 34
    for start, count in ((0, 1), (3, 2), (11, 1), (12, 5), (20, 14), (33, 1)):
        assert _same(list(decode_frames(reader, model, start, count)), whole[start : start + count])


@pytest.mark.parametrize(("start", "count"), [(-1, 1), (0, 0), (34, 1), (30, 5), (0, -3)])
def test_frames_that_are_not_there_are_refused(model, start, count):
    data = tvc.encode(moving(16, 16, 34), 25, q=32, model=model)
    with pytest.raises(tvc.RequestError, match="no such frames"):
        tvc.decode(data, start, count, model=model)


def test_random_access_reads_only_what_it_needs(model):
    data = bytearray(tvc.encode(moving(32, 32, 24), 25, q=32, intra_period=8, model=model))
    reader = Reader(bytes(data))
    first = next(reader.packets())[1]
    place = data.index(first.discrete)
    data[place : place + 8] = bytes(8)
    with pytest.raises(tvc.BitstreamError, match="damaged"):
        list(tvc.decode(bytes(data), 0, 1, model=model))
    assert len(list(tvc.decode(bytes(data), 8, 16, model=model))) == 16


@pytest.mark.parametrize(("count", "slots"), [(1, 1), (4, 1), (5, 2), (8, 2)])
def test_what_follows_the_wanted_frames_is_not_looked_at(model, count, slots):
    data = tvc.encode(moving(32, 32, 24), 25, q=32, packet_slots=slots, scale=1, model=model)
    after = list(Reader(data).packets())[1][1].discrete
    damaged = data.replace(after, after[:3] + bytes([after[3] ^ 1]) + after[4:])
    assert damaged != data
    assert _same(list(tvc.decode(damaged, 0, count, model=model)), list(tvc.decode(data, 0, count, model=model)))
    with pytest.raises(tvc.BitstreamError, match="damaged"):
        list(tvc.decode(damaged, 0, 4 * slots + 1, model=model))


def test_intra_period_is_in_frames_rounded_up_to_slots(model):
    for period, expected in ((-1, 1), (1, 6), (4, 6), (5, 3), (100, 1)):
        assert Reader(tvc.encode(moving(16, 16, 24), 25, q=32, intra_period=period, model=model)).gops == expected


def test_trap04_padded_tokens_are_counted(model):
    reader = Reader(tvc.encode(moving(17, 16, 5), 25, q=32, scale=1, model=model))
    facts = bitstream_stats(reader, model)
    # 2 x 1 tokens a slot, 2 slots for 5 frames.
    assert facts["tokens"] == 4
    assert facts["tokens_per_frame"] == 4 / 5
    assert facts["token_rate"] == 20.0
    assert facts["token_density"] == pytest.approx(4 / (17 * 16 * 5) * 1e6)
    assert facts["bytes"] == facts["discrete_bytes"] + facts["continuous_bytes"] + facts["overhead_bytes"]


def test_statistics_against_the_tokens_themselves(model):
    reader = Reader(tvc.encode(moving(64, 64, 30), 25, q=60, scale=1, model=model))
    facts = bitstream_stats(reader, model)
    slots = [slot for packet in decode_tokens(reader, model) for slot in packet.slots]
    tokens = [tuple(t) for slot in slots for t in slot.codes[0].flatten(1).T.tolist()]
    _, counts = np.unique(tokens, axis=0, return_counts=True)
    share = counts / len(tokens)
    assert facts["codebook_perplexity"] == pytest.approx(np.exp(-(share * np.log(share)).sum()))
    assert facts["masked_share"] == pytest.approx(np.mean([slot.mask.numpy() for slot in slots]))
    assert 0 < facts["masked_share"] < 1
    assert facts["bits_per_token"] == pytest.approx(8 * facts["discrete_bytes"] / len(tokens))


@pytest.mark.parametrize("q", [0, 20, 32, 50])
def test_coded_length_is_the_models_entropy(model, q):
    reader = Reader(tvc.encode(moving(128, 96, 32), 25, q=q, model=model))
    facts = bitstream_stats(reader, model)
    payload = 8 * (facts["discrete_bytes"] + facts["continuous_bytes"])
    # 32 bits for the last word of each of two streams a packet.
    assert facts["ideal_bits"] - 32 < payload < 1.002 * facts["ideal_bits"] + 64 * facts["packets"]


def test_memory_does_not_grow_with_length(model):
    made: list[weakref.ref[np.ndarray]] = []
    most = 0

    def frames():
        nonlocal most
        for _ in range(60):
            frame = tuple(np.zeros(shape, np.uint8) for shape in ((16, 16), (8, 8), (8, 8)))
            made.append(weakref.ref(frame[0]))
            most = max(most, sum(one() is not None for one in made))
            yield frame

    output = io.BytesIO()
    encode_stream(frames(), Format(16, 16, Fraction(25)), output, model, q=32)
    assert most <= 12
    assert sum(1 for _ in decode_frames(Reader(output.getvalue()), model)) == 60


def test_state_crosses_packets_and_stops_at_intra(model):
    clip = moving(64, 64, 40, seed=3)
    output = io.BytesIO()
    # 16 tokens a slot: 10 slots fit one packet, so force several by intra periods.
    encode_stream(clip, Format(64, 64, Fraction(25)), output, model, q=32, intra_period=20)
    packets = list(decode_tokens(Reader(output.getvalue()), model))
    assert [packet.first for packet in packets] == [0, 5]
    assert [slot.intra for packet in packets for slot in packet.slots] == [i % 5 == 0 for i in range(10)]
    again = tvc.encode(clip[20:], 25, q=32, model=model)
    tail = list(decode_tokens(Reader(again), model))
    assert all(torch.equal(a.codes, b.codes) for a, b in zip(packets[1].slots, tail[0].slots, strict=True))


def test_other_weights_say_so(model, tmp_path):
    other = tiny_weights(tmp_path / "other.safetensors", seed=1)
    data = tvc.encode(moving(16, 16, 4), 25, q=32, model=model)
    with pytest.raises(tvc.BitstreamError, match="other weights"):
        list(tvc.decode(data, model=other))


@pytest.mark.parametrize("switch", ["continuous", "predictor", "checkerboard", "temporal", "refine"])
def test_ablated_models_code_too(switch, tmp_path):
    model = tiny_weights(tmp_path / "ablated.safetensors", replace(TINY, **{switch: False}))
    clip = moving(48, 32, 10)
    for q in (10, 32, 60):
        if switch == "continuous" and q < 32:
            with pytest.raises(tvc.RequestError, match="no such operating point"):
                tvc.encode(clip, 25, q=q, model=model)
            continue
        assert len(list(tvc.decode(tvc.encode(clip, 25, q=q, model=model), model=model))) == 10


def test_streams_and_masks_change_the_pixels(model):
    clip = moving(64, 64, 8)
    first, second, third = (list(tvc.decode(tvc.encode(clip, 25, q=q, model=model), model=model)) for q in (0, 32, 63))
    assert not _same(first, second)
    assert not _same(second, third)


@pytest.mark.parametrize(
    "options",
    [
        *(
            {"q": 64},
            {"q": -1},
            {},
            {"q": 3, "bpp": 0.1},
            {"bpp": 0.0},
            {"bpp": float("nan")},
            {"q": 1, "intra_period": 0},
        ),
        *({"kbps": 0.0}, {"kbps": float("inf")}, {"kbps": 9.0, "buffer_s": 0.0}, {"kbps": 9.0, "q": 32}),
    ],
)
def test_wrong_options_are_refused(model, options):
    with pytest.raises(tvc.RequestError):
        tvc.encode(moving(16, 16, 4), 25, model=model, **options)


def test_wrong_frames_are_refused(model):
    good = moving(16, 16, 2)
    for frames in (
        [],
        [(good[0][0], good[0][1])],
        [*good, moving(18, 16, 1)[0]],
        [tuple(p.astype(float) for p in good[0])],
    ):
        with pytest.raises(tvc.VideoError):
            tvc.encode(frames, 25, q=32, model=model)
    with pytest.raises(tvc.VideoError, match="larger than tvc codes"):
        encode_stream(iter([]), Format(16384, 16384, Fraction(25)), io.BytesIO(), model, q=32)


def _run(weights: Path, *arguments: str, stdin: bytes = b"", code: int = 0) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "tvc", *arguments, "--weights", str(weights)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, input=stdin, capture_output=True, check=False, timeout=300, env=environment)
    assert done.returncode == code, done.stderr.decode()
    return done


def test_command_line_files_and_pipes_agree(weights, model, tmp_path):
    format, clip = Format(50, 34, Fraction(30000, 1001), "420mpeg2", True), moving(50, 34, 7)
    source = io.BytesIO()
    write_y4m(source, format, clip)
    (tmp_path / "in.y4m").write_bytes(source.getvalue())
    (tmp_path / "in.yuv").write_bytes(b"".join(plane.tobytes() for frame in clip for plane in frame))
    _run(weights, "encode", str(tmp_path / "in.y4m"), str(tmp_path / "a.tvc"), "--q", "24")
    piped = _run(weights, "encode", "-", "-", "--q", "24", stdin=source.getvalue()).stdout
    assert piped == (tmp_path / "a.tvc").read_bytes()
    raw = ("encode", str(tmp_path / "in.yuv"), "-", "--q", "24", "--size", "50x34", "--rate", "30000/1001")
    decoded = list(decode_frames(Reader(piped), model))
    assert _same(list(decode_frames(Reader(_run(weights, *raw).stdout), model)), decoded)

    _run(weights, "decode", str(tmp_path / "a.tvc"), str(tmp_path / "a.y4m"))
    out = _run(weights, "decode", "-", "-", stdin=piped).stdout
    assert out == (tmp_path / "a.y4m").read_bytes()
    read_format, frames = read_y4m(io.BytesIO(out))
    assert read_format == format
    assert _same(list(frames), decoded)
    _run(weights, "decode", str(tmp_path / "a.tvc"), str(tmp_path / "part.yuv"), "--start", "2", "--frames", "3")
    part = io.BytesIO()
    for frame in decoded[2:5]:
        write_raw(part, frame)
    assert (tmp_path / "part.yuv").read_bytes() == part.getvalue()

    facts = json.loads(_run(weights, "info", str(tmp_path / "a.tvc"), "--json").stdout)
    assert facts["schema"] == 1
    assert facts["bytes"] == len(piped)
    assert facts["frames"] == 7
    assert facts["q"] == 24
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.tvc", "a.y4m", "in.y4m", "in.yuv", "part.yuv"]


def test_command_line_errors_are_messages_and_leave_no_file(weights, tmp_path):
    (tmp_path / "short.y4m").write_bytes(b"YUV4MPEG2 W16 H16 F25:1\nFRAME\n" + bytes(100))
    (tmp_path / "bad.tvc").write_bytes(b"TVC\x05" + bytes(30))
    (tmp_path / "old.tvc").write_bytes(b"TVC\x03" + bytes(30))
    (tmp_path / "empty.tvc").write_bytes(b"")
    out = str(tmp_path / "out")
    for arguments, message in (
        (("encode", str(tmp_path / "short.y4m"), out, "--q", "32"), b"ends inside frame 0"),
        (("encode", str(tmp_path / "none.y4m"), out), b"cannot be read"),
        (("encode", str(tmp_path / "short.y4m"), out, "--size", "16by16"), b"not a size"),
        (("encode", str(tmp_path / "short.y4m"), str(tmp_path / "no" / "folder")), b"cannot be written"),
        (("encode", str(tmp_path / "short.y4m"), str(tmp_path)), b"Is a directory"),
        (("encode", "-", "/dev/full"), b"No space left on device"),
        (("decode", str(tmp_path / "bad.tvc"), out), b"checksum"),
        (("decode", str(tmp_path / "empty.tvc"), out), b"cannot be read"),
        (("decode", str(tmp_path / "old.tvc"), out), b"of a version that this tvc does not know"),
        (("info", str(tmp_path / "bad.tvc")), b"checksum"),
    ):
        done = _run(weights, *arguments, stdin=b"YUV4MPEG2 W16 H16 F25:1\nFRAME\n" + bytes(384), code=2)
        assert done.stderr.startswith(b"error: ")
        assert message in done.stderr
        assert b"Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.tvc", "empty.tvc", "old.tvc", "short.y4m"]


def test_version_names_code_and_weights():
    done = subprocess.run([sys.executable, "-m", "tvc", "--version"], capture_output=True, text=True, check=True)
    words = done.stdout.split()
    assert words[::2] == ["tvc", "code", "weights"]
    assert words[1] == tvc.__version__


_PEAK = """
import atexit, sys
from pathlib import Path
from tvc.cli import main
status = Path("/proc/self/status")
atexit.register(lambda: print(next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))))
main()
"""


def test_720p_stays_below_3_gb(weights, tmp_path):
    with (tmp_path / "in.y4m").open("wb") as stream:
        write_y4m(stream, Format(1280, 720, Fraction(25), "420mpeg2", True), moving(1280, 720, 4) * 2)
    for arguments in (("encode", "in.y4m", "a.tvc", "--q", "10"), ("decode", "a.tvc", "a.y4m")):
        # A process of its own, which tells its peak itself: what the system tells of a child holds its parent's too.
        command = [sys.executable, "-c", _PEAK, *arguments, "--weights", str(weights)]
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        name, kilobytes, unit = done.stdout.split()[-3:]
        assert (name, unit) == ("VmHWM:", "kB")
        assert int(kilobytes) < 3e6
    assert (tmp_path / "a.y4m").stat().st_size == (tmp_path / "in.y4m").stat().st_size


def test_the_api_is_not_hidden_by_its_modules(model):
    data = tvc.encode(moving(32, 32, 4), 25, q=40, model=model)
    # Importing a submodule puts it into its package: one of the same name would take the function's place.
    assert tvc.stats(data, model=model) == tvc.stats(data, model=model)
    for name in tvc.__all__:
        assert not inspect.ismodule(getattr(tvc, name))
