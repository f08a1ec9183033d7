"""Files at addresses: folders, memory, and S3 over a line that breaks."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from s3_server import BreakingLine, bucket, running_s3, use

from evalsuite.errors import AssetError, RequestError
from evalsuite.remote import Place, shown


@pytest.fixture(scope="module")
def s3() -> Iterator[int]:
    with running_s3() as port:
        yield port


@pytest.fixture(params=["folder", "file", "memory", "s3"])
def address(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: int) -> str:
    use(monkeypatch, s3)
    match request.param:
        case "folder":
            return str(tmp_path / "a folder" / "with #1 100%")
        case "file":
            return f"file://{tmp_path}/folder/"
        case "memory":
            return f"memory://{uuid.uuid4().hex}"
        case _:
            return f"{bucket(s3)}/a/prefix"


def test_what_was_put_is_there(address: str, tmp_path: Path) -> None:
    place = Place(address)
    assert place.sizes("deep") == {}
    assert place.read("deep/one") is None
    files = [(tmp_path / f"file {number}", f"deep/{number % 3}/{number}.bin") for number in range(70)]
    for number, (path, _) in enumerate(files):
        path.write_bytes(os.urandom(number * 100))
    place.put(files)
    place.put([])
    assert Place(address).sizes("deep") == {name: path.stat().st_size for path, name in files}
    assert place.read("deep/1/1.bin") == files[1][0].read_bytes()
    back = tmp_path / "back"
    back.mkdir()
    place.get([(name, back / path.name) for path, name in files])
    assert all((back / path.name).read_bytes() == path.read_bytes() for path, _ in files)


def test_a_file_is_put_in_anothers_place_and_removed(address: str) -> None:
    place = Place(address)
    place.write("manifest.json", b"one")
    assert place.read("manifest.json") == b"one"
    place.write("manifest.json", b"another")
    assert place.read("manifest.json") == b"another"
    assert place.sizes("") == {"manifest.json": 7}
    place.remove("manifest.json")
    assert place.read("manifest.json") is None


def test_what_is_not_there_is_refused_by_name(address: str, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="no-such-file"):
        Place(address).get([("no-such-file", tmp_path / "x")])


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    place = Place(str(tmp_path))
    place.write("kept", b"old")
    with pytest.raises(AssetError):
        place.put([(tmp_path / "nowhere", "kept")])
    assert place.read("kept") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.parametrize(("text", "said"), [("nope://x/y", "not an address"), ("gdrive://x", "not installed")])
def test_addresses_that_nobody_knows_are_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(RequestError, match=said) as caught:
        Place(text)
    assert text in str(caught.value)


def test_without_fsspec_the_extra_is_named(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['fsspec'] = sys.modules['fsspec.core'] = None\n"
        "from evalsuite.remote import Place; Place('s3://bucket/x')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "pip install 'evalsuite[remote]'" in ended.stderr


def test_passwords_stay_out_of_messages() -> None:
    assert Place("memory://me:secret@host/x").address == "memory://host/x"


def test_a_bucket_that_is_not_there_and_a_server_that_is_not_there(
    s3: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, s3)
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(AssetError, match="bucket"):
        Place("s3://no-such-bucket/x").put([(tmp_path / "file", "name")])
    use(monkeypatch, 9)
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    with pytest.raises(AssetError, match="address"):
        Place("s3://bucket/x").read("name")


def test_a_line_that_breaks_is_taken_up_again(s3: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"{bucket(s3)}/x"
    content = os.urandom(300_000)
    (tmp_path / "file").write_bytes(content)
    for work in (
        lambda place: place.put([(tmp_path / "file", "name")]),
        lambda place: place.get([("name", tmp_path / "back")]),
    ):
        line = BreakingLine(s3, 2, 100_000)
        use(monkeypatch, line.port)
        work(Place(address))
        line.close()
        assert line.broken == 2
    assert (tmp_path / "back").read_bytes() == content


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://user:p@ss@host/x", "https://host/x"),
        ("https://user:p/w@host/x", "https://host/x"),
        ("https://token@host/x", "https://host/x"),
        ("https://host:8080/a@b", "https://host:8080/a@b"),
        ("https://host/@scope/a:b@c", "https://host/@scope/a:b@c"),
        ("https://h/x?a=1&X-Amz-Signature=abc&b=2", "https://h/x?a=1&X-Amz-Signature=***&b=2"),
        ("https://h/x?sig=a%2Fb#end", "https://h/x?sig=***#end"),
        ("from s3://k:s/@b and http://u:p@h/y", "from s3://b and http://h/y"),
    ],
)
def test_what_grants_access_stays_out_of_messages(text: str, expected: str) -> None:
    assert shown(text) == expected


def test_what_services_say_is_shown_without_passwords(tmp_path: Path) -> None:
    with pytest.raises(RequestError) as caught:
        Place("nosuch://user:p@ss/w0rd@host/x")
    assert "w0rd" not in str(caught.value)
