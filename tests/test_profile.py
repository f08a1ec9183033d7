"""Profiles: the shipped ones, the arithmetic by hand, and their rows in a run."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from conftest import make_clip
from hypothesis import given
from hypothesis import strategies as st
from run_bench import Bench
from test_tables import rows as curve
from test_tables import table
from typer.testing import CliRunner

from evalsuite import resources
from evalsuite.cli.commands import app
from evalsuite.errors import EvalError, RecipeError, RequestError
from evalsuite.metrics.pooling import Pooled
from evalsuite.metrics.registry import infos
from evalsuite.results.profile import Profile, Term, formula_of, left_out, load_profile, parse_profile, profiles_for
from evalsuite.results.tables import bd_table
from evalsuite.sources.dataset import load_dataset

SHIPPED = ("conferencing", "screen", "sport", "streaming", "surveillance")
TWO = Profile("two", "for tests", (), (Term("psnr_y", 3, 20, 40), Term("lpips", 1, 0.5, 0.1)))


def means(**scores: float | str) -> dict[str, Pooled]:
    return {
        name: Pooled("mean", math.nan, "not_applicable", score)
        if isinstance(score, str)
        else Pooled("mean", score, "infinite" if math.isinf(score) else "ok")
        for name, score in scores.items()
    }


def test_the_score_by_hand() -> None:
    (score,) = TWO.scores([means(psnr_y=35, lpips=0.2)])
    # (3 x 15/20 + 1 x 0.3/0.4) / 4
    assert (score.statistic, score.status, score.reason) == ("mean", "ok", "")
    assert score.score == pytest.approx(75)
    assert TWO.formula.startswith("100 (3 psnr_y[20, 40] + 1 lpips[0.5, 0.1]) / 4; ")


def test_scores_are_held_between_the_ends_and_infinite_is_the_best() -> None:
    found = TWO.scores([means(psnr_y=10, lpips=0.9), means(psnr_y=math.inf, lpips=0.0)])
    assert [one.score for one in found] == [0, 100]


def test_a_logarithmic_metric_is_halfway_at_the_geometric_mean() -> None:
    term = Term("warp_error", 1, 1e-2, 1e-6, "log")
    assert term.share(1e-4) == pytest.approx(0.5)
    assert (term.share(0.0), term.share(1e-9), term.share(1.0)) == (1, 1, 0)


def test_trap21_what_does_not_apply_drops_out_for_all_points_alike() -> None:
    found = TWO.scores([means(psnr_y=30, lpips=0.3), means(psnr_y=40, lpips="no network")])
    # Without LPIPS at either: the first point is not scored by another formula than the second.
    assert [one.score for one in found] == [pytest.approx(50), pytest.approx(100)]
    assert {one.reason for one in found} == {"without lpips (lpips: no network)"}
    assert TWO.scores([means(psnr_y=30)])[0].reason == "without lpips (lpips: not measured)"


def test_points_that_others_decide_for_have_the_score_of_their_formula_or_none() -> None:
    clean = [means(psnr_y=30, lpips=0.3), means(psnr_y=40, lpips=0.1)]
    lossy = [means(psnr_y=25, lpips="grey"), means(psnr_y=20, lpips=0.5)]
    found = TWO.scores([*clean, *lossy], like=clean)
    assert found[:2] == TWO.scores(clean)
    assert (found[2].status, found[2].reason) == ("not_applicable", "without lpips (lpips: grey)")
    assert (found[3].status, found[3].score) == ("ok", 0)


def test_with_less_than_half_of_the_weights_there_is_no_score() -> None:
    (score,) = TWO.scores([means(psnr_y="grey", lpips=0.2)])
    assert score.status == "not_applicable"
    assert math.isnan(score.score)
    assert score.reason == "only 25 % of the weights have a score; without psnr_y (psnr_y: grey)"


@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-10, 10)), min_size=1, max_size=8))
def test_scores_keep_to_their_range_and_better_is_never_worse(points: list[tuple[float, float]]) -> None:
    found = [one.score for one in TWO.scores([means(psnr_y=psnr, lpips=lpips) for psnr, lpips in points])]
    better = [one.score for one in TWO.scores([means(psnr_y=psnr + 1, lpips=lpips - 0.1) for psnr, lpips in points])]
    low, high = TWO.info.range
    assert all(low <= score <= high + 1e-9 for score in found)
    assert all(after >= before for before, after in zip(found, better, strict=True))


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_profiles_agree_with_the_metrics_they_name(name: str) -> None:
    profile = load_profile(name)
    assert profile.name == name
    assert sum(term.weight for term in profile.terms) == pytest.approx(1)
    for term in profile.terms:
        info = infos()[term.metric]
        assert info.higher_is_better is (term.best > term.worst)
        low, high = info.range
        assert low <= min(term.worst, term.best) < max(term.worst, term.best) <= high
    # Why it is weighed so is part of the file.
    assert resources.find("profiles", name).read_text().startswith("# ")


@pytest.mark.parametrize("name", [name for name in SHIPPED if "warp_error" in load_profile(name).metrics])
def test_ends_are_in_the_unit_of_the_metric(name: str) -> None:
    # Of carphone's error signal, x1e-4, published: blurred, frozen, flickering (golden table of test_temporal.py).
    (term,) = (term for term in load_profile(name).terms if term.metric == "warp_error")
    assert infos()["warp_error"].unit == "1e-4"
    shares = [term.share(value) for value in (2.01, 4.01, 9.72)]
    assert 0 < shares[2] < shares[1] < shares[0] < 1


def test_reasons_that_are_alike_are_said_once() -> None:
    said = left_out({"vmaf": "this is PQ", "text_cer": "no text", "lpips": "this is PQ"})
    assert said == "without vmaf, text_cer, lpips (vmaf, lpips: this is PQ; text_cer: no text)"
    assert formula_of(said) == "without vmaf, text_cer, lpips"


def test_every_kind_of_content_is_there_and_demo_sequences_find_theirs() -> None:
    assert tuple(resources.available("profiles")) == SHIPPED
    tags = {entry.name: entry.tags for entry in load_dataset("demo").sequences}
    chosen = profiles_for("auto", tags)
    assert [profile.name for profile in chosen["carphone"]] == ["conferencing"]
    assert all(chosen.values())


def test_what_profile_asks_for() -> None:
    tags = {"a": ("sport",), "b": ()}
    assert {name: [one.name for one in chosen] for name, chosen in profiles_for("auto", tags).items()} == {
        "a": ["sport"],
        "b": [],
    }
    assert profiles_for("none", tags) == {"a": (), "b": ()}
    assert [one.name for one in profiles_for("screen, sport,screen", tags)["b"]] == ["screen", "sport"]
    for wrong, said in (("sprot", "did you mean sport"), ("", "names no profile"), ("auto,sport", "names no profile")):
        with pytest.raises(RequestError, match=said):
            profiles_for(wrong, tags)
    with pytest.raises(RequestError, match="no sequence here has any"):
        profiles_for("auto", {"a": (), "b": ()})


GOOD = {"name": "x", "description": "d", "metrics": [{"name": "psnr_y", "weight": 1, "worst": 20, "best": 40}]}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "No Word"}, "`name` is not valid"),
        ({"metrics": []}, "`metrics` is not valid"),
        ({"weights": 1}, "`weights` is unknown"),
        ({"tags": "sport"}, "`tags` is not valid"),
        ({"metrics": GOOD["metrics"] * 2}, "psnr_y twice"),
        ({"metrics": [{"name": "psnr_y", "weight": 0, "worst": 20, "best": 40}]}, "`weight` is not valid"),
        ({"metrics": [{"name": "psnr_y", "weight": 1, "worst": 20, "best": 20}]}, "`best` is not valid"),
        ({"metrics": [{"name": "psnr_y", "weight": 1, "worst": 20}]}, "`best` is missing"),
        ({"metrics": [{"name": "w", "weight": 1, "worst": 1, "best": 0, "domain": "log"}]}, "a number above 0"),
        ({"metrics": [{"name": "w", "weight": 1, "worst": 1, "best": 0.5, "domain": "cubic"}]}, "linear or log"),
        ({"metrics": [{"name": "w", "weight": math.inf, "worst": 1, "best": 0.5}]}, "a number"),
        ({"metrics": [{"name": "w", "weight": 1, "worst": 1, "best": 0.5, "bset": 1}]}, "`bset` is unknown"),
    ],
)
def test_a_wrong_file_is_told_where(change: dict[str, object], said: str) -> None:
    assert parse_profile(GOOD, Path("x.toml")).metrics == ("psnr_y",)
    with pytest.raises(RecipeError) as caught:
        parse_profile({**GOOD, **change}, Path("x.toml"))
    assert said in str(caught.value)
    assert "x.toml" in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from(["name", "description", "tags", "metrics", "else"]),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["name", "weight", "worst", "best", "domain"]), inner)
            ),
        ),
    )
)
def test_any_file_is_read_or_refused(data: dict[str, object]) -> None:
    try:
        profile = parse_profile(data, Path("x.toml"))
    except EvalError:
        return
    assert profile.terms


def test_the_version_changes_with_the_formula() -> None:
    other = Profile("two", "for tests", (), (Term("psnr_y", 2, 20, 40), Term("lpips", 1, 0.5, 0.1)))
    assert TWO.info.version != other.info.version
    assert TWO.info.name == "profile:two"


MINE = """
name = "mine"
description = "for tests"
tags = ["calm"]
[[metrics]]
name = "psnr_y"
weight = 0.75
worst = 10
best = 60
[[metrics]]
name = "xpsnr"
weight = 0.25
worst = 10
best = 60
"""


def test_a_run_has_the_profile_as_a_metric_with_a_bd_rate(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "mine.toml").write_text(MINE)
    done = bench.run(*bench.arguments("--profile", "mine.toml"))
    assert "profile:mine = 100 (0.75 psnr_y[10, 60] + 0.25 xpsnr[10, 60])" in done.stdout
    points = bench.points()
    rows = points[points["statistic"] == "mean"].pivot(index="cell_key", columns="metric", values="score")
    # XPSNR was not asked for: the profile needs it.
    expected = 100 * (0.75 * (rows["psnr_y"] - 10) + 0.25 * (rows["xpsnr"] - 10)) / 50
    np.testing.assert_allclose(rows["profile:mine"], expected)
    summary = bench.summary()
    assert summary["request"]["profiles"] == {"clip0": ["mine"], "clip1": ["mine"]}
    assert next(one for one in summary["metrics"] if one["name"] == "profile:mine")["family"] == "profile"
    assert {row["metric"] for row in summary["bd_rate"]} == {"psnr_y", "psnr_yuv", "xpsnr", "profile:mine"}
    page = "".join(path.read_text() for path in (tmp_path / "results" / "report").glob("*.html"))
    assert "0.75 psnr_y[10, 60]" in page


def test_an_unknown_profile_ends_a_run_before_anything_is_encoded(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    done = bench.run(*bench.arguments("--profile", "conferencign"), expect=2)
    assert "did you mean conferencing" in done.stderr
    assert bench.logged("encode") == 0


def test_scores_of_different_formulas_are_not_compared() -> None:
    rates, scores = 0.01 * 2 ** np.arange(5), 30.0 + 5 * np.arange(5)
    points = table(*(curve(codec, "s", rates, scores, metric="profile:two") for codec in ("a", "b")))
    assert {row.status for row in bd_table(points, "a")} == {"ok"}
    points.loc[points["codec"] == "b", "reason"] = "without lpips (lpips: no network)"
    rows = bd_table(points, "a")
    assert {row.status for row in rows} == {"refused"}
    assert "not the same formula: with all metrics against without lpips" in rows[0].reason
    points["reason"] = ["without lpips (lpips: one reason)"] * 5 + ["without lpips (lpips: another)"] * 5
    assert {row.status for row in bd_table(points, "a")} == {"ok"}


def test_measure_sums_up_two_files(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(MINE)
    clips = [str(make_clip(tmp_path / f"{name}.y4m", 64, 48, 3, seed=name)) for name in (0, 1)]
    runner = CliRunner()
    done = runner.invoke(app, ["measure", *clips, "--metrics", "psnr_y", "--profile", str(tmp_path / "mine.toml")])
    assert done.exit_code == 0
    assert "profile:mine = 100 (0.75 psnr_y[10, 60]" in done.stdout
    assert "xpsnr" in done.stdout
    refused = runner.invoke(app, ["measure", *clips, "--profile", "auto"])
    assert refused.exit_code == 2
    assert "no tags" in refused.output


def test_the_formula_that_is_shown_gives_the_score() -> None:
    """What has no score is not in it, and the divisor is that of the rest."""
    have = means(psnr_y=30)
    (score,) = TWO.scores([have])
    (term,) = (term for term in TWO.terms if term.metric == "psnr_y")
    assert TWO.formula_with(have).startswith(f"100 ({term.formula}) / {term.weight:g}; x[worst, best] is the mean of x")
    assert score.score == pytest.approx(100 * term.weight * term.share(30) / term.weight)
    assert " / 1;" not in TWO.formula_with(means(psnr_y=30, lpips=0.2))


def test_metrics_show_prints_the_formula() -> None:
    done = CliRunner().invoke(app, ["metrics", "show", "profile:sport"])
    assert done.exit_code == 0
    shown = " ".join(done.stdout.split())
    assert " ".join(load_profile("sport").formula.split()) in shown
    assert "Never the only number" in shown
    assert "profile:nothing" not in CliRunner().invoke(app, ["metrics", "show", "profile:nothing"]).stdout
