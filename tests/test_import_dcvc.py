"""What a DCVC file does not say outright: whether its figures are of YUV or of RGB, and the frame rate in a name."""

from __future__ import annotations

from fractions import Fraction

import pytest
from published_samples import dcvc_document, write_json
from test_import import imported, scores

from evalsuite.results.published.base import from_name


def test_trap14_dcvc_figures_of_rgb_are_not_taken_for_those_of_yuv(tmp_path):
    document = dcvc_document()
    for entry in document["set"]["Bunny_640x360_24.yuv"].values():
        for plane in "yuv":
            del entry[f"ave_all_frame_psnr_{plane}"]
    run = imported(tmp_path, write_json(tmp_path / "a.json", document), "dcvc")
    assert set(run.points["metric"]) == {"psnr_rgb_dcvc", "ms_ssim_rgb_dcvc"}
    assert scores(run, "psnr_rgb_dcvc") == [40.75, 37.75, 34.75, 31.75]
    assert run.points["higher_is_better"].all()


@pytest.mark.parametrize(
    ("figures", "names"),
    [
        # (6 x 40 + 42 + 44) / 8 = 40.75
        ({"psnr": 40.7509}, {"psnr_yuv"}),
        ({"psnr": 40.752}, {"psnr_rgb_dcvc"}),
        ({"psnr": 41.0}, {"psnr_rgb_dcvc"}),  # (4 x 40 + 42 + 44) / 6
        ({"psnr": 40.75, "psnr_v": None}, {"psnr_rgb_dcvc"}),
        # (6 x 0.9 + 0.94 + 0.98) / 8 = 0.915
        ({"msssim": 0.915001, "msssim_y": 0.9, "msssim_u": 0.94, "msssim_v": 0.98}, {"ms_ssim_yuv_dcvc"}),
        ({"msssim": 0.9151, "msssim_y": 0.9, "msssim_u": 0.94, "msssim_v": 0.98}, {"ms_ssim_rgb_dcvc"}),
        ({"msssim": 0.9, "msssim_y": 0.9}, {"ms_ssim_rgb_dcvc"}),
    ],
)
def test_trap14_dcvc_figures_are_of_yuv_only_where_the_planes_give_them(tmp_path, figures, names):
    document = dcvc_document()
    entry = document["set"]["Bunny_640x360_24.yuv"]["022"]
    document["set"]["Bunny_640x360_24.yuv"] = {"022": entry}
    entry |= {f"ave_all_frame_{key}": value for key, value in figures.items()}
    run = imported(tmp_path, write_json(tmp_path / "a.json", document), "dcvc")
    averages = {"psnr_yuv", "psnr_rgb_dcvc"} if "psnr" in figures else {"ms_ssim_yuv_dcvc", "ms_ssim_rgb_dcvc"}
    assert averages & set(run.points["metric"]) == names


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("BQMall_832x480_60.yuv", Fraction(60)),
        ("Beauty_1920x1080_120fps_420_8bit_YUV.yuv", Fraction(120)),
        ("Foo_1920x1080_420_8bit.yuv", None),
        ("Foo_1920x1080_420.yuv", None),
        ("Foo_1920x1080_400", None),
        ("Foo_1920x1080_422_60fps.yuv", None),
        ("Foo_1920x1080_444-10bit", None),
        ("Foo_1920x1080_420fps.yuv", Fraction(420)),
        ("Foo_1920x1080_240_420_8bit.yuv", Fraction(240)),
        ("Foo_1920x1080_23.976fps.yuv", Fraction(24000, 1001)),
        ("Foo_1920x1080_23.98.yuv", Fraction(24000, 1001)),
        ("Foo_1920x1080_29.97fps_420.yuv", Fraction(30000, 1001)),
        ("Foo_1920x1080_59.940_8bit.yuv", Fraction(60000, 1001)),
        ("Foo_1920x1080_119.88Hz", Fraction(120000, 1001)),
        ("Foo_1920x1080_12.5fps.yuv", Fraction(25, 2)),
        ("Foo_1920x1080_30.264", Fraction(30)),
        ("Foo_1920x1080_30.10bit.yuv", Fraction(30)),
        ("Foo_1920x1080_10bit.yuv", None),
        ("Foo_1920x1080_00.yuv", None),
    ],
)
def test_frame_rates_in_file_names(name, rate):
    assert from_name(name) == (*((832, 480) if "832" in name else (1920, 1080)), rate)
