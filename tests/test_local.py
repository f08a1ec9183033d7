"""The engine of one machine, with real worker processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import pytest

from evalsuite import process
from evalsuite.engine.execute import Needs, Task
from evalsuite.engine.local import LocalPool


def test_outcomes_come_as_they_happen_and_tasks_may_be_added() -> None:
    with LocalPool[str](2) as pool:
        pool.submit("slow", Task(time.sleep, (1.5,)))
        pool.submit("fast", Task(abs, (-3,)))
        seen = []
        for outcome in pool.outcomes():
            seen.append((outcome.key, outcome.value))
            if outcome.key == "fast":
                pool.submit("added", Task(abs, (-4,)))
    assert seen[0] == ("fast", 3)
    assert ("added", 4) in seen
    assert seen[-1][0] == "slow"


def test_the_urgent_starts_first() -> None:
    with LocalPool[str](1) as pool:
        pool.submit("running", Task(time.sleep, (0.2,)))
        pool.submit("later", Task(abs, (1,)), urgency=(5, 0))
        pool.submit("sooner", Task(abs, (1,)), urgency=(1, 0))
        assert [outcome.key for outcome in pool.outcomes()] == ["running", "sooner", "later"]


def test_a_pool_tells_what_starts_and_what_there_is_to_do() -> None:
    started: list[str] = []
    with LocalPool[str](1) as pool:
        pool.on_start = started.append
        for key in ("a", "b", "c"):
            pool.submit(key, Task(abs, (1,)))
        assert (started, sorted(pool.tasks())) == (["a"], ["a", "b", "c"])
        for outcome in pool.outcomes():
            # The next one starts before the outcome is looked at.
            assert outcome.key not in pool.tasks()
            assert set(started) == {"a", "b", "c"} - set(pool.tasks()[1:])
        assert (started, pool.tasks()) == (["a", "b", "c"], [])


def test_a_task_that_is_tried_again_starts_again() -> None:
    started: list[str] = []
    with LocalPool[str](1) as pool:
        pool.on_start = started.append
        pool.submit("dies", Task(os._exit, (3,)))
        assert [outcome.key for outcome in pool.outcomes()] == ["dies"]
    assert started == ["dies", "dies"]


def test_an_error_is_an_outcome() -> None:
    with LocalPool[str](1) as pool:
        pool.submit("bad", Task(int, ("x",)))
        pool.submit("good", Task(int, ("7",)))
        outcomes = {outcome.key: outcome for outcome in pool.outcomes()}
    assert isinstance(outcomes["bad"].error, ValueError)
    assert outcomes["good"].value == 7


def test_workers_use_one_thread_for_arithmetic() -> None:
    with LocalPool[str](1) as pool:
        pool.submit("env", Task(os.getenv, ("OMP_NUM_THREADS",)))
        assert [outcome.value for outcome in pool.outcomes()] == ["1"]


def test_a_task_that_kills_its_worker_twice_is_an_outcome_and_the_rest_goes_on() -> None:
    with LocalPool[str](1) as pool:
        pool.submit("dies", Task(os._exit, (9,)))
        pool.submit("good", Task(abs, (-1,)))
        outcomes = {outcome.key: outcome for outcome in pool.outcomes()}
    assert outcomes["dies"].error is not None
    assert outcomes["good"].value == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_workers_and_their_encoders_die_with_the_parent(tmp_path: Path, how: signal.Signals) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        textwrap.dedent(
            """
            import sys
            from evalsuite.engine.execute import Task
            from evalsuite.engine.local import LocalPool
            from evalsuite.process import run
            if __name__ == "__main__":
                with LocalPool(2) as pool:
                    for index in range(2):
                        pool.submit(index, Task(run, ([sys.executable, "-c", "import time; time.sleep(120)"],)))
                    list(pool.outcomes())
            """
        )
    )
    parent = psutil.Popen([sys.executable, str(script)], stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        family = parent.children(recursive=True)
        if sum("time.sleep" in " ".join(one.cmdline()) for one in family) == 2:
            break
        time.sleep(0.1)
    else:
        pytest.fail("the encoders did not start")
    parent.send_signal(how)
    parent.wait(20)
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []


def test_closing_never_hangs() -> None:
    # Workers are stopped in every state: starting, idle, at work.
    started = time.monotonic()
    for index in range(8):
        with LocalPool[int](2) as pool:
            for key in range(4):
                pool.submit(key, Task(time.sleep, (0.02 * index,)))
            for count, _ in enumerate(pool.outcomes()):
                if count >= index % 4:
                    break
    assert time.monotonic() - started < 60


def test_an_outcome_that_cannot_be_pickled_costs_only_itself() -> None:
    with LocalPool[str](1) as pool:
        pool.submit("odd", Task(eval, ("lambda: 0",)))
        pool.submit("good", Task(abs, (-1,)))
        outcomes = {outcome.key: outcome for outcome in pool.outcomes()}
    assert outcomes["odd"].error is not None
    assert outcomes["good"].value == 1


def test_trap30_a_task_ran_alone_only_where_no_other_was_with_a_worker() -> None:
    with LocalPool[str](1) as pool:
        for key in ("a", "b", "c"):
            pool.submit(key, Task(time.sleep, (0.05,)))
        assert [outcome.alone for outcome in pool.outcomes()] == [True] * 3
    with LocalPool[str](2) as pool:
        pool.submit("long", Task(time.sleep, (2.5,)))
        pool.submit("short", Task(time.sleep, (0.05,)))
        alone = {}
        for outcome in pool.outcomes():
            alone[outcome.key] = outcome.alone
            if outcome.key == "long":
                pool.submit("last", Task(time.sleep, (0.05,)))
    # The long one had company for a moment only, and that is enough.
    assert alone == {"short": False, "long": False, "last": True}


def test_a_program_over_the_memory_limit_costs_only_its_task() -> None:
    hold = "import time; held = bytearray(b'x') * ({} << 20); time.sleep(0.5)"
    with LocalPool[int](1, memory_limit=150 << 20) as pool:
        for size in (300, 50):
            pool.submit(size, Task(process.run, ([sys.executable, "-c", hold.format(size)],)))
        outcomes = {outcome.key: outcome for outcome in pool.outcomes()}
    assert "more memory than it may" in str(outcomes[300].error)
    assert outcomes[50].error is None


def test_within_a_class_the_longest_starts_first() -> None:
    with LocalPool[str](1) as pool:
        pool.submit("running", Task(time.sleep, (0.2,)))
        for key, urgency in {"short": (0, -1.0), "long": (0, -9.0), "longer but later": (1, -99.0)}.items():
            pool.submit(key, Task(abs, (1,)), urgency)
        assert [outcome.key for outcome in pool.outcomes()] == ["running", "long", "short", "longer but later"]


def work() -> tuple[float, float]:
    """When this began and ended, by a clock that all processes share."""
    began = time.monotonic()
    time.sleep(0.3)
    return began, time.monotonic()


def most_at_once(pool: LocalPool[int], needs: list[Needs]) -> int:
    with pool:
        for key, one in enumerate(needs):
            pool.submit(key, Task(work, (), one))
        spans = [outcome.value for outcome in pool.outcomes()]
    return max(sum(began <= moment < ended for began, ended in spans) for moment, _ in spans)


@pytest.mark.parametrize(
    ("needs", "most"),
    [
        (Needs(threads=1), 3),
        (Needs(threads=2), 1),
        (Needs(threads=5), 1),
        (Needs(memory_bytes=400), 2),
        (Needs(memory_bytes=2000), 1),  # more than there is: alone, but done
    ],
)
def test_cores_and_memory_are_full_but_not_crowded(needs: Needs, most: int) -> None:
    assert most_at_once(LocalPool(8, cores=3, memory_bytes=1000), [needs] * 6) == most


def test_a_task_that_needs_everything_is_not_overtaken_for_ever() -> None:
    order = []
    with LocalPool[int](4, cores=2) as pool:
        pool.on_start = order.append
        pool.submit(0, Task(time.sleep, (0.2,)))
        pool.submit(1, Task(time.sleep, (0.1,), Needs(threads=2)))
        pool.submit(2, Task(time.sleep, (0.1,)))
        list(pool.outcomes())
    assert order == [0, 1, 2]


def test_a_worker_that_was_killed_while_idle_costs_nothing() -> None:
    with LocalPool[str](1) as pool:
        pool.submit("pid", Task(os.getpid, ()))
        (outcome,) = pool.outcomes()
        os.kill(outcome.value, signal.SIGKILL)
        psutil.wait_procs([one for one in psutil.Process().children() if one.pid == outcome.value], timeout=5)
        pool.submit("next", Task(abs, (-5,)))
        assert [outcome.value for outcome in pool.outcomes()] == [5]


class TwoArgumentsError(Exception):
    """One that can be pickled and not be read again, as many are."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} {two}")


def fail_oddly() -> None:
    raise TwoArgumentsError("odd", "one")


def test_a_worker_that_was_killed_in_the_middle_of_its_answer_costs_nothing() -> None:
    """The answer is more than a pipe holds, so that the worker waits until somebody reads it."""
    with LocalPool[str](1) as pool:
        pool.submit("pid", Task(os.getpid, ()))
        (outcome,) = pool.outcomes()
        worker = psutil.Process(outcome.value)
        pool.submit("large", Task(bytes, (20_000_000,)))
        deadline = time.monotonic() + 60
        while worker.memory_info().rss < 60_000_000 and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.5)
        worker.kill()
        (outcome,) = pool.outcomes()
        assert outcome.error is None
        assert outcome.value == bytes(20_000_000)


def test_what_lies_in_the_current_folder_is_not_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("json", "sys", "re", "enum"):
        (tmp_path / f"{name}.py").write_text("import pathlib; pathlib.Path('ran').touch()\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if entry])
    with LocalPool[str](1) as pool:
        pool.submit("one", Task(abs, (-1,)))
        assert [outcome.value for outcome in pool.outcomes()] == [1]
    assert not (tmp_path / "ran").exists()


def test_an_error_that_cannot_be_read_again_costs_only_its_task() -> None:
    with LocalPool[str](1) as pool:
        pool.submit("odd", Task(fail_oddly, ()))
        pool.submit("good", Task(abs, (-1,)))
        outcomes = {outcome.key: outcome for outcome in pool.outcomes()}
    assert str(outcomes["odd"].error) == "TwoArgumentsError: odd one"
    assert outcomes["good"].value == 1


def test_what_a_killed_worker_ran_does_not_go_on(tmp_path: Path) -> None:
    script = f"import os, time; open({str(tmp_path / 'pid')!r}, 'a').write(f'{{os.getpid()}} '); time.sleep(120)"
    with LocalPool[str](1) as pool:
        pool.submit("task", Task(process.run, ([sys.executable, "-c", script],)))
        for count in (1, 2):
            deadline = time.monotonic() + 30
            while not (tmp_path / "pid").exists() or len((tmp_path / "pid").read_text().split()) < count:
                assert time.monotonic() < deadline
                time.sleep(0.05)
            (worker,) = [
                one for one in psutil.Process().children() if "evalsuite.engine.worker" in " ".join(one.cmdline())
            ]
            worker.kill()
            if count == 1:
                # It is told by the pipe, and tried once more.
                assert pool._collect(pool._desks[0]) is None
                pool._feed()
        assert [str(outcome.error).splitlines()[0] for outcome in pool.outcomes()] == [
            "the worker process died twice at this task"
        ]
    pids = [int(pid) for pid in (tmp_path / "pid").read_text().split()]
    assert len(pids) == 2
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=5)
    assert [one for one in alive if one.status() != psutil.STATUS_ZOMBIE] == []
