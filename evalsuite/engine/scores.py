"""Scores of a run: those that last are read from the store when they are wanted, so that a long run takes no memory."""

from __future__ import annotations

from collections.abc import Iterable

from evalsuite.engine.store import LASTING, Store
from evalsuite.types import Series


class Scores:
    """What is known of every cell of a run.

    Args:
        store: open as long as scores are asked for.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._versions: dict[str, dict[str, str]] = {}
        """By cell key, what stored scores must carry; cells of a lane share one mapping."""
        self._passing: dict[str, dict[str, Series]] = {}
        """By cell key, what the store does not keep: failures, and figures of cost."""
        self._measured: set[str] = set()

    def begin(self, cell_key: str, versions: dict[str, str]) -> dict[str, Series]:
        """A cell belongs to the run: what the store has of it already, by metric."""
        self._versions[cell_key] = versions
        known = self._store.scores(cell_key, versions)
        if known:
            self._measured.add(cell_key)
        return known

    def add(self, cell_key: str, series: Iterable[Series]) -> None:
        """Take what was found out of a cell, once the store has it."""
        kept = self._store.scores(cell_key, self._versions[cell_key])
        for one in series:
            self._measured.add(cell_key)
            if one.status not in LASTING and one.metric in kept:
                # Measured again beside what was lacking, and failed: what was scored before stays.
                continue
            passing = self._passing.setdefault(cell_key, {})
            if one.status in LASTING and one.metric in self._versions[cell_key]:
                passing.pop(one.metric, None)
            else:
                passing[one.metric] = one

    def __contains__(self, cell_key: str) -> bool:
        """Whether anything is known of a cell."""
        return cell_key in self._measured

    def __getitem__(self, cell_key: str) -> dict[str, Series]:
        """Everything that is known of a cell, by metric."""
        return {
            **self._store.scores(cell_key, self._versions[cell_key]),
            **self._passing.get(cell_key, {}),
        }
