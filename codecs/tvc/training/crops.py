"""Crops for training: every clip and photo cut once into small 4:2:0 blocks, kept in two memory-mapped arrays."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from tvc.errors import TrainingError
from tvc.training.material import Material, pinned, verify

Bytes = NDArray[np.uint8]
Crop = tuple[Bytes, Bytes]
"""Luma (frames, size, size) and chroma (frames, 2, size/2, size/2)."""

# A photograph that moves teaches texture; few clips and many signing hands of one room would dominate it.
_PER_PHOTO = 8
_PER_CLIP = 20
_PER_TAG = {"signing": 5, "animation": 14, "screen": 14, "lab": 8, "street": 40, "sport": 40, "nature": 40}
_MAX_DECODED = 360
_INDEX, _ARRAYS = "index.json", ("y.npy", "c.npy")


@dataclass(frozen=True)
class CropSettings:
    """How crops are cut: equal settings and material give equal crops."""

    seed: int = 0
    frames: int = 12
    size: int = 128
    smallest_side: int = 144
    largest_side: int = 540
    scale: float = 1.0

    def check(self) -> None:
        """Raises TrainingError where no crops can be cut so."""
        if self.size < 2 or self.size % 2:
            raise TrainingError("not a side of crops", got=self.size, expected="an even number of luma samples")
        if not 0 < self.scale < math.inf:
            raise TrainingError("not a factor on the number of crops", got=self.scale, expected="a number above 0")
        if self.seed < 0:
            raise TrainingError("not a seed", got=self.seed, expected="a whole number from 0 on")


@dataclass(frozen=True)
class _Index:
    """What index.json says: how crops were cut, of files with these digests, and of which file each is."""

    settings: dict[str, Any]
    files: list[str]
    sources: list[str]

    @classmethod
    def read(cls, folder: Path) -> _Index:
        try:
            entry = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
            index = cls(**entry)
        except (ValueError, TypeError) as error:
            raise _damaged(folder, f"{_INDEX}: {error}") from error
        whole = isinstance(index.settings, dict) and isinstance(index.files, list) and isinstance(index.sources, list)
        if not whole or not all(isinstance(one, str) for one in (*index.files, *index.sources)):
            raise _damaged(folder, f"{_INDEX}: entries of other kinds")
        return index

    def write(self, folder: Path) -> None:
        # It says that the store is whole, so it appears whole or not at all.
        partial = folder / f"{_INDEX}.partial"
        partial.write_text(json.dumps(asdict(self)), encoding="utf-8")
        partial.replace(folder / _INDEX)


def build(materials: list[Material], folder: Path, settings: CropSettings) -> int:
    """Cuts every file into crops under `folder` (y.npy, c.npy, index.json) and returns how many there are.

    `settings.scale` multiplies the number of crops per file. A complete store of the same settings is kept.

    Raises:
        TrainingError: the store there is damaged or was cut with other settings, there are no files, one is not
            what its manifest says, or settings that make no sense.
    """
    settings.check()
    if not materials:
        raise TrainingError("no files to cut crops from", where=folder)
    files = [material.sha256 for material in materials]
    if (folder / _INDEX).is_file():
        kept = _Index.read(folder)
        if kept.settings != asdict(settings) or kept.files != files:
            raise TrainingError("the crop store was cut otherwise", where=folder, fix="name another folder")
        _arrays(folder, kept)
        return len(kept.sources)
    folder.mkdir(parents=True, exist_ok=True)
    counts = [max(1, round(settings.scale * _wanted(material))) for material in materials]
    n, t, s = sum(counts), settings.frames, settings.size
    y = np.lib.format.open_memmap(folder / _ARRAYS[0], mode="w+", dtype=np.uint8, shape=(n, t, s, s))
    c = np.lib.format.open_memmap(folder / _ARRAYS[1], mode="w+", dtype=np.uint8, shape=(n, t, 2, s // 2, s // 2))
    sources: list[str] = []
    for number, (material, count) in enumerate(zip(materials, counts, strict=True)):
        verify(material)
        rng = np.random.default_rng((settings.seed, number))
        cut = _photo_crops if material.is_photo else _clip_crops
        for luma, chroma in cut(material.path, count, settings, rng):
            y[len(sources)], c[len(sources)] = luma, chroma
            sources.append(material.path.name)
    y.flush()
    c.flush()
    _Index(asdict(settings), files, sources).write(folder)
    return len(sources)


def planes(frame: av.VideoFrame) -> tuple[Bytes, Bytes, Bytes]:
    """The three planes of an 8-bit planar frame, without row padding."""
    return _plane(frame, 0), _plane(frame, 1), _plane(frame, 2)


def decode(path: Path, limit: int, start: int = 0) -> list[av.VideoFrame]:
    """Frames start ... start + limit - 1 of a file, fewer where it ends.

    Raises:
        TrainingError: no decodable video in it.
    """
    frames: list[av.VideoFrame] = []
    try:
        with av.open(str(path)) as container:
            container.streams.video[0].thread_type = "AUTO"
            for number, frame in enumerate(container.decode(video=0)):
                if number >= start + limit:
                    break
                if number >= start:
                    frames.append(frame)
    except (av.FFmpegError, IndexError) as error:
        raise TrainingError(f"cannot decode: {error}", where=path) from error
    if not frames:
        raise TrainingError("no frames", where=path, expected=f"a frame number {start}")
    return frames


def _wanted(material: Material) -> int:
    return _PER_PHOTO if material.is_photo else _PER_TAG.get(material.tag, _PER_CLIP)


def _plane(frame: av.VideoFrame, number: int) -> Bytes:
    plane = frame.planes[number]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(plane.height, plane.line_size)
    return np.ascontiguousarray(rows[:, : plane.width])


def _side(shorter: int, settings: CropSettings, rng: np.random.Generator) -> int:
    """A random length of the shorter side, log-uniform, never above the picture's own."""
    low = min(settings.smallest_side, shorter)
    high = min(settings.largest_side, shorter)
    return int(round(float(np.exp(rng.uniform(np.log(low), np.log(high)))) / 2) * 2)


def _clip_crops(path: Path, count: int, settings: CropSettings, rng: np.random.Generator) -> Iterator[Crop]:
    frames = decode(path, _MAX_DECODED)
    rate = _rate(path)
    t, size = settings.frames, settings.size
    for _ in range(count):
        # Faster cameras are thinned to about 30 fps, and every fifth crop moves twice as fast.
        stride = max(1, round(rate / 30)) * (2 if rng.random() < 0.2 else 1)
        stride = max(1, min(stride, len(frames) // t))
        start = int(rng.integers(0, max(1, len(frames) - stride * (t - 1))))
        chosen = [frames[min(start + i * stride, len(frames) - 1)] for i in range(t)]
        width, height = chosen[0].width, chosen[0].height
        side = max(size, _side(min(width, height), settings, rng))
        new_width = max(size, round(width * side / min(width, height) / 2) * 2)
        new_height = max(size, round(height * side / min(width, height) / 2) * 2)
        x = int(rng.integers(0, (new_width - size) // 2 + 1)) * 2
        top = int(rng.integers(0, (new_height - size) // 2 + 1)) * 2
        luma = np.empty((t, size, size), np.uint8)
        chroma = np.empty((t, 2, size // 2, size // 2), np.uint8)
        for i, frame in enumerate(chosen):
            small = frame.reformat(new_width, new_height, format="yuv420p", interpolation="AREA")
            fy, fcb, fcr = planes(small)
            luma[i] = fy[top : top + size, x : x + size]
            half = np.s_[top // 2 : (top + size) // 2, x // 2 : (x + size) // 2]
            chroma[i, 0], chroma[i, 1] = fcb[half], fcr[half]
        yield luma, chroma


def _rate(path: Path) -> float:
    with av.open(str(path)) as container:
        return float(container.streams.video[0].average_rate or 25)


def _photo_crops(path: Path, count: int, settings: CropSettings, rng: np.random.Generator) -> Iterator[Crop]:
    """Synthetic camera motion over a still: pan, zoom, rotation and exposure drift."""
    picture = decode(path, 1)[0]
    t, size = settings.frames, settings.size
    for _ in range(count):
        shorter = min(picture.width, picture.height)
        side = max(size + 32, _side(shorter, settings, rng) * 3 // 2)
        width, height = (round(edge * side / shorter / 2) * 2 for edge in (picture.width, picture.height))
        # Photographs are full range, video is limited, and the codec is for video.
        small = picture.reformat(
            width, height, format="yuv444p", interpolation="AREA", dst_colorspace="ITU709", dst_color_range="MPEG"
        )
        image = torch.from_numpy(np.stack(planes(small))).float()[None]  # (1, 3, height, width)
        grid = _camera_path(t, size, width, height, rng)
        stills = image.expand(t, -1, -1, -1)
        frames = functional.grid_sample(stills, grid, "bilinear", "reflection", align_corners=False)
        gain = torch.from_numpy(np.linspace(1, rng.uniform(0.85, 1.15) if rng.random() < 0.3 else 1, t))
        frames[:, 0] = (frames[:, 0] - 16) * gain[:, None, None] + 16
        luma = frames[:, 0].round().clamp(0, 255).byte().numpy()
        chroma = functional.avg_pool2d(frames[:, 1:], 2).round().clamp(0, 255).byte().numpy()
        yield luma, chroma


def _camera_path(t: int, size: int, width: int, height: int, rng: np.random.Generator) -> torch.Tensor:
    """Sampling positions (t, size, size, 2) in [-1, 1] of a camera that pans, zooms and turns at constant speed."""
    time = torch.arange(t, dtype=torch.float32)
    angle = float(rng.normal(0, 0.05)) + float(rng.normal(0, 0.004)) * time
    zoom = torch.exp(float(rng.normal(0, 0.008)) * time)
    # Half of the cameras stand still or nearly so, as most do.
    speed = rng.normal(0, 2.5 if rng.random() < 0.5 else 0.3, 2)
    centre_x = float(rng.uniform(size / 2, width - size / 2)) + float(speed[0]) * time
    centre_y = float(rng.uniform(size / 2, height - size / 2)) + float(speed[1]) * time
    offsets = torch.arange(size, dtype=torch.float32) - (size - 1) / 2
    v, u = torch.meshgrid(offsets, offsets, indexing="ij")
    cos, sin = (torch.cos(angle) * zoom)[:, None, None], (torch.sin(angle) * zoom)[:, None, None]
    x = centre_x[:, None, None] + cos * u - sin * v
    y = centre_y[:, None, None] + sin * u + cos * v
    return torch.stack((x / width * 2 - 1, y / height * 2 - 1), dim=-1)


def _arrays(folder: Path, index: _Index) -> tuple[Bytes, Bytes]:
    """Luma and chroma of every crop."""
    try:
        # Mapped copy-on-write: nothing is written, but PyTorch takes no arrays that cannot be.
        y, c = (np.lib.format.open_memmap(folder / name, mode="c") for name in _ARRAYS)
    except (OSError, ValueError) as error:
        raise _damaged(folder, error) from error
    told = (len(index.sources), index.settings.get("frames"), index.settings.get("size"))
    whole = y.dtype == c.dtype == np.uint8 and y.ndim == 4 and y.shape == (*told, told[2])
    if not whole or c.shape != (*y.shape[:2], 2, y.shape[2] // 2, y.shape[2] // 2):
        raise _damaged(folder, f"arrays {y.shape} and {c.shape} for crops, frames and side {told}")
    return y, c


def _damaged(folder: Path, why: object) -> TrainingError:
    return TrainingError(
        "the crop store is damaged", where=folder, got=why, fix="remove it and run `tvc train crops` again"
    )


def shown_side(coded: int, factor: float) -> int:
    """Side of the crops that are coded at the side `coded` after they are enlarged by a factor."""
    return round(coded / factor / 4) * 4


class CropStore:
    """Random batches from a crop store.

    Args:
        folder: where `build` put the store.
        device: where batches are wanted. A GPU holds the whole store, so that it need not wait for one.

    Raises:
        TrainingError: no store, a damaged one, or one that was cut from validation clips.
    """

    def __init__(self, folder: Path, device: torch.device | None = None) -> None:
        if not (folder / _INDEX).is_file():
            raise TrainingError("no finished crop store", where=folder, fix="run `tvc train crops` first")
        index = _Index.read(folder)
        if held_out := pinned(index.files):
            raise TrainingError(
                "the crop store holds validation clips",
                where=folder,
                got=", ".join(held_out),
                fix="cut it with `tvc train crops`, which leaves them out",
            )
        y, c = _arrays(folder, index)
        self._y = torch.from_numpy(y).to(device)
        self._c = torch.from_numpy(c).to(device)
        self.count = len(index.sources)

    def batch(
        self, rng: np.random.Generator, batch: int, slots: int, size: int
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Planes y (B, 4*slots, size, size), cb and cr (B, 4*slots, size/2, size/2), float in [-1, 1].

        Random crops, windows in time, flips in space and time.
        """
        frames, edge = 4 * slots, self._y.shape[-1]
        if frames > self._y.shape[1] or size > edge:
            raise TrainingError(
                "the crop store is too small for this batch",
                expected=f"at most {self._y.shape[1]} frames of {edge} x {edge}",
                got=f"{frames} frames of {size} x {size}",
            )
        luma, chroma = [], []
        for number in rng.integers(0, self.count, batch):
            start = int(rng.integers(0, self._y.shape[1] - frames + 1))
            top, left = (int(v) * 2 for v in rng.integers(0, (edge - size) // 2 + 1, 2))
            y = self._y[number, start : start + frames, top : top + size, left : left + size]
            half = np.s_[top // 2 : (top + size) // 2, left // 2 : (left + size) // 2]
            c = self._c[number, start : start + frames][:, :, half[0], half[1]]
            if rng.random() < 0.5:
                y, c = y.flip(-1), c.flip(-1)
            if rng.random() < 0.5:
                y, c = y.flip(0), c.flip(0)
            luma.append(y)
            chroma.append(c)
        y_all = torch.stack(luma).float().sub_(128).div_(128)
        c_all = torch.stack(chroma).float().sub_(128).div_(128)
        return y_all, c_all[:, :, 0].contiguous(), c_all[:, :, 1].contiguous()
