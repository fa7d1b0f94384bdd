"""Compare an indicator table of nats-tss with the proxies of NAS-Bench-Suite-Zero.

    python benches/reference_proxies.py --indicators DIR --reference reference-proxies-cifar10.parquet

Prints Spearman's correlation between the two implementations over the architectures of both, and
whether parameters and FLOPs can be accounted for exactly. Values are not expected to agree: images
and seeds differ.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import nn

from fusion.extraction.table import read_table
from fusion.spaces import make_space

PAIRS = {"naswot": "nwot", "cj": "jacov", "params": "params", "flops": "flops"}
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


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--indicators", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--count", type=int, default=30, help="networks whose FLOPs are counted")
    args = parser.parse_args()
    space = make_space("nats-tss")
    ours = read_table(args.indicators)
    theirs = pd.read_parquet(args.reference)
    theirs = theirs[~theirs["arch"].map(space.has_dead_edge)]
    keys = theirs["arch"].map(space.canonical)
    theirs = theirs[keys.isin(ours.index)].assign(key=keys)
    print(f"{len(theirs)} architectures, {theirs['key'].nunique()} different networks")
    for name, reference in PAIRS.items():
        if name in ours:
            rho = theirs["key"].map(ours[name]).corr(theirs[reference], method="spearman")
            print(f"{name:<8} Spearman {rho:.3f} with {reference}")
    exact = (theirs["key"].map(ours["params"]) - theirs["params"] * 1e6).abs().max()
    print(f"params   largest difference {exact:.6f}")
    some = theirs.drop_duplicates("key").head(args.count)
    rests = {
        round(flops * 1e6) - reference_flops(space.build(arch))
        for arch, flops in zip(some["arch"], some["flops"], strict=True)
    }
    told = "as expected" if rests == {REST} else f"expected {REST}"
    print(f"flops    reference less convolutions, pooling, 3 x normalised values: {sorted(rests)}, {told}")


if __name__ == "__main__":
    main()
