"""Plant faults in the upper floors, one at a time, and count those that the tests of the same folder catch.

    python benches/mutants.py                                       # all five folders, 400 mutants
    python benches/mutants.py --folders search --mutants 40 --seed 1

A mutant is one change that cosmic-ray makes to one place of the code (another operator or number; a
decorator, a keyword argument or a loop gone; a condition turned round; a check not called). As many
places as are asked for are drawn at random over all folders, with one mutant each, so that a place with
eleven possible changes weighs as much as one with a single change. Each mutant is tried in a copy of the
checkout, with the tests of the mirroring folder, which stop at the first failure. What is done stays in
`--out`: stopped, the same command goes on; once the code of a folder or its tests have changed, that
folder starts anew.

Prints the share that was caught; `--out`/report.md has the figure by file, and every survivor.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import random
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.modules import find_modules
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkItem, WorkResult
from joblib import Parallel, delayed
from mutant_operators import register
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("pipeline", "search", "evaluation", "regression", "tables")
COPIED, LINKED = ("fusion", "tests"), ("data", "docs", "models", "pipelines", "pyproject.toml", "README.md")
# `is` for `==` and the reverse: for names and None there is no difference that a test could see
EQUIVALENT = {
    f"core/ReplaceComparisonOperator_{one}" for one in ("Eq_Is", "Is_Eq", "NotEq_IsNot", "IsNot_NotEq")
}
# Shrinking a failing example to the smallest one can take minutes, and nobody reads it.
CONFTEST = """from hypothesis import Phase, settings

settings.register_profile("mutants", phases=[Phase.explicit, Phase.generate], database=None, deadline=None)
settings.load_profile("mutants")
"""


@dataclass(frozen=True)
class Tried:
    """One mutant and what became of it."""

    path: str
    line: int
    operator: str
    caught: bool
    diff: str


def command(folder: str) -> str:
    """Return the command that tries a mutant of a folder."""
    return f"{sys.executable} -m pytest -q -x -p no:cacheprovider -m 'not slow' tests/{folder}"


def digest(folder: str) -> str:
    """Return what a folder's results depend on: its code and its tests."""
    found = hashlib.sha256()
    for part in COPIED:
        for path in sorted((ROOT / part / folder).rglob("*.py")):
            found.update(path.relative_to(ROOT).as_posix().encode() + b"\0" + path.read_bytes())
    return found.hexdigest()[:16]


def copy_tree(to: Path) -> None:
    """Make a copy of the checkout in which files may be changed."""
    shutil.rmtree(to, ignore_errors=True)
    to.mkdir(parents=True)
    for name in COPIED:
        shutil.copytree(ROOT / name, to / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in LINKED:
        (to / name).symlink_to(ROOT / name)
    (to / "conftest.py").write_text(CONFTEST)


def in_annotations(path: Path, places: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return those of some places that lie in an annotation, which runs no code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        for field in ("annotation", "returns"):
            note = getattr(node, field, None)
            if isinstance(note, ast.expr):
                start, end = (note.lineno, note.col_offset), (note.end_lineno or 0, note.end_col_offset or 0)
                found |= {place for place in places if start <= place < end}
    return found


def by_place(database: WorkDB) -> Iterator[list[WorkItem]]:
    """Yield the mutants of each place of a folder's code, in a fixed order."""
    places: dict[tuple[Path, tuple[int, int]], list[WorkItem]] = {}
    for item in database.work_items:
        (mutation,) = item.mutations
        if mutation.operator_name not in EQUIVALENT:
            places.setdefault((mutation.module_path, mutation.start_pos), []).append(item)
    for path in {path for path, _ in places}:
        for place in in_annotations(ROOT / path, {start for of, start in places if of == path}):
            del places[path, place]
    for key in sorted(places):
        yield sorted(
            places[key], key=lambda item: (item.mutations[0].operator_name, item.mutations[0].occurrence)
        )


def trial(item: WorkItem, folder: str, tree: Path, limit: float) -> WorkResult:
    """Try one mutant in a copy of the checkout."""
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    return mutate_and_test(item.mutations, command(folder), limit)


def baseline(folder: str, tree: Path) -> float:
    """Return the seconds that the tests of a folder take; they must pass on the code as it is."""
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)
    start = time.perf_counter()
    outcome, output = run_tests(command(folder), 600)
    if outcome is not TestOutcome.SURVIVED:
        sys.exit(f"the tests of {folder} must pass, and there must be some, on the code as it is:\n{output}")
    return time.perf_counter() - start


def try_all(chosen: dict[str, list[WorkItem]], out: Path, jobs: int) -> None:
    """Try the mutants that have no result yet; results are kept as they come."""
    pending = []
    for folder, items in chosen.items():
        with use_db(session(out, folder)) as database:
            done = {job for job, _ in database.results}
        pending += [(folder, item) for item in items if item.job_id not in done]
    if not pending:
        return
    trees = [out / f"tree-{i}" for i in range(jobs)]
    for tree in trees:
        copy_tree(tree)
    limits = {folder: 20 + 3 * baseline(folder, trees[0]) for folder in dict(pending)}
    shares = [pending[i::jobs] for i in range(jobs)]
    Parallel(n_jobs=jobs)(
        delayed(try_share)(share, tree, limits, out, i == 0)
        for i, (share, tree) in enumerate(zip(shares, trees, strict=True))
    )


def try_share(
    share: list[tuple[str, WorkItem]], tree: Path, limits: dict[str, float], out: Path, bar: bool
) -> None:
    """Try one process's share of the mutants, in its own copy."""
    register()
    for folder, item in tqdm(share, disable=not bar):
        result = trial(item, folder, tree, limits[folder])
        with use_db(session(out, folder)) as database:
            database.set_result(item.job_id, result)


def session(out: Path, folder: str) -> Path:
    """Return the file that holds a folder's mutants and their results."""
    return out / f"{folder}-{digest(folder)}.sqlite"


def choose(folders: list[str], out: Path, mutants: int, seed: int) -> dict[str, list[WorkItem]]:
    """Draw places over all folders, and one mutant of each."""
    register()
    places = []
    for folder in folders:
        path = session(out, folder)
        if not path.exists():
            os.chdir(ROOT)
            with use_db(path.with_suffix(".new")) as database:
                init(find_modules([Path("fusion") / folder]), database, {})
            path.with_suffix(".new").replace(path)
        with use_db(path) as database:
            places += [(folder, items) for items in by_place(database)]
    rng = random.Random(seed)
    chosen: dict[str, list[WorkItem]] = {folder: [] for folder in folders}
    for folder, items in rng.sample(places, min(mutants, len(places))):
        chosen[folder].append(rng.choice(items))
    print(f"{sum(map(len, chosen.values()))} mutants of {len(places)} places", file=sys.stderr)
    return chosen


def results(chosen: dict[str, list[WorkItem]], out: Path) -> list[Tried]:
    """Return what became of the mutants, by file and line."""
    found = []
    for folder, items in chosen.items():
        with use_db(session(out, folder)) as database:
            by_job = dict(database.results)
        for item in items:
            (mutation,) = item.mutations
            result = by_job[item.job_id]
            operator = mutation.operator_name.partition("/")[2]
            place = (mutation.module_path.as_posix(), mutation.start_pos[0], operator)
            found.append(Tried(*place, result.is_killed, result.diff or ""))
    return sorted(found, key=lambda tried: (tried.path, tried.line, tried.operator))


def report(tried: list[Tried]) -> str:
    """Return the figures by file, and the survivors, as Markdown."""
    caught, total = Counter(t.path for t in tried if t.caught), Counter(t.path for t in tried)
    lines = [summary(tried), "", "| file | mutants | caught | survived |", "|---|---|---|---|"]
    lines += [f"| {path} | {total[path]} | {caught[path]} | {total[path] - caught[path]} |" for path in total]
    lines += ["", "Survivors:", ""]
    for one in tried:
        if not one.caught:
            changed = [
                line for line in one.diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
            ]
            lines += [f"{one.path}:{one.line} ({one.operator})", "", *(f"    {line}" for line in changed), ""]
    return "\n".join(lines)


def summary(tried: list[Tried]) -> str:
    """Return the one figure."""
    caught = sum(one.caught for one in tried)
    return f"{caught} of {len(tried)} mutants caught ({100 * caught / max(len(tried), 1):.1f} %)"


def main() -> None:
    """Draw, try, and report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--folders", nargs="+", choices=FOLDERS, default=list(FOLDERS))
    parser.add_argument("--mutants", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "mutants")
    args = parser.parse_args()
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault(
        "FUSION_TEST_DATA", str(ROOT.parent / "shared" / "data")
    )  # the copies lie elsewhere
    chosen = choose(args.folders, out, args.mutants, args.seed)
    try_all(chosen, out, args.jobs)
    tried = results(chosen, out)
    (out / "report.md").write_text(report(tried) + "\n")
    for one in tried:
        if not one.caught:
            print(f"survived: {one.path}:{one.line} ({one.operator})")
    print(f"{summary(tried)}; {out / 'report.md'}")


if __name__ == "__main__":
    main()
