"""Whatever the files of an entry hold, the check ends with faults or none, in bounded time, and never otherwise."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

import pytest
from board_samples import ANYTHING
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from publish_samples import add, board_of, edited, signed

from evalsuite.results.entry import Entry, read_manifest
from evalsuite.results.entry_anchor import anchor_faults
from evalsuite.results.entry_check import check_entry
from evalsuite.results.entry_schema import violations_of

BOARD = board_of()
FILES = ["results.parquet", "frames.parquet", "bd_rate.csv", "summary.json", "entry.json"]
QUICK = settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
UNFORESEEN = "it cannot be judged"


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    folder = tmp_path_factory.mktemp("good")
    return next(one for one in add(folder / "entries", BOARD, folder, {"tvc": 0.8}) if not one.manifest.is_anchor)


def copy_of(good, folder):
    shutil.copytree(good.folder, Path(folder) / good.folder.name)
    return Entry(Path(folder) / good.folder.name, good.manifest)


@QUICK
@given(name=st.sampled_from(FILES), data=st.binary(max_size=200))
@example(name="entry.json", data=b"[" * 60_000)
@example(name="summary.json", data=b'{"a":' * 100_000)
@example(name="summary.json", data=b"\xff\xfe")
@example(name="results.parquet", data=b"PAR1" + b"\xff" * 100 + b"PAR1")
@example(name="entry.json", data=b"1" * 5000)
def test_any_bytes_in_place_of_a_file(good, name, data):
    with tempfile.TemporaryDirectory() as folder:
        entry = copy_of(good, folder)
        (entry.folder / name).write_bytes(data)
        if name != "entry.json":
            signed(entry)
        assert check_entry(entry.folder, BOARD)


@QUICK
@given(name=st.sampled_from(FILES), place=st.floats(0, 1), length=st.integers(0, 40), filling=st.binary(max_size=20))
def test_a_damaged_file(good, name, place, length, filling):
    with tempfile.TemporaryDirectory() as folder:
        entry = copy_of(good, folder)
        data = (entry.folder / name).read_bytes()
        start = round(place * len(data))
        (entry.folder / name).write_bytes(data[:start] + filling + data[start + length :])
        if name != "entry.json":
            signed(entry)
        check_entry(entry.folder, BOARD)


def _paths(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value[:2]) if isinstance(value, list) else ()
    for key, item in items:
        yield from _paths(item, (*path, key))


NUMBERS = st.sampled_from([0, -1, 10**400, -(10**30), 1e308, 5e-324, True, "", "\ud800", "x" * 5000, None, [], {}])


@QUICK
@given(data=st.data(), value=NUMBERS | ANYTHING.filter(lambda one: "nan" not in repr(one) and "inf" not in repr(one)))
def test_a_summary_of_anything(good, data, value):
    with tempfile.TemporaryDirectory() as folder:
        entry = copy_of(good, folder)
        summary = json.loads((entry.folder / "summary.json").read_text())
        path = data.draw(st.sampled_from([one for one in _paths(summary) if one and one[0] != "files"]))
        inner = summary
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        try:
            edited(entry, summary=lambda _: summary)
        except (AttributeError, KeyError, ValueError, TypeError):
            return  # what a forger's own tools refuse
        check_entry(entry.folder, BOARD)


@QUICK
@given(data=st.data(), value=NUMBERS | ANYTHING)
def test_a_manifest_of_anything(good, data, value):
    with tempfile.TemporaryDirectory() as folder:
        entry = copy_of(good, folder)
        document = json.loads((entry.folder / "entry.json").read_text())
        path = data.draw(st.sampled_from([one for one in _paths(document) if one]))
        inner = document
        for key in path[:-1]:
            inner = inner[key]
        before, inner[path[-1]] = inner[path[-1]], value
        (entry.folder / "entry.json").write_text(json.dumps(document))
        faults = check_entry(entry.folder, BOARD)
        assert faults or value == before or path[0] in ("by", "note", "licence")
        assert not any(fault.text.startswith(UNFORESEEN) for fault in faults)


@given(value=ANYTHING)
def test_any_document_is_held_to_a_schema(value):
    assert violations_of(value, "entry")
    assert violations_of(value, "summary")


CELLS = st.sampled_from([0.0, -1.0, 1e308, float("inf"), float("nan"), None])
COLUMNS = st.sampled_from(
    ["bytes", "bpp", "kbps", "q", "frames", "width", "height", "score", "encode_wall_s", "target_bpp", "frame_rate"]
)


@QUICK
@example(column="score", row=20, value=0.0)  # the anchor's worst frame: only its own entry has it
@given(column=COLUMNS, row=st.integers(0, 60), value=CELLS)
def test_any_number_in_a_table(good, column, row, value):
    def change(table):
        integer = str(table[column].dtype).lower().startswith("int")
        kind = float("nan") if value is None else value
        if integer:
            kind = 0 if kind != kind or kind in (float("inf"), 1e308) else int(kind)
        table.loc[row, column] = kind
        return table

    with tempfile.TemporaryDirectory() as folder:
        entry = copy_of(good, folder)
        edited(entry, points=change, keep_bd=True)
        assert read_manifest(entry.folder)
        own = next(path for path in good.folder.parent.iterdir() if path.name.startswith("x265"))
        anchor = Entry(own, read_manifest(own))
        faults = check_entry(entry.folder, BOARD) or anchor_faults([anchor, entry], BOARD)
        assert faults or value in (None, float("nan"))
