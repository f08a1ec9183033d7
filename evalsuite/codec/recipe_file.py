"""The recipe file: parsed and checked field by field, each error naming the file, the field, expected and got."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from evalsuite.codec import recipe_fields as parse
from evalsuite.codec.bitstream import Container, Standard
from evalsuite.codec.channel import Transport
from evalsuite.codec.command import (
    DECODE_PLACEHOLDERS,
    ENCODE_PLACEHOLDERS,
    INFO_PLACEHOLDERS,
    PROGRAMS,
    RECEIVE_PLACEHOLDERS,
    VERSION_PLACEHOLDERS,
    Command,
    placeholders,
    settle,
)
from evalsuite.codec.inherit import with_base
from evalsuite.codec.part import Split
from evalsuite.codec.plugin import BUILT_IN
from evalsuite.codec.python_recipe import with_commands
from evalsuite.codec.receiver import DECODERS
from evalsuite.codec.recipe import Recipe
from evalsuite.codec.variants import SEPARATOR, with_variants
from evalsuite.errors import RecipeError, did_you_mean
from evalsuite.sources import fields
from evalsuite.sources.fields import Table

_STANDARDS: dict[str, Standard] = {
    "h264": "h264",
    "hevc": "hevc",
    "vvc": "vvc",
    "av1": "av1",
    "vp9": "vp9",
    "": "",
}
_CONTAINERS: dict[str, Container] = {"annexb": "annexb", "obu": "obu", "ivf": "ivf", "none": "none"}
_FRAMES: dict[str, Literal["y4m", "raw"]] = {"y4m": "y4m", "raw": "raw"}
_DEPTHS = (8, 10)
_RATE_CONTROLS = {name: name for name in ("crf", "qp", "other")}

_USUAL_CHECK_PSNR_Y = 30.0

_name = fields.pattern(r"[a-z0-9][a-z0-9._-]{0,39}", "at most 40 of a-z, 0-9, '.', '_' and '-'")
_extension = fields.pattern(r"[a-z0-9]{1,8}", "1 to 8 of a-z and 0-9, without the dot")
_device = fields.pattern(r"[a-z]{1,16}(:\d{1,3})?", "cpu, cuda, cuda:1 or another device that PyTorch knows")
_program = fields.pattern(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}", "the name of a program, without a folder")


def parse_recipe(data: dict[str, Any], path: Path, variants: tuple[str, ...] = ()) -> Recipe:
    """The recipe that a parsed TOML file describes, with the named variants.

    Raises:
        RecipeError: a field is missing, unknown, or not what it should be; so is the recipe that it builds on.
        RequestError: a variant that it does not have.
    """
    based, folders = with_base(data, path)
    merged, chosen = with_variants(based, path, variants)
    if "python" in merged:
        merged = with_commands(merged, path)
    top = Table(merged, str(path), taken=("base", "variants"))
    settings = top.get("settings", parse.settings, {})

    def command(value: object) -> Command:
        return settle(parse.command(value), settings)

    def transport(value: object) -> Transport:
        found = parse.transport(Table(fields.table(value), f"{path}, [transport]"))
        return replace(found, decode=settle(found.decode, settings))

    def first_pass(value: object) -> Command:
        # A variant of two passes may take one.
        return () if value == [] else command(value)

    container = top.take("container", fields.choice(_CONTAINERS))
    none: Standard = ""
    standard = top.get("standard", fields.choice(_STANDARDS), none)
    name = top.take("name", _name)
    _check_name(name, path)
    recipe = Recipe(
        name=SEPARATOR.join((name, *chosen)),
        path=path,
        folders=folders,
        description=top.take("description", fields.text),
        standard=standard,
        container=container,
        extension=top.take("extension", _extension),
        formats=top.take("formats", parse.formats),
        size_multiple=top.get("size_multiple", parse.size, 1),
        size_min=top.get("size_min", parse.size, 1),
        source=top.get("source", fields.choice(_FRAMES), "y4m"),
        coded_bit_depth=top.get("coded_bit_depth", parse.one_of(*_DEPTHS), None),
        python=top.get("python", fields.text, ""),
        device=top.get("device", _device, ""),
        binary=top.take("binary", _program),
        decoder_binary=top.get("decoder_binary", _program, ""),
        home=top.get("home", _name, ""),
        obtain=top.get("obtain", fields.text, ""),
        files=top.get("files", parse.files, {}),
        settings=settings,
        licence=top.get("licence", fields.text, ""),
        preset=top.take("preset", fields.text),
        structure=top.take("structure", fields.text),
        rate_control=top.take("rate_control", fields.choice(_RATE_CONTROLS)),
        internal_bit_depth=top.take("internal_bit_depth", fields.count(8)),
        lookahead=top.get("lookahead", fields.count(0), None),
        delay=top.get("delay", fields.count(0), None),
        notes=top.get("notes", fields.text, "").strip(),
        trained_on=top.get("trained_on", parse.trained_on, ()),
        first_pass=top.get("first_pass", first_pass, ()),
        encode=top.take("encode", command),
        decode=top.get("decode", command, ()),
        decoded=top.get("decoded", fields.choice(_FRAMES), "raw"),
        decode_errors=top.get("decode_errors", parse.expression, ""),
        log_bytes=top.get("log_bytes", parse.group, ""),
        log_psnr_y=top.get("log_psnr_y", parse.group, ""),
        version_command=top.take("version", command),
        version_pattern=top.take("version_pattern", parse.group),
        info=top.get("info", command, ()),
        check_psnr_y=top.get("check_psnr_y", parse.check_psnr_y, _USUAL_CHECK_PSNR_Y),
        scale=top.get("scale", lambda found: parse.scale(Table(fields.table(found), f"{path}, [scale]")), None),
        knob=parse.knob(Table(top.take("q", fields.table), f"{path}, [q]")),
        intra_periods=parse.intra_periods(Table(top.take("intra_period", fields.table), f"{path}, [intra_period]")),
        split=top.get("split", lambda found: parse.split(Table(fields.table(found), f"{path}, [split]")), None),
        transport=top.get("transport", transport, None),
    )
    top.finish()
    _check(recipe)
    return recipe


def _check_name(name: str, path: Path) -> None:
    if name != path.stem:
        raise RecipeError(
            "the recipe's name is not that of its file",
            where=path,
            expected=f'name = "{path.stem}"',
            got=name,
            fix="rename one of them",
        )


def _check(recipe: Recipe) -> None:
    """What no field can tell alone."""
    where, files = recipe.path, set(recipe.files)
    if taken := files & {*ENCODE_PLACEHOLDERS, *DECODE_PLACEHOLDERS}:
        raise RecipeError(
            "a file has the name of a placeholder", where=where, got=", ".join(taken), fix="choose another name"
        )
    if recipe.container in ("annexb", "obu") and not recipe.standard:
        raise RecipeError(
            "the field `standard` is missing", where=where, expected=" or ".join(filter(None, _STANDARDS))
        )
    if recipe.split is not None:
        _check_split(recipe, recipe.split)
    if recipe.python:
        if recipe.python in BUILT_IN and (others := set(recipe.formats) - {"yuv420p", "yuv420p10le"}):
            raise RecipeError(
                f'`python = "{recipe.python}"` codes 4:2:0 alone',
                where=where,
                expected="yuv420p, yuv420p10le",
                got=", ".join(sorted(others)),
            )
        if recipe.transport is not None:
            _check_transport(recipe, recipe.transport)
        return
    if not recipe.decode and recipe.rate_source == "file":
        raise RecipeError(
            "the field `decode` is missing",
            where=where,
            fix="only a codec whose rate is an {estimate} may have none: then its {output} are the decoded frames",
        )
    stats = {"stats"} if recipe.first_pass else set()
    known_for_encode = {name for name in ENCODE_PLACEHOLDERS if name != "stats" or recipe.first_pass} | files
    if recipe.first_pass:
        _check_command("first_pass", recipe.first_pass, known_for_encode - {"output"}, {"input", "stats"}, where)
    _check_command("encode", recipe.encode, known_for_encode, {"input", "output"} | stats, where)
    if recipe.knob.smallest < recipe.knob.largest and not {"q", "q_floor"} & placeholders(recipe.encode):
        raise RecipeError("the field `encode` lacks the placeholder {q}", where=where, expected="{q} or {q_floor}")
    if recipe.decode:
        _check_command("decode", recipe.decode, {*DECODE_PLACEHOLDERS, *files}, {"input"}, where)
    if recipe.transport is not None:
        _check_transport(recipe, recipe.transport)
    if recipe.info:
        _check_command("info", recipe.info, {*INFO_PLACEHOLDERS, *files}, {"input"}, where)
    _check_command("version", recipe.version_command, {*VERSION_PLACEHOLDERS, *files}, set(), where)


def _check_split(recipe: Recipe, split: Split) -> None:
    if recipe.container not in ("annexb", "obu"):
        raise RecipeError(
            f"streams in the container {recipe.container} cannot be joined",
            where=f"{recipe.path}, [split]",
            expected='`container = "annexb"` or `container = "obu"`',
            fix='take [split] out, or say `at = "none"`',
        )
    if split.poc_bits and recipe.standard != "vvc":
        raise RecipeError(
            "the field `poc_bits` is for H.266 alone",
            where=f"{recipe.path}, [split]",
            expected='`standard = "vvc"`',
            got=recipe.standard,
            fix="take it out",
        )


def _check_transport(recipe: Recipe, transport: Transport) -> None:
    where, own = recipe.path, recipe.container == "none"
    if transport.decode:
        _check_command("decode", transport.decode, {*RECEIVE_PLACEHOLDERS, *recipe.files}, {"input", "lost"}, where)
    # A class cannot tell what its bitstream is made of, nor decode a part of it.
    told = transport.decode and transport.classes and recipe.info and not recipe.python
    fits = told if own else recipe.standard in DECODERS
    if not fits or (not own and transport != Transport(())):
        raise RecipeError(
            "the table [transport] does not fit the codec",
            where=where,
            expected=f"nothing in it for {', '.join(DECODERS)}; `decode`, `classes` and `info` for a format of its own",
        )


def _check_command(field: str, command: Command, known: Iterable[str], needed: set[str], where: Path) -> None:
    known = sorted(known)
    shown = ", ".join(f"{{{name}}}" for name in known)
    used = placeholders(command)
    for name in sorted(used - set(known)):
        raise RecipeError(
            f"the field `{field}` has an unknown placeholder {{{name}}}",
            where=where,
            expected=shown,
            got=f"{{{name}}}",
            fix=did_you_mean(name, known),
        )
    for name in sorted(needed - used):
        raise RecipeError(f"the field `{field}` lacks the placeholder {{{name}}}", where=where, expected=shown)
    programs = [f"{{{name}}}" for name in PROGRAMS if name in known]
    if command[0] not in programs:
        raise RecipeError(
            f"the field `{field}` does not begin with a program",
            where=where,
            expected=" or ".join(programs),
            got=command[0],
            fix="name the program in `binary` and begin the command with {binary}",
        )
