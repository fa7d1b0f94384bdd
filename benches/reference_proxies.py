r"""Compare an indicator table of nats-tss with the proxies of NAS-Bench-Suite-Zero.

    python benches/reference_proxies.py --indicators data/nats-tss-cifar10/indicators \
        --reference reference-proxies-cifar10.parquet [--repeats DIR]

Prints, as the Markdown table of docs/cross-check.md, Spearman's correlation between the two
implementations over the architectures of both; with `--repeats`, a table of two initialisations
per network, also between our own two initialisations, which tells how much of a shortfall is
initialisation; and whether parameters and FLOPs can be accounted for exactly. Values are not
expected to agree: images and seeds differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from fusion.spaces import make_space
from fusion.storage.parts import PartStore
from fusion.tables import IndicatorTable
from fusion.tables.indicator_table import KEYS

# ours: (theirs, the least Spearman's correlation that we expect)
PAIRS = {
    "params": ("params", 0.95),
    "flops": ("flops", 0.95),
    "synflow": ("synflow", 0.95),
    "l2_norm": ("l2_norm", 0.95),
    "naswot": ("nwot", 0.95),
    "snip": ("snip", 0.85),
    "grad_norm": ("grad_norm", 0.85),
    "fisher": ("fisher", 0.85),
    "cj": ("jacov", 0.85),
    "zen": ("zen", None),
    "epe_nas": ("epe_nas", None),
    "grasp": ("grasp", None),
    "plain": ("plain", None),
}
# What is left when its own rule is taken off the reference's count, the same for every network.
REST = 1728


def reference_flops(network: nn.Module) -> int:
    """Return multiply-accumulates, k^2 per pooled value and 3 per normalised value of one image."""
    total = 0

    def count(module: nn.Module, _: Any, out: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, nn.Conv2d):
            total += out[0].numel() * module.weight[0].numel()
        elif isinstance(module, nn.AvgPool2d):
            total += out[0].numel() * int(module.kernel_size) ** 2  # type: ignore[arg-type]
        elif isinstance(module, nn.BatchNorm2d):
            total += 3 * out[0].numel()

    for module in network.modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        network.eval()(torch.zeros(1, 3, 32, 32))
    return total


def between_repeats(path: Path) -> pd.Series[float]:
    """Return Spearman's correlation between the first two initialisations of each indicator."""
    rows = PartStore.open(path, KEYS).read()
    found = {}
    for name, of in rows.groupby("indicator"):
        wide = of.pivot(index="key", columns="repeat", values="value").astype("float64").dropna()
        found[name] = wide[0].corr(wide[1], method="spearman")
    return pd.Series(found)


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--indicators", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--repeats", type=Path, help="indicator table with two initialisations")
    parser.add_argument("--count", type=int, default=30, help="networks whose FLOPs are counted")
    args = parser.parse_args()
    space = make_space("nats-tss")
    ours = IndicatorTable.open(args.indicators).values()
    theirs = pd.read_parquet(args.reference)
    theirs = theirs[~theirs["arch"].map(space.has_dead_edge)]
    keys = theirs["arch"].map(space.canonical)
    theirs = theirs[keys.isin(ours.index)].assign(key=keys)
    own = between_repeats(args.repeats) if args.repeats else pd.Series(dtype=float)
    print(f"{len(theirs)} architectures, {theirs['key'].nunique()} different networks\n")
    print("| ours | theirs | Spearman | expected at least | two of our initialisations |")
    print("|---|---|---|---|---|")
    for name, (reference, least) in PAIRS.items():
        rho = theirs["key"].map(ours[name]).corr(theirs[reference], method="spearman")
        repeated = f"{own[name]:.3f}" if name in own else "-"
        print(f"| `{name}` | {reference} | {rho:.3f} | {'-' if least is None else least} | {repeated} |")
    convolutions = theirs["arch"].str.count("nor_conv")
    print("\nl2_norm and the number of convolutions in the cell: Spearman", end=" ")
    for label, column in (("theirs", theirs["l2_norm"]), ("ours", theirs["key"].map(ours["l2_norm"]))):
        print(f"{label} {column.corr(convolutions, method='spearman'):.3f}", end="  ")
    exact = (theirs["key"].map(ours["params"]) - theirs["params"] * 1e6).abs().max()
    print(f"\nparams: largest difference {exact:.6f}")
    some = theirs.drop_duplicates("key").head(args.count)
    rests = {
        round(flops * 1e6) - reference_flops(space.build(arch))
        for arch, flops in zip(some["arch"], some["flops"], strict=True)
    }
    told = "as expected" if rests == {REST} else f"expected {REST}"
    print(f"flops: reference less convolutions, pooling, 3 x normalised values: {sorted(rests)}, {told}")


if __name__ == "__main__":
    main()
