"""Making a study: what is shown, that clips are the decoded frames, and that nothing tells which codec made them."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from study_samples import many_contents, real_run

from evalsuite.codec.decoder import decode
from evalsuite.codec.recipe import load_recipe
from evalsuite.errors import EvalError, RequestError
from evalsuite.results.load import RunResults, read_run
from evalsuite.sources.reader import open_video
from evalsuite.sources.y4m import join_planes
from evalsuite.study import plan as planning
from evalsuite.study.page import ASSETS, STATIC, Settings, make_study
from evalsuite.study.plan import make_plan
from evalsuite.types import OperatingPoint
from evalsuite.viewing.material import opened

RATES = (0.07, 0.053)
"""Near one rate of each sequence."""


@pytest.fixture(scope="module")
def real(tmp_path_factory) -> Path:
    return real_run(tmp_path_factory)


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> RunResults:
    return many_contents(tmp_path_factory.mktemp("many"))


@pytest.fixture(autouse=True)
def _cache(real, monkeypatch):
    monkeypatch.setenv("EVALSUITE_CACHE", str(real / "cache"))


def made(real: Path, out: Path, method="pairwise", settings=Settings(), **choice) -> tuple[dict, dict]:  # noqa: B008 - frozen
    """What the page is told, and the key."""
    run = read_run(real / "run")
    with opened(run, real / "store", 60) as material:
        make_study(make_plan(run, method, **choice), material, out, settings)
    text = (out / "page" / "data.js").read_text()
    told = json.loads(text.removeprefix("window.evalsuiteStudy = ").rstrip(";\n"))
    return told, json.loads((out / "key.json").read_text())


@pytest.fixture(scope="module")
def study(real, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("study") / "made"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EVALSUITE_CACHE", str(real / "cache"))
        made(real, out, targets=RATES)
    return out


def read_study(study: Path) -> tuple[dict, dict]:
    text = (study / "page" / "data.js").read_text()
    told = json.loads(text.removeprefix("window.evalsuiteStudy = ").rstrip(";\n"))
    return told, json.loads((study / "key.json").read_text())


def test_pairs_are_of_one_sequence_and_one_rate(many):
    plan = make_plan(many, "pairwise")
    # Three codecs at four rates on five sequences: three pairs at each of the twenty.
    assert len(plan.pairs) == 60
    for a, b in plan.pairs:
        assert (a.sequence, a.target_bpp) == (b.sequence, b.target_bpp)
        assert a.codec != b.codec


def test_linked_rates_make_one_scale_of_a_sequence(many):
    plan = make_plan(many, "pairwise", link_rates=True, sequences=["face"])
    links = [(a, b) for a, b in plan.pairs if a.codec == b.codec]
    assert len(links) == 3 * 3
    assert all(a.target_bpp < b.target_bpp for a, b in links)


def test_choices_are_kept(many):
    plan = make_plan(many, "dcr", codecs=["x265", "x264"], sequences=["face"], targets=[0.011, 0.04])
    assert {(one.codec, one.target_bpp) for one in plan.shown} == {
        (codec, target) for codec in ("x265", "x264") for target in (0.01, 0.04)
    }
    assert {one.reason for one in plan.left_out} == {"another rate than those asked for"}


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"codecs": ["x266"]}, "did you mean"),
        ({"sequences": ["fase"]}, "did you mean face"),
        ({"targets": [-1.0]}, "--targets are rates"),
        ({"targets": [math.nan]}, "--targets are rates"),
        ({"targets": [3.0]}, "nothing in the run can be compared"),
        ({"codecs": ["x265"]}, "nothing at this rate to compare"),
    ],
)
def test_wrong_choices_are_refused(many, choice, said):
    with pytest.raises(RequestError) as error:
        make_plan(many, "pairwise", **choice)
    assert said in str(error.value)


def changed(run: RunResults, **columns) -> RunResults:
    return replace(run, points=run.points.assign(**columns))


def test_a_rate_off_its_target_is_not_compared_and_is_listed(many):
    at = (many.points["codec"] == "x265") & (many.points["sequence"] == "face") & (many.points["target_bpp"] == 0.02)
    off = changed(many, bpp=np.where(at, 0.021, many.points["bpp"]))
    plan = make_plan(off, "pairwise", sequences=["face"])
    assert len(plan.pairs) == 12 - 2
    (one,) = plan.left_out
    assert (one.codec, one.reason) == ("x265", "+5.0 % off its target, 3 % are allowed")


def test_the_codec_that_others_were_matched_to_is_at_their_targets(many):
    own = many.points["codec"] == "vvenc"
    points = many.points.assign(
        bpp=np.where(own, many.points["target_bpp"], many.points["bpp"]),
        target_bpp=np.where(own, np.nan, many.points["target_bpp"]),
    )
    assert len(make_plan(replace(many, points=points), "pairwise").pairs) == 60


def test_the_codec_that_others_were_matched_to_can_be_shown_alone(many):
    own = many.points["codec"] == "vvenc"
    points = many.points.assign(
        bpp=np.where(own, many.points["target_bpp"], many.points["bpp"]),
        target_bpp=np.where(own, np.nan, many.points["target_bpp"]),
    )
    plan = make_plan(replace(many, points=points), "dcr", codecs=["vvenc"])
    assert {one.codec for one in plan.shown} == {"vvenc"}
    assert len(plan.shown) == 20
    assert plan.left_out == ()
    few = make_plan(replace(many, points=points), "dcr", codecs=["vvenc"], sequences=["face"], targets=[0.011])
    assert [one.target_bpp for one in few.shown] == [0.01]


def test_a_ladder_of_its_own_can_be_rated_and_not_compared(many):
    own = many.points[many.points["codec"] == "vvenc"].assign(target_bpp=np.nan)
    ladder = replace(many, points=own)
    plan = make_plan(ladder, "dcr")
    assert len(plan.shown) == 20
    assert plan.left_out == ()
    assert all(one.target_bpp == one.bpp for one in plan.shown)
    with pytest.raises(RequestError, match="compared at matched bitrates"):
        make_plan(ladder, "pairwise")


def test_a_title_names_no_codec_that_is_shown(real, tmp_path):
    for title in ("tvc against x265", "X265: which is better?"):
        with pytest.raises(RequestError, match="the title names the codec x265"):
            made(real, tmp_path / "study", settings=Settings(title=title), targets=RATES)
    assert list(tmp_path.iterdir()) == []


def test_published_points_have_nothing_to_show(many):
    published = changed(many, bitstream_sha256=pd.Series([None] * len(many.points), index=many.points.index))
    with pytest.raises(RequestError, match="nothing in the run") as error:
        make_plan(published, "dcr")
    assert "published, not run" in str(error.value)


def test_every_clip_is_the_decoded_sequence_to_the_bit(real, study):
    told, key = read_study(study)
    run = read_run(real / "run")
    assert len(key["stimuli"]) == len(told["clips"]) == 4
    with opened(run, real / "store", 60) as material:
        for name, entry in key["stimuli"].items():
            # Decoded once more, straight from the store.
            sequence = material.sequence(entry["sequence"])
            stored = material.store.encode(entry["cell_key"])
            point = OperatingPoint(entry["q"], 32, 1)
            with decode(load_recipe(entry["codec"]), stored.path, sequence, point, timeout=60) as decoder:
                decoded = [join_planes(frame) for frame in decoder]
            shown = [join_planes(frame) for frame in open_video(study / "page" / told["clips"][name]["file"])]
            assert shown == decoded
            assert len(shown) == 17
            assert (entry["clip_changed"], entry["clip_psnr_y_db"]) == ("", None)
            assert abs(entry["bpp"] / entry["target_bpp"] - 1) <= planning.TOLERANCE


def test_nothing_in_the_page_tells_a_codec(study):
    for path in (study / "page").rglob("*"):
        assert "x26" not in path.name
        if path.is_file():
            content = path.read_bytes().lower()
            for word in (b"x264", b"x265", b"cell_key"):
                assert word not in content, path.name
    told, key = read_study(study)
    assert not set(told) & {"stimuli", "run"}
    assert {one["codec"] for one in key["stimuli"].values()} == {"x264", "x265"}


def test_the_page_has_all_it_needs_and_nothing_else(study):
    told, _ = read_study(study)
    clips = {Path(one["file"]).name for one in told["clips"].values()}
    assert {path.name for path in (study / "page").iterdir()} == {*STATIC, "data.js", "clips"}
    assert {path.name for path in (study / "page" / "clips").iterdir()} == clips
    for name in STATIC:
        assert (study / "page" / name).read_bytes() == (ASSETS / name).read_bytes()
    page = (study / "page" / "index.html").read_text()
    for word in ("http:", "https:", "style=", "onclick", "<script>"):
        assert word not in page


def test_blind_names_are_drawn_anew_and_the_seed_makes_the_orders(real, study, tmp_path):
    """Whoever has our code and a seed to guess could otherwise tell whose clip is whose."""
    told, _ = read_study(study)
    again, _ = made(real, tmp_path / "again", targets=RATES)
    assert not set(again["clips"]) & set(told["clips"])
    assert again["seed"] == told["seed"]
    other, _ = made(real, tmp_path / "other", settings=Settings(seed=2), targets=RATES)
    assert other["seed"] != told["seed"]


def test_double_stimulus_has_references_open_and_hidden(real, tmp_path):
    told, key = made(real, tmp_path / "study", "dcr", targets=RATES)
    hidden = {name: one for name, one in key["stimuli"].items() if one.get("is_source")}
    assert {one["sequence"] for one in hidden.values()} == {"pristine", "distorted"}
    assert len(told["trials"]) == 4 + 2
    for trial in told["trials"]:
        assert key["sources"][trial["source"]]["sequence"] == trial["sequence"]
        assert trial["source"] != trial["stimulus"]
    one = next(trial for trial in told["trials"] if trial["stimulus"] in hidden)
    files = [tmp_path / "study" / "page" / told["clips"][one[name]]["file"] for name in ("source", "stimulus")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_a_folder_that_is_taken_is_left_alone(real, study):
    before = sorted(path.name for path in study.rglob("*"))
    with pytest.raises(RequestError, match="folder of the study is taken"):
        made(real, study, targets=RATES)
    assert sorted(path.name for path in study.rglob("*")) == before


def test_a_link_to_an_empty_folder_is_followed(real, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    made(real, tmp_path / "link", targets=(0.07,))
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "page" / "index.html").is_file()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (".", "cannot be the current folder"),
        ("x" * 300, "cannot be written: File name too long"),
        ("loop", "loop of links"),
        ("/dev/null/x", "cannot be written: File exists"),
    ],
)
def test_a_folder_that_cannot_be_is_refused_before_anything_is_decoded(real, tmp_path, monkeypatch, name, said):
    monkeypatch.chdir(tmp_path)
    Path("loop").symlink_to("loop")
    run = read_run(real / "run")
    done = []
    with opened(run, real / "store", 60) as material, pytest.raises(RequestError, match=said):
        make_study(make_plan(run, "pairwise"), material, Path(name), Settings(), done.append)
    assert done == []
    assert [path.name for path in tmp_path.iterdir()] == ["loop"]


def test_what_fails_leaves_nothing_behind(real, tmp_path):
    store = tmp_path / "store"
    shutil.copytree(real / "store", store)
    for path in (store / "bitstreams").rglob("*.bin"):
        path.unlink()
    run = read_run(real / "run")
    with opened(run, store, 60) as material, pytest.raises(EvalError, match="does not have the bitstream"):
        make_study(make_plan(run, "pairwise"), material, tmp_path / "study", Settings())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


def test_another_build_of_a_codec_is_refused(real, tmp_path):
    run = read_run(real / "run")
    run.summary["codecs"][0]["binary_sha256"] = "0" * 64
    run.summary["codecs"][1]["binary_sha256"] = "0" * 64
    with (
        opened(run, real / "store", 60) as material,
        pytest.raises(RequestError, match="not the one that made the run"),
    ):
        make_study(make_plan(run, "pairwise"), material, tmp_path / "study", Settings())


def test_a_source_that_changed_is_refused(real, tmp_path):
    run = read_run(real / "run")
    for entry in run.summary["sequences"]:
        entry["sha256"] = "0" * 64
    with opened(run, real / "store", 60) as material, pytest.raises(RequestError, match="not the one of the run"):
        make_study(make_plan(run, "dcr"), material, tmp_path / "study", Settings())


def test_a_store_that_is_not_there_is_not_made(real, tmp_path):
    with (
        pytest.raises(RequestError, match="there is no results store"),
        opened(read_run(real / "run"), tmp_path / "nothing", 60),
    ):
        pass
    assert not (tmp_path / "nothing").exists()


def test_near_lossless_clips_are_measured(real, tmp_path):
    told, key = made(real, tmp_path / "study", settings=Settings(near_lossless=True), targets=RATES)
    for name, entry in key["stimuli"].items():
        assert entry["clip_changed"] == "near-lossless H.264"
        assert entry["clip_psnr_y_db"] > 48
        path = tmp_path / "study" / "page" / told["clips"][name]["file"]
        assert path.suffix == ".mp4"
        reader = open_video(path)
        assert (reader.told.matrix, reader.told.full_range) == ("bt601", False)
        assert sum(1 for _ in reader) == 17
