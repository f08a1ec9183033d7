"""Published sequences brought together with measured ones: by name, size and frames, since nobody read their source."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from evalsuite.report import text
from evalsuite.report.model import Run
from evalsuite.results.comparable import said, sequence_key

Identity = tuple[str, str, Hashable]
"""Run, name and identity of a sequence: what `distinct_labels` takes."""

_GEOMETRY = ("frames", "width", "height")


@dataclass(frozen=True, slots=True)
class Matches:
    """What the sequences of all runs are, and which published ones are not what they are called."""

    identities: tuple[Identity, ...]
    names: Mapping[tuple[str, str], str]
    """(Run, name in the run) to the name that the sequence has in the report."""
    unmatched: tuple[str, ...]
    """In sentences: published sequences whose name was measured, but not their size or frames."""


def match_sequences(runs: Iterable[Run]) -> Matches:
    """Give each published sequence the name and identity of the measured one that it is, where there is exactly one."""
    entries = [(run, entry) for run in runs for entry in run.summary["sequences"]]
    measured: dict[str, list[Mapping[str, Any]]] = {}
    for _, entry in entries:
        if not _is_published(entry):
            measured.setdefault(sequence_key(entry["name"]), []).append(entry)
    names: dict[tuple[str, str], str] = {}
    identities: list[Identity] = []
    published: dict[Hashable, str] = {}
    unmatched: list[str] = []
    for run, entry in entries:
        name = str(entry["name"])
        geometry = tuple(said(entry.get(part)) for part in _GEOMETRY)
        identity: Hashable = (str(entry.get("sha256")), geometry[0])
        if _is_published(entry):
            candidates = measured.get(sequence_key(name), [])
            fitting = [other for other in candidates if _fits(entry, other)]
            if len({str(other.get("sha256")) for other in fitting}) == 1:
                names[run.label, name] = str(fitting[0]["name"])
                identity = (str(fitting[0].get("sha256")), geometry[0])
            else:
                identity = (sequence_key(name), geometry)
                names[run.label, name] = published.setdefault(identity, name)
                unmatched += _why(run, entry, candidates, fitting)
        identities.append((run.label, names.get((run.label, name), name), identity))
    return Matches(tuple(identities), names, tuple(dict.fromkeys(unmatched)))


def _is_published(entry: Mapping[str, Any]) -> bool:
    # What was read has a digest; a hand-made summary may not tell.
    return entry.get("sha256") == ""


def _fits(published: Mapping[str, Any], measured: Mapping[str, Any]) -> bool:
    return all(published.get(part) is not None and published[part] == measured.get(part) for part in _GEOMETRY)


def _why(
    run: Run, entry: Mapping[str, Any], candidates: list[Mapping[str, Any]], fitting: list[Mapping[str, Any]]
) -> Iterator[str]:
    codecs = text.listing([str(codec["name"]) for codec in run.summary["codecs"]])
    if fitting:
        yield f"{entry['name']} of {codecs}: several measured sequences fit it."
        return
    for other in candidates:
        unlike = ", ".join(
            f"{part} {said(entry.get(part))} against {said(other.get(part))}"
            for part in _GEOMETRY
            if entry.get(part) is None or entry[part] != other.get(part)
        )
        yield f"{entry['name']} of {codecs} against {other['name']}: {unlike}."
