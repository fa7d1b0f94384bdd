"""The house: every import points left, and no file outgrows a reader."""

import ast
from pathlib import Path

import fusion

ROOT = Path(fusion.__file__).parent
# From left to right; a folder may import from itself and from what stands before it.
ORDER = [
    *("errors", "registry", "seeding", "storage", "settings", "plugins", "work", "spaces", "images"),
    *("training", "probes", "indicators", "tables", "extraction", "benchmarks", "regression", "evaluation"),
    *("search", "pipeline", "cli"),
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
        if part == "__init__":
            continue
        allowed = ORDER[: ORDER.index(part) + 1]
        wrong += [f"{path.relative_to(ROOT)} imports {name}" for name in imports(path) if name not in allowed]
    assert wrong == []


def test_files_are_short_enough_to_read():
    assert [p.name for p in ROOT.rglob("*.py") if len(p.read_text().splitlines()) > 400] == []
