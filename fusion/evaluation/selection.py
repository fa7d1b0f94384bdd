"""Which of the measured architectures are judged, and which may not be torn apart by a split."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd

from fusion.errors import FusionError
from fusion.evaluation.settings import Judging
from fusion.tables import Labelled
from fusion.tables.choosing import without_dead_edges


def selected(data: Labelled, settings: Judging) -> tuple[Labelled, tuple[str, ...]]:
    """Return the architectures that `settings` let in, and what was left out, one line each.

    Raises
    ------
    FusionError
        When none is left.
    """
    notes = []
    if not settings.dead_edges:
        whole = without_dead_edges(data.space, list(data.X.index))
        if left := len(data.y) - len(whole):
            notes.append(f"{left} of {len(data.y)} architectures have dead edges and were left out")
        if not whole:
            raise FusionError("every architecture has dead edges; judge with them")
        data = replace(data, X=data.X.loc[whole], y=data.y.loc[whole])
    if settings.twins == "one":
        # rows are sorted by architecture, so that the first is the same whatever the order of a file
        first = ~data.twins.duplicated()
        if left := int((~first).sum()):
            notes.append(
                f"{left} of {len(data.y)} architectures are isomorphic to another that stands for them"
            )
        data = replace(data, X=data.X[first], y=data.y[first])
    return data, tuple(notes)


def groups(data: Labelled, settings: Judging) -> pd.Series[str]:
    """Return the group of each architecture, none of which straddles a split."""
    if settings.twins == "together":
        return data.twins
    return pd.Series(data.X.index, data.X.index)
