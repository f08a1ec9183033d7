import math
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evalsuite.errors import RequestError
from evalsuite.metrics.registry import infos
from evalsuite.results.rdcsv import KNOWN, MAX_BYTES, RDTable, metric_name, read_rd_csv


@pytest.fixture
def read(tmp_path):
    def read(text: str | bytes, metric: str | None = None) -> RDTable:
        path = tmp_path / "points.csv"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return read_rd_csv(path, metric)

    return read


def test_wide(read):
    table = read("bitrate,psnr_y,VMAF\n100,30,60\n200,33,80\n")
    assert table.metrics == ("psnr_y", "vmaf")
    assert list(table.units) == ["unnamed"]
    assert not table.has_sequences
    points = table.points("vmaf", "unnamed")[""]
    assert (points.rates, points.scores) == ([100, 200], [60, 80])


def test_tidy_with_sequences(read):
    table = read("sequence,kbps,metric,score\na,100,PSNR-Y,30\na,100,LPIPS,0.3\nb,90,psnr_y,31\n")
    assert table.metrics == ("psnr_y", "lpips")
    assert table.has_sequences
    assert {name: points.scores for name, points in table.points("psnr_y", "kbps").items()} == {"a": [30], "b": [31]}


def test_an_exported_results_table(read):
    table = read(
        "codec,sequence,q,bpp,kbps,bytes,frames,metric,statistic,score,unit,status,reason,cell_key\n"
        "x265,a,30,0.01,100,999,48,psnr_y,mean,30,dB,ok,,k\n"
        "x265,a,30,0.01,100,999,48,psnr_y,worst,12,dB,ok,,k\n"
        "x265,a,30,0.01,100,999,48,lpips,mean,,,unavailable,no weights,k\n"
    )
    assert list(table.units) == ["kbps", "bpp"]
    assert table.points("psnr_y", "bpp")["a"].scores == [30]
    assert math.isnan(table.points("lpips", "kbps")["a"].scores[0])


@pytest.mark.parametrize(
    ("header", "unit", "rate"),
    [
        ("kbps", "kbps", 2),
        ("Bitrate (kbps)", "kbps", 2),
        ("kbit/s", "kbps", 2),
        ("Mbps", "kbps", 2000),
        ("bps", "kbps", 0.002),
        ("BPP", "bpp", 2),
        ("bits per pixel", "bpp", 2),
        ("rate", "unnamed", 2),
        ("BITRATE", "unnamed", 2),
    ],
)
def test_rate_columns(read, header, unit, rate):
    table = read(f"{header},psnr\n2,30\n")
    assert list(table.units) == [unit]
    assert table.points("psnr", unit)[""].rates == pytest.approx([rate])


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("PSNR", "psnr"),
        ("psnr-y", "psnr_y"),
        ("Y-PSNR", "psnr_y"),
        ("PSNR (U)", "psnr_cb"),
        ("MS-SSIM", "ms_ssim"),
        ("msssim", "ms_ssim"),
        ("float_ssim", "ssim"),
        ("VMAF NEG", "vmaf_neg"),
        ("LPIPS", "lpips"),
        ("My own metric", "my_own_metric"),
    ],
)
def test_metric_names(text, name):
    assert metric_name(text) == name


@pytest.mark.parametrize("name", KNOWN)
def test_every_known_name_is_its_own_alias(name):
    assert metric_name(name) == name


def test_directions_and_ceilings_are_those_of_the_suites_own_metrics():
    judged = {name: info for name, info in infos().items() if info.higher_is_better is not None}
    known = {name: (KNOWN[name].higher_is_better, KNOWN[name].log_domain_ceiling) for name in judged}
    assert known == {name: (info.higher_is_better, info.log_domain_ceiling) for name, info in judged.items()}


@pytest.mark.parametrize(
    "text",
    [
        "kbps;psnr\n100;30\n",
        "kbps\tpsnr\n100\t30\n",
        "\ufeffkbps,psnr\r\n100,30\r\n",
        "kbps,psnr\r100,30\r",
        "\n\n kbps , psnr \n\n 100 , 30 \n\n",
        '"kbps","psnr"\n"100","30"\n',
        "kbps,psnr\n1e2,3.0E+1",
    ],
)
def test_dialects(read, text):
    points = read(text).points("psnr", "kbps")[""]
    assert (points.rates, points.scores) == ([100], [30])


@pytest.mark.parametrize("cell", ["", "-", "n/a", "NA", "nan", "NaN", "none", "null"])
def test_missing_scores_are_nan(read, cell):
    assert math.isnan(read(f"kbps,psnr\n100,{cell}\n").points("psnr", "kbps")[""].scores[0])


@pytest.mark.parametrize("cell", ["inf", "Infinity", "INF"])
def test_infinite_scores_stay_infinite(read, cell):
    assert read(f"kbps,psnr\n100,{cell}\n").points("psnr", "kbps")[""].scores == [math.inf]


def test_columns_that_are_no_metric_are_left_alone(read):
    assert read("qp,kbps,comment,psnr\n22,100,fine,30\n").metrics == ("psnr",)


def test_one_unknown_column_is_the_metric(read):
    assert read("kbps,Quality\n100,7\n").metrics == ("quality",)
    assert read("kbps,mine,yours\n100,7,8\n", "yours").metrics == ("yours",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no rate points"),
        ("\n\n", "no rate points"),
        ("kbps,psnr\n", "no rate points"),
        ("100,30\n200,33\n", "no header"),
        ("psnr,vmaf\n30,60\n", "no rate column"),
        ("kbps,qp\n30,60\n", "no column with scores"),
        ("kbps,metric\n30,psnr\n", "a metric column but no scores"),
        ("kbps,psnr,PSNR\n100,30,31\n", "two columns for psnr"),
        ("kbps,mbps,psnr\n100,0.1,31\n", "two columns for the same thing"),
        ("kbps,a,b\n1,2,3\n", "which column has the scores is not clear"),
        ("kbps,psnr\n100,30\n200,good\n", "line 3 has a cell that is not a number"),
        ("kbps,psnr\n100,1_000\n", "line 2 has a cell that is not a number"),
        ("kbps;psnr\n100;36,5\n", "line 2 has a cell that is not a number"),
        ("kbps,psnr\n100,30,5\n", "line 2 does not fit the header"),
        ("kbps,psnr\n100\n", "line 2 does not fit the header"),
        ("codec,kbps,psnr\nx264,100,30\nx265,100,31\n", "several codecs in one file"),
        ("codec,preset,kbps,psnr\nx,fast,100,30\nx,slow,90,31\n", "several values of preset"),
        ("dataset,sequence,kbps,psnr\na,city,100,30\nb,city,90,31\n", "several values of dataset of city"),
        ("dataset,sequence,kbps,psnr\na,city,100,30\n-,city,95,30\nb,city,90,31\n", "several values of dataset"),
        ("sequence,kbps,psnr\ncity,100,30\n,90,31\n", "line 3 names no sequence"),
        ('kbps,psnr\n"100,30\n', "not a CSV file"),
        (b"\x1a\x45\xdf\xa3\x01\x00\x00\xff", "not a CSV file"),
        (b"\x00" * 5000, "no rate points"),
        (b"kbps,psnr\n100,30\n" + b"\n" * MAX_BYTES, "too large"),
        ("kbps,psnr\n" + "9" * 200_000 + ",30\n", "not a CSV file"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(read, text, said):
    with pytest.raises(RequestError, match=said) as error:
        read(text)
    assert "where:" in str(error.value)
    assert "expected:" in str(error.value)
    assert len(str(error.value)) < 2000


def test_an_asked_metric_that_is_not_there(read):
    with pytest.raises(RequestError, match="did you mean vmaf"):
        read("kbps,vmaf\n100,60\n", "vmav")


def test_files_that_are_not_there(tmp_path):
    for path, said in ((tmp_path / "none.csv", "No such file"), (tmp_path, "directory")):
        with pytest.raises(RequestError, match=said):
            read_rd_csv(path)


def read_any(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        table = read_rd_csv(path)
    except RequestError:
        return
    for metric in table.metrics:
        for unit in table.units:
            for points in table.points(metric, unit).values():
                assert len(points.rates) == len(points.scores) > 0


names = ("kbps", "bpp", "rate", "psnr", "vmaf", "metric", "score", "sequence", "codec", "statistic", "mean")
values = ("1", "2.5", "", "inf", "nan", '"', "\x00", "a b", "١", "-1e400")
cells = st.sampled_from([*names, *values]) | st.text(max_size=4)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(cells, max_size=5), max_size=5), st.sampled_from(",;\t"), st.sampled_from(["\n", "\r\n"]))
def test_anything_like_a_table_is_read_or_refused(tmp_path, rows, delimiter, end):
    text = end.join(delimiter.join(row) for row in rows)
    read_any(tmp_path / "points.csv", text.encode("utf-8", "surrogatepass"))


def test_a_value_that_is_missing_is_no_second_one(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("dataset,preset,kbps,psnr\na,fast,100,30\n-,,95,29.9\na,n/a,90,29.5\na,fast,80,29\n")
    assert len(read_rd_csv(path).rows) == 4


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path, content):
    read_any(tmp_path / "points.csv", content)
