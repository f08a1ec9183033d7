"""Open doors: whole packages of picture metrics, each asked for as `PACKAGE:NAME`.

A module here that offers a `DOOR` is found by itself. A door knows its package's metrics well enough to say what each
one is; it does not vouch for them, and what they download is not verified.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evalsuite.errors import RequestError, did_you_mean
from evalsuite.metrics.base import Family


@dataclass(frozen=True, slots=True)
class Door:
    """A package whose metrics are asked for by its own names after a prefix."""

    prefix: str
    title: str
    """What is behind it, for a list of metrics."""
    names: Callable[[], tuple[str, ...]]
    """The package's names of its metrics; empty where it is not installed."""
    find: Callable[[str], Family]
    """The family of one of these names: the same object whenever it is asked for."""
    check: Callable[[], str]
    """Empty where the package is installed, else how to get it."""

    def family(self, name: str) -> Family:
        """The family of the metric.

        Args:
            name: with the prefix.

        Raises:
            RequestError: the package is not installed, or has no such metric.
        """
        if problem := self.check():
            raise RequestError(f"{name} needs a package that is not installed", fix=problem)
        inner = name.removeprefix(f"{self.prefix}:")
        known = self.names()
        if inner not in known:
            near = did_you_mean(
                name, [f"{self.prefix}:{one}" for one in known], f"`evalsuite metrics list` shows all {len(known)}"
            )
            raise RequestError(f"unknown metric {name!r}", where=self.title, fix=near)
        return self.find(inner)
