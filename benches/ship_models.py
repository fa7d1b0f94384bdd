"""Fit, judge and pack the models of `models/` from the shipped tables and published accuracies.

    python benches/ship_models.py --data DIR [--out models] [NAME ...]

DIR holds nats-tss/, nats-sss/, nas-bench-101/, darts/ and nds/ with the published accuracies (see
benches/accuracy_tables.py; of NDS the JSON files as published). Each NAME is one of the table below, without
`-structure`; by default all. Two models are written for each: NAME reads the indicators of its table and the
encoding, NAME-structure the encoding alone, for which no network is run. `zero` learns from all of them.
The page of all models, README.md in their folder, is written anew from their cards.

Where there are many accuracies, 1,000 networks drawn with seed 0 are learned from, and the model is judged on
all others of the table. Where there are few, it learns from all, and what is judged are predictions of
networks that were left out: five folds drawn with seed 0.
"""

from __future__ import annotations

import argparse
import gzip
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import fusion
from fusion import Accuracies, IndicatorTable, Labelled, ModelSpec, Predictor
from fusion.benchmarks.nds import Nds
from fusion.evaluation import METRICS

SIZE = 1000
"""Networks that are learned from where there are more."""
# of which so many must be left to judge by
FEWEST_LEFT = 500
FOLDS = 5
INTERVAL = 0.9
SHOWN = ("srocc", "krocc", "plcc", "rmse")
READS = {"": None, "-structure": "encoding"}
"""End of a model's name -> the indicators that it reads; None for all of its table and the encoding."""


@dataclass(frozen=True)
class Shipped:
    """A model: its table, and the accuracies by string that `read` finds in the folder of the data."""

    table: str
    target: str
    read: Callable[[Path], pd.Series[float]]
    effort: str = "quick"
    """Of `auto`; trees are worth their size where the encoding has numbers."""
    listed: str = ""
    """A table of more networks, for the model of the encoding; by default the same."""

    def spec(self, suffix: str) -> ModelSpec:
        """Return what is fitted under the name with this end."""
        return ModelSpec("auto", READS[suffix], {"effort": self.effort})


def column(folder: str, name: str, arch: str = "arch") -> Callable[[Path], pd.Series[float]]:
    """Return what reads a column of a Parquet file of accuracies."""
    return lambda data: pd.read_parquet(data / folder / "accuracies.parquet").set_index(arch)[name]


def nas_bench_101(data: Path) -> pd.Series[float]:
    """Return the accuracies of cells in percent, by `matrix:operations`."""
    cells = pd.read_parquet(data / "nas-bench-101" / "accuracies.parquet")
    names = cells["adj_upper"] + ":" + cells["ops"].fillna("")
    return pd.Series(100 * cells["val_108"].to_numpy(), names)


def nds(family: str) -> Callable[[Path], pd.Series[float]]:
    """Return what reads the ImageNet accuracies of a family of NDS."""
    return lambda data: Nds(data / "nds" / f"{family}_in.json").accuracies()["accuracy"]


def zoo(data: Path) -> pd.Series[float]:
    """Return the ImageNet accuracies of networks of timm."""
    known = pd.read_parquet(data / "zoo" / "imagenet.parquet")
    return pd.Series(known["top1"].astype(float).to_numpy(), "timm:" + known["architecture"])


_NDS = "ImageNet top-1 accuracy (Network Design Spaces)"
SHIPPED = {
    "nats-tss-cifar10": Shipped(
        "data/nats-tss-cifar10/indicators",
        "CIFAR-10 test accuracy after 200 epochs (NATS-Bench)",
        column("nats-tss", "cifar10_test_200"),
    ),
    "nats-tss-cifar100": Shipped(
        "data/nats-tss-cifar10/indicators",
        "CIFAR-100 test accuracy after 200 epochs (NATS-Bench)",
        column("nats-tss", "cifar100_test_200"),
    ),
    "nats-sss-cifar10": Shipped(
        "data/nats-sss-cifar10/indicators",
        "CIFAR-10 test accuracy after 90 epochs (NATS-Bench)",
        column("nats-sss", "cifar10_test_90"),
    ),
    "nas-bench-101-cifar10": Shipped(
        "data/nas-bench-101-cifar10/indicators",
        "CIFAR-10 validation accuracy after 108 epochs, one training (NAS-Bench-101)",
        nas_bench_101,
    ),
    "darts-cifar10": Shipped(
        "data/darts-cifar10/indicators",
        "CIFAR-10 validation accuracy after 200 epochs (DARTS space)",
        column("darts", "cifar10_val_200", "genotype"),
    ),
    **{
        f"nds-{family.lower()}-imagenet": Shipped(f"data/nds/{family.lower()}", _NDS, nds(family))
        for family in ("DARTS", "ENAS", "NASNet", "PNAS", "Amoeba", "ResNeXt-A", "ResNeXt-B")
    },
    "zoo-imagenet": Shipped(
        "data/zoo-imagenet/indicators",
        "ImageNet top-1 accuracy (timm)",
        zoo,
        effort="full",
        listed="data/zoo-imagenet/listed",
    ),
}


def measured(table: IndicatorTable, accuracies: pd.Series[float]) -> pd.Series[float]:
    """Return the accuracy of each network of the table that has one, the mean over its strings."""
    keys = [table.space.canonical(str(arch)) for arch in accuracies.index]
    by_key = accuracies.groupby(np.array(keys)).mean()
    return by_key[by_key.index.isin(table.values([]).index)].sort_index()


def labelled(table: IndicatorTable, accuracies: pd.Series[float], target: str) -> Labelled:
    """Return the table with these accuracies, by key."""
    unknown = pd.DataFrame({"seeds": pd.NA, "cost": np.nan, "spread": np.nan}, accuracies.index)
    frame = pd.DataFrame({"accuracy": accuracies}).join(unknown).rename_axis("arch")
    return table.labelled(Accuracies.from_frame(frame, target), target=target)


def fitted(table: IndicatorTable, accuracies: pd.Series[float], target: str, spec: ModelSpec) -> Predictor:
    """Return the model of these accuracies, by key."""
    return fusion.fit(labelled(table, accuracies, target), spec)


def predicted(model: Predictor, keys: Sequence[str], table: IndicatorTable) -> pd.DataFrame:
    """Return predictions and ends of the interval for networks of the table."""
    return model.predict(table.only(keys), interval=INTERVAL).loc[list(keys)]


def folds(twins: Sequence[str], order: np.ndarray[Any, np.dtype[np.intp]]) -> np.ndarray[Any, Any]:
    """Return the fold of each network: in turn, in an order drawn at random; twins in that of the first."""
    first: dict[str, int] = {}
    for place, network in enumerate(order):
        first.setdefault(twins[network], place if len(set(twins)) == len(twins) else len(first))
    return np.array([first[twin] % FOLDS for twin in twins])


def fit_and_judge(
    table: IndicatorTable, accuracies: pd.Series[float], target: str, spec: ModelSpec
) -> tuple[Predictor, pd.DataFrame, str]:
    """Return the model, predictions of networks that it, or its like, did not learn from, and how."""
    order = np.random.default_rng(0).permutation(len(accuracies))
    if len(accuracies) >= SIZE + FEWEST_LEFT:
        model = fitted(table, accuracies.iloc[np.sort(order[:SIZE])], target, spec)
        rest = accuracies.index[np.sort(order[SIZE:])]
        return model, predicted(model, list(rest), table), f"on the {len(rest):,} other networks of the table"
    parts = []
    fold_of = folds([table.space.twins(str(key)) for key in accuracies.index], order)
    for fold in range(FOLDS):
        held = fold_of == fold
        part = fitted(table, accuracies[~held], target, spec)
        parts.append(predicted(part, list(accuracies.index[held]), table))
    how = f"on all {len(order):,}, each predicted by a like model of the other four of {FOLDS} folds"
    return fitted(table, accuracies, target, spec), pd.concat(parts), how


def trust(accuracies: pd.Series[float], found: pd.DataFrame, how: str, name: str) -> str:
    """Return the part of the card that says how well the model predicts."""
    y = accuracies[found.index].to_numpy()
    scores = [METRICS[metric].function(y, found["predicted"].to_numpy()) for metric in SHOWN]
    inside = np.mean((found["low"] <= y) & (y <= found["high"]))
    width = np.median(found["high"] - found["low"])
    heads = [*map(str.upper, SHOWN), f"{INTERVAL:.0%} intervals cover", "median width"]
    cells = [*(f"{score:.3f}" for score in scores), f"{inside:.1%}", f"{width:.2f}"]
    return "\n".join(
        [
            "",
            "## How far to trust it",
            "",
            f"Judged {how}:",
            "",
            f"| {' | '.join(heads)} |",
            "|---" * len(heads) + "|",
            f"| {' | '.join(cells)} |",
            "",
            "Fitted and judged by `python benches/ship_models.py --data DIR "
            f"{name}`. It holds what was learned, and no table of accuracies.",
            "",
        ]
    )


def pack(folder: Path) -> None:
    """Compress what the model learned; the same bytes for the same content."""
    for file in folder.iterdir():
        if file.suffix not in (".md", ".gz"):
            packed = gzip.compress(file.read_bytes(), mtime=0)
            file.with_name(f"{file.name}.gz").write_bytes(packed)
            file.unlink()


def ship(name: str, data: Path, out: Path) -> None:
    """Write the two models of a name."""
    one = SHIPPED[name]
    for suffix, reads in READS.items():
        table = fusion.load(one.listed if reads and one.listed else one.table)
        assert isinstance(table, IndicatorTable)
        accuracies = measured(table, one.read(data))
        model, found, how = fit_and_judge(table, accuracies, one.target, one.spec(suffix))
        folder = out / f"{name}{suffix}"
        model.save(folder)
        card = folder / "card.md"
        card.write_text(card.read_text() + trust(accuracies, found, how, name))
        pack(folder)
        size = sum(file.stat().st_size for file in folder.iterdir())
        print(f"{folder.name}: {model.networks} networks, {size / 1e6:.2f} MB, {judged(folder)}", flush=True)


def ship_zero(data: Path, out: Path) -> None:
    """Write the model that ranks within any table, by what like spaces taught."""
    groups: list[Labelled] = []
    for one in SHIPPED.values():
        table = fusion.load(one.table)
        assert isinstance(table, IndicatorTable)
        if table.path in {group.table.path for group in groups}:
            continue
        groups.append(labelled(table, measured(table, one.read(data)), one.target))
    fusion.fit(groups, "auto").save(out / "zero")
    pack(out / "zero")
    print("zero: ranks within a table")


PAGE = """# Fitted models

`fusion predict --model NAME --archs archs.csv --out predicted.csv` works straight after installation; how it
answers is in [docs/models.md](../docs/models.md#models-that-come-with-the-package). The formats run no code
when read or used: JSON and LightGBM's own text, packed by gzip. They hold what was learned, and no tables of
accuracies.

{table}

Each is `auto` (of the effort `quick`; `full` for `zoo-imagenet`), judged on networks that it did not learn
from: where there are many accuracies on all others of its table, else on left-out folds, of like models.
NAME-structure reads the architecture alone and needs no indicator. The interval is of 90 %. Cards in the
folders have more figures and the limits. Fitted, judged and written into this page by

```
python benches/ship_models.py --data DIR
```

where DIR holds the published accuracies; for `zoo-imagenet` timm must be installed, and a family of networks
is on one side alone. `zero` ranks the architectures of any indicator table (`--indicators`): by what those of
its twelve spaces taught that are like the table's, else without accuracies; and it goes before few accuracies
of a space (`fusion fit --beside zero`). `digits-tss` is the weighted sum that `fusion run digits` fits on all
of its 600 random networks of [data/digits-tss](../data/digits-tss/README.md);
how far to trust it: `report.html` of that run.
"""


def write_page(out: Path) -> None:
    """Write the page of the models from what their cards say."""
    heads = ["model", "networks", "SROCC", "KROCC", "RMSE", "interval covers", "SROCC of NAME-structure"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name in SHIPPED:
        folder = out / name
        if not folder.exists():
            continue
        model = fusion.load(folder)
        assert isinstance(model, Predictor)
        srocc, krocc, _, rmse, covers, _ = judged(folder)
        structure = judged(out / f"{name}-structure")[0]
        cells = [f"[`{name}`]({name}/card.md)", str(model.networks), srocc, krocc, rmse, covers, structure]
        lines.append(f"| {' | '.join(cells)} |")
    (out / "README.md").write_text(PAGE.format(table="\n".join(lines)))


def judged(folder: Path) -> list[str]:
    """Return the cells of the last table of a card."""
    rows = [line for line in (folder / "card.md").read_text().splitlines() if line.startswith("| ")]
    return [cell.strip() for cell in rows[-1].strip("|").split("|")]


def main() -> None:
    """Read the options and write the models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("names", nargs="*", default=[*SHIPPED, "zero"], help="of the table; default: all")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, default=Path("models"))
    args = parser.parse_args()
    for name in args.names:
        if name == "zero":
            ship_zero(args.data, args.out)
        else:
            ship(name, args.data, args.out)
    write_page(args.out)


if __name__ == "__main__":
    main()
