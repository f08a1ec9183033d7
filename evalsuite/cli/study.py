"""`evalsuite study`: making studies with people, and what their votes tell of metrics."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evalsuite.cli.output import console, echo, print_json, print_table, say
from evalsuite.errors import RequestError

if TYPE_CHECKING:
    from evalsuite.study.analysis import Analysis
    from evalsuite.study.intervals import Interval
    from evalsuite.study.opinion import Opinions
    from evalsuite.study.pairwise import Comparison
    from evalsuite.study.validation import Validity

app = typer.Typer(
    no_args_is_help=True,
    help="Ask people: make a study, and learn from votes which metric to trust.",
    epilog="Example: evalsuite study make results --out study",
)


@app.command("make")
def make(
    run: Path = typer.Argument(..., metavar="RUN", help="Folder that `evalsuite run --out` wrote.", show_default=False),
    out: Path = typer.Option(..., help="Folder of the study: a new one.", show_default=False),
    method: str = typer.Option(
        "pairwise", help="pairwise, or dcr: each against its source, on five grades (ITU-T P.910)."
    ),
    codecs: str = typer.Option("", help="Codecs to show, separated by commas. Default: all."),
    sequences: str = typer.Option("", help="Sequences to show, separated by commas. Default: all."),
    targets: str = typer.Option("", help="Rates to show in bits per pixel, such as 0.01,0.02. Default: all."),
    link_rates: bool = typer.Option(
        False, "--link-rates", help="Compare each codec with itself at the next rate too: one scale for a sequence."
    ),
    ties: bool = typer.Option(False, "--ties", help="Let subjects see no difference. Default: one must be chosen."),
    training: int = typer.Option(1, min=0, max=20, help="Trials before those that count."),
    near_lossless: bool = typer.Option(
        False, "--near-lossless", help="Clips in H.264: for sequences too large to be played smoothly without any loss."
    ),
    seed: int = typer.Option(1, min=0, help="Of each subject's order."),
    title: str = typer.Option(
        "Video quality study", help="Heading of the page; it may not name a codec that is shown."
    ),
    store: Path = typer.Option(None, help="Results store of the run. Default: in the user's cache folder."),
    timeout: float = typer.Option(3600.0, min=0.1, max=1e7, help="Seconds one frame, or one clip, may take."),
    json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Make a blind study of a run's decoded sequences, at matched bitrates: a page that opens from disk.

    Hand out DIR/page; keep DIR/key.json, which tells what the blind names stand for.

    Example: evalsuite study make results --out study --method pairwise
    """
    from dataclasses import asdict

    from evalsuite.assets import cache_dir
    from evalsuite.results.load import read_run
    from evalsuite.study.page import Settings, make_study
    from evalsuite.study.plan import METHODS, make_plan
    from evalsuite.viewing.material import opened

    if method not in METHODS:
        raise RequestError(f"--method cannot be {method!r}", expected=" or ".join(METHODS))
    for option, is_given in (("--ties", ties), ("--link-rates", link_rates)):
        if is_given and method != "pairwise":
            raise RequestError(f"{option} is of --method pairwise", got=f"--method {method}", fix="leave it out")
    results = read_run(run)
    plan = make_plan(
        results,
        method,
        codecs=_split(codecs),
        sequences=_split(sequences),
        targets=_numbers("--targets", targets),
        link_rates=link_rates,
    )
    settings = Settings(title=title, seed=seed, ties=ties, training=training, near_lossless=near_lossless)
    with opened(results, store or cache_dir() / "store", timeout) as material:
        made = make_study(plan, material, out, settings, say)
    if json:
        left_out = [asdict(one) for one in plan.left_out]
        facts = {**asdict(made), "page": str(made.page), "key": str(made.key)}
        print_json({"schema": 1, **facts, "shown": len(plan.shown), "left_out": left_out})
        return
    if plan.left_out:
        print_table(
            "Not shown",
            ("codec", "sequence", "bpp", "why"),
            ((one.codec, one.sequence, _figure(one.bpp, ".4g"), one.reason) for one in plan.left_out),
        )
    same = "the same to the bit" if math.isinf(made.psnr_y) else f"{made.psnr_y:.1f} dB or more"
    echo(f"{made.trials} trials, about {max(1, round(made.minutes))} min a subject")
    echo(f"{made.bytes / 1e6:.1f} MB of clips; luma against the decoded frames: {same}")
    echo(f"hand out: {made.page.parent}")
    echo(f"keep: {made.key}")


@app.command("analyse")
def analyse_(
    scores: list[Path] = typer.Argument(
        ..., metavar="SCORES...", help="CSV files of votes, as the page downloads them.", show_default=False
    ),
    key: Path = typer.Option(None, help="key.json of the study, where the votes have blind names."),
    run: Path = typer.Option(None, help="Folder of the run that the study was made from: judges its metrics."),
    model: str = typer.Option(
        None, help="Of ratings: p910, p913, bt500 or mos, after the standards; mos for small studies. Default: p910."
    ),
    metrics: str = typer.Option("", help="Metrics to judge, separated by commas. Default: all of the run."),
    scale: str = typer.Option(None, help="Of ratings: lowest and highest there may be. Default: 1,5."),
    prior: float = typer.Option(
        0.0, help="Of comparisons: votes added to each side of each compared pair. Default: none, maximum likelihood."
    ),
    seed: int = typer.Option(2001, min=0, help="Of the resamples that intervals come from."),
    json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Scores with intervals from people's votes, and how well the metrics of a run agree with them.

    Votes are ratings (a matrix as sureal has it, or a table with subject, stimulus and score) or comparisons (subject,
    sequence, a, b, choice).

    Example: evalsuite study analyse votes-*.csv --key study/key.json --run results
    """
    from evalsuite.results.load import read_run
    from evalsuite.study.analysis import analyse, as_json
    from evalsuite.study.opinion import MODELS
    from evalsuite.study.stimuli import read_key

    if model is not None and model not in MODELS:
        raise RequestError(f"--model cannot be {model!r}", expected=", ".join(MODELS))
    found = analyse(
        scores,
        key=read_key(key) if key else None,
        run=read_run(run) if run else None,
        model=model,
        metrics=_split(metrics),
        scale=None if scale is None else _scale(scale),
        prior=prior,
        seed=seed,
    )
    if json:
        print_json(as_json(found))
        return
    if found.opinions is not None:
        _print_opinions(found.opinions)
    for one in found.comparisons:
        _print_comparison(one)
    _print_metrics(found)
    chosen, of = found.first_chosen
    if of:
        echo(f"the one shown first was chosen in {chosen} of {of} votes")
    for remark in found.remarks:
        say(f"note: {remark}")


def _print_opinions(found: Opinions) -> None:
    from evalsuite.study.opinion import SOURCES

    console().print(f"{found.model}: {SOURCES[found.model]}")
    print_table(
        "Opinion scores",
        ("stimulus", "MOS", "± 95 %", "votes"),
        ((one.stimulus.label, f"{one.mos:.3f}", _figure(one.ci95, ".3f"), str(one.votes)) for one in found.opinions),
        numbers=3,
    )
    print_table(
        "Subjects: correlation is with the mean of all",
        ("subject", "remarks", "votes", "bias", "inconsistency", "correlation"),
        (
            (
                *(one.name, "; ".join(one.remarks), str(one.votes)),
                *(_figure(one.bias, "+.2f"), _figure(one.inconsistency, ".2f"), _figure(one.correlation, ".2f")),
            )
            for one in found.subjects
        ),
        numbers=4,
    )


def _print_comparison(one: Comparison) -> None:
    title = f"{one.label}: {one.comparisons} votes of {one.subjects} subjects, {one.ties} ties as half a vote each"
    scores = one.scores
    if scores is None:
        echo(f"{title}\n  refused: {one.reason}\n")
        return
    print_table(
        title + (f"; {one.reason}" if one.reason else ""),
        ("stimulus", "votes won", "Bradley-Terry", "95 % interval"),
        (
            (
                one.items[place].label,
                f"{one.wins[place].sum():g} of {one.wins[place].sum() + one.wins[:, place].sum():g}",
                f"{scores[place]:+.2f}",
                "n/a" if one.intervals is None else "{:+.2f} .. {:+.2f}".format(*one.intervals[place]),
            )
            for place in scores.argsort()[::-1]
        ),
        numbers=3,
    )


def _print_metrics(found: Analysis) -> None:
    if not found.metrics:
        return
    sizes = {(one.stimuli, one.contents) for one in found.metrics}
    most, contents = max(sizes)
    print_table(
        f"Metrics against people on {most} stimuli of {contents} contents, with 95 % intervals over contents;"
        " PLCC and RMSE after a logistic fit",
        ("metric", "as best", "n", "SROCC", "PLCC", "RMSE"),
        (
            (
                f"{one.metric} {'↑' if one.higher_is_better else '↓'}",
                {True: "yes", False: "no", None: "n/a"}[one.level_with_best],
                str(one.stimuli),
                _with_interval(one.srocc, one.srocc_ci),
                _with_interval(one.plcc, one.plcc_ci),
                _with_interval(one.rmse, one.rmse_ci),
            )
            for one in found.metrics
        ),
        numbers=4,
    )
    _say_reasons(found.metrics)
    level = found.as_good_as_best
    if level:
        told = "the data tell it from all others" if len(level) == 1 else "the data do not tell them apart"
        console().print(f"agrees best with people: {', '.join(level)} ({told})")


def _say_reasons(metrics: Iterable[Validity]) -> None:
    alike: dict[str, list[str]] = {}
    for one in metrics:
        for reason in one.reasons:
            alike.setdefault(reason, []).append(one.metric)
    for reason, names in alike.items():
        say(f"{', '.join(names)}: {reason}")


def _with_interval(value: float | None, interval: Interval) -> str:
    if value is None:
        return "n/a"
    return f"{value:.2f}" if interval is None else f"{value:.2f} {interval[0]:.2f}–{interval[1]:.2f}"


def _figure(value: float | None, format: str) -> str:
    return "n/a" if value is None else f"{value:{format}}"


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _scale(text: str) -> tuple[float, float]:
    limits = _numbers("--scale", text)
    if len(limits) != 2 or not limits[0] < limits[1]:
        raise RequestError("--scale is the lowest and the highest rating", expected="such as 1,5", got=text)
    return limits[0], limits[1]


def _numbers(option: str, text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in _split(text))
    except ValueError:
        raise RequestError(f"{option} takes numbers separated by commas", expected="such as 1,5", got=text) from None
