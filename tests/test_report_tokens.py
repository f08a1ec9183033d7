"""Token figures in the report: shown where there are any, and compared nowhere."""

from __future__ import annotations

import pytest
from report_facts import NO_TOKENS, TOKENS
from report_page import Page, build, plain
from report_sample import write_sample

CODECS = ("vvenc", "x265", "tvc")


def tables(page: Page, heading: str) -> list[list[str]]:
    """The rows whose table has this cell in its head."""
    rows = [[plain(cell) for cell in row] for row in page.rows]
    head = next(place for place, row in enumerate(rows) if heading in row)
    end = next((place for place in range(head + 1, len(rows)) if len(rows[place]) != len(rows[head])), len(rows))
    return rows[head:end]


def ids(page: Page) -> set[str]:
    return {attributes["id"] for _, attributes in page.tags if "id" in attributes}


def test_every_figure_of_the_tokenized_codec_stands_in_the_table_with_its_unit(tmp_path):
    made, _ = build(tmp_path, write_sample(tmp_path / "run", codecs=CODECS, sequences=["face"], tokenized=["tvc"]))
    head, *rows = tables(made, "sent token ratetokens/s")
    assert head[:3] == ["Codec", "q", "bpp"]
    assert head[3:5] == ["tokens per frametokens", "token ratetokens/s"]
    assert len(head) == 3 + len(TOKENS)
    assert [row[0] for row in rows[:4]] == ["tvc"] * 4
    # At 0.01004 bpp with 1.25 squared of the anchor's rate: log10(1.004 / 1.5625) = -0.1921 decades.
    assert rows[0][3:] == ["396.0", "9900", "1401", "1719", "3.62", "0.860", "0.929", "185.0"]
    assert "vvenc and x265 have no tokens." in made.text


def test_trap27_what_has_no_direction_is_compared_nowhere(tmp_path):
    run = write_sample(tmp_path / "run", codecs=CODECS, tokenized=["tvc"])
    made, data = build(tmp_path, run)
    plain_run, plain_data = build(tmp_path, write_sample(tmp_path / "without", codecs=CODECS))
    assert [metric["name"] for metric in data["metrics"]] == [metric["name"] for metric in plain_data["metrics"]]
    assert made.heading() == plain_run.heading()
    assert tables(made, "kbps") == tables(plain_run, "kbps")
    others = made.text.split("By the other metrics")[1].split("BD-rate")[0]
    assert not any(name.replace("_", " ") in others for name in TOKENS)
    row = made.row("sent", "tokens/s")
    assert row[2] == "describes, no better or worse"


def test_other_figures_that_describe_have_a_table_and_are_compared_nowhere(tmp_path):
    figures = ("peak_kbps", "encode_cpu_per_frame")
    made, data = build(tmp_path, write_sample(tmp_path / "run", sequences=["face"], metrics=["vmaf", *figures]))
    head, *rows = tables(made, "encode cpu per frames")
    assert head[3:] == ["peak kbpskbps", "encode cpu per frames"]
    # Four significant digits, whatever the magnitude.
    assert [row[3:] for row in rows[:8]] == [["1235", "0.01235"]] * 8
    assert [metric["name"] for metric in data["metrics"]] == ["vmaf"]
    assert [row[0].split()[0] for row in tables(made, "BD-rate")[1:]] == ["VMAF"]
    assert "figures" not in ids(build(tmp_path, write_sample(tmp_path / "without"))[0])


def test_the_section_and_its_link_are_there_only_with_tokens(tmp_path):
    made, data = build(tmp_path, write_sample(tmp_path / "run", codecs=CODECS, tokenized=["tvc"]))
    assert "tokens" in ids(made)
    assert "traffic.html" in [attributes.get("href") for _, attributes in made.tags]
    assert [codec["tokens"] for codec in data["codecs"]] == [False, False, True]
    assert data["startFigure"] == "sent_token_rate"
    made, data = build(tmp_path / "other", write_sample(tmp_path / "without"))
    assert "tokens" not in ids(made)
    assert "traffic.html" not in [attributes.get("href") for _, attributes in made.tags]
    assert not (tmp_path / "other" / "report" / "traffic.html").exists()
    assert (data["figures"], data["startFigure"]) == ([], "")


def test_figures_that_no_point_has_make_no_section(tmp_path):
    gaps = {(name, "face"): "failed" for name in TOKENS}
    run = write_sample(tmp_path / "run", codecs=["x265", "tvc"], sequences=["face"], tokenized=["tvc"], gaps=gaps)
    made, data = build(tmp_path, run)
    assert "tokens" not in ids(made)
    assert data["figures"] == []


def test_a_run_of_tokens_alone_has_the_table_and_no_curves(tmp_path):
    run = write_sample(tmp_path / "run", codecs=["tvc"], sequences=["face"], metrics=[], tokenized=["tvc"])
    made, data = build(tmp_path, run)
    assert data["metrics"] == []
    assert len(tables(made, "sent token ratetokens/s")) == 5


def test_metrics_that_lack_the_same_points_for_one_reason_are_one_row(tmp_path):
    gaps = {("ms_ssim", "carphone"): "too_small", ("sent_token_rate", "face"): "failed"}
    made, _ = build(tmp_path, write_sample(tmp_path / "run", codecs=CODECS, tokenized=["tvc"], gaps=gaps))
    rows = [row for row in tables(made, "State")[1:] if row[1] in ("too small", "not applicable", "failed")]
    words = {row[1]: row for row in rows}
    assert len(rows) == 3
    names = words["not applicable"][0]
    assert names.startswith("tokens per frame, token rate, sent token rate, ")
    assert names.endswith("discrete share and codebook perplexity")
    assert words["not applicable"][1:] == ["not applicable", NO_TOKENS, "all sequences; vvenc and x265", "40"]
    assert words["failed"][0] == "sent token rate"
    assert words["failed"][3:] == ["face; tvc", "4"]
    assert words["too small"][0] == "MS-SSIM"


def test_runs_with_tokens_merge(tmp_path):
    one = write_sample(tmp_path / "one", codecs=CODECS, sequences=["carphone", "face"], tokenized=["tvc"])
    two = write_sample(tmp_path / "two", codecs=CODECS, sequences=["street"], tokenized=["tvc"])
    _, data = build(tmp_path, one, two)
    assert [figure["name"] for figure in data["figures"]] == list(TOKENS)
    assert sum(score["mean"] is not None for score in data["scores"]["token_rate"]) == 12


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"tvc": {"scale": {"divisor": 2, "filter": "lanczos"}}}, "x265: full; tvc: 1/2 of width and height (lanczos)"),
        ({"tvc": {"scale": {"divisor": 2, "filter": "bicubic"}}, "x265": {"scale": None}}, "tvc: 1/2 of width"),
        ({"tvc": {"scale": None}}, None),
        ({}, None),
    ],
)
def test_the_coded_size_is_named_where_it_differs(tmp_path, facts, said):
    made, _ = build(tmp_path, write_sample(tmp_path / "run", codecs=["x265", "tvc"], codec_facts=facts))
    assert ("coded size" in made.text) == (said is not None)
    assert said is None or said in made.text
