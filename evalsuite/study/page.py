"""The folder of a study: a page that opens from disk, its clips under blind names, and the key that stays behind."""

from __future__ import annotations

import hashlib
import json
import math
import re
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from evalsuite.codec.variants import split_name
from evalsuite.errors import RequestError
from evalsuite.results.load import RunResults
from evalsuite.study.plan import Candidate, StudyPlan
from evalsuite.study.stimuli import KEY_SCHEMA
from evalsuite.types import Frame
from evalsuite.viewing.clips import LOSSLESS, NEAR_LOSSLESS, Clip, check_showable, write_clip
from evalsuite.viewing.material import Material

ASSETS = Path(__file__).parent / "assets"
STATIC = ("index.html", "study.css", "order.js", "player.js", "study.js")

TRAINING = 1
"""Trials before those that count."""

_VOTE_S = 5.0
"""What a vote takes beside the viewing, for the estimate of a session's length."""
_GREY_S = 2.0
"""Grey with a caption before each of the two clips of a trial: one second each."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How a study runs."""

    title: str = "Video quality study"
    seed: int = 1
    """Of the blind names, and of every subject's order."""
    ties: bool = False
    """Whether a subject may see no difference; else one must be chosen."""
    training: int = TRAINING
    near_lossless: bool = False
    """Whether clips are H.264 that is decoded with less effort, in place of lossless VP9."""

    @property
    def coding(self) -> str:
        """How clips are coded: the end of their names."""
        return NEAR_LOSSLESS if self.near_lossless else LOSSLESS


@dataclass(frozen=True, slots=True)
class Study:
    """What was made."""

    page: Path
    """To open, in the folder to hand out."""
    key: Path
    """Stays with who runs the study."""
    trials: int
    minutes: float
    """What one subject needs, about."""
    bytes: int
    """Of all clips."""
    psnr_y: float
    """Of the clip that is least like what it was made of, in dB; inf where luma is the same to the bit in all."""


def make_study(
    plan: StudyPlan,
    material: Material,
    out: Path,
    settings: Settings,
    progress: Callable[[str], None] = lambda _: None,
) -> Study:
    """Write the folder of a study: `page/` to hand out, and `key.json`, which no subject may see.

    Args:
        plan: what is shown.
        material: gives its frames.
        out: a folder that is not there yet, or is empty and not the current one; it appears whole or not at all.
        settings: how the study runs.
        progress: called with a line of text for each clip.

    Raises:
        RequestError: the title names a codec, the folder is taken or cannot be written, or a sequence cannot be shown
            in a browser.
        EvalError: frames cannot be had.
    """
    _check_title(settings.title, plan)
    for name in plan.sequences:
        check_showable(material.sequence(name), settings.coding)
    try:
        out = _free(out)
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".study-") as temporary:
            new = Path(temporary) / "study"
            (new / "page" / "clips").mkdir(parents=True)
            made = _write(plan, material, new, settings, progress)
            if out.exists():
                out.rmdir()
            new.replace(out)
    except OSError as error:
        raise RequestError(
            f"the study cannot be written: {error.strerror or error}",
            where=out,
            fix="give a folder that can be written, on a disk with room, with --out",
        ) from error
    trials, seconds, clips = made
    size, psnr = sum(clip.bytes for clip in clips), min(clip.psnr_y for clip in clips)
    return Study(out / "page" / "index.html", out / "key.json", trials, seconds / 60, size, psnr)


def _check_title(title: str, plan: StudyPlan) -> None:
    """Subjects read it: none may learn from it what is compared."""
    for name in dict.fromkeys(split_name(one.codec)[0] for one in plan.shown):
        if re.search(rf"(?<!\w){re.escape(name)}(?!\w)", title, re.IGNORECASE):
            raise RequestError(
                f"the title names the codec {name}", got=repr(title), fix="subjects see it: give another --title"
            )


def _free(out: Path) -> Path:
    """The folder without links, where it can be replaced by a whole one at the end.

    Raises:
        RequestError: it is taken, or is one that cannot be replaced.
        OSError: it cannot be looked at.
    """
    try:
        found = out.resolve()
    except RuntimeError:  # a loop of links, before Python 3.13
        found = out
    if found.is_symlink():
        raise RequestError("the folder of the study is a loop of links", where=out, fix="give a new one with --out")
    if found == Path.cwd() or found.is_mount():
        raise RequestError(
            "the study cannot be the current folder, or one that is mounted",
            where=found,
            fix="give a new folder inside it with --out",
        )
    if found.exists() and (not found.is_dir() or any(found.iterdir())):
        raise RequestError(
            "the folder of the study is taken",
            where=out,
            fix="give a new one with --out: a study that is under way must not change",
        )
    return found


def _write(
    plan: StudyPlan, material: Material, folder: Path, settings: Settings, progress: Callable[[str], None]
) -> tuple[int, float, list[Clip]]:
    """Everything in the folder; gives the number of trials, the seconds of a session, and the clips."""
    # Drawn anew: from a seed that somebody can guess, our code would tell whose clip is whose.
    rng = np.random.default_rng(secrets.randbits(128))
    names = _blind_names(rng)

    def path(name: str) -> Path:
        return folder / "page" / "clips" / f"{name}{settings.coding}"

    clips: dict[str, Clip] = {}
    stimuli: dict[Candidate, str] = {}
    # In an order of no meaning: neither names nor dates of files follow codec or rate.
    for place in rng.permutation(len(plan.shown)):
        one = plan.shown[place]
        stimuli[one] = name = next(names)
        progress(f"{one.codec} {one.sequence} {one.target_bpp:.4g} bpp")
        clips[name] = _clip(material, one.sequence, partial(material.decoded, one), path(name))
    sources: dict[str, str] = {}
    hidden: dict[str, str] = {}
    for sequence in plan.sequences if plan.method == "dcr" else ():
        sources[sequence], hidden[sequence] = next(names), next(names)
        progress(f"source {sequence}")
        shown = _clip(material, sequence, partial(material.source, sequence), path(sources[sequence]))
        # Under a name of its own: a subject who looks at files must not see which trial is the hidden reference.
        shutil.copyfile(path(sources[sequence]), path(hidden[sequence]))
        clips[sources[sequence]] = clips[hidden[sequence]] = shown
    trials = _trials(plan, stimuli, sources, hidden, rng)
    of_sequence = {stimuli[one]: one.sequence for one in plan.shown}
    of_sequence |= {name: sequence for given in (sources, hidden) for sequence, name in given.items()}
    what = json.dumps([settings.seed, sorted((name, clip.sha256) for name, clip in clips.items())])
    study = hashlib.sha256(what.encode()).hexdigest()[:12]
    page = {
        "schema": 1,
        "id": study,
        "seed": hashlib.sha256(f"order {settings.seed}".encode()).hexdigest()[:16],
        "title": settings.title,
        "method": plan.method,
        "ties": settings.ties,
        "training": min(settings.training, len(trials)),
        "trials": trials,
        "clips": {name: _facts(material, of_sequence[name], path(name)) for name in sorted(clips)},
    }
    for name in STATIC:
        shutil.copyfile(ASSETS / name, folder / "page" / name)
    (folder / "page" / "data.js").write_text(_script(page), encoding="ascii")
    key = _key(plan, material.run, settings, study, stimuli, hidden, sources, clips)
    (folder / "key.json").write_text(json.dumps(key, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return len(trials), _seconds(material, trials, settings.training), list(clips.values())


def _blind_names(rng: np.random.Generator) -> Iterator[str]:
    seen: set[str] = set()
    while True:
        name = f"s{int(rng.integers(1 << 40)):010x}"
        if name not in seen:
            seen.add(name)
            yield name


def _clip(material: Material, sequence: str, frames: Callable[[], Iterator[Frame]], path: Path) -> Clip:
    return write_clip(frames, material.sequence(sequence), path, material.timeout)


def _trials(
    plan: StudyPlan,
    stimuli: dict[Candidate, str],
    sources: dict[str, str],
    hidden: dict[str, str],
    rng: np.random.Generator,
) -> list[dict[str, str]]:
    if plan.method == "pairwise":
        trials = []
        for pair in plan.pairs:
            a, b = (stimuli[pair[place]] for place in rng.permutation(2))
            trials.append({"sequence": pair[0].sequence, "a": a, "b": b})
    else:
        shown = [(one.sequence, name) for one, name in stimuli.items()] + list(hidden.items())
        trials = [{"sequence": name, "source": sources[name], "stimulus": blind} for name, blind in shown]
    return [trials[place] for place in rng.permutation(len(trials))]


def _facts(material: Material, sequence: str, path: Path) -> dict[str, Any]:
    format = material.sequence(sequence).format
    return {"file": f"clips/{path.name}", "width": format.width, "height": format.height}


def _script(page: dict[str, Any]) -> str:
    document = json.dumps(page, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    # Inert even where the text is pasted into a page: JSON strings may hold no angle bracket.
    document = document.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
    return f"window.evalsuiteStudy = {document};\n"


def _key(
    plan: StudyPlan,
    run: RunResults,
    settings: Settings,
    study: str,
    stimuli: dict[Candidate, str],
    hidden: dict[str, str],
    sources: dict[str, str],
    clips: dict[str, Clip],
) -> dict[str, Any]:
    made = run.summary["run"]
    shown = {name: {**asdict(one), **_told(clips[name])} for one, name in stimuli.items()}
    shown |= {
        name: {"codec": "source", "sequence": sequence, "is_source": True, **_told(clips[name])}
        for sequence, name in hidden.items()
    }
    return {
        "schema": KEY_SCHEMA,
        "study": study,
        **asdict(settings),
        "method": plan.method,
        "run": {name: made.get(name) for name in ("started", "finished", "commit")},
        "stimuli": shown,
        "sources": {name: {"sequence": sequence, **_told(clips[name])} for sequence, name in sources.items()},
        "left_out": [asdict(one) for one in plan.left_out],
    }


def _told(clip: Clip) -> dict[str, Any]:
    """What a clip is, beside what it shows."""
    return {
        "clip_sha256": clip.sha256,
        "clip_bytes": clip.bytes,
        "clip_frames": clip.frames,
        "clip_changed": clip.changed,
        "clip_psnr_y_db": clip.psnr_y if math.isfinite(clip.psnr_y) else None,
    }


def _seconds(material: Material, trials: list[dict[str, str]], training: int) -> float:
    lengths = [float(one.frames / one.frame_rate) for one in (material.sequence(trial["sequence"]) for trial in trials)]
    each = [2 * length + _GREY_S + _VOTE_S for length in lengths]
    return sum(each) + sum(each[:training])
