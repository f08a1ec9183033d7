"""Small videos whose every sample is known, and manifests for them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from conftest import moving_frames

from evalsuite.types import Frame, VideoFormat


def known_frames(format: VideoFormat, frames: int) -> list[Frame]:
    """Frames that all differ: any that is lost, repeated or changed is noticed."""
    return list(moving_frames(format, frames))


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def manifest(folder: Path, source: Path, **changes: str | None) -> Path:
    """A dataset file with one sequence; `changes` are TOML values, None leaves a field out."""
    fields: dict[str, str | None] = {
        "name": '"noise"',
        "width": "64",
        "height": "48",
        "frame_rate": '"25"',
        "frames": "8",
        "matrix": '"bt601"',
        "range": '"limited"',
        "tags": '["noise"]',
        "licence": '"CC0-1.0"',
    }
    origin = {"path": f'"{source}"', "sha256": f'"{digest(source)}"'}
    fields.update({key: value for key, value in changes.items() if not key.startswith("source_")})
    origin.update({key.removeprefix("source_"): value for key, value in changes.items() if key.startswith("source_")})  # type: ignore[misc]
    lines = ['version = "3"', "[[sequences]]"]
    lines += [f"{key} = {value}" for key, value in fields.items() if value is not None]
    lines += ["[[sequences.sources]]"] + [f"{key} = {value}" for key, value in origin.items() if value is not None]
    path = folder / "mine.toml"
    path.write_text("\n".join(lines), encoding="utf-8")
    return path
