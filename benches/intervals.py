"""How many accuracies of networks that were not learned from lie within the intervals: docs/models.md.

python benches/intervals.py INDICATORS ACCURACIES [MODEL ...]

INDICATORS is a table of indicators, ACCURACIES a table with the columns `arch` and `accuracy`.
"""

from __future__ import annotations

import argparse

import numpy as np

import fusion
from fusion.regression import ModelSpec
from fusion.tables import Labelled

SIZES = (20, 64, 256)
COVERAGE = 0.9


def covered(data: Labelled, model: str, networks: int, draw: int) -> tuple[float, float]:
    """Return the share of the other networks' accuracies within their intervals, and the median width."""
    twins = data.twins.to_numpy()
    drawn = np.random.default_rng(draw).permutation(np.unique(twins))[:networks]
    # of the strings of one network that is learned from, one
    first = ~data.twins.duplicated().to_numpy()
    train, test = np.isin(twins, drawn) & first, ~np.isin(twins, drawn)
    estimator = ModelSpec(model).make(list(data.X.columns))
    estimator.fit(data.X[train], data.y[train], pool=data.pool)
    estimator.calibrate(data.X[train], data.y[train], pool=data.pool)
    low, high = estimator.predict_interval(data.X[test], COVERAGE).T
    measured = data.y[test].to_numpy()
    return float(np.mean((low <= measured) & (measured <= high))), float(np.median(high - low))


def main() -> None:
    """Print a line per model and number of networks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("indicators")
    parser.add_argument("accuracies")
    parser.add_argument("models", nargs="*", default=["weighted_sum", "lightgbm"])
    parser.add_argument("--draws", type=int, default=10)
    args = parser.parse_args()
    table = fusion.load(args.indicators)
    assert isinstance(table, fusion.IndicatorTable)
    data = table.labelled(args.accuracies, column="accuracy")
    for model in args.models:
        for networks in SIZES:
            found = np.array([covered(data, model, networks, draw) for draw in range(args.draws)])
            share, width = found.mean(axis=0)
            print(
                f"{model:18} {networks:4} networks: {share:.3f} within, median width {width:.2f}", flush=True
            )


if __name__ == "__main__":
    main()
