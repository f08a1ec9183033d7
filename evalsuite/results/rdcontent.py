"""What CSVs of rate points say of their content, beside rates and scores: enough to refuse what is not the same.

Nobody has to say it; where both files do and contradict each other, a number would compare two different things.
"""

from __future__ import annotations

from collections.abc import Mapping

from evalsuite.results.rdcsv import MISSING, RDTable, read_number

Content = Mapping[str, frozenset[str]]
"""Values by column."""

_COUNTS = {"frames": "frames", "width": "width", "height": "height"}
_NAMES = {"sourcesha256": "source_sha256", "metricversion": "metric_version"}


def contents(table: RDTable, metric: str) -> dict[str, Content]:
    """For each sequence what its lines say: frames, width, height, digest of the source, version of the metric.

    Raises:
        RequestError: a count is no number.
    """
    found: dict[str, dict[str, frozenset[str]]] = {}
    for (sequence, name, _, _), (line, cells) in zip(table.rows, table.lines, strict=True):
        if name != metric:
            continue
        said = found.setdefault(sequence, {})
        for key, column in (_COUNTS | _NAMES).items():
            cell = cells.get(key, "")
            if cell.casefold() in (*MISSING, "nan"):
                continue
            value = f"{read_number(table.path, line, cell):.15g}" if key in _COUNTS else cell
            said[column] = said.get(column, frozenset()) | {value}
    return dict(found)


def contradiction(anchor: Content, test: Content) -> str:
    """What two files say of a sequence and contradict each other in; empty where they do not."""
    return ", ".join(
        f"{column} {_shown(anchor[column])} against {_shown(test[column])}"
        for column in anchor
        if column in test and len(anchor[column] | test[column]) > 1
    )


def _shown(values: frozenset[str]) -> str:
    return "/".join(sorted(values))
