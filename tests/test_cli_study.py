"""`evalsuite study` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from study_samples import evalsuite, many_contents, ratings_csv, real_run, votes_csv, write
from sureal_published import MOS
from typer.testing import CliRunner

from evalsuite.cli.study import app
from evalsuite.errors import EvalError, RequestError


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def refused(*arguments: str | Path) -> str:
    with pytest.raises(EvalError) as error:
        CliRunner().invoke(app, [str(one) for one in arguments], catch_exceptions=False)
    return str(error.value)


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    return many_contents(tmp_path_factory.mktemp("many") / "run")


@pytest.fixture(scope="module")
def ratings(many, tmp_path_factory) -> Path:
    """Ratings of twelve subjects who judge by VMAF, with noise."""
    rng = np.random.default_rng(12)
    vmaf = many.points[(many.points["metric"] == "vmaf") & (many.points["statistic"] == "mean")]
    lines = ["subject,cell_key,score"]
    for key, score in zip(vmaf["cell_key"], vmaf["score"], strict=True):
        mean = 1 + 4 / (1 + np.exp(-(score - 55) / 15))
        lines += [
            f"s{place},{key},{vote}" for place, vote in enumerate(np.clip(rng.normal(mean, 0.5, 12).round(), 1, 5))
        ]
    return write(tmp_path_factory.mktemp("votes") / "ratings.csv", "\n".join(lines) + "\n")


def test_the_sample_of_sureal(golden):
    path = golden / "sureal_sample_data.csv"
    if not path.is_file():
        pytest.skip("sureal_sample_data.csv is not here (../shared/golden)")
    found = json.loads(run("analyse", path, "--json"))
    assert (found["schema"], found["kind"], found["model"]) == (1, "ratings", "p910")
    assert [one["mos"] for one in found["stimuli"]] == pytest.approx(MOS, abs=1e-9)
    shown = run("analyse", path)
    assert "4.926" in shown
    assert "column 1" in shown


def test_metrics_of_a_run_are_judged(many, ratings):
    found = json.loads(run("analyse", ratings, "--run", many.folder, "--json"))
    by_name = {one["metric"]: one for one in found["metrics"]}
    mos = [one["mos"] for one in found["stimuli"]]
    rows = many.points[(many.points["metric"] == "lpips") & (many.points["statistic"] == "mean")].set_index("cell_key")
    lpips = rows.loc[[one["cell_key"] for one in found["stimuli"]], "score"]
    assert by_name["lpips"]["srocc"] == pytest.approx(-spearmanr(lpips, mos).statistic)
    vmaf = by_name["vmaf"]
    assert (vmaf["stimuli"], vmaf["contents"]) == (60, 5)
    assert vmaf["srocc_ci"][0] <= vmaf["srocc"] <= vmaf["srocc_ci"][1]
    assert vmaf["rmse"] < 0.4
    assert "vmaf" in found["as_good_as_best"]
    few = json.loads(run("analyse", ratings, "--run", many.folder, "--metrics", "vmaf,psnr_y", "--json"))
    assert {one["metric"] for one in few["metrics"]} == {"vmaf", "psnr_y"}


def test_tables_fit_eighty_columns(many, ratings, tmp_path):
    shown = run("analyse", ratings, "--run", many.folder)
    assert "SROCC" in shown
    assert "agrees best with people" in shown
    shown += run("analyse", write(tmp_path / "v.csv", votes_csv({("p", "q"): 9, ("q", "p"): 5}, subjects=7)))
    assert "Bradley-Terry" in shown
    assert max(len(line.rstrip()) for line in shown.splitlines()) <= 80


def test_names_in_votes_do_not_steer_the_terminal(tmp_path):
    # Whose group is refused, beside one that is not.
    hostile = votes_csv({("p", "q"): 1}, sequence="\x1b[31mred\x1b]0;title\x07").splitlines()[1:]
    text = votes_csv({("p", "q"): 9, ("q", "p"): 5}, subjects=7) + "\n".join(hostile) + "\n"
    shown = run("analyse", write(tmp_path / "v.csv", text))
    assert "refused: one side won every vote" in shown
    assert "red" in shown
    assert "\x1b" not in shown
    assert "\x07" not in shown


def test_comparisons_are_judged_within_their_groups(many, tmp_path):
    rng = np.random.default_rng(13)
    vmaf = many.points[(many.points["metric"] == "vmaf") & (many.points["statistic"] == "mean")]
    lines = ["subject,sequence,target_bpp,a,b,choice"]
    for (sequence, target), group in vmaf.groupby(["sequence", "target_bpp"]):
        cells = list(zip(group["codec"], group["score"], strict=True))
        for subject in range(10):
            for at, (a, x) in enumerate(cells):
                for b, y in cells[:at]:
                    choice = "a" if rng.random() < 1 / (1 + np.exp((y - x) / 4)) else "b"
                    lines.append(f"s{subject},{sequence},{target},{a},{b},{choice}")
    path = write(tmp_path / "votes.csv", "\n".join(lines) + "\n")
    found = json.loads(run("analyse", path, "--run", many.folder, "--prior", "0.5", "--json"))
    assert len(found["comparisons"]) == 20
    assert {one["status"] for one in found["comparisons"]} == {"ok"}
    vmaf_row = next(one for one in found["metrics"] if one["metric"] == "vmaf")
    assert vmaf_row["srocc"] > 0.8
    assert vmaf_row["contents"] == 5


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        (ratings_csv([[1, 2], [3, 4]]), ["--model", "p999"], "--model cannot be"),
        (ratings_csv([[1, 2], [3, 4]]), ["--scale", "5"], "--scale is the lowest and the highest"),
        (ratings_csv([[1, 2], [3, 4]]), ["--scale", "5,1"], "--scale is the lowest and the highest"),
        (ratings_csv([[1, 2], [3, 4]]), ["--scale", "a,b"], "takes numbers"),
        (ratings_csv([[1, 2], [3, 4]]), ["--metrics", "vmaf"], "none is named"),
        (ratings_csv([[1], [3]]), [], "at least 2 subjects"),
        (ratings_csv([[1, 3]]), [], "at least 2 stimuli"),
        (votes_csv({("p", "q"): 3}), [], "no bound"),
        (votes_csv({("p", "q"): 3, ("r", "t"): 3}), [], "2 parts"),
        (votes_csv({("p", "q"): 3}), ["--prior", "-1"], "--prior is a number of votes"),
        (votes_csv({("p", "q"): 3}), ["--model", "mos"], "--model is of ratings"),
        (votes_csv({("p", "q"): 3}), ["--scale", "1,5"], "--scale is of ratings"),
        (ratings_csv([[1, 2], [3, 4]]), ["--prior", "0.5"], "--prior is of comparisons"),
    ],
)
def test_what_is_refused(tmp_path, text, options, said):
    assert said in refused("analyse", write(tmp_path / "v.csv", text), *options)


def test_votes_of_another_run_are_refused(many, tmp_path):
    path = write(tmp_path / "v.csv", ratings_csv([[1, 2], [3, 4], [5, 4]]))
    assert "cannot be found in the run" in refused("analyse", path, "--run", many.folder)


def test_making_and_analysing(tmp_path_factory, tmp_path, monkeypatch):
    real = real_run(tmp_path_factory)
    monkeypatch.setenv("EVALSUITE_CACHE", str(real / "cache"))
    shown = run("make", real / "run", "--out", tmp_path / "study", "--store", real / "store", "--targets", "0.07,0.053")
    assert "2 trials" in shown
    assert "off its target" in shown or "another rate" in shown
    assert "hand out:" in shown
    document = json.loads(
        run(
            "make",
            real / "run",
            "--out",
            tmp_path / "dcr",
            "--store",
            real / "store",
            "--method",
            "dcr",
            "--codecs",
            "x265",
            "--targets",
            "0.07",
            "--json",
        )
    )
    assert (document["schema"], document["trials"], document["shown"]) == (1, 2, 1)
    assert Path(document["page"]).is_file()
    assert "--method cannot be" in refused("make", real / "run", "--out", tmp_path / "x", "--method", "acr")
    for option in ("--ties", "--link-rates"):
        said = refused("make", real / "run", "--out", tmp_path / "x", "--method", "dcr", option)
        assert f"{option} is of --method pairwise" in said
    assert "no results store" in refused("make", real / "run", "--out", tmp_path / "x", "--store", tmp_path / "none")
    # Ratings of the blind names, as the page writes them.
    key = json.loads((tmp_path / "dcr" / "key.json").read_text())
    names = list(key["stimuli"])
    lines = [f"s{k},{name},{3 + k % 2}" for name in names for k in range(4)]
    votes = write(tmp_path / "votes.csv", "subject,stimulus,score\n" + "\n".join(lines) + "\n")
    with pytest.raises(RequestError):
        run("analyse", votes, "--key", tmp_path / "study" / "key.json")  # another study's
    arguments = ("analyse", votes, "--key", tmp_path / "dcr" / "key.json", "--model", "mos", "--run", real / "run")
    found = json.loads(run(*arguments, "--json"))
    assert {one["codec"] for one in found["stimuli"]} == {"x265", "source"}
    # The hidden reference is no point of the run: one stimulus is left, too few to judge a metric by.
    assert {one["stimuli"] for one in found["metrics"]} == {1}
    assert all(one["srocc"] is None for one in found["metrics"])
    assert "NaN" not in json.dumps(found)


def test_the_command_is_there_with_examples(tmp_path):
    assert "analyse" in evalsuite(tmp_path, "study", "--help")
    for name in ("make", "analyse"):
        assert f"Example: evalsuite study {name}" in evalsuite(tmp_path, "study", name, "--help")
    (tmp_path / "v.csv").write_text("subject,score\n")
    evalsuite(tmp_path, "study", "analyse", "v.csv", expect=2)
