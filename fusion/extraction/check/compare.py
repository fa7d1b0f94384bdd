"""Whether two ways to write a network have the same indicators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from fusion.extraction.scoring import Network, score
from fusion.images import Batch, ImageSet
from fusion.indicators import needs_graphs, select

# Relative differences that are rounding: the order of sums depends on how a network is written. A difference
# of two passes, and what is next to nothing of large sums, has more of it.
_ROUNDING = {"grasp": 1e-2, "plain": 1e-3, "os": 1e-3, "cnntk": 1e-3}
_OF_OTHERS = 2e-4
# The same, absolute, where a value may be 0.
_NOTHING = {"meco": 1e-5, "plain": 1e-6}
_LEAST = 1e-9


def compare_networks(
    first: Network,
    second: Network,
    images: str | Path | ImageSet | Batch,
    indicators: str | Sequence[str] | None = None,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Return the indicators of two networks that are meant to compute the same function.

    An indicator is of the function and its weights, not of how they are written: both have the same value
    up to rounding, or one has none, with a reason. Anything else is a fault of the indicator, or the networks
    do not compute the same.

    Parameters
    ----------
    first, second : nn.Module or function
        As of `score`, with the same weights.
    images : str, path, ImageSet or Batch
    indicators : str or sequence of str, optional
        Names or a preset; by default all that are not of a space's cells.
    seed : int

    Returns
    -------
    DataFrame
        Index: `indicator`. Columns: `first`, `second` (values), `verdict` ("equal", "null" where one has no
        value, "none" where neither has, or "different"), `status` (of the one without a value).

    Raises
    ------
    FusionError
        As of `score`.

    Examples
    --------
    >>> import fusion
    >>> from fusion.extraction.check.compare import compare_networks
    >>> from torch import nn
    >>> layers = nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10)
    >>> plain, nested = nn.Sequential(*layers), nn.Sequential(nn.Sequential(*layers[:2]), *layers[2:])
    >>> found = compare_networks(plain, nested, fusion.images("digits").batch(8), "naswot,cj,cnntk")
    >>> found["verdict"].tolist()
    ['equal', 'equal', 'equal']
    """
    names = indicators
    if names is None:
        names = [name for name in select("full") if not needs_graphs(name)]
    tables = [score(network, images, names, seed=seed) for network in (first, second)]
    a, b = (table["value"].astype(float) for table in tables)
    size = np.maximum(a.abs(), b.abs())
    relative = pd.Series({name: _ROUNDING.get(str(name), _OF_OTHERS) for name in a.index})
    absolute = pd.Series({name: _NOTHING.get(str(name), _LEAST) for name in a.index})
    equal = (a - b).abs() <= np.maximum(relative * size, absolute)
    verdict = np.where(equal, "equal", "different").astype(object)
    missing = a.isna().astype(int) + b.isna().astype(int)
    verdict[missing == 1] = "null"
    verdict[missing == 2] = "none"
    status = tables[0]["status"].where(a.isna(), tables[1]["status"])
    return pd.DataFrame({"first": a, "second": b, "verdict": verdict, "status": status})
