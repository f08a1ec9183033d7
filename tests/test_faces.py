"""Face metrics: against OpenCV's own loop, the authors' decoder and closed forms; what is damaged or absent says so."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray
from sample_faces import clip, coded, grey, score
from scipy.stats import spearmanr

from evalsuite.assets import Asset, LocalSource, PackageSource, resolve
from evalsuite.engine.features import FeatureCache
from evalsuite.errors import AssetError
from evalsuite.metrics import centerface, detectors, faces
from evalsuite.metrics.base import Setting, View
from evalsuite.metrics.facemeter import FaceMeter, cosines, landmark_errors
from evalsuite.metrics.registry import infos
from evalsuite.types import Colour, Frame, Series, VideoFormat

PANEL = tuple(info.name for info in faces.INFOS)
SECOND = tuple(info.name for info in centerface.INFOS)
PERFECT = {name: 0.0 if "nme" in name else 1.0 for name in (*PANEL, *SECOND)}


@pytest.fixture(autouse=True)
def models() -> None:
    try:
        detectors.yunet()
        detectors.sface()
        centerface.centerface()
    except AssetError as error:
        pytest.skip(f"the face networks cannot be had: {error.got}")


def means(series: dict[str, Series]) -> dict[str, float]:
    return {name: float(one.values.mean()) for name, one in series.items() if one.status == "ok"}


@pytest.mark.parametrize("name", ["carphone", "face"])
def test_the_source_against_itself_is_perfect(name: str) -> None:
    frames, setting = clip(name, 4)
    series = score(",".join(PERFECT), frames, frames, setting)
    assert means(series) == PERFECT
    assert all((one.values == PERFECT[one.metric]).all() for one in series.values())


@pytest.mark.parametrize("detector", ["", "_centerface"])
def test_more_loss_is_never_better(detector: str) -> None:
    frames, setting = clip("face", 3)
    names = PANEL if not detector else SECOND
    rows = [means(score(",".join(names), frames, coded(frames, quality), setting)) for quality in (70, 20, 7)]
    for name in names:
        rising = [row[name] if infos()[name].higher_is_better else -row[name] for row in rows]
        assert rising == sorted(rising, reverse=True), name
    nme = [row[f"landmark_nme{detector}"] for row in rows]
    assert 0 < nme[0] < nme[1] < nme[2]
    if not detector:
        identity = [row["identity_cos"] for row in rows]
        assert 1 > identity[0] > identity[1] > identity[2]


def test_landmarks_and_identity_are_those_of_opencvs_own_loop() -> None:
    frames, setting = clip("carphone", 3)
    decoded = coded(frames, 30)
    series = score(",".join(PANEL), frames, decoded, setting)
    detector = cv2.FaceDetectorYN.create(str(resolve(detectors.YUNET)), "", (176, 144), 0.1, 0.3, 5000)
    recogniser = cv2.FaceRecognizerSF.create(str(resolve(detectors.SFACE)), "")
    for index, (before, after) in enumerate(zip(frames, decoded, strict=True)):
        pictures = [np.ascontiguousarray(View(frame, setting).rgb8()[..., ::-1]) for frame in (before, after)]
        rows = [max(detector.detect(picture)[1], key=lambda row: row[14]) for picture in pictures]
        points = [row[4:14].reshape(5, 2).astype(float) for row in rows]
        eyes = math.dist(points[0][0], points[0][1])
        expected = np.mean([math.dist(a, b) for a, b in zip(*points, strict=True)]) / eyes
        assert series["landmark_nme"].values[index] == pytest.approx(expected, rel=1e-5)
        vectors = [
            recogniser.feature(recogniser.alignCrop(picture, row)).copy()
            for picture, row in zip(pictures, rows, strict=True)
        ]
        cosine = recogniser.match(*vectors, cv2.FaceRecognizerSF_FR_COSINE)
        assert series["identity_cos"].values[index] == pytest.approx(cosine, abs=1e-5)


def test_content_without_faces_has_no_score_and_costs_no_detection_of_decoded_frames() -> None:
    frames, setting = clip("city", 2)
    for one in score(",".join((*PANEL, *SECOND)), frames, frames, setting).values():
        assert one.status == "not_applicable"
        assert "no face" in one.reason
    looked: list[int] = []
    plain = detectors.yunet()

    def counted(view: View) -> Any:
        looked.append(id(view))
        return plain.find(view)

    meter = FaceMeter(replace(plain, find=counted), {"ap50": "face_ap50"})
    source, decoded = View(frames[0], setting), View(frames[0], setting)
    meter.push(source, decoded)
    assert looked == [id(source)]


def test_frames_without_a_face_are_left_out_by_their_index() -> None:
    (face,), setting = clip("carphone", 1)
    (blank,) = grey((face,))
    source = (blank, face, blank, face)
    # What is new in a frame where the source shows no face is not looked at.
    decoded = (face, face, face, blank)
    series = score(",".join(PANEL), source, decoded, setting)
    assert series["face_matched"].frames is not None
    assert series["face_matched"].frames.tolist() == [1, 3]
    assert series["face_matched"].values.tolist() == [1, 0]
    # A face that is lost has no landmarks and no identity: the frame is not in their averages.
    for name in ("landmark_nme", "identity_cos"):
        frames = series[name].frames
        assert frames is not None
        assert frames.tolist() == [1]
    assert means(series) | {"face_matched": 0.5} == PERFECT_OF_HALF


PERFECT_OF_HALF = {
    "face_ap50": 0.5,
    "face_recall": 0.5,
    "face_precision": 1.0,
    "landmark_nme": 0.0,
    "identity_cos": 1.0,
    "face_matched": 0.5,
}


def test_where_every_face_is_destroyed_the_recall_is_nought_and_the_rest_has_no_score() -> None:
    frames, setting = clip("carphone", 2)
    series = score(",".join(PANEL), frames, grey(frames), setting)
    assert means(series) == {"face_ap50": 0, "face_recall": 0, "face_matched": 0}
    for name in ("landmark_nme", "identity_cos", "face_precision"):
        assert series[name].status == "not_applicable"
        assert series[name].reason


def test_what_the_source_gave_is_kept_and_gives_the_same_scores(tmp_path: Path) -> None:
    frames, setting = clip("carphone", 3)
    decoded = coded(frames, 20)
    cache = FeatureCache(tmp_path)
    runs = []
    for _ in range(2):
        with cache.source(content="carphone") as kept:
            runs.append(score(",".join(PANEL), frames, decoded, setting, kept))
    assert len(list(tmp_path.glob("*.features"))) == 2
    assert all((runs[0][name].values == runs[1][name].values).all() for name in PANEL)
    # Within the cache's files are the source's faces: a second pass that reads them needs no detector for the source.
    with cache.source(content="carphone") as kept:

        def nothing() -> Any:
            pytest.fail("the faces of the source were not kept")

        view = View(frames[0], setting, features=kept)
        assert view.recall("faces-yunet", detectors.yunet().version, nothing)["scores"].size == 1


def test_embeddings_are_kept_apart_from_those_of_other_references(tmp_path: Path) -> None:
    frames, setting = clip("carphone", 1)
    with FeatureCache(tmp_path).source(content="carphone") as kept:
        for limit in (0.9, 0.5):
            detector = replace(detectors.yunet(), reference_score=limit)
            meter = FaceMeter(detector, {"identity": "identity_cos"}, detectors.sface())
            meter.push(View(frames[0], setting, features=kept), View(frames[0], setting))
    assert len(list(tmp_path.glob("*-identity-*.features"))) == 2


def test_ten_bits_and_grey_pictures_have_the_same_faces() -> None:
    frames, setting = clip("carphone", 2)
    deep = tuple(tuple(plane.astype(np.uint16) * 4 for plane in frame) for frame in frames)
    deep_setting = replace(setting, format=replace(setting.format, bit_depth=10))
    decoded = coded(frames, 30)
    deep_decoded = tuple(tuple(plane.astype(np.uint16) * 4 for plane in frame) for frame in decoded)
    plain = means(score(",".join(PANEL), frames, decoded, setting))
    # Four times the code value of 8 bits is the same colour; only the rounding to 8 bits of RGB may differ.
    assert means(score(",".join(PANEL), deep, deep_decoded, deep_setting)) == pytest.approx(plain, abs=0.02)


def magnified(frame: Frame, factor: int) -> Frame:
    return tuple(np.repeat(np.repeat(plane, factor, 0), factor, 1) for plane in frame)


def test_a_large_close_up_is_reduced_and_found_where_it_is() -> None:
    (frame,), setting = clip("face", 1)
    large = replace(setting, format=VideoFormat(1920, 1080))
    small_face = detectors.yunet().faces(View(frame, setting))
    large_face = detectors.yunet().faces(View(magnified(frame, 3), large))
    assert large_face["scores"][0] > 0.9
    side = small_face["boxes"][0, 2]
    np.testing.assert_allclose(large_face["boxes"][0] / 3, small_face["boxes"][0], atol=0.05 * side)
    np.testing.assert_allclose(large_face["landmarks"][0] / 3, small_face["landmarks"][0], atol=0.05 * side)


def test_faces_that_are_small_in_the_source_are_no_reference() -> None:
    (frame,), setting = clip("carphone", 1)
    # The face is 48 wide: half of it is below 32 samples, whatever the detector's score.
    halved = tuple(np.asarray(cv2.resize(plane, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)) for plane in frame)
    small = replace(setting, format=VideoFormat(88, 72))
    assert score("face_ap50", (halved,), (halved,), small)["face_ap50"].status == "not_applicable"


def test_two_detectors_rank_what_was_lost_alike() -> None:
    frames, setting = clip("face", 3)
    names = ("landmark_nme", "landmark_nme_centerface")
    blurred = tuple(tuple(np.asarray(cv2.GaussianBlur(plane, (0, 0), 3)) for plane in frame) for frame in frames)
    versions = [coded(frames, quality) for quality in (80, 50, 25, 12, 7, 4)] + [blurred]
    rows = [means(score(",".join(names), frames, decoded, setting)) for decoded in versions]
    correlation = spearmanr([row[names[0]] for row in rows], [row[names[1]] for row in rows]).statistic
    assert correlation > 0.8


@pytest.mark.parametrize("model", ["YUNET", "SFACE"])
def test_a_model_with_one_wrong_bit_is_refused(model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asset: Asset = getattr(detectors, model)
    data = bytearray(resolve(asset).read_bytes())
    data[len(data) // 2] ^= 1
    damaged = tmp_path / asset.name
    damaged.write_bytes(data)
    source = LocalSource(damaged, asset.sources[0].sha256)
    monkeypatch.setattr(detectors, model, Asset(asset.name, (source,)))
    frames, setting = clip("carphone", 1)
    (one,) = score("identity_cos", frames, frames, setting).values()
    assert one.status == "unavailable"
    assert "not the expected one" in one.reason


def test_a_damaged_second_detector_costs_its_own_metrics_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "centerface.onnx"
    damaged.write_bytes(b"not a network")
    source = LocalSource(damaged, centerface.CENTERFACE.sources[0].sha256)
    monkeypatch.setattr(centerface, "CENTERFACE", Asset("centerface.onnx", (source,)))
    frames, setting = clip("carphone", 1)
    series = score("face_ap50,face_ap50_centerface", frames, frames, setting)
    assert (series["face_ap50"].status, series["face_ap50_centerface"].status) == ("ok", "unavailable")


def test_both_models_come_out_of_one_archive() -> None:
    first, second = detectors.YUNET.sources[0], detectors.SFACE.sources[0]
    assert isinstance(first, PackageSource)
    assert isinstance(second, PackageSource)
    assert first.archive_sha256 == second.archive_sha256


Face = tuple[float, float, float, float]
"""x, y, side, score."""


def scripted(*faces: list[Face]) -> detectors.Detector:
    """A detector whose answers are known: the first sample of a frame says which list of faces it shows."""

    def find(view: View) -> Any:
        rows = faces[int(view.frame[0][0, 0])]
        corners = np.array([[x, y] for x, y, _, _ in rows], np.float32).reshape(-1, 2)
        sides = np.array([side for _, _, side, _ in rows], np.float32)
        return {
            "boxes": np.concatenate([corners, sides[:, None], sides[:, None]], axis=1),
            "landmarks": corners[:, None] + sides[:, None, None] * np.linspace(0.2, 0.8, 5)[None, :, None],
            "scores": np.array([score for *_, score in rows], np.float32),
        }

    return detectors.Detector("scripted", "1", 0.9, find)


def figures(detector: detectors.Detector, pairs: list[tuple[int, int]], width: int = 640) -> dict[str, Series]:
    setting = Setting(VideoFormat(width, width), Colour("bt709"), Fraction(25))
    meter = FaceMeter(detector, {name: name for name in ("ap50", "recall", "precision", "matched")})
    for index, pair in enumerate(pairs):
        meter.push(*(View((np.full((1, 1), shown, np.uint8),), setting, index) for shown in pair))
    return {one.metric: one for one in meter.finish()}


def test_recall_allows_one_false_alarm_in_ten_frames_with_faces() -> None:
    sure, plain, alarmed = [(0, 0, 50, 0.95)], [(0, 0, 50, 0.8)], [(0, 0, 50, 0.8), (200, 0, 50, 0.99)]
    detector = scripted([], sure, plain, alarmed)
    # Frames without a face in the source do not buy false alarms.
    nine = [(0, 0)] * 5 + [(1, 3)] + [(1, 2)] * 8
    assert figures(detector, nine)["recall"].values.tolist() == [0]
    assert figures(detector, [*nine, (1, 2)])["recall"].values.tolist() == [1]
    # Nine hits and then the tenth, all behind one alarm: every step of recall has the precision of the last.
    assert figures(detector, [*nine, (1, 2)])["ap50"].values[0] == pytest.approx(10 / 11)
    assert figures(detector, [*nine, (1, 2)])["precision"].values[0] == pytest.approx(10 / 11)


def test_precision_is_of_what_is_taken_for_a_face() -> None:
    source = [(0, 0, 50, 0.95), (100, 0, 50, 0.95)]
    decoded = [(0, 0, 50, 0.61), (100, 0, 50, 0.59), (300, 0, 50, 0.7), (400, 0, 50, 0.3)]
    found = figures(scripted(source, decoded), [(0, 1)])
    assert found["precision"].values.tolist() == [0.5]
    assert found["matched"].values.tolist() == [1]


def test_trap22_faces_near_the_threshold_are_neither_hits_nor_false_alarms() -> None:
    source = [(0, 0, 50, 0.95), (100, 0, 50, 0.85), (200, 0, 31, 0.95)]
    # The unsure one and the small one are found with high scores; another small one is new.
    decoded = [(100, 0, 50, 0.99), (200, 0, 32, 0.98), (300, 0, 31, 0.97), (0, 0, 50, 0.9)]
    found = figures(scripted(source, decoded), [(0, 1)])
    assert [one.values.tolist() for one in found.values()] == [[1]] * 4
    # A large one that is new is a false alarm.
    found = figures(scripted(source, [*decoded, (400, 0, 40, 0.96)]), [(0, 1)])
    assert found["ap50"].values.tolist() == [0.5]
    assert found["recall"].values.tolist() == [0]


def test_the_size_of_a_reference_is_that_in_the_reduced_picture() -> None:
    detector = scripted([(0, 0, 63, 0.95)], [(0, 0, 65, 0.95)])
    assert figures(detector, [(0, 0)], width=960)["ap50"].status == "ok"
    assert figures(detector, [(0, 0)], width=1920)["ap50"].status == "not_applicable"
    assert figures(detector, [(1, 1)], width=1920)["ap50"].status == "ok"


def test_landmark_error_in_closed_form() -> None:
    face = np.array([[10.0, 10], [30, 10], [20, 20], [12, 30], [28, 30]])
    moved = np.add(face, (3, 4))
    box = np.array([[0.0, 0, 40, 40]])
    # Every point is 5 samples off, and the eyes are 20 apart.
    assert landmark_errors(face[None], moved[None], box) == pytest.approx([0.25])
    profile = face.copy()
    profile[1] = np.add(profile[0], (3, 0))
    both = np.stack([profile, face])
    assert landmark_errors(both, both, np.repeat(box, 2, axis=0)).tolist() == [0]


@given(arrays.arrays(np.float32, (3, 16), elements=st.floats(-10, 10, width=32)))
def test_a_cosine_is_exactly_one_for_equal_vectors_and_never_more_by_more_than_rounding(
    vectors: NDArray[np.float32],
) -> None:
    if (np.abs(vectors).max(axis=1) > 1e-3).all():
        assert (cosines(vectors, vectors) == 1).all()
        others = np.roll(vectors, 1, axis=0)
        expected = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(vectors, others, strict=True)]
        np.testing.assert_allclose(cosines(vectors, others), expected, atol=1e-5)
        assert (np.abs(cosines(vectors, others)) <= 1 + 1e-12).all()


def test_centerface_decodes_a_known_map() -> None:
    heat, size, offset = (np.zeros(shape, np.float32) for shape in ((8, 16), (2, 8, 16), (2, 8, 16)))
    points = np.zeros((10, 8, 16), np.float32)
    heat[3, 5] = 0.75
    size[:, 3, 5] = np.log([4, 2])  # 16 samples high, 8 wide
    offset[:, 3, 5] = 0.25, -0.25
    points[:, 3, 5] = np.tile([0.5, 0.25], 5)
    found = centerface.decode(heat, size, offset, points)
    # The centre of the face is at x = (5 - 0.25 + 0.5) * 4 = 21, y = (3 + 0.25 + 0.5) * 4 = 15.
    np.testing.assert_allclose(found["boxes"], [[17, 7, 8, 16]], rtol=1e-6)
    np.testing.assert_allclose(found["landmarks"], [[[19, 15]] * 5], rtol=1e-6)
    assert found["scores"].tolist() == [0.75]
    # At the edge of the picture (64x32) a box is cut.
    heat[:] = 0
    heat[0, 15] = 0.5
    size[:, 0, 15] = np.log([4, 4])
    assert centerface.decode(heat, size, offset, points)["boxes"].tolist() == [[54, 0, 10, 16]]


def test_frames_too_small_for_a_reference_face_say_so() -> None:
    tiny = (tuple(np.zeros(shape, np.uint8) for shape in ((16, 16), (8, 8), (8, 8))),)
    setting = Setting(VideoFormat(16, 16), Colour("bt709"), Fraction(25))
    assert score("face_ap50", tiny, tiny, setting)["face_ap50"].status == "too_small"
