"""The house: every import points left, and no file outgrows a reader."""

import ast
import re
from pathlib import Path

import fusion

ROOT = Path(fusion.__file__).parent
# From left to right; a folder may import from itself and from what stands before it.
ORDER = [
    *("errors", "registry", "seeding", "callable_folder", "storage", "settings", "plugins", "work", "spaces"),
    *("images", "training", "probes", "indicators", "tables", "extraction", "benchmarks", "regression"),
    *("evaluation", "search", "pipeline", "face", "cli"),
]


def imports(path: Path) -> set[str]:
    """Return the parts of `fusion` that a file imports, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [node.module] + [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("fusion.")}
    return found & set(ORDER)


def test_every_import_points_left():
    wrong = []
    for path in ROOT.rglob("*.py"):
        part = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if part in ("__init__", "__main__"):
            continue
        allowed = ORDER[: ORDER.index(part) + 1]
        wrong += [f"{path.relative_to(ROOT)} imports {name}" for name in imports(path) if name not in allowed]
    assert wrong == []


def calls(path: Path) -> set[str]:
    """Return what a file calls: `open`, and the last names of methods and functions with what they are of."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            # a context on the device "meta" computes nothing, anywhere
            found.add(ast.unparse(node.func) + ("(meta)" if ast.unparse(node).endswith("('meta')") else ""))
    return found


# what opens, lists or replaces files, by what is called or the last part of it
FILES = {
    *("open", "read_text", "read_bytes", "write_text", "write_bytes", "glob", "rglob", "iterdir", "mkdir"),
    *("unlink", "rmtree", "listdir", "scandir", "ParquetFile", "write_table", "read_table"),
    *("read_csv", "to_csv", "read_parquet", "to_parquet", "savez", "mmap", "copytree"),
    *("os.rename", "os.replace", "shutil.move"),
}
# names that are of our own things, which have nothing to do with files or go through storage
OURS = {"IndicatorTable.open", "PartStore.open", "Image.open"}


def from_storage(path: Path) -> set[str]:
    """Return the names that a file imports from `fusion.storage`."""
    nodes = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
    ours = [node for node in nodes if (node.module or "").startswith("fusion.storage")]
    return {alias.asname or alias.name for node in ours for alias in node.names}


def test_only_storage_opens_lists_and_replaces_files():
    wrong = []
    for path in ROOT.rglob("*.py"):
        part = path.relative_to(ROOT).parts[0]
        if part != "storage":
            ours = OURS | from_storage(path)
            found = {name for name in calls(path) - ours if FILES & {name, name.split(".")[-1]}}
            wrong += [f"{path.relative_to(ROOT)} calls {name}" for name in sorted(found)]
    assert wrong == []


WORK = re.compile(
    r"^(Parallel|delayed|torch\.cuda\..*|torch\.set_num_threads|torch\.device|os\.(cpu_count|sched_getaffinity|fork)"
    r"|subprocess\..*|multiprocessing\..*|Process|ProcessPoolExecutor|ThreadPoolExecutor)$"
)


def test_only_work_starts_processes_and_picks_devices():
    wrong = []
    for path in ROOT.rglob("*.py"):
        if path.relative_to(ROOT).parts[0] != "work":
            found = {name for name in calls(path) if WORK.match(name)}
            wrong += [f"{path.relative_to(ROOT)} calls {name}" for name in sorted(found)]
    assert wrong == []


def test_files_are_short_enough_to_read():
    assert [p.name for p in ROOT.rglob("*.py") if len(p.read_text().splitlines()) > 400] == []


def functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return all functions and methods of a file."""
    return [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)]


def arguments(function: ast.FunctionDef) -> list[ast.arg]:
    """Return the parameters of a function, `self` and `cls` apart."""
    every = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
    return [argument for argument in every if argument.arg not in ("self", "cls")]


def test_no_function_has_more_than_eight_parameters():
    # an estimator's settings are its parameters, as scikit-learn has it
    allowed = {("regression", "LightGBM")}
    wrong = []
    for path in ROOT.rglob("*.py"):
        part = path.relative_to(ROOT).parts[0]
        if part == "cli":
            continue
        tree = ast.parse(path.read_text())
        own = {
            function
            for node in ast.walk(tree)
            if isinstance(node, ast.ClassDef) and (part, node.name) in allowed
            for function in node.body
        }
        own_lines = {function.lineno for function in own}
        wrong += [
            f"{path.relative_to(ROOT)}: {function.name}"
            for function in functions(path)
            if len(arguments(function)) > 8 and function.lineno not in own_lines
        ]
    assert wrong == []


def test_public_signatures_of_the_upper_floors_name_what_they_hand_on():
    """Dictionaries of anything are for JSON: metadata of files, and the versioned forms of results."""
    json_forms = r"to_dict|settings|identity|meta|restore|.*_json|(to|from)_state"
    wrong = []
    for part in ("tables", "regression", "evaluation", "search"):
        for path in (ROOT / part).rglob("*.py"):
            for function in functions(path):
                if function.name.startswith("_") or re.fullmatch(json_forms, function.name):
                    continue
                told = [argument.annotation for argument in arguments(function)] + [function.returns]
                texts = [ast.unparse(annotation) for annotation in told if annotation is not None]
                wrong += [
                    f"{path.relative_to(ROOT)}: {function.name}: {text}"
                    for text in texts
                    if re.search(r"(dict|Mapping)\[str, Any\]", text)
                ]
    assert wrong == []
