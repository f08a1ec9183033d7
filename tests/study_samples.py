"""What the tests of studies share: votes with known answers, and a small run of real encodes."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_sample import write_sample
from sample_carphone import carphone_file

from evalsuite.results.load import RunResults, read_run


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def ratings_csv(scores: Any, sequences: int = 1) -> str:
    """Tidy ratings of an array (stimuli, subjects): stimulus k is `t<k>`, its sequence `c<k % sequences>`."""
    lines = ["subject,stimulus,sequence,score"]
    for (stimulus, subject), score in np.ndenumerate(np.asarray(scores)):
        lines.append(f"s{subject},t{stimulus},c{stimulus % sequences},{score}")
    return "\n".join(lines) + "\n"


def votes_csv(wins: dict[tuple[str, str], int], subjects: int = 1, sequence: str = "one") -> str:
    """Comparisons with these numbers of wins of the first over the second, dealt out to subjects in turn."""
    lines = ["subject,sequence,a,b,choice,repetition"]
    turn = itertools.count()
    for (a, b), count in wins.items():
        for _ in range(count):
            number = next(turn)
            lines.append(f"s{number % subjects},{sequence},{a},{b},a,{number}")
    return "\n".join(lines) + "\n"


def real_run(factory: pytest.TempPathFactory) -> Path:
    """A folder with `run` and `store`: x264 and x265 on 17 frames of two sequences, at x264's rates; made once."""
    folder = factory.getbasetemp() / "study_run"
    if not (folder / "run" / "summary.json").is_file():
        folder.mkdir(exist_ok=True)
        for name in ("pristine", "distorted"):
            shutil.copyfile(carphone_file(name), folder / f"{name}.mp4")
        evalsuite(folder, "run", "--codecs", "x264,x265", "--sequences", "pristine.mp4,distorted.mp4", "--frames", "17",
                  "--metrics", "psnr_y,ssim", "--store", "store", "--out", "run", "--jobs", "2")  # fmt: skip
    return folder


def evalsuite(folder: Path, *arguments: str, expect: int = 0) -> str:
    """Standard output of the command, run in a folder with a cache of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "evalsuite", *arguments],
        cwd=folder,
        env={**os.environ, "EVALSUITE_CACHE": str(folder / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def many_contents(folder: Path) -> RunResults:
    """A run of three codecs on five sequences at matched rates, written by the tests of the report."""
    write_sample(folder, codecs=["vvenc", "x265", "x264"])
    return read_run(folder)
