"""Gradient checkpointing, left out: a network then computes nothing again in its backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils import checkpoint


class _Plain:
    """What checkpointing that enters autograd again is replaced by."""

    @staticmethod
    def apply(function: Callable[..., Any], preserve: bool, *args: Any) -> Any:
        return function(*args)


def _plain(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Iterator[None]:
    """Stand for the generator around a checkpointed call, which is made between its two steps."""
    yield


@contextmanager
def without_checkpoints() -> Iterator[None]:
    """Let checkpointed parts of networks keep what they compute, as if they were not.

    What is watched in the forward pass would otherwise be computed anew, unwatched, in the backward pass, and
    with other weights where those were put in place for the forward pass alone.
    """
    if not hasattr(checkpoint, "_checkpoint_without_reentrant_generator"):  # a torch that has other names
        yield
        return
    own = checkpoint.CheckpointFunction, checkpoint._checkpoint_without_reentrant_generator
    try:
        checkpoint.CheckpointFunction = _Plain  # type: ignore[assignment, misc]
        checkpoint._checkpoint_without_reentrant_generator = _plain  # type: ignore[assignment]
        yield
    finally:
        checkpoint.CheckpointFunction, checkpoint._checkpoint_without_reentrant_generator = own  # type: ignore[misc]
