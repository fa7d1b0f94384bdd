"""Error of grasp's central difference against the exact Hessian-vector product in float64.

    python benches/curvature.py --images cifar-10-batches-py

For random architectures of nats-tss: the relative error of grasp by our difference in float64 (the
method alone), by our difference in float32 (as extracted), and by a double backward pass in float32,
each against a double backward pass in float64. Grasp is a difference of large terms, so any float32
computation of it loses digits; the last column is what the exact method itself loses.
"""

from __future__ import annotations

import argparse

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.extraction.subject import make_subject
from fusion.images import load_images
from fusion.probes.codes import watch_codes
from fusion.probes.curvature import Masks, weight_curvature
from fusion.probes.survey import declared_weights
from fusion.spaces import make_space


def exact(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return grasp by a double backward pass."""
    weights = [*declared_weights(network).values()]
    gradients = torch.autograd.grad(
        functional.cross_entropy(network(x), y), weights, create_graph=True, allow_unused=True
    )
    pairs = [(w, g) for w, g in zip(weights, gradients, strict=True) if g is not None]
    squares = torch.stack([(g.detach() * g).sum() for _, g in pairs]).sum()
    products = torch.autograd.grad(squares, [w for w, _ in pairs])
    return -sum(float((w.detach().double() * p).sum()) for (w, _), p in zip(pairs, products, strict=True))


def difference(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Return grasp by the central difference."""
    masks = Masks()
    with watch_codes(masks.see):
        loss = functional.cross_entropy(network(x), y)
    weights = [*declared_weights(network).values()]
    gradients = [g for g in torch.autograd.grad(loss, weights, allow_unused=True) if g is not None]
    products = weight_curvature(network, x, y, masks, [*declared_weights(network)])
    return -sum(float((g.double() * p).sum()) for g, p in zip(gradients, products, strict=True))


def main() -> None:
    """Print the errors."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", default="noise:3x32x32")
    parser.add_argument("--archs", type=int, default=20)
    parser.add_argument("--batch-size", type=int, default=32)
    args = parser.parse_args()
    space = make_space("nats-tss")
    batch = load_images(args.images).batch(args.batch_size, 0)
    rows = []
    for arch in space.sample(args.archs, 2):
        subject = make_subject(space, space.canonical(arch), batch, seed=0, repeat=0)
        single, double = subject.network.train(), subject.build().double().train()
        x, y = subject.x, subject.batch.y
        truth = exact(double, x.double(), y)
        if truth == 0:  # a disconnected cell
            continue
        found = {
            "difference, float64": difference(double, x.double(), y),
            "difference, float32": difference(single, x, y),
            "double backward, float32": exact(single, x, y),
        }
        rows.append({name: abs(value / truth - 1) for name, value in found.items()})
    errors = pd.DataFrame(rows)
    print(f"relative error of grasp, {len(errors)} networks, batch {args.batch_size}")
    print(errors.describe().loc[["50%", "75%", "max"]].T.to_string(float_format=lambda v: f"{v:.1e}"))


if __name__ == "__main__":
    main()
