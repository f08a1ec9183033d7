"""`evalsuite datasets describe`: what a dataset's sequences are like, by looking at them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from evalsuite.cli.exitcodes import NOT_WHOLE
from evalsuite.cli.output import echo, print_json, print_table, say

if TYPE_CHECKING:
    from evalsuite.engine.content import Content
    from evalsuite.sources.manifest import SequenceEntry


def describe_dataset(
    name: str = typer.Argument(..., help="Name of the dataset, or the path of its TOML file."),
    json: bool = typer.Option(False, "--json", help="Print a JSON list."),
) -> None:
    """Look at every sequence of a dataset: detail, motion, cuts, noise, faces, and the traits to choose by.

    What is not on this machine is fetched first. Exit code 3 where a sequence could not be looked at.

    Example: evalsuite datasets describe demo
    """
    from evalsuite.assets import cache_dir
    from evalsuite.engine.content import Content, content_of, fetch_detector
    from evalsuite.engine.features import FeatureCache
    from evalsuite.errors import EvalError
    from evalsuite.sources.dataset import load_dataset, prepare

    entries = load_dataset(name).sequences
    try:
        fetch_detector()
    except EvalError as error:
        say(f"faces are not counted: {error}")
    features = FeatureCache(cache_dir() / "features")
    described: list[tuple[SequenceEntry, Content]] = []
    for number, entry in enumerate(entries, 1):
        say(f"{number} of {len(entries)}: {entry.name}")
        try:
            content = content_of(prepare(entry), features)
        except EvalError as error:
            content = Content.unknown(error.what)
        described.append((entry, content))
    if json:
        rows = [{"name": entry.name, "tags": list(entry.tags), **asdict(content)} for entry, content in described]
        print_json(rows)
    else:
        columns = ("sequence", "SI", "TI", "median", "cuts", "noise", "faces", "most")
        print_table("", columns, (_row(entry.name, content) for entry, content in described), numbers=7)
        for entry, content in described:
            if content.traits:
                echo(f"{entry.name}: {', '.join(content.traits)}")
    unknown = [(entry.name, content.reason) for entry, content in described if content.reason]
    for sequence, reason in unknown:
        say(f"{sequence}: {reason}")
    if unknown:
        raise typer.Exit(NOT_WHOLE)


def _row(name: str, content: Content) -> tuple[str, ...]:
    levels = (content.si, content.ti, content.ti_median, content.noise)
    si, ti, ti_median, noise = ("–" if value is None else f"{value:.1f}" for value in levels)
    cuts = "–" if content.cuts is None else str(len(content.cuts))
    share = "–" if content.faces_share is None else f"{content.faces_share:.0%}"
    most = "–" if content.faces_most is None else str(content.faces_most)
    return name, si, ti, ti_median, cuts, noise, share, most
