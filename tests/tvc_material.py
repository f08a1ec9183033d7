"""A small folder of training material, crops of it, and a run that is over at once."""

from __future__ import annotations

import dataclasses
import hashlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tvc.training import crops, material
from tvc.training.settings import TrainSettings

SMALL_CROPS = crops.CropSettings(frames=8, size=64, smallest_side=64, largest_side=96, scale=0.1)


def write_video(path: Path, frames: list[np.ndarray]) -> None:
    """Planar 4:2:0 frames of (height * 3 / 2, width) bytes, coded without loss."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = frames[0].shape[1], frames[0].shape[0] * 2 // 3, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="yuv420p")))
        container.mux(stream.encode())


def moving(count: int, height: int = 96, width: int = 128) -> list[np.ndarray]:
    rows, columns = np.mgrid[: height * 3 // 2, :width]
    pictures = [128 + 60 * np.sin((columns + 3 * i) / 9) * np.cos(rows / 7) for i in range(count)]
    return [picture.astype(np.uint8) for picture in pictures]


def material_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of material: two moving clips, a flat clip, a flat photo; the second moving clip is for validation."""
    folder.mkdir()
    write_video(folder / "moving.mkv", moving(30))
    write_video(folder / "held.mkv", moving(20, 64, 96)[4:])
    write_video(folder / "flat.mkv", [np.full((144, 128), 77, np.uint8)] * 12)
    av.VideoFrame.from_ndarray(np.full((240, 320, 3), 90, np.uint8), format="rgb24").to_image().save(
        folder / "photo.png"
    )
    lines = ["file\tsha256\tsource\tlicence\ttag"]
    sources = {"moving.mkv": "a b.mp4", "held.mkv": "c d.mp4 (t=0s, 1s)", "flat.mkv": "e f.mp4", "photo.png": "g h.png"}
    for name, source in sources.items():
        digest = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        lines.append(f"{name}\t{digest}\t{source}\tCC0-1.0\tlab")
        if name == "held.mkv":
            clip = material.ValidationClip(name, digest, "lab", 2)
    (folder / "MANIFEST.tsv").write_text("\n".join(lines) + "\n")
    monkeypatch.setattr(material, "validation_clips", lambda: [clip])
    return folder


def run_settings(**changes: object) -> TrainSettings:
    plain = TrainSettings(stage="discrete", steps=4, batch=2, size=32, validate_every=4, bfloat16=False, threads=1)
    return dataclasses.replace(plain, **changes)  # type: ignore[arg-type]
