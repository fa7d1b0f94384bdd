"""How far any prediction could agree with accuracies that are themselves measured with noise."""

from __future__ import annotations

import numpy as np
import pandas as pd

from fusion.evaluation.metrics import srocc
from fusion.evaluation.results import Ceiling
from fusion.seeding import derive_seed

# of the simulation of the rank correlation; its mean moves by less than 0.001 with more
_DRAWS = 50
# spreads over seeds of fewer architectures say little about the noise of all
_FEWEST = 10


def ceiling(accuracy: pd.Series[float], spread: pd.Series[float], seeds: pd.Series[int]) -> Ceiling | None:
    """Return the ceiling that the accuracies' own seeds set to every correlation.

    Parameters
    ----------
    accuracy : Series, length architectures
        Means over seeds.
    spread : Series
        Standard deviation over the seeds of an architecture, on the same index or more; NaN where unknown.
    seeds : Series
        How many went into each mean; null where unknown.

    Returns
    -------
    Ceiling or None
        None where the spread of fewer than 10 architectures is known, or the accuracies do not vary.

    Notes
    -----
    The variance of a mean over k seeds is spread^2 / k; its mean over the architectures, divided by the
    variance of the accuracies, is what noise has of that variance, and 1 minus it the reliability of the
    means (one-way random effects; Shrout and Fleiss, Psychological Bulletin 86, 1979). Pearson's
    correlation of a perfect prediction with them is its square root (Spearman, American Journal of
    Psychology 15, 1904). Ranks have no such formula: the accuracies, drawn towards their mean until they
    vary as much as without noise, are correlated with themselves plus Gaussian noise of variance
    spread^2 / k; the mean over 50 draws that are always the same.
    """
    table = pd.DataFrame(
        {
            "y": accuracy.astype(float),
            "spread": spread.reindex(accuracy.index).astype(float),
            "seeds": pd.to_numeric(seeds.reindex(accuracy.index), errors="coerce").astype("Float64"),
        }
    )
    table = table[table["spread"].notna() & (table["seeds"].fillna(0) >= 2)].sort_index()
    y = table["y"].to_numpy(dtype=np.float64)
    if len(y) < _FEWEST or np.ptp(y) == 0:
        return None
    error = table["spread"].to_numpy(dtype=np.float64) ** 2 / table["seeds"].to_numpy(dtype=np.float64)
    reliability = max(0.0, 1 - float(error.mean()) / float(y.var(ddof=1)))
    if reliability == 0:  # nothing but noise
        return Ceiling(len(y), 0.0, 0.0, 0.0, float(error.mean()) ** 0.5)
    rng = np.random.default_rng(derive_seed("ceiling"))
    calm = y.mean() + reliability**0.5 * (y - y.mean())
    drawn = [srocc(calm, calm + np.sqrt(error) * rng.normal(size=len(y))) for _ in range(_DRAWS)]
    return Ceiling(len(y), reliability, reliability**0.5, float(np.mean(drawn)), float(error.mean()) ** 0.5)
