"""ColorVideoVDP: the visible difference of two sequences on a stated display, in just-objectionable differences.

Mantiuk et al., "ColorVideoVDP: A visual difference predictor for image, video and display distortions", ACM TOG 43(4),
2024, by the authors' package. The package asks for a video of known length; here its stages are fed one frame at a
time, and the light and the temporal channels of the source are computed once for all decoded sequences beside it.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import logging
import os
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from evalsuite.metrics.base import Family, NotMeasured, Setting, View
from evalsuite.metrics.networks import device, picture
from evalsuite.types import MetricInfo, Series, Transfer

if TYPE_CHECKING:
    import torch

PACKAGE_VERSION = "0.5.7"
"""Whose stages these are; scores of other versions differ."""

DISPLAYS: dict[Transfer, str] = {"sdr": "standard_4k", "pq": "standard_hdr_pq", "hlg": "standard_hdr_hlg"}
"""The package's display that a sequence is taken to be watched on, sample for sample."""

# The space of the package's stages: opponent colours of cone responses, adapted to D65.
_SPACE = "DKLd65"
# Channels that space is filtered into over time: sustained luminance, red-green, yellow-violet, transient luminance.
_SUSTAINED = (0, 1, 2)
_TRANSIENT = 3

_INFO = MetricInfo(
    name="cvvdp",
    family="perceptual",
    unit="JOD",
    higher_is_better=True,
    version=f"{PACKAGE_VERSION} {' '.join(DISPLAYS.values())}",
    definition="ColorVideoVDP of the whole sequence: 10 - just-objectionable differences, on a 30-inch 4K display at "
    "two picture heights: 200 cd/m² at 250 lux for SDR, 1500 cd/m² at 10 lux for PQ and HLG",
    source=f"Mantiuk et al., ACM TOG 43(4), 2024; package cvvdp {PACKAGE_VERSION}",
    range=(-np.inf, 10),
    needs=("rgb",),
    traps="The display is part of the score: another size, distance or brightness is another metric. Frames smaller "
    "than the display cover a part of it, they are not scaled up. One figure of the sequence: a bad second can hide. "
    "Of flat pictures it sees no contrast: grey for black scores 10.",
    per_frame=False,
    hdr=True,
)


@functools.cache
def model(display: str) -> Any:
    """The package's metric for one of its displays; loaded once per process."""
    # Its import brings PyTorch's compiler tools, which warn where CUDA is installed and no GPU is there.
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)
    # And setuptools, which puts a distutils of its own in the standard library's place and refuses to load where that
    # does not work out.
    os.environ.setdefault("SETUPTOOLS_USE_DISTUTILS", "stdlib")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from pycvvdp import cvvdp

    return cvvdp(display_name=display, quiet=True, device=device())


@functools.cache
def _pyramid(display: str, width: int, height: int) -> Any:
    from pycvvdp.lpyr_dec import weber_contrast_pyr

    metric = model(display)
    return weber_contrast_pyr(width, height, metric.pix_per_deg, device(), contrast=metric.contrast)


class _Meter:
    """One decoded sequence; keeps a quarter of a second of frames, and one small row of differences per frame."""

    child_cpu_s = 0.0

    def __init__(self, setting: Setting) -> None:
        import torch

        self._display = DISPLAYS[setting.colour.transfer]
        self._metric = model(self._display)
        width, height = setting.format.width, setting.format.height
        self._size = height, width
        self._bands = _pyramid(self._display, width, height)
        filters, _ = self._metric.get_temporal_filters(float(setting.frame_rate))
        # The package applies them reversed; the newest frame comes last.
        self._filters: torch.Tensor = torch.stack([one.flip(0) for one in filters])
        self._rows: list[torch.Tensor] = []
        self._first: tuple[torch.Tensor, torch.Tensor] | None = None

    def _opponent(self, view: View) -> torch.Tensor:
        """(3, height, width): the light that the display emits, in opponent colours."""
        import torch

        def compute() -> torch.Tensor:
            with torch.inference_mode():
                light = self._metric.display_photometry.source_2_target_colorspace(
                    picture(view).contiguous().unsqueeze(2), _SPACE
                )
                frame: torch.Tensor = light[0, :, 0]
                return frame

        return view.derive("cvvdp_opponent", compute)

    def _window(self, view: View) -> list[torch.Tensor]:
        """As many frames as the filters are long, up to this one; before the first frame there is the first again."""

        def compute() -> list[torch.Tensor]:
            now = self._opponent(view)
            length = self._filters.shape[1]
            return [now] * length if view.previous is None else [*self._window(view.previous)[1:], now]

        return view.derive("cvvdp_window", compute)

    def _channels(self, view: View) -> torch.Tensor:
        """(4, height, width): the channels over time at this frame."""
        import torch

        window = self._window(view)
        with torch.inference_mode():
            channels = torch.zeros((4, *self._size), device=device())
            for tap, frame in enumerate(window):
                for channel in _SUSTAINED:
                    channels[channel].add_(frame[channel], alpha=float(self._filters[channel, tap]))
                channels[_TRANSIENT].add_(frame[0], alpha=float(self._filters[_TRANSIENT, tap]))
            return channels

    def _differences(self, source: torch.Tensor, decoded: torch.Tensor, *, still: bool) -> torch.Tensor:
        """(1, channels, 1, bands): the differences of one frame, pooled over each band."""
        import torch

        channels = len(source)
        # Decoded and source channels alternate.
        both = torch.stack((decoded, source), dim=1).reshape(1, 2 * channels, 1, *self._size)
        rows: torch.Tensor = self._metric.process_block_of_frames(
            both, (*self._size, 1), channels - 2, self._bands, is_image=still
        )[0]
        return rows

    def push(self, source: View, decoded: View) -> None:
        """Take the next frame of both."""
        import torch

        self._first = (self._opponent(source), self._opponent(decoded)) if not self._rows else None
        of_source = source.derive("cvvdp_channels", lambda: self._channels(source))
        with torch.inference_mode():
            self._rows.append(self._differences(of_source, self._channels(decoded), still=False))

    def finish(self) -> list[Series]:
        """The one figure; a sequence of one frame is a still picture, which the package pools differently."""
        import torch

        with torch.inference_mode():
            if self._first is not None:
                self._rows = [self._differences(*self._first, still=True)]
            quality = self._metric.do_pooling_and_jods(torch.cat(self._rows, dim=2))
        return [Series(_INFO.name, "ok", np.array([float(quality)]))]

    def close(self) -> None:
        """Let go of the frames."""
        self._rows = []
        self._first = None


def _open(setting: Setting, _names: tuple[str, ...]) -> _Meter:
    if problem := _check():
        raise NotMeasured("unavailable", "ColorVideoVDP is not installed", fix=problem)
    return _Meter(setting)


def _check() -> str:
    wanted = f"pip install 'evalsuite[cvvdp]' (cvvdp {PACKAGE_VERSION})"
    if importlib.util.find_spec("pycvvdp") is None:
        return wanted
    found = importlib.metadata.version("cvvdp")
    return "" if found == PACKAGE_VERSION else f"{wanted}; found {found}"


FAMILY = Family(infos=(_INFO,), open=_open, smallest={_INFO.name: 32}, check=_check)
