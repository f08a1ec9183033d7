"""Memory that tvc's networks free is taken again, not mapped and zeroed anew."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
import numpy as np
from tvc.memory import keep_freed

if sys.argv[1] == "keep":
    keep_freed()
for count in range(30):
    if count == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(10_000_000)  # 80 MB: above every limit that glibc moves to by itself
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc: other C libraries are left as they are")
def test_freed_memory_is_kept() -> None:
    def faults(mode: str) -> int:
        return int(subprocess.run([sys.executable, "-c", FAULTS, mode], check=True, capture_output=True).stdout)

    assert faults("return") > 20
    assert faults("keep") <= 5
