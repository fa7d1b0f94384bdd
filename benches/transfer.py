"""Judge what other spaces teach, by how many there are and by how many accuracies a space has itself.

    python benches/accuracy_tables.py --data DIR --out ACCURACIES
    python benches/transfer.py --accuracies ACCURACIES [--draws 3] [--figure docs/transfer.png] [SPACE ...]

Each space is judged in turn, by SROCC on all its architectures that were not trained on, without their twins.
Without its accuracies: the consensus of indicators, and what the others taught (`fusion.fit` of several
tables; where none is like it, that is the consensus again). With 10 and 50 of them: `auto` on these alone,
and `beside` the others. How it grows: with 1, 2 and 4 of the others, drawn at random, and with all.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

import fusion
from fusion.evaluation.drawing import COLOURS, MUTED, picture, style, subplots
from fusion.regression.auto.prior import write_weights
from fusion.regression.groups import Group, grouped
from fusion.regression.kin import ALIKE
from fusion.regression.spec import ModelSpec
from fusion.regression.within_table import WithinTable, fit_unlabelled
from fusion.seeding import derive_seed
from fusion.storage.files import write_atomic
from fusion.tables import Labelled

TABLES = {
    **{
        name: f"data/{name}-cifar10/indicators" for name in ("nats-tss", "nats-sss", "nas-bench-101", "darts")
    },
    **{
        f"nds-{name}": f"data/nds/{name}"
        for name in ("darts", "enas", "nasnet", "pnas", "amoeba", "resnext-a", "resnext-b")
    },
}
TAUGHT = (1, 2, 4)
SIZES = (0, 10, 50)


def judged(predicted: pd.Series, data: Labelled, without: Sequence[str] = ()) -> float:
    """Return the SROCC of predictions by key, on the architectures that are no twins of some."""
    twins = set(data.twins[list(without)])
    rest = data.y[[twin not in twins for twin in data.twins]]
    return float(spearmanr(predicted[data.keys[rest.index]], rest).statistic)


def some(data: Labelled, size: int, draw: int) -> list[str]:
    """Return architectures drawn at random."""
    rng = np.random.default_rng(derive_seed("transfer", data.space.name, size, draw))
    return [str(arch) for arch in data.X.index[rng.permutation(len(data.y))[:size]]]


def with_labels(data: Labelled, taught: Mapping[str, float], size: int, draw: int) -> float:
    """Return the SROCC of `auto` on a few accuracies, and on what others taught."""
    archs = some(data, size, draw)
    few = Labelled.join(data.table, data.accuracies, archs=archs)
    spec = ModelSpec("auto", params={"taught": write_weights(taught)})
    predicted = fusion.fit(few, spec).predict(data.table)
    assert isinstance(predicted, pd.Series)
    return judged(predicted, data, archs)


def without_labels(data: Labelled, model: WithinTable | None) -> float:
    """Return the SROCC of what a model of other tables says, or of the consensus."""
    made = fit_unlabelled(data.table, ModelSpec("auto")) if model is None else model.fit(data.table)
    values = data.table.values([*made.features])
    return judged(pd.Series(made.predict(values), values.index), data)


def model_of(groups: Sequence[Group], datas: Sequence[Labelled]) -> WithinTable:
    """Return what several tables teach."""
    versions = {
        name: version for data in datas for name, version in data.table.meta["indicator_versions"].items()
    }
    return WithinTable.of(ModelSpec("auto"), (), groups, versions)


def rows(
    name: str, datas: Mapping[str, Labelled], groups: Mapping[str, Group], draws: int
) -> Iterator[dict[str, str | int | float]]:
    """Yield what each number of other spaces gives on one space, with each number of its accuracies."""
    data = datas[name]
    others = [other for other in datas if other != name]
    for size in SIZES:
        for draw in range(draws if size else 1):
            alone = with_labels(data, {}, size, draw) if size else without_labels(data, None)
            yield {"space": name, "size": size, "taught": 0, "alike": 0, "srocc": alone}
            for count in (*TAUGHT, len(others)):
                repeats = 1 if size or count == len(others) else draws
                for again in range(repeats):
                    rng = np.random.default_rng(derive_seed("others", name, count, draw + again))
                    drawn = [others[i] for i in sorted(rng.permutation(len(others))[:count])]
                    model = model_of([groups[one] for one in drawn], [datas[one] for one in drawn])
                    taught = model.taught(data.table)
                    alike = sum(of >= ALIKE for of in model.likenesses(data.table).values())
                    srocc = alone
                    if taught:
                        srocc = with_labels(data, taught, size, draw) if size else without_labels(data, model)
                    yield {"space": name, "size": size, "taught": count, "alike": alike, "srocc": srocc}


def table(found: pd.DataFrame, by: str) -> str:
    """Return the means as a Markdown table."""
    wide = found.pivot_table("srocc", by, ["size", "taught"], sort=False)
    head = [
        f"{size} own, {taught} taught"
        for size, taught in zip(*map(wide.columns.get_level_values, (0, 1)), strict=True)
    ]
    lines = [f"| {by} | " + " | ".join(head) + " |", "|---" * (len(head) + 1) + "|"]
    lines += [f"| `{name}` | " + " | ".join(f"{v:.3f}" for v in row) + " |" for name, row in wide.iterrows()]
    return "\n".join(lines)


def figure(found: pd.DataFrame, path: Path) -> None:
    """Draw the mean SROCC by the number of other spaces, a line for each number of own accuracies."""
    with style():
        drawing, (ax,) = subplots(1, 1, 3.2)
        for spaces, marker, line in ((True, "o", "-"), (False, "s", ":")):
            alike = found.groupby("space")["alike"].transform("max") > 0
            part = found[alike == spaces]
            for size, colour in zip(SIZES, (MUTED, *COLOURS), strict=False):
                mean = part[part["size"] == size].groupby("taught")["srocc"].mean()
                kind = "spaces with like ones" if spaces else "others"
                label = f"{size or 'no'} own accuracies, {kind}"
                ax.plot(mean.index, mean, color=colour, marker=marker, linestyle=line, label=label)
        ax.set(xlabel="other spaces taught, drawn at random", ylabel="mean SROCC")
        ax.set_xticks([0, *TAUGHT, 10])
        ax.grid(axis="y")
        ax.legend(fontsize=7, ncols=2, loc="lower right")
        write_atomic(path, picture(drawing, path.suffix[1:]))


def main() -> None:
    """Print the tables and draw the figure."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("spaces", nargs="*", default=[*TABLES])
    parser.add_argument("--accuracies", type=Path, required=True)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--figure", type=Path)
    args = parser.parse_args()
    datas = {}
    for name, path in TABLES.items():
        opened = fusion.load(path)
        assert isinstance(opened, fusion.IndicatorTable)
        datas[name] = opened.labelled(args.accuracies / f"{name}.csv")
    groups = dict(zip(datas, grouped(list(datas.values())), strict=True))
    parts = []
    for name in args.spaces:
        parts.append(pd.DataFrame(rows(name, datas, groups, args.draws)))
        last = parts[-1]
        print(table(last, "space").splitlines()[-1], f"alike {last['alike'].max()}", flush=True)
    found = pd.concat(parts)
    print(table(found, "space"))
    found["which"] = np.where(
        found.groupby("space")["alike"].transform("max") > 0, "with like ones", "others"
    )
    print(table(found, "which"))
    if args.figure:
        figure(found, args.figure)


if __name__ == "__main__":
    main()
