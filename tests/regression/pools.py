"""Made-up pools of indicators, graph features and encodings, with what they tell of."""

import numpy as np
import pandas as pd

from fusion.indicators import INDICATORS

LOWER = next(n for n in INDICATORS if not INDICATORS[n].higher_is_better and not n.startswith("graph_"))


def pool_of(n=80, seed=0, missing=True):
    """Return a table, and accuracies of which its indicators tell."""
    rng = np.random.default_rng(seed)
    # no two are encoded alike
    code = (rng.permutation(3**6)[:n, None] // 3 ** np.arange(6) % 3).astype(float)
    quality = code[:, :3] @ [1.0, 0.5, 0.2] + 0.3 * code[:, 0] * code[:, 1]
    noise = rng.normal(size=(n, 4))
    table = pd.DataFrame(
        {
            "zen": quality + noise[:, 0],
            "params": np.exp(quality / 2 + 0.2 * noise[:, 1]),
            LOWER: -quality + noise[:, 2],
            "meco": 1e20 * (quality + 2 * noise[:, 3]),
            "graph_depth": code[:, 0] + code[:, 1],
            "graph_paths": code[:, 2],
            **{f"encoding.{j}": code[:, j] for j in range(6)},
        },
        index=[f"a{i}" for i in range(n)],
    )
    if missing:
        table.iloc[rng.integers(0, n, 5), 0] = np.nan
        table.iloc[rng.integers(0, n, 7), 2] = np.inf
        table.iloc[rng.integers(0, n, 3), 4] = np.nan
    accuracies = 95 - np.exp(1.5 - quality / 2) + 0.2 * rng.normal(size=n)
    return table, pd.Series(accuracies, table.index)
