from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from evalsuite.engine.costs import EncodeCost
from evalsuite.engine.store import Origin, Store, StoredDecode
from evalsuite.errors import StoreError
from evalsuite.types import Latency, Series, Timing, Usage

USAGE = Usage(1.5, 1.25, 4096)
DECODE = StoredDecode(USAGE, ())
ALONE = Timing(ran_alone=True, timed_on="a processor")
VERSIONS = {"psnr_y": "1", "vmaf": "v0.6.1"}


def add(store: Store, key: str, content: bytes = b"bits", q: float = 30.0) -> str:
    path = store.scratch / f"{key}.bin"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    store.add_encode(key, q, path, sha256=digest, payload_bytes=len(content), usage=USAGE, commands=(("enc", "a b"),))
    return digest


def test_an_encode_survives_closing(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        digest = add(store, "cell", b"some bits", q=27.5)
    with Store(tmp_path) as store:
        encode = store.encode("cell")
        assert encode is not None
        assert (encode.sha256, encode.q, encode.usage, encode.commands) == (digest, 27.5, USAGE, (("enc", "a b"),))
        assert encode.path.read_bytes() == b"some bits"
        assert store.encode("another") is None


def test_trap05_a_damaged_bitstream_is_noticed(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        add(store, "cell")
        path = store.encode("cell").path  # type: ignore[union-attr]
    path.write_bytes(b"bats")
    with Store(tmp_path) as store:
        assert store.encode("cell") is None
        add(store, "cell")
        assert store.encode("cell") is not None
    path.unlink()
    with Store(tmp_path) as store:
        assert store.encode("cell") is None


def test_trap23_scores_of_every_kind_survive(tmp_path: Path) -> None:
    values = np.array([1.5, np.inf, -np.inf, np.nan, 1e-300])
    series = [Series("psnr_y", "ok", values), Series("vmaf", "too_small", reason="needs 17")]
    with Store(tmp_path) as store:
        store.add_scores("cell", series, VERSIONS, StoredDecode(USAGE, ("dec",)))
    with Store(tmp_path) as store:
        back = store.scores("cell", VERSIONS)
        np.testing.assert_array_equal(back["psnr_y"].values, values)
        assert (back["vmaf"].status, back["vmaf"].reason) == ("too_small", "needs 17")
        assert store.decode("cell").command == ("dec",)  # type: ignore[union-attr]
        assert store.scores("cell", {"psnr_y": "2", "vmaf": "v0.6.1"}).keys() == {"vmaf"}


def test_trap21_frames_that_a_metric_does_not_apply_to_stay_left_out(tmp_path: Path) -> None:
    some = Series("psnr_y", "ok", np.array([1.0, np.nan]), frames=np.array([3, 7]))
    with Store(tmp_path) as store:
        store.add_scores("cell", [some, Series("vmaf", "ok", np.array([5.0]))], VERSIONS, DECODE)
    with Store(tmp_path) as store:
        back = store.scores("cell", VERSIONS)
        assert back["psnr_y"].frames is not None
        assert back["psnr_y"].frames.tolist() == [3, 7]
        np.testing.assert_array_equal(back["psnr_y"].values, [1.0, np.nan])
        assert back["vmaf"].frames is None


def test_what_may_succeed_next_time_is_not_kept(tmp_path: Path) -> None:
    series = [Series("psnr_y", "failed", reason="x"), Series("vmaf", "unavailable", reason="y")]
    with Store(tmp_path) as store:
        store.add_scores("cell", series, VERSIONS, DECODE)
        assert store.scores("cell", VERSIONS) == {}


def test_two_runs_on_one_store_do_no_harm(tmp_path: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[3]); from pathlib import Path; import numpy as np\n"
        "from test_store import Store, add, Series, VERSIONS, DECODE\n"
        "with Store(Path(sys.argv[1])) as store:\n"
        "    for i in range(150):\n"
        "        key = f'{sys.argv[2]}-{i % 100 if i < 50 else i}'\n"
        "        add(store, key, b'same' if i % 3 else str(i).encode(), q=i)\n"
        "        store.add_scores(key, [Series('psnr_y', 'ok', np.arange(50.0))], VERSIONS, DECODE)\n"
    )
    runs = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), name, str(Path(__file__).parent)])
        for name in ("a", "b")
    ]
    assert [run.wait(120) for run in runs] == [0, 0]
    with Store(tmp_path) as store:
        for name in ("a", "b"):
            for index in (*range(50), *range(50, 150)):
                assert store.encode(f"{name}-{index}") is not None
                assert len(store.scores(f"{name}-{index}", VERSIONS)) == 1


def test_scratch_of_a_dead_run_is_removed_and_of_a_live_one_kept(tmp_path: Path) -> None:
    dead = tmp_path / "tmp" / "999999999-dead"
    dead.mkdir(parents=True)
    with Store(tmp_path) as first, Store(tmp_path) as second:
        assert not dead.exists()
        assert first.scratch.exists()
        assert second.scratch.exists()
        assert first.scratch != second.scratch
    assert not first.scratch.exists()


def test_another_schema_and_a_foreign_file_are_refused(tmp_path: Path) -> None:
    Store(tmp_path / "a").close()
    with sqlite3.connect(tmp_path / "a" / "store.sqlite") as db:
        db.execute("PRAGMA user_version=99")
    with pytest.raises(StoreError, match="another version"):
        Store(tmp_path / "a")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "store.sqlite").write_bytes(b"this is not a database" * 100)
    with pytest.raises(StoreError, match="cannot be used"):
        Store(tmp_path / "b")


def test_a_store_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be used"):
        Store(tmp_path / "file" / "store")
    with pytest.raises(StoreError, match="cannot be used: it is a file"):
        Store(tmp_path / "file")


@pytest.mark.parametrize("how", [shutil.rmtree, lambda folder: folder.rename(folder.with_name("moved"))])
def test_a_store_that_is_taken_away_under_a_run_is_told_by_name(tmp_path: Path, how: Callable[[Path], object]) -> None:
    made = tmp_path / "made.bin"
    made.write_bytes(b"bits")

    def work() -> None:
        with Store(tmp_path / "store") as store:
            how(tmp_path / "store")
            sha256 = hashlib.sha256(b"bits").hexdigest()
            store.add_encode("cell", 30.0, made, sha256=sha256, payload_bytes=4, usage=USAGE, commands=())

    with pytest.raises(StoreError, match="cannot be used"):
        work()


def test_a_full_disk_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    mount = tmp_path / "small"
    mount.mkdir()
    tools = shutil.which("mount") and shutil.which("umount")
    if (
        not tools
        or os.geteuid() != 0
        or subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(mount)], capture_output=True
        ).returncode
    ):
        pytest.skip("a small file system needs root and mount")
    try:
        with Store(mount) as store:
            add(store, "kept")
            store.add_scores("kept", [Series("psnr_y", "ok", np.arange(10.0))], VERSIONS, DECODE)
            frames = Series("psnr_y", "ok", np.random.default_rng(0).random(200_000))
            with pytest.raises(StoreError, match=r"full|space") as caught:
                store.add_scores("cell", [frames], VERSIONS, DECODE)
            assert "nothing finished is lost" in str(caught.value)
        with Store(mount) as store:
            assert store.encode("kept") is not None
            assert len(store.scores("kept", VERSIONS)) == 1
    finally:
        subprocess.run(["umount", "-l", str(mount)], check=False)


def test_what_an_encoder_tells_about_itself_is_kept(tmp_path: Path) -> None:
    usage = Usage(1.5, 1.25, 4096, load_s=0.75)
    with Store(tmp_path) as store:
        path = store.scratch / "new.bin"
        path.write_bytes(b"bits")
        digest = hashlib.sha256(b"bits").hexdigest()
        store.add_encode(
            *("cell", 30.0, path),
            sha256=digest,
            payload_bytes=4,
            usage=usage,
            commands=(("enc",),),
            timing=ALONE,
            reconstruction_sha256="cd" * 32,
        )
    with Store(tmp_path) as store:
        encode = store.encode("cell")
        assert encode is not None
        assert (encode.usage, encode.timing, encode.reconstruction_sha256) == (usage, ALONE, "cd" * 32)


def test_trap30_a_time_taken_in_company_never_replaces_one_taken_alone(tmp_path: Path) -> None:
    latency = Latency(0.5, True, 0.01, 0.02, 0.03, 0.004)
    alone = StoredDecode(Usage(0.5, 0.25, 1, 0.125), ("dec", "alone"), ALONE, latency)
    again = StoredDecode(Usage(0.7, 0.35, 2), ("dec", "again"), ALONE, Latency(0.5, False))
    with Store(tmp_path) as store:
        store.add_scores("cell", [], VERSIONS, DECODE)
        assert store.decode("cell") == DECODE
        store.add_decode("cell", alone)
        store.add_scores("cell", [], VERSIONS, DECODE)
        assert store.decode("cell") == alone
        store.add_decode("cell", again)
        assert store.decode("cell") == again


@pytest.mark.parametrize(
    "damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"bitx"), lambda path: None]
)
def test_trap30_an_encode_again_in_company_keeps_the_time_taken_alone(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    sha256 = hashlib.sha256(b"bits").hexdigest()

    def add_timed(store: Store, seconds: float, timing: Timing) -> None:
        made = store.scratch / "made.bin"
        made.write_bytes(b"bits")
        usage = Usage(seconds, seconds)
        store.add_encode(
            "cell", 30.0, made, sha256=sha256, payload_bytes=4, usage=usage, commands=(("enc",),), timing=timing
        )

    with Store(tmp_path / "store") as store:
        add_timed(store, 1.0, ALONE)
        damage(store.bitstream(sha256))
        add_timed(store, 9.0, Timing(ran_alone=False, timed_on=""))
        found = store.encode("cell")
        assert found is not None
        assert (found.usage.wall_s, found.timing) == (1.0, ALONE)
        add_timed(store, 2.0, ALONE)
        found = store.encode("cell")
        assert found is not None
        assert found.usage.wall_s == 2.0


def test_trap30_a_time_replaces_one_that_is_known_no_better(tmp_path: Path) -> None:
    ranks = [Timing(), Timing(ran_alone=True), ALONE]
    for before, timing in itertools.product(ranks, ranks):
        with Store(tmp_path / f"{ranks.index(before)} {ranks.index(timing)}") as store:
            add(store, "cell")
            store.retime_encode("cell", Usage(5.0, 5.0), before)
            made = store.scratch / "made.bin"
            made.write_bytes(b"bits")
            sha256 = hashlib.sha256(b"bits").hexdigest()
            usage = Usage(6.0, 6.0)
            store.add_encode(
                "cell", 30.0, made, sha256=sha256, payload_bytes=4, usage=usage, commands=(), timing=timing
            )
            found = store.encode("cell")
            assert found is not None
            stays = ranks.index(before) > ranks.index(timing)
            assert (found.usage.wall_s, found.timing) == ((5.0, before) if stays else (6.0, timing))


def test_timing_again_changes_no_bitstream(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        digest = add(store, "cell", b"some bits", q=27.5)
        store.retime_encode("cell", Usage(9, 8, 7, 6), ALONE)
    with Store(tmp_path) as store:
        encode = store.encode("cell")
        assert encode is not None
        assert (encode.sha256, encode.q, encode.usage, encode.timing) == (digest, 27.5, Usage(9, 8, 7, 6), ALONE)
        assert encode.path.read_bytes() == b"some bits"


ORIGIN = Origin("x265", "ab" * 32, "carphone", 60 * 176 * 144, 60, 4)


def add_segment(store: Store, start: int, frames: int, content: bytes, codec_key: str = "codec") -> None:
    path = store.scratch / f"segment {start}"
    path.write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    store.add_segment(
        *(codec_key, 30.0, start, frames, path), sha256=digest, payload_bytes=3, usage=USAGE, commands=(("enc", "s"),)
    )


def test_finished_segments_survive_until_the_whole_is_added(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        add_segment(store, 0, 32, b"first")
        add_segment(store, 32, 28, b"second")
        add_segment(store, 0, 32, b"of another codec", "another")
    with Store(tmp_path) as store:
        second = store.segment("codec", 30.0, 32, 28)
        assert second is not None
        assert (second.path.read_bytes(), second.q, second.usage) == (b"second", 30.0, USAGE)
        assert (second.file_bytes, second.payload_bytes, second.commands) == (6, 3, (("enc", "s"),))
        for other in (("codec", 30.0, 32, 32), ("codec", 31.0, 32, 28), ("codec", 30.0, 0, 28)):
            assert store.segment(*other) is None
        path = store.scratch / "whole"
        path.write_bytes(b"firstsecond")
        whole = hashlib.sha256(b"firstsecond").hexdigest()
        store.add_encode(
            *("cell", 30.0, path), sha256=whole, payload_bytes=11, usage=USAGE, commands=(), codec_key="codec"
        )
        assert store.segment("codec", 30.0, 0, 32) is None
        assert store.segment("codec", 30.0, 32, 28) is None
        assert store.segment("another", 30.0, 0, 32) is not None
        # Another run may be joining it.
        assert second.path.read_bytes() == b"second"


def test_what_is_kept_of_an_encode_is_told_and_can_be_forgotten(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        for start, frames, codec in ((32, 28, "codec"), (0, 32, "codec"), (0, 60, "another")):
            add_segment(store, start, frames, f"{start} {codec}".encode(), codec)
        assert store.segments("codec", 30.0) == [(0, 32), (32, 28)]
        assert store.segments("codec", 31.0) == []
        store.drop_segments("codec", 30.0)
        assert store.segments("codec", 30.0) == []
        assert store.segments("another", 30.0) == [(0, 60)]


def test_trap05_a_damaged_segment_is_noticed(tmp_path: Path) -> None:
    with Store(tmp_path) as store:
        add_segment(store, 0, 32, b"first")
        store.segment("codec", 30.0, 0, 32).path.write_bytes(b"damaged")  # type: ignore[union-attr]
    with Store(tmp_path) as store:
        assert store.segment("codec", 30.0, 0, 32) is None


@pytest.mark.parametrize("ahead", [1e9, 1e12])
def test_the_latest_encodes_are_those_that_were_added_last_whatever_the_clock_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: float
) -> None:
    monkeypatch.setattr("evalsuite.engine.store._COSTS", 3)
    # A clock that was far ahead for three encodes, then right.
    times = iter([1.7e9 + ahead] * 3 + [1.7e9 + number for number in range(4)])
    monkeypatch.setattr("evalsuite.engine.store.time.time", lambda: next(times))
    with Store(tmp_path) as store:
        for number in range(7):
            made = store.scratch / "made.bin"
            made.write_bytes(b"bits")
            store.add_encode(
                *(f"cell {number}", float(number), made),
                sha256=hashlib.sha256(b"bits").hexdigest(),
                payload_bytes=4,
                usage=USAGE,
                commands=(),
                origin=ORIGIN,
            )
        assert sorted(cost.q for cost in store.encode_costs()) == [4, 5, 6]


def test_costs_are_of_what_is_known_and_the_latest_of_each_codec(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evalsuite.engine.store._COSTS", 3)
    with Store(tmp_path) as store:
        add(store, "of something unknown")
        for codec, count in (("x265", 5), ("vvenc", 2)):
            for number in range(count):
                path = store.scratch / "new.bin"
                path.write_bytes(f"{codec} {number}".encode())
                store.add_encode(
                    *(f"{codec} {number}", float(number), path),
                    sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
                    payload_bytes=4,
                    usage=Usage(2.0, number / 8, 4096 + number),
                    commands=(("enc",),),
                    origin=replace(ORIGIN, codec=codec),
                )
        store.add_decode("x265 4", DECODE)
        store.add_decode("of something unknown", DECODE)
        costs = store.encode_costs()
        assert store.decode_costs() == [EncodeCost("x265", 60 * 176 * 144, 60, 4.0, 1.25, 1.5, 4096)]
    assert sorted((cost.codec, cost.q) for cost in costs) == [
        ("vvenc", 0),
        ("vvenc", 1),
        ("x265", 2),
        ("x265", 3),
        ("x265", 4),
    ]
    assert all(
        cost == EncodeCost(cost.codec, 60 * 176 * 144, 60, cost.q, cost.q / 8, 2.0, 4096 + int(cost.q))
        for cost in costs
    )
