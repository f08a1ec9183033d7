"""Object pseudo-mAP: with a detector of coloured squares in closed form; the network by its structure."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sample_faces import score
from torchvision.models.detection import FasterRCNN_MobileNet_V3_Large_FPN_Weights, fasterrcnn_mobilenet_v3_large_fpn

from evalsuite.errors import AssetError
from evalsuite.files import sha256_of
from evalsuite.metrics import objects
from evalsuite.metrics.base import Arrays, Setting, View
from evalsuite.metrics.objects import ObjectMeter
from evalsuite.types import Colour, Frame, Series, VideoFormat

SETTING = Setting(VideoFormat(128, 96), Colour("bt709"), Fraction(2))
Square = tuple[int, int, int, float]
"""Class, x, y, and how sure a detector is of it."""


def drawn(*squares: Square) -> Frame:
    """Squares of 16 samples: luma says how sure, Cb which class."""
    luma, cb = np.zeros((96, 128), np.uint8), np.full((48, 64), 128, np.uint8)
    for kind, x, y, sure in squares:
        luma[y : y + 16, x : x + 16] = round(sure * 200)
        cb[y // 2 : y // 2 + 8, x // 2 : x // 2 + 8] = 128 + 10 * kind
    return luma, cb, np.full((48, 64), 128, np.uint8)


def detect(view: View) -> Arrays:
    """Finds bright squares: a detector whose every answer is known."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((view.frame[0] > 0).astype(np.uint8))
    first = [np.argwhere(labels == index)[0] for index in range(1, count)]
    return {
        "boxes": stats[1:, :4].astype(np.float32),
        "scores": np.array([view.frame[0][y, x] / 200 for y, x in first], np.float32),
        "classes": np.array([(int(view.frame[1][y // 2, x // 2]) - 128) // 10 for y, x in first], np.int64),
    }


def measured(source: list[Frame], decoded: list[Frame]) -> Series:
    meter = ObjectMeter("object_map50", detect, "squares 1")
    for index, pair in enumerate(zip(source, decoded, strict=True)):
        meter.push(*(View(frame, SETTING, index) for frame in pair))
    (series,) = meter.finish()
    meter.close()
    return series


CAR, DOG = 1, 2
SCENE = drawn((CAR, 0, 0, 0.9), (CAR, 40, 0, 0.8), (DOG, 80, 40, 0.95), (DOG, 0, 60, 0.3))


def test_the_source_against_itself_is_perfect() -> None:
    assert measured([SCENE, SCENE], [SCENE, SCENE]).values.tolist() == [1]


def test_the_mean_is_over_the_classes_of_the_source() -> None:
    # One of two cars is left: 1/2. The dog is left, but a false one is surer: 1/2 at full recall. A cat that was never
    # there is no class of the source; the dog that the source is not sure of need not be found.
    decoded = drawn((CAR, 0, 0, 0.6), (DOG, 80, 40, 0.5), (DOG, 80, 70, 0.7), (3, 0, 60, 0.9))
    assert measured([SCENE], [decoded]).values[0] == pytest.approx((1 / 2 + 1 / 2) / 2)


def test_an_object_of_another_class_is_not_found() -> None:
    source, decoded = drawn((CAR, 0, 0, 0.9)), drawn((DOG, 0, 0, 0.9))
    assert measured([source], [decoded]).values.tolist() == [0]


def test_the_candidates_of_all_frames_make_one_curve() -> None:
    one = drawn((CAR, 0, 0, 0.9))
    # Hit at 0.9, false alarm at 0.8, hit at 0.7: precision 1 for the first half of recall, 2/3 for the second.
    decoded = [drawn((CAR, 0, 0, 0.9), (CAR, 60, 60, 0.8)), drawn((CAR, 0, 0, 0.7))]
    assert measured([one, one], decoded).values[0] == pytest.approx((1 + 2 / 3) / 2)


def test_content_without_objects_has_no_score() -> None:
    series = measured([drawn((CAR, 0, 0, 0.3))], [SCENE])
    assert series.status == "not_applicable"
    assert "no object" in series.reason


def test_two_frames_of_a_second_are_looked_at() -> None:
    setting = Setting(SETTING.format, SETTING.colour, Fraction(4))
    meter = ObjectMeter("object_map50", detect, "squares 1")
    for index in range(4):
        meter.push(View(SCENE, setting, index), View(SCENE if index % 2 == 0 else drawn(), setting, index))
    assert meter.finish()[0].values.tolist() == [1]


@pytest.fixture(scope="module")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of the right structure whose network has learned nothing."""
    torch.manual_seed(1)
    net = fasterrcnn_mobilenet_v3_large_fpn(weights=None, weights_backbone=None)
    path = tmp_path_factory.mktemp("weights") / "random.pth"
    torch.save(net.state_dict(), path)
    return path


def test_the_network_is_torchvisions_and_its_boxes_lie_in_the_frame(random_weights: Path) -> None:
    net = objects.network(random_weights)
    assert not net.training
    net.roi_heads.score_thresh = 0.0  # type: ignore[union-attr]  # without learning nothing is ever sure
    view = View(SCENE, SETTING)
    found = objects.find(net, view)
    assert len(found["boxes"]) == len(found["scores"]) == len(found["classes"]) > 0
    assert (found["boxes"] >= 0).all()
    assert (found["boxes"][:, :2] + found["boxes"][:, 2:] <= [128.01, 96.01]).all()
    assert set(found["classes"].tolist()) <= set(range(1, 91))
    again = objects.find(net, View(SCENE, SETTING))
    assert all((again[name] == found[name]).all() for name in found)


def test_the_weights_that_are_asked_for_are_the_ones_torchvision_names() -> None:
    assert FasterRCNN_MobileNet_V3_Large_FPN_Weights.COCO_V1.url == objects._ADDRESS


def test_weights_in_pytorchs_own_cache_are_taken_if_their_digest_is_right(
    random_weights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    name = f"detector-{sha256_of(random_weights)[:8]}.pth"
    monkeypatch.setattr(objects, "WEIGHTS", name)
    kept = tmp_path / "hub" / "checkpoints" / name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(random_weights.read_bytes())
    assert objects.weights_file() == kept
    (series,) = score("object_map50", (SCENE,), (SCENE,), SETTING).values()
    assert series.status == "not_applicable"  # a network without learning is sure of nothing
    kept.write_bytes(random_weights.read_bytes()[:-1])
    with pytest.raises(AssetError, match="damaged"):
        objects.weights_file()


def test_where_there_are_no_weights_it_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path))
    monkeypatch.setattr(objects, "_ADDRESS", "http://127.0.0.1:9/detector.pth")
    (series,) = score("object_map50", (SCENE,), (SCENE,), SETTING).values()
    assert series.status == "unavailable"
    assert "could not be downloaded" in series.reason


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"weight": torch.zeros(3)}, path)
    with pytest.raises(AssetError, match="cannot be read"):
        objects.network(path)
