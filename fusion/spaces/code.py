"""On which code the values of a user's own space depend: digests that other edits of its file leave alone."""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from fusion.errors import FusionError
from fusion.plugins import code_shape, is_text
from fusion.storage.files import read_bytes

# What values depend on, beside what these use; and what no value depends on, unless these use it.
_VALUES = frozenset({"__init__", "__new__", "settings", "canonical", "build", "thin"})
_GRAPHS = "graphs"
_OTHERS = frozenset(
    {
        *("name", "summary", "source", "enumerable", "enumerate", "random", "neighbours", "mutate", "sample"),
        *("twins", "has_dead_edge", "relabellings", "features", "__len__", "__repr__", "__str__"),
    }
)
_NAMESPACES = frozenset({"vars", "globals", "locals", "eval", "exec", "__import__"})
_COMPOUND = (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.Match)

# "" and a name of the module (of a statement without one, its line), or a class and its member
Key: TypeAlias = tuple[str, str]


@dataclass(frozen=True)
class CodeDigests:
    """SHA-256 of the code on which values depend, comments and docstrings apart.

    Attributes
    ----------
    values : str
        Of the class without the methods that no value depends on (such as `enumerate` and
        `neighbours`), and of what it uses of its file.
    graphs : str
        Of the method `graphs`, and of what it alone uses: only the indicators of the cells' graphs
        depend on it.
    """

    values: str
    graphs: str


def code_of(address: str) -> CodeDigests | None:
    """Return the digests of the class that `file.py:Class` names, which is not imported; None of a module.

    Raises
    ------
    FusionError
        When there is no such file, or it holds no Python.
    """
    place, _, name = address.rpartition(":")
    return class_digests(Path(place).expanduser(), name) if place.endswith(".py") else None


def class_digests(path: Path, name: str) -> CodeDigests:
    """Return the digests of a class in a file; of the whole file where the class is not plainly there."""
    source = read_bytes(path)
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError) as error:
        raise FusionError(f"{path}: no Python ({error}); repair it") from None
    code = _Code(tree)
    if name not in code.classes:
        return CodeDigests(_digest([code_shape(tree)]), _digest([]))
    family = _Family(code, name)
    values = family.reached(family.value_roots())
    graphs = family.reached({key for key in family.members if key[1] == _GRAPHS}, values)
    return CodeDigests(_digest(code.shapes(values)), _digest(code.shapes(graphs - values)))


def _digest(shapes: list[Any]) -> str:
    return hashlib.sha256(repr(shapes).encode()).hexdigest()


@dataclass
class _Part:
    """What one name stands for: its code, and the names and attributes in it."""

    nodes: list[ast.AST] = field(default_factory=list)
    shape: list[Any] = field(default_factory=list)

    def add(self, *nodes: ast.AST) -> None:
        self.nodes += nodes
        self.shape += [code_shape(node) for node in nodes]

    def walk(self) -> Iterator[ast.AST]:
        for node in self.nodes:
            yield from ast.walk(node)

    def names(self) -> set[str]:
        return {node.id for node in self.walk() if isinstance(node, ast.Name)}


class _Code:
    """A file, taken apart into what its names stand for."""

    def __init__(self, tree: ast.Module) -> None:
        self.parts: dict[Key, _Part] = {}
        self.effects: set[Key] = set()
        self.imported: dict[str, str] = {}  # name here -> name there
        self.classes: dict[str, ast.ClassDef] = {}
        for statement in tree.body:
            self._take(statement)
        self.local = {name for owner, name in self.parts if not owner} - self.imported.keys()

    def _take(self, statement: ast.stmt) -> None:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                self._import(statement, alias)
        elif isinstance(statement, ast.ClassDef):
            self.classes[statement.name] = statement
            self.parts.setdefault(("", statement.name), _Part()).add(statement)
        elif not (is_text(statement) or _runs_as_script(statement)):
            bound = set(_bound([statement]))
            for name in bound:
                self.parts.setdefault(("", name), _Part()).add(statement)
            if not bound or isinstance(statement, _COMPOUND):
                key = ("", str(statement.lineno))
                self.effects.add(key)
                self.parts.setdefault(key, _Part()).add(statement)

    def _import(self, statement: ast.Import | ast.ImportFrom, alias: ast.alias) -> None:
        name = alias.asname or alias.name.partition(".")[0]
        if name == "*":
            key = ("", str(statement.lineno))
            self.effects.add(key)
        else:
            key = ("", name)
            self.imported[name] = alias.name
        origin = (getattr(statement, "module", None), getattr(statement, "level", 0))
        self.parts.setdefault(key, _Part()).shape.append([origin, alias.name, alias.asname])

    def shapes(self, keys: Iterable[Key]) -> list[Any]:
        """Return the code of these parts, in an order that does not depend on that of the file."""
        named = [[*key, self.parts[key].shape] for key in sorted(set(keys) - self.effects)]
        effects = [part.shape for key, part in self.parts.items() if key in self.effects & set(keys)]
        return [*named, *effects]

    def happens(self, effect: Key, found: set[Key]) -> bool:
        """Whether a statement may change what was reached: it names some of it, or nothing of this file."""
        mine = self.parts[effect].names() & self.local
        return not mine or any(("", name) in found for name in mine)


class _Family:
    """A class and its base classes in the file, taken apart into their members."""

    def __init__(self, code: _Code, name: str) -> None:
        self.code = code
        self.names = [name]
        for cls in self.names:
            bases = [base.id for base in code.classes[cls].bases if isinstance(base, ast.Name)]
            self.names += [base for base in bases if base in code.classes and base not in self.names]
        for cls in self.names:
            self._split(code.classes[cls])
        self.members = {key for key in code.parts if key[0]}

    def _split(self, cls: ast.ClassDef) -> None:
        parts = self.code.parts
        parts["", cls.name] = _Part()
        parts[cls.name, "__class__"] = _Part()
        parts[cls.name, "__class__"].add(*cls.bases, *cls.keywords, *cls.decorator_list)
        for statement in cls.body:
            if not is_text(statement):
                for member in _bound([statement]) or ["__class__"]:
                    parts.setdefault((cls.name, member), _Part()).add(statement)

    def value_roots(self) -> set[Key]:
        """Return the members that make values, whoever calls them."""
        relevant = {key for key in self.members if key[1] not in _OTHERS | {_GRAPHS}}
        if self._is_used_elsewhere():
            return relevant
        return {key for key in relevant if key[1] in _VALUES or key[1].startswith("__")}

    def _is_used_elsewhere(self) -> bool:
        """Whether a base class of another file, or a decorator, may use any member."""
        classes = [self.code.classes[name] for name in self.names]
        plain = {"Space", "ABC"}
        bases = all(
            base.attr in plain
            if isinstance(base, ast.Attribute)
            else isinstance(base, ast.Name)
            and (base.id in self.names or self.code.imported.get(base.id) in plain)
            for cls in classes
            for base in cls.bases
        )
        registered = all(
            isinstance(decorator, ast.Attribute) and decorator.attr == "register"
            for cls in classes
            for decorator in cls.decorator_list
        )
        return not (bases and registered) or any(cls.keywords for cls in classes)

    def reached(self, roots: set[Key], known: Iterable[Key] = ()) -> set[Key]:
        """Return the parts that the members `roots` use, directly or not.

        `known` are parts that are reached anyway, and not looked into again.
        """
        found, waiting = set(known), set(roots)
        while waiting:
            key = waiting.pop()
            if key in found:
                continue
            found.add(key)
            part = self.code.parts[key]
            if not _NAMESPACES.isdisjoint(part.names()):
                return set(self.code.parts)  # any name may be meant
            waiting |= self._uses(part)
            waiting |= {effect for effect in self.code.effects if self.code.happens(effect, found)}
        return found

    def _uses(self, part: _Part) -> set[Key]:
        names, imported = part.names(), self.code.imported
        attributes = {
            node.attr
            for node in part.walk()
            if isinstance(node, ast.Attribute)
            and not (isinstance(node.value, ast.Name) and node.value.id in imported)
        }
        if "len" in names:
            attributes.add("__len__")
        for node in part.nodes:  # in the body of its class, a member is named by itself
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                attributes |= _Part([node]).names()
        found = {("", name) for name in names if ("", name) in self.code.parts}
        found |= {key for key in self.members if key[1] in attributes}
        if any(_takes_any(node, imported) for node in part.walk()):
            found |= {key for key in self.members if key[1] not in _OTHERS | {_GRAPHS}}
        return found


def _takes_any(node: ast.AST, imported: dict[str, str]) -> bool:
    """Whether a node is `getattr` of something that may be the space."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id in ("getattr", "setattr")
        and not (node.args and isinstance(node.args[0], ast.Name) and node.args[0].id in imported)
    )


def _bound(statements: Iterable[ast.AST]) -> list[str]:
    """Return the names that statements bind, not those within the functions and classes they define."""
    found: list[str] = []
    for node in statements:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found += [alias.asname or alias.name.partition(".")[0] for alias in node.names]
        elif isinstance(node, ast.Name):
            found += [node.id] if isinstance(node.ctx, ast.Store) else []
        elif not isinstance(node, ast.Lambda | ast.GeneratorExp | ast.ListComp | ast.SetComp | ast.DictComp):
            found += _bound(ast.iter_child_nodes(node))
    return list(dict.fromkeys(found))


def _runs_as_script(statement: ast.stmt) -> bool:
    """Whether a statement is `if __name__ == "__main__"`, which an import passes by."""
    return (
        isinstance(statement, ast.If)
        and isinstance(statement.test, ast.Compare)
        and isinstance(statement.test.left, ast.Name)
        and statement.test.left.id == "__name__"
    )
