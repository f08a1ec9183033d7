"""What a codec is told apart by: the version that its program tells, and digests of what it is made of."""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Mapping

from evalsuite import process
from evalsuite.codec.command import Command
from evalsuite.errors import ProcessError, RecipeError


@functools.cache
def version_of(command: Command, pattern: str, where: str) -> str:
    """The version in what a command prints; asked for once in the life of the process.

    Args:
        command: a full argument list.
        pattern: regular expression whose one group is the version.
        where: the recipe, for errors.

    Raises:
        ProcessError: the program does not run, and tells no version either.
        RecipeError: it runs, but its output has no version.
    """
    failure = None
    try:
        text = process.output(command)
    except ProcessError as error:
        # Reference encoders have no way to ask for their version that ends well; one that tells it does run.
        failure, text = error, error.stderr_tail
    found = re.search(pattern, text)
    if found is None and failure is not None:
        raise ProcessError(
            f"the codec does not run here: {failure.what}",
            command=failure.command,
            stderr_tail=failure.stderr_tail,
            where=where,
            got=failure.stderr_tail[-300:] or None,
            fix=failure.fix or "install a build of the program that has this encoder",
        ) from failure
    if found is None:
        raise RecipeError(
            "the version command's output has no version",
            where=where,
            expected=f"a match of {pattern}",
            got=text[-300:],
            fix="correct `version` or `version_pattern`",
        )
    return found[1]


def digest_of(content: Mapping[str, object]) -> str:
    """The sha256 in hex of what can be written as JSON, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
