"""`evalsuite codecs`: which codecs there are, how each is run, and whether it works here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from evalsuite.cli.exitcodes import WRONG_REQUEST
from evalsuite.cli.output import console, echo, echo_folded, print_json, print_table, say

if TYPE_CHECKING:
    from evalsuite.codec.recipe import Recipe
    from evalsuite.errors import EvalError

app = typer.Typer(
    no_args_is_help=True, help="List, explain and check codecs.", epilog="Example: evalsuite codecs check x265 vvenc"
)


@app.command("list")
def list_codecs(json: bool = typer.Option(False, "--json", help="Print a JSON list.")) -> None:
    """List every codec, and what is missing where it cannot run.

    Example: evalsuite codecs list
    """
    from evalsuite.codec.recipe import available, load_recipe
    from evalsuite.errors import EvalError

    found: list[dict[str, Any]] = []
    for name in available():
        try:
            recipe = load_recipe(name)
        except EvalError as error:
            found.append({"name": name, "available": False, "needs": _needs(error), "version": ""})
            continue
        found.append({"name": name, **_availability(recipe), **_facts(recipe)})
    if json:
        print_json(found)
        return
    print_table(
        "",
        ("codec", "standard", "version", "preset", "q", "needs"),
        (
            (
                row["name"],
                row.get("standard", ""),
                row["version"],
                row.get("preset", ""),
                f"{row['q']['min']:g}–{row['q']['max']:g}" if "q" in row else "",
                _briefly(row["needs"]) or "nothing more",
            )
            for row in found
        ),
    )
    say("What one needs in full: evalsuite codecs check NAME")
    say("Variants such as x265:fast:10bit: evalsuite codecs show NAME")


@app.command("show")
def show_codec(
    name: str = typer.Argument(..., help="Name of the codec, or the path of its recipe; variants behind it."),
    json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Show a codec's recipe, with the full command lines it runs, or the class where it is written in Python.

    What differs from one encode to the next stays a placeholder: {input}, {output}, {q}, {intra_period}, {threads}.
    Variants are chosen behind the name, as in x265:lowdelay:10bit.

    Example: evalsuite codecs show x265
    """
    from evalsuite.codec.recipe import load_recipe
    from evalsuite.process import show

    recipe = load_recipe(name)
    availability = _availability(recipe)
    commands = {
        field: recipe.fill_programs(command)
        for field, command in (
            ("first_pass", recipe.first_pass),
            ("encode", recipe.encode),
            ("decode", recipe.decode),
            ("info", recipe.info),
            ("version", recipe.version_command),
        )
        # In their place, a codec in Python has words that are part of its identity and that nothing runs.
        if command and not recipe.python
    }
    if json:
        listed = {field: list(command) for field, command in commands.items()}
        print_json(
            {
                "schema": 1,
                "name": recipe.name,
                **availability,
                **_facts(recipe),
                "variants": _variants(name),
                "commands": listed,
                "class": _class(recipe),
            }
        )
        return
    knob, intra = recipe.knob, recipe.intra_periods
    periods = f"from {intra.min}" + (f", multiples of {intra.multiple}" if intra.multiple > 1 else "")
    lines = {
        "what": recipe.description,
        "version": availability["version"] or "unknown",
        "needs": availability["needs"] or "nothing more",
        "takes": ", ".join(recipe.formats),
        "preset": recipe.preset,
        "structure": recipe.structure,
        "q": f"{recipe.rate_control}, {knob.smallest:g} to {knob.largest:g} in steps of {knob.step:g}; lower is better",
        "ladder": ", ".join(f"{q:g}" for q in knob.ladder),
        "intra every": f"{periods}; -1 for the first frame only",
        "coded at": _scaling(recipe),
        "coded in": f"{recipe.internal_bit_depth} bit; sizes padded to multiples of {recipe.size_multiple}",
        "encoded": _split(recipe),
        "delay": "not stated" if recipe.delay is None else f"{recipe.delay} frames",
        "stream": f"{recipe.container}, .{recipe.extension}",
        "licence": recipe.licence or "not stated",
        "notes": " ".join(recipe.notes.split()),
    }
    echo(recipe.name)
    echo(f"  {'recipe:':<13}{_file(recipe) or 'the class has it'}")
    for label, text in lines.items():
        echo_folded(text, f"  {label + ':':<13}")
    if recipe.python:
        echo(f"\nruns in a host process: {_class(recipe)}")
    for field, command in commands.items():
        echo(f"\n{field}:\n  {show(command)}")
    if variants := _variants(name):
        echo("\nvariants:")
        for variant, description in variants.items():
            echo_folded(description, f"  {variant + ':':<13}")


@app.command("check")
def check_codecs(
    names: list[str] = typer.Argument(..., help="Names of codecs, paths of recipes, or `all`."),
    variants: bool = typer.Option(False, "--variants", help="Check each variant of these codecs too."),
    json: bool = typer.Option(False, "--json", help="Print one JSON document."),
) -> None:
    """Encode and decode a few made-up frames with each codec; exit code 2 if one does not work.

    With `all`, a codec whose programs are not on this machine is told of, and is no failure.

    Example: evalsuite codecs check x265 vvenc
    """
    from evalsuite.codec.check import check_codec
    from evalsuite.codec.recipe import available, load_recipe
    from evalsuite.errors import EvalError, RecipeError

    everything = names == ["all"]
    wanted = available() if everything else names
    if variants:
        wanted = [one for name in wanted for one in _with_each_variant(name)]
    rows: list[dict[str, Any]] = []
    for name in wanted:
        status = "missing"
        try:
            recipe = load_recipe(name)
            recipe.check_available()
            status = "failed"
            checked = check_codec(recipe)
        except EvalError as error:
            say(f"{name}: {error}")
            # A recipe that cannot be read is wrong on every machine.
            status = "failed" if isinstance(error, RecipeError) else status
            rows.append({"name": name, "status": status, "needs": _needs(error)})
            continue
        notes = [*(f"the stream holds {extra}" for extra in checked.extras)]
        if not checked.deterministic:
            notes.append("two encodes gave different bytes")
        rows.append(
            {
                "name": recipe.name,
                "status": "ok",
                "needs": "",
                "version": recipe.version(),
                "bytes": checked.bytes,
                "psnr_y": checked.psnr_y,
                "encode_cpu_s": checked.encode_usage.cpu_s,
                "decode_cpu_s": checked.decode_usage.cpu_s,
                "notes": notes,
            }
        )
    wrong = {"failed"} if everything else {"failed", "missing"}
    failed = [row["name"] for row in rows if row["status"] in wrong]
    if json:
        print_json({"schema": 1, "codecs": rows})
    else:
        _print_checks(rows)
    if failed:
        raise typer.Exit(WRONG_REQUEST)


def _print_checks(rows: list[dict[str, Any]]) -> None:
    print_table(
        "",
        ("codec", "status", "bytes", "PSNR-Y", "remarks"),
        (
            (
                row["name"],
                row["status"],
                str(row.get("bytes", "")),
                f"{row['psnr_y']:.1f} dB" if "psnr_y" in row else "",
                _briefly(row["needs"]) or "; ".join(row["notes"]),
            )
            for row in rows
        ),
    )
    working = sum(row["status"] == "ok" for row in rows)
    console(stderr=True).print(f"{working} of {len(rows)} {'works' if len(rows) == 1 else 'work'}")


def _variants(name: str) -> dict[str, str]:
    """What each variant of a codec is, by its name; no variants of a codec that is no recipe."""
    from evalsuite import resources
    from evalsuite.codec.inherit import with_base
    from evalsuite.codec.variants import declared, split_name
    from evalsuite.errors import EvalError

    try:
        path, data = resources.load("codecs", split_name(name)[0])
        found = declared(with_base(data, path)[0], path)
    except EvalError:
        return {}
    return {variant: fields["description"] for variant, fields in found.items()}


def _with_each_variant(name: str) -> list[str]:
    from evalsuite.codec.variants import SEPARATOR, split_name

    if split_name(name)[1]:
        return [name]
    return [name, *(f"{name}{SEPARATOR}{variant}" for variant in _variants(name))]


def _availability(recipe: Recipe) -> dict[str, Any]:
    from evalsuite.errors import EvalError

    try:
        recipe.check_available()
        return {"available": True, "needs": "", "version": recipe.version()}
    except EvalError as error:
        return {"available": False, "needs": _needs(error), "version": ""}


def _file(recipe: Recipe) -> str:
    """The recipe's file; empty where an installed class has its recipe itself."""
    return str(recipe.path) if recipe.path.is_file() else ""


def _class(recipe: Recipe) -> str:
    """The class of a codec written in Python, and the module or file that it is in; empty for command lines."""
    from evalsuite.codec.plugin import located
    from evalsuite.errors import RecipeError

    if not recipe.python:
        return ""
    try:
        module, _, name = located(recipe.python, *recipe.folders).rpartition(":")
    except RecipeError:  # not there: `needs` says so
        return recipe.python
    return f"{name} from {module}"


def _needs(error: EvalError) -> str:
    return f"{error.what}: {error.fix}" if error.fix else error.what


def _briefly(needs: str) -> str:
    """What is missing, without what to do about it: a table has no room for that."""
    return needs.partition(": ")[0]


def _scaling(recipe: Recipe) -> str:
    scale = recipe.scale
    if scale is None:
        return "full size"
    return f"1/{scale.divisor} of width and height; scaled down, and back after decoding, by {scale.filter}"


def _split(recipe: Recipe) -> str:
    return "whole sequences only" if recipe.split is None else "long sequences at intra frames; the stream is the same"


def _facts(recipe: Recipe) -> dict[str, Any]:
    knob, scale = recipe.knob, recipe.scale
    return {
        "description": recipe.description,
        "standard": recipe.standard,
        "preset": recipe.preset,
        "structure": recipe.structure,
        "rate_control": recipe.rate_control,
        "internal_bit_depth": recipe.internal_bit_depth,
        "lookahead": recipe.lookahead,
        "delay": recipe.delay,
        "split": "none" if recipe.split is None else "gop",
        "container": recipe.container,
        "formats": list(recipe.formats),
        "scale": None if scale is None else {"divisor": scale.divisor, "filter": scale.filter},
        "check_psnr_y": recipe.check_psnr_y,
        "q": {"min": knob.smallest, "max": knob.largest, "step": knob.step, "ladder": list(knob.ladder)},
        "recipe": _file(recipe),
        "licence": recipe.licence,
    }
