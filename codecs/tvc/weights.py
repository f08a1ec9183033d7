"""Weights on disk: safetensors, float networks as float16, context models as the integers they compute with."""

from __future__ import annotations

import hashlib
import json
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from tvc.config import ModelConfig, Precision
from tvc.errors import WeightsError
from tvc.integer import integer_state, load_integer_state
from tvc.model import TVC

_ENTRY = "tvc"
_VERSION = 1
_LARGEST_FILE = 64 << 20
_CONTEXTS = ("discrete_context", "continuous_context")


def save(model: TVC, path: Path, training: dict[str, Any]) -> None:
    """Writes the model's weights.

    Args:
        model: trained; it is not changed.
        path: of the safetensors file.
        training: a JSON summary of how they were made, kept in the file.

    Raises:
        WeightsError: a weight is not finite as float16.
    """
    about = {"version": _VERSION, "config": model.config.to_json(), "training": training}
    # One entry: safetensors writes several in random order, and equal weights should be equal files.
    save_file(_stored(model), path, {_ENTRY: json.dumps(about, sort_keys=True)})
    path.chmod(0o644)  # safetensors writes for the owner alone


def load(path: Path | None = None, precision: Precision = "float32") -> TVC:
    """The model of a weights file, ready for coding: eval mode, no gradients.

    Args:
        path: of the file; the weights that tvc ships if None.
        precision: what its networks compute in; their weights are float32 either way.

    Raises:
        WeightsError: no file, damaged, of another version, or tensors that do not fit its configuration.
    """
    if path is None:
        with as_file(files("tvc").joinpath("weights", "tvc.safetensors")) as shipped:
            return load(shipped, precision)
    tensors, about = _read(path)
    config = ModelConfig.from_json(about["config"])
    _check_size(tensors, config, path)
    model = TVC(config)
    model.precision = precision
    _check_shapes(tensors, model, path)
    floats = {name: t.float() for name, t in tensors.items() if not name.startswith(_CONTEXTS)}
    model.load_state_dict(floats, strict=False)
    for name, module in _contexts(model).items():
        start = f"{name}."
        load_integer_state(module, {k.removeprefix(start): t for k, t in tensors.items() if k.startswith(start)})
    # Channels last in memory: oneDNN then reorders nothing around 3x3 convolutions, which decodes up to 30 % faster.
    for network in (model.encoder, model.decoder):
        network.to(memory_format=torch.channels_last)
    return model.eval().requires_grad_(False)


def training_summary(path: Path) -> dict[str, Any]:
    """The summary that `save` was given.

    Raises:
        WeightsError: as `load`.
    """
    summary: dict[str, Any] = _read(path)[1]["training"]
    return summary


def model_hash(model: TVC) -> bytes:
    """Eight bytes that name the model: the same before saving and after loading, another for any other weights."""
    state = hashlib.sha256(model.config.to_json().encode())
    for name, tensor in sorted(_stored(model).items()):
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        state.update(tensor.numpy().tobytes())
    return state.digest()[:8]


def _contexts(model: TVC) -> dict[str, nn.Module]:
    return {name: module for name in _CONTEXTS if isinstance(module := getattr(model, name), nn.Module)}


def _stored(model: TVC) -> dict[str, Tensor]:
    """Every tensor as it is written."""
    stored = {
        name: tensor.detach().cpu().to(torch.float16).contiguous()
        for name, tensor in model.state_dict().items()
        if not name.startswith(_CONTEXTS)
    }
    broken = [name for name, tensor in stored.items() if not bool(torch.isfinite(tensor).all())]
    if broken:
        raise WeightsError("weights are not finite as float16", got=", ".join(broken[:4]))
    for name, module in _contexts(model).items():
        for key, tensor in integer_state(module).items():
            stored[f"{name}.{key}"] = tensor.detach().cpu().contiguous()
    return stored


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and metadata of a file that says it is tvc's."""
    if not path.is_file():
        raise WeightsError("no such weights file", where=path, fix="train them with `tvc train`, or name another file")
    if path.stat().st_size > _LARGEST_FILE:
        raise WeightsError("the weights file is too large", where=path, expected=f"at most {_LARGEST_FILE} bytes")
    try:
        with safe_open(path, framework="pt") as archive:
            metadata = archive.metadata() or {}
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise WeightsError(f"the weights file cannot be read: {error}", where=path) from error
    try:
        about = json.loads(metadata[_ENTRY])
        known = (
            about["version"] == _VERSION and isinstance(about["config"], str) and isinstance(about["training"], dict)
        )
    except (KeyError, TypeError, ValueError):
        known = False
    if not known:
        raise WeightsError(
            "not a weights file of this version of tvc", where=path, expected=f"metadata entry {_ENTRY}, {_VERSION}"
        )
    return tensors, about


def _check_size(tensors: dict[str, Tensor], config: ModelConfig, path: Path) -> None:
    """Raises WeightsError where the repeated parts alone need more numbers than the file has: nothing is allocated."""
    blocks = zip(config.widths * 2, config.encoder_blocks + config.decoder_blocks, strict=True)
    needed = sum(10 * width**2 * count for width, count in blocks)
    if config.predictor:
        positions = config.predictor_heads * (2 * config.predictor_window**2) ** 2
        needed += config.predictor_layers * (12 * config.predictor_width**2 + positions)
    held = sum(tensor.numel() for tensor in tensors.values())
    if needed > held:
        raise WeightsError(
            "the tensors do not fit the file's configuration",
            where=path,
            expected=f"at least {needed} numbers",
            got=f"{held}",
        )


def _check_shapes(tensors: dict[str, Tensor], model: TVC, path: Path) -> None:
    """Raises WeightsError unless the float tensors are those of the model."""
    wanted = {n: t.shape for n, t in model.state_dict().items() if not n.startswith(_CONTEXTS)}
    given = {n: t.shape for n, t in tensors.items() if not n.startswith(_CONTEXTS)}
    odd = sorted(n for n in wanted.keys() | given.keys() if wanted.get(n) != given.get(n))
    odd += sorted(n for n in given if tensors[n].dtype != torch.float16)
    if odd:
        raise WeightsError("the tensors do not fit the file's configuration", where=path, got=", ".join(odd[:4]))
