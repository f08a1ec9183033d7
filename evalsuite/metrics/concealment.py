"""What a channel did to a bitstream, and how much of the picture its decoder had to make up."""

from __future__ import annotations

import functools

import numpy as np

from evalsuite.errors import MetricError
from evalsuite.metrics.base import Deliveries, Family, NotMeasured, Setting, View
from evalsuite.metrics.describing import describing
from evalsuite.types import Series

_SOURCE = "counts of the channel (evalsuite/codec/transport.py), and the marks of the receiver on its frames"
_TRAPS = (
    "Of a run with --loss alone. A frame counts as concealed from the first loss to the next random-access point, "
    "whatever it looks like: it may be as it was sent."
)

_info = functools.partial(describing, family="loss", source=_SOURCE, needs="delivery", traps=_TRAPS, range=(0, 1))

_INFOS = (
    _info("lost_packets", "", "share of the network packets that were lost or changed, of those that could be"),
    _info("concealed_share", "", "share of the frames that may differ from what was sent"),
    _info("concealed", "", "1 for a frame that may differ from what was sent, else 0", per_frame=True),
)


class _DeliveryMeter:
    """Counts frames; what became of them is asked for at the end."""

    child_cpu_s = 0.0

    def __init__(self, delivery: Deliveries, names: tuple[str, ...]) -> None:
        self._delivery = delivery
        self._names = names
        self._frames = 0

    def push(self, source: View, decoded: View) -> None:  # noqa: ARG002 - every meter is given both
        """Count a frame."""
        self._frames += 1

    def finish(self) -> list[Series]:
        """One series for each name: of one value, or of `concealed` one for each frame.

        Raises:
            MetricError: the receiver marked another number of frames than it gave.
        """
        told = self._delivery()
        if len(told.concealed) != self._frames:
            raise MetricError(
                "the receiver told of another number of frames than it gave",
                expected=f"{self._frames} frames",
                got=f"{len(told.concealed)}",
            )
        concealed = np.array(told.concealed, np.float64)
        figures = {
            "lost_packets": np.array([told.hit / told.packets if told.packets else 0.0]),
            "concealed_share": np.array([concealed.mean()]),
            "concealed": concealed,
        }
        return [Series(name, "ok", figures[name]) for name in self._names]

    def close(self) -> None:
        """Nothing is held."""


def _open(setting: Setting, names: tuple[str, ...]) -> _DeliveryMeter:
    if setting.delivery is None:
        raise NotMeasured("not_applicable", "nothing can be lost between encoder and decoder (see --loss)")
    return _DeliveryMeter(setting.delivery, names)


FAMILY = Family(infos=_INFOS, open=_open, smallest={}, check=str)
