"""The training material's manifest, and its split into training and validation by recording."""

from __future__ import annotations

import csv
import hashlib
import json
import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from tvc.errors import TrainingError
from tvc.training.evaluated import evaluated


@dataclass(frozen=True)
class Material:
    """One file of the training material, as its manifest has it."""

    path: Path
    sha256: str
    source: str
    licence: str
    tag: str

    @property
    def is_photo(self) -> bool:
        """True for a still picture."""
        return self.path.suffix in {".jpg", ".png"}

    @property
    def recording(self) -> str:
        """What the file was cut from: two cuts of one recording have the same."""
        return re.sub(r"\s*\(t=.*\)$", "", self.source)


@dataclass(frozen=True)
class ValidationClip:
    """One pinned stretch of frames that is never trained on."""

    file: str
    sha256: str
    category: str
    start: int


def read_manifest(folder: Path) -> list[Material]:
    """Every file that `folder`/MANIFEST.tsv lists.

    Raises:
        TrainingError: no manifest, columns missing, or a file that an evaluation dataset scores.
    """
    manifest = folder / "MANIFEST.tsv"
    if not manifest.is_file():
        raise TrainingError("the training material has no manifest", where=manifest, fix="name its folder with --data")
    with manifest.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    wanted = ("file", "sha256", "source", "licence", "tag")
    if not rows or any(row.get(name) is None for row in rows for name in wanted):
        raise TrainingError("the manifest lacks columns", where=manifest, expected=", ".join(wanted))
    for row in rows:
        # Whatever an evaluation dataset scores must never be trained on, whoever puts it into the folder.
        if known := evaluated(row["file"], row["source"], row["sha256"]):
            raise TrainingError(
                "the manifest lists a sequence that the evaluation scores",
                where=manifest,
                got=f"{row['file']} from {row['source']}: {known}",
                fix="take it out: a codec trained on its test is not measured",
            )
    return [Material(folder / r["file"], r["sha256"], r["source"], r["licence"], r["tag"]) for r in rows]


def validation_clips() -> list[ValidationClip]:
    """The pinned validation clips, from validation.json beside this module."""
    text = files("tvc.training").joinpath("validation.json").read_text(encoding="utf-8")
    return [ValidationClip(**entry) for entry in json.loads(text)["clips"]]


def split(materials: list[Material]) -> tuple[list[Material], list[tuple[ValidationClip, Material]]]:
    """(files to train on, validation clips with their files); no recording is on both sides.

    Raises:
        TrainingError: a validation clip is missing from the material.
    """
    by_digest = {material.sha256: material for material in materials}
    clips = validation_clips()
    missing = [clip.file for clip in clips if clip.sha256 not in by_digest]
    if missing:
        raise TrainingError("validation clips are missing from the material", got=", ".join(missing))
    held_out = [(clip, by_digest[clip.sha256]) for clip in clips]
    recordings = {material.recording for _, material in held_out}
    return [material for material in materials if material.recording not in recordings], held_out


def pinned(digests: list[str]) -> list[str]:
    """The names of the validation clips whose files have one of these digests."""
    return [clip.file for clip in validation_clips() if clip.sha256 in digests]


def verify(material: Material) -> None:
    """Raises TrainingError if the file's content is not what the manifest says."""
    digest = hashlib.sha256(material.path.read_bytes()).hexdigest()
    if digest != material.sha256:
        raise TrainingError("a training file has changed", where=material.path, expected=material.sha256, got=digest)
