"""A folder in which `evalsuite run` can be tried: two clips, two toy codecs, a store."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import toy_codec
from conftest import make_clip

BASE = ("--metrics", "psnr_y,psnr_yuv", "--jobs", "2", "--pictures", "none")


class Bench:
    """A folder with two clips, two toy codecs and a store, in which `evalsuite` can be run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {
            **os.environ,
            **toy_codec.install(folder, "toy", "toytwo"),
            "EVALSUITE_CACHE": str(folder / "cache"),
            "TOY_LOG": str(folder / "log"),
        }
        self.clips = [str(make_clip(folder / f"clip{i}.y4m", 64 + 16 * i, 48, 6, seed=i)) for i in range(2)]

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "evalsuite", *arguments]

    def run(self, *arguments: str, expect: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env={**self.env, **env},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == expect, f"exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done

    def arguments(self, *more: str, codecs: str = "toy,toytwo", clips: int = 2) -> list[str]:
        return [
            "run",
            "--codecs",
            codecs,
            "--sequences",
            ",".join(self.clips[:clips]),
            "--store",
            "store",
            *BASE,
            *more,
        ]

    def summary(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.folder / "results" / "summary.json").read_text())
        return document

    def points(self) -> pd.DataFrame:
        return pd.read_parquet(self.folder / "results" / "results.parquet")

    def logged(self, kind: str) -> int:
        log = self.folder / "log"
        return sum(line.startswith(kind) for line in log.read_text().splitlines()) if log.exists() else 0
