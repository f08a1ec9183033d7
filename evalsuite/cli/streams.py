"""Standard streams that never decide how a command ends: who reads them may go away, or may never have been there."""

from __future__ import annotations

import errno
import os
import sys
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import TYPE_CHECKING

from evalsuite.errors import RequestError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_STDOUT, _STDERR = 1, 2


class _Standard(FileIO):
    """Standard output or error: from the first write that fails on, what is written to it goes nowhere."""

    def write(self, data: Buffer, /) -> int:
        """Write as a file does.

        Raises:
            RequestError: results cannot be written, as on a full disk. A reader that has seen enough (`head`, a pager)
                is no error, and for messages there is no place to say it.
        """
        try:
            return super().write(data)
        except OSError as error:
            _lead_nowhere(self.fileno())
            if self.fileno() == _STDOUT and error.errno != errno.EPIPE:
                raise RequestError(
                    f"standard output cannot be written: {error.strerror}", fix="write it to another file"
                ) from error
            return memoryview(data).nbytes


def guard_streams() -> None:
    """Make the standard streams of this process such ones; a stream that is closed leads nowhere."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            # Else the next file that is opened would take its place.
            _lead_nowhere(number)
    for number, name in ((_STDOUT, "stdout"), (_STDERR, "stderr")):
        stream = getattr(sys, name)
        if stream is None or isinstance(stream, TextIOWrapper):
            guarded = TextIOWrapper(
                BufferedWriter(_Standard(number, "wb", closefd=False)),
                encoding=None if stream is None else stream.encoding,
                # A terminal that lacks a sign shows a question mark for it; it does not end the command.
                errors="replace",
                line_buffering=stream is None or stream.line_buffering,
                write_through=stream is not None and stream.write_through,
            )
            setattr(sys, name, guarded)


def _lead_nowhere(number: int) -> None:
    null = os.open(os.devnull, os.O_RDWR)
    if null == number:
        os.set_inheritable(null, True)
    else:
        os.dup2(null, number)
        os.close(null)
