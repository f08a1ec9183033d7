"""PSNR-HVS, VMAF, VMAF-NEG and CAMBI by libvmaf, the reference implementation: one process, one pipe.

Source and decoded frames are written alternately to a single stream and taken apart by index inside the filter graph:
no timestamp is involved, no side can run ahead, and libvmaf sees exactly the pairs it is given.
"""

from __future__ import annotations

import json
import math
import subprocess
import threading
from dataclasses import replace

import numpy as np

from evalsuite.errors import MetricError, ProcessError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.metrics.base import Family, Meter, NotMeasured, Setting, View
from evalsuite.process import Running
from evalsuite.sources.y4m import join_planes
from evalsuite.types import Chroma, Frame, MetricInfo, Series, Status, VideoFormat

_BY = "libvmaf 3 in FFmpeg 9 (imageio-ffmpeg 0.8.1)"

_MODELS = {"vmaf": "version=vmaf_v0.6.1", "vmaf_neg": "version=vmaf_v0.6.1neg"}
_FEATURES = ("psnr_hvs", "cambi")
"""Named as libvmaf names them, as the scores in its log are."""

_SENT_DEPTHS = {8: 8, 9: 10, 10: 10, 12: 12, 14: 16, 16: 16}
"""Bits per sample that the filter takes for those of a video; FFmpeg would convert the others unasked."""

_PSNR_HVS_DEEPEST = 12
"""Bits per sample, by libvmaf's psnr_hvs.c."""

_CAMBI_SMALLEST = 216
"""Samples on the longer side: CAMBI_MIN_WIDTH_HEIGHT of libvmaf's cambi.c."""
_CAMBI_LONGEST = 9
"""Times the shorter side: at its coarsest scale, a sixteenth, libvmaf takes rows for granted by a window that grows
with width and height, and writes beyond the picture where it has fewer, as from 11 times on."""


def _info(
    name: str,
    family: str,
    unit: str,
    ceiling: float | None,
    version: str,
    definition: str,
    source: str,
    traps: str,
) -> MetricInfo:
    return MetricInfo(
        name=name,
        family=family,
        unit=unit,
        higher_is_better=name != "cambi",
        version=version,
        definition=definition,
        source=f"{source}; {_BY}",
        # Sensitivity magnifies coarse errors: the PSNR-HVS of the largest is below 0 dB.
        range=(-math.inf if name == "psnr_hvs" else 0, ceiling or math.inf),
        needs=("yuv",) if name == "psnr_hvs" else ("luma",),
        log_domain_ceiling=ceiling,
        traps=traps,
        statistics=("harmonic_mean",) if name in _MODELS else (),
    )


_INFOS = (
    _info(
        "psnr_hvs",
        "fidelity",
        "dB",
        None,
        "psnr_hvs",
        "PSNR-HVS-M: the error of 8x8 DCT blocks, weighted by contrast sensitivity, less what the block masks; "
        "-10 log10(0.8 Y + 0.1 Cb + 0.1 Cr), per frame",
        "Ponomarenko et al., VPQM 2007",
        "With masking, so it is what papers call PSNR-HVS-M. Blocks lie 7 samples apart; up to 12 bit. The sensitivity "
        "to chroma is that of 4:2:0, whatever the format. Errors that are masked everywhere give inf.",
    ),
    _info(
        "vmaf",
        "perceptual",
        "",
        100,
        "vmaf_v0.6.1",
        "VMAF, model v0.6.1: ADM, VIF at four scales and motion, fused by a support-vector machine",
        "Li et al., Netflix 2016",
        "Trained on 1080p at three heights; its first frame scores low, so a sequence is never cut in chunks. "
        "Models are different metrics. Of flat pictures it sees no contrast: grey for black scores 97.",
    ),
    _info(
        "vmaf_neg",
        "perceptual",
        "",
        100,
        "vmaf_v0.6.1neg",
        "VMAF, model v0.6.1neg: gains by sharpening and contrast enhancement are not rewarded",
        "Li et al., Netflix 2020",
        "The one to read for codecs that may enhance.",
    ),
    _info(
        "cambi",
        "perceptual",
        "",
        None,
        "cambi",
        "CAMBI: how visible banding is in the decoded luma, at five scales; no reference; 0 is none, 24 unwatchable",
        "Tandon et al., PCS 2021",
        "It sees banding and nothing else: blur and blocks do not count, noise hides it, and the source's own banding "
        "does count. Assumes a BT.1886 display, limited range. Needs 216 samples on the longer side, which is nine "
        "times the shorter at most.",
    ),
)


class _LibvmafMeter:
    """One ffmpeg process: frames in, one JSON document out."""

    def __init__(self, setting: Setting, names: tuple[str, ...]) -> None:
        self.child_cpu_s = 0.0
        self._names = names
        self._frames = 0
        self._log = b""
        self._form = _Form(setting.format)
        format = setting.format
        command = [
            str(ffmpeg_path()),
            *("-hide_banner", "-loglevel", "error", "-nostats", "-threads", "1", "-filter_complex_threads", "1"),
            *("-f", "rawvideo", "-pix_fmt", self._form.pixel_format, "-s", f"{format.width}x{format.height}"),
            # Any frame rate will do: VMAF v0.6.1 does not know time.
            *("-r", "25", "-i", "pipe:0", "-filter_complex", _graph(names), "-map", "[out]"),
            *("-fps_mode", "passthrough", "-f", "null", "-"),
        ]
        self._running = Running(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        # The log can exceed a pipe's buffer: it must be read while ffmpeg still writes.
        self._collector = threading.Thread(target=self._collect, daemon=True)
        self._collector.start()

    def _collect(self) -> None:
        self._log = self._running.stdout.read()

    def push(self, source: View, decoded: View) -> None:
        """Write one pair. Raises ProcessError where ffmpeg has stopped reading."""
        try:
            self._running.stdin.write(source.derive("libvmaf raw", lambda: self._form.bytes_of(source.frame)))
            self._running.stdin.write(self._form.bytes_of(decoded.frame))
        except BrokenPipeError:
            self._running.finish()
            raise ProcessError(
                "libvmaf stopped reading before the last frame",
                command=self._running.command,
                stderr_tail=self._running.stderr_tail,
            ) from None
        self._frames += 1

    def finish(self) -> list[Series]:
        """Wait for the log and take the per-frame scores from it."""
        self._running.stdin.close()
        self._collector.join()
        self.child_cpu_s = self._running.finish().cpu_s
        try:
            rows = [row["metrics"] for row in json.loads(self._log)["frames"]]
            columns = {name: np.array([_number(row[name], name) for row in rows]) for name in self._names}
        except (ValueError, KeyError, TypeError) as error:
            raise MetricError(
                "libvmaf's log cannot be read", expected="JSON with one entry per frame", got=repr(self._log[:200])
            ) from error
        if len(rows) != self._frames:
            raise MetricError("libvmaf scored another number of frames", expected=self._frames, got=len(rows))
        return [Series(name, "ok", columns[name]) for name in self._names]

    def close(self) -> None:
        """Stop the process if it still runs."""
        self._running.kill()
        self._running.wait()


class _Form:
    """How frames are handed over where libvmaf's filter does not take them as they are."""

    def __init__(self, format: VideoFormat) -> None:
        depth = _SENT_DEPTHS[format.bit_depth]
        self._shift = depth - format.bit_depth
        self._chroma = b""
        chroma: Chroma = format.chroma
        if chroma == "400":
            # The filter takes no grey, and FFmpeg would convert it unasked. Chroma that nothing reads changes no score.
            chroma = "420"
            sent = replace(format, chroma=chroma)
            grey = np.full(
                2 * sent.chroma_width * sent.chroma_height,
                1 << (depth - 1),
                np.uint8 if depth == 8 else np.dtype("<u2"),
            )
            self._chroma = grey.tobytes()
        self.pixel_format = f"yuv{chroma}p" if depth == 8 else f"yuv{chroma}p{depth}le"

    def bytes_of(self, frame: Frame) -> bytes:
        """The frame as it is written to the pipe."""
        if self._shift:
            frame = tuple(np.left_shift(plane, self._shift) for plane in frame)
        return join_planes(frame) + self._chroma


def _number(value: float | None, name: str) -> float:
    # JSON has no infinity: libvmaf writes null for the PSNR-HVS of frames without a visible error.
    if value is None and name == "psnr_hvs":
        return math.inf
    return math.nan if value is None else float(value)


def _graph(names: tuple[str, ...]) -> str:
    features = "|".join(f"name={name}" for name in names if name in _FEATURES)
    models = "|".join(f"{_MODELS[name]}\\:name={name}" for name in names if name in _MODELS)
    # Without threads of its own libvmaf takes a frame when it is done with the last one.
    options = ["log_fmt=json", "log_path=/dev/stdout", "n_threads=0", "shortest=1"]
    # Without a model of ours libvmaf would load its default one: name it, and leave its score unread.
    options.append(f"model='{models or _MODELS['vmaf']}'")
    if features:
        options.append(f"feature='{features}'")
    return (
        r"[0:v]split[a][b];[a]select='not(mod(n\,2))',setpts=N[reference];"
        rf"[b]select='mod(n\,2)',setpts=N[decoded];[decoded][reference]libvmaf={':'.join(options)}[out]"
    )


class _Settling:
    """A meter beside metrics that are known to have no score before the first frame.

    Args:
        settled: what is known.
        meter: of the other metrics; None where there are none.
    """

    def __init__(self, settled: list[Series], meter: _LibvmafMeter | None) -> None:
        self._settled = settled
        self._meter = meter
        self.child_cpu_s = 0.0

    def push(self, source: View, decoded: View) -> None:
        """Pass the pair on."""
        if self._meter is not None:
            self._meter.push(source, decoded)

    def finish(self) -> list[Series]:
        """What was known, and what was measured."""
        measured = [] if self._meter is None else self._meter.finish()
        self.child_cpu_s = 0.0 if self._meter is None else self._meter.child_cpu_s
        return [*self._settled, *measured]

    def close(self) -> None:
        """Stop the process if it still runs."""
        if self._meter is not None:
            self._meter.close()


def _obstacles(format: VideoFormat) -> dict[str, tuple[Status, str]]:
    """The metrics that this format has no score of, and why: what `smallest` cannot say."""
    found: dict[str, tuple[Status, str]] = {}
    if format.chroma == "400":
        found["psnr_hvs"] = "not_applicable", "it is defined on luma and chroma, and 4:0:0 has no chroma"
    elif format.bit_depth > _PSNR_HVS_DEEPEST:
        reason = f"libvmaf has it for up to {_PSNR_HVS_DEEPEST} bit, this is {format.bit_depth} bit"
        found["psnr_hvs"] = "not_applicable", reason
    longer = max(format.width, format.height)
    if longer < _CAMBI_SMALLEST:
        found["cambi"] = "too_small", f"needs {_CAMBI_SMALLEST} samples on the longer side, this has {longer}"
    elif longer > _CAMBI_LONGEST * (shorter := min(format.width, format.height)):
        reason = f"needs a longer side of {_CAMBI_LONGEST} times the shorter at most, this has {longer} and {shorter}"
        found["cambi"] = "too_small", reason
    return found


def _open(setting: Setting, names: tuple[str, ...]) -> Meter:
    format = setting.format
    if format.bit_depth not in _SENT_DEPTHS:
        known = ", ".join(map(str, _SENT_DEPTHS))
        raise NotMeasured("not_applicable", f"libvmaf takes {known} bit, this is {format.bit_depth} bit")
    obstacles = _obstacles(format)
    settled = [Series(name, obstacles[name][0], reason=obstacles[name][1]) for name in names if name in obstacles]
    rest = tuple(name for name in names if name not in obstacles)
    meter = _LibvmafMeter(setting, rest) if rest else None
    return meter if meter is not None and not settled else _Settling(settled, meter)


def _check() -> str:
    return "" if ffmpeg_path().exists() else "the ffmpeg of imageio-ffmpeg is missing: pip install imageio-ffmpeg"


FAMILY = Family(
    infos=_INFOS,
    open=_open,
    smallest=dict.fromkeys((*_MODELS, *_FEATURES), 17),
    check=_check,
)
