"""Scratch folders: gone with their owner, or with the next run where the owner was killed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from evalsuite.scratch import Scratch

OWNER = """
import sys, time
from pathlib import Path
from evalsuite.scratch import Scratch
scratch = Scratch(Path(sys.argv[1]))
(scratch.path / "work").write_text("half done")
print(scratch.path, flush=True)
time.sleep(120)
"""


def test_a_folder_is_removed_by_its_owner_however_the_block_ends(tmp_path: Path) -> None:
    with Scratch(tmp_path / "tmp") as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
    assert not folder.exists()
    with pytest.raises(KeyError), Scratch(tmp_path / "tmp") as folder:
        raise KeyError
    assert list((tmp_path / "tmp").iterdir()) == []


def test_what_a_killed_owner_left_is_removed_by_the_next_and_a_live_ones_is_kept(tmp_path: Path) -> None:
    parent = tmp_path / "tmp"
    owners = [
        subprocess.Popen([sys.executable, "-c", OWNER, str(parent)], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    try:
        killed, alive = (Path(owner.stdout.readline().strip()) for owner in owners)  # type: ignore[union-attr]
        owners[0].kill()
        owners[0].wait()
        assert (killed / "work").read_text() == "half done"
        with Scratch(parent) as own:
            assert not killed.exists()
            assert (alive / "work").exists()
            assert sorted(parent.iterdir()) == sorted([alive, own])
    finally:
        for owner in owners:
            owner.kill()
            owner.communicate()


def test_an_owner_whose_folder_was_removed_with_all_around_it_ends_in_peace(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "store" / "tmp")
    lock = scratch._lock
    shutil.rmtree(tmp_path / "store")
    scratch.close()
    assert lock.closed
    scratch = Scratch(tmp_path / "store" / "tmp")
    (tmp_path / "store").rename(tmp_path / "moved")
    scratch.close()
    # Whoever comes next there finds that nobody holds it.
    with Scratch(tmp_path / "moved" / "tmp") as own:
        assert list((tmp_path / "moved" / "tmp").iterdir()) == [own]


def test_a_process_id_that_is_used_again_protects_nothing(tmp_path: Path) -> None:
    # In a container every run may have the same process id.
    left = tmp_path / "tmp" / f"{os.getpid()}-0123abcd"
    left.mkdir(parents=True)
    (left / "lock").touch()
    with Scratch(tmp_path / "tmp"):
        assert not left.exists()


def test_many_at_once_keep_their_folders(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom evalsuite.scratch import Scratch\n"
        "for _ in range(40):\n"
        "    with Scratch(Path(sys.argv[1])) as folder:\n"
        "        (folder / 'a').write_text('x'); assert (folder / 'a').exists()"
    )
    runs = [subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "tmp")]) for _ in range(4)]
    assert [run.wait(60) for run in runs] == [0] * 4
    assert list((tmp_path / "tmp").iterdir()) == []
