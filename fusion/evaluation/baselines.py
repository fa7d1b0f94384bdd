"""What every evaluation holds the models against, by name."""

from __future__ import annotations

from collections.abc import Sequence

from fusion.errors import FusionError
from fusion.regression.spec import ModelSpec

PARAMETERS = "parameters"
"""The baseline that ranks by `INDICATOR`."""

INDICATOR = "params"

MODELS = {
    # what the string of an architecture says, without any indicator
    "encoding alone": ModelSpec("gaussian_process", "encoding"),
    # what indicators say together, without any accuracy
    "no labels": ModelSpec("consensus"),
}
"""The baselines that are models."""

BASELINES = (*MODELS, PARAMETERS)
"""Names of baselines; no model of one's own can have one of them."""


def baselines(columns: Sequence[str]) -> tuple[dict[str, ModelSpec], tuple[str, ...]]:
    """Return the baselines that are models and can be made of a table, and one line for each other.

    Parameters
    ----------
    columns : sequence of str
        Of the table, those with a value.
    """
    found, notes = {}, []
    for name, spec in MODELS.items():
        try:
            reads = spec.make(columns).features
        except FusionError as error:
            notes.append(f"without the baseline {name!r}: {error}")
            continue
        if reads:
            found[name] = spec
        else:
            notes.append(f"without the baseline {name!r}: the table has nothing that it reads")
    return found, tuple(notes)
