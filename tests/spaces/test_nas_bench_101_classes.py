"""The isomorphism classes of NAS-Bench-101: as many as hashes, and none with two."""

from __future__ import annotations

import itertools

import networkx
import pytest

from fusion.spaces.nas_bench_101 import Cell, module_hash, to_string
from tests.spaces.relabelled_cells import relabelled


def matrices(vertices):
    """All sets of at most 9 edges that leave no vertex idle, by vertices."""
    for n in range(2, vertices + 1):
        pairs = list(itertools.combinations(range(n), 2))
        for size in range(n - 1, 10):
            for edges in itertools.combinations(pairs, size):
                if len({s for s, _ in edges}) == len({t for _, t in edges}) == n - 1:
                    yield n, edges


def symmetries(vertices=7):
    """One cell shape of every isomorphism class, with the orders of its inner vertices that keep it."""
    seen = set()
    for n, edges in matrices(vertices):
        if (n, edges) in seen:
            continue
        shape = Cell(edges, (0,) * (n - 2))
        orders = list(itertools.permutations(range(1, n - 1)))
        forms = [form.edges if (form := relabelled(shape, order)) else None for order in orders]
        seen.update((n, form) for form in forms)
        yield shape, [order for order, form in zip(orders, forms, strict=True) if form == edges]


@pytest.mark.parametrize(
    ("vertices", "classes"), [(5, 2_532), pytest.param(7, 423_624, marks=pytest.mark.slow)]
)
def test_hash_tells_cells_apart(vertices, classes):
    found = []
    for shape, orders in symmetries(vertices):
        for ops in itertools.product(range(3), repeat=len(shape.ops)):
            if ops == min(tuple(ops[v - 1] for v in order) for order in orders):
                found.append(module_hash(to_string(shape._replace(ops=ops))))
    assert len(found) == len(set(found)) == classes


def test_isomorphism_classes_are_as_many_as_hashes_in_the_benchmark():
    # Burnside: labellings up to symmetry are 3^cycles, averaged over the symmetries
    total = 0
    for _, orders in symmetries():
        fixed = sum(
            3 ** networkx.number_connected_components(networkx.Graph(enumerate(order, 1))) for order in orders
        )
        assert fixed % len(orders) == 0
        total += fixed // len(orders)
    assert total == 423_624
