"""Structure: what can be counted without a pass over the batch."""

from __future__ import annotations

import torch

from fusion.probes.base import Observations, Subject, Undefined, preserved, probe
from fusion.probes.layers import euclidean
from fusion.probes.survey import require
from fusion.probes.survey.products import products
from fusion.spaces.graph import KIND_SETS, KINDS, CellGraph, Operations, Paths


@probe(parameter_count="structure", parameter_tensors="structure", weight_norms="structure")
def structure(subject: Subject, wanted: frozenset[str]) -> Observations:
    """No pass: the network's parameters.

    Observations
    ------------
    parameter_count, parameter_tensors : int
        Trainable numbers, and the tensors that hold them, batch normalisation's included.
    weight_norms : list of float
        Euclidean norm of each trained weight of convolutions and matrix products.
    """
    told = subject.survey
    require(told.detached)
    sizes = [p.numel() for p in subject.network.parameters() if p.requires_grad]
    found: Observations = {"parameter_count": sum(sizes), "parameter_tensors": len(sizes)}
    if "weight_norms" in wanted:
        norms = [euclidean(weight.detach()) for weight in told.weights.values()]
        found["weight_norms"] = told.incomplete or norms
    return found


@probe(cell_paths="structure", cell_operations="structure")
def cells(subject: Subject, wanted: frozenset[str]) -> Observations:
    """No pass: the graphs of the architecture's cells.

    Numbers are summed over cells; of lengths it is the smallest (shortest) or largest (longest,
    on_one_path) of a cell.

    Observations
    ------------
    cell_paths : dict of tuple of str to Paths
        For each of the 15 sets of kinds of operations (`KIND_SETS`).
    cell_operations : dict of str to Operations
        For each kind of operation (`KINDS`).
    """
    if not subject.graphs:
        raise Undefined("needs the cells of a search space")
    graphs = list(subject.graphs.values())
    return {
        "cell_paths": {kinds: _paths(graphs, kinds) for kinds in KIND_SETS},
        "cell_operations": {kind: _operations(graphs, kind) for kind in KINDS},
    }


def _paths(graphs: list[CellGraph], kinds: tuple[str, ...]) -> Paths:
    found = [graph.paths(kinds) for graph in graphs]
    return Paths(
        sum(p.number for p in found),
        min((p.shortest for p in found if p.shortest is not None), default=None),
        max(p.longest for p in found),
    )


def _operations(graphs: list[CellGraph], kind: str) -> Operations:
    found = [graph.operations(kind) for graph in graphs]
    return Operations(
        sum(o.count for o in found),
        sum(o.from_input for o in found),
        sum(o.into_output for o in found),
        max(o.on_one_path for o in found),
    )


@probe(multiply_accumulates="structure", product_outputs="structure", depth="structure")
def one_image(subject: Subject, wanted: frozenset[str]) -> Observations:
    """Forward of one image in evaluation mode: which of its operations are convolutions and products.

    Observations
    ------------
    multiply_accumulates : int
        Of convolutions and matrix products of something that depends on the image with something that does
        not, per image, whoever calls them; biases, normalisation, pooling and activations are not counted,
        nor the products in attention of two things that depend on the image.
    product_outputs : int
        Elements of what convolutions and matrix products give for one image, those in attention included.
    depth : int
        Such products on the longest path from image to output.
    """
    network, found = subject.network, subject.survey.products
    if found is None:
        with preserved(network), torch.no_grad():
            network.eval()
            found = products(network, subject.x[:1], network)
    return {
        "multiply_accumulates": found.multiply_accumulates,
        "product_outputs": found.outputs,
        "depth": found.depth,
    }
