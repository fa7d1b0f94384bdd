"""What comes from outside: objects named as `module:name` or `file.py:name`."""

from __future__ import annotations

import ast
import difflib
import importlib
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from fusion.errors import FusionError
from fusion.storage.files import read_bytes


def load_object(text: str) -> Any:
    """Return the attribute that `module:name` or `file.py:name` names.

    A module is looked for in the current folder first, a file's own imports in its folder first. That
    folder stays in front of `sys.path`, so that worker processes find what is defined there too;
    loading twice gives the same object.

    Parameters
    ----------
    text : str
        Such as `torchvision.models:resnet18`, `networks.py:small` or `~/spaces/mine.py:MySpace`.

    Raises
    ------
    FusionError
        When `text` has another form, or the module or the attribute does not exist or cannot be
        imported.
    """
    place, _, name = text.rpartition(":")
    if not place or not name:
        raise FusionError(f"{text!r}: expected module:name or file.py:name{_choice(text.rstrip(':'))}")
    file = place.endswith(".py")
    module = _import_file(text, Path(place)) if file else _import(text, place, Path.cwd())
    try:
        return getattr(module, name)
    except AttributeError:
        close = difflib.get_close_matches(name, vars(module), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise FusionError(f"{text!r}: {place} has no {name!r}{hint}") from None
    except Exception as error:  # a module may make its names when asked
        raise FusionError(f"{text!r}: {type(error).__name__}: {error}") from error


def _choice(place: str) -> str:
    """Return what a file without a name could be meant to give; empty where nothing."""
    path = Path(place).expanduser()
    if not place.endswith(".py") or not path.is_file():
        return ""
    try:
        tree = ast.parse(read_bytes(path))
    except (SyntaxError, ValueError):
        return ""
    kinds = (ast.ClassDef, ast.FunctionDef)
    names = [node.name for node in tree.body if isinstance(node, kinds) and not node.name.startswith("_")]
    return f"; {path.name} defines {', '.join(names)}: say {place}:{names[0]}" if names else ""


def _import_file(text: str, path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise FusionError(f"{text!r}: no such file: {path}")
    name = path.stem.replace(".", "_")
    if name != path.stem:
        _FILES[name] = str(path)
    module = _import(text, name, path.parent)
    found = getattr(module, "__file__", None)
    if found is None or Path(found).resolve() != path:
        raise FusionError(
            f"{text!r}: {name!r} is the name of another module ({found or 'built in'}); rename the file"
        )
    return module


def _import(text: str, name: str, folder: Path) -> ModuleType:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))
    importlib.invalidate_caches()  # the file may be younger than the last look into its folder
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # whatever the user's code raises; a script may exit
        if isinstance(error, ModuleNotFoundError) and f"{name}.".startswith(f"{error.name}."):
            raise FusionError(f"{text!r}: no module {error.name!r} in {folder} or installed") from None
        if isinstance(error, ImportError) and "no known parent package" in str(error):
            raise FusionError(f"{text!r}: {_in_package(folder / name, text.rpartition(':')[2])}") from None
        reason = f"{type(error).__name__}: {error}"
        raise FusionError(f"{text!r}: importing {name} failed: {reason}") from error


def _in_package(module: Path, name: str) -> str:
    """Return how to name something in a module that imports from the package which it is part of."""
    root = module.parent.parent
    while (root / "__init__.py").is_file():
        root = root.parent
    if not (module.parent / "__init__.py").is_file() and module.is_relative_to(here := Path.cwd()):
        root = here if module.parent != here else root
    dotted = ".".join(module.relative_to(root).parts)
    where = "" if root == Path.cwd() else f", in the folder {root}"
    return f"the file is part of a package, as its relative imports say; name it {dotted}:{name}{where}"


# Modules of files with a dot in the name, which Python's own search does not find: name -> path.
_FILES: dict[str, str] = {}


class _Dotted(MetaPathFinder):
    """Finds the modules of `_FILES`."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        file = _FILES.get(fullname)
        return spec_from_file_location(fullname, file) if file else None


sys.meta_path.append(_Dotted())


def search_places() -> tuple[list[str], dict[str, str]]:
    """Return where modules are found here, for `search_in` in another process."""
    return sys.path, _FILES


def search_in(path: list[str], files: dict[str, str]) -> None:
    """Look for modules where another process does."""
    sys.path[:] = path
    _FILES.update(files)


def code_shape(node: Any) -> Any:
    """Return a syntax tree as lists, without comments and docstrings.

    What is empty is left out, as newer Pythons have more such fields.
    """
    if isinstance(node, list):
        return [code_shape(part) for part in node if not is_text(part)]
    if not isinstance(node, ast.AST):
        return node
    fields = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, [])]
    return [type(node).__name__, *((name, code_shape(value)) for name, value in fields)]


def is_text(node: Any) -> bool:
    """Whether a statement is a mere text, such as a docstring."""
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
