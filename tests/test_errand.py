"""Tasks that travel: what a machine makes of one, and what it has to give."""

from __future__ import annotations

import os
import pickle
import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from conftest import make_clip
from sample_recipes import point, script_recipe, sequence_of

from evalsuite.assets import cache_dir
from evalsuite.engine.cell import encode_cell
from evalsuite.engine.errand import (
    CalledOffError,
    Errand,
    Permits,
    RefusalError,
    _Children,
    carry_out,
    meet,
    relocated,
)
from evalsuite.engine.execute import Needs, Task
from evalsuite.engine.features import FeatureCache
from evalsuite.engine.likeness import Likeness, likeness
from evalsuite.engine.store import StoredEncode
from evalsuite.files import sha256_of
from evalsuite.sources.authoring import write_manifest
from evalsuite.sources.dataset import load_dataset, prepare
from evalsuite.types import Usage


@pytest.fixture(autouse=True)
def _own_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that stay have the environment that they were started in."""
    monkeypatch.setattr("evalsuite.engine.errand._children", _Children())


def always() -> bool:
    return True


def errand(task: Task, **other: object) -> Errand:
    given = {
        "entry": None,
        "files": {},
        "likeness": likeness(),
        "identity": task.recipe.identity() if task.recipe else "",
        "memory_limit": None,
        **other,
    }
    return Errand(task, **given)  # type: ignore[arg-type]


def encoding(monkeypatch: pytest.MonkeyPatch, folder: Path, clip: Path) -> Task:
    recipe = script_recipe(monkeypatch, folder)
    sequence = replace(sequence_of(clip, 3), sha256=sha256_of(clip))
    output = folder / "parent" / "stream.bin"
    return Task(
        *(encode_cell, (recipe, sequence, point(recipe), output, 60.0)),
        sequence=sequence,
        writes=output,
        recipe=recipe,
    )


def test_paths_are_those_of_the_machine_wherever_they_stand(tmp_path: Path) -> None:
    here, there, other = tmp_path / "here", tmp_path / "there", tmp_path / "other"
    stored = StoredEncode(1.0, here, "ab", 1, 1, Usage(1, 1), (("run", str(here)),))
    given = ({"k": stored}, [here, "text", 3], (other, None), FeatureCache(other, 7))
    moved = relocated(given, {here: there})
    assert moved[0]["k"] == replace(stored, path=there)
    assert moved[1:3] == ([there, "text", 3], (other, None))
    # Features are kept where they are computed.
    assert (moved[3].folder, moved[3].limit_bytes) == (cache_dir() / "features", 7)
    assert relocated(relocated(given[:3], {here: there}), {there: here}) == given[:3]


def test_what_is_written_comes_back_as_bytes_and_paths_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = encoding(monkeypatch, tmp_path, make_clip(tmp_path / "clip.y4m", 32, 16, 3))
    delivery = carry_out(errand(task), always, Permits(1))
    assert delivery.error is None
    assert delivery.value.path == task.writes
    assert not (tmp_path / "parent").exists()
    assert delivery.written is not None
    assert len(delivery.written) == delivery.value.file_bytes


def test_a_source_that_this_machine_lacks_is_made_from_the_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip = make_clip(tmp_path / "clip.y4m", 32, 16, 5)
    write_manifest("mine", [clip], description="d", licence="l")
    entry = load_dataset("mine").sequences[0]
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "parent-cache"))
    first = prepare(entry, 3)
    task = encoding(monkeypatch, tmp_path, first.path)
    shutil.rmtree(tmp_path / "parent-cache")
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "worker-cache"))
    delivery = carry_out(errand(task, entry=entry), always, Permits(1))
    assert delivery.error is None
    assert (tmp_path / "worker-cache").is_dir()
    # Without a place to get it from, it says what to do.
    monkeypatch.setenv("EVALSUITE_CACHE", str(tmp_path / "another-cache"))
    with pytest.raises(RefusalError, match="storage that all machines share") as caught:
        carry_out(errand(task), always, Permits(1))
    assert (caught.value.subject, pickle.loads(pickle.dumps(caught.value)).why) == (first.sha256, caught.value.why)


def test_another_version_is_refused_before_anything_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    task = encoding(monkeypatch, tmp_path, make_clip(tmp_path / "clip.y4m", 32, 16, 3))
    strange = Likeness({**likeness().versions, "torch": "0.1"})
    with pytest.raises(RefusalError) as caught:
        carry_out(errand(task, likeness=strange), always, Permits(1))
    assert caught.value.subject == ""
    assert caught.value.why == f"torch {likeness().versions['torch']} instead of 0.1"
    with pytest.raises(RefusalError, match="another build of fake") as caught:
        carry_out(errand(task, identity="of another build"), always, Permits(1))
    assert caught.value.subject == "fake"


def test_what_nobody_waits_for_is_not_begun_and_not_finished(tmp_path: Path) -> None:
    with pytest.raises(CalledOffError):
        carry_out(errand(Task((tmp_path / "file").touch, ())), lambda: False, Permits(1))
    assert not (tmp_path / "file").exists()
    answers = iter([True, True])
    started = time.monotonic()
    with pytest.raises(CalledOffError):
        carry_out(errand(Task(time.sleep, (600,))), lambda: next(answers, False), Permits(1))
    assert time.monotonic() - started < 30


def test_a_process_that_dies_is_told_by_its_exit_code() -> None:
    assert carry_out(errand(Task(os._exit, (7,))), always, Permits(1)).exit_code == 7


def here(memory_limit: int | None = None) -> int:
    """The process that a task is done in."""
    found: int = carry_out(errand(Task(os.getpid, ()), memory_limit=memory_limit), always, Permits(1)).value
    return found


def test_processes_of_one_run_do_nothing_for_the_next() -> None:
    """They hold programs, classes and weights as they were; and who knows whether they are asked again."""
    meet("a run")
    first, limited = here(), here(10**10)
    meet("a run")
    assert (here(), here(10**10)) == (first, limited)
    meet("the run after it")
    assert not psutil.pid_exists(first)
    assert not psutil.pid_exists(limited)
    assert here() not in (first, limited)


def test_a_process_that_is_busy_when_the_next_run_comes_does_its_task_to_the_end_and_no_other(tmp_path: Path) -> None:
    started = tmp_path / "started"
    found: list[int] = []

    def do() -> None:
        found.append(carry_out(errand(Task(say_and_wait, (started,))), always, Permits(1)).value)

    at_work = threading.Thread(target=do)
    at_work.start()
    deadline = time.monotonic() + 60
    while not started.exists():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    meet("a run that comes meanwhile")
    at_work.join(60)
    assert not psutil.pid_exists(found[0])
    assert here() != found[0]


def say_and_wait(started: Path) -> int:
    started.touch()
    time.sleep(2)
    return os.getpid()


def test_a_codec_that_was_replaced_is_another_one_for_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = encoding(monkeypatch, tmp_path, make_clip(tmp_path / "clip.y4m", 32, 16, 3))
    assert task.recipe is not None
    meet("the run before it was replaced")
    asked = errand(task)
    assert carry_out(asked, always, Permits(1)).error is None
    (program,) = (path for path in tmp_path.iterdir() if os.access(path, os.X_OK) and path.is_file())
    program.write_text(program.read_text() + "# another build\n")
    meet("the run after it was replaced")
    with pytest.raises(RefusalError, match="another build of fake"):
        carry_out(asked, always, Permits(1))
    assert carry_out(errand(task), always, Permits(1)).error is None


@pytest.mark.parametrize(
    ("permits", "needs", "most"),
    [
        (lambda: Permits(3), Needs(threads=1), 3),
        (lambda: Permits(3), Needs(threads=2), 1),
        (lambda: Permits(3), Needs(threads=9), 1),
        (lambda: Permits(9, 100), Needs(memory_bytes=40), 2),
        (lambda: Permits(9, 100), Needs(memory_bytes=400), 1),
    ],
)
def test_a_machine_gives_what_it_has_and_no_more(permits: Callable[[], Permits], needs: Needs, most: int) -> None:
    made, at_work, seen, lock = permits(), 0, [], threading.Lock()

    def hold() -> None:
        nonlocal at_work
        with made.held(needs, always):
            with lock:
                at_work += 1
                seen.append(at_work)
            time.sleep(0.1)
            with lock:
                at_work -= 1

    threads = [threading.Thread(target=hold) for _ in range(6)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert (len(seen), max(seen)) == (6, most)


def test_what_waits_for_a_machine_that_is_busy_gives_up_when_nobody_waits_for_it() -> None:
    permits = Permits(1)
    with permits.held(Needs(), always):
        started = time.monotonic()
        with pytest.raises(CalledOffError), permits.held(Needs(), lambda: False):
            pass
        assert time.monotonic() - started < 10
    with permits.held(Needs(), always):
        pass
