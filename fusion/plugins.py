"""What comes from outside: objects named as `module:name` or `file.py:name`."""

from __future__ import annotations

import ast
import difflib
import hashlib
import importlib
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from fusion.errors import FusionError


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
        raise FusionError(f"{text!r}: expected module:name or file.py:name")
    module = _import_file(text, Path(place)) if place.endswith(".py") else _import(text, place, Path.cwd())
    try:
        return getattr(module, name)
    except AttributeError:
        close = difflib.get_close_matches(name, vars(module), n=1)
        hint = f"; did you mean {close[0]!r}?" if close else ""
        raise FusionError(f"{text!r}: {place} has no {name!r}{hint}") from None


def _import_file(text: str, path: Path) -> ModuleType:
    path = path.expanduser().resolve()
    if not path.is_file():
        raise FusionError(f"{text!r}: no such file: {path}")
    module = _import(text, path.stem, path.parent)
    found = getattr(module, "__file__", None)
    if found is None or Path(found).resolve() != path:
        raise FusionError(
            f"{text!r}: {path.stem!r} is the name of another module ({found or 'built in'}); rename the file"
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
        reason = f"{type(error).__name__}: {error}"
        raise FusionError(f"{text!r}: importing {name} failed: {reason}") from error


def code_digest(path: Path) -> str:
    """Return the SHA-256 of the code in a Python file, which comments and docstrings do not change."""
    return hashlib.sha256(repr(_shape(ast.parse(path.read_bytes()))).encode()).hexdigest()


def _shape(node: Any) -> Any:
    """Return a syntax tree as lists; what is empty is left out, as newer Pythons have more such fields."""
    if isinstance(node, list):
        return [_shape(part) for part in node if not _is_text(part)]
    if not isinstance(node, ast.AST):
        return node
    fields = [(name, value) for name, value in ast.iter_fields(node) if value not in (None, [])]
    return [type(node).__name__, *((name, _shape(value)) for name, value in fields)]


def _is_text(node: Any) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
