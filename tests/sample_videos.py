"""Small videos whose every sample is known, and manifests for them."""

from __future__ import annotations

import hashlib
from pathlib import Path

from conftest import moving_frames, run_ffmpeg

from evalsuite.types import ContentLight, Frame, HdrMetadata, MasteringDisplay, VideoFormat

_HDR10 = (
    "hdr10=1:repeat-headers=1:colorprim=bt2020:transfer=smpte2084:colormatrix=bt2020nc:range=limited:log-level=error:"
    "master-display=G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(10000000,50):max-cll=1000,400"
)
"""x265's units: 0.00002, and 0.0001 cd/m²."""

HDR10 = HdrMetadata(
    # BT.2020's primaries and D65.
    MasteringDisplay((0.708, 0.292), (0.17, 0.797), (0.131, 0.046), (0.3127, 0.329), (0.005, 1000)),
    ContentLight(1000, 400),
)
"""What `hdr10_video` says."""


def hdr10_video(path: Path) -> Path:
    """A short HDR10 video by x265, 64x64 in 10 bit; all that it says is in the bitstream."""
    source = ["-f", "lavfi", "-i", "testsrc2=s=64x64:d=0.2", "-pix_fmt", "yuv420p10le"]
    run_ffmpeg(*source, "-c:v", "libx265", "-x265-params", _HDR10, path)
    return path


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
