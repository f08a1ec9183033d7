"""Metrics of packages that take pictures one pair at a time: how frames reach them, what becomes of their failures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from evalsuite.metrics.base import Family, FrameMeter, NotMeasured, Setting, View
from evalsuite.metrics.networks import picture
from evalsuite.types import MetricInfo

Compare = Callable[..., object]
"""Takes the decoded and, if the metric has a reference, the source picture as (1, 3, height, width); gives a tensor."""


def picture_family(info: MetricInfo, load: Callable[[], Compare], *, reference: bool, smallest: int) -> Family:
    """One metric of pictures as a family.

    Args:
        info: what it is.
        load: makes it, once per decoded sequence; may fail where it has to download something.
        reference: whether it takes the source beside the decoded picture.
        smallest: shortest side that it takes.
    """

    def start(_setting: Setting, names: tuple[str, ...]) -> FrameMeter:
        import torch

        try:
            compare = load()
        except (OSError, RuntimeError, ValueError) as error:
            # Network errors of every library are among these.
            raise NotMeasured(
                "unavailable", f"it cannot be loaded: {error}", fix="connect to a network once"
            ) from error

        def score(source: View, decoded: View) -> tuple[float]:
            views = (decoded, source) if reference else (decoded,)
            # Packages reshape what they are given in ways that want the plain order of samples.
            pictures = [picture(view).contiguous() for view in views]
            try:
                with torch.no_grad(), torch.random.fork_rng():
                    # Some look at random crops: the same ones in every frame, run and order.
                    torch.manual_seed(0)
                    return (float(np.asarray(torch.as_tensor(compare(*pictures)).cpu()).item()),)
            except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
                # A flat frame can leave a metric's system of equations without a solution.
                return (float("nan"),)

        return FrameMeter(names, score)

    return Family((info,), start, {info.name: smallest}, str)
