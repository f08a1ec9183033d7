"""The default panel as one would string it together from the tools there are: what `benchmarks/metrics.py` compares to.

One ffmpeg process for each metric that it has, the `lpips` package called frame by frame, a loop over OpenCV's flow or
its face detector for each of the others; every loop reads both files and converts what it needs. Threads are those that
each tool takes by itself. RGB is converted by the suite's own function, so that the values can be compared.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from evalsuite.assets import resolve
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.metrics import detection, detectors, facemeter, tof
from evalsuite.metrics.flow import occluded
from evalsuite.metrics.weights import ALEXNET, convolutions
from evalsuite.sources.colour import to_rgb
from evalsuite.sources.reader import open_video
from evalsuite.sources.tags import resolve_colour

Means = dict[str, float]


def ffmpeg_psnr(source: Path, decoded: Path) -> Means:
    """PSNR by FFmpeg's own filter, per frame, then averaged."""
    with tempfile.NamedTemporaryFile("r") as log:
        _ffmpeg(source, decoded, f"psnr=stats_file={log.name}")
        rows = [dict(part.split(":") for part in line.split()) for line in log]
    y, cb, cr = (np.mean([float(row[f"psnr_{plane}"]) for row in rows]) for plane in "yuv")
    return {"psnr_y": y, "psnr_cb": cb, "psnr_cr": cr, "psnr_yuv": (6 * y + cb + cr) / 8}


def libvmaf(source: Path, decoded: Path, name: str, options: str, key: str) -> Means:
    """One metric of libvmaf, by one process."""
    with tempfile.NamedTemporaryFile("r") as log:
        _ffmpeg(source, decoded, f"libvmaf=log_fmt=json:log_path={log.name}:n_threads=2:{options}")
        frames = json.load(log)["frames"]
    return {name: float(np.mean([frame["metrics"][key] for frame in frames]))}


def _ffmpeg(source: Path, decoded: Path, graph: str) -> None:
    command = [str(ffmpeg_path()), "-loglevel", "error", "-i", str(decoded), "-i", str(source)]
    subprocess.run([*command, "-lavfi", graph, "-f", "null", "-"], check=True)


def lpips_network() -> Any:
    """The package's own network, with the weights that the suite has verified."""
    import torch
    from lpips import LPIPS

    arrays = convolutions(ALEXNET)
    network = LPIPS(net="alex", version="0.1", pnet_rand=True, verbose=False).eval()
    layers = [module for module in network.net.modules() if isinstance(module, torch.nn.Conv2d)]
    for index, layer in enumerate(layers):
        layer.load_state_dict(
            {kind: torch.from_numpy(arrays[f"conv{index}.{kind}"].copy()) for kind in ("weight", "bias")}
        )
    return network


def lpips_loop(source: Path, decoded: Path, network: Any) -> Means:
    """LPIPS, frame by frame."""
    import torch

    with torch.no_grad():
        return {"lpips": np.mean([network(a, b).item() for a, b in zip(_rgb(source), _rgb(decoded), strict=True)])}


def tlpips_loop(source: Path, decoded: Path, network: Any) -> Means:
    """The difference of LPIPS from frame to frame."""
    import torch

    changes = []
    with torch.no_grad():
        for path in (source, decoded):
            pictures = list(_rgb(path))
            changes.append([network(a, b).item() for a, b in itertools.pairwise(pictures)])
    return {"tlpips": 100 * float(np.mean(np.abs(np.subtract(*changes))))}


def _rgb(path: Path) -> Iterator[Any]:
    import torch

    reader = open_video(path)
    colour = resolve_colour(reader.format, reader.told)
    for frame in reader:
        yield torch.from_numpy(to_rgb(frame, colour, reader.format.bit_depth))[None] * 2 - 1


def _grey(path: Path) -> Iterator[Any]:
    for picture in _bgr(path):
        yield cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)


def _bgr(path: Path) -> Iterator[Any]:
    reader = open_video(path)
    colour = resolve_colour(reader.format, reader.told)
    for frame in reader:
        rgb = np.rint(to_rgb(frame, colour, reader.format.bit_depth) * 255).astype(np.uint8)
        yield np.ascontiguousarray(rgb[::-1].transpose(1, 2, 0))


def flicker_loop(source: Path, decoded: Path) -> Means:
    """Change of the error signal: of every sample, and of the means of blocks."""
    before = None
    changes, blocks = [], []
    for reference, test in zip(open_video(source), open_video(decoded), strict=True):
        error = test[0].astype(np.float32) - reference[0]
        if before is not None:
            changes.append(np.abs(error - before).mean())
            shape = tuple(max(1, round(side / 16)) for side in error.shape)
            means = [cv2.resize(one, shape[::-1], interpolation=cv2.INTER_AREA) for one in (error, before)]
            blocks.append(np.abs(means[0] - means[1]).mean())
        before = error
    return {"frame_diff_mad": float(np.mean(changes)), "flicker": float(np.mean(blocks))}


def warp_loop(source: Path, decoded: Path) -> Means:
    """Warping error of the error signal, and the decoded frames' own over the source's."""
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    pairs = zip((frame[0] for frame in open_video(source)), (frame[0] for frame in open_video(decoded)), strict=True)
    before = None
    errors, own, sources = [], [], []
    for reference, test in pairs:
        if before is not None:
            forward, backward = search.calc(before[0], reference, None), search.calc(reference, before[0], None)
            seen = ~occluded(forward, backward)
            height, width = reference.shape
            x, y = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
            residuals = [
                cv2.remap(now.astype(np.float32), x + forward[..., 0], y + forward[..., 1], cv2.INTER_LINEAR,
                          borderMode=cv2.BORDER_REPLICATE) - then
                for now, then in ((reference, before[0]), (test, before[1]))
            ]  # fmt: skip
            errors.append(np.mean(np.square(residuals[1] - residuals[0])[seen]))
            own.append(np.mean(np.square(residuals[1])[seen]))
            sources.append(np.mean(np.square(residuals[0])[seen]))
        before = (reference, test)
    return {
        "warp_error": 1e4 / 255**2 * float(np.mean(errors)),
        "warp_error_ratio": float(np.mean(own) / np.mean(sources)),
    }


def tof_loop(source: Path, decoded: Path) -> Means:
    """Difference of Farneback's flows."""
    before = None
    lengths = []
    for now in zip(_grey(source), _grey(decoded), strict=True):
        if before is not None:
            flows = [
                cv2.calcOpticalFlowFarneback(then, picture, None, 0.5, 3, 15, 3, 5, 1.2, 0)
                for then, picture in zip(before, now, strict=True)
            ]
            cropped = (flows[1] - flows[0])[tof.margins(now[0].shape[0]), tof.margins(now[0].shape[1])]
            lengths.append(np.linalg.norm(cropped, axis=-1).mean())
        before = now
    return {"tof": float(np.mean(lengths))}


def face_loop(source: Path, decoded: Path) -> Means:
    """YuNet and SFace on both files; matching and figures by the suite's own functions."""
    detector: Any = None
    recogniser = cv2.FaceRecognizerSF.create(str(resolve(detectors.SFACE)), "")
    tally = detection.Tally()
    frames, matched, nmes, cosines = 0, [], [], []
    for pictures in zip(_bgr(source), _bgr(decoded), strict=True):
        if detector is None:
            size = pictures[0].shape[1::-1]
            detector = cv2.FaceDetectorYN.create(str(resolve(detectors.YUNET)), "", size, 0.1, 0.3, 5000)
        rows = [detector.detect(picture)[1] for picture in pictures]
        a, b = (np.empty((0, 15), np.float32) if one is None else one for one in rows)
        sure = (a[:, 14] >= 0.9) & (a[:, 2:4].min(axis=1, initial=np.inf) >= 32)
        count = int(sure.sum())
        if not count:
            continue
        frames += 1
        found = detection.match(a[sure, :4], a[~sure, :4], b[:, :4], b[:, 14])
        counts = (found >= 0) | (b[:, 2:4].min(axis=1, initial=np.inf) >= 32)
        tally.add(count, found[counts], b[counts, 14])
        hits = np.flatnonzero(found >= 0)
        matched.append(len(hits) / count)
        if len(hits):
            x, y = a[sure][found[hits]], b[hits]
            points = (one[:, 4:14].reshape(-1, 5, 2) for one in (x, y))
            if len(errors := facemeter.landmark_errors(*points, x[:, :4])):
                nmes.append(errors.mean())
            vectors = [
                np.array([recogniser.feature(recogniser.alignCrop(picture, row))[0].copy() for row in rows])
                for picture, rows in zip(pictures, (x, y), strict=True)
            ]
            cosines.append(facemeter.cosines(*vectors).mean())
    if not frames:
        return {}
    curve = tally.curve()
    precision = curve.precision(facemeter.PRECISION_SCORE)
    return {
        "face_ap50": curve.average_precision(),
        "face_recall": curve.recall(frames // facemeter.FALSE_ALARM_EVERY),
        **({} if precision is None else {"face_precision": precision}),
        "face_matched": float(np.mean(matched)),
        **({"landmark_nme": float(np.mean(nmes))} if nmes else {}),
        **({"identity_cos": float(np.mean(cosines))} if cosines else {}),
    }


def default_panel(source: Path, decoded: list[Path]) -> list[Means]:
    """Every metric of the default panel, one after the other, for each decoded file."""
    network = lpips_network()
    loops: list[Callable[[Path, Path], Means]] = [
        ffmpeg_psnr,
        lambda s, d: libvmaf(s, d, "ssim", "feature=name=float_ssim", "float_ssim"),
        lambda s, d: libvmaf(s, d, "ms_ssim", "feature=name=float_ms_ssim", "float_ms_ssim"),
        lambda s, d: libvmaf(s, d, "vmaf", "model=version=vmaf_v0.6.1", "vmaf"),
        lambda s, d: libvmaf(s, d, "vmaf_neg", "model=version=vmaf_v0.6.1neg", "vmaf"),
        lambda s, d: lpips_loop(s, d, network),
        lambda s, d: tlpips_loop(s, d, network),
        flicker_loop,
        warp_loop,
        tof_loop,
        face_loop,
    ]
    return [{name: value for loop in loops for name, value in loop(source, path).items()} for path in decoded]


def main() -> None:
    """Measure the files of the command line, the source first, and print the means as JSON."""
    source, *decoded = (Path(name) for name in sys.argv[1:])
    print(
        json.dumps([{name: float(value) for name, value in means.items()} for means in default_panel(source, decoded)])
    )


if __name__ == "__main__":
    main()
