"""Stores that travel: to folders and to S3, over lines that break and with exports that are killed."""

from __future__ import annotations

import json
import random
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from s3_server import BreakingLine, bucket, running_s3, use
from store_samples import add_cell, content_of, digest, execute, file_of, filled, held, keep, key
from test_store_kill import killed, started

from evalsuite.engine.store import Store
from evalsuite.engine.upkeep import transfer
from evalsuite.engine.upkeep.check import check
from evalsuite.engine.upkeep.merge import Merged
from evalsuite.engine.upkeep.transfer import Exported, export, import_
from evalsuite.errors import AssetError, EvalError, RequestError, StoreError
from evalsuite.remote import Place
from evalsuite.results.exported import read_manifest
from evalsuite.results.history import open_run

EXPORTER = """
import sys
from pathlib import Path
from evalsuite.engine.upkeep.transfer import export
print(flush=True)
export(Path(sys.argv[1]), sys.argv[2])
"""


@pytest.fixture(scope="module")
def s3() -> Iterator[int]:
    with running_s3() as port:
        yield port


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = filled(tmp_path / "store", ("a", "b", "c"))
    keep(folder, 1, ("a",))
    keep(folder, 2, ("b", "c"))
    return folder


@pytest.fixture(params=["folder", "memory", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: int) -> str:
    use(monkeypatch, s3)
    match request.param:
        case "folder":
            return str(tmp_path / "export")
        case "memory":
            return f"memory://{uuid.uuid4().hex}"
        case _:
            return f"{bucket(s3)}/store"


def test_a_store_that_has_travelled_is_the_same(folder: Path, address: str, tmp_path: Path) -> None:
    before = held(folder)
    sent = export(folder, address)
    assert (sent.bitstreams, sent.runs, sent.is_database_new) == (3, 2, True)
    assert held(folder) == before
    assert import_(address, tmp_path / "there") == Merged(cells=3, bitstreams=3, decodes=3, scores=6, runs=2)
    assert held(tmp_path / "there") == before
    assert check(tmp_path / "there") == []
    assert import_(address, tmp_path / "there") == Merged()


def test_two_exports_to_one_address_leave_one_that_can_be_imported(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While one has sent its database and not yet named it, another one goes through."""
    address = str(tmp_path / "export")
    export(folder, address)
    verified, calls = transfer._verify_sent, []

    def between(*arguments: Any) -> None:
        verified(*arguments)
        calls.append(arguments)
        if len(calls) == 1:
            with Store(folder) as store:
                add_cell(store, "e")
            export(folder, address)

    with Store(folder) as store:
        add_cell(store, "d")
    monkeypatch.setattr(transfer, "_verify_sent", between)
    export(folder, address)
    assert len(calls) == 2
    import_(address, tmp_path / "there")
    assert {key("a"), key("d")} <= {cell for cell, *_ in held(tmp_path / "there")["cells"]}


def test_a_damaged_manifest_is_replaced_where_that_is_asked_for(folder: Path, tmp_path: Path) -> None:
    address = tmp_path / "export"
    export(folder, str(address))
    (address / "store.json").write_text("{")
    with pytest.raises(StoreError, match="--replace"):
        export(folder, str(address))
    export(folder, str(address), replace=True)
    import_(str(address), tmp_path / "there")
    assert held(tmp_path / "there") == held(folder)


def test_what_is_there_is_not_sent_again(folder: Path, address: str, tmp_path: Path) -> None:
    export(folder, address)
    assert export(folder, address) == Exported(0, 0, False, 0)
    with Store(folder) as store:
        add_cell(store, "d")
    keep(folder, 3, ("d",))
    sent = export(folder, address)
    assert (sent.bitstreams, sent.runs, sent.is_database_new) == (1, 1, True)
    assert len(Place(address).sizes("databases")) == 1
    import_(address, tmp_path / "there")
    assert held(tmp_path / "there") == held(folder)
    everything = export(folder, address, replace=True)
    assert (everything.bitstreams, everything.runs) == (4, 3)


def test_runs_are_opened_from_an_address(
    folder: Path, address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))
    export(folder, address)
    url = address if "://" in address else f"file://{address}"
    runs = sorted(held(folder)["runs"])
    for text, name in ((url, runs[1]), (f"{url}@1", runs[0]), (f"{url}/runs/{runs[0]}", runs[0])):
        run = open_run(text)
        assert run.points.equals(open_run(str(folder / "runs" / name)).points)
        assert run.frames().empty
        (run.folder / "results.parquet").write_bytes(b"a cache that was damaged")
        assert not open_run(text).points.empty
    with pytest.raises(RequestError, match="does not have 3 finished runs"):
        open_run(f"{url}@2")
    with pytest.raises(RequestError, match="neither a run nor an exported store"):
        open_run(f"{url}/nowhere")


@pytest.mark.parametrize("name", ["results.parquet", "frames.parquet", "bd_rate.csv"])
@pytest.mark.parametrize("exported", [True, False])
def test_a_run_in_the_cache_is_held_against_its_address(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, name: str, exported: bool
) -> None:
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))
    export(folder, str(tmp_path / "export"))
    run = max(held(folder)["runs"])
    address = f"file://{tmp_path / 'export'}" + ("" if exported else f"/runs/{run}")
    cached = open_run(address).folder / name
    good = cached.read_bytes()
    for bad in (good[: len(good) // 2], good + b"x", None):
        cached.unlink()
        if bad is not None:
            cached.write_bytes(bad)
        assert open_run(address).folder == cached.parent
        assert cached.read_bytes() == good


def test_a_run_that_is_damaged_at_its_address_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))
    export(folder, str(tmp_path / "export"))
    run = max(held(folder)["runs"])
    (tmp_path / "export/runs" / run / "bd_rate.csv").write_text("metric\nforged\n")
    with pytest.raises(StoreError, match=r"bd_rate\.csv of the run is not what its address tells"):
        open_run(f"file://{tmp_path / 'export'}")
    assert not list((tmp_path / "cache/runs").glob("[0-9a-f]*"))


def test_another_stores_export_is_not_replaced_by_accident(folder: Path, tmp_path: Path) -> None:
    address = str(tmp_path / "export")
    export(filled(tmp_path / "other", ("x",)), address)
    with pytest.raises(RequestError, match="another store"):
        export(folder, address)
    import_(address, folder)
    export(folder, address, replace=True)
    import_(address, tmp_path / "there")
    assert held(tmp_path / "there")["cells"] == held(folder)["cells"]


def test_a_killed_export_leaves_the_last_one_good(folder: Path, tmp_path: Path) -> None:
    address, chance = str(tmp_path / "export"), random.Random(3)
    export(folder, address)
    old = held(folder)
    with Store(folder) as store:
        for number in range(100):
            add_cell(store, f"more {number}", scores=False)
    for attempt in range(3):
        killed(started(EXPORTER, folder, address), chance.uniform(0, 0.15))
        import_(address, tmp_path / f"there {attempt}")
        found = held(tmp_path / f"there {attempt}")
        assert found in (old, held(folder))
    export(folder, address)
    import_(address, tmp_path / "there")
    assert held(tmp_path / "there") == held(folder)
    assert not list((tmp_path / "export").rglob("*.part"))


def test_a_store_travels_over_a_line_that_breaks(
    folder: Path, tmp_path: Path, s3: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"{bucket(s3)}/store"
    with Store(folder) as store:
        add_cell(store, "large", random.Random(4).randbytes(400_000))
    for work in (lambda: export(folder, address), lambda: import_(address, tmp_path / "there")):
        line = BreakingLine(s3, 2, 150_000)
        use(monkeypatch, line.port)
        work()
        line.close()
        assert line.broken == 2
    assert held(tmp_path / "there") == held(folder)


def test_what_is_damaged_at_the_address_is_left_out_and_sent_again(folder: Path, tmp_path: Path) -> None:
    address = tmp_path / "export"
    export(folder, str(address))
    file_of(address, content_of("a")).write_bytes(content_of("x"))
    file_of(address, content_of("b")).unlink()
    latest = max(held(folder)["runs"])
    (address / "runs" / latest / "bd_rate.csv").write_bytes(b"other")
    merged = import_(str(address), tmp_path / "there")
    assert (merged.cells, merged.runs) == (1, 1)
    assert sorted(line.split()[1].rstrip(":") for line in merged.left_out) == sorted([key("a"), key("b"), latest])
    assert check(tmp_path / "there") == []
    export(folder, str(address), replace=True)
    assert import_(str(address), tmp_path / "there").left_out == []
    assert held(tmp_path / "there") == held(folder)


def test_a_damaged_store_is_not_exported(folder: Path, tmp_path: Path) -> None:
    address = tmp_path / "export"
    export(folder, str(address))
    good = held_at(address)
    with Store(folder) as store:
        add_cell(store, "d")
    file_of(folder, content_of("d")).write_bytes(b"damaged")
    with pytest.raises(StoreError, match="missing or damaged"):
        export(folder, str(address))
    assert held_at(address) == good


def test_a_store_with_a_wrong_record_is_not_exported(folder: Path, tmp_path: Path) -> None:
    execute(folder, "UPDATE decodes SET wall_s = 1e999")
    with pytest.raises(StoreError, match="the store is wrong") as caught:
        export(folder, str(tmp_path / "there"))
    assert "check --repair" in str(caught.value.fix)
    assert not (tmp_path / "there" / "store.json").exists()


def test_a_store_and_its_export_are_two_folders(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="cannot be one folder"):
        export(folder, str(folder))
    assert not (folder / "store.json").exists()
    export(folder, str(tmp_path / "there"))
    with pytest.raises(RequestError, match="cannot be one folder"):
        import_(str(tmp_path / "there"), tmp_path / "there")
    assert not (tmp_path / "there" / "store.sqlite").exists()


def held_at(address: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in address.rglob("*") if path.is_file()}


def test_a_damaged_or_foreign_export_is_refused_by_name(folder: Path, tmp_path: Path) -> None:
    address = tmp_path / "export"
    with pytest.raises(RequestError, match="no store has been exported"):
        import_(str(address), tmp_path / "there")
    export(folder, str(address))
    (database,) = (address / "databases").iterdir()
    good = database.read_bytes()
    database.write_bytes(good[:-1] + b"x")
    with pytest.raises(StoreError, match="exported database is damaged"):
        import_(str(address), tmp_path / "there")
    execute(folder, "UPDATE cells SET sha256 = '../../x' WHERE cell_key = ?", key("a"))
    with pytest.raises(EvalError):
        export(folder, str(address))
    database.unlink()
    with pytest.raises(AssetError, match="cannot be read"):
        import_(str(address), tmp_path / "there")
    assert not any((tmp_path / "there" / "bitstreams").rglob("*.bin"))


def test_a_database_that_names_paths_is_refused(folder: Path, tmp_path: Path) -> None:
    """Whoever can write to the address can make every digest fit."""
    address = tmp_path / "export"
    export(folder, str(address))
    manifest = json.loads((address / "store.json").read_text())
    (database,) = (address / "databases").iterdir()
    shutil.copy(database, tmp_path / "store.sqlite")
    execute(tmp_path, "UPDATE cells SET sha256 = '../../../outside' WHERE cell_key = ?", key("a"))
    evil = (tmp_path / "store.sqlite").read_bytes()
    (address / "databases" / f"{digest(evil)}.sqlite").write_bytes(evil)
    manifest["database"] = {"sha256": digest(evil), "bytes": len(evil)}
    (address / "store.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="store to take from is wrong"):
        import_(str(address), tmp_path / "there")
    manifest["runs"]["../../outside"] = next(iter(manifest["runs"].values()))
    (address / "store.json").write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="manifest"):
        import_(str(address), tmp_path / "there")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
DIGEST = {"sha256": "ab" * 32, "bytes": 5}
GOOD = {"schema": 1, "store": "x", "database": DIGEST, "runs": {}}


@given(
    key=st.sampled_from(["schema", "store", "database", "runs", "sha256", "bytes", ""]),
    value=JSON | st.sampled_from([DIGEST]),
    raw=st.binary(max_size=20),
)
def test_any_manifest_is_read_or_refused_by_name(key: str, value: Any, raw: bytes) -> None:
    place = Place(f"memory://{uuid.uuid4().hex}")
    changed = {**GOOD, "database": DIGEST | {key: value}} if key in DIGEST else GOOD | {key: value}
    for content in (raw, json.dumps(changed).encode()):
        place.write("store.json", content)
        try:
            read_manifest(place)
        except StoreError as error:
            assert "store.json" in str(error)  # noqa: PT017
