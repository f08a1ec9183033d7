"""What a codec has learned from is no test of it: which sequences of a result that is so of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any


def trained_on(
    codecs: Iterable[tuple[str, Mapping[str, Any]]], sequences: Iterable[tuple[str, Mapping[str, Any]]]
) -> list[str]:
    """A sentence for each codec that was trained on any of the sequences.

    Args:
        codecs: what each is called here, and its entry among the `codecs` of summary.json.
        sequences: likewise of `sequences`.

    >>> trained_on([("tvc", {"trained_on": ["set/a"]})], [("a", {"dataset": "set", "name": "a"})])
    ['tvc was trained on a: what it scores there is no test of it.']
    """
    known = [(label, f"{facts.get('dataset', '')}/{facts['name']}") for label, facts in sequences]
    found = {codec: [label for label, name in known if name in facts.get("trained_on", ())] for codec, facts in codecs}
    return [
        f"{codec} was trained on {', '.join(labels)}: what it scores there is no test of it."
        for codec, labels in found.items()
        if labels
    ]
