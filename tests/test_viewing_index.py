"""The index of pictures: read back as it was written, and refused in words where no run would have written it."""

from __future__ import annotations

import copy
import json
import math

import pytest
from frames_sample import add_pictures
from report_sample import write_sample

from evalsuite.errors import StoreError
from evalsuite.viewing.index import Face, Index, Movie, NotShown, Shown, ShownCell, ShownFrame, Still, write_index
from evalsuite.viewing.reading import read_index as read

DIGEST = "0123456789abcdef" * 4
FILE = f"{DIGEST[:24]}.webp"


@pytest.fixture(scope="module")
def good(tmp_path_factory) -> dict:
    folder = write_sample(tmp_path_factory.mktemp("index") / "run", sequences=["carphone"])
    return add_pictures(folder, clip=b"clip")


def test_what_is_written_is_read(tmp_path):
    index = Index(
        selection=DIGEST,
        sequences=(Shown("<a>", DIGEST, 176, 144, 60, "30000/1001", "RGB by BT.601"),),
        cells=(ShownCell("key", DIGEST, "x265", "<a>", 31.5, 0.0123456789012345, 0.01),),
        frames=(ShownFrame("<a>", 0.01, 12, "vmaf", (("worst", "x265"), ("differ", ""))),),
        stills=(
            Still(FILE, DIGEST, 99, "<a>", "", 12, {}, None),
            Still(FILE, DIGEST, 99, "<a>", "key", 12, {"psnr_y": math.inf, "vmaf": 4.5}, (Face(1, 2, 3.5, 4, 0.9),)),
        ),
        clips=(Movie(f"{DIGEST[:24]}.mp4", DIGEST, 5, "<a>", "key", 0, 60, math.inf),),
        left_out=(NotShown("<a>", "x264", "gone"),),
        no_faces="no network",
    )
    write_index(index, tmp_path)
    assert read(tmp_path) == index


def test_a_good_one_is_taken(good, tmp_path):
    (tmp_path / "index.json").write_text(json.dumps(good))
    assert len(read(tmp_path).stills) == 6


@pytest.mark.parametrize(
    ("where", "value", "words"),
    [
        (("schema",), 2, "schema 1"),
        (("kind",), "poem", "evalsuite pictures"),
        (("stills",), {}, "stills: a list"),
        (("stills", 0, "file"), "../../../etc/passwd", "stills[0].file: text like"),
        (("stills", 0, "file"), "a" * 24 + ".svg", "stills[0].file: text like"),
        (("stills", 0, "file"), "a" * 24 + ".webp\n", "stills[0].file: text like"),
        (("stills", 0, "file"), "a" * 24 + ".webp", "named by its digest"),
        (("stills", 0, "sha256"), 5, "stills[0].sha256"),
        (("stills", 0, "bytes"), True, "whole number"),
        (("stills", 0, "frame"), -1, "stills[0].frame"),
        (("stills", 1, "scores"), [], "stills[1].scores: an object"),
        (("stills", 1, "scores", "vmaf"), "<b>", "finite number"),
        (("stills", 1, "scores", "vmaf"), "nan", "finite number"),
        (("stills", 0, "faces"), 3, "faces: a list"),
        (("stills", 0, "faces", 0, "x"), "1px;background:url(//x)", "finite number"),
        (("stills", 0, "faces", 0, "x"), 10**400, "finite number"),
        (("frames", 0, "why", 0), ["vilest", "x"], "one of worst, differ, typical"),
        (("frames", 0, "why", 0), ["worst"], "one of worst, differ, typical"),
        (("frames", 0, "target_bpp"), 0, "above 0"),
        (("cells", 0, "bpp"), None, "cells[0].bpp"),
        (("sequences", 0, "width"), 0, "sequences[0].width"),
        (("sequences", 0, "name"), {"a": 1}, "sequences[0].name: text"),
        (("clips", 0, "psnr_y_db"), [], "clips[0].psnr_y_db"),
        (("left_out",), [3], "an object with 'sequence'"),
    ],
)
def test_what_no_run_writes_is_refused(good, tmp_path, where, value, words):
    document = copy.deepcopy(good)
    place = document
    for step in where[:-1]:
        place = place[step]
    place[where[-1]] = value
    (tmp_path / "index.json").write_text(json.dumps(document))
    with pytest.raises(StoreError) as error:
        read(tmp_path)
    assert words in str(error.value)
    assert str(tmp_path / "index.json") in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "not valid JSON"),
        ("[]", "an object with 'schema'"),
        ("{", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"schema": NaN}', "not valid JSON"),
        ("\udcff", "not valid JSON"),
    ],
)
def test_what_is_no_index_is_refused(tmp_path, text, words):
    (tmp_path / "index.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(StoreError, match=words):
        read(tmp_path)


def test_a_missing_index_and_a_link_are_refused(good, tmp_path):
    with pytest.raises(StoreError, match="have no index"):
        read(tmp_path)
    (tmp_path / "real.json").write_text(json.dumps(good))
    (tmp_path / "index.json").symlink_to(tmp_path / "real.json")
    with pytest.raises(StoreError, match="not one"):
        read(tmp_path)
