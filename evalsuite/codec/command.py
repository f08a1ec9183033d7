"""Commands of a recipe: argument lists with placeholders such as `{input}`, and what stands for each of them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

Command = tuple[str, ...]
"""An argument list; in a recipe with placeholders such as `{input}`."""

PROGRAMS = ("ffmpeg", "binary", "decoder_binary")
"""Placeholders that stand for a program: a command begins with one of them."""

ENCODE_PLACEHOLDERS = (
    *("ffmpeg", "binary", "input", "output", "q", "q_floor", "q_switch", "frames", "width", "height"),
    *("fps", "fps_rounded", "bit_depth", "intra_period", "threads", "stats", "reconstruction", "estimate"),
)
DECODE_PLACEHOLDERS = (*PROGRAMS, "input", "output", "width", "height", "frames", "bit_depth", "threads")
RECEIVE_PLACEHOLDERS = (*(name for name in DECODE_PLACEHOLDERS if name != "output"), "lost")
INFO_PLACEHOLDERS = (*PROGRAMS, "input")
VERSION_PLACEHOLDERS = PROGRAMS

PLACEHOLDER = re.compile(r"\{([^{}]*)\}")


def placeholders(command: Iterable[str]) -> set[str]:
    """The names of the placeholders in a command."""
    return {name for argument in command for name in PLACEHOLDER.findall(argument)}


def fill(command: Command, values: Mapping[str, str]) -> Command:
    """The command with every placeholder replaced, once: a value that looks like a placeholder stays as it is."""
    return tuple(PLACEHOLDER.sub(lambda match: values[match[1]], argument) for argument in command)


def unpaced(command: Command) -> Command:
    """A command that decodes, without the frame rate that an FFmpeg demuxer is told to assume (`-framerate`).

    No decoded frame depends on it, so recipes that tell it keep the digest that results are stored under.

    >>> unpaced(("{ffmpeg}", "-f", "h264", "-framerate", "100000", "-i", "{input}"))
    ('{ffmpeg}', '-f', 'h264', '-i', '{input}')
    """
    at = command.index("-framerate") if command[:1] == ("{ffmpeg}",) and "-framerate" in command else len(command)
    return command[:at] + command[at + 2 :]


def settle(command: Command, settings: Mapping[str, object]) -> Command:
    """The command with the recipe's own settings filled in, and all other placeholders left as they are.

    An argument that is nothing but the placeholder of a list becomes as many arguments as the list has; the texts of a
    setting may hold placeholders themselves.

    >>> settle(("-preset", "{preset}", "{more}", "{q}"), {"preset": "slow", "more": ["-a", "b"]})
    ('-preset', 'slow', '-a', 'b', '{q}')
    """
    settled: list[str] = []
    for argument in command:
        whole = PLACEHOLDER.fullmatch(argument)
        value = settings.get(whole[1]) if whole else None
        if isinstance(value, (list, tuple)):
            settled += [str(item) for item in value]
        else:
            settled.append(
                PLACEHOLDER.sub(lambda match: str(settings[match[1]]) if match[1] in settings else match[0], argument)
            )
    return tuple(settled)
