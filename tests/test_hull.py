import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from evalsuite.results.hull import families, hull_codec, hull_indices, hull_rows

points = st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), min_size=3, max_size=20, unique=True)


def test_hull_of_two_resolutions_takes_each_where_it_is_better():
    """Half size wins below 40, full size above; the point at 40 of full size lies below the chord."""
    rates = [10, 20, 40, 80, 10, 20, 40, 80]
    scores = [50, 62, 70, 74, 20, 45, 71, 90]
    assert hull_indices(rates, scores, higher_is_better=True).tolist() == [0, 1, 7]
    assert hull_indices(rates, [-s for s in scores], higher_is_better=False).tolist() == [0, 1, 7]


@given(points)
def test_hull_is_the_upper_left_part_of_qhulls(found):
    xy = np.array(found, dtype=float)
    ours = hull_indices(xy[:, 0], xy[:, 1], higher_is_better=True)
    # With these corners the vertices of the whole hull are those above and to the left.
    (left, low), (right, high) = xy.min(axis=0), xy.max(axis=0)
    corners = [[left, low - 1], [right + 1, low - 1], [right + 1, high]]
    whole = ConvexHull(np.vstack([xy, corners]))
    assert sorted(ours) == sorted(i for i in whole.vertices if i < len(xy))


def test_hull_rises_and_bends_down():
    random = np.random.default_rng(3)
    rates, scores = random.uniform(1, 100, 200), random.uniform(0, 50, 200)
    on_it = hull_indices(rates, scores, higher_is_better=True)
    slopes = np.diff(scores[on_it]) / np.diff(rates[on_it])
    assert (slopes > 0).all()
    assert (np.diff(slopes) < 0).all()


ENTRY = {
    **dict.fromkeys(("structure", "internal_bit_depth", "delay", "rate_source", "recipe_sha256"), "x"),
    "intra_period": 32,
    "threads": 1,
}


def test_families_hold_what_differs_in_size_or_preset_alone():
    codecs = [
        ENTRY | {"name": "x265"},
        ENTRY | {"name": "x265:half"},
        ENTRY | {"name": "x265:lowdelay", "structure": "other"},
        ENTRY | {"name": "x264"},
    ]
    assert families(codecs) == {"x265:hull": ["x265", "x265:half"]}
    entry = hull_codec("x265:hull", codecs[:2])
    assert (entry["name"], entry["preset"]) == ("x265:hull", "hull")


def test_rows_of_a_hull_are_chosen_metric_by_metric():
    def row(codec, cell, bpp, metric, score, statistic="mean"):
        return {
            "codec": codec,
            "cell_key": cell,
            "bpp": bpp,
            "metric": metric,
            "score": score,
            "sequence": "s",
            "statistic": statistic,
            "status": "ok",
            "higher_is_better": metric != "lpips",
            "q": 30.0,
        }

    rows = [
        row("x265", "a", 10, "vmaf", 50),
        row("x265", "a", 10, "vmaf", 40, "p5"),
        row("x265:half", "b", 10, "vmaf", 60),
        row("x265", "a", 10, "lpips", 0.2),
        row("x265:half", "b", 10, "lpips", 0.3),
        row("vvenc", "c", 10, "vmaf", 90),
        row("x265", "a", 10, "encode_fps", 5),
    ]
    found = list(hull_rows(rows, "x265:hull", ["x265", "x265:half"], {"vmaf", "lpips"}))
    assert [(one["metric"], one["cell_key"]) for one in found] == [("vmaf", "b"), ("lpips", "a")]
    assert {(one["codec"], one["q"], one["preset"]) for one in found} == {("x265:hull", None, "hull")}


def test_cells_of_members_that_failed_are_the_hulls():
    told = {"codec": "x265", "metric": "vmaf", "sequence": "s", "statistic": "mean", "higher_is_better": True}
    good = told | {"cell_key": "a", "bpp": 10, "score": 50, "status": "ok", "q": 30.0}
    encode = told | {"cell_key": "", "bpp": None, "score": None, "status": "failed", "q": 40.0}
    decode = encode | {"cell_key": "b", "bpp": 5}
    found = list(hull_rows([good, encode, decode], "x265:hull", ["x265", "x265:half"], {"vmaf"}))
    assert [(one["codec"], one["status"], one["q"], one["bpp"]) for one in found] == [
        ("x265:hull", "ok", None, 10),
        ("x265:hull", "failed", None, None),
        ("x265:hull", "failed", None, 5),
    ]


@pytest.mark.parametrize("count", [0, 1])
def test_hull_of_next_to_nothing(count):
    assert hull_indices([5.0] * count, [1.0] * count, higher_is_better=True).tolist() == list(range(count))
