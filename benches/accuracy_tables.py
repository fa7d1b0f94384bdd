"""Write the published accuracies behind the tables of docs/results.md as CSV files of `arch,accuracy`.

    python benches/accuracy_tables.py --data DIR --out accuracies

DIR holds nats-tss/, nats-sss/, nas-bench-101/ and darts/, each with an accuracies.parquet, zoo/ with
imagenet.parquet, and nds/ with the JSON files of Network Design Spaces as published. The accuracies of NDS
and of zoo (networks of timm, with costs at the size that they are judged at) are ImageNet top-1. The others
are CIFAR-10 in percent: the test accuracy after 200 epochs of 1,000 random strings of nats-tss, the test
accuracy after 90 epochs of 2,000 random strings of nats-sss, the validation accuracy after 108 epochs (one
training) of nas-bench-101, and the validation accuracy after 200 epochs of darts.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

from fusion.benchmarks.nds import Nds
from fusion.spaces import make_space

FAMILIES = ("DARTS", "ENAS", "NASNet", "PNAS", "Amoeba", "ResNeXt-A", "ResNeXt-B")
"""Of NDS."""


def sampled(accuracy: pd.Series[float], space: str, size: int) -> pd.DataFrame:
    """Return the accuracies of as many strings as the space's own sample has."""
    return accuracy.loc[make_space(space).sample(size, seed=0)].rename("accuracy").reset_index()


def tables(data: Path) -> dict[str, pd.DataFrame]:
    """Return `arch` and `accuracy` by space."""
    read = {
        name: pd.read_parquet(data / name / "accuracies.parquet")
        for name in ("nats-tss", "nats-sss", "nas-bench-101", "darts")
    }
    tss, sss = (read[name].set_index("arch") for name in ("nats-tss", "nats-sss"))
    cells, darts = read["nas-bench-101"], read["darts"]
    ops = cells["ops"].fillna("")  # the cell that hands its input on has no operation
    nds = {f"nds-{name.lower()}": Nds(data / "nds" / f"{name}_in.json").accuracies() for name in FAMILIES}
    return {
        **{name: found["accuracy"].reset_index() for name, found in nds.items()},
        "nats-tss": sampled(tss["cifar10_test_200"], "nats-tss", 1000),
        "nats-sss": sampled(sss["cifar10_test_90"], "nats-sss", 2000),
        "nas-bench-101": pd.DataFrame(
            {"arch": cells["adj_upper"] + ":" + ops, "accuracy": 100 * cells["val_108"]}
        ),
        "darts": pd.DataFrame(
            {
                "arch": darts["genotype"].map(make_space("darts").canonical),
                "accuracy": darts["cifar10_val_200"],
            }
        ),
    }


def zoo(data: Path) -> pd.DataFrame:
    """Return `arch` and `accuracy` of networks of timm, and what they cost at the size they are judged at."""
    known = pd.read_parquet(data / "zoo" / "imagenet.parquet")
    numbers = known[["top1", "gmacs", "macts", "img_size"]].astype(str)
    read: pd.DataFrame = numbers.apply(lambda column: column.str.replace(",", "").astype(float))
    return read.rename(columns={"top1": "accuracy"}).assign(arch="timm:" + known["architecture"])


def main() -> None:
    """Read the options and write one file per space."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    zoo(args.data).to_csv(args.out / "zoo.csv", index=False)
    for name, table in tables(args.data).items():
        table[["arch", "accuracy"]].to_csv(args.out / f"{name}.csv", index=False)
        print(f"{name}: {len(table)} architectures")


if __name__ == "__main__":
    main()
