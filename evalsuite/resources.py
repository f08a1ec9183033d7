"""Where recipes, datasets, profiles, devices, gates and boards are found: one lookup for every kind of file.

The order is: a path the user gives; that kind's folder under the current directory; what the package ships.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, Literal

import evalsuite
from evalsuite.errors import RecipeError, RequestError, did_you_mean

Kind = Literal["codecs", "datasets", "profiles", "devices", "gates", "boards"]

_FOLDERS: dict[Kind, str] = {
    "codecs": "codecs/recipes",
    "datasets": "datasets",
    "profiles": "profiles",
    "devices": "devices",
    "gates": "gates",
    "boards": "leaderboards",
}
_NOUNS: dict[Kind, str] = {
    "codecs": "codec",
    "datasets": "dataset",
    "profiles": "profile",
    "devices": "device",
    "gates": "gate",
    "boards": "board",
}
_LISTS: dict[Kind, str] = {"codecs": "codecs list", "datasets": "datasets list", "profiles": "metrics list"}
"""Commands that list what there is; of the other kinds a message has all names."""


def _shipped(kind: Kind) -> Path:
    package = Path(evalsuite.__file__).parent
    installed = package / "recipes" / kind
    # An editable install has no recipes/ inside the package: they are where the repository keeps them.
    return installed if installed.is_dir() else package.parent / _FOLDERS[kind]


def available(kind: Kind) -> dict[str, Path]:
    """Every file of this kind that can be named, by name; the current directory's win over shipped ones."""
    found: dict[str, Path] = {}
    for folder in (_shipped(kind), Path.cwd() / _FOLDERS[kind]):
        found.update({path.stem: path for path in sorted(folder.glob("*.toml"))})
    return dict(sorted(found.items()))


def find(kind: Kind, name: str) -> Path:
    """The file that `name` means: a path to a TOML file, or the name of an available one.

    Raises:
        RequestError: no such file; the message suggests near misses.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if path.is_file():
            return path
        raise RequestError(f"there is no file {name}", fix="give the path of an existing TOML file, or a name")
    known = available(kind)
    if name in known:
        return known[name]
    whole = f"`evalsuite {_LISTS[kind]}` shows all" if kind in _LISTS else f"known: {', '.join(known) or 'none'}"
    raise RequestError(f"unknown {_NOUNS[kind]} {name!r}", fix=did_you_mean(name, known, whole))


def load(kind: Kind, name: str) -> tuple[Path, dict[str, Any]]:
    """Find and parse the TOML file that `name` means.

    Raises:
        RequestError: no such file.
        RecipeError: it is not valid TOML.
    """
    path = find(kind, name)
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        # ValueError is bad TOML, bytes that are not UTF-8, and integers of thousands of digits.
        raise RecipeError(f"the {_NOUNS[kind]} file is not valid TOML: {error}", where=path) from error
    except OSError as error:
        raise RecipeError(f"the {_NOUNS[kind]} file cannot be read: {error.strerror}", where=path) from error
