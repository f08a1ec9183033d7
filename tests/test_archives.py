"""Single files out of archives of every kind, hostile ones included: nothing is written outside the destination."""

from __future__ import annotations

import gzip
import io
import lzma
import stat
import struct
import sys
import tarfile
import tracemalloc
import zipfile
import zlib
from pathlib import Path

import py7zr
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sample_archives import ALL_KINDS, MEMBERS, OTHER, PACKERS, VIDEO, Packer, sevenzip, sha256, tar, wheel

from evalsuite import archives
from evalsuite.archives import extract
from evalsuite.errors import AssetError
from evalsuite.members import LARGEST_RATIO, SMALLEST_LIMIT_BYTES, Wanted


def take(tmp_path: Path, name: str, data: bytes, member: str, content: bytes = VIDEO) -> Path:
    """The member as a file; raises what `extract` says of it."""
    folder = tmp_path / "in" / "deep"
    folder.mkdir(parents=True, exist_ok=True)
    archive = folder / name
    archive.write_bytes(data)
    target = folder / "out"
    refusals = extract(archive, [Wanted(member, target, sha256(content), len(content))])
    if refusals:
        raise refusals[member]
    return target


def refusal(tmp_path: Path, name: str, data: bytes, member: str) -> AssetError:
    with pytest.raises(AssetError) as caught:
        take(tmp_path, name, data, member)
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert written <= {name}
    assert caught.value.fix
    return caught.value


@PACKERS
def test_a_member_is_taken_out_whatever_the_kind(tmp_path: Path, name: str, pack: Packer) -> None:
    data = pack(MEMBERS)
    assert take(tmp_path, name, data, "some/video.mp4").read_bytes() == VIDEO
    # By content, not by name: an address may end in anything.
    assert take(tmp_path, "download", data, "some/video.mp4").read_bytes() == VIDEO


@PACKERS
@pytest.mark.parametrize("before", ["./", "././"])
def test_what_was_packed_from_its_folder_has_the_name_that_it_has_there(
    tmp_path: Path, name: str, pack: Packer, before: str
) -> None:
    """As `tar -C folder .` writes it."""
    data = pack({f"{before}{member}": content for member, content in MEMBERS.items()})
    assert take(tmp_path, name, data, "some/video.mp4").read_bytes() == VIDEO


@PACKERS
def test_several_members_in_one_go(tmp_path: Path, name: str, pack: Packer) -> None:
    archive = tmp_path / name
    archive.write_bytes(pack({"first": OTHER, "middle": b"not wanted", "last": VIDEO}))
    wanted = [
        Wanted("last", tmp_path / "1", sha256(VIDEO)),
        Wanted("gone", tmp_path / "2"),
        Wanted("first", tmp_path / "3"),
        Wanted("middle", tmp_path / "4", sha256(b"something else")),
    ]
    refusals = extract(archive, wanted)
    assert ((tmp_path / "1").read_bytes(), (tmp_path / "3").read_bytes()) == (VIDEO, OTHER)
    assert {member: error.what for member, error in refusals.items()} == {
        "gone": "the archive does not hold the file",
        "middle": "the file in the archive is not the expected one",
    }
    assert not (tmp_path / "2").exists()
    assert not (tmp_path / "4").exists()


@pytest.mark.parametrize("evil", ["/evil", "../evil", "../../../evil", "a/../../evil", "C:\\evil", "a\\..\\..\\evil"])
@pytest.mark.parametrize("name", ["a.whl", "a.tar.gz", "a.tar.xz"])
def test_an_archive_with_a_name_that_leads_outside_is_refused(tmp_path: Path, name: str, evil: str) -> None:
    error = refusal(tmp_path, name, ALL_KINDS[name]({evil: b"evil", "video": VIDEO}), "video")
    assert "leads outside" in str(error)
    assert repr(evil) in str(error)


def test_a_7z_with_a_name_that_leads_outside_is_refused(tmp_path: Path) -> None:
    # py7zr writes no such names: one of the same length is put in place of a harmless one, and the checksums set right.
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w") as archive:
        archive.set_encoded_header_mode(False)
        archive.writestr(b"evil", "aa/evil")
        archive.writestr(VIDEO, "video")
    harmless, evil = "aa/evil".encode("utf-16-le"), "../evil".encode("utf-16-le")
    assert buffer.getvalue().count(harmless) == 1
    data = bytearray(buffer.getvalue().replace(harmless, evil))
    start = 32 + struct.unpack("<Q", data[12:20])[0]
    size = struct.unpack("<Q", data[20:28])[0]
    data[28:32] = struct.pack("<I", zlib.crc32(bytes(data[start : start + size])))
    data[8:12] = struct.pack("<I", zlib.crc32(bytes(data[12:32])))
    assert "leads outside" in str(refusal(tmp_path, "a.7z", bytes(data), "video"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE])
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


def test_a_link_in_a_7z_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(VIDEO)
    (tmp_path / "link").symlink_to("real")
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w") as archive:
        archive.write(tmp_path / "link", "video")
    (tmp_path / "link").unlink()
    (tmp_path / "real").unlink()
    assert "a link" in str(refusal(tmp_path, "a.7z", buffer.getvalue(), "video"))


@PACKERS
def test_a_bomb_stops_at_the_known_size(tmp_path: Path, name: str, pack: Packer) -> None:
    error = refusal(tmp_path, name, pack({"video": b"\0" * 5_000_000}), "video")
    assert f"{len(VIDEO)} bytes at most" in str(error)


@pytest.mark.parametrize("name", ["a.whl", "a.tar.xz", "a.7z"])
def test_a_bomb_of_unknown_size_stops_by_its_ratio(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evalsuite.members.SMALLEST_LIMIT_BYTES", 1000)
    archive = tmp_path / name
    archive.write_bytes(ALL_KINDS[name]({"video": b"\0" * 20_000_000}))
    assert archive.stat().st_size * LARGEST_RATIO < 20_000_000 < SMALLEST_LIMIT_BYTES
    error = extract(archive, [Wanted("video", tmp_path / "out")])["video"]
    assert "larger than allowed" in error.what
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_bomb_before_the_file_stops_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "SMALLEST_STREAM_LIMIT_BYTES", 10_000_000)
    for name in ("a.tar.gz", "a.7z"):
        bomb = ALL_KINDS[name]({"bomb": b"\0" * 20_000_000, "video": VIDEO})
        if name == "a.tar.gz":
            assert len(bomb) * LARGEST_RATIO < 20_000_000
        assert "unpacks to more" in str(refusal(tmp_path, name, bomb, "video"))
        (tmp_path / "in" / "deep" / name).unlink()


@PACKERS
def test_a_member_that_is_not_there(tmp_path: Path, name: str, pack: Packer) -> None:
    assert "does not hold" in str(refusal(tmp_path, name, pack(MEMBERS), "video"))


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "a folder" in str(refusal(tmp_path, "a.whl", wheel({"video/": b""}), "video/"))


@PACKERS
def test_the_wrong_content_is_refused(tmp_path: Path, name: str, pack: Packer) -> None:
    error = refusal(tmp_path, name, pack({"video": OTHER}), "video")
    assert sha256(OTHER) in str(error)
    assert sha256(VIDEO) in str(error)


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    data = bytearray(wheel({"video": VIDEO}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.index(signature) + offset
        data[at : at + 2] = struct.pack("<H", 1)  # the flag that says: encrypted
    assert "damaged" in str(refusal(tmp_path, "a.whl", bytes(data), "video"))


def test_an_encrypted_7z_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w", password="secret") as archive:
        archive.writestr(VIDEO, "video")
    assert "damaged" in str(refusal(tmp_path, "a.7z", buffer.getvalue(), "video"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"<!doctype html>no archive",
        gzip.compress(b"no tar", mtime=0),
        gzip.compress(b"", mtime=0),
        b"7z\xbc\xaf\x27\x1c",
    ],
)
def test_foreign_files_are_refused(tmp_path: Path, data: bytes) -> None:
    refusal(tmp_path, "a.zip", data, "video")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("needs /dev/full")
    archive = tmp_path / "a.whl"
    archive.write_bytes(wheel({"video": VIDEO}))
    (tmp_path / "out.part").symlink_to("/dev/full")  # the kernel answers every write with ENOSPC
    error = extract(archive, [Wanted("video", tmp_path / "out")])["video"]
    assert "disk is full" in error.what


def test_7z_without_its_package_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "py7zr", None)
    error = refusal(tmp_path, "a.7z", sevenzip({"video": VIDEO}), "video")
    assert "evalsuite[datasets]" in str(error.fix)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    packer=st.sampled_from(["a.whl", "a.tar.gz", "a.tar", "a.7z"]),
    cut=st.integers(0, 3000),
    position=st.integers(0, 3000),
    damage=st.binary(min_size=1, max_size=4),
)
def test_damaged_archives_give_the_file_or_an_error(
    tmp_path: Path, packer: str, cut: int, position: int, damage: bytes
) -> None:
    content = VIDEO[:1000]
    data = bytearray(ALL_KINDS[packer]({"first": OTHER[:500], "video": content}))
    data = data[: max(1, len(data) - cut)] if cut % 2 else data
    at = position % len(data)
    data[at : at + len(damage)] = damage
    try:
        target = take(tmp_path, packer, bytes(data), "video", content)
    except AssetError:
        return
    assert target.read_bytes() == content
    target.unlink()


def test_a_tar_that_ends_early_gives_what_it_has(tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(tar({"first": OTHER, "last": VIDEO})[: len(OTHER) + 4096])
    refusals = extract(archive, [Wanted("first", tmp_path / "1"), Wanted("last", tmp_path / "2")])
    assert (tmp_path / "1").read_bytes() == OTHER
    assert "damaged" in refusals["last"].what
    assert not (tmp_path / "2").exists()


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK])
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = kind, 64 << 20
    data = gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + bytes(info.size), 1)
    tracemalloc.start()
    try:
        error = refusal(tmp_path, "a.tar.gz", data, "a")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert error.what == "the archive has a header that is too large"
    assert (error.where, error.got) == ("a.tar.gz", f"{64 << 20} bytes")


def test_a_7z_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    large = 1 << 30
    packed = lzma.compress(bytes(large), lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2, "preset": 0}])
    number = b"\xff" + struct.pack("<Q", large)
    # 7zFormat.txt: an encoded header of one stream, unpacked by LZMA2, of the claimed size.
    streams = b"\x06\x00\x01\x09\xff" + struct.pack("<Q", len(packed)) + b"\x00"
    coders = b"\x07\x0b\x01\x00\x01\x21\x21\x01\x18\x0c" + number + b"\x00"
    header = b"\x17" + streams + coders + b"\x00"
    start = struct.pack("<QQI", len(packed), len(header), zlib.crc32(header))
    data = b"7z\xbc\xaf\x27\x1c\x00\x04" + struct.pack("<I", zlib.crc32(start)) + start + packed + header
    tracemalloc.start()
    try:
        error = refusal(tmp_path, "a.7z", data, "a")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert "header size exceeds limit" in str(error.got)


@pytest.mark.parametrize("kind", ["old", "pax"])
def test_a_sparse_file_is_refused_before_its_map_is_read(tmp_path: Path, kind: str) -> None:
    info = tarfile.TarInfo("a")
    info.size = 32 << 20
    if kind == "old":
        info.type = tarfile.GNUTYPE_SPARSE
        data = info.tobuf(tarfile.GNU_FORMAT)
    else:
        info.pax_headers = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "a"}
        data = info.tobuf(tarfile.PAX_FORMAT)
    archive = gzip.compress(data + b"9999999\n" + b"0\n" * (info.size // 2), 1)
    tracemalloc.start()
    try:
        error = refusal(tmp_path, "a.tar.gz", archive, "a")
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()
    assert error.what == "the archive holds a sparse file"


def test_a_long_name_is_no_large_header(tmp_path: Path) -> None:
    name = "/".join(["folder"] * 100) + "/video.y4m"
    take(tmp_path, "a.tar", tar({name: VIDEO}), name)
