"""Entries are made of any run by a board, say nothing of the machine's files, and are runs to every reader."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
from publish_samples import add, board_of, write_run

from evalsuite.errors import RequestError, StoreError
from evalsuite.report.merge import merge
from evalsuite.results.conformance import deviations
from evalsuite.results.entries import by_codec, latest, list_entries
from evalsuite.results.entry import FILES, codec_slug, identity_of, read_manifest, slug
from evalsuite.results.entry_check import check_entry
from evalsuite.results.entry_make import add_run
from evalsuite.results.entry_schema import schema_text, violations_of
from evalsuite.results.gate.gate import run_gate
from evalsuite.results.gate.rules import load_gate
from evalsuite.results.load import read_run
from evalsuite.results.tables import bd_table

BOARD = board_of()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    run = write_run(folder / "run", BOARD, {"tvc": 0.8, "vvenc": 0.7})
    return run, {one.manifest.codec: one for one, _ in add_run(run, BOARD, folder / "entries", by="Ada", note="first")}


def test_a_run_gives_an_entry_for_each_codec_and_one_for_the_anchor(made):
    _, entries = made
    assert set(entries) == {"tvc", "vvenc", "x265"}
    for codec, entry in entries.items():
        assert {path.name for path in entry.folder.iterdir()} == set(FILES)
        assert (
            entry.folder.name
            == entry.manifest.id
            == f"{codec}-{entry.manifest.codec_version}-{entry.manifest.identity[:8]}"
        )
        assert check_entry(entry.folder, BOARD) == []
        kept = read_run(entry.folder)
        assert set(kept.points["codec"]) == {codec, "x265"}
        assert deviations(BOARD, kept) == []
    assert entries["x265"].manifest.is_anchor
    assert not entries["tvc"].manifest.is_anchor


def test_the_numbers_of_an_entry_are_those_of_the_run(made):
    run, entries = made
    ours = [row for row in bd_table(run.points, "x265") if row.test == "tvc"]
    kept = read_run(entries["tvc"].folder)
    assert bd_table(kept.points, "x265") == ours
    assert [row.bd_rate_percent for row in ours if row.sequence == "*"] == pytest.approx([-20.0] * 3, abs=1e-6)
    assert [row["bd_rate_percent"] for row in kept.summary["bd_rate"]] == [row.bd_rate_percent for row in ours]
    mine, frames = run.frames(), kept.frames()
    mine = mine[mine["codec"] == "tvc"].reset_index(drop=True)
    assert list(frames["score"]) == pytest.approx(list(mine["score"]), rel=1e-6)
    assert frames.drop(columns="score").equals(mine.drop(columns="score"))


def test_an_entry_names_no_path_of_the_machine(made):
    for entry in made[1].values():
        for name in ("summary.json", "entry.json"):
            text = (entry.folder / name).read_text()
            assert "/home/me" not in text
            assert "/usr/bin" not in text


def test_an_entry_is_a_run_to_reports_and_gates(made):
    entries = made[1]
    runs = [read_run(entries[name].folder) for name in ("tvc", "vvenc")]
    report = merge(runs)
    assert {codec.label for codec in report.codecs} == {"tvc", "vvenc", "x265"}
    result = run_gate(replace(load_gate("standard"), codec="tvc"), runs[0], runs[0])
    assert {one.verdict for one in result.judgements} <= {"pass", "skipped", "undecided"}


def test_the_manifest_keeps_to_the_published_schema(made):
    schema = json.loads(schema_text("entry"))
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    summary_validator = jsonschema.Draft202012Validator(json.loads(schema_text("summary")))
    for entry in made[1].values():
        document = json.loads((entry.folder / "entry.json").read_text())
        assert list(validator.iter_errors(document)) == []
        assert list(summary_validator.iter_errors(json.loads((entry.folder / "summary.json").read_text()))) == []
        assert violations_of(document, "entry") == []
        for key in document:
            less = {name: value for name, value in document.items() if name != key}
            assert list(validator.iter_errors(less)), key
            assert violations_of(less, "entry"), key
        assert violations_of({**document, "extra": 1}, "entry")


def test_what_nobody_sees_is_no_part_of_a_name(made):
    document = json.loads((made[1]["tvc"].folder / "entry.json").read_text())
    validator = jsonschema.Draft202012Validator(json.loads(schema_text("entry")))
    unseen = [c for c in map(chr, range(0x110000)) if unicodedata.category(c) in ("Cc", "Cf", "Zl", "Zp")]
    assert len(unseen) > 200
    assert [c for c in unseen if not violations_of({**document, "codec": f"tvc{c}"}, "entry")] == []
    for codec in ("tvc\u200b", "a\nb", "\u202eabc", "\U000e0041x"):
        assert list(validator.iter_errors({**document, "codec": codec}))
    for codec in ("x265:lowdelay", "Größe 2", "编码器", "x (y)", "\U0001f600"):
        assert violations_of({**document, "codec": codec}, "entry") == []
        assert list(validator.iter_errors({**document, "codec": codec})) == []


def test_schemas_are_kept_to_as_json_schema_means_them(made):
    """True is no 1, and 0 is not above 0."""
    document = json.loads((made[1]["tvc"].folder / "entry.json").read_text())
    assert violations_of({**document, "schema": True}, "entry") == ["$.schema is True, not 1"]
    assert violations_of({**document, "schema": 1}, "entry") == []
    summary = json.loads((made[1]["tvc"].folder / "summary.json").read_text())
    validator = jsonschema.Draft202012Validator(json.loads(schema_text("summary")))
    loss = {"model": "iid", "burst": None, "packet_bytes": 1200, "seed": 1, "kind": "drop", "class": None}
    for rate, good in ((0.5, True), (1, True), (0, False), (0.0, False), (-0.1, False), (1.1, False)):
        summary["codecs"][0]["loss"] = {**loss, "rate": rate}
        assert (violations_of(summary, "summary") == []) is good, rate
        assert (list(validator.iter_errors(summary)) == []) is good, rate


def test_whoever_measures_the_same_has_the_same_entry(tmp_path):
    first = add(tmp_path / "entries", BOARD, tmp_path, {"tvc": 0.8})
    again = write_run(tmp_path / "again", BOARD, {"tvc": 0.8}, day="2026-04-01")
    found = add_run(again, BOARD, tmp_path / "entries", by="somebody else")
    assert [(one.folder, new) for one, new in found] == [(one.folder, False) for one in sorted_like(first, found)]
    other = write_run(tmp_path / "other", BOARD, {"tvc": 0.81})
    assert identity_of(other, "tvc") != identity_of(again, "tvc")
    assert identity_of(other, "x265") == identity_of(again, "x265")


def sorted_like(entries, found):
    by_name = {one.manifest.codec: one for one in entries}
    return [by_name[one.manifest.codec] for one, _ in found]


def test_a_run_that_is_no_entry_is_refused_with_every_reason(tmp_path):
    run = write_run(tmp_path / "run", BOARD, {"tvc": 0.8})
    with pytest.raises(RequestError, match="threads 1, the board has 2") as refused:
        add_run(run, board_of(threads=2), tmp_path / "entries")
    assert "intra period" not in str(refused.value)
    run.summary["request"]["board"] = None
    with pytest.raises(RequestError, match="not made by the board small"):
        add_run(run, BOARD, tmp_path / "entries")
    assert not list((tmp_path / "entries").rglob("entry.json"))


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (("run", "versions"), None, "$.run.versions is None, not object"),
        (("run", "timing"), {"remarks": None}, "$.run.timing.remarks is None, not array"),
        (("rate_match", 0, "encodes"), "x", "$.rate_match[0].encodes is 'x', not integer"),
    ],
)
def test_a_run_whose_summary_is_none_is_refused_by_name(tmp_path, path, value, said):
    run = write_run(tmp_path / "run", BOARD, {"tvc": 0.8})
    place = run.summary
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    with pytest.raises(RequestError) as refused:
        add_run(run, BOARD, tmp_path / "entries")
    assert said in str(refused.value)
    place.pop(path[-1])
    if path[-1] == "versions":
        with pytest.raises(RequestError, match=r"\$\.run has no versions"):
            add_run(run, BOARD, tmp_path / "entries")


def test_a_run_that_cannot_be_true_is_refused_too(tmp_path):
    run = write_run(tmp_path / "run", BOARD, {"tvc": 0.8})
    summary = json.loads((run.folder / "summary.json").read_text())
    summary["codecs"][1]["recipe_sha256"] = "none"
    (run.folder / "summary.json").write_text(json.dumps(summary))
    with pytest.raises(RequestError, match="its digest is no sha256"):
        add_run(read_run(run.folder), BOARD, tmp_path / "entries")
    names = [path.name for path in (tmp_path / "entries/small").iterdir()]
    assert all(not name.startswith(".") for name in names)


def test_the_latest_entry_of_a_codec_by_this_protocol_ranks(tmp_path):
    for day, version, factor in (("2026-01-01", "1", 0.9), ("2026-03-01", "3", 0.7), ("2026-02-01", "2", 0.8)):
        add(tmp_path / "entries", BOARD, tmp_path, {"tvc": factor}, day=day, version=version)
    listed = by_codec(list_entries(tmp_path / "entries", BOARD))
    assert [one.manifest.codec_version for one in listed["tvc"]] == ["1", "2", "3"]
    assert len(listed["x265"]) == 1
    newest = latest(listed["tvc"], BOARD)
    assert newest is not None
    assert newest.manifest.codec_version == "3"
    assert latest(listed["tvc"], board_of(version=3)) is None


def test_a_manifest_that_is_none_is_refused(made, tmp_path):
    with pytest.raises(StoreError, match=r"no file entry\.json"):
        read_manifest(tmp_path)
    for text in ("", "[]", "{", "[" * 100_000, '{"schema": NaN}', "\x00"):
        (tmp_path / "entry.json").write_text(text)
        with pytest.raises(StoreError, match=r"entry\.json"):
            read_manifest(tmp_path)
    (tmp_path / "entry.json").write_bytes(b"\xff" * (1 << 17))
    with pytest.raises(StoreError, match="too large"):
        read_manifest(tmp_path)


def test_folder_names_are_safe_and_codecs_have_files_of_their_own():
    assert slug("../../etc/passwd") == "etc-passwd"
    assert slug("ÄÖ") == "x"
    assert len(slug("x" * 500)) == 24
    names = ["x265", "X265", "x265:half", "x265_half", "x265-half", "x265 half", "..", "", "ä", "é", "x" * 61, "x" * 62]
    slugs = [codec_slug(name) for name in names]
    assert len(set(slugs)) == len(names)
    assert all(Path(one).name == one and one not in (".", "..") for one in slugs)
