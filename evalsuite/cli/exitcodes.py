"""Exit codes of the `evalsuite` command; 0 is done and fine."""

from __future__ import annotations

CHECK_FAILED = 1
"""A gate found a regression, or an entry of a board is wrong."""
WRONG_REQUEST = 2
"""Nothing was done: unknown names, unreadable files, a codec that is asked for and does not work here."""
NOT_WHOLE = 3
"""Done, but some of it failed or is missing; each is listed."""
UNDECIDED = 4
"""A gate can tell neither way."""
FAULT = 70
"""A fault of evalsuite itself; EX_SOFTWARE of sysexits.h."""
INTERRUPTED = 130
"""Ended by Ctrl-C."""
