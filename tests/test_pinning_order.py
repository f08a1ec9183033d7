"""Lock files beside what does not fit, what is signed, and what the package ships."""

from __future__ import annotations

from pathlib import Path

import pytest
from http_server import Server
from sample_archives import sha256
from test_pinning import FRAMES, entry, manifest, url_of, y4m

from evalsuite import resources
from evalsuite.errors import RecipeError
from evalsuite.sources.dataset import prepare

pytestmark = pytest.mark.usefixtures("project")


def test_what_does_not_fit_is_thrown_away_and_fetched_again(server: Server) -> None:
    url = server.add("/noise.y4m", y4m(FRAMES[:5]))  # whole by its length, and yet not the sequence
    manifest(url_of(url))
    with pytest.raises(RecipeError, match="does not describe its file") as caught:
        prepare(entry())
    assert "thrown away" in str(caught.value.fix)
    data = y4m()
    server.add("/noise.y4m", data)
    assert prepare(entry()).sha256 == sha256(data)


def test_signatures_stay_out_of_lock_files_and_may_change(server: Server) -> None:
    url = server.add("/noise.y4m", y4m())
    manifest(url_of(f"{url}?X-Amz-Signature=0123"))
    prepare(entry())
    text = Path("datasets/some.lock").read_text()
    assert "0123" not in text
    assert f"{url}?X-Amz-Signature=***" in text
    manifest(url_of(f"{url}?X-Amz-Signature=4567"))
    assert entry().sources[0].sha256 == sha256(y4m())


def test_what_is_pinned_here_comes_before_what_is_shipped(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest(url_of(server.add("/noise.y4m", y4m())))
    prepare(entry())
    text = Path("datasets/some.lock").read_text()
    folder = tmp_path / "package"
    folder.mkdir()
    Path("datasets/some.toml").rename(folder / "some.toml")
    monkeypatch.setattr(resources, "_shipped", lambda _kind: folder)
    (folder / "some.lock").write_text(text.replace(sha256(y4m()), "0" * 64))
    assert entry().sources[0].sha256 == sha256(y4m())
