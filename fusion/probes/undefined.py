"""Why there is no value."""

from __future__ import annotations

import textwrap

# Characters of a status.
_LONGEST = 300


class Undefined(Exception):
    """A value does not exist for this network; the message is its status in the table."""


class Broken(Undefined):
    """There is no value because a pass failed, for a reason that no probe foresaw."""


def as_undefined(error: Exception) -> Undefined:
    """Return the reason why there is no value after `error`, in one line."""
    if isinstance(error, Undefined):
        return error
    text = " ".join(str(error).split()) or type(error).__name__
    return Broken(textwrap.shorten(f"{type(error).__name__}: {text}", _LONGEST, placeholder=" ..."))
