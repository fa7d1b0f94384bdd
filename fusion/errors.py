"""Errors that a user can act on: the command prints each as one line and exits non-zero."""


class FusionError(ValueError):
    """Bad input. The message is one line and says what to do.

    Examples
    --------
    >>> import fusion
    >>> try:
    ...     fusion.space("nats-ts")
    ... except fusion.FusionError as error:
    ...     print(str(error)[:48])
    unknown space 'nats-ts'; did you mean 'nats-tss'
    """


class InvalidArchitecture(FusionError):
    """A string that is not an architecture of the space."""
