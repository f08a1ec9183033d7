"""`evalsuite gate`: whether a candidate is worse than a baseline, for people and for CI."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evalsuite.cli.exitcodes import CHECK_FAILED, UNDECIDED
from evalsuite.cli.output import echo

if TYPE_CHECKING:
    from evalsuite.results.gate.gate import GateResult


def gate(
    baseline: Annotated[
        str | None,
        typer.Option(help="Run, store (STORE@1: the run before its latest) or published results.", show_default=False),
    ] = None,
    candidate: Annotated[str | None, typer.Option(help="Likewise: what is judged.", show_default=False)] = None,
    config: Annotated[str, typer.Option(help="Rules: a TOML file, or the name of one.")] = "standard",
    codec: Annotated[
        str | None, typer.Option(help="The candidate's codec. Default: all that both sides have.", show_default=False)
    ] = None,
    baseline_codec: Annotated[
        str | None, typer.Option(help="The baseline's, where it has another name.", show_default=False)
    ] = None,
    undecided: Annotated[
        str | None,
        typer.Option(help="fail or pass: what to make of a rule that nothing decides.", show_default=False),
    ] = None,
    junit: Annotated[Path | None, typer.Option(help="Write JUnit XML here.", show_default=False)] = None,
    markdown: Annotated[
        Path | None, typer.Option(help="Write a comment for a pull request here.", show_default=False)
    ] = None,
    report: Annotated[
        Path | None, typer.Option(help="Write one report of both sides to this folder.", show_default=False)
    ] = None,
    report_url: Annotated[
        str | None, typer.Option(help="Where that report will be found; links go there.", show_default=False)
    ] = None,
    accept: Annotated[
        Path | None,
        typer.Option(help="Keep the candidate as a baseline in this folder, fit to commit.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Judge a candidate against a baseline by rules: pass, fail or undecided, with intervals and reasons.

    Exit code 0: pass. 1: a rule found a regression. 4: a rule is undecided, unless that may pass. 2: nothing to judge.

    Example: evalsuite gate --baseline results/main --candidate results/branch --markdown comment.md
    """
    from dataclasses import replace

    from evalsuite.cli.output import check_output, print_json, write_text
    from evalsuite.errors import RequestError
    from evalsuite.results.gate.gate import run_gate
    from evalsuite.results.gate.rules import load_gate
    from evalsuite.results.gate.write import as_json as to_json
    from evalsuite.results.gate.write import as_junit, as_markdown
    from evalsuite.results.history import accept_run, open_run
    from evalsuite.results.load import RESULT_FILES

    rules = load_gate(config)
    if undecided not in (None, "fail", "pass"):
        raise RequestError("--undecided is fail or pass", got=undecided)
    rules = replace(
        rules,
        codec=codec or rules.codec,
        baseline_codec=baseline_codec or rules.baseline_codec,
        may_pass_undecided=rules.may_pass_undecided if undecided is None else undecided == "pass",
    )
    before = open_run(_side("baseline", baseline, rules.baseline, rules.path))
    after = open_run(_side("candidate", candidate, rules.candidate, rules.path))
    read = (*(side.folder / name for side in (before, after) for name in RESULT_FILES), rules.path)
    for written in (junit, markdown):
        check_output(written, read)
    result = run_gate(rules, before, after)
    if report is not None:
        from evalsuite.report.build import build_report

        build_report([before, after], report)
    if junit is not None:
        write_text(junit, as_junit(result))
    if markdown is not None:
        # A comment is read elsewhere: a path of this machine would lead nowhere.
        write_text(markdown, as_markdown(result, report_url or ""))
    if accept is not None:
        accept_run(after, accept)
    # Last, because the place that it is printed to may be full.
    if as_json:
        print_json(to_json(result, report_url or (str(report) if report else "")))
    else:
        _print(result)
    if result.verdict == "fail":
        raise typer.Exit(CHECK_FAILED)
    if result.verdict == "undecided" and not rules.may_pass_undecided:
        raise typer.Exit(UNDECIDED)


def _side(name: str, given: str | None, named: str, config: Path) -> str:
    """The path of a side: as given, else as the file of rules names it, relative to that file."""
    from evalsuite import resources
    from evalsuite.errors import RequestError

    if given:
        return given
    if named:
        return str(config.parent / named)
    ships = config in resources.available("gates").values()
    own = "" if ships else f", or name it in {config} with `{name} = ...`"
    raise RequestError(f"there is no {name}", fix=f"give --{name}{own}")


def _print(result: GateResult) -> None:
    from evalsuite.cli.output import print_table, say
    from evalsuite.results.gate.explain import sentences
    from evalsuite.results.gate.write import SIGNS, interval, limit, number, reason

    for match in result.matches:
        named = "" if match.baseline_codec == match.codec else f" ({match.baseline_codec} in the baseline)"
        echo(f"{match.codec}{named}: {len(match.sequences)} sequences on both sides")
    print_table(
        "gate: positive is worse",
        ("", "rule", "value", "interval", "limit", "n"),
        (
            (
                f"{SIGNS[one.verdict]} {one.verdict}",
                result.title(one),
                number(one.value, one.unit, signed=one.rule.bound == "allowed"),
                interval(one),
                limit(one.rule, one.unit),
                str(one.sequences or ""),
            )
            for one in result.judgements
        ),
        numbers=4,
    )
    for judgement, explanations in zip(result.judgements, result.explanations, strict=True):
        if judgement.verdict == "pass":
            continue
        _echo(f"{SIGNS[judgement.verdict]} {result.title(judgement)}: {reason(judgement)}", 0)
        for one in explanations[:1]:
            _echo(f"{one.sequence}: {number(one.value, judgement.unit)}", 4)
            for sentence in sentences(one):
                _echo(sentence, 8)
        others = [f"{one.sequence} {number(one.value, judgement.unit)}" for one in explanations[1:]]
        if others:
            _echo(f"then {', '.join(others)}", 4)
    for line in result.missing:
        say(f"not compared: {line}")
    echo(f"verdict: {SIGNS[result.verdict]} {result.verdict}")


def _echo(text: str, indent: int) -> None:
    """Print a line, folded at 80 columns."""
    shown = textwrap.fill(text, 80, initial_indent=" " * indent, subsequent_indent=" " * (indent + 2))
    echo(shown)
