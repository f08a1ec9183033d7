"""Errors that a user can act on: each says what, where, expected, got, and what to do."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EvalError(Exception):
    """Base of every error that evalsuite raises on purpose.

    Args:
        what: what went wrong, one sentence.
        where: the file, codec, metric or cell it happened at.
        expected: what would have been right.
        got: what was there instead.
        fix: what the user can do about it.
    """

    def __init__(
        self,
        what: str,
        *,
        where: object = None,
        expected: object = None,
        got: object = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.expected = expected
        self.got = got
        self.fix = fix

    def __str__(self) -> str:
        lines = [self.what]
        for label in ("where", "expected", "got", "fix"):
            value = getattr(self, label)
            if value is not None:
                lines.append(f"  {'to do' if label == 'fix' else label}: {value}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default pickling, and errors cross process borders.
        return _rebuild, (type(self), self.what, self.where, self.expected, self.got, self.fix)


def _rebuild(kind: type[EvalError], what: str, where: object, expected: object, got: object, fix: str) -> EvalError:
    return kind(what, where=where, expected=expected, got=got, fix=fix)


class RequestError(EvalError):
    """The request is wrong: an unknown name, an option out of range."""


class RecipeError(EvalError):
    """A recipe, dataset or board file is wrong."""


class MediaError(EvalError):
    """A video file is unreadable, truncated, foreign, or of a format that is not supported."""


class ShapeError(EvalError):
    """Two videos or arrays differ in geometry or length."""


class ProcessError(EvalError):
    """A command failed, timed out, or wrote nothing."""

    def __init__(
        self,
        what: str,
        *,
        command: Iterable[str] = (),
        stderr_tail: str = "",
        where: object = None,
        expected: object = None,
        got: object = None,
        fix: str | None = None,
    ) -> None:
        super().__init__(what, where=where, expected=expected, got=got, fix=fix)
        self.command = tuple(command)
        self.stderr_tail = stderr_tail

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild_process, (
            self.what,
            self.command,
            self.stderr_tail,
            self.where,
            self.expected,
            self.got,
            self.fix,
        )


def _rebuild_process(
    what: str,
    command: tuple[str, ...],
    stderr_tail: str,
    where: object,
    expected: object,
    got: object,
    fix: str,
) -> ProcessError:
    return ProcessError(
        what, command=command, stderr_tail=stderr_tail, where=where, expected=expected, got=got, fix=fix
    )


class AssetError(EvalError):
    """A file that should be fetched or verified could not be, or its digest is wrong."""


class MetricError(EvalError):
    """A metric cannot run on this machine or this input."""


class StoreError(EvalError):
    """The results store cannot be read or written."""


_MOST_LISTED = 20
"""Names that a message lists, where there is a command that lists them too."""


def did_you_mean(name: object, known: Iterable[str], whole: str = "") -> str:
    """A hint that names the nearest known names, or lists them all. Case, and a prefix before a colon, may be missing.

    Args:
        name: what was asked for; whatever a caller from Python may give.
        known: what there is.
        whole: where all of them are seen, said beside the nearest and in place of a long list.

    >>> did_you_mean("x256", ["x264", "x265"])
    'did you mean x265 or x264?'
    >>> did_you_mean("Sport", ["profile:sport"], "`evalsuite metrics list` shows all")
    'did you mean profile:sport? (`evalsuite metrics list` shows all)'
    """
    names = sorted(known)
    asked = str(name).casefold()
    spelt = {one.rpartition(":")[2].casefold(): one for one in names} | {one.casefold(): one for one in names}
    near = dict.fromkeys(spelt[one] for one in difflib.get_close_matches(asked, spelt, n=2, cutoff=0.6))
    if near:
        return f"did you mean {' or '.join(near)}?{f' ({whole})' if whole else ''}"
    if whole and len(names) > _MOST_LISTED:
        return whole
    return f"known: {', '.join(names) if names else 'none'}"
