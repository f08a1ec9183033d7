"""Published data read into run folders: what the files say, what the user says, and nothing else."""

from __future__ import annotations

import hashlib
import json
from fractions import Fraction
from pathlib import Path

import pytest
from json_schema import published_schema, violations
from published_samples import AWCY, COMPRESSAI, CSV, dcvc_document, write_json

from evalsuite.errors import EvalError, RequestError
from evalsuite.metrics.registry import infos
from evalsuite.results.load import RunResults, read_run
from evalsuite.results.published import table
from evalsuite.results.published.base import Given
from evalsuite.results.published.write import import_published


def imported(tmp_path: Path, file: Path, format: str, **given) -> RunResults:
    import_published([file], format, Given(**given), tmp_path / "run")
    return read_run(tmp_path / "run")


def write(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def scores(run: RunResults, metric: str) -> list[float]:
    return list(run.points[run.points["metric"] == metric]["score"])


def test_dcvc_all_frame_figures_become_rows(tmp_path):
    file = write_json(tmp_path / "vtm.json", dcvc_document())
    run = imported(tmp_path, file, "dcvc")
    assert scores(run, "psnr_y") == [40, 37, 34, 31]
    assert scores(run, "psnr_cb") == [42, 39, 36, 33]
    assert scores(run, "psnr_cr") == [44, 41, 38, 35]
    assert scores(run, "psnr_yuv") == [40.75, 37.75, 34.75, 31.75]
    row = run.points.iloc[0]
    assert (row["codec"], row["sequence"], row["dataset"]) == ("vtm", "Bunny_640x360_24.yuv", "set")
    assert (row["width"], row["height"], row["frames"], row["frame_rate"], row["q"]) == (640, 360, 48, 24, 22)
    assert row["bpp"] == 0.08
    assert row["kbps"] == pytest.approx(0.08 * 640 * 360 * 24 / 1000)
    assert set(run.points["rate_source"]) == {"published"}
    assert set(run.points["source_sha256"]) == {""}


def test_what_nobody_says_is_unknown_and_what_the_user_says_is_kept(tmp_path):
    file = write_json(tmp_path / "vtm.json", dcvc_document())
    row = imported(tmp_path, file, "dcvc").points.iloc[0]
    unknown = ("structure", "intra_period", "internal_bit_depth", "lookahead", "delay", "rate_control", "threads")
    assert row[[*unknown, "bytes", "scale_divisor", "encode_cpu_s", "bitstream_sha256"]].isna().all()
    told = {"structure": "low delay", "intra_period": -1, "internal_bit_depth": 10, "delay": 0, "codec": "VTM"}
    run = imported(tmp_path, file, "dcvc", **told)
    row = run.points.iloc[0]
    assert {name: row[name] for name in told} == told
    assert {name: run.summary["codecs"][0][name] for name in told if name != "codec"} == {
        name: value for name, value in told.items() if name != "codec"
    }


@pytest.mark.parametrize(
    ("format", "name", "text", "given"),
    [
        ("dcvc", "a.json", json.dumps(dcvc_document()), {}),
        ("compressai", "a.json", json.dumps(COMPRESSAI), {"dataset": "set"}),
        ("awcy", "a_320x180.y4m-daala.out", AWCY, {"codec": "daala"}),
        ("csv", "a.csv", CSV, {}),
    ],
)
def test_summaries_fit_the_published_schema(tmp_path, format, name, text, given):
    run = imported(tmp_path, write(tmp_path, name, text), format, **given)
    schema = published_schema()
    assert violations(run.summary, schema, schema) == []
    assert run.summary["request"]["files"] == [
        {"name": name, "bytes": len(text.encode()), "sha256": hashlib.sha256(text.encode()).hexdigest()}
    ]
    assert len(run.frames()) == 0
    assert "published, not re-run" in run.summary["codecs"][0]["notes"]


def test_only_equal_definitions_take_the_name_of_a_metric_of_the_suite(tmp_path):
    own = infos()
    run = imported(tmp_path, write_json(tmp_path / "a.json", dcvc_document()), "dcvc")
    assert [name for name in sorted(set(run.points["metric"])) if name in own] == [
        "psnr_cb",
        "psnr_cr",
        "psnr_y",
        "psnr_yuv",
    ]
    assert set(run.points[run.points["metric"] == "psnr_y"]["metric_version"]) == {own["psnr_y"].version}
    run = imported(tmp_path, write_json(tmp_path / "b.json", COMPRESSAI), "compressai", dataset="set")
    assert not [name for name in set(run.points["metric"]) if name in own]


def test_compressai_means_over_a_dataset_are_one_averaged_sequence(tmp_path):
    file = write_json(tmp_path / "a.json", COMPRESSAI)
    run = imported(tmp_path, file, "compressai", dataset="UVG-1080p")
    row = run.points.iloc[0]
    assert (row["codec"], row["sequence"], row["tags"]) == ("a-codec", "mean of UVG-1080p", "averaged")
    assert scores(run, "psnr_y_compressai") == [30, 33]
    assert set(run.points["metric"]) == {"psnr_y_compressai", "ms_ssim_rgb_compressai", "mse_rgb_compressai"}
    mse = run.points[run.points["metric"] == "mse_rgb_compressai"]
    assert not mse["higher_is_better"].any()
    assert run.points["q"].isna().all()  # names of models are no numbers
    assert run.points["kbps"].isna().all()  # neither size nor frame rate is known
    with pytest.raises(RequestError, match="dataset that the file does not name"):
        imported(tmp_path, file, "compressai")


def test_compressai_bitrates_need_a_size_to_be_bits_per_pixel(tmp_path):
    # 5242.852114285714 kbit/s at 1920x1080 and 120 frames a second is 0.02107 bpp.
    results = {"qp": [32, 37], "bitrate": [5242.852114285714, 2402.074742857142], "psnr-y": [37.4, 34.9]}
    file = write_json(tmp_path / "a.json", {"name": "x265", "results": results})
    with pytest.raises(RequestError, match="kbps alone"):
        imported(tmp_path, file, "compressai", dataset="UVG")
    known = {"dataset": "UVG", "width": 1920, "height": 1080, "frame_rate": Fraction(120)}
    run = imported(tmp_path, file, "compressai", **known)
    assert run.points.iloc[0]["bpp"] == pytest.approx(0.0210698, abs=1e-7)
    assert list(run.points["q"]) == [32, 37]


def test_bytes_may_stand_at_one_line_of_a_rate_point(tmp_path):
    for cells in (("7", ""), ("", "7"), ("-", "7")):
        lines = [f"bunny,0.1,1,{cell},{metric},30" for cell, metric in zip(cells, ("psnr_y", "vmaf"), strict=True)]
        (tmp_path / "t.csv").write_text("sequence,bpp,q,bytes,metric,score\n" + "\n".join(lines) + "\n")
        (point,) = table.read(tmp_path / "t.csv", Given()).points
        assert (point.bytes, set(point.scores)) == (7, {"psnr_y", "vmaf"})


def test_trap01_the_old_bench_of_compressai_has_kilobytes_for_kilobits(tmp_path):
    results = {"bitrate": [100.0], "y_psnr": [37.4]}
    file = write_json(tmp_path / "a.json", {"name": "x265", "results": results})
    known = {"dataset": "UVG", "width": 100, "height": 100, "frame_rate": Fraction(10)}
    assert imported(tmp_path, file, "compressai", **known).points.iloc[0]["kbps"] == 800


def test_compressai_file_of_one_sequence(tmp_path):
    file = write_json(tmp_path / "a.json", {"source": "Beauty", "name": "ssf", "results": {"bpp": 0.1, "psnr-y": 33.0}})
    row = imported(tmp_path, file, "compressai").points.iloc[0]
    assert (row["sequence"], row["tags"], row["score"]) == ("Beauty", "", 33)


def test_awcy_rates_are_of_the_file_and_frames_of_the_pixels(tmp_path):
    run = imported(tmp_path, write(tmp_path, "clip_320x180_30.y4m-daala.out", AWCY), "awcy", codec="daala")
    row = run.points.iloc[0]
    assert (row["sequence"], row["frames"], row["bytes"], row["q"]) == ("clip_320x180_30.y4m", 2, 28800, 20)
    assert row["bpp"] == 2  # 8 * 28800 / 115200
    assert row["kbps"] == 2 * 320 * 180 * 30 / 1000
    assert scores(run, "psnr_y_awcy") == [38, 29]
    assert scores(run, "psnr_cr_awcy") == [42, 36]


def test_awcy_vmaf_stands_in_its_column(tmp_path):
    values = [str(i) for i in range(100, 133)]
    line = " ".join(["20", "57600", "1000", *values, "a-digest", "7", "8"])
    run = imported(tmp_path, write(tmp_path, "clip.y4m-daala.out", line), "awcy", codec="daala", width=320, height=180)
    # csv_export.py of AWCY: VMAF is score 24 and VMAF-NEG 25, counted from 0.
    assert scores(run, "vmaf") == [124]
    assert scores(run, "vmaf_neg") == [125]
    assert scores(run, "psnr_y_aom") == [114]
    assert scores(run, "cambi_aom") == [129]


def test_awcy_without_a_size_has_unknown_frames(tmp_path):
    run = imported(tmp_path, write(tmp_path, "clip.out", AWCY), "awcy", codec="daala")
    assert run.points["frames"].isna().all()
    with pytest.raises(RequestError, match="no whole number of frames"):
        imported(tmp_path, write(tmp_path, "clip.out", AWCY), "awcy", codec="daala", width=1000, height=1000)
    with pytest.raises(RequestError, match="width: what was given contradicts"):
        imported(tmp_path, write(tmp_path, "clip_320x180.out", AWCY), "awcy", codec="daala", width=640, height=90)
    with pytest.raises(RequestError, match="sum over sequences"):
        imported(tmp_path, write(tmp_path, "total-daala.out", AWCY), "awcy", codec="daala")


def test_csv_columns_named_as_metrics_of_the_suite_are_those(tmp_path):
    run = imported(tmp_path, write(tmp_path, "a.csv", CSV), "csv")
    own = infos()
    facts = run.points.groupby("metric")[["higher_is_better", "metric_version"]].first()
    for name in ("psnr_y", "vmaf", "lpips"):
        assert facts.loc[name, "higher_is_better"] == own[name].higher_is_better
        assert facts.loc[name, "metric_version"] == own[name].version
    missing = run.points[(run.points["metric"] == "lpips") & (run.points["q"] == 37)].iloc[0]
    assert (missing["status"], missing["reason"]) == ("unavailable", "not published")


def test_csv_metric_of_unknown_direction_describes(tmp_path):
    text = "sequence,bpp,metric,score\nbunny,0.1,my metric,3\n"
    run = imported(tmp_path, write(tmp_path, "a.csv", text), "csv")
    assert run.points["higher_is_better"].isna().all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("sequence,bitrate,psnr_y\nbunny,100,30\n", "a rate without a unit"),
        ("bpp,psnr_y\n0.1,30\n", "no column of sequences"),
        ("sequence,bpp,frames,psnr_y\nbunny,0.1,48.5,30\n", "no usable frames"),
        ("sequence,bpp,fps,psnr_y\nbunny,0.1,0/0,30\n", "no usable frame rate"),
        ("sequence,bpp,fps,psnr_y\nbunny,0.1,1e999999999,30\n", "no usable frame rate"),
        ("sequence,bpp,q,psnr_y\nbunny,0.1,3,30\nbunny,0.1,3,31\n", "repeats a score"),
        ("sequence,bpp,psnr_y\nbunny,-,30\n", "a rate point without a rate"),
        ("sequence,bpp,frames,psnr_y\nbunny,0.1,48,30\nbunny,0.2,96,33\n", "not of one sequence"),
        ("sequence,bpp,bytes,psnr_y\nbunny,0.1,7.9,30\n", "no usable bytes"),
        ("sequence,bpp,bytes,psnr_y\nbunny,0.1,-5,30\n", "no usable bytes"),
        ("sequence,bpp,q,bytes,metric,score\nb,0.1,1,7,psnr_y,30\nb,0.1,1,8,vmaf,30\n", "has other bytes"),
        # 0.1 bpp of 100 x 100 pixels at 25 fps are 25 kbps; of 8 frames they are 1000 bytes.
        ("sequence,bpp,kbps,width,height,fps,psnr_y\nbunny,0.1,25.3,100,100,25,30\n", "contradict each other"),
        ("sequence,bpp,bytes,width,height,frames,psnr_y\nbunny,0.1,989,100,100,8,30\n", "contradict each other"),
        ("sequence,kbps,bytes,width,height,frames,fps,psnr_y\nbunny,25,100,100,100,8,25,30\n", "contradict each other"),
        ("codec,sequence,bpp,psnr_y\na,bunny,0.1,30\nb,bunny,0.2,33\n", "several codecs"),
    ],
)
def test_csv_that_is_not_clear_is_refused(tmp_path, text, said):
    with pytest.raises(RequestError, match=said):
        imported(tmp_path, write(tmp_path, "a.csv", text), "csv")


def test_rates_that_agree_within_a_percent_are_taken(tmp_path):
    text = "sequence,bpp,kbps,bytes,width,height,frames,fps,psnr_y\nbunny,0.1,25.1,996,100,100,8,25,30\n"
    run = imported(tmp_path, write(tmp_path, "a.csv", text), "csv")
    assert run.points.loc[0, ["bpp", "kbps", "bytes"]].tolist() == [0.1, 25.1, 996]


def test_a_dataset_that_the_file_names_is_not_renamed(tmp_path):
    file = write(tmp_path, "a.csv", "sequence,dataset,bpp,psnr_y\nbunny,UVG,0.1,30\nbunny,UVG,0.2,33\n")
    with pytest.raises(RequestError, match="dataset: what was given contradicts the file"):
        imported(tmp_path, file, "csv", dataset="MCL")
    assert set(imported(tmp_path, file, "csv", dataset="UVG").points["dataset"]) == {"UVG"}
    gap = write(tmp_path, "b.csv", "sequence,dataset,bpp,psnr_y\nbunny,-,0.1,30\nbunny,-,0.2,33\n")
    assert set(imported(tmp_path, gap, "csv", dataset="MCL").points["dataset"]) == {"MCL"}


def test_one_codec_may_be_renamed_and_several_are_not_merged(tmp_path):
    files = [
        write(tmp_path, f"{codec}.csv", f"codec,sequence,bpp,psnr_y\n{codec},{codec}-clip,0.1,30\n")
        for codec in ("foo", "qux")
    ]
    assert imported(tmp_path, files[0], "csv", codec="mine", sequence="one").points["codec"].tolist() == ["mine"]
    with pytest.raises(RequestError, match="several codecs") as refused:
        import_published(files, "csv", Given(codec="mine"), tmp_path / "both")
    assert "foo, qux" in str(refused.value)


def test_q_that_rises_with_the_rate_is_not_the_suites_q(tmp_path):
    text = "sequence,bpp,q,psnr_y\nbunny,0.1,0,30\nbunny,0.2,1,33\n"
    run = imported(tmp_path, write(tmp_path, "a.csv", text), "csv")
    assert run.points["q"].isna().all()
    assert list(run.points["bpp"]) == [0.1, 0.2]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"frames": 96}, "frames: what was given contradicts the file"),
        ({"width": 320}, "width: what was given contradicts the file"),
        ({"dataset": "UVG"}, "no rate points"),
    ],
)
def test_trap02_what_is_given_never_overrules_the_file(tmp_path, given, said):
    file = write_json(tmp_path / "a.json", dcvc_document())
    with pytest.raises(RequestError, match=said):
        imported(tmp_path, file, "dcvc", **given)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "no datasets"),
        ({"set": {"a": {"022": {}}}}, "has no rate"),
        ({"set": {"a": {"022": {"ave_all_frame_bpp": "0.1"}}}}, "is not a number"),
        ({"set": {"a": {"022": {"ave_all_frame_bpp": 0.0}}}}, "without a rate"),
        ({"set": {}}, "no rate points"),
        (dcvc_document(pixels=99), "contradicts its file name"),
    ],
)
def test_dcvc_documents_that_are_none_are_refused(tmp_path, document, said):
    with pytest.raises(RequestError, match=said):
        imported(tmp_path, write_json(tmp_path / "a.json", document), "dcvc")


def test_several_files_are_one_codec(tmp_path):
    files = [write(tmp_path, f"{name}_320x180.y4m-daala.out", AWCY) for name in ("one", "two")]
    done = import_published(files, "awcy", Given(codec="daala"), tmp_path / "run")
    assert (done.sequences, done.points) == (2, 4)
    with pytest.raises(RequestError, match="which codec"):
        import_published(files, "awcy", Given(), tmp_path / "run")
    with pytest.raises(RequestError, match="there are several"):
        import_published(files, "awcy", Given(codec="daala", sequence="one"), tmp_path / "run")


def test_a_sequence_of_the_same_name_in_two_datasets_is_two(tmp_path):
    document = dcvc_document("Horses")
    document["other"] = dcvc_document("Horses")["set"]
    run = imported(tmp_path, write_json(tmp_path / "a.json", document), "dcvc")
    assert sorted(set(run.points["sequence"])) == ["Horses (other)", "Horses (set)"]


def test_unknown_format_and_missing_file(tmp_path):
    with pytest.raises(RequestError, match="unknown format 'dvc'") as error:
        import_published([tmp_path / "a"], "dvc", Given(), tmp_path / "run")
    assert "dcvc" in str(error.value)
    for format in ("dcvc", "compressai", "awcy", "csv"):
        with pytest.raises(EvalError, match="cannot be read"):
            import_published([tmp_path / "none"], format, Given(), tmp_path / "run")
    assert not (tmp_path / "run").exists()
