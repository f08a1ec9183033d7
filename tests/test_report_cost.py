"""What codecs cost, in the report: sums over points, and nothing that means nothing."""

from __future__ import annotations

from pathlib import Path

from report_page import Page, build, plain
from report_sample import write_sample

TIMED = {
    "encode_ran_alone": True,
    "encode_load_s": 0.5,
    "decode_ran_alone": True,
    "decode_streams": True,
    "decode_first_frame_s": 0.125,
    "decode_latency_p50_s": 0.002,
    "decode_latency_p95_s": 0.004,
    "decode_latency_p99_s": 0.0055,
    "decode_jitter_s": 0.00075,
}


def rows(page: Page, codec: str, count: int) -> list[list[str]]:
    """The rows of a codec that have so many cells."""
    made = [[plain(cell) for cell in row] for row in page.rows]
    return [row for row in made if len(row) == count and row[0] == codec]


def costs(page: Page, codec: str) -> list[list[str]]:
    """What the codec's encoder and decoder take; other tables have rows of as many cells."""
    return [row for row in rows(page, codec, 8) if row[1] in ("encode", "decode")]


def test_trap30_speed_is_by_cpu_seconds_and_wall_time_of_what_ran_alone(tmp_path: Path) -> None:
    run = write_sample(tmp_path / "run", sequences=["carphone", "face"], costs={"x265": TIMED})
    page, _ = build(tmp_path, run)
    # Four points each of 60 and 50 frames: 2.4 CPU seconds and 2.5 of wall for an encode, 0.15 and 0.2 for a decode.
    # Their geometric mean is sqrt(60 x 50) = 54.77 frames.
    assert costs(page, "vvenc") == [
        ["vvenc", "encode", "22.8", "–", "–", "50", "1", "0 of 8"],
        ["vvenc", "decode", "365", "–", "–", "40", "1", "0 of 8"],
    ]
    assert costs(page, "x265") == [
        ["x265", "encode", "22.8", "21.9", "0.500", "50", "1", "8 of 8"],
        ["x265", "decode", "365", "274", "–", "40", "1", "8 of 8"],
    ]
    assert ["x265", "125", "2.00", "4.00", "5.50", "0.750"] in rows(page, "x265", 6)


def test_a_decoder_that_does_not_stream_has_no_latency(tmp_path: Path) -> None:
    late = {"decode_streams": False, "decode_first_frame_s": 3.0}
    page, _ = build(tmp_path, write_sample(tmp_path / "run", sequences=["face"], costs={"x265": late}))
    assert ["x265", "3000", "not applicable: most of the time passes before the first frame"] in rows(page, "x265", 3)
    assert "Delivery of decoded frames" in page.text
    assert not rows(page, "vvenc", 3)


def test_trap30_load_is_of_what_loaded_or_of_the_warm_up(tmp_path: Path) -> None:
    # A codec that stays loaded tells 0 for all but the encode that loaded it; after a warm-up, for all.
    about = {"timing": {"alone": True, "remarks": [], "load_s": {"x265": {"encode": 3.25, "decode": None}}}}
    stays = {"encode_load_s": 0.0, "decode_load_s": 0.0}
    page, _ = build(tmp_path, write_sample(tmp_path / "run", sequences=["face"], costs={"x265": stays}, run=about))
    assert [row[4] for row in rows(page, "x265", 8)] == ["3.25", "–"]
    assert [row[4] for row in rows(page, "vvenc", 8)] == ["–", "–"]


def test_what_was_not_timed_by_itself_has_no_delivery(tmp_path: Path) -> None:
    page, _ = build(tmp_path, write_sample(tmp_path / "run", sequences=["face"]))
    assert "Ran alone" in page.text
    assert "Delivery of decoded frames" not in page.text


def test_what_cost_nothing_here_has_no_row(tmp_path: Path) -> None:
    unknown = dict.fromkeys(("encode_cpu_s", "encode_wall_s", "decode_cpu_s", "decode_wall_s"))
    page, _ = build(tmp_path, write_sample(tmp_path / "run", sequences=["face"], costs={"x265": unknown}))
    assert rows(page, "x265", 8) == []
    assert len(rows(page, "vvenc", 8)) == 2
    both = {"x265": unknown, "vvenc": unknown}
    page, _ = build(tmp_path / "other", write_sample(tmp_path / "dear", sequences=["face"], costs=both))
    assert "cost" not in [attributes.get("id") for _, attributes in page.tags]
    assert "complexity.html" not in [attributes.get("href") for _, attributes in page.tags]


def test_the_load_of_the_machine_its_environment_and_remarks_are_shown(tmp_path: Path) -> None:
    about = {
        "machine": {"cores": 2, "load_average_1min": 7.25},
        "environment": {"OMP_NUM_THREADS": "3"},
        "timing": {"alone": True, "remarks": ["x265 face q 30: the encode could not be timed"]},
    }
    page, _ = build(tmp_path, write_sample(tmp_path / "run", sequences=["face"], run=about))
    assert "load average 1min 7.25" in page.text
    assert "OMP_NUM_THREADS 3" in page.text
    assert "x265 face q 30: the encode could not be timed" in page.text
