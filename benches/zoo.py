"""Is the accuracy of a real network predicted by more than its size? Families of networks left out.

    python benches/zoo.py --data DIR [--repeats 3] [--figure docs/zoo.png]

DIR/zoo/imagenet.parquet holds ImageNet accuracies of networks of timm, with parameters, multiply-adds,
activations and the image size at which they were judged. The networks of data/zoo-imagenet/indicators are
split by family into eight parts; what is predicted of each part was learned on the others. Printed are
Kendall's tau and Spearman's correlation over all predictions, mean over `--repeats` ways to split; of one
number, its correlation. The encoding is what the space says of a network, counted on the device "meta",
which computes nothing; timm must be installed for it. It needs no indicators, so it is judged
on all networks of the file too.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import kendalltau, spearmanr
from sklearn.ensemble import ExtraTreesRegressor

import fusion
from fusion.evaluation.drawing import COLOURS, picture, style, subplots
from fusion.regression import ModelSpec
from fusion.storage.files import write_atomic
from fusion.tables import Labelled, Pool
from fusion.tables.encoding import encode

TABLE = "data/zoo-imagenet/indicators"
SIZES = {
    "param_count": "parameters",
    "gmacs": "multiply-adds",
    "macts": "activations",
    "img_size": "image size",
}
PARTS = 8


def published(data: Path) -> pd.DataFrame:
    """Return accuracy and sizes, by architecture."""
    table = pd.read_parquet(data / "zoo" / "imagenet.parquet")
    table.index = pd.Index("timm:" + table["architecture"], name="arch")
    numbers = table[["top1", *SIZES]].astype(str)
    found: pd.DataFrame = numbers.apply(lambda column: column.str.replace(",", "").astype(float))
    return found


def left_out(families: np.ndarray[Any, Any], repeat: int) -> np.ndarray[Any, Any]:
    """Return the part of each network; those of a family are together."""
    names = np.unique(families)
    part = dict(zip(names, np.random.default_rng(repeat).permutation(len(names)) % PARTS, strict=True))
    return np.array([part[name] for name in families])


def trees() -> ExtraTreesRegressor:
    """Return trees for a hundred to a thousand rows."""
    return ExtraTreesRegressor(500, min_samples_leaf=3, max_features=0.5, random_state=0)


def by_trees(X: pd.DataFrame, y: pd.Series[float], train: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return predictions of what is not trained on."""
    found: np.ndarray[Any, Any] = trees().fit(X[train], y[train]).predict(X[~train])
    return found


def by_auto(
    X: pd.DataFrame, y: pd.Series[float], train: np.ndarray[Any, Any], families: np.ndarray[Any, Any]
) -> np.ndarray[Any, Any]:
    """Return predictions of what is not trained on."""
    model = ModelSpec("auto").make([str(name) for name in X])
    model.fit(X[train], y[train], pool=Pool(X), groups=families[train])
    found: np.ndarray[Any, Any] = model.predict(X[~train])
    return found


def report(
    name: str,
    y: pd.Series[float],
    families: np.ndarray[Any, Any],
    repeats: int,
    predict: Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]],
) -> np.ndarray[Any, Any]:
    """Print how one way predicts families left out, and return the predictions of the first repeat."""
    found, scores = [], []
    for repeat in range(repeats):
        part = left_out(families, repeat)
        predicted = np.empty(len(y))
        for held in range(PARTS):
            predicted[part == held] = predict(part != held)
        found.append(predicted)
        scores.append((kendalltau(predicted, y)[0], spearmanr(predicted, y)[0]))
    tau, rho = np.mean(scores, axis=0)
    print(f"| {name} | {tau:.3f} | {rho:.3f} |", flush=True)
    return found[0]


def main() -> None:
    """Print the table and draw the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    known = published(args.data)
    table = fusion.load(TABLE)
    assert isinstance(table, fusion.IndicatorTable)
    accuracy = known["top1"].reindex(table.values().index).dropna()
    unknown = pd.DataFrame({"seeds": pd.NA, "cost": np.nan, "spread": np.nan}, accuracy.index)
    frame = pd.DataFrame({"accuracy": accuracy}).join(unknown).rename_axis("arch")
    data = Labelled.join(table, fusion.tables.Accuracies.from_frame(frame, "timm"))
    X, y, families = data.X, data.y, data.twins.to_numpy()
    sizes: pd.DataFrame = known.loc[X.index, [*SIZES]].map(math.log)
    indicators = X[[name for name in data.indicators if X[name].min() < X[name].max()]]
    grown: pd.DataFrame = indicators.map(lambda value: np.sign(value) * np.log1p(abs(value)))
    logs: pd.DataFrame = grown.fillna(grown.min() - 1)
    encoding = X[[name for name in X if name not in data.indicators]]
    ways: dict[str, Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]] = {
        "trees on these four": lambda train: by_trees(sizes, y, train),
        "trees on indicators": lambda train: by_trees(logs, y, train),
        "trees on indicators and these four": lambda train: by_trees(logs.join(sizes), y, train),
        "trees on the encoding": lambda train: by_trees(encoding, y, train),
        "trees on indicators and the encoding": lambda train: by_trees(logs.join(encoding), y, train),
        "`auto` on the encoding": lambda train: by_auto(encoding, y, train, families),
        "`auto` on indicators and the encoding": lambda train: by_auto(X, y, train, families),
    }
    print(f"{len(y)} networks of {len(np.unique(families))} families\n")
    print("| | tau | SROCC |\n|---|---|---|")
    for name, said in SIZES.items():
        print(f"| {said} | {kendalltau(sizes[name], y)[0]:.3f} | {spearmanr(sizes[name], y)[0]:.3f} |")
    single = {name: abs(kendalltau(X[name], y, nan_policy="omit")[0]) for name in indicators}
    best = max(single, key=lambda name: single[name])
    srocc = abs(spearmanr(X[best], y, nan_policy="omit")[0])
    print(f"| best single indicator, with hindsight: `{best}` | {single[best]:.3f} | {srocc:.3f} |")
    shown: dict[str, np.ndarray[Any, Any]] = {}
    for name, predict in ways.items():
        shown[name] = report(name, y, families, args.repeats, predict)
    every = known["top1"].dropna()
    described = encode(data.space, list(every.index))
    groups = np.array([data.space.twins(str(arch)) for arch in every.index])
    four = known.loc[every.index, [*SIZES]].map(math.log)
    print(f"\n{len(every)} networks of {len(np.unique(groups))} families, all of the file\n")
    print("| | tau | SROCC |\n|---|---|---|")
    report("trees on the four sizes", every, groups, args.repeats, lambda train: by_trees(four, every, train))
    report(
        "`auto` on the encoding",
        every,
        groups,
        args.repeats,
        lambda train: by_auto(described, every, train, groups),
    )
    if args.figure:
        with style():
            figure, axes = subplots(1, 2, 3.2)
            axes[0].scatter(np.exp(sizes["macts"]), y, s=9, color=COLOURS[1], alpha=0.6, linewidths=0)
            axes[0].set(xscale="log", xlabel="activations (millions)", ylabel="ImageNet top-1")
            axes[0].xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes[1].scatter(shown[name], y, s=9, color=COLOURS[0], alpha=0.6, linewidths=0)
            axes[1].axline((80, 80), slope=1, color="#57606a", linewidth=0.8)
            axes[1].set(xlabel="predicted by auto, its family left out")
            write_atomic(args.figure, picture(figure, args.figure.suffix[1:]))


if __name__ == "__main__":
    main()
