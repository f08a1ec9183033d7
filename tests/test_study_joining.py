"""The stimuli that people judged, found among the points of a run."""

from __future__ import annotations

import pytest
from report_sample import write_sample
from study_samples import many_contents

from evalsuite.errors import RequestError
from evalsuite.results.load import read_run
from evalsuite.study.joining import Judged, join
from evalsuite.study.stimuli import Stimulus


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return many_contents(tmp_path_factory.mktemp("run"))


def test_a_stimulus_is_found_by_cell_key_and_by_operating_point(run):
    cell = run.points.iloc[0]
    told = [
        Stimulus("blind", cell_key=cell["cell_key"]),
        Stimulus(cell["cell_key"]),
        Stimulus("t", cell["sequence"], cell["codec"], q=cell["q"]),
        Stimulus("t", cell["sequence"], f"{cell['codec']}/{cell['preset']}", target_bpp=cell["target_bpp"] * 1.0004),
    ]
    expected = cell["score"]
    for stimulus in told:
        found = join([Judged(stimulus, 3.0)], run, [cell["metric"]])
        assert found.metrics[0].scores == pytest.approx([expected])
        assert found.contents == (cell["sequence"],)


def test_all_metrics_with_a_direction_come(run):
    cell = run.points.iloc[0]
    names = {one.name: one for one in join([Judged(Stimulus(cell["cell_key"]), 3.0)], run).metrics}
    assert {"psnr_y", "vmaf", "lpips"} <= set(names)
    assert not names["lpips"].higher_is_better


@pytest.mark.parametrize(
    ("stimulus", "said"),
    [
        (Stimulus("t", "carphone", "x256", q=30), "did you mean"),
        (Stimulus("t", "nowhere", "x265", q=30), "is not there"),
        (Stimulus("t", "carphone", "x265"), "is not there"),
        (Stimulus("row 1"), "is not there"),
        (Stimulus("t", "carphone", "source", is_source=True), "hidden references alone"),
    ],
)
def test_a_stimulus_that_is_not_in_the_run(run, stimulus, said):
    with pytest.raises(RequestError) as error:
        join([Judged(stimulus, 3.0)], run)
    assert said in str(error.value)


def test_figures_that_describe_are_no_metrics_to_judge(tmp_path):
    write_sample(tmp_path, metrics=["vmaf", "peak_kbps"])
    run = read_run(tmp_path)
    judged = [Judged(Stimulus(run.points.iloc[0]["cell_key"]), 3.0)]
    assert [one.name for one in join(judged, run).metrics] == ["vmaf"]
    with pytest.raises(RequestError, match="peak_kbps has no better and worse"):
        join(judged, run, ["peak_kbps"])


def test_unknown_metrics_of_a_run(run):
    judged = [Judged(Stimulus(run.points.iloc[0]["cell_key"]), 3.0)]
    with pytest.raises(RequestError, match="no metric 'vmav'") as error:
        join(judged, run, ["vmav"])
    assert "did you mean vmaf" in str(error.value)


def test_two_stimuli_on_one_point(run):
    cell = run.points.iloc[0]
    twice = [Judged(Stimulus(cell["cell_key"]), 3.0), Judged(Stimulus("b", cell_key=cell["cell_key"]), 4.0)]
    with pytest.raises(RequestError, match="the same point"):
        join(twice, run)


def test_groups_of_scores_with_a_zero_of_their_own_are_told(run):
    cells = run.points[run.points["metric"] == "psnr_y"].drop_duplicates("cell_key").head(4)
    judged = [
        Judged(Stimulus(key), score, group)
        for key, score, group in zip(cells["cell_key"], (1.0, -1.0, 0.5, -0.5), "aabb", strict=True)
    ]
    found = join(judged, run, ["psnr_y"])
    assert found.judged == pytest.approx([1, -1, 0.5, -0.5])
    assert found.metrics[0].scores == pytest.approx(cells["score"].to_numpy())
    assert found.groups == ("a", "a", "b", "b")
    assert join([Judged(Stimulus(cells["cell_key"].iloc[0]), 3.0)], run, ["psnr_y"]).groups == ()


def test_a_stimulus_of_another_run_is_not_taken_for_one_with_its_settings(run):
    cell = run.points.iloc[0]
    told = Stimulus("blind", cell["sequence"], cell["codec"], cell["q"], cell["target_bpp"], cell_key="another encode")
    with pytest.raises(RequestError, match="none of its points has the cell key") as error:
        join([Judged(told, 3.0)], run)
    assert "give the run that the study was made from" in str(error.value)
