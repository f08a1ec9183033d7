"""What a machine has to give, as a container sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalsuite import provenance
from evalsuite.provenance import free_memory_bytes

MIB = 1 << 20


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        # What is left of the limit, and the files that were read and are not in use: the kernel gives those up first.
        (f"{300 * MIB}\n", (300 - 250 + 120) * MIB),
        (f"{100 * MIB}\n", 0),
    ],
)
def test_files_that_were_read_do_not_count_as_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, expected: int
) -> None:
    most, used, details = (tmp_path / f"memory.{name}" for name in ("max", "current", "stat"))
    most.write_text(limit)
    used.write_text(f"{250 * MIB}\n")
    details.write_text(f"anon {90 * MIB}\nfile {160 * MIB}\ninactive_file {120 * MIB}\nactive_file {40 * MIB}\n")
    monkeypatch.setattr(provenance, "_CGROUP_FILES", ((most, used, details),))
    assert free_memory_bytes() == expected


def test_a_container_without_a_limit_has_what_the_system_has(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "_CGROUP_FILES", ())
    free = free_memory_bytes()
    (tmp_path / "max").write_text("max\n")
    monkeypatch.setattr(provenance, "_CGROUP_FILES", ((tmp_path / "max", tmp_path / "none", tmp_path / "none"),))
    assert free_memory_bytes() == pytest.approx(free, rel=0.2)
