"""Plant faults in the upper floors, one at a time, and count those that the tests of the same folder catch.

    python benches/mutants.py                                       # all five folders, 400 mutants
    python benches/mutants.py --folders search --mutants 40 --seed 1

A mutant is one change that cosmic-ray makes to one place of the code (another operator or number; a
decorator, a keyword argument or a loop gone; a condition turned round; a check not called). As many
places as are asked for are drawn at random over all folders, with one mutant each, so that a place with
eleven possible changes weighs as much as one with a single change. Each mutant is tried in a copy of the
checkout, on the tests of the mirroring folder that run the changed line, then on all of that folder, up
to the first failure. What is done stays in `--out`: stopped, the same command goes on; once the code of a
folder or its tests have changed, that folder starts anew.

Prints the share that was caught; `--out`/report.md has the figure by file, and every survivor.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import random
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmic_ray.commands import init
from cosmic_ray.modules import find_modules
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.testing import run_tests
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome, WorkItem, WorkResult
from coverage import CoverageData
from joblib import Parallel, delayed
from mutant_operators import IGNORED, register
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
FOLDERS = ("pipeline", "search", "evaluation", "regression", "tables")
COPIED, LINKED = ("fusion", "tests"), ("data", "docs", "models", "pipelines", "conftest.py", "pyproject.toml")
# `is` for `==` and the reverse: for names and None there is no difference that a test could see
EQUIVALENT = {
    f"core/ReplaceComparisonOperator_{one}" for one in ("Eq_Is", "Is_Eq", "NotEq_IsNot", "IsNot_NotEq")
}
# Shrinking a failing example to the smallest one can take minutes, and nobody reads it.
PLUGIN = """from hypothesis import Phase, settings

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


def command(folder: str, tests: Sequence[str] = ()) -> str:
    """Return the command that runs a folder's tests, or some of them."""
    names = shlex.join(tests or [f"tests/{folder}"])
    return f"{sys.executable} -m pytest -q -x -p no:cacheprovider -p mutants_profile -m 'not slow' {names}"


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
    (to / "mutants_profile.py").write_text(PLUGIN)


def inert(path: Path, places: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """Return those of some places where a change changes nothing that a test should see.

    Annotations, which run no code; the values of keywords that `IGNORED` names, also as defaults; the bare
    star among parameters, which cosmic-ray takes for a product.
    """
    text = path.read_text()
    quiet: list[ast.expr | None] = []
    for node in ast.walk(ast.parse(text)):
        quiet += [getattr(node, field, None) for field in ("annotation", "returns")]
        if isinstance(node, ast.keyword) and node.arg in IGNORED:
            quiet.append(node.value)
        if isinstance(node, ast.arguments):
            named = zip(node.kwonlyargs, node.kw_defaults, strict=True)
            quiet += [default for parameter, default in named if parameter.arg in IGNORED]
    lines = text.splitlines()
    found = {(line, column) for line, column in places if lines[line - 1][column:].startswith("*,")}
    for part in quiet:
        if isinstance(part, ast.expr):
            start, end = (part.lineno, part.col_offset), (part.end_lineno or 0, part.end_col_offset or 0)
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
        for place in inert(ROOT / path, {start for of, start in places if of == path}):
            del places[path, place]
    for key in sorted(places):
        yield sorted(
            places[key], key=lambda item: (item.mutations[0].operator_name, item.mutations[0].occurrence)
        )


def enter(tree: Path) -> None:
    """Let this process, and those that it starts, work in a copy."""
    os.chdir(tree)
    os.environ["PYTHONPATH"] = str(tree)


def baseline(folder: str, tree: Path, found: Path) -> float:
    """Run a folder's tests on the code as it is, and write down to `found` which lines each of them runs.

    Returns the seconds that it took; exits where a test fails, or there is none.
    """
    enter(tree)
    os.environ["COVERAGE_FILE"] = str(found)
    start = time.perf_counter()
    watched = f"--cov=fusion/{folder} --cov-context=test --cov-report="
    outcome, output = run_tests(f"{command(folder)} {watched}", 1200)
    if outcome is not TestOutcome.SURVIVED:
        sys.exit(f"the tests of {folder} must pass, and there must be some, on the code as it is:\n{output}")
    return time.perf_counter() - start


def covering(mutation: MutationSpec, found: CoverageData, tree: Path) -> list[str]:
    """Return the tests that run the statement which a mutation changes; none if it runs on import."""
    path, line = tree / mutation.module_path, mutation.start_pos[0]
    around = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    first, last = max(around, default=(line, line))
    contexts = {
        context
        for at, those in found.contexts_by_lineno(str(path)).items()
        if first <= at <= last
        for context in those
    }
    return [] if "" in contexts else sorted({context.rpartition("|")[0] for context in contexts})


def trial(item: WorkItem, folder: str, tests: Sequence[str], limit: float) -> WorkResult:
    """Try one mutant: on the tests that run it, and, where they pass, on all of the folder.

    Those may run it in a process of their own, which coverage does not see.
    """
    if tests:
        result = mutate_and_test(item.mutations, command(folder, tests), limit)
        if result.is_killed:
            return result
    return mutate_and_test(item.mutations, command(folder), limit)


def try_all(chosen: Mapping[str, Sequence[WorkItem]], sessions: Mapping[str, Path], jobs: int) -> None:
    """Try the mutants that have no result yet; results are kept as they come."""
    pending = []
    for folder, items in chosen.items():
        with use_db(sessions[folder]) as database:
            done = {job for job, _ in database.results}
        pending += [(folder, item) for item in items if item.job_id not in done]
    if not pending:
        return
    out = next(iter(sessions.values())).parent
    trees = [out / f"tree-{i}" for i in range(jobs)]
    for tree in trees:
        copy_tree(tree)
    tasks = []
    for folder in dict(pending):
        lines = sessions[folder].with_suffix(".coverage")
        limit = 20 + 3 * baseline(folder, trees[0], lines)
        data = CoverageData(str(lines))
        data.read()
        for of, item in pending:
            if of == folder:
                tasks.append((item, folder, covering(item.mutations[0], data, trees[0]), limit))
    Parallel(n_jobs=jobs)(
        delayed(try_share)(tasks[i::jobs], tree, sessions, i == 0) for i, tree in enumerate(trees)
    )


def try_share(
    share: Sequence[tuple[WorkItem, str, list[str], float]],
    tree: Path,
    sessions: Mapping[str, Path],
    bar: bool,
) -> None:
    """Try one process's share of the mutants, in its own copy."""
    register()
    enter(tree)
    for item, folder, tests, limit in tqdm(share, disable=not bar):
        result = trial(item, folder, tests, limit)
        with use_db(sessions[folder]) as database:
            database.set_result(item.job_id, result)


def choose(sessions: Mapping[str, Path], mutants: int, seed: int) -> dict[str, list[WorkItem]]:
    """Draw places over all folders, and one mutant of each.

    A place's lot depends on itself and the seed alone, so that a change of one folder leaves the draws in
    the others nearly as they were.
    """
    register()
    drawn = []
    for folder, path in sessions.items():
        if not path.exists():
            os.chdir(ROOT)
            with use_db(path.with_suffix(".new")) as database:
                init(find_modules([Path("fusion") / folder]), database, {})
            path.with_suffix(".new").replace(path)
        with use_db(path) as database:
            for items in by_place(database):
                mutation = items[0].mutations[0]
                rng = random.Random(f"{seed} {mutation.module_path} {mutation.start_pos}")
                drawn.append((rng.random(), folder, rng.choice(items)))
    drawn.sort(key=lambda one: one[0])
    chosen: dict[str, list[WorkItem]] = {folder: [] for folder in sessions}
    for _, folder, item in drawn[:mutants]:
        chosen[folder].append(item)
    print(f"{min(mutants, len(drawn))} mutants of {len(drawn)} places", file=sys.stderr)
    return chosen


def results(chosen: Mapping[str, Sequence[WorkItem]], sessions: Mapping[str, Path]) -> list[Tried]:
    """Return what became of the mutants, by file and line."""
    found = []
    for folder, items in chosen.items():
        with use_db(sessions[folder]) as database:
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
    # the copies lie elsewhere than the checkout, beside which the default is
    os.environ.setdefault("FUSION_TEST_DATA", str(ROOT.parent / "shared" / "data"))
    sessions = {folder: out / f"{folder}-{digest(folder)}.sqlite" for folder in args.folders}
    chosen = choose(sessions, args.mutants, args.seed)
    try_all(chosen, sessions, args.jobs)
    tried = results(chosen, sessions)
    (out / "report.md").write_text(report(tried) + "\n")
    for one in tried:
        if not one.caught:
            print(f"survived: {one.path}:{one.line} ({one.operator})")
    print(f"{summary(tried)}; {out / 'report.md'}")


if __name__ == "__main__":
    main()
