"""What metrics made of networks share: the device they run on, the picture they take, how they say what is missing."""

from __future__ import annotations

import functools
import importlib.util
from typing import TYPE_CHECKING

from evalsuite.errors import AssetError
from evalsuite.metrics.base import NotMeasured, View

if TYPE_CHECKING:
    import torch


@functools.cache
def device() -> torch.device:
    """Where networks run: the CUDA device where there is one, else the CPU.

    On CUDA, products are taken in full float32: TF32 has 10 bits of mantissa and moves LPIPS by 1e-3. With it off, a
    score differs from the CPU's by less than 1e-4, the order in which sums are taken.
    """
    import torch

    if not torch.cuda.is_available():
        return torch.device("cpu")
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    return torch.device("cuda")


def engine() -> str:
    """What networks are computed by, a part of the versions of kept features: others round differently."""
    import torch

    return f"torch {torch.__version__} {device().type}"


def picture(view: View) -> torch.Tensor:
    """The frame's RGB in [0, 1] as (1, 3, height, width), float32, channels last, on `device()`.

    Made anew each time: it costs little beside a network, and kept with every frame it would cost much memory.
    """
    import torch

    # Channels-last convolutions are about a tenth faster on CPUs, with the same values.
    return torch.from_numpy(view.rgb()).unsqueeze(0).to(device()).contiguous(memory_format=torch.channels_last)


def missing(*packages: str, install: str = "") -> str:
    """Empty where all packages are installed, else how to get what is missing.

    Args:
        packages: import names.
        install: what to ask pip for; the missing packages themselves where it is empty.
    """
    absent = [name for name in packages if importlib.util.find_spec(name) is None]
    return f"pip install {install or ' '.join(absent)}" if absent else ""


def without(error: AssetError) -> NotMeasured:
    """The state of a metric whose weights cannot be had."""
    return NotMeasured("unavailable", f"{error.what} ({error.got})", fix=error.fix)
