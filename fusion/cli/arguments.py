"""The options of the `fusion` command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import fusion
from fusion.storage.bundled import find


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line; the name of the command is in `command`."""
    top = argparse.ArgumentParser(
        prog="fusion", description="Training-free indicators of neural architectures, fused into accuracies."
    )
    top.add_argument("--version", action="version", version=f"fusion {fusion.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="command")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    def passes(sub: argparse.ArgumentParser) -> None:
        sub.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
        sub.add_argument("--workers", type=int, default=0, help="processes (default: one per core)")

    def space_settings(sub: argparse.ArgumentParser) -> None:
        sub.add_argument(
            "--space-set", nargs="+", default=[], metavar="KEY=VALUE", help="settings of the space"
        )

    def from_space(sub: argparse.ArgumentParser, archs: str) -> None:
        sub.add_argument("--space", required=True, help=space)
        space_settings(sub)
        sub.add_argument("--archs", required=True, help=archs)
        sub.add_argument(
            "--images", required=True, help="digits, or a CIFAR folder, an .npz, an image folder"
        )
        sub.add_argument("--out", required=True, type=Path)

    def from_table(sub: argparse.ArgumentParser, model: str, *, several: bool = True) -> None:
        nargs: Any = {"nargs": "+"} if several else {}
        more = "; several are groups, normalised each by itself" if several else ""
        table = f"folder that `fusion extract` wrote{more}"
        accuracies = "Parquet or CSV with a column `arch`" + (", one per table" if several else "")
        target = "column of the accuracies" + (", one for all or one each" if several else "")
        sub.add_argument("--indicators", required=True, type=find, help=table, **nargs)
        sub.add_argument("--accuracies", required=True, type=Path, help=accuracies, **nargs)
        sub.add_argument("--target", required=True, help=target, **nargs)
        sub.add_argument("--model", required=True, help=model)
        sub.add_argument("--out", required=True, type=Path)

    space = "name (see `fusion list spaces`), or a class of your own as file.py:Class or module:Class"
    archs = "file (CSV or Parquet with a column `arch`, or one a line), all, sample:N or sample:N:SEED"

    sub = command("run", "Run a pipeline from architectures to report.")
    sub.add_argument("pipeline", help="YAML file, or the name of a bundled pipeline")
    sub.add_argument("--out", type=Path, help="folder for the results (default: out/NAME)")
    sub.add_argument(
        "--set", nargs="+", default=[], action="extend", metavar="KEY=VALUE", help="override keys"
    )

    sub = command("measure", "Train architectures over several seeds and record their accuracies.")
    from_space(sub, archs)
    sub.add_argument("--recipe", help="YAML file of how they are trained (see docs/measure.md)")
    sub.add_argument(
        "--set", nargs="+", default=[], action="extend", metavar="KEY=VALUE", help="keys of the recipe"
    )
    passes(sub)

    sub = command("extract", "Compute indicators into a table; goes on where it was stopped.")
    from_space(sub, archs)
    sub.add_argument(
        "--indicators",
        default="standard",
        help="preset (structure, fast, standard, full, fi) or comma-separated names",
    )
    sub.add_argument("--batch-size", type=int, default=64)
    sub.add_argument("--repeats", type=int, default=1, help="initialisations per architecture")
    sub.add_argument("--seed", type=int, default=0)
    passes(sub)

    sub = command("fit", "Fit a fusion model on an indicator table and measured accuracies.")
    from_table(sub, "see `fusion list models`")

    sub = command("predict", "Predict accuracies with a fitted model.")
    sub.add_argument("--model", required=True, type=find, help="folder that `fusion fit` wrote")
    sub.add_argument("--indicators", type=find, help="indicator table; without it they are extracted")
    sub.add_argument("--archs", required=True, type=find, help="CSV or Parquet with a column `arch`")
    sub.add_argument("--out", required=True, type=Path, help="CSV file to write")
    passes(sub)

    sub = command("evaluate", "Judge models and single indicators on held-out architectures.")
    from_table(sub, "one or more, comma-separated")
    sub.add_argument("--train-size", type=int, default=100)
    sub.add_argument("--splits", type=int, default=10)
    sub.add_argument("--seed", type=int, default=0)

    sub = command("search", "Search a space with a predictor, and without one for comparison.")
    from_table(sub, "the predictor", several=False)
    sub.add_argument("--images", help="the table's images, to look beyond what is in the table")
    for name, default in (
        ("budget", 50),
        ("initial", 20),
        ("rounds", 3),
        ("candidates", 100),
        ("repeats", 5),
    ):
        sub.add_argument(f"--{name}", type=int, default=default)
    sub.add_argument("--seed", type=int, default=0)
    passes(sub)

    sub = command("score", "Compute the indicators of any one network.")
    sub.add_argument("network", help="module:name or file.py:name: an nn.Module or a function returning one")
    sub.add_argument("--args", nargs="+", default=[], metavar="KEY=VALUE", help="arguments of the function")
    sub.add_argument("--images", required=True, help="as for extract, or noise:CHANNELSxHEIGHTxWIDTH")
    sub.add_argument("--indicators", default="standard", help="as for extract")
    sub.add_argument("--batch-size", type=int, default=64)
    sub.add_argument("--seed", type=int, default=0)
    sub.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: auto)")
    sub.add_argument("--json", action="store_true")
    sub.add_argument("--out", type=Path, help="CSV file to write too")

    sub = command("check-space", "Check that a space has the properties that all else relies on.")
    sub.add_argument("space", help=space)
    space_settings(sub)
    sub.add_argument("--sample", type=int, default=20, help="architectures to examine (default: 20)")
    sub.add_argument("--seed", type=int, default=0)

    sub = command("list", "List what there is.")
    sub.add_argument(
        "what", help="spaces, indicators, probes, models, metrics, benchmarks, searches or pipeline-keys"
    )
    form = sub.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--markdown", action="store_true", help="the page of the documentation")
    return top
