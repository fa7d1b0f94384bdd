"""Print the numbers of finished runs as Markdown tables: mean, and 95 % bootstrap interval.

    python benches/metrics_table.py out/cifar10 --best 8 --also params,cj
    python benches/metrics_table.py out/nats-sss-cifar10 out/darts-cifar10 --best 1

One table per folder that `fusion run` or `fusion evaluate` wrote: all fusion models, the `--best`
single indicators and those of `--also`, best SROCC first. Then KROCC by training size, one column
per model.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

COLUMNS = {"plcc": 3, "rmse": 2, "srocc": 3, "krocc": 3}
"""Metric -> decimals."""


def chosen(methods: dict[str, Any], best: int, also: set[str]) -> list[str]:
    """Return the names of the rows."""

    def srocc(name: str) -> float:
        mean = methods[name]["scores"]["srocc"]["mean"]
        return -2.0 if mean is None else float(mean)

    ranked = sorted(methods, key=srocc, reverse=True)
    singles = [name for name in ranked if methods[name]["kind"] == "indicator"]
    kept = {*singles[:best], *also, *(name for name in ranked if methods[name]["kind"] != "indicator")}
    return [name for name in ranked if name in kept]


def cell(found: dict[str, float | None], digits: int) -> str:
    """Return "mean <sub>low to high</sub>", as far as it is defined."""
    if found["mean"] is None:
        return "-"
    mean = f"{found['mean']:.{digits}f}"
    if found["low"] is None:
        return mean
    return f"{mean} <sub>{found['low']:.{digits}f} to {found['high']:.{digits}f}</sub>"


def main() -> None:
    """Print one table per folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("--best", type=int, default=8)
    parser.add_argument("--also", default="")
    args = parser.parse_args()
    for folder in args.folders:
        metrics = json.loads((folder / "metrics.json").read_text())
        protocol, methods = metrics["protocol"], metrics["methods"]
        print(
            f"\n{folder.name}: {protocol['architectures']} architectures ({protocol['networks']} different "
            f"networks), {protocol['train_size']} for training, {protocol['splits']} splits\n"
        )
        print("| method |" + "".join(f" {name.upper()} |" for name in COLUMNS))
        print("|---|" + "---|" * len(COLUMNS))
        for name in chosen(methods, args.best, set(filter(None, args.also.split(",")))):
            title = f"`{name}`" if methods[name]["kind"] == "indicator" else f"**`{name}`**"
            cells = "".join(
                f" {cell(methods[name]['scores'][of], digits)} |" for of, digits in COLUMNS.items()
            )
            print(f"| {title} |{cells}")
        curves = {name: points for name, points in metrics["learning_curve"].items() if points}
        print("\n| trained on |" + "".join(f" KROCC of `{name}` |" for name in curves))
        print("|---|" + "---|" * len(curves))
        for points in zip(*curves.values(), strict=True):
            cells = "".join(f" {cell(point['scores']['krocc'], COLUMNS['krocc'])} |" for point in points)
            print(f"| {points[0]['train_size']} |{cells}")


if __name__ == "__main__":
    main()
