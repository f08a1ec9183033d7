"""The runs that a store keeps, and what a path means."""

import json

import pytest
from gate_samples import rows, write_run

from evalsuite.errors import RequestError, StoreError
from evalsuite.results.history import accept_run, keep_run, kept_runs, open_run, without_paths
from evalsuite.results.load import read_run


@pytest.fixture
def store(tmp_path):
    folder = tmp_path / "store"
    folder.mkdir()
    (folder / "store.sqlite").touch()
    return folder


def _run(folder, day, rate=1.0):
    run = write_run(folder, rows(rate))
    summary = json.loads((folder / "summary.json").read_text())
    summary["run"]["started"] = f"2026-01-{day:02}T10:00:00+00:00"
    (folder / "summary.json").write_text(json.dumps(summary))
    return read_run(run.folder)


def test_a_store_means_its_latest_run_and_counts_back(tmp_path, store):
    for day, rate in ((1, 1.1), (2, 1.2), (3, 1.3)):
        assert keep_run(_run(tmp_path / f"run{day}", day, rate), store).name.startswith(f"2026010{day}T100000Z-")
    lowest = [open_run(f"{store}{suffix}").points["bpp"].min() for suffix in ("", "@0", "@1", "@2")]
    assert lowest == pytest.approx([0.005 * rate for rate in (1.3, 1.3, 1.2, 1.1)])
    with pytest.raises(RequestError, match="does not have 4 finished runs"):
        open_run(f"{store}@3")


def test_the_latest_run_is_the_one_that_ended_last_whatever_the_clock_says(tmp_path, store):
    for number, (day, rate) in enumerate(((31, 1.1), (1, 1.2), (1, 1.3), (30, 1.4))):
        keep_run(_run(tmp_path / f"run{number}", day, rate), store)
    lowest = [open_run(f"{store}@{back}").points["bpp"].min() for back in range(4)]
    assert lowest == pytest.approx([0.005 * rate for rate in (1.4, 1.3, 1.2, 1.1)])
    names = [path.name.split("-")[0] for path in kept_runs(store)]
    assert names == ["20260131T100000Z", "20260131T100001Z", "20260131T100002Z", "20260131T100003Z"]
    february = write_run(tmp_path / "next", rows(1.5))
    summary = json.loads((february.folder / "summary.json").read_text())
    summary["run"]["started"] = "2026-02-01T00:00:00+00:00"
    (february.folder / "summary.json").write_text(json.dumps(summary))
    assert keep_run(read_run(february.folder), store).name.startswith("20260201T000000Z-")


def test_a_folder_of_another_name_does_not_name_a_run(tmp_path, store):
    (store / "runs" / "2026 old").mkdir(parents=True)
    (store / "runs" / "99991231T235959Z-0").mkdir()
    assert keep_run(_run(tmp_path / "run", 1), store).name.startswith("20260101T100000Z-")


def test_a_run_of_another_history_keeps_its_place(tmp_path, store):
    keep_run(_run(tmp_path / "three", 3, 1.3), store)
    kept = keep_run(_run(tmp_path / "one", 1, 1.1), store, "20260101T100000Z-00000000")
    assert kept.name == "20260101T100000Z-00000000"
    assert open_run(str(store)).points["bpp"].min() == pytest.approx(0.005 * 1.3)


def test_keeping_a_run_twice_keeps_it_once(tmp_path, store):
    run = _run(tmp_path / "run", 1)
    kept = keep_run(run, store)
    keep_run(_run(tmp_path / "another", 2), store)
    assert keep_run(run, store) == kept
    kept.rename(kept.with_name(f"20270101T000000Z-{kept.name[-8:]}"))  # as a clock that was put back names it
    assert keep_run(run, store).name == f"20270101T000000Z-{kept.name[-8:]}"
    assert len(list((store / "runs").iterdir())) == 2


def test_a_kept_run_outlives_its_folder(tmp_path, store):
    run = _run(tmp_path / "run", 1)
    keep_run(run, store)
    write_run(tmp_path / "run", rows(2.0))
    assert open_run(str(store)).points["bpp"].min() == pytest.approx(0.005)


def test_a_run_and_published_points_are_folders(tmp_path):
    write_run(tmp_path / "run", rows())
    assert open_run(str(tmp_path / "run")).folder == tmp_path / "run"
    odd = tmp_path / "run@2"
    write_run(odd, rows())
    assert open_run(str(odd)).folder == odd


@pytest.mark.parametrize("name", ["", "nowhere", "nowhere@1"])
def test_what_is_neither_is_refused_by_name(tmp_path, name):
    with pytest.raises(RequestError, match="neither a run nor a store"):
        open_run(str(tmp_path / name))


def test_a_path_that_means_nothing_is_told_as_what_it_is(tmp_path, store):
    summary = _run(tmp_path / "run", 1).folder / "summary.json"
    for path, got, fix in (
        (tmp_path / "nowhere", "no such folder", None),
        (summary, "a file", f"give the folder of a run: {tmp_path / 'run'}"),
        (f"{store}@x", "@x", None),
        (f"{store}@-1", "@-1", None),
        (f"{tmp_path / 'nowhere'}@x", "no such folder", None),
    ):
        with pytest.raises(RequestError, match="neither a run nor a store") as caught:
            open_run(str(path))
        assert (caught.value.got, caught.value.fix) == (got, fix)


def test_a_store_without_a_run_says_so(store):
    with pytest.raises(RequestError, match="no finished run"):
        open_run(str(store))


def test_an_accepted_run_is_whole_and_names_no_path(tmp_path):
    run = write_run(tmp_path / "run", rows())
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    summary["commands"][0]["encode"] = ["/home/me/ffmpeg"]
    summary["request"]["command"] = ["evalsuite", "--out", "/home/me/out"]
    (tmp_path / "run/summary.json").write_text(json.dumps(summary))
    accept_run(read_run(run.folder), tmp_path / "baseline")
    kept = open_run(str(tmp_path / "baseline"))
    assert kept.points.equals(run.points)
    text = (tmp_path / "baseline/summary.json").read_text()
    assert "/home/me" not in text
    assert "/usr/bin" not in text
    assert {path.name for path in (tmp_path / "baseline").iterdir()} == {
        "results.parquet",
        "frames.parquet",
        "bd_rate.csv",
        "summary.json",
    }


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("no '/home/me/my videos/a b.y4m' there", "no 'a b.y4m' there"),
        ('cannot read "/home/me/my videos/a.y4m": gone', 'cannot read "a.y4m": gone'),
        ("'/home/me/a b/x' and '/srv/c d/y'", "'x' and 'y'"),
        ("see file:///home/me/a.y4m, file:/home/me/b", "see a.y4m, b"),
        ("file://host/home/me/a.y4m", "a.y4m"),
        ("see logfile:/tmp/a/x.log", "see logfile:x.log"),
        ("gcc -I/home/me/include -L/usr/lib/x -O2", "gcc -Iinclude -Lx -O2"),
        ("-I/home/me/include", "-Iinclude"),
        ("--weights=/home/me/w.bin", "--weights=w.bin"),
        ("30000/1001 tokens/s, and/or 'a/b c/d' in x-y/z/w", "30000/1001 tokens/s, and/or 'a/b c/d' in x-y/z/w"),
        ("https://example.org/a/b s3://bucket/a/b ~/x/y ./a/b", "https://example.org/a/b s3://bucket/a/b ~/x/y ./a/b"),
    ],
)
def test_no_text_keeps_the_folders_of_a_machine(text, kept):
    assert without_paths(text) == kept
    assert without_paths({"told": [text]}) == {"told": [kept]}


def test_no_key_keeps_the_folders_of_a_machine():
    told = {"/home/me/w.bin": 1, "/srv/w.bin": 2, "plain": 3, "name": "/home/x"}
    assert without_paths(told) == {"w.bin": 1, "w.bin (2)": 2, "plain": 3, "name": "/home/x"}


def test_a_damaged_copy_is_noticed(tmp_path, store):
    kept = keep_run(_run(tmp_path / "run", 1), store)
    (kept / "results.parquet").write_bytes(b"x")
    with pytest.raises(StoreError, match="damaged"):
        open_run(str(store))
