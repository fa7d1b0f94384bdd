"""The `fusion` command: reads arguments, calls the library, prints; nothing else."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fusion.errors import FusionError
from fusion.settings import read_settings
from fusion.storage.files import discard

if TYPE_CHECKING:
    from fusion.benchmarks.source import AccuracySettings
    from fusion.spaces import Space
    from fusion.tables import Costs, Labelled
    from fusion.work import Work


# Terms of a model's formula that are printed; `predictor.equation()` has them all.
_TERMS = 12


def _told(lines: Iterable[str]) -> None:
    """Print what a user should know beside the result, on standard error."""
    for line in lines:
        print(f"fusion: {line}", file=sys.stderr)


def _space(args: argparse.Namespace) -> Space:
    from fusion.spaces import make_space

    return make_space(args.space, read_settings(args.space_set, "--space-set"))


def _archs(args: argparse.Namespace, space: Space) -> list[str]:
    from fusion.tables.choosing import named_architectures

    return named_architectures(space, args.archs, args.arch_column)


def _work(args: argparse.Namespace) -> Work:
    from fusion.work import Work

    return Work(args.device, args.workers)


def _data(args: argparse.Namespace) -> list[Labelled]:
    """Return each table with its accuracies."""
    from fusion.benchmarks.source import load_accuracies
    from fusion.tables import IndicatorTable, Labelled

    given = (args.indicators, args.accuracies or [], args.target)
    tables, files, targets = (one if isinstance(one, list) else [one] for one in given)
    if len(tables) == 1 and len(files) + len(targets) > 2:
        raise FusionError("one table takes one file of accuracies and one target")
    if len(files) != len(tables) or len(targets) not in (1, len(tables)):
        raise FusionError(
            f"{len(tables)} tables, {len(files)} files of accuracies and {len(targets)} targets; "
            "give one of each per table (a single target serves all)"
        )
    data = []
    for path, file, target in zip(tables, files, targets * (len(tables) // len(targets)), strict=True):
        table = IndicatorTable.open(path, args.space)
        accuracies = load_accuracies(_accuracies(args, file, target), table.space)
        data.append(Labelled.join(table, accuracies, costs=_costs(args, table.space)))
    return data


def _costs(args: argparse.Namespace, space: Space) -> Costs | None:
    from fusion.storage.bundled import find
    from fusion.tables import read_costs

    if not getattr(args, "costs", None):
        return None
    if len(args.indicators) > 1:
        raise FusionError("--costs goes with one table; evaluate the tables one by one")
    path, *columns = args.costs
    return read_costs(find(path), space, columns, arch_column=args.arch_column)


def _accuracies(args: argparse.Namespace, file: Path, target: str) -> AccuracySettings:
    from fusion.benchmarks.source import AccuracySettings

    return AccuracySettings(
        table=str(file), column=target, arch_column=args.arch_column, lower_is_better=args.lower_is_better
    )


def _given(args: argparse.Namespace, settings: type[Any]) -> dict[str, Any]:
    """Return the settings that were given."""
    return {field.name: getattr(args, field.name) for field in fields(settings) if hasattr(args, field.name)}


def _run(args: argparse.Namespace) -> None:
    from fusion.pipeline import load_pipeline, run_pipeline

    pipeline = load_pipeline(args.pipeline, args.set)
    out = args.out or Path("out") / Path(args.pipeline).stem
    done = run_pipeline(pipeline, out, space=args.space)
    print(*done.lines(), sep="\n")


def _measure(args: argparse.Namespace) -> None:
    import numpy as np

    from fusion.evaluation import split_half_reliability
    from fusion.training import load_recipe, measure

    space = _space(args)
    recipe = load_recipe(args.recipe, read_settings(args.set, "--set"))
    found = measure(
        space, _archs(args, space), images=args.images, recipe=recipe, out=args.out, work=_work(args)
    )
    seeds = np.array([one.by_seed for one in found.trained])
    print(f"{len(seeds)} architectures, {seeds.shape[1]} seeds each: {args.out / 'accuracies.parquet'}")
    if seeds.shape[1] > 1 and len(seeds) > 2:
        reliability = split_half_reliability(seeds)
        print(f"Split-half reliability (Spearman, Spearman-Brown corrected): {reliability:.3f}")


def _extract(args: argparse.Namespace) -> None:
    from fusion.extraction import estimate, extract
    from fusion.extraction.cost import lines
    from fusion.images import load_images
    from fusion.indicators import select

    space, names = _space(args), select(args.indicators)
    archs = _archs(args, space)
    asked: dict[str, Any] = {
        "images": load_images(args.images).batch(args.batch_size, args.seed),
        "out": args.out,
        "repeats": args.repeats,
        "seed": args.seed,
        "work": _work(args),
    }
    if args.estimate:
        print(*lines(estimate(space, archs, names, **asked)), sep="\n")
        return
    table = extract(space, archs, names, **asked)
    print(
        f"{len(archs)} architectures, {len(table.keys or ())} different networks, "
        f"{len(names)} indicators: {args.out}",
        *(table.remarks() if table.store.touched else ()),
        sep="\n",
    )
    if table.store.touched and len(table.empty()) == len(names):
        raise FusionError(f"{args.out}: no indicator has a value for any architecture; see the reasons above")


def _fit(args: argparse.Namespace) -> None:
    from fusion.regression import Predictor, fit
    from fusion.storage.bundled import find_model
    from fusion.tables import IndicatorTable

    alone = args.accuracies is None and len(args.indicators) == 1
    what = IndicatorTable.open(args.indicators[0], args.space) if alone else _data(args)
    beside = None if args.beside is None else Predictor.load(find_model(args.beside), args.space)
    predictor = fit(what, args.model, beside=beside)
    predictor.save(args.out)
    print(f"{args.model} fitted on {predictor.learned_from}: {args.out}", *predictor.notes, sep="\n")
    if predictor.by_group or not predictor.architectures:
        print(f"it predicts the {predictor.target}")
    if equation := predictor.equation(_TERMS):
        print(equation)


def _predict(args: argparse.Namespace) -> None:
    from fusion.regression import WithinSettings
    from fusion.regression.predict_file import answer_file, within_file
    from fusion.storage.files import check_frame_name, write_frame

    check_frame_name(args.out)
    rows = (args.archs, args.arch_column)
    by: dict[str, Any] = {"out": args.out.with_name(f"{args.out.stem}-indicators"), "work": _work(args)}
    if args.within:
        if missing := [f"--{name}" for name in ("space", "accuracies", "images") if not getattr(args, name)]:
            raise FusionError(f"--within also needs {', '.join(missing)}")
        known, settings = _accuracies(args, args.accuracies, args.target), _given(args, WithinSettings)
        by |= {"images": args.images, "within": args.within, "settings": WithinSettings(**settings)}
        found = within_file(_space(args), rows, known, **by)
    else:
        given = {"accuracies": args.accuracies, "lower-is-better": args.lower_is_better}
        given |= {"target": args.target != "accuracy", "space-set": args.space_set}
        given |= {name.replace("_", "-"): name in args for name in ("batch_size", "seed", "beside")}
        if alone := [f"--{name}" for name, value in given.items() if value]:
            raise FusionError(f"{', '.join(alone)}: only with --within, which learns from accuracies")
        by |= {name: getattr(args, name, None) for name in ("indicators", "space", "interval", "images")}
        found = answer_file(args.model, rows, **by)
    _told(found.told)
    write_frame(args.out, found.frame)
    if args.front:
        write_frame(args.out, found.with_fronts(args.front).frame)
    print(*found.lines[:-1], f"{found.lines[-1]}: {args.out}", sep="\n")


def _explain(args: argparse.Namespace) -> None:
    from fusion.evaluation.explanation_figure import check_figure_name, write_explanation_figure
    from fusion.regression import Predictor
    from fusion.storage.documents import write_json
    from fusion.tables import IndicatorTable

    if args.figure:
        check_figure_name(args.figure)
    predictor = Predictor.load(args.model, args.space)
    args.lower_is_better |= predictor.lower_is_better
    data = _data(args)[0] if args.accuracies else IndicatorTable.open(args.indicators, args.space)
    found = predictor.explain(data, args.arch)
    print(*found.lines(), sep="\n")
    if args.out:
        write_json(args.out, found.to_json())
    if args.figure:
        write_explanation_figure(args.figure, found)


def _evaluate(args: argparse.Namespace) -> None:
    from fusion.evaluation import Judging, Transfer, evaluate
    from fusion.evaluation.words import front_lines, held_lines, method_lines, size_lines, strength_lines

    make = Judging.literature if args.protocol else Judging
    settings, models = make(**_given(args, Judging)), args.model.split(",")
    found = evaluate(_data(args), models, settings=settings, workers=args.workers)
    found.write(args.out)
    if isinstance(found, Transfer):
        for name, of in found.groups.items():
            cells = {row.name: row.groups[name] for row in found.summary if name in row.groups}
            methods = {row: of.methods[cell.method] for row, cell in cells.items()}
            print(f"\n{name}", *method_lines(methods), sep="\n")
    else:
        told = (strength_lines, held_lines, front_lines, size_lines)
        print(*(line for lines in told for line in lines(found)), sep="\n")
    _told([*found.notes, *found.warnings])
    print(f"Report: {args.out / 'report.html'}")


def _search(args: argparse.Namespace) -> None:
    from fusion.extraction import attach
    from fusion.search import Growing, SearchSettings, search
    from fusion.storage.documents import write_json
    from fusion.storage.files import make_folder

    (data,) = _data(args)
    settings = SearchSettings(**_given(args, SearchSettings))
    more = None
    if args.images is not None:
        more = Growing(attach(data.table, args.images, _work(args)).extend)
    found = search(data, args.model, settings, more=more)
    make_folder(args.out)
    write_json(args.out / "search.json", found.to_json())
    sign = -1 if args.lower_is_better else 1
    for name, method in found.methods.items():
        print(f"{name:<22} mean best {sign * method.mean_best:.6g}, best {method.best[0].arch}")
    print(f"{found.best_of} {sign * found.best_known:.6g}; {args.out / 'search.json'}")


def _score(args: argparse.Namespace) -> None:
    from fusion.extraction.scoring import lines, load_network, score
    from fusion.images import load_images
    from fusion.storage.files import write_frame

    network = load_network(args.network, read_settings(args.args, "--args"))
    batch = load_images(args.images).batch(args.batch_size, args.seed)
    table = score(network, batch, args.indicators, seed=args.seed, device=args.device)
    if args.out:
        write_frame(args.out, table.reset_index())
    if args.json:
        rows = table.astype(object).where(table.notna(), None).reset_index().to_dict("records")
        print(json.dumps(rows, indent=1))
        return
    print(*lines(table), sep="\n")


def _check_space(args: argparse.Namespace) -> None:
    from fusion.extraction.check import check_space, lines

    def passed(name: str, number: int, note: str) -> None:
        checked = f"ok  {number} checked" if number else "-   nothing to check"
        print(f"{name:<20} {checked}{note and f'; {note}'}")

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
    command.__name__[1:].replace("_", "-"): command
    for command in (
        *(_run, _measure, _extract, _fit, _predict, _explain, _evaluate, _search, _score),
        *(_check_space, _list),
    )
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return 0, 1 after a one-line message for bad input, 130 when interrupted."""
    try:
        from fusion.cli.arguments import parser  # whose defaults import much: what fails then is told too

        given = sys.argv[1:] if argv is None else argv
        args = parser(next((word for word in given if not word.startswith("-")), None)).parse_args(given)
        COMMANDS[args.command](args)
        sys.stdout.flush()
    except FusionError as error:
        print(f"fusion: {' '.join(str(error).split())}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("fusion: interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read the output has seen enough; the work is done
        discard(sys.stdout)
    return 0
