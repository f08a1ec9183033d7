"""Which sequences a request means: files, names of a dataset's sequences, and what has a tag or a trait.

`tag:faces+night` means the sequences that have both tags in their manifest; it looks at no file. `trait:noisy` means
those that are found to be so, which takes a look at the whole dataset: `tag:night+trait:noisy` looks at those alone
that have the tag.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from evalsuite.engine.content import TRAITS, content_of, fetch_detector
from evalsuite.engine.features import FeatureCache
from evalsuite.errors import RequestError, did_you_mean
from evalsuite.sources.dataset import from_file, load_dataset, prepare
from evalsuite.sources.manifest import Dataset, SequenceEntry
from evalsuite.sources.reader import check_geometry
from evalsuite.sources.tags import Stated
from evalsuite.sources.y4m import Geometry
from evalsuite.types import Sequence

_TAG, _TRAIT = _KINDS = ("tag", "trait")


def choose(
    names: tuple[str, ...],
    dataset: str,
    *,
    geometry: Geometry | None,
    stated: Stated,
    frames: int | None,
    features: FeatureCache,
) -> tuple[Sequence, ...]:
    """The sequences asked for, verified and ready to be read: files, then those named, then those chosen.

    Args:
        names: files, names of the dataset's sequences, or choices such as `tag:faces`; empty for the whole dataset.
        dataset: a name or a TOML file.
        geometry: of raw files.
        stated: of the colour of files.
        frames: use only the first so many of each.
        features: where it is kept what sources are like.

    Raises:
        RequestError: a name that is nothing, a sequence named twice, a choice of none; a geometry or a colour, and no
            file that it could be of.
        EvalError: a source cannot be had or read.
    """
    files = [name for name in names if _is_file(name, dataset)]
    if stated != Stated() and not files:
        raise RequestError(
            "--matrix, --range and --transfer are of files, and none is named",
            fix="the colour of a dataset's sequences is in its manifest",
        )
    check_geometry(map(Path, files), geometry)
    found = [from_file(Path(name), geometry=geometry, frames=frames, stated=stated) for name in files]
    wanted = [name for name in names if name not in files]
    if wanted or not names:
        found += [prepare(entry, frames) for entry in _entries(wanted, load_dataset(dataset), frames, features)]
    chosen = [sequence.name for sequence in found]
    twice = sorted({name for name in chosen if chosen.count(name) > 1})
    if twice:
        raise RequestError(
            f"two sequences have the same name: {', '.join(twice)}", fix="name each once, or rename one of the files"
        )
    _check_content(found)
    return tuple(found)


def _check_content(found: Iterable[Sequence]) -> None:
    """Refuse one content in two colours: encodes and scores are filed by content, and one would have the other's."""
    first: dict[tuple[str, int], Sequence] = {}
    for one in found:
        other = first.setdefault((one.sha256, one.frames), one)
        if other.colour != one.colour:
            raise RequestError(
                f"two sequences are the same frames in other colours: {other.name} and {one.name}",
                got=f"{other.colour}; {one.colour}",
                fix="name one of them, or make two runs",
            )


def _is_file(name: str, dataset: str) -> bool:
    if Path(name).is_file():
        return True
    if _is_choice(name):
        return False
    # A path that is not there is still a path: its error should speak of a file, not of a dataset.
    if "/" in name or not Path(name).suffix:
        return "/" in name
    return name not in {entry.name for entry in load_dataset(dataset).sequences}


def _is_choice(name: str) -> bool:
    return name.startswith(tuple(f"{kind}:" for kind in _KINDS))


def _entries(
    wanted: list[str], dataset: Dataset, frames: int | None, features: FeatureCache
) -> Iterable[SequenceEntry]:
    if not wanted:
        return dataset.sequences
    known = {entry.name: entry for entry in dataset.sequences}
    named: list[SequenceEntry] = []
    for name in wanted:
        if _is_choice(name):
            continue
        if name not in known:
            raise RequestError(
                f"{name!r} is neither a file nor a sequence of the dataset {dataset.name}",
                fix=did_you_mean(name, known),
            )
        named.append(known[name])
    for name in filter(_is_choice, wanted):
        named += [entry for entry in _chosen(name, dataset, frames, features) if entry not in named]
    return named


@dataclass(frozen=True, slots=True)
class _Condition:
    kind: str
    word: str


def _conditions(text: str) -> list[_Condition]:
    """What a choice asks for: words joined by `+`, each of the kind before it, or of the one that it names itself."""
    conditions: list[_Condition] = []
    kind = _TAG
    for part in text.split("+"):
        head, colon, rest = part.partition(":")
        kind, word = (head.strip(), rest.strip()) if colon else (kind, head.strip())
        if kind not in _KINDS or not word:
            raise RequestError(
                f"{text!r} does not say which sequences",
                expected="tags and traits joined by +, such as tag:faces, tag:faces+night or tag:night+trait:noisy",
            )
        conditions.append(_Condition(kind, word))
    return conditions


def _chosen(text: str, dataset: Dataset, frames: int | None, features: FeatureCache) -> list[SequenceEntry]:
    """The entries that meet every condition."""
    conditions = _conditions(text)
    tags = {one.word for one in conditions if one.kind == _TAG}
    traits = {one.word for one in conditions if one.kind == _TRAIT}
    _check(_TAG, tags, {tag for entry in dataset.sequences for tag in entry.tags}, f"of the dataset {dataset.name}")
    _check(_TRAIT, traits, TRAITS, "that is measured")
    chosen = [entry for entry in dataset.sequences if tags <= set(entry.tags)]
    if "faces" in traits:
        fetch_detector()
    if traits:
        chosen = [entry for entry in chosen if traits <= _traits(entry, frames, features)]
    if not chosen:
        raise RequestError(
            f"no sequence of the dataset {dataset.name} is {text}",
            expected="one that meets every condition; a comma joins those that need not come together",
            fix=f"look what they are like: evalsuite datasets {'describe' if traits else 'show'} {dataset.name}",
        )
    return chosen


def _check(kind: str, words: Iterable[str], known: Iterable[str], whose: str) -> None:
    there = sorted(known)
    for word in sorted(words):
        if word not in there:
            raise RequestError(
                f"there is no {kind} {word!r} {whose}",
                expected=f"one of {', '.join(there)}" if there else f"a {kind}, but there are none",
                fix=did_you_mean(word, there),
            )


def _traits(entry: SequenceEntry, frames: int | None, features: FeatureCache) -> set[str]:
    content = content_of(prepare(entry, frames), features)
    if content.cuts is None:
        raise RequestError(
            "it cannot be told which traits a sequence has", where=f"{entry.dataset}/{entry.name}", got=content.reason
        )
    return set(content.traits)
