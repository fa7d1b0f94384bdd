"""Two kinds of fault that cosmic-ray does not know: a keyword argument forgotten, and a step left out.

Wiring breaks like this: a value is at hand, and does not reach the function that needs it; a check is
there, and nobody calls it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import cosmic_ray.plugins
from cosmic_ray.operators.operator import Example, Operator
from parso.python.tree import Keyword

PROVIDER = "wiring"
# said to a user, seen by eyes alone, or true whatever is given: no test needs to see that these are gone
IGNORED = frozenset(
    {"delay", "desc", "description", "disable", "frozen", "kind", "progress", "repr", "stacklevel", "strict"}
    | {
        "total",
        "unit",
        "alpha",
        "capsize",
        "cmap",
        "color",
        "edgecolor",
        "edgecolors",
        "fontsize",
        "ha",
        "va",
    }
    | {"height_ratios", "linewidth", "linewidths", "lw", "marker", "markersize", "rotation", "zorder"}
)
Place = tuple[tuple[int, int], tuple[int, int]]


def _keywords(node: Any) -> list[Any]:
    """Return the keyword arguments among the children of a call's parentheses or list of arguments."""
    if node.type == "trailer" and node.children[0].value != "(":
        return []
    if node.type not in ("arglist", "trailer"):
        return []
    return [
        child
        for child in node.children
        if child.type == "argument" and child.children[1] == "=" and child.children[0].value not in IGNORED
    ]


class DropKeyword(Operator):  # type: ignore[misc]  # cosmic-ray has no types
    """Leaves out a keyword argument of a call."""

    def mutation_positions(self, node: Any) -> Iterator[Place]:
        for child in _keywords(node):
            yield child.start_pos, child.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        at = node.children.index(_keywords(node)[index])
        last = at + 1 == len(node.children) or node.children[at + 1] != ","
        del node.children[at : at + (1 if last else 2)]
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example("f(a, b=1)", "f(a,)"),
            Example("f(b=1)", "f()"),
            Example("f(b=1, c=2)", "f( c=2)"),
            Example("f(b=1, c=2)", "f(b=1,)", occurrence=1),
        )


class DropStep(Operator):  # type: ignore[misc]
    """Puts `pass` in the place of a call whose result nobody takes, or of a `raise`."""

    def mutation_positions(self, node: Any) -> Iterator[Place]:
        if node.type == "simple_stmt":
            step = node.children[0]
            if step.type == "raise_stmt" or (
                step.type == "atom_expr" and step.children[-1].type == "trailer"
            ):
                yield step.start_pos, step.end_pos

    def mutate(self, node: Any, index: int) -> Any:
        step = node.children[0]
        node.children[0] = Keyword("pass", step.start_pos, prefix=step.get_first_leaf().prefix)
        return node

    @classmethod
    def examples(cls) -> tuple[Example, ...]:
        return (
            Example("f(x)\n", "pass\n"),
            Example("raise E\n", "pass\n"),
        )


def register() -> None:
    """Let cosmic-ray know them; to be called once in each process."""
    cosmic_ray.plugins.OPERATOR_PROVIDERS[PROVIDER] = {one.__name__: one for one in (DropKeyword, DropStep)}
