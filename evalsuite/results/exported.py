"""What `evalsuite store export` leaves at an address, as far as its manifest tells; and a run fetched from there.

store.json                      the manifest, written last: what it names is there, whole
databases/SHA256.sqlite         the results
bitstreams/ab/SHA256.bin        every bitstream that the database refers to
runs/NAME/                      the runs of the store's history
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from evalsuite.assets import cache_dir
from evalsuite.errors import RequestError, StoreError
from evalsuite.files import sha256_of
from evalsuite.remote import Place
from evalsuite.results.load import RESULT_FILES, read_whole_run
from evalsuite.scratch import Scratch

MANIFEST = "store.json"
SCHEMA = 1

_RUN = re.compile(r"\d{8}T\d{6}Z?[\w.-]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Digest:
    """What a file should be."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Manifest:
    """What an exported store is."""

    store: str
    """Identity of the store, the same in each of its exports."""
    database: Digest
    runs: Mapping[str, Mapping[str, Digest]]
    """Files of each run by name."""

    @property
    def database_file(self) -> str:
        """Name of the database's file."""
        return f"databases/{self.database.sha256}.sqlite"


def written(manifest: Manifest) -> bytes:
    """The manifest as its file holds it."""
    return (json.dumps({"schema": SCHEMA, **asdict(manifest)}, indent=1) + "\n").encode()


def read_manifest(place: Place) -> Manifest | None:
    """The manifest at an address, None where there is none.

    Raises:
        AssetError: the address cannot be reached.
        StoreError: it is not one that an export of this version writes.
    """
    content = place.read(MANIFEST)
    if content is None:
        return None
    try:
        return _manifest(json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError, AttributeError) as error:
        raise StoreError(
            "the manifest of the exported store is not one that this version writes",
            where=f"{place.address}/{MANIFEST}",
            expected=f"schema {SCHEMA}",
            got=f"{type(error).__name__}: {error}"[:200],
            fix="export the store again with --replace, or use the version of evalsuite that exported it",
        ) from error


def _manifest(told: Any) -> Manifest:
    if told["schema"] != SCHEMA:
        raise ValueError(f"schema {told['schema']}")
    runs = {}
    for name, files in told["runs"].items():
        # Names become paths.
        if not _RUN.fullmatch(name) or set(files) != set(RESULT_FILES):
            raise ValueError(f"a run {name!r} of {sorted(files)}")
        runs[name] = {file: _digest(files[file]) for file in RESULT_FILES}
    return Manifest(str(told["store"]), _digest(told["database"]), runs)


def _digest(told: Any) -> Digest:
    if not _SHA256.fullmatch(told["sha256"]):
        raise ValueError(f"a sha256 of {told['sha256']!r}")
    return Digest(told["sha256"], int(told["bytes"]))


def nth_latest(runs: Sequence[str], back: int, where: object) -> str:
    """Of names that sort by age, the one that is `back` before the last.

    Raises:
        RequestError: there are not as many.
    """
    if back < len(runs):
        return runs[-1 - back]
    raise RequestError(
        f"the store does not have {back + 1} finished runs" if back else "the store has no finished run",
        where=where,
        got=", ".join(runs) or "none",
        fix="run with this store first: `evalsuite run --store`",
    )


def fetch_run(address: str) -> Path:
    """Bring the files of a run at an address into the cache.

    Args:
        address: of a run's folder, or of an exported store, which may end in `@N` as a store's folder may.

    Returns:
        A run folder, whole: what was damaged in the cache has been fetched again.

    Raises:
        RequestError: there is neither, or the store has no such run.
        AssetError: the address cannot be reached.
        StoreError: the manifest or the run there is damaged.
    """
    place, back = Place(address), 0
    summary = place.read("summary.json")
    if summary is not None:
        # Whatever else a run has, its summary knows.
        rows = place.read("bd_rate.csv")
        return _cached(place, "", summary, {} if rows is None else {"bd_rate.csv": _digest_of(rows)})
    manifest = read_manifest(place)
    if manifest is None and (found := re.fullmatch(r"(.+)@(\d{1,6})", address)):
        place, back = Place(found[1]), int(found[2])
        manifest = read_manifest(place)
    if manifest is None:
        raise RequestError(
            "this is neither a run nor an exported store",
            where=place.address,
            expected=f"summary.json or {MANIFEST} at this address",
            fix="give the address that a run's folder was copied to, or that `evalsuite store export` was given",
        )
    name = nth_latest(sorted(manifest.runs), back, place.address)
    folder = f"runs/{name}/"
    summary = place.read(f"{folder}summary.json")
    if summary is None:
        raise StoreError(
            "a run of the exported store is missing", where=f"{place.address}/{folder}", fix="export again"
        )
    return _cached(place, folder, summary, manifest.runs[name])


def _cached(place: Place, folder: str, summary: bytes, told: Mapping[str, Digest]) -> Path:
    parent = cache_dir() / "runs"
    target = parent / hashlib.sha256(summary).hexdigest()
    if target.exists():
        try:
            _check(target, told)
            return target
        except StoreError:
            shutil.rmtree(target)
    with Scratch(parent / "tmp") as temporary:
        run = temporary / target.name
        run.mkdir()
        place.get([(f"{folder}{name}", run / name) for name in RESULT_FILES[:-1]])
        (run / RESULT_FILES[-1]).write_bytes(summary)
        _check(run, told)
        try:
            run.replace(target)
        except OSError:
            if not target.exists():  # another process may have been faster
                raise
    return target


def _check(folder: Path, told: Mapping[str, Digest]) -> None:
    """Refuse a run that is not whole, or not what is told of its files."""
    read_whole_run(folder)
    for name, digest in told.items():
        path = folder / name
        found = Digest(sha256_of(path), path.stat().st_size) if path.is_file() else None
        if found != digest:
            raise StoreError(
                f"{name} of the run is not what its address tells",
                where=path,
                expected=f"{digest.bytes} bytes, sha256 {digest.sha256}",
                got=f"{found.bytes} bytes, sha256 {found.sha256}" if found else "no file",
                fix="write the run there again, or export its store with --replace",
            )


def _digest_of(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest(), len(data))
