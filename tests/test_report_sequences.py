"""The page of sequences: facts, comparisons on each, means by content, and what is drawn of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from report_frames import with_information
from report_page import Page, document, plain
from report_sample import FACTORS, HOSTILE, hostile_run, write_sample

from evalsuite.report import sequences
from evalsuite.report.build import build_report
from evalsuite.report.data import shown_sequences
from evalsuite.report.facts import facts
from evalsuite.report.merge import merge
from evalsuite.results.load import read_run

KNOWN = {
    "carphone": (38.25, 14.1),
    "face": (44.5, 3.2),
    "street": (80.1, 21.0),
    "bikes": (61.0, 44.2),
    "bunny": (43.0, None),
}


def read(index: Path, name: str) -> Page:
    return Page(index.with_name(name).read_text(encoding="utf-8"))


LOOKED_AT = {
    "carphone": {"cuts": [], "noise": 1.32, "faces_share": 0.75, "faces_most": 2, "traits": ["faces", "detailed"]},
    "face": {"cuts": [12, 40], "noise": 0.0, "faces_share": 0.0, "faces_most": 0, "traits": ["cuts"]},
    "street": {"cuts": list(range(1, 25)), "noise": None, "faces_share": None, "faces_most": None, "traits": ["cuts"]},
    "bikes": {"cuts": None, "noise": None, "traits": [], "reason": "the file ends <here>"},
}


def looked_at(folder: Path) -> Path:
    """Write what was found by looking at sequences into a run's summary; of one there is nothing on record."""
    path = folder / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    for entry in summary["sequences"]:
        entry.update(LOOKED_AT.get(entry["name"], {}))
    path.write_text(json.dumps(summary), encoding="utf-8")
    return folder


def retagged(folder: Path, tags: dict[str, list[str]]) -> Path:
    path = folder / "summary.json"
    summary = json.loads(path.read_text(encoding="utf-8"))
    for entry in summary["sequences"]:
        entry["tags"] = tags.get(entry["name"], [])
    path.write_text(json.dumps(summary), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sequences")
    run = write_sample(folder / "run", codecs=["vvenc", "x265", "x264"], shift={("x264", "bunny"): 20.0})
    return build_report([with_information(run, KNOWN)], folder / "report")


def test_the_table_has_facts_and_comparisons_of_every_sequence(report):
    page = read(report, "sequences.html")
    assert page.row("carphone") == [
        "carphone",
        "conferencing",
        "176x144",
        "29.97",
        "60",
        "38.2",
        "14.1",
        "+20.0 %",
        "+44.0 %",
    ]
    assert page.row("face")[1:4] == ["conferencing, face", "640x360", "25"]
    assert page.row("bunny")[5:] == ["43.0", "–", "+33.0 %", "refused"]
    mean = page.row("Mean,")
    assert mean[1].startswith("+27.0 %+")
    assert mean[2] == "+57.6 %interval n/a4 of 5"  # 4 are too few for an interval
    assert [one for tag, one in page.tags if tag == "a" and one["href"] == "sequence-0.html"]


def test_what_was_not_recorded_is_a_dash(tmp_path):
    page = read(build_report([write_sample(tmp_path / "run")], tmp_path / "report"), "sequences.html")
    assert page.row("carphone")[5:7] == ["–", "–"]
    assert "scatter" not in [one.get("class") for tag, one in page.tags if tag == "svg"]


def test_what_a_look_at_the_sources_found_stands_beside_it(tmp_path):
    index = build_report([looked_at(write_sample(tmp_path / "run"))], tmp_path / "report")
    page = read(index, "sequences.html")
    assert page.row("Sequence")[5:10] == ["SI", "TI", "Cuts", "Faces", "Noise"]
    assert page.row("carphone")[1] == "conferencing, faces, detailed"
    assert page.row("carphone")[7:10] == ["0", "75 %, up to 2", "1.3"]
    assert page.row("face")[7:10] == ["2", "none", "0.0"]
    assert page.row("street")[7:10] == ["24", "–", "–"]
    assert page.row("bikes")[7:10] == page.row("bunny")[7:10] == ["–", "–", "–"]
    assert {len(page.row(name)) for name in FACTORS} == {11}
    span = next(one["colspan"] for tag, one in page.tags if one.get("colspan"))
    assert int(span) == 10
    # What was found counts like a tag.
    start = page.text.index("By content")
    assert page.row("cuts")[1] == "2face and street"
    assert page.text.index("conferencing", start) < page.text.index("detailed", start)


def test_a_sequence_says_where_its_cuts_are_and_what_is_not_known(tmp_path):
    index = build_report([looked_at(write_sample(tmp_path / "run"))], tmp_path / "report")
    carphone, face, street, bikes, bunny = (read(index, f"sequence-{place}.html").text for place in range(5))
    assert "cuts none faces 75 %, up to 2 noise 1.3" in carphone
    assert "cuts 2, at frame 12, 40 faces none noise 0.0" in face
    assert "cuts 24, at frame 1, 2, 3" in street
    assert "20, ... faces – noise –" in street
    assert "not known the file ends <here>" in bikes
    assert "noise" not in bunny


def test_means_by_content_have_an_interval_from_five_sequences_up(tmp_path):
    everywhere = {name: ["natural"] for name in FACTORS}
    run = retagged(
        write_sample(tmp_path / "run"),
        {**everywhere, "face": ["natural", "faces"], "bikes": ["natural", "sport", "sport"]},
    )
    page = read(build_report([run], tmp_path / "report"), "sequences.html")
    start = page.text.index("By content")
    assert page.text.index("natural", start) < page.text.index("faces", start) < page.text.index("sport", start)
    assert page.row("natural")[1] == "5carphone, face, street, bikes and bunny"
    assert page.row("natural")[2].startswith("+27.0 %+2")
    assert page.row("faces") == ["faces", "1face", "+25.0 %interval n/a"]
    assert page.row("sport")[1:] == ["1bikes", "+30.0 %interval n/a"]


def test_without_tags_there_are_no_means_by_content(tmp_path):
    run = retagged(write_sample(tmp_path / "run"), {})
    assert "By content" not in read(build_report([run], tmp_path / "report"), "sequences.html").text


def test_a_report_without_comparisons_has_the_facts(tmp_path):
    page = read(build_report([write_sample(tmp_path / "run", codecs=["x265"])], tmp_path / "report"), "sequences.html")
    assert page.row("face") == ["face", "conferencing, face", "640x360", "25", "50", "–", "–"]
    assert "forest" not in [one.get("id") for _, one in page.tags]


def test_the_facts_are_data_too(report):
    known = document(report.parent, "facts")
    assert [one["name"] for one in known] == list(FACTORS)
    assert known[0] == {
        "name": "carphone",
        "tags": ["conferencing"],
        "about": "176x144, 29.97 fps, 60 frames",
        "si": 38.25,
        "ti": 14.1,
        "information": ["38.2", "14.1"],
    }


@pytest.mark.parametrize(("anchor", "test", "power"), [(0, 1, 1), (0, 2, 2), (1, 0, -1), (2, 1, -1)])
def test_each_sequence_against_each_anchor(report, anchor, test, power):
    vmaf = [metric["name"] for metric in document(report.parent, "report")["metrics"]].index("vmaf")
    each = document(report.parent, f"each-{vmaf}-{anchor}")
    assert sorted(each["sequences"]) == sorted(FACTORS)
    own = next(one for one in each["tests"] if one["test"] == test)
    for at, name in enumerate(each["sequences"]):
        if name == "bunny" and 2 in (anchor, test):
            assert own["percents"][at] is None
            assert own["why"][str(at)].startswith("refused: ")
            continue
        expected = 100 * (FACTORS[name] ** power - 1)
        assert own["percents"][at] == pytest.approx(expected, abs=0.02)
        # Parallel curves: the change is the same at every quality.
        assert own["lows"][at] == pytest.approx(expected, abs=0.02)
        assert own["highs"][at] == pytest.approx(expected, abs=0.02)
        assert own["floors"][at] is None  # four points a side
    held = [value for value in own["percents"] if value is not None]
    assert own["mean"] == pytest.approx(sum(held) / len(held), abs=0.02)
    assert (own["held"], own["of"]) == (len(held), 5)


def test_marks_of_the_overview_stand_in_the_forest_too(tmp_path):
    targets = (0.01, 0.02, 0.04, 0.06, 0.08)
    run = write_sample(tmp_path / "run", targets=targets, metrics=["vmaf"], costs={"x265": {"structure": "low delay"}})
    report = build_report([run], tmp_path / "report")
    (pair,) = (one for one in document(report.parent, "pairs-0")["pairs"] if one["anchor"] == 0)
    (own,) = document(report.parent, "each-0-0")["tests"]
    assert "structure" in pair["unlike"]
    assert own["meanUnlike"] == pair["unlike"]
    assert set(own["unlike"]) == set(map(str, range(5)))
    assert own["meanFloor"] is not None


def test_noise_floors_need_five_points(tmp_path):
    run = write_sample(tmp_path / "run", targets=(0.01, 0.02, 0.04, 0.06, 0.08), metrics=["vmaf"])
    report = build_report([run], tmp_path / "report")
    assert all(value is not None for value in document(report.parent, "each-0-0")["tests"][0]["floors"])


def test_a_file_of_many_codecs_and_sequences_stays_small(tmp_path):
    codecs, names = [f"codec{index}" for index in range(5)], [f"sequence{index:02}" for index in range(12)]
    run = write_sample(
        tmp_path / "run", codecs=codecs, sequences=names, metrics=["vmaf"], targets=(0.01, 0.02, 0.03, 0.04, 0.08)
    )
    report = build_report([run], tmp_path / "report")
    size = (report.parent / "data/each-0-2.js").stat().st_size
    # With their reasons, 19 codecs on 50 sequences are below 400 kB at 400 bytes each.
    assert size < 400 * 4 * 12


def test_a_sequence_has_its_facts_its_comparisons_and_links(report):
    page = read(report, "sequence-0.html")
    assert page.heading() == "carphone"
    assert "SI 38.2 TI 14.1" in page.text
    rows = [[plain(cell) for cell in row] for row in page.rows]
    compared = [row for row in rows if row[0].endswith("against vvenc")]
    assert len(compared) == 2 * 9
    vmaf = next(row for row in compared if row[0].startswith("x264") and row[1] == "VMAF ↑")
    assert vmaf[2:4] == ["+44.0 %", "+44.0 to +44.0 %"]
    refused = [row for row in map(list, read(report, "sequence-4.html").rows) if plain(row[0]) == "x264against vvenc"]
    assert all(plain(row[2]) == "refused" and "overlap" in row[-1] for row in refused)
    links = [one["href"] for tag, one in page.tags if tag == "a"]
    assert "curves.html" in links
    assert "time.html" not in links
    assert "frames.html" not in links


def test_a_scatter_has_the_sequences_that_have_both(report):
    found = merge([read_run(report.parent.parent / "run")])
    drawn = sequences.scatter(facts(found, shown_sequences(found)))
    assert drawn is not None
    assert [spot.name for spot in drawn.spots] == ["carphone", "face", "street", "bikes"]
    by_name = {spot.name: spot for spot in drawn.spots}
    assert by_name["carphone"].x < by_name["face"].x < by_name["bikes"].x < by_name["street"].x
    assert by_name["face"].y > by_name["carphone"].y > by_name["street"].y > by_name["bikes"].y
    assert by_name["street"].anchor == "end"  # at the right edge there is no room on its right
    assert by_name["bikes"].said == "bikes: SI 61.0, TI 44.2"


def test_labels_of_a_scatter_do_not_touch():
    crowd = [sequences.Facts(f"sequence {at}", (), "", "", "", 50 + at / 10, 20 + at % 3 / 10) for at in range(30)]
    drawn = sequences.scatter(crowd)
    assert drawn is not None
    labels = [(spot.label_x, spot.anchor, spot.y) for spot in drawn.spots if spot.anchor]
    assert 0 < len(labels) < 30
    assert len(set(labels)) == len(labels)
    assert sequences.scatter(crowd[:1]) is None


def test_names_are_text(tmp_path):
    index = build_report([hostile_run(tmp_path / "run")], tmp_path / "report")
    page = read(index, "sequences.html")
    assert "img" not in {tag for tag, _ in page.tags}
    assert HOSTILE in page.text
