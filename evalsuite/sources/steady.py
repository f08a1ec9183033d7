"""Whether the frames of a container come at the rate that it says: else seconds are not what its viewer sees.

Frames are taken by index all the same, and as if they came evenly: kbps and metrics of time are of that video.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_OFF_FRAMES = 1.5
"""By which a frame may be off its place: cameras jitter, and a frame that is left out moves all that follow by one."""

_OFF_RATE = 0.01
"""By which the mean rate may be off, as a share."""

_FEWEST = 3
"""Frames that have a rate."""

_ROUNDED_S = 0.002
"""Timestamps in milliseconds are off by so much at either end."""


def unsteady(path: Path, frame_rate: Fraction, frames: int | None = None) -> str:
    """Where the frames do not come at the rate that the file says: which is the farthest off. Nothing is decoded.

    Args:
        path: a container that FFmpeg's libraries read; of one without timestamps there is nothing to look at.
        frame_rate: what it says.
        frames: look at the first so many; None for all.

    Returns:
        Words, or an empty text where they do.
    """
    times = _times(path)[:frames]
    if len(times) < _FEWEST:
        return ""
    length = 1 / float(frame_rate)
    even = times[0] + length * np.arange(len(times))
    off = np.abs(times - even)
    place = int(off.argmax())
    mean = (times[-1] - times[0]) / (len(times) - 1)
    another = abs(mean / length - 1) > _OFF_RATE and off[-1] > 2 * _ROUNDED_S
    if not another and off[place] <= _OFF_FRAMES * length + _ROUNDED_S:
        return ""
    return f"frame {place} at {times[place] - times[0]:.3f} s in place of {even[place] - times[0]:.3f} s"


def _times(path: Path) -> NDArray[np.float64]:
    """Presentation times in seconds, (frames,), rising; empty where any has none."""
    import av
    from av.format import Flags

    with av.open(str(path.absolute())) as container:
        stream = container.streams.video[0]
        if Flags(container.format.flags) & Flags.no_timestamps or stream.time_base is None:
            return np.empty(0)
        unit = float(stream.time_base)
        stamps = [packet.pts for packet in container.demux(stream) if packet.size and not packet.is_discard]
    if None in stamps:
        return np.empty(0)
    return np.sort(np.array(stamps, np.float64)) * unit
