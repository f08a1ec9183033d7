"""Package archives made on the spot, and what is in them."""

from __future__ import annotations

import hashlib
import io
import random
import tarfile
import zipfile
from collections.abc import Callable

import py7zr
import pytest

VIDEO = random.Random(1).randbytes(50_000)
OTHER = random.Random(2).randbytes(20_000)
MEMBERS = {"some/video.mp4": VIDEO, "some/other.mp4": OTHER, "some/__init__.py": b"raise SystemExit('executed')"}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def wheel(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tar(members: dict[str, bytes], compression: str = "") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as archive:  # type: ignore[call-overload]
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def sdist(members: dict[str, bytes]) -> bytes:
    return tar(members, "gz")


def sevenzip(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with py7zr.SevenZipFile(buffer, "w") as archive:
        for name, data in members.items():
            archive.writestr(data, name)
    return buffer.getvalue()


Packer = Callable[[dict[str, bytes]], bytes]
ALL_KINDS: dict[str, Packer] = {
    "a.whl": wheel,
    "a.tar.gz": sdist,
    "a.tar": tar,
    "a.tar.xz": lambda members: tar(members, "xz"),
    "a.tar.bz2": lambda members: tar(members, "bz2"),
    "a.7z": sevenzip,
}
PACKERS = pytest.mark.parametrize(("name", "pack"), ALL_KINDS.items())
