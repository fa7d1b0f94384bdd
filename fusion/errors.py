"""Errors that a user can act on: the command prints each as one line and exits non-zero."""


class FusionError(ValueError):
    """Bad input. The message is one line and says what to do."""


class InvalidArchitecture(FusionError):
    """A string that is not an architecture of the space."""
