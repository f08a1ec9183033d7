"""Codecs written in Python: what a class must offer, how it is named, and what is known of it without its running here.

A class is never imported by the process that asks for it. A *host* (`evalsuite.codec.host`) imports, loads and runs it,
so that what it prints, how it fails and what it leaves behind stay out of the suite.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Protocol

from evalsuite.errors import RecipeError, did_you_mean
from evalsuite.sources.y4m import join_planes
from evalsuite.types import Colour, Frame, VideoFormat

GROUP = "evalsuite.codecs"
"""The entry-point group of codecs written in Python."""

BUILT_IN = {"torchscript": "evalsuite.codec.torchscript:TorchScript"}
"""Classes of the suite itself, by the name that a recipe's `python` gives."""

Role = Literal["encode", "decode", "info"]
"""What a host is for. One host has one role: a decoder shares no process with an encoder."""


@dataclass(frozen=True, slots=True)
class Job:
    """What an encoder is asked for."""

    q: float
    """Lower is better quality; within the range that the recipe states."""
    intra_period: int
    """Frames between random-access points; -1: only the first frame is intra."""
    frames: int
    """Number of frames of the source."""
    threads: int
    format: VideoFormat
    frame_rate: Fraction
    colour: Colour
    """Matrix, range and transfer of the source's code values: the source file does not say the matrix."""


class PythonCodec(Protocol):
    """What a class behind the entry-point group `evalsuite.codecs` offers.

    Optional class attributes: `recipe`, a mapping with the fields of a recipe file less its commands, which makes the
    class a codec of its own; `sources`, names of further modules whose files bear on the results.

    Optional methods: `version()`, a class method that gives a short text; and
    `info(bitstream: Path) -> Mapping[str, float]`, the token statistics of a bitstream.
    """

    def __init__(self, *, device: str, role: Role, files: Mapping[str, Path], **settings: Any) -> None:
        """Load the model.

        Args:
            device: `cpu`, `cuda` or another name that PyTorch knows.
            role: what this object will be asked for, and nothing else.
            files: the recipe's table [files].
            settings: the recipe's table [settings], as keyword arguments.
        """

    def encode(self, source: Path, output: Path, job: Job) -> str | None:
        """Write the bitstream of a Y4M file; may return `frames_sha256` of the encoder's own reconstruction."""

    def decode(self, bitstream: Path) -> Iterable[Frame]:
        """The frames of a bitstream, uint8 planes, or uint16 above 8 bits; nothing but that file may be read."""


def frames_sha256(frames: Iterable[Frame]) -> str:
    """Digest of decoded frames: sha256 of their raw planes Y, Cb, Cr, frame after frame, little endian above 8 bits."""
    digest = hashlib.sha256()
    for frame in frames:
        digest.update(join_planes(frame))
    return digest.hexdigest()


def entry_points() -> dict[str, metadata.EntryPoint]:
    """Entry points of installed packages by name, sorted; the first of two that share a name."""
    found: dict[str, metadata.EntryPoint] = {}
    for point in metadata.entry_points(group=GROUP):
        found.setdefault(point.name, point)
    return dict(sorted(found.items()))


def located(reference: str, *folders: Path) -> str:
    """The recipe's `python` in the form that a host takes from anywhere.

    Args:
        reference: `torchscript`, the name of an entry point, `package.module:Class`, or `file.py:Class`.
        folders: of the recipe and its base; a file is looked up there, in this order.

    Raises:
        RecipeError: none of these, or there is no such entry point or file.
    """
    if reference in BUILT_IN:
        return BUILT_IN[reference]
    module, colon, name = reference.rpartition(":")
    if not colon:
        known = entry_points()
        if reference not in known:
            raise RecipeError(
                f"no installed package offers a codec class {reference!r}",
                expected="the name of an entry point, package.module:Class or file.py:Class",
                fix=did_you_mean(reference, [*known, *BUILT_IN]),
            )
        return known[reference].value
    if not module.endswith(".py"):
        return reference
    paths = [(folder / module).absolute() for folder in folders]
    for path in paths:
        if path.is_file():
            return f"{path}:{name}"
    raise RecipeError(
        "there is no such file of a codec class", got=", ".join(map(str, paths)), fix="give it beside the recipe"
    )


def load_class(reference: str) -> type[Any]:
    """The class that `located` names; whatever its module raises is raised.

    Raises:
        ImportError: the module has no such class.
    """
    module, _, name = reference.rpartition(":")
    found: Any = _module_of(Path(module)) if module.endswith(".py") else importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, type):
        raise ImportError(f"{module} has no class {name}")
    return found


def _module_of(path: Path) -> ModuleType:
    # A file may have the name of a module that is in use, such as host.py or json.py.
    name = path.stem if path.stem not in {*sys.modules, *sys.stdlib_module_names} else f"codec_in_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    # Its own neighbours are imported as if it were run as a script; a dataclass looks its module up by name.
    sys.path.insert(0, str(path.parent))
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def describe(reference: str) -> dict[str, Any]:
    """What a class says of itself, as a host tells it.

    `recipe`: its own or None. `folder`: of its module. `version`: of the distribution and of the class. `sources`:
    sha256 by module, of the class's module and those it names in `sources`.
    """
    found = load_class(reference)
    recipe, own = getattr(found, "recipe", None), getattr(found, "version", None)
    said = " ".join(filter(None, (_distribution(found.__module__), "" if own is None else str(own()))))
    return {
        "recipe": None if recipe is None else dict(recipe),
        "version": said or "unversioned",
        "folder": str(_file(found.__module__).parent),
        "sources": {
            name: hashlib.sha256(_file(name).read_bytes()).hexdigest()
            for name in (found.__module__, *getattr(found, "sources", ()))
        },
    }


def _file(module: str) -> Path:
    file = inspect.getsourcefile(sys.modules.get(module) or importlib.import_module(module))
    if file is None:
        raise ImportError(f"the module {module} has no source file to be told apart by")
    return Path(file)


def _distribution(module: str) -> str:
    """Name and version of the distribution that a module belongs to; empty where none says so."""
    for name in metadata.packages_distributions().get(module.partition(".")[0], ()):
        return f"{name} {metadata.version(name)}"
    return ""
