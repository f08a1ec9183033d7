"""tvc's training: from checkpoints and logs to a weights file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tvc_material import SMALL_CROPS, material_folder, run_settings
from tvc_samples import UNEVEN as TINY
from tvc_samples import tiny_weights

from tvc import weights
from tvc.errors import TrainingError, TvcError, WeightsError
from tvc.model import TVC
from tvc.training import crops, loop, material
from tvc.training.checkpoint import read_checkpoint, write_checkpoint
from tvc.training.export import export
from tvc.training.stages import CONTEXTS, STAGES

_START = {"event": "start", "settings": {}, "crops": 4, "machine": "two cores"}


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return material_folder(tmp_path / "material", monkeypatch)


def test_stages_follow_each_other_to_a_weights_file(data: Path, tmp_path: Path) -> None:
    train, _ = material.split(material.read_manifest(data))
    crops.build(train, tmp_path / "crops", SMALL_CROPS)
    start = None
    for stage in STAGES:
        settings = run_settings(stage=stage, steps=2, validate_every=2, adversary=0.0)
        loop.train(settings, data=data, crops=tmp_path / "crops", lpips=None, folder=tmp_path, start=start, config=TINY)
        start = tmp_path / f"{stage}-best.pt"
    assert start is not None
    summary = export(start, [tmp_path / "log.jsonl"], tmp_path / "w.safetensors")
    model = weights.load(tmp_path / "w.safetensors")
    assert model.config == TINY
    assert weights.training_summary(tmp_path / "w.safetensors") == json.loads(json.dumps(summary))
    assert summary["stages"][0]["validations"]
    # Decoder of one checkpoint, contexts of a later one, as the encoder has not moved in between.
    joined, later = tmp_path / "joined.safetensors", tmp_path / "context-best.pt"
    export(later, [], joined)
    stem = weights.load(joined).discrete_context.past.stem.weight
    export(tmp_path / "joint-best.pt", [], joined, contexts=later)
    assert torch.equal(weights.load(joined).discrete_context.past.stem.weight, stem)
    with pytest.raises(TrainingError, match="another encoder"):
        export(tmp_path / "discrete-best.pt", [], joined, contexts=later)
    longer = export(tmp_path / "joint-best.pt", [tmp_path / "log.jsonl"], joined, before=tmp_path / "w.safetensors")
    assert longer["stages"] == json.loads(json.dumps(2 * summary["stages"]))
    # The next run may begin with the weights that are shipped.
    again = loop._Run(
        run_settings(), data, tmp_path / "crops", None, tmp_path / "again", tmp_path / "w.safetensors", None
    )
    assert torch.equal(again.model.state_dict()["encoder.stem.weight"], model.encoder.stem.weight)
    assert torch.equal(again.model.discrete_context.past.stem.weight, model.discrete_context.past.stem.weight)


def _checkpoint(path: Path, *without: str) -> Path:
    """A checkpoint of one model, always the same, without some of its parts."""
    torch.manual_seed(1)
    state = TVC(TINY).state_dict()
    kept = {name: value for name, value in state.items() if not name.startswith(without or "nothing")}
    write_checkpoint(path, {"config": TINY.to_json(), "average": kept})
    return path


def _log(path: Path, *entries: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


def test_context_models_come_from_training_or_there_is_no_weights_file(tmp_path: Path) -> None:
    whole, target = _checkpoint(tmp_path / "whole.pt"), tmp_path / "w.safetensors"
    export(whole, [], target)
    expected = weights.model_hash(weights.load(target))
    for number, lost in enumerate((("continuous_context.",), CONTEXTS)):
        partial = _checkpoint(tmp_path / f"{number}.pt", *lost)
        with pytest.raises(TrainingError, match="context models have not been trained"):
            export(partial, [], tmp_path / "none.safetensors")
        with pytest.raises(TrainingError, match="context models have not been trained"):
            export(whole, [], tmp_path / "none.safetensors", contexts=partial)
        export(partial, [], target, contexts=whole)
        assert weights.model_hash(weights.load(target)) == expected
    assert not (tmp_path / "none.safetensors").exists()


def test_a_weights_file_is_exported_as_it_is(tmp_path: Path) -> None:
    tiny_weights(tmp_path / "one.safetensors", TINY)
    export(tmp_path / "one.safetensors", [], tmp_path / "two.safetensors")
    one, two = (weights.load(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    assert weights.model_hash(one) == weights.model_hash(two)


def test_a_validation_that_was_made_again_counts_once_and_json_has_no_nan(tmp_path: Path) -> None:
    made = [(500, 0.4), (1000, 0.3), (1000, float("nan")), (1500, 0.1)]
    validations = [
        {"event": "validation", "step": step, "means": {"discrete": {"lpips": value}}} for step, value in made
    ]
    step = {"event": "step", "step": 20, "steps": 20, "loss": 1.5}
    log = _log(tmp_path / "log.jsonl", _START, step, *validations)
    summary = export(_checkpoint(tmp_path / "a.pt"), [log], tmp_path / "w.safetensors")["stages"][0]
    told = [(one["step"], one["discrete"]["lpips"]) for one in summary["validations"]]
    assert told == [(500, 0.4), (1000, None), (1500, 0.1)]
    assert summary["losses"] == [{"step": 20, "steps": 20, "loss": 1.5}]
    assert weights.training_summary(tmp_path / "w.safetensors")["stages"] == [summary]


@pytest.mark.parametrize("content", [[1, 2], {"average": {}}, {"config": 3, "average": {}}, {"config": TINY.to_json()}])
def test_what_is_not_a_checkpoint_is_said_to_be_none(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "odd.pt")
    with pytest.raises(TrainingError, match="not a checkpoint"):
        export(tmp_path / "odd.pt", [], tmp_path / "w.safetensors")


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_that_was_cut_off_is_said_to_be_damaged(tmp_path: Path, zipped: bool) -> None:
    content = {"config": TINY.to_json(), "average": {"a": torch.zeros(3)}}
    torch.save(content, tmp_path / "whole.pt", _use_new_zipfile_serialization=zipped)
    whole = (tmp_path / "whole.pt").read_bytes()
    for length in range(0, len(whole) - 4, 7):
        (tmp_path / "cut.pt").write_bytes(whole[:length])
        with pytest.raises(TrainingError, match="cannot read the checkpoint"):
            read_checkpoint(tmp_path / "cut.pt")


def test_a_configuration_of_another_version_is_refused(tmp_path: Path) -> None:
    torch.save({"config": "{}", "average": {}}, tmp_path / "odd.pt")
    with pytest.raises(WeightsError, match="other entries"):
        export(tmp_path / "odd.pt", [], tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[]\n", "line 1"),
        (b'{"event": "tick"}\n{"a": 1}\n', "line 2"),
        (b"{\n", "line 1"),
        (b'{"event": "start"}\n', "line 1"),
        (b'{"event": "validation", "step": [], "means": {}}\n', "line 1"),
        (b'{"event": "validation", "step": 3, "means": 4}\n', "line 1"),
        (b"\xff\xfe\n", "cannot read the log"),
        (b"", "no beginning"),
    ],
)
def test_what_is_not_a_log_is_told_by_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    log = tmp_path / "log.jsonl"
    log.write_bytes(content)
    with pytest.raises(TrainingError, match=r".*") as told:
        export(_checkpoint(tmp_path / "a.pt"), [log], tmp_path / "w.safetensors")
    assert said in str(told.value)


def test_a_target_that_cannot_be_written_is_told_before_anything_is_read(tmp_path: Path) -> None:
    for target in (tmp_path / "none" / "w.safetensors", tmp_path):
        with pytest.raises(TvcError, match="to write to"):
            export(tmp_path / "absent.pt", [], target)
