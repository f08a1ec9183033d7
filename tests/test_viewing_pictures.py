"""Pictures of a real run: stills are the decoded frames to the bit, clips are close, and what is missing is named."""

from __future__ import annotations

import hashlib
import math
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from conftest import moving_frames, run_ffmpeg
from study_samples import evalsuite, real_run

from evalsuite.codec.decoder import decode
from evalsuite.codec.recipe import load_recipe
from evalsuite.errors import RequestError
from evalsuite.results.load import RunResults, read_run
from evalsuite.sources.reader import open_video
from evalsuite.sources.y4m import join_planes
from evalsuite.types import Colour, Frame, OperatingPoint, Sequence, VideoFormat
from evalsuite.viewing import drawing, selection
from evalsuite.viewing.index import Index
from evalsuite.viewing.material import Material, opened
from evalsuite.viewing.pictures import Made, make_pictures
from evalsuite.viewing.reading import read_index
from evalsuite.viewing.stills import as_webp, check_picture, how_converted, read_webp, view_of

FRAMES = 17


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    return real_run(tmp_path_factory)


@pytest.fixture(autouse=True)
def _cache(real, monkeypatch):
    monkeypatch.setenv("EVALSUITE_CACHE", str(real / "cache"))


def copied(real: Path, folder: Path) -> Path:
    return Path(shutil.copytree(real / "run", folder, ignore=shutil.ignore_patterns("pictures", "report")))


def made(real: Path, folder: Path, store: Path | None = None, **options) -> tuple[Index, Made]:
    with opened(read_run(folder), store or real / "store", 60) as material:
        told = make_pictures(material, **options)
    return read_index(folder / "pictures"), told


@pytest.fixture(scope="module")
def folder(real, tmp_path_factory) -> Path:
    folder = copied(real, tmp_path_factory.mktemp("pictures") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALSUITE_CACHE", str(real / "cache"))
        made(real, folder)
    return folder


@pytest.fixture(scope="module")
def index(folder) -> Index:
    return read_index(folder / "pictures")


def test_every_file_is_what_the_index_says(folder, index):
    told = {one.file: one for one in (*index.stills, *index.clips)}
    assert {path.name for path in (folder / "pictures").iterdir()} == {"index.json", *told}
    for name, one in told.items():
        data = (folder / "pictures" / name).read_bytes()
        assert (hashlib.sha256(data).hexdigest(), len(data)) == (one.sha256, one.bytes)
    assert index.left_out == ()


def test_source_and_codecs_show_the_same_frames(index):
    assert {one.name for one in index.sequences} == {"pristine", "distorted"}
    for shown in index.sequences:
        cells = [one for one in index.cells if one.sequence == shown.name]
        rates = dict.fromkeys(one.target_bpp for one in cells)
        assert len(rates) == 2
        everything = set()
        for rate in rates:
            numbers = [one.frame for one in index.frames if (one.sequence, one.target_bpp) == (shown.name, rate)]
            assert 1 <= len(numbers) <= 4
            everything |= set(numbers)
            at_rate = [one for one in cells if one.target_bpp == rate]
            assert {one.codec for one in at_rate} == {"x264", "x265"}
            for cell in at_rate:
                assert abs(cell.bpp / rate - 1) <= 0.1
                assert sorted(numbers) == [one.frame for one in index.stills if one.cell_key == cell.cell_key]
        source = [one.frame for one in index.stills if one.sequence == shown.name and not one.cell_key]
        assert source == sorted(everything)


def planes(real: Path, run: RunResults, material: Material, sequence: str, key: str) -> list[Frame]:
    """The frames of a cell, by the decoder alone."""
    if not key:
        return list(open_video(material.sequence(sequence).path))
    stored = material.store.encode(key)
    row = run.points[run.points["cell_key"] == key].iloc[0]
    point = OperatingPoint(row["q"], 32, 1)
    with decode(load_recipe(row["codec"]), stored.path, material.sequence(sequence), point) as decoder:
        return list(decoder)


def zimg_picture(frame: Frame, format: VideoFormat) -> np.ndarray:
    """The same conversion by zimg: (height, width, 3), blue, green, red, not rounded."""
    steps = (
        "setparams=colorspace=smpte170m:range=tv,zscale=matrixin=170m:rangein=limited:chromalin=left:filter=bilinear:"
        "matrix=gbr:range=full,format=gbrpf32le"
    )
    size = f"{format.width}x{format.height}"
    raw = run_ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", format.pixel_format, "-s", size, "-i", "-"),
        *("-vf", steps, "-f", "rawvideo", "-pix_fmt", "gbrpf32le", "-"),
        data=join_planes(frame),
    )
    green, blue, red = np.frombuffer(raw, "<f4").reshape(3, format.height, format.width)
    return 255 * np.clip(np.stack([blue, green, red], axis=-1), 0, 1)


def test_stills_are_the_frames_as_another_library_converts_and_reads_them(real, folder, index):
    run = read_run(folder)
    with opened(run, real / "store", 60) as material:
        for cell in ("", *(one.cell_key for one in index.cells if one.sequence == "pristine")):
            frames = planes(real, run, material, "pristine", cell)
            for still in (one for one in index.stills if (one.sequence, one.cell_key) == ("pristine", cell)):
                raw = run_ffmpeg(*("-i", folder / "pictures" / still.file, "-f", "rawvideo", "-pix_fmt", "bgra", "-"))
                shown = np.frombuffer(raw, np.uint8).reshape(144, 176, 4)[..., :3]
                expected = zimg_picture(frames[still.frame], VideoFormat(176, 144))
                # A level for zimg's arithmetic, half a one for rounding.
                assert np.abs(shown - expected).max() <= 1.5
                assert np.abs(shown - expected).mean() < 0.3


def test_scores_are_those_of_the_frames_shown(real, folder, index):
    run = read_run(folder)
    source = next(one for one in index.sequences if one.name == "pristine")
    with opened(run, real / "store", 60) as material:
        reference = planes(real, run, material, source.name, "")
        for cell in (one for one in index.cells if one.sequence == source.name):
            decoded = planes(real, run, material, source.name, cell.cell_key)
            for still in (one for one in index.stills if one.cell_key == cell.cell_key):
                error = reference[still.frame][0].astype(float) - decoded[still.frame][0]
                assert still.scores["psnr_y"] == pytest.approx(10 * math.log10(255**2 / (error**2).mean()))
                assert set(still.scores) == {"psnr_y", "ssim"}


def test_the_worst_frame_is_the_first(folder, index):
    run = read_run(folder)
    for shown in index.sequences:
        first = next(one for one in index.frames if one.sequence == shown.name)
        assert first.metric == "psnr_y"
        assert ("worst", "x265") in first.why
        cell = next(
            one
            for one in index.cells
            if (one.sequence, one.codec, one.target_bpp) == (shown.name, "x265", first.target_bpp)
        )
        scores = run.frames(metric="psnr_y", cell_key=cell.cell_key).set_index("frame")["score"]
        assert scores.idxmin() == first.frame


def test_clips_show_the_frames_of_source_and_codecs_at_the_higher_rate(real, folder, index):
    run = read_run(folder)
    assert len(index.clips) == 6
    top = max(one.target_bpp for one in index.cells if one.sequence == "pristine")
    with opened(run, real / "store", 60) as material:
        for clip in (one for one in index.clips if one.sequence == "pristine"):
            if clip.cell_key:
                assert next(one for one in index.cells if one.cell_key == clip.cell_key).target_bpp == top
            frames = planes(real, run, material, "pristine", clip.cell_key)
            shown = list(open_video(folder / "pictures" / clip.file))
            assert (clip.first, clip.frames, len(shown)) == (0, FRAMES, FRAMES)
            for frame, other in zip(frames, shown, strict=True):
                assert ((frame[0].astype(float) - other[0]) ** 2).mean() < 255**2 / 10**4  # 40 dB
            assert 40 < clip.psnr_y_db < math.inf
            told = open_video(folder / "pictures" / clip.file).told
            assert (told.matrix, told.full_range) == ("bt601", False)


def test_faces_are_in_the_picture(index):
    if index.no_faces:
        pytest.skip(f"the face detector cannot be had: {index.no_faces}")
    found = [face for still in index.stills if not still.cell_key for face in still.faces]
    assert found
    for face in found:
        assert face.score >= 0.6
        assert -20 < face.x < face.x + face.width < 196
        assert face.width * face.height > 400


def test_a_lost_bitstream_leaves_the_rest(real, tmp_path):
    folder = copied(real, tmp_path / "run")
    store = Path(shutil.copytree(real / "store", tmp_path / "store"))
    before, _ = made(real, folder, store)
    lost = before.cells[-1]
    (store / "bitstreams" / lost.bitstream_sha256[:2] / f"{lost.bitstream_sha256}.bin").unlink()
    after, told = made(real, folder, store, clips=False)
    assert set(after.cells) == set(before.cells) - {lost}
    assert [one.codec for one in told.left_out] == [lost.codec]
    assert "does not have the bitstream" in told.left_out[0].reason
    assert after.clips == ()
    assert after.frames == before.frames
    files = {path.name for path in (folder / "pictures").iterdir()}
    assert files == {"index.json", *(one.file for one in after.stills)}
    assert sorted(path.name for path in folder.iterdir() if path.name.startswith(".")) == []


def test_pictures_that_would_be_the_same_are_kept(real, tmp_path):
    folder = copied(real, tmp_path / "run")
    before, told = made(real, folder)
    begun: list[str] = []
    kept, again = made(real, folder, progress=begun.append)
    assert (kept, again, begun) == (before, told, [])
    victim = folder / "pictures" / before.stills[0].file
    victim.write_bytes(b"damaged")
    assert made(real, folder, progress=begun.append) == (before, told)
    assert begun == ["pristine", "distorted"]
    made(real, folder, progress=begun.append, metrics=("ssim",))
    made(real, folder, progress=begun.append, metrics=("ssim",), clips=False)
    assert len(begun) == 6


def test_a_bitstream_that_the_run_did_not_measure_is_not_shown(real, tmp_path):
    run = read_run(copied(real, tmp_path / "run"))
    points = run.points.copy()
    points.loc[points["codec"] == "x265", "bitstream_sha256"] = "0" * 64
    with opened(replace(run, points=points), real / "store", 60) as material:
        told = make_pictures(material, clips=False)
    assert {one.codec for one in told.left_out} == {"x265"}
    assert all("another bitstream" in one.reason for one in told.left_out)


def test_a_source_that_changed_has_no_pictures(real, tmp_path):
    run = read_run(copied(real, tmp_path / "run"))
    run.summary["sequences"][0]["sha256"] = "0" * 64
    with opened(run, real / "store", 60) as material:
        told = make_pictures(material, clips=False)
    name = run.summary["sequences"][0]["name"]
    assert [(one.sequence, one.codec) for one in told.left_out] == [(name, "")]
    assert "is not the one of the run" in told.left_out[0].reason
    assert {one.name for one in read_index(run.folder / "pictures").sequences} == {"pristine", "distorted"} - {name}


def test_sizes_are_held(real, tmp_path, monkeypatch):
    folder = copied(real, tmp_path / "run")
    # Room for one frame of source and two codecs at one rate of one sequence.
    monkeypatch.setattr(selection, "STILLS_BYTES", 3.5 * 0.9 * 176 * 144)
    monkeypatch.setattr(drawing, "CLIPS_BYTES", 1)
    index, told = made(real, folder)
    assert len(index.stills) == 3
    assert len(index.clips) == 3
    assert any("held to a size" in one.reason for one in told.left_out)


def of(format: VideoFormat, colour: Colour) -> Sequence:
    return Sequence("made", "files", Path(), "", format, Fraction(25), 1, colour)


@pytest.mark.parametrize(("bit_depth", "chroma"), [(8, "420"), (10, "420"), (12, "444"), (8, "400")])
def test_a_still_reads_back_to_the_bit(bit_depth, chroma):
    sequence = of(VideoFormat(67, 51, bit_depth, chroma), Colour("bt709"))
    view = view_of(next(moving_frames(sequence.format, 1)), sequence)
    shown = read_webp(as_webp(view))
    assert shown.shape == (51, 67, 3)
    np.testing.assert_array_equal(shown[..., ::-1], view.rgb8())
    assert np.abs(shown[..., ::-1] / 255 - view.rgb().transpose(1, 2, 0)).max() <= 0.5 / 255 + 1e-6
    assert ("bits rounded to 8" in how_converted(sequence)) == (bit_depth > 8)


@pytest.mark.parametrize(
    ("colour", "size", "words"),
    [
        (Colour("bt2020", transfer="pq"), 64, "no picture on an ordinary screen"),
        (Colour("bt2020", transfer="hlg"), 64, "no picture on an ordinary screen"),
        (Colour("ictcp"), 64, "no picture on an ordinary screen"),
        (Colour("bt709"), 16384, "larger than a picture"),
    ],
)
def test_what_has_no_faithful_picture_is_refused(colour, size, words):
    with pytest.raises(RequestError, match=words):
        check_picture(of(VideoFormat(size, 48, 10), colour))


def test_the_report_makes_pictures_where_a_store_is_given(real, tmp_path):
    folder = copied(real, tmp_path / "run")
    evalsuite(tmp_path, "report", "run", "--out", "report", "--store", str(tmp_path / "nowhere"))
    assert not (folder / "pictures").exists()
    shutil.copytree(real / "cache", tmp_path / "cache")
    evalsuite(tmp_path, "report", "run", "--out", "report", "--store", str(real / "store"))
    assert len(read_index(folder / "pictures").clips) == 6


def test_a_run_makes_pictures_unless_told_not_to(real, tmp_path):
    assert len(read_index(real / "run" / "pictures").clips) == 6
    shutil.copytree(real / "store", tmp_path / "store")
    shutil.copytree(real / "cache", tmp_path / "cache")
    again = ["run", "--codecs", "x264,x265", "--sequences", f"{real}/pristine.mp4,{real}/distorted.mp4"]
    again += ["--frames", "17", "--metrics", "psnr_y,ssim", "--store", "store", "--jobs", "2"]
    evalsuite(tmp_path, *again, "--out", "none", "--pictures", "none")
    assert not (tmp_path / "none" / "pictures").exists()
    evalsuite(tmp_path, *again, "--out", "stills", "--pictures", "stills")
    assert read_index(tmp_path / "stills" / "pictures").clips == ()
    evalsuite(tmp_path, *again, "--out", "other", "--pictures", "some", expect=2)
