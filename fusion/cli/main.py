"""The `fusion` command: reads arguments, calls the library, prints; nothing else."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fusion.cli.arguments import parser
from fusion.errors import FusionError
from fusion.settings import read_settings


def _space(args: argparse.Namespace) -> Any:
    from fusion.spaces import make_space

    return make_space(args.space, read_settings(args.space_set, "--space-set"))


def _archs(text: str, space: Any) -> list[str]:
    """Return the architectures named by `all`, `sample:N`, `sample:N:SEED`, or a file."""
    from fusion.pipeline.config import Architectures
    from fusion.pipeline.inputs import choose_architectures

    if text == "all":
        return choose_architectures(space, Architectures())
    if text.startswith("sample:"):
        numbers = text.split(":")[1:]
        if not all(number.isdigit() for number in numbers) or len(numbers) > 2:
            raise FusionError(f"--archs {text}: expected sample:N or sample:N:SEED")
        size, seed = (*(int(number) for number in numbers), 0)[:2]
        return choose_architectures(space, Architectures(sample=size, seed=seed))
    return choose_architectures(space, Architectures(file=text))


def _workers(args: argparse.Namespace) -> int:
    from fusion.work.devices import default_workers

    return args.workers or default_workers()


def _run(args: argparse.Namespace) -> None:
    from fusion.pipeline import load_pipeline, run_pipeline

    pipeline = load_pipeline(args.pipeline, args.set)
    out = args.out or Path("out") / Path(args.pipeline).stem
    summary = run_pipeline(pipeline, out)
    print(f"Report: {out / 'report.html'}", *summary, sep="\n")


def _measure(args: argparse.Namespace) -> None:
    from fusion.evaluation.metrics import split_half_reliability
    from fusion.images import load_images
    from fusion.storage.files import write_parquet
    from fusion.storage.parts import read_rows
    from fusion.training.measure import KEYS, accuracies, measure
    from fusion.training.recipe import load_recipe
    from fusion.work.devices import pick_device

    space = _space(args)
    measure(
        space,
        _archs(args.archs, space),
        load_images(args.images),
        load_recipe(args.recipe, read_settings(args.set, "--set")),
        args.out,
        workers=_workers(args),
        device=pick_device(args.device),
    )
    table = accuracies(read_rows(args.out, KEYS))  # with those of earlier calls
    write_parquet(args.out / "accuracies.parquet", table)
    seeds = table.filter(like="accuracy_seed_").to_numpy()
    print(f"{len(table)} architectures, {seeds.shape[1]} seeds each: {args.out / 'accuracies.parquet'}")
    if seeds.shape[1] > 1 and len(table) > 2:
        reliability = split_half_reliability(seeds)
        print(f"Split-half reliability (Spearman, Spearman-Brown corrected): {reliability:.3f}")


def _extract(args: argparse.Namespace) -> None:
    from fusion.extraction.table import extract, undefined
    from fusion.images import load_images
    from fusion.indicators import select
    from fusion.work.devices import pick_device

    space = _space(args)
    indicators = select(args.indicators)
    archs = _archs(args.archs, space)
    table = extract(
        space,
        archs,
        load_images(args.images).batch(args.batch_size, args.seed),
        indicators,
        args.out,
        images=args.images,
        repeats=args.repeats,
        seed=args.seed,
        device=pick_device(args.device),
        workers=_workers(args),
    )
    print(
        f"{len(archs)} architectures, {len(table)} different networks, "
        f"{len(indicators)} indicators: {args.out}"
    )
    if n := len(undefined(args.out)):
        print(f"{n} values are undefined; the column `status` says why")


def _fit(args: argparse.Namespace) -> None:
    from fusion.pipeline.steps import fit_files
    from fusion.pipeline.transfer import fit_group_files

    if len(args.indicators) > 1:
        lines = fit_group_files(args.indicators, args.accuracies, args.target, args.model, args.out)
    else:
        lines = fit_files(*_one_table(args), args.model, args.out)
    print(*lines, sep="\n")


def _one_table(args: argparse.Namespace) -> tuple[Path, Path, str]:
    if len(args.accuracies) > 1 or len(args.target) > 1:
        raise FusionError("one table takes one file of accuracies and one target")
    return args.indicators[0], args.accuracies[0], args.target[0]


def _predict(args: argparse.Namespace) -> None:
    from fusion.pipeline.steps import predict_files
    from fusion.work.devices import pick_device

    written = predict_files(
        args.model,
        args.archs,
        args.out,
        indicators=args.indicators,
        device=pick_device(args.device),
        workers=_workers(args),
        warn=lambda line: print(f"fusion: {line}", file=sys.stderr),
    )
    print(f"{written} architectures predicted: {args.out}")


def _evaluate(args: argparse.Namespace) -> None:
    from fusion.evaluation.transfer_report import compared
    from fusion.pipeline.steps import evaluate_files
    from fusion.pipeline.transfer import evaluate_group_files

    models = args.model.split(",")
    settings = {"train_size": args.train_size, "splits": args.splits, "seed": args.seed}
    if len(args.indicators) > 1:
        metrics = evaluate_group_files(
            args.indicators,
            args.accuracies,
            args.target,
            models,
            args.out,
            **settings,
            warn=lambda line: print(f"fusion: {line}", file=sys.stderr),
        )
        for name, of in metrics["groups"].items():
            print(f"\n{name}")
            rows = compared(of).items()
            _print_methods(
                {row if method in row else f"{row}: {method}": of["methods"][method] for row, method in rows}
            )
    else:
        metrics = evaluate_files(*_one_table(args), models, args.out, **settings)
        found = metrics["methods"].items()
        _print_methods(dict(sorted(found, key=lambda item: -(item[1]["srocc"]["mean"] or -2))))
    print(f"Report: {args.out / 'report.html'}")


def _print_methods(methods: dict[str, Any]) -> None:
    width = max(18, *(len(name) + 2 for name in methods))
    print(f"{'method':<{width}}{'PLCC':>8}{'RMSE':>8}{'SROCC':>8}{'KROCC':>8}")
    for name, found in methods.items():
        values = [found[metric]["mean"] for metric in ("plcc", "rmse", "srocc", "krocc")]
        print(f"{name:<{width}}" + "".join("       -" if v is None else f"{v:8.3f}" for v in values))


def _search(args: argparse.Namespace) -> None:
    from fusion.pipeline.config import SearchSettings
    from fusion.pipeline.steps import search_files
    from fusion.work.devices import pick_device

    settings = SearchSettings(
        model=args.model,
        budget=args.budget,
        initial=args.initial,
        rounds=args.rounds,
        candidates=args.candidates,
        repeats=args.repeats,
        seed=args.seed,
    )
    found = search_files(
        args.indicators,
        args.accuracies,
        args.target,
        settings,
        args.out,
        images=args.images,
        device=pick_device(args.device),
        workers=_workers(args),
    )
    for name, method in found["methods"].items():
        print(f"{name:<22} mean best {method['mean_best']:.3f}, best {method['best'][0]['arch']}")
    print(f"optimum {found['optimum']:.3f}; {args.out / 'search.json'}")


def _score(args: argparse.Namespace) -> None:
    from fusion.extraction.score import lines, load_network, score
    from fusion.images import load_images
    from fusion.storage.files import write_atomic

    network = load_network(args.network, read_settings(args.args, "--args"))
    batch = load_images(args.images).batch(args.batch_size, args.seed)
    table = score(network, batch, args.indicators, seed=args.seed, device=args.device)
    if args.out:
        write_atomic(args.out, table.to_csv().encode())
    if args.json:
        rows = table.astype(object).where(table.notna(), None).reset_index().to_dict("records")
        print(json.dumps(rows, indent=1))
        return
    print(*lines(table), sep="\n")


def _check_space(args: argparse.Namespace) -> None:
    from fusion.extraction.check import check_space, lines

    def passed(name: str, number: int) -> None:
        print(f"{name:<20} {f'ok  {number} checked' if number else '-   nothing to check'}")

    findings = check_space(_space(args), args.sample, args.seed, passed=passed)
    if findings:
        print(*lines(findings), sep="\n")
        raise FusionError(f"space {args.space} has {len(findings)} findings")
    print(f"space {args.space}: every property holds")


def _list(args: argparse.Namespace) -> None:
    from fusion.cli.catalogue import catalogue, page

    if args.markdown:
        print(page(args.what), end="")
        return
    rows = catalogue(args.what)
    if args.json:
        print(json.dumps(rows, indent=1))
        return
    width = max(len(row["name"]) for row in rows)
    for row in rows:
        print(f"{row['name']:<{width}}  {row['summary']}")


COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "run": _run,
    "measure": _measure,
    "extract": _extract,
    "fit": _fit,
    "predict": _predict,
    "evaluate": _evaluate,
    "search": _search,
    "score": _score,
    "check-space": _check_space,
    "list": _list,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 after a one-line message for bad input, 130 when interrupted."""
    args = parser().parse_args(argv)
    try:
        COMMANDS[args.command](args)
    except FusionError as error:
        print(f"fusion: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fusion: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    return 0
