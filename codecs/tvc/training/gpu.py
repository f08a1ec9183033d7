"""What makes networks fast on a GPU, and changes nothing that is learned."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def prepare(device: torch.device, *networks: nn.Module | None) -> None:
    """Sets PyTorch up for training on a device, and the networks that are trained there; nothing on a CPU.

    Args:
        device: where.
        networks: on it.
    """
    if device.type != "cuda":
        return
    torch.backends.cudnn.benchmark = True
    # Ten bits of mantissa: what the integer context models multiply has eight at most.
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = True
    for network in networks:
        for module in () if network is None else network.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_pre_hook(_channels_last)


def _channels_last(_: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    # Tensor cores multiply rows of channels. The weights keep their order: the optimiser sees them as matrices.
    return (inputs[0].contiguous(memory_format=torch.channels_last),)
