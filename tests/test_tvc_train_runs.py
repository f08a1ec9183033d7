"""tvc's training: what a run logs, with what it goes on, and what the commands refuse."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from test_tvc_adversary import Pyramid
from tvc_material import SMALL_CROPS, material_folder, run_settings
from tvc_samples import UNEVEN as TINY
from typer.testing import CliRunner

from tvc.cli import app
from tvc.errors import TrainingError
from tvc.training import crops, loop, material
from tvc.training.checkpoint import read_checkpoint, write_checkpoint
from tvc.training.record import dumped


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = material_folder(tmp_path / "material", monkeypatch)
    train, _ = material.split(material.read_manifest(folder))
    crops.build(train, tmp_path / "crops", SMALL_CROPS)
    return folder


def _entries(folder: Path) -> list[dict[str, Any]]:
    """Of a log, read by a parser that takes nothing but JSON."""

    def refused(word: str) -> None:
        raise ValueError(word)

    lines = (folder / "log.jsonl").read_text().splitlines()
    return [json.loads(line, parse_constant=refused) for line in lines]


def test_every_step_is_in_the_log_once_also_after_a_resume(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = run_settings(steps=11, validate_every=100)

    def run(folder: str) -> loop._Run:
        return loop._Run(settings, data, tmp_path / "crops", None, tmp_path / folder, None, TINY)

    monkeypatch.setattr(loop, "_LOG_EVERY", 1)
    each = run("each")
    for _ in range(settings.steps):
        each.advance()
    losses = [entry["loss"] for entry in _entries(tmp_path / "each") if entry["event"] == "step"]
    monkeypatch.setattr(loop, "_LOG_EVERY", 4)
    began = time.monotonic()
    first = run("broken")
    for _ in range(6):
        first.advance()
    first.finish()
    second = run("broken")
    for _ in range(5):
        second.advance()
    second.finish()
    seconds = time.monotonic() - began
    logged = [entry for entry in _entries(tmp_path / "broken") if entry["event"] == "step"]
    assert [(entry["step"], entry["steps"]) for entry in logged] == [(4, 4), (6, 2), (8, 2), (11, 3)]
    for entry in logged:
        own = losses[entry["step"] - entry["steps"] : entry["step"]]
        assert entry["loss"] == pytest.approx(sum(own) / len(own), abs=2e-5)
    assert sum(entry["steps"] / entry["steps_per_second"] for entry in logged) < seconds


def test_a_run_that_the_clock_ends_logs_its_last_steps(data: Path, tmp_path: Path) -> None:
    made = {"data": data, "crops": tmp_path / "crops", "lpips": None, "folder": tmp_path / "run", "config": TINY}
    loop.train(run_settings(steps=10**6, validate_every=10**6), minutes=0.01, **made)  # type: ignore[arg-type]
    steps = [entry["steps"] for entry in _entries(tmp_path / "run") if entry["event"] == "step"]
    assert sum(steps) == read_checkpoint(tmp_path / "run" / "discrete.pt")["step"] > 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"size": 48}, "size 32"),
        ({"enlarge": (1.5, 1.0)}, r"enlarge \[1.0\]"),
        ({"slots": 1}, "slots 2"),
        ({"seed": 1}, "seed 0"),
        ({"learning_rate": 1e-3, "steps": 9, "batch": 1}, None),
    ],
)
def test_a_stage_goes_on_with_the_settings_that_it_began_with(
    data: Path, tmp_path: Path, changes: dict[str, object], said: str | None
) -> None:
    def run(**changes: object) -> loop._Run:
        return loop._Run(run_settings(**changes), data, tmp_path / "crops", None, tmp_path / "run", None, TINY)

    run().save()
    if said is None:
        run(**changes)
        return
    with pytest.raises(TrainingError, match=f"other settings(.|\n)*expected: {said}"):
        run(**changes)
    # Checkpoints of earlier versions may say less.
    where = tmp_path / "run" / "discrete.pt"
    content = read_checkpoint(where)
    for odd in ("[1", 7):
        write_checkpoint(where, {**content, "settings": odd})
        with pytest.raises(TrainingError, match="checkpoint"):
            run()
    del content["settings"], content["looks"]
    write_checkpoint(where, content)
    run(**changes)


@pytest.mark.parametrize(("stage", "refused"), [("discrete", True), ("context", False)])
def test_a_stage_does_not_change_between_lpips_and_psnr(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, refused: bool
) -> None:
    monkeypatch.setattr(loop, "Lpips", lambda *_: Pyramid())

    def run(lpips: Path | None) -> loop._Run:
        settings = run_settings(stage=stage, lpips_size=32)
        return loop._Run(settings, data, tmp_path / "crops", lpips, tmp_path / "run", None, TINY)

    run(None).save()
    if not refused:
        run(tmp_path)
        return
    with pytest.raises(TrainingError, match=r"other settings(.|\n)*expected: LPIPS False"):
        run(tmp_path)


def test_a_best_checkpoint_is_not_one_to_go_on_with(data: Path, tmp_path: Path) -> None:
    run = loop._Run(run_settings(), data, tmp_path / "crops", None, tmp_path / "run", None, TINY)
    run.validate()
    (tmp_path / "run" / "discrete-best.pt").rename(tmp_path / "run" / "discrete.pt")
    with pytest.raises(TrainingError, match="cannot go on with"):
        loop._Run(run_settings(), data, tmp_path / "crops", None, tmp_path / "run", None, TINY)


def test_the_log_is_json_where_nothing_was_measured_and_where_nothing_is_finite(data: Path, tmp_path: Path) -> None:
    run = loop._Run(run_settings(), data, tmp_path / "crops", None, tmp_path / "run", None, TINY)
    with torch.no_grad():
        run.model.decoder.stem.weight.fill_(torch.nan)
        run.average.decoder.stem.weight.fill_(torch.nan)
    run.advance()
    run.validate()
    run.finish()
    start, validation, step = _entries(tmp_path / "run")
    assert start["settings"]["rate"] is None
    assert validation["means"]["discrete"]["lpips"] is None
    assert validation["merit"] is step["loss"] is None
    assert json.loads(dumped({"a": [float("inf"), (1, -float("inf"))], "b": 0.5})) == {"a": [None, [1, None]], "b": 0.5}


def test_validation_prints_json_without_lpips_too(data: Path) -> None:
    asked = ["train", "validate", "--data", str(data), "--frames", "4", "--enlarge", "1"]
    result = CliRunner().invoke(app, asked, catch_exceptions=False)
    assert result.exit_code == 0
    told = json.loads(result.stdout, parse_constant=pytest.fail)
    assert told["discrete"]["lab held.mkv"]["lpips"] is None
    assert told["discrete"]["lab held.mkv"]["psnr_y"] > 10


_RUN = ["run", "discrete", "--data", "absent", "--crops", "absent", "--out", "absent", "--steps", "4"]


@pytest.mark.parametrize(
    "asked",
    [
        *(
            [*_RUN, *changes]
            for changes in (
                ["--device", "foo"],
                ["--device", "meta"],
                ["--device", "cuda:99"],
                ["--batch", "0"],
                ["--size", "40"],
                ["--size", "0"],
                ["--lpips", "absent", "--lpips-size", "8"],
                ["--lpips", "absent", "--size", "16", "--enlarge", "2"],
                ["--validate-every", "0"],
                ["--steps", "-1"],
                ["--slots", "0"],
                ["--seed", "-1"],
                ["--threads", "-1"],
                ["--learning-rate", "nan"],
                ["--learning-rate", "0"],
                ["--rate", "-1"],
                ["--lpips-weight", "inf"],
            )
        ),
        ["validate", "--data", "DATA", "--frames", "0"],
        ["validate", "--data", "DATA", "--frames", "6"],
        ["validate", "--data", "DATA", "--frames", "400"],
        ["validate", "--data", "DATA", "--enlarge", "0"],
        ["validate", "--data", "DATA", "--step", "0"],
        ["crops", "--data", "DATA", "--crops", "absent", "--size", "41"],
        ["crops", "--data", "DATA", "--crops", "absent", "--scale", "nan"],
        ["crops", "--data", "DATA", "--crops", "absent", "--seed", "-1"],
        *(
            ["grow", "START", "grown.pt", "--crops", "CROPS", *changes]
            for changes in (
                ["--latents", "9", "--enlarge", "0"],
                ["--latents", "9", "--batches", "0"],
                ["--latents", "9", "--seed", "-1"],
                ["--latents", "8"],
                ["--latents", "1025"],
            )
        ),
        ["grow", "absent.pt", "none/grown.pt", "--crops", "absent", "--latents", "9"],
    ],
)
def test_options_that_make_no_sense_are_refused_before_anything_is_done(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = loop._Run(run_settings(), data, tmp_path / "crops", None, tmp_path / "run", None, TINY)
    run.save()
    names = {"DATA": data, "CROPS": tmp_path / "crops", "START": tmp_path / "run" / "discrete.pt"}
    result = CliRunner().invoke(app, ["train", *(str(names.get(word, word)) for word in asked)], catch_exceptions=False)
    assert result.exit_code == 2
    assert result.stderr.startswith("error: ")
    assert not (tmp_path / "absent").exists()
    assert not (tmp_path / "grown.pt").exists()


def test_no_threads_mean_as_many_as_pytorch_likes(data: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    made = {"data": data, "crops": tmp_path / "crops", "lpips": None, "folder": tmp_path / "run", "config": TINY}
    loop.train(run_settings(threads=0, steps=1), **made)  # type: ignore[arg-type]
    assert torch.get_num_threads() == before
