"""Stores as files that travel: to a folder or any address that fsspec knows, and back (`evalsuite.results.exported`).

A bitstream's name is its digest, so that none is sent twice, and an export that is killed is completed by the next.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from evalsuite.engine.schema import SCHEMA, bring_up_to_date, version_of
from evalsuite.engine.store import Store
from evalsuite.engine.storefolder import BITSTREAMS, DATABASE
from evalsuite.engine.upkeep.merge import Merged, add_run, check_records, merge_records
from evalsuite.engine.upkeep.recover import corruption
from evalsuite.errors import AssetError, RequestError, StoreError
from evalsuite.files import is_verified, sha256_of
from evalsuite.remote import PART, Place
from evalsuite.results.exported import MANIFEST, Digest, Manifest, read_manifest, written
from evalsuite.results.history import RUNS, kept_runs
from evalsuite.results.load import RESULT_FILES, read_whole_run


@dataclass(frozen=True, slots=True)
class Exported:
    """What was sent to an address."""

    bitstreams: int
    runs: int
    is_database_new: bool
    sent_bytes: int


def export(folder: Path, address: str, *, replace: bool = False) -> Exported:
    """Bring what is at an address up to date with the store; runs may be at work on it meanwhile.

    Args:
        folder: of the store.
        address: a folder or a URL; another store's bitstreams and runs that are there stay.
        replace: send all of it again, whatever is there, another store's export too.

    Raises:
        RequestError: there is no store, or the address is of no kind that is known, or has another store's export.
        StoreError: the store is damaged; nothing at the address is named by its manifest that was not before.
        AssetError: the address cannot be written.
    """
    if not (folder / DATABASE).is_file():
        raise RequestError("there is no results store", where=folder, fix="give the folder of one")
    place = Place(address)
    _check_apart(place, folder)
    with Store(folder) as store, store.guarded():
        (identity,) = store.database.execute("SELECT id FROM identity").fetchone()
        before = _manifest_before(place, replace=replace)
        if before is not None and before.store != identity and not replace:
            raise RequestError(
                "another store has been exported to this address",
                where=place.address,
                fix="import it into this store first and give --replace, or give another address",
            )
        database = _snapshot(store)
        with closing(sqlite3.connect(database)) as copy:
            check_records(copy, "the store is wrong")
        found = Digest(sha256_of(database), database.stat().st_size)
        runs = {run.name: _digests(run) for run in kept_runs(folder)}
        manifest = Manifest(identity, found, runs)
        there = {} if replace else _sizes(place)
        bitstreams = [one for one in _bitstreams(store, database) if there.get(one[1]) != one[2]]
        of_runs = [
            (folder / RUNS / run / name, f"{RUNS}/{run}/{name}", digest.bytes)
            for run, files in runs.items()
            for name, digest in files.items()
            if there.get(f"{RUNS}/{run}/{name}") != digest.bytes
        ]
        is_new = there.get(manifest.database_file) != found.bytes
        files = [*bitstreams, *of_runs, *([(database, manifest.database_file, found.bytes)] if is_new else [])]
        _verify(bitstreams)
        place.put([(file, name) for file, name, _ in files])
        _verify_sent(place, files)
        if before != manifest or replace:
            place.write(MANIFEST, written(manifest))
        _tidy(place, before, manifest)
    changed_runs = {name.split("/")[1] for _, name, _ in of_runs}
    return Exported(len(bitstreams), len(changed_runs), is_new, sum(size for *_, size in files))


def _check_apart(place: Place, folder: Path) -> None:
    if place.folder is not None and place.folder.exists() and folder.exists() and place.folder.samefile(folder):
        raise RequestError("a store and its export cannot be one folder", where=folder, fix="give another folder")


def _manifest_before(place: Place, *, replace: bool) -> Manifest | None:
    """What an earlier export has written; a damaged one counts for nothing where all is sent again anyway."""
    try:
        return read_manifest(place)
    except StoreError:
        if not replace:
            raise
        return None


def _tidy(place: Place, before: Manifest | None, manifest: Manifest) -> None:
    """Remove the database of the export before this one, and parts of files that are there as a whole.

    Nothing else is removed, though it may be left from an export that was killed: it may be what another one that is at
    work now is about to name.

    Raises:
        AssetError: another export has removed what this one has just named.
    """
    if read_manifest(place) != manifest:
        return  # another export was faster: what is there now is its affair
    there = _sizes(place)
    for name in there:
        folder, _, file = name.rpartition("/")
        # .NAME.PID.part
        if name.endswith(PART) and f"{folder}/{file[1:].rsplit('.', 2)[0]}" in there:
            place.remove(name)
    if before is not None and before.database_file != manifest.database_file and before.database_file in there:
        place.remove(before.database_file)
    if manifest.database_file not in there:
        raise AssetError(
            "two exports to one address got in each other's way",
            where=place.address,
            expected=manifest.database_file,
            fix="export once more, one after the other",
        )


def import_(address: str, folder: Path) -> Merged:
    """Add what has been exported to an address to a store, as `merge` does; the store is made where there is none.

    Raises:
        RequestError: the address is of no kind that is known, or has no export.
        StoreError: what is there is damaged or of a later version, or the store cannot be written.
        AssetError: the address cannot be read.
    """
    place = Place(address)
    _check_apart(place, folder)
    manifest = read_manifest(place)
    if manifest is None:
        raise RequestError(
            "no store has been exported to this address",
            where=place.address,
            expected=MANIFEST,
            fix="give the address that `evalsuite store export` was given",
        )
    merged = Merged()
    with Store(folder) as store, store.guarded():
        database = store.scratch / "import.sqlite"
        place.get([(manifest.database_file, database)])
        _verify_database(database, manifest, place)
        there = place.sizes(BITSTREAMS)

        def bring(wanted: Sequence[tuple[str, Path]]) -> None:
            named = [(_name(sha256), path) for sha256, path in wanted]
            place.get([one for one in named if one[0] in there])

        with closing(sqlite3.connect(database, isolation_level=None)) as other:
            bring_up_to_date(other, store.folder)
            merge_records(store, other, bring, merged)
        for run, files in manifest.runs.items():
            if (folder / RUNS / run).exists():
                continue
            fetched = store.scratch / run
            fetched.mkdir()
            place.get([(f"{RUNS}/{run}/{name}", fetched / name) for name in files])
            if all(is_verified(fetched / name, digest.sha256) for name, digest in files.items()):
                add_run(store, fetched, merged)
            else:
                merged.left_out.append(f"run {run}: a file of it is damaged")
    return merged


def _sizes(place: Place) -> dict[str, int]:
    return place.sizes(BITSTREAMS) | place.sizes(RUNS) | place.sizes("databases")


def _snapshot(store: Store) -> Path:
    path = store.scratch / "export.sqlite"
    with closing(sqlite3.connect(path)) as copy:
        store.database.backup(copy)
        # One file, without a log beside it.
        copy.execute("PRAGMA journal_mode=DELETE")
    return path


def _bitstreams(store: Store, database: Path) -> list[tuple[Path, str, int]]:
    query = "SELECT sha256, file_bytes FROM cells UNION SELECT sha256, file_bytes FROM segments"
    with closing(sqlite3.connect(database)) as copy:
        return [(store.bitstream(sha256), _name(sha256), size) for sha256, size in copy.execute(query)]


def _name(sha256: str) -> str:
    return f"{BITSTREAMS}/{sha256[:2]}/{sha256}.bin"


def _digests(run: Path) -> dict[str, Digest]:
    read_whole_run(run)
    return {name: Digest(sha256_of(run / name), (run / name).stat().st_size) for name in RESULT_FILES}


def _verify(bitstreams: list[tuple[Path, str, int]]) -> None:
    for path, _, size in bitstreams:
        if not is_verified(path, path.stem) or path.stat().st_size != size:
            raise StoreError(
                "a bitstream of the store is missing or damaged",
                where=path,
                fix="`evalsuite store check --repair` the store, and export again",
            )


def _verify_sent(place: Place, files: list[tuple[Path, str, int]]) -> None:
    there = _sizes(place)
    for _, name, size in files:
        if there.get(name) != size:
            raise AssetError(
                "a file that was sent is not there as it should be",
                where=f"{place.address}/{name}",
                expected=f"{size} bytes",
                got=f"{there[name]} bytes" if name in there else "no such file",
                fix="export again",
            )


def _verify_database(database: Path, manifest: Manifest, place: Place) -> None:
    wrong = "" if is_verified(database, manifest.database.sha256) else "its digest is another"
    wrong = wrong or corruption(database)
    if wrong:
        raise StoreError(
            f"the exported database is damaged: {wrong}",
            where=f"{place.address}/{manifest.database_file}",
            fix="export the store again, with --replace",
        )
    with closing(sqlite3.connect(database)) as opened:
        version = version_of(opened)
    if not 0 < version <= SCHEMA:
        raise StoreError(
            "the store was exported by another version of evalsuite",
            where=place.address,
            expected=f"schema {SCHEMA} or earlier",
            got=f"schema {version}",
            fix="import it with that version",
        )
