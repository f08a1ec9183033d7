"""SSIM, MS-SSIM, VMAF and VMAF-NEG by libvmaf, the reference implementation, in one process fed by one pipe.

Source and decoded frames are written alternately to a single stream and taken apart by index inside the filter graph:
no timestamp is involved, no side can run ahead, and libvmaf sees exactly the pairs it is given.
"""

from __future__ import annotations

import json
import subprocess
import threading

import numpy as np

from evalsuite.errors import MetricError, ProcessError
from evalsuite.ffmpeg import ffmpeg_path
from evalsuite.metrics.base import Family, NotMeasured, Setting, View
from evalsuite.process import Running
from evalsuite.sources.y4m import join_planes
from evalsuite.types import MetricInfo, Series

_BY = "libvmaf 3 in FFmpeg 9 (imageio-ffmpeg 0.8.1)"

_FEATURES = {"ssim": "name=float_ssim", "ms_ssim": "name=float_ms_ssim"}
_MODELS = {"vmaf": "version=vmaf_v0.6.1", "vmaf_neg": "version=vmaf_v0.6.1neg"}
_KEYS = {"ssim": "float_ssim", "ms_ssim": "float_ms_ssim", "vmaf": "vmaf", "vmaf_neg": "vmaf_neg"}


def _info(
    name: str, family: str, unit: str, ceiling: float, version: str, definition: str, source: str, traps: str
) -> MetricInfo:
    return MetricInfo(
        name=name,
        family=family,
        unit=unit,
        higher_is_better=True,
        version=version,
        definition=definition,
        source=f"{source}; {_BY}",
        range=(0, ceiling),
        needs=("luma",),
        log_domain_ceiling=ceiling,
        traps=traps,
        statistics=("harmonic_mean",) if name in _MODELS else (),
    )


_INFOS = (
    _info(
        "ssim",
        "fidelity",
        "",
        1,
        "float_ssim",
        "structural similarity of luma, 11x11 Gaussian window, after downsampling by round(min side / 256)",
        "Wang et al., IEEE TIP 13(4), 2004",
        "Implementations differ in downsampling and window: 0.9464 without, 0.9920 with, on one 720p pair.",
    ),
    _info(
        "ms_ssim",
        "fidelity",
        "",
        1,
        "float_ms_ssim",
        "multi-scale structural similarity of luma, five scales",
        "Wang et al., Asilomar 2003",
        "Five scales of an 11-sample window need 176 samples on the shorter side.",
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
        "Models are different metrics.",
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
)


class _LibvmafMeter:
    """One ffmpeg process: frames in, one JSON document out."""

    def __init__(self, setting: Setting, names: tuple[str, ...]) -> None:
        self.child_cpu_s = 0.0
        self._names = names
        self._frames = 0
        self._log = b""
        format = setting.format
        command = [
            str(ffmpeg_path()),
            *("-hide_banner", "-loglevel", "error", "-nostats", "-threads", "1", "-filter_complex_threads", "1"),
            *("-f", "rawvideo", "-pix_fmt", format.pixel_format, "-s", f"{format.width}x{format.height}"),
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
            self._running.stdin.write(source.derive("raw", lambda: join_planes(source.frame)))
            self._running.stdin.write(join_planes(decoded.frame))
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
            columns = {name: np.array([row[_KEYS[name]] for row in rows], np.float64) for name in self._names}
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


def _graph(names: tuple[str, ...]) -> str:
    features = "|".join(_FEATURES[name] for name in names if name in _FEATURES)
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


def _open(setting: Setting, names: tuple[str, ...]) -> _LibvmafMeter:
    if setting.format.bit_depth > 12:
        raise NotMeasured("not_applicable", f"libvmaf takes 8 to 12 bit, this is {setting.format.bit_depth} bit")
    return _LibvmafMeter(setting, names)


def _check() -> str:
    return "" if ffmpeg_path().exists() else "the ffmpeg of imageio-ffmpeg is missing: pip install imageio-ffmpeg"


FAMILY = Family(
    infos=_INFOS, open=_open, smallest={"ms_ssim": 176, "ssim": 17, "vmaf": 17, "vmaf_neg": 17}, check=_check
)
