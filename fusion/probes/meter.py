"""What each observation costs within a pass that several share."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Meter:
    """Takes the time of what only some of a pass's observations need.

    Attributes
    ----------
    seconds : dict of frozenset of str to float
        For each set of observations, the seconds spent for them alone. No moment counts twice.
    """

    def __init__(self) -> None:
        self.seconds: dict[frozenset[str], float] = {}
        self._counted = 0.0

    @contextmanager
    def of(self, *observations: str) -> Iterator[None]:
        """Count the block for these observations, but for what blocks inside it count for others."""
        before, started = self._counted, time.perf_counter()
        try:
            yield
        finally:
            own = time.perf_counter() - started - (self._counted - before)
            key = frozenset(observations)
            self.seconds[key] = self.seconds.get(key, 0.0) + own
            self._counted += own

    def take(self) -> dict[frozenset[str], float]:
        """Return the seconds counted since the last call."""
        taken, self.seconds = self.seconds, {}
        return taken
