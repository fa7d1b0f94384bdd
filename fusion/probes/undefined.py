"""Why there is no value."""

from __future__ import annotations

import textwrap

# Characters of a status.
_LONGEST = 300


class Undefined(Exception):
    """A value does not exist for this network; the message is its status in the table."""

    def again(self) -> Undefined:
        """Return the same reason, to be raised without the frames that it was raised in before."""
        return type(self)(*self.args)


class Broken(Undefined):
    """There is no value because a pass failed, for a reason that no probe foresaw."""


def as_undefined(error: Exception) -> Undefined:
    """Return the reason why there is no value after `error`, in one line.

    Without a traceback, whose frames would keep the network and all that it computed.
    """
    if isinstance(error, Undefined):
        return error.again()
    text = " ".join(str(error).split()) or type(error).__name__
    return Broken(textwrap.shorten(f"{type(error).__name__}: {text}", _LONGEST, placeholder=" ..."))
