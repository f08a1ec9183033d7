"""What is written of published points: rows and entries of the summary, with null where nobody tells."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from evalsuite.metrics.registry import infos
from evalsuite.results.comparable import RATE_WORDS
from evalsuite.results.layout import POINTS_SCHEMA
from evalsuite.results.published.base import Figure, Given, Publication, PublishedPoint, Source
from evalsuite.types import MetricInfo

TOLD = ("structure", "intra_period", "internal_bit_depth", "lookahead", "delay", "rate_control", "threads")
"""Properties of a codec that only the user can tell."""


def metric_entries(
    format: str, publications: Sequence[Publication], points: Sequence[PublishedPoint]
) -> dict[str, dict[str, Any]]:
    """By name: the suite's own description where the definition is the suite's, else the publication's."""
    figures = {figure.name: figure for publication in publications for figure in publication.figures}
    own = infos()
    names = dict.fromkeys(name for point in points for name in point.scores)
    return {name: asdict(own[name]) if name in own else asdict(_info(format, figures[name])) for name in names}


def _info(format: str, figure: Figure) -> MetricInfo:
    return MetricInfo(
        name=figure.name,
        family="published",
        unit=figure.unit,
        higher_is_better=figure.higher_is_better,
        version=format,
        definition=figure.definition,
        source="a publication, not re-run",
        range=(-math.inf, math.inf),
        log_domain_ceiling=figure.log_domain_ceiling,
    )


def point_rows(
    codec: str,
    given: Given,
    points: Sequence[PublishedPoint],
    metrics: dict[str, dict[str, Any]],
    digests: Sequence[dict[str, Any]],
) -> Iterator[dict[str, Any]]:
    """Rows of results.parquet: one for each point and metric."""
    content = "|".join(digest["sha256"] for digest in digests)
    for place, point in enumerate(points):
        source = point.source
        shared = {
            **dict.fromkeys(field.name for field in POINTS_SCHEMA if field.nullable),
            "codec": codec,
            "preset": given.preset,
            "sequence": source.name,
            "dataset": source.dataset,
            "tags": "averaged" if source.averaged else "",
            "width": source.width,
            "height": source.height,
            "frame_rate": None if source.frame_rate is None else float(source.frame_rate),
            "frames": source.frames,
            "q": point.q,
            "bpp": point.bpp,
            "kbps": point.kbps,
            "bytes": point.bytes,
            "statistic": "mean",
            "cell_key": hashlib.sha256(f"{content}|{codec}|{place}".encode()).hexdigest(),
            "codec_version": given.version,
            **{name: getattr(given, name) for name in TOLD},
            "rate_source": "published",
            "source_sha256": "",
        }
        for name, score in point.scores.items():
            status = "ok" if math.isfinite(score) else "infinite" if math.isinf(score) else "unavailable"
            yield {
                **shared,
                "metric": name,
                "metric_version": metrics[name]["version"],
                **{key: metrics[name][key] for key in ("unit", "higher_is_better", "log_domain_ceiling")},
                "score": None if status == "unavailable" else score,
                "status": status,
                "reason": "not published" if status == "unavailable" else "",
            }


def codec_entry(
    codec: str,
    format: str,
    given: Given,
    publications: Sequence[Publication],
    digests: Sequence[dict[str, Any]],
) -> dict[str, Any]:
    """The codec, as far as anybody tells."""
    remarks = "; ".join(dict.fromkeys(publication.remarks for publication in publications if publication.remarks))
    return {
        "name": codec,
        "description": remarks,
        "preset": given.preset,
        "version": given.version,
        "binary": "",
        "binary_sha256": {},
        "recipe_sha256": "",
        "files": {},
        **{name: getattr(given, name) for name in TOLD},
        "rate_source": "published",
        "notes": f"{RATE_WORDS['published']}: format {format}, "
        + ", ".join(f"{digest['name']} (sha256 {digest['sha256']})" for digest in digests),
        "encode": [],
        "decode": [],
    }


def sequence_entry(source: Source) -> dict[str, Any]:
    """The sequence, as far as anybody tells; without a digest, since nobody read it."""
    return {
        "name": source.name,
        "dataset": source.dataset,
        "width": source.width,
        "height": source.height,
        "frame_rate": source.frame_rate,
        "frames": source.frames,
        "bit_depth": None,
        "chroma": "",
        "colour": "",
        "tags": ["averaged"] if source.averaged else [],
        "licence": "",
        "origin": "as published; the source itself was not read",
        "sha256": "",
    }
