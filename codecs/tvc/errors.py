"""Errors of tvc that a user can act on: each says what, where, expected, got, and what to do."""

from __future__ import annotations


class TvcError(Exception):
    """Base of every error that tvc raises on purpose.

    Args:
        what: what went wrong, one sentence.
        where: the file, packet or option it happened at.
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


class WeightsError(TvcError):
    """A weights file is missing, damaged, or not one of tvc's."""


class TrainingError(TvcError):
    """The training material, a checkpoint or a training option is wrong."""


class BitstreamError(TvcError):
    """A bitstream is damaged, truncated, foreign, or made by other weights or another version."""


class VideoError(TvcError):
    """A video to be encoded is unreadable, truncated, or of a format that tvc does not take."""


class RequestError(TvcError):
    """An option is wrong: an operating point that does not exist, frames outside the video."""
