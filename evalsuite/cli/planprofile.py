"""`evalsuite plan profile`: what a target quality costs each codec, and which devices can play it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from evalsuite.cli.output import echo_folded

if TYPE_CHECKING:
    from evalsuite.planning.profile import Amount, Judged, Playing, Profile, Row
    from evalsuite.planning.reach import Missed

_GROUPS = (
    (
        "tokens",
        (
            ("sent_token_rate", 1.0, "sent, tokens/s"),
            ("token_rate", 1.0, "all, tokens/s"),
            ("token_density", 1.0, "all, tokens/Mpixel"),
        ),
    ),
    (
        "how bursty it is",
        (
            ("peak_to_mean", 1.0, "peak to mean"),
            ("frame_dispersion", 1e-3, "dispersion, kbit"),
            ("vbv_bits", 1e-3, "bucket, kbit"),
            ("vbv_seconds", 1.0, "bucket, s"),
            ("startup_s", 1.0, "start-up, s"),
        ),
    ),
    (
        "decoding, on the machine that measured",
        (
            ("decode_cpu_s", 1e3, "CPU, ms/frame"),
            ("decode_latency_p95_s", 1e3, "p95, ms"),
            ("decode_jitter_s", 1e3, "jitter, ms"),
            ("decode_peak_rss_bytes", 1e-6, "memory, MB"),
        ),
    ),
)
"""Tables: figures with what they are multiplied by, and the column's title."""

_UNKNOWN = "–"
_MOST_NAMED = 6


def profile(
    results: Annotated[
        list[str],
        typer.Argument(
            metavar="RESULTS",
            help="A run, a store (its latest run) or an address of either, as `evalsuite report` takes them.",
            show_default=False,
        ),
    ],
    target: Annotated[
        list[str],
        typer.Option(
            metavar="METRIC=VALUE",
            help="The quality that is good enough, such as vmaf=80, lpips=0.3 or profile:conferencing=60; of several "
            "all must be reached.",
            show_default=False,
        ),
    ],
    tag: Annotated[
        list[str] | None,
        typer.Option(
            help="Content: sequences of this tag or trait; may be repeated. Default: all sequences together (`*`); "
            "with --json also each tag.",
            show_default=False,
        ),
    ] = None,
    codec: Annotated[
        list[str] | None, typer.Option(help="Only this codec; may be repeated.", show_default=False)
    ] = None,
    device: Annotated[
        list[str] | None,
        typer.Option(
            help="Say what it can play in real time: phone, laptop, desktop, one of ./devices, or a TOML file; may be "
            "repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """What a target quality costs each codec in bits, tokens, buffers and decoding, for each kind of content.

    Of each sequence the cheapest measured point that reaches the target counts.

    Example: evalsuite plan profile results --target vmaf=80 --tag faces --device phone
    """
    from evalsuite.cli.output import print_json
    from evalsuite.planning.audience import ANY
    from evalsuite.planning.devices import load_device
    from evalsuite.planning.points import rate_points
    from evalsuite.planning.profile import all_tags
    from evalsuite.planning.profile import profile as make
    from evalsuite.planning.profilesaid import document
    from evalsuite.planning.reach import parse_target
    from evalsuite.results.history import open_run

    targets = [parse_target(one) for one in target]
    devices = [load_device(one) for one in dict.fromkeys(device or ())]
    points = rate_points([open_run(one) for one in results])
    tags = tag or ([] if as_json else [ANY])
    found = make(points, targets, tags=tags, codecs=codec or (), devices=devices)
    if as_json:
        print_json(document(found))
        return
    _print(found)
    others = [one for one in all_tags(points) if one not in tags]
    if others:
        echo_folded(f"Other content (--tag): {', '.join(others)}")


def _print(found: Profile) -> None:
    from evalsuite.planning.profilesaid import sentence

    tokens = ("sent_token_rate", "token_rate")
    said = [
        sentence(found, row)
        for row in found.rows
        if not row.reached or any(row.figures[name].mean is not None for name in tokens)
    ]
    for line in said:
        echo_folded(line)
    if said:
        typer.echo()
    shown = [row for row in found.rows if row.reached]
    _print_figures("bitrate", (), shown, _rates)
    for title, columns in _GROUPS:
        _print_figures(title, columns, shown)
    _print_devices(found.rows)
    for note in _notes(found):
        echo_folded(note, "- ")


def _rates(row: Row) -> dict[str, str]:
    exactly = {}
    if row.at_target:
        amount = row.at_target["kbps"]
        # The mean of some of the sequences would stand beside that of all.
        exactly["kbps at target"] = _UNKNOWN if amount.reason else _cell(amount)
    reached = {"reached": f"{len(row.reached)} of {row.sequences}"}
    return reached | {name: _cell(row.figures[name]) for name in ("kbps", "bpp")} | exactly


def _print_figures(
    title: str,
    columns: Sequence[tuple[str, float, str]],
    rows: Sequence[Row],
    cells: Callable[[Row], dict[str, str]] | None = None,
) -> None:
    """A table of figures; nothing where none of them is known of any row."""
    from evalsuite.cli.output import print_table

    def made(row: Row) -> dict[str, str]:
        return {column: _cell(row.figures[name], scale) for name, scale, column in columns}

    found = [(row, (cells or made)(row)) for row in rows]
    found = [(row, own) for row, own in found if any(cell != _UNKNOWN for cell in own.values())]
    if found:
        heads = list(found[0][1])
        shown = ((*_place(row, rows), *own.values()) for row, own in found)
        print_table(title, (*_place_heads(rows), *heads), shown, numbers=len(heads))


def _print_devices(rows: Sequence[Row]) -> None:
    from evalsuite.cli.output import print_table

    shown = [(row, playing) for row in rows for playing in row.devices if playing.all]
    if shown:
        print_table(
            "rate points that play in real time, by what is assumed of the device",
            ("device", *_place_heads(rows), "at target", "all points", "else, for one"),
            (
                (playing.device.name, *_place(row, rows), _share(playing.operating), _share(playing.all), _why(playing))
                for row, playing in shown
            ),
        )


def _place(row: Row, rows: Sequence[Row]) -> tuple[str, ...]:
    """Codec, and tag where there are several."""
    return (row.codec, row.tag)[: len(_place_heads(rows))]


def _place_heads(rows: Sequence[Row]) -> tuple[str, ...]:
    return ("codec", "tag") if len({row.tag for row in rows}) > 1 else ("codec",)


def _cell(amount: Amount, scale: float = 1.0) -> str:
    """The mean, and its interval in a second line."""
    from evalsuite.planning.said import number

    if amount.mean is None:
        return _UNKNOWN
    mean = number(amount.mean * scale)
    if amount.interval is None:
        return mean
    low, high = (number(one * scale, 3) for one in amount.interval)
    return f"{mean}\n{low}–{high}"


def _share(judged: Sequence[Judged]) -> str:
    """How many play, and of how many nobody can tell."""
    from evalsuite.planning.profilesaid import counts

    if not judged:
        return _UNKNOWN
    found = counts(judged)
    unknown = f", {found['unknown']} unknown" if found["unknown"] else ""
    return f"{found['yes']} of {len(judged)}{unknown}"


def _why(playing: Playing) -> str:
    """Of one point that does not play, or may not, the reason: of an operating point where there is one."""
    one = next((one for one in (*playing.operating, *playing.all) if not one.verdict.playable), None)
    return "" if one is None else f"{one.point.sequence}, q {one.point.q:g}: {one.verdict.reason}"


def _notes(found: Profile) -> Iterator[str]:
    """What a reader of the tables must know."""
    from evalsuite.results.stats import MIN_SEQUENCES

    for label, codecs in _labels(found).items():
        yield f"{', '.join(codecs)}: {label}"
    for row in found.rows:
        kind = f"{row.codec}, {row.tag}" if len({one.tag for one in found.rows}) > 1 else row.codec
        lacking = [*map(_missed, row.missed), *(f"{name} (not run)" for name in row.not_run)]
        if lacking and row.reached:
            more = f" and {len(lacking) - _MOST_NAMED} more" if len(lacking) > _MOST_NAMED else ""
            yield f"{kind}: not in the means: {', '.join(lacking[:_MOST_NAMED])}{more}"
    for tag in found.unlike:
        where = "" if tag == "*" else f" of {tag!r}"
        yield f"codecs reach the target on different sequences{where}: their means are not of the same content"
    if any(0 < len(row.reached) < MIN_SEQUENCES for row in found.rows):
        yield f"no intervals of fewer than {MIN_SEQUENCES} sequences"
    if any(row.devices for row in found.rows):
        yield "the time of a frame has its share of the decoder's start in it: run long sequences to tell the two apart"
    yield from _unknown(found)


def _labels(found: Profile) -> dict[str, list[str]]:
    """Codecs whose rates are no file's, by what they are."""
    labels: dict[str, dict[str, None]] = {}
    for row in found.rows:
        labels.setdefault(row.label, {})[row.codec] = None
    return {label: list(codecs) for label, codecs in labels.items() if label}


def _unknown(found: Profile) -> Iterator[str]:
    """Why figures are not known, codecs with the same gaps in one line."""
    gaps: dict[tuple[str, tuple[str, ...]], dict[str, None]] = {}
    for row in (row for row in found.rows if row.reached):
        reasons: dict[str, list[str]] = {}
        for name, amount in row.figures.items():
            if amount.reason:
                reasons.setdefault(amount.reason, []).append(name)
        for reason, names in reasons.items():
            gaps.setdefault((reason, tuple(names)), {})[row.codec] = None
    yield from (f"{', '.join(names)} of {', '.join(codecs)}: {reason}" for (reason, names), codecs in gaps.items())


def _missed(one: Missed) -> str:
    if one.apart:
        return f"{one.sequence} ({one.reason})"
    return f"{one.sequence} ({'not measured' if one.best is None else f'best {one.best:.4g}'})"
