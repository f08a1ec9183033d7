"""Any bytes give results or a refusal that says why, in every format of published data."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from published_samples import AWCY, COMPRESSAI, CSV, dcvc_document

from evalsuite.errors import EvalError
from evalsuite.results.load import read_run
from evalsuite.results.published.base import Given, from_name
from evalsuite.results.published.write import import_published

SAMPLES = {
    "dcvc": json.dumps(dcvc_document()),
    "compressai": json.dumps(COMPRESSAI),
    "awcy": AWCY,
    "csv": CSV,
}
QUICK = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def give(format: str, data: bytes) -> None:
    """Import the bytes; what comes out is a run that can be read, or an error of the suite's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "file").write_bytes(data)
        try:
            import_published([folder / "file"], format, Given(codec="c", dataset="d"), folder / "run")
        except EvalError:
            return
        run = read_run(folder / "run")
        assert set(run.points["rate_source"]) <= {"published"}
        assert (run.points["bpp"] > 0).all()


@pytest.mark.parametrize("format", SAMPLES)
@QUICK
@given(data=st.binary(max_size=300))
@example(data=b"")
@example(data=b"[" * 100_000)
@example(data=b"\xff\xfe")
@example(data=b"1 2 3 4")
@example(data=b"1" * 5000 + b" 2 3 4")
@example(data=b"NaN inf 1e400 -0")
def test_any_bytes(format, data):
    give(format, data)


@pytest.mark.parametrize("format", SAMPLES)
@QUICK
@given(place=st.floats(0, 1), length=st.integers(0, 40), filling=st.binary(max_size=20))
def test_a_damaged_file(format, place, length, filling):
    data = SAMPLES[format].encode()
    start = round(place * len(data))
    give(format, data[:start] + filling + data[start + length :])


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
KEYS = st.sampled_from(
    ["ave_all_frame_bpp", "ave_all_frame_psnr", "frame_pixel_num", "i_frame_num", "p_frame_num", "qp", "bpp", "bitrate"]
) | st.text(max_size=5)


@QUICK
@given(st.dictionaries(KEYS, JSON, max_size=6))
@example({"ave_all_frame_bpp": 10**400})
@example({"ave_all_frame_bpp": 0.1, "i_frame_num": float("inf"), "p_frame_num": float("-inf")})
@example({"ave_all_frame_bpp": 0.1, "qp": float("nan"), "i_frame_num": 1e300})
def test_dcvc_with_any_figures(entry):
    give("dcvc", json.dumps({"d": {"s_64x64_25.yuv": {"22": entry}}}).encode())


@QUICK
@given(st.dictionaries(KEYS, JSON | st.lists(SCALARS, min_size=2, max_size=2), max_size=5), JSON)
@example({"bpp": [0.1, 0.2], "psnr-y": [30, None], "psnr_y": [1, 2]}, None)
@example({"bpp": [0.1, 0.2], "q": [True, 10**400]}, 5)
@example({"bpp": [0.1], "": [1]}, "s")
def test_compressai_with_any_figures(results, name):
    give("compressai", json.dumps({"name": name, "source": name, "results": results}).encode())


@QUICK
@given(st.lists(st.lists(st.sampled_from(["1", "0", "57600", "1e9", "-3", "nan", "inf", "x", "1_0"]), max_size=40)))
def test_awcy_with_any_cells(lines):
    give("awcy", "\n".join(map(" ".join, lines)).encode())


CELLS = st.sampled_from(["1", "0.5", "", "-", "nan", "inf", "-2", "25/2", "1/0", "x", "1e300", "bunny"])
COLUMNS = st.sampled_from(["bpp", "kbps", "q", "frames", "width", "fps", "sequence", "psnr_y", "metric", "score", "x"])


@QUICK
@given(
    st.lists(COLUMNS, min_size=1, max_size=7).flatmap(
        lambda names: st.lists(st.lists(CELLS, min_size=len(names), max_size=len(names)), max_size=4).map(
            lambda rows: [names, *rows]
        )
    )
)
def test_csv_with_any_cells(rows):
    give("csv", "\n".join(map(",".join, rows)).encode())


@given(st.text(max_size=20), st.text("0123456789.fpsFPShz_-", max_size=20))
@example("a_64x64_", "99." + "9" * 5000)
@example("a_64x64_", "٣٠fps")
def test_any_name_has_a_positive_frame_rate_or_none(start, end):
    for name in (start + end, f"{start}_64x64_{end}"):
        rate = from_name(name)[2]
        assert rate is None or rate > 0
