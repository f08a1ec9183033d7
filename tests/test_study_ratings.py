"""Votes as people's files have them: read whole, or refused by name."""

from __future__ import annotations

import json
import math
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from study_samples import ratings_csv, write

from evalsuite.errors import EvalError, RequestError
from evalsuite.study import csvfile
from evalsuite.study.ratings import Ratings
from evalsuite.study.stimuli import Stimulus, read_key
from evalsuite.study.votes import Votes, read_scores

KEY = {
    "schema": 1,
    "stimuli": {
        "x1": {"codec": "x265", "sequence": "a", "q": 30, "target_bpp": 0.01, "cell_key": "k1"},
        "x2": {"codec": "tvc", "sequence": "a", "q": 31.5, "target_bpp": 0.01, "cell_key": "k2"},
        "x3": {"codec": "source", "sequence": "a", "is_source": True},
    },
}


@pytest.fixture
def read(tmp_path):
    def read(*texts: str | bytes, key: dict | None = None, **options) -> Ratings | Votes:
        paths = [write(tmp_path / f"votes{number}.csv", text) for number, text in enumerate(texts)]
        known = read_key(write(tmp_path / "key.json", json.dumps(key))) if key else None
        return read_scores(paths, known, **options)

    return read


def test_the_matrix_of_sureal(read):
    found = read("5,4,nan\n1,,2\n")
    assert found.scores.shape == (2, 3, 1)
    np.testing.assert_array_equal(found.scores[:, :, 0], [[5, 4, math.nan], [1, math.nan, 2]])
    assert found.stimuli == (Stimulus("row 1"), Stimulus("row 2"))


def test_repeated_votes_of_a_matrix_follow_a_row_of_two_empty_cells(read):
    found = read("5,4,3\n1,1,2\n,\n4,nan,nan\n2,1,1\n")
    assert found.scores.shape == (2, 3, 2)
    np.testing.assert_array_equal(found.scores[0], [[5, 4], [4, math.nan], [3, math.nan]])


def test_an_empty_line_within_a_single_column_is_refused(read):
    """It may be a stimulus without a vote: left out, it would move all below to other rows."""
    with pytest.raises(RequestError, match="line 2 of a single column is empty"):
        read("3\n\n4\n5\n")
    assert read("\n3\n4\n\n").scores.flatten().tolist() == [3, 4]


def test_tidy_ratings(read):
    found = read("subject,codec,sequence,q,score\ns1,x265,a,30,5\ns2,x265,a,30,4\ns1,tvc,a,31,2\n")
    assert found.subjects == ("s1", "s2")
    assert [one.label for one in found.stimuli] == ["x265 a q 30", "tvc a q 31"]
    np.testing.assert_array_equal(found.scores[:, :, 0], [[5, 4], [2, math.nan]])


def test_files_of_several_subjects_are_taken_together(read):
    found = read("subject,stimulus,score\ns1,t,5\n", "score;subject;stimulus\r\n3;s2;t\r\n")
    assert found.subjects == ("s1", "s2")
    np.testing.assert_array_equal(found.scores[0, :, 0], [5, 3])


def test_a_key_tells_what_blind_names_stand_for(read):
    found = read("subject,stimulus,score\ns1,x1,5\ns1,x3,5\n", key=KEY)
    assert found.stimuli[0] == Stimulus("x1", "a", "x265", 30.0, 0.01, "k1")
    assert found.stimuli[1].is_source
    votes = read("subject,a,b,choice,first\ns1,x1,x2,b,a\n", key=KEY)
    assert (votes.votes[0].a.codec, votes.votes[0].b.codec) == ("x265", "tvc")
    assert votes.first_chosen == (0, 1)


def test_comparisons(read):
    found = read("subject,sequence,target_bpp,a,b,choice\ns1,a,0.01,x265,tvc,A\ns1,b,0.01,x265,tvc,tie\n")
    assert isinstance(found, Votes)
    assert [vote.choice for vote in found.votes] == ["a", "tie"]
    assert found.votes[0].a == Stimulus("x265", "a", "x265", target_bpp=0.01)


def test_what_our_page_says_against_votes_is_kept(read):
    header = "subject,stimulus,score,shown_scale,late_s,dropped_frames,fullscreen"
    found = read(f"{header}\ns1,a,5,0.5,0.01,0,1\ns1,b,4,1,-0.02,,0\ns2,a,4,1,0.9,2,1\n")
    assert [remark.split(" were ")[0] for remark in found.remarks] == ["1 of 3 votes"] * 4


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no votes"),
        (",,\n,,\n", "no votes"),
        ("subject,stimulus,score\n", "no votes"),
        ("stimulus,score\na,5\n", "no column called subject"),
        ("subject,stimulus,vote\ns,a,5\n", "no column called score"),
        ("subject,stimulus,score,Score\ns,a,5,5\n", "two columns are called 'score'"),
        ("subject,stimulus,score\ns,a\n", "line 2 does not fit"),
        ("subject,stimulus,score\n,a,5\n", "does not say whose vote"),
        ("subject,stimulus,score\ns,,5\n", "does not say what was shown"),
        ("subject,codec,score\ns,x265,5\n", "does not say what was shown"),
        ("subject,stimulus,score\ns,a,good\n", "line 2 has a cell that is not a number"),
        ("subject,stimulus,score\ns,a,inf\n", "not a number"),
        ("subject,stimulus,score\ns,a,1_0\n", "not a number"),
        ("subject,stimulus,score\ns,a,6\n", "off the scale"),
        ("subject,stimulus,score\ns,a,0\n", "off the scale"),
        ("subject,stimulus,score\ns,a,5\ns,a,5\n", "a vote is there twice: s on a"),
        ("subject,stimulus,score\ns,a,\n", "no vote at all"),
        ("subject,stimulus,sequence,score\ns,a,one,5\nr,a,two,5\n", "in another way than before"),
        ("5,4\n3,nan\nnan,\n", "a stimulus has no vote"),
        ("5,nan\n3,nan\n", "a subject has no vote"),
        ("5,4\n3\n", "line 2 does not fit the first"),
        ("5,4,1\n3,2,1\n,\n1,1,1\n", "matrices of several sizes"),
        ("5,4\n3,9\n", "off the scale"),
        ("subject,sequence,a,b,choice\ns,v,p,q,both\n", "has no choice"),
        ("subject,sequence,a,b,choice\ns,v,p,p,a\n", "with itself"),
        ("subject,sequence,a,b,choice\ns,v,,p,a\n", "does not say what was shown"),
        ("subject,a,b,choice\ns,p,q,a\n", "no column called sequence"),
        ("subject,sequence,a,b,choice\ns,v,p,q,a\ns,v,q,p,b\n", "a vote is there twice"),
        ("subject,sequence,a,b,choice,first\ns,v,p,q,a,left\n", "what was shown first"),
        (b"\x1a\x45\xdf\xa3\x01\x00\x00\xff", "not a CSV file"),
        ('subject,stimulus,score\n"s,a,5\n', "not a CSV file"),
        (b"1,2\n" * (csvfile.MAX_BYTES // 4 + 1), "too large"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(read, text, said):
    with pytest.raises(RequestError, match=said) as error:
        read(text)
    assert "where:" in str(error.value)
    assert len(str(error.value)) < 2000


def test_repetitions_are_told_apart_by_their_column(read):
    found = read("subject,stimulus,repetition,score\ns,a,1,5\ns,a,2,4\nr,a,1,3\n")
    np.testing.assert_array_equal(found.scores[0], [[5, 4], [3, math.nan]])


def test_another_scale(read):
    found = read("subject,stimulus,score\ns,a,97.5\n", scale=(0, 100))
    assert found.scores[0, 0, 0] == 97.5
    with pytest.raises(RequestError, match="off the scale"):
        read("subject,stimulus,score\ns,a,101\n", scale=(0, 100))


def test_names_that_the_key_does_not_know(read):
    with pytest.raises(RequestError, match="does not know the stimulus 'x9'"):
        read("subject,stimulus,score\ns,x9,5\n", key=KEY)
    with pytest.raises(RequestError, match="does not know the stimulus 'x9'"):
        read("subject,a,b,choice\ns,x1,x9,a\n", key=KEY)
    with pytest.raises(RequestError, match="no names that a key could explain"):
        read("5,4\n3,2\n", key=KEY)


def test_kinds_do_not_mix(read):
    with pytest.raises(RequestError, match="do not mix"):
        read("subject,stimulus,score\ns,a,5\n", "subject,sequence,a,b,choice\ns,v,p,q,a\n")
    with pytest.raises(RequestError, match="a matrix stands alone"):
        read("5,4\n", "3,2\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[1]",
        "{}",
        '{"schema": 2, "stimuli": {}}',
        '{"schema": 1, "stimuli": []}',
        '{"schema": 1, "stimuli": {"a": 1}}',
        '{"schema": 1, "stimuli": {"a": {"codec": 1}}}',
        '{"schema": 1, "stimuli": {"a": {"q": "30"}}}',
        '{"schema": 1, "stimuli": {"a": {"q": NaN}}}',
        '{"schema": 1, "stimuli": {"a": {"q": true}}}',
        "[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_what_is_no_key_is_refused(tmp_path, text):
    with pytest.raises(RequestError, match="not the key of a study"):
        read_key(write(tmp_path / "key.json", text))


def test_files_that_are_not_there(tmp_path):
    for path in (tmp_path / "none", tmp_path):
        with pytest.raises(RequestError, match="cannot be read"):
            read_scores([path])
        with pytest.raises(RequestError, match="cannot be read"):
            read_key(path)
    with pytest.raises(RequestError, match="no votes are named"):
        read_scores([])


QUICK = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])


def give(data: bytes, key: dict[str, Stimulus] | None = None) -> None:
    """Read the bytes; what comes out is whole, or a refusal of the suite's own."""
    with tempfile.TemporaryDirectory() as name:
        path = write(Path(name) / "votes.csv", data)
        try:
            found = read_scores([path], key)
        except EvalError:
            return
    if isinstance(found, Ratings):
        assert found.scores.shape[:2] == (len(found.stimuli), len(found.subjects))
        voted = found.scores[~np.isnan(found.scores)]
        assert len(voted) > 0
        assert voted.min() >= 1
        assert voted.max() <= 5
    else:
        assert all(vote.a != vote.b for vote in found.votes)
        assert all(vote.subject for vote in found.votes)


@QUICK
@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbf")
@example(b"\x00" * 100)
@example(b",\n,\n")
@example(b"1" * 200_000)
@example(b"1e400,1\n")
@example("١,٢\n".encode())
def test_any_bytes_are_read_or_refused(data):
    give(data)


CELLS = st.sampled_from(["1", "5", "2.5", "", "nan", "inf", "s1", "s2", "x1", "x2", "a", "b", "tie", "0.01", '"', "-1"])
NAMES = st.sampled_from(
    (
        *("subject", "stimulus", "score", "a", "b", "choice", "sequence", "codec", "q", "target_bpp", "cell_key"),
        *("repetition", "first", "shown_scale", "late_s", "dropped_frames", "fullscreen", "", "x"),
    )
)


@QUICK
@given(
    st.lists(NAMES, min_size=1, max_size=8, unique=True).flatmap(
        lambda names: st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), max_size=5).map(
            lambda rows: [names, *rows]
        )
    ),
    st.booleans(),
)
def test_any_table_is_read_or_refused(rows, with_key):
    key = {name: Stimulus(name, "a", name) for name in ("x1", "x2")} if with_key else None
    give("\n".join(map(",".join, rows)).encode(), key)


@QUICK
@given(st.lists(st.lists(st.sampled_from(["1", "3", "5", "nan", "", "6"]), max_size=4), max_size=6))
def test_any_matrix_is_read_or_refused(rows):
    give("\n".join(map(",".join, rows)).encode())


def test_a_large_file_is_read_quickly(read):
    found = read(ratings_csv(np.full((500, 40), 3)))
    assert found.scores.shape == (500, 40, 1)
