"""The options of the `fusion` command."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fusion
from fusion.storage.bundled import find, find_model

if TYPE_CHECKING:
    from fusion.evaluation import Judging
    from fusion.search import SearchSettings

SPACE = "name (see `fusion list spaces`), or a class of your own as file.py:Class or module:Class"
OWN_SPACE = "class of a space of your own, as file.py:Class or module:Class; a table or model imports none"
MODEL = "folder that `fusion fit` wrote, or a name of `fusion list shipped`"
ARCHS = (
    "file (CSV or Parquet with a column `arch`, or one a line), all, sample:N, sample:N:SEED, a pattern "
    "of names such as 'timm:*resnet*', or one architecture"
)


def parser(wanted: str | None = None) -> argparse.ArgumentParser:
    """Return the parser of the command line; the name of the command is in `command`.

    Parameters
    ----------
    wanted : str, optional
        The command whose options are needed: those of others, and what they import, are left out.
    """
    top = argparse.ArgumentParser(
        prog="fusion", description="Training-free indicators of neural architectures, fused into accuracies."
    )
    top.add_argument("--version", action="version", version=f"fusion {fusion.__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="command")
    for name, (text, options) in _COMMANDS.items():
        sub = commands.add_parser(name, help=text, description=text)
        if name == wanted:
            options(sub)
    return top


def _run(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("pipeline", help="YAML file, or the name of a bundled pipeline")
    sub.add_argument("--out", type=Path, help="folder for the results (default: out/NAME)")
    sub.add_argument("--space", help=OWN_SPACE)
    _pairs(sub, "--set", "override keys")


def _measure(sub: argparse.ArgumentParser) -> None:
    _from_space(sub)
    sub.add_argument("--recipe", help="YAML file of how they are trained (see docs/measure.md)")
    _pairs(sub, "--set", "keys of the recipe")
    _by(sub)


def _extract(sub: argparse.ArgumentParser) -> None:
    _from_space(sub)
    _passes(sub)
    sub.add_argument("--repeats", type=int, default=1, help="initialisations per architecture")
    sub.add_argument("--estimate", action="store_true", help="say what it would take, and compute nothing")
    _by(sub)


def _fit(sub: argparse.ArgumentParser) -> None:
    _from_table(sub, "auto", "see `fusion list models`; default: auto", labelled=False)
    _beside(sub)


def _predict(sub: argparse.ArgumentParser) -> None:
    way = sub.add_mutually_exclusive_group(required=True)
    way.add_argument("--model", type=find_model, help=MODEL)
    way.add_argument("--within", metavar="TIME", help="without a model: all is done until then, such as 30m")
    sub.add_argument("--indicators", type=find, help="indicator table; without it they are extracted")
    sub.add_argument("--archs", required=True, help=ARCHS + "; other columns are kept")
    sub.add_argument("--arch-column", help="column of the architectures")
    sub.add_argument("--space", help=f"{OWN_SPACE}; with --within any space")
    sub.add_argument("--images", help="where the model's images lie here, to extract from; with --within any")
    share = "such as 0.9: ends between which so many accuracies lie"
    sub.add_argument("--interval", type=float, default=argparse.SUPPRESS, help=share)
    front = "costs, columns of the file of architectures: says which are on the Pareto front against each"
    sub.add_argument("--front", nargs="+", default=[], metavar="COLUMN", help=front)
    sub.add_argument("--out", required=True, type=Path, help="CSV or Parquet file to write")
    _by(sub)
    within = sub.add_argument_group("with --within")
    within.add_argument("--accuracies", type=find, help="plain table, or a folder of `fusion measure`")
    within.add_argument("--target", default="accuracy", help="column of the accuracies (default: accuracy)")
    within.add_argument("--lower-is-better", action="store_true", help="the target is an error or a loss")
    _pairs(within, "--space-set", "settings of the space")
    within.add_argument("--batch-size", type=int, default=argparse.SUPPRESS, help="images of the mini-batch")
    within.add_argument("--seed", type=int, default=argparse.SUPPRESS)
    _beside(within, default=argparse.SUPPRESS)


def _explain(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--model", required=True, type=find_model, help=MODEL)
    sub.add_argument("--indicators", required=True, type=find, help="indicator table, as the model's")
    sub.add_argument("--accuracies", type=find, help="plain table, best of what the model did not learn from")
    sub.add_argument("--target", default="accuracy", help="column of the accuracies (default: accuracy)")
    sub.add_argument("--arch-column", help="column of the architectures")
    sub.add_argument("--lower-is-better", action="store_true", help="the target is an error or a loss")
    sub.add_argument("--arch", help="architecture of the table: why it is predicted as it is")
    sub.add_argument("--space", help=OWN_SPACE)
    sub.add_argument("--out", type=Path, help="JSON file to write too")
    sub.add_argument("--figure", type=Path, help="bar chart to write too, .png or .svg")


def _evaluate(sub: argparse.ArgumentParser) -> None:
    from fusion.evaluation import DEFAULT_MODELS, Judging

    models = ",".join(DEFAULT_MODELS)
    _from_table(sub, models, f"one or more, comma-separated; default: {models}")
    costs = "table of costs by architecture, and its columns (default: all numbers), for the Pareto fronts"
    sub.add_argument("--costs", nargs="+", metavar=("FILE", "COLUMN"), help=costs)
    sub.add_argument("--protocol", choices=["literature"], help="defaults as of publications on predictors")
    _numbers(sub, Judging())
    sub.add_argument("--workers", type=int, default=1, help="processes; 0 is one per core (default: 1)")


def _search(sub: argparse.ArgumentParser) -> None:
    from fusion.search import PREDICTOR, SearchSettings

    _from_table(sub, PREDICTOR, "the predictor; default: auto, without its slower members", several=False)
    sub.add_argument("--images", help="the table's images, to look beyond what is in the table")
    _numbers(sub, SearchSettings())
    _by(sub)


def _score(sub: argparse.ArgumentParser) -> None:
    from fusion.work import Work

    sub.add_argument("network", help="module:name or file.py:name: an nn.Module or a function returning one")
    _pairs(sub, "--args", "arguments of the function")
    sub.add_argument("--images", required=True, help="as for extract, or noise:CHANNELSxHEIGHTxWIDTH")
    _passes(sub)
    sub.add_argument("--device", default=Work.device, help="auto, cpu, cuda or cuda:N (default: auto)")
    sub.add_argument("--json", action="store_true")
    sub.add_argument("--out", type=Path, help="CSV file to write too")


def _check_space(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("space", help=SPACE)
    _pairs(sub, "--space-set", "settings of the space")
    sub.add_argument("--sample", type=int, default=20, help="architectures to examine (default: 20)")
    sub.add_argument("--seed", type=int, default=0)


def _list(sub: argparse.ArgumentParser) -> None:
    sub.add_argument(
        "what",
        help="spaces, indicators, probes, models, shipped, metrics, benchmarks, searches or pipeline-keys",
    )
    form = sub.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true")
    form.add_argument("--markdown", action="store_true", help="the page of the documentation")


def _pairs(sub: argparse._ActionsContainer, option: str, text: str) -> None:
    sub.add_argument(option, nargs="+", default=[], action="extend", metavar="KEY=VALUE", help=text)


def _beside(sub: argparse._ActionsContainer, default: str | None = None) -> None:
    beside = "model of several tables, such as zero: what spaces like this one taught comes first"
    sub.add_argument("--beside", default=default, help=beside)


def _by(sub: argparse.ArgumentParser) -> None:
    from fusion.work import Work

    sub.add_argument("--device", default=Work.device, help="auto, cpu, cuda or cuda:N (default: auto)")
    sub.add_argument("--workers", type=int, default=Work.workers, help="processes (default: one per core)")


def _passes(sub: argparse.ArgumentParser) -> None:
    from fusion.extraction.verb import BATCH_SIZE

    sub.add_argument("--indicators", default="standard", help="preset, or comma-separated names")
    sub.add_argument("--batch-size", type=int, default=BATCH_SIZE)
    sub.add_argument("--seed", type=int, default=0)


def _from_space(sub: argparse.ArgumentParser) -> None:
    sub.add_argument("--space", required=True, help=SPACE)
    _pairs(sub, "--space-set", "settings of the space")
    sub.add_argument("--archs", required=True, help=ARCHS)
    sub.add_argument("--arch-column", help="column of the architectures")
    sub.add_argument("--images", required=True, help="digits, or a CIFAR folder, an .npz, an image folder")
    sub.add_argument("--out", required=True, type=Path)


def _from_table(
    sub: argparse.ArgumentParser, model: Any, models: str, *, several: bool = True, labelled: bool = True
) -> None:
    nargs: Any = "+" if several else 1
    more = "; several are groups, normalised each by itself" if several else ""
    accuracies = "plain table, or a folder that `fusion measure` wrote"
    accuracies += (", one per table" if several else "") + ("" if labelled else "; without, the model ranks")
    target = "column of the accuracies" + (", one for all or one each" if several else "")
    table = f"folder that `fusion extract` wrote{more}"
    sub.add_argument("--indicators", required=True, type=find, help=table, nargs=nargs)
    sub.add_argument("--accuracies", required=labelled, type=find, help=accuracies, nargs=nargs)
    sub.add_argument("--target", default=["accuracy"], help=f"{target} (default: accuracy)", nargs=nargs)
    sub.add_argument("--arch-column", help="column of the architectures")
    sub.add_argument("--lower-is-better", action="store_true", help="the target is an error or a loss")
    sub.add_argument("--space", help=OWN_SPACE)
    sub.add_argument("--model", default=model, help=models)
    sub.add_argument("--out", required=True, type=Path)


def _numbers(sub: argparse.ArgumentParser, defaults: Judging | SearchSettings) -> None:
    """Add an option for each setting; one that is not given is left out of the arguments."""
    for field in fields(defaults):
        value = getattr(defaults, field.name)
        kind: Any = {"type": str if isinstance(value, str) else int}
        if isinstance(value, bool):
            kind = {"action": argparse.BooleanOptionalAction}
        elif field.name == "train_sizes":
            kind["nargs"] = "+"
        told = f"default: {'what fits' if value is None else value}"
        sub.add_argument(f"--{field.name.replace('_', '-')}", default=argparse.SUPPRESS, help=told, **kind)


_COMMANDS: dict[str, tuple[str, Callable[[argparse.ArgumentParser], None]]] = {
    "run": ("Run a pipeline from architectures to report.", _run),
    "measure": ("Train architectures over several seeds and record their accuracies.", _measure),
    "extract": ("Compute indicators into a table; goes on where it was stopped.", _extract),
    "fit": ("Fit a fusion model on an indicator table and measured accuracies.", _fit),
    "predict": ("Predict accuracies with a fitted model.", _predict),
    "explain": ("Say what carries a fitted model's predictions, and why one is as it is.", _explain),
    "evaluate": ("Judge models and single indicators on held-out architectures.", _evaluate),
    "search": ("Search a space with a predictor, and without one for comparison.", _search),
    "score": ("Compute the indicators of any one network.", _score),
    "check-space": ("Check that a space has the properties that all else relies on.", _check_space),
    "list": ("List what there is.", _list),
}
