"""The dataset `registry`: what its documentation says of it, and frames that FFmpeg decodes as well."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from conftest import run_ffmpeg

from evalsuite.assets import PackageSource, path_of
from evalsuite.errors import AssetError
from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.sources.reader import open_video

DOCS = Path(__file__).parents[1] / "docs" / "datasets.md"


def documented() -> list[list[str]]:
    """Rows of the table of sequences."""
    text = DOCS.read_text(encoding="utf-8")
    section = text.split("## What `registry` holds")[1].split("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line[:1] == "|"]
    return rows[2:]


def test_the_table_in_the_documentation_is_that_of_the_manifest() -> None:
    entries = {entry.name: entry for entry in load_dataset("registry").sequences}
    rows = {name: row[1:] for row in documented() for name in row[0].split(", ")}
    assert list(rows) == list(entries)
    for name, (size, frames, megabytes, colour, _, package, _) in rows.items():
        entry = entries[name]
        (source,) = entry.sources
        assert isinstance(source, PackageSource)
        assert size == f"{entry.format.width}x{entry.format.height}"
        assert frames == f"{entry.frames} at {entry.frame_rate}"
        assert megabytes.removesuffix(" each") == f"{round(entry.format.frame_bytes * (entry.frames or 0) / 1e6)} MB"
        assert colour == str(entry.colour).replace("bt", "BT.")
        assert package == f"{source.package} {source.version}"


def test_every_sequence_is_pinned_and_described() -> None:
    dataset = load_dataset("registry")
    for entry in dataset.sequences:
        assert entry.sha256
        assert entry.licence
        assert entry.tags
        assert entry.notes
        assert entry.lock is None
        # What was not stated by the file has its reason.
        assert "The file says" in entry.notes or "names no" in entry.notes


def test_totals_are_those_of_the_sequences() -> None:
    entries = load_dataset("registry").sequences
    frames = sum(entry.frames or 0 for entry in entries)
    gigabytes = sum(entry.format.frame_bytes * (entry.frames or 0) for entry in entries) / 1e9
    kept = sum({source.sha256: source.size or 0 for entry in entries for source in entry.sources}.values())
    section = DOCS.read_text(encoding="utf-8").split("## What `registry` holds")[1].split("\n## ")[0]
    told = re.search(r"Twenty sequences, (\d+) frames.*?(\d+) MB of them are kept, and ([\d.]+) GB", section, re.DOTALL)
    assert told is not None
    assert len(entries) == 20
    assert told.groups() == (str(frames), str(round(kept / 1e6)), f"{gigabytes:.1f}")


@pytest.mark.network
@pytest.mark.parametrize("name", ["carphone", "bikes", "city"])
def test_its_frames_are_those_that_ffmpeg_decodes(
    name: str, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path_factory.getbasetemp() / "registry-cache"))
    entry = next(entry for entry in load_dataset("registry").sequences if entry.name == name)
    try:
        sequence = prepare(entry)
    except AssetError as error:
        if "index" not in str(error):
            raise
        pytest.skip(f"needs a package registry: {error.what}")
    filters = ["-vf", entry.filter] if entry.filter else []
    options = [*filters, "-fps_mode", "passthrough", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-"]
    reference = run_ffmpeg("-i", path_of(entry.sources[0]), *options)
    found = b"".join(plane.tobytes() for frame in open_video(sequence.path) for plane in frame)
    assert hashlib.sha256(found).hexdigest() == hashlib.sha256(reference).hexdigest()
    assert len(found) == sequence.frames * sequence.format.frame_bytes
