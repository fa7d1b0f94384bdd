"""Structure: what can be counted without a pass over the batch."""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from fusion.probes.base import Observations, Subject, Undefined, hooked, preserved, probe
from fusion.probes.layers import weighted_layers
from fusion.spaces.graph import KIND_SETS, KINDS, CellGraph, Operations, Paths

_COUNTED = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
# autograd's products of two operands; of the second kind, the operands follow a summand
_PRODUCT = re.compile(r"(\w*Convolution|Linear|Mm|Bmm|Mv|(Addmm|Baddbmm|Addbmm|Addmv))Backward\d*")


@probe(parameter_count="structure", parameter_tensors="structure", weight_norms="structure")
def structure(subject: Subject, wanted: frozenset[str]) -> Observations:
    """No pass: the network's parameters.

    Observations
    ------------
    parameter_count, parameter_tensors : int
        Trainable numbers, and the tensors that hold them, batch normalisation's included.
    weight_norms : list of float
        Euclidean norm of the weight of each convolution and linear layer.
    """
    sizes = [p.numel() for p in subject.network.parameters() if p.requires_grad]
    found: Observations = {"parameter_count": sum(sizes), "parameter_tensors": len(sizes)}
    if "weight_norms" in wanted:
        layers = weighted_layers(subject.network).values()
        found["weight_norms"] = [float(layer.weight.detach().norm().double()) for layer in layers]
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


@probe(multiply_accumulates="structure", depth="structure")
def one_image(subject: Subject, wanted: frozenset[str]) -> Observations:
    """Forward of one image in evaluation mode: shapes, and the graph of the computation.

    Observations
    ------------
    multiply_accumulates : int
        Of convolutions and linear layers, per image; biases, normalisation, pooling and
        activations are not counted. Undefined with transposed convolutions.
    depth : int
        Convolutions and matrix products with weights on the longest path from image to output,
        also those that are no modules. Undefined where autograd sees no such path.
    """
    network = subject.network
    total = 0

    def count(module: Any, _: tuple[Any, ...], output: Tensor) -> None:
        # each output sums over one row of weights
        nonlocal total
        total += output[0].numel() * module.weight[0].numel()

    image = subject.x[:1].clone().requires_grad_()
    counted = [module for module in network.modules() if isinstance(module, _COUNTED)]
    with preserved(network), hooked(counted, count), torch.set_grad_enabled("depth" in wanted):
        network.eval()
        for parameter in network.parameters():  # frozen layers are layers
            parameter.requires_grad_(parameter.is_floating_point())
        output = network(image.clone())  # a network may change its input in place, but no leaf
    transposed = any(isinstance(module, _TRANSPOSED) for module in network.modules())
    return {
        "multiply_accumulates": Undefined("multiply-accumulates of a transposed convolution")
        if transposed
        else total,
        "depth": _depth(getattr(output, "grad_fn", None), image),
    }


def _depth(end: Node | None, image: Tensor) -> int | Undefined:
    """Return the number of layers with weights on the longest path from `image` to `end`.

    A layer is a product of something that comes from the image with something that comes from
    parameters alone. (The two factors of attention both come from the image.)
    """
    depths: dict[Node, int] = {}  # -1: comes from parameters alone; constants are no nodes
    waiting = [end] if end is not None else []
    while waiting:
        node = waiting[-1]
        operands = [operand for operand, _ in node.next_functions]
        if unknown := [o for o in operands if o is not None and o not in depths]:
            waiting += unknown
            continue
        waiting.pop()
        if getattr(node, "variable", None) is image:
            depths[node] = 0
            continue
        depths[node] = max((depths[o] for o in operands if o is not None), default=-1)
        if product := _PRODUCT.fullmatch(node.name()):
            first = 1 if product[2] else 0
            factors = {depths[o] >= 0 for o in operands[first : first + 2] if o is not None}
            depths[node] += factors == {True, False}
    depth = depths[end] if end is not None else -1
    return depth if depth >= 0 else Undefined("autograd sees no path from the image to the output")
