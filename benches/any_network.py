"""Compare the indicators of real networks with brute force.

    python benches/any_network.py [--size 64] [--batch 8] [--double] [NAME ...]

NAME is one of timm or torchvision, as in the space `zoo`; by default twenty, of twenty families. Of each
network, untrained, without dropout, on noise: the gradients of the loss by autograd on the whole network in
training mode, in float64 (`grad_norm`, `snip`, `l2_norm`); the tangent kernel by a forward and a backward for
each sample, batch normalisation held at the batch's statistics, in float64 (`ntk_trace`, `cnntk`);
multiply-accumulates by torch's counter, of convolutions and products of matrices (`flops`). Printed is the
relative difference, and `-` where there is no value. With --double ours are in float64 too: what is left then
is a difference of definitions, and no rounding.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from fusion.extraction.planner import compute
from fusion.images import load_images
from fusion.images.base import Batch
from fusion.probes.base import Subject
from fusion.probes.initialisation import kaiming
from fusion.seeding import seeded
from fusion.spaces import make_space

NETWORKS = (
    *(
        "torchvision:resnet18",
        "torchvision:densenet121",
        "torchvision:googlenet",
        "torchvision:squeezenet1_1",
    ),
    *("torchvision:shufflenet_v2_x0_5", "torchvision:mobilenet_v3_small", "torchvision:regnet_y_400mf"),
    *("torchvision:convnext_tiny", "torchvision:vgg11_bn", "timm:efficientnet_b0", "timm:ghostnet_100"),
    *("timm:vit_tiny_patch16_224", "timm:mobilevit_xxs", "timm:poolformer_s12", "timm:levit_128s"),
    *("timm:repvgg_a0", "timm:hrnet_w18_small", "timm:dla46_c", "timm:nf_regnet_b0", "timm:mixnet_s"),
)
NAMES = ("grad_norm", "snip", "l2_norm", "ntk_trace", "cnntk", "flops")
_PRODUCTS = ("convolution", "mm", "addmm")


def logits(network: nn.Module, x: Tensor) -> Tensor:
    """Return the first output."""
    out = network(x)
    found: Tensor = out if isinstance(out, Tensor) else out[0]
    return found


def weights(network: nn.Module) -> list[Tensor]:
    """Return the weights of convolutions, linear layers and attention, each once."""
    kinds = nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear
    found: list[Tensor] = [m.weight for m in network.modules() if isinstance(m, kinds)]
    found += [m.in_proj_weight for m in network.modules() if isinstance(m, nn.MultiheadAttention)]
    return list({id(weight): weight for weight in found}.values())


def of_the_loss(network: nn.Module, batch: Batch) -> dict[str, float]:
    """Return what the gradients of the loss give."""
    network = copy.deepcopy(network).double().train()
    known = weights(network)
    with seeded(0):
        loss = functional.cross_entropy(logits(network, batch.x.double()), batch.y)
    found = torch.autograd.grad(loss, known, allow_unused=True)
    pairs = [(w.detach(), g) for w, g in zip(known, found, strict=True) if g is not None]
    return {
        "grad_norm": sum(float(g.norm()) for _, g in pairs),
        "snip": sum(float((w * g).abs().sum()) for w, g in pairs),
        "l2_norm": sum(float(w.detach().norm()) for w in known),
    }


def of_the_kernel(network: nn.Module, batch: Batch, seed: int) -> dict[str, float]:
    """Return what the tangent kernel gives."""
    network = copy.deepcopy(network)
    network.load_state_dict(kaiming(network, "fan_out", seed), strict=False)
    network = network.double().eval()
    x = batch.x.double()

    def take(norm: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        dims = [d for d in range(inputs[0].dim()) if d != 1]
        buffers = dict(norm.named_buffers())
        buffers["running_mean"].copy_(inputs[0].detach().mean(dims))
        buffers["running_var"].copy_(inputs[0].detach().var(dims, correction=0))

    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    handles = [norm.register_forward_pre_hook(take) for norm in norms]
    with torch.no_grad():
        network(x)
    for handle in handles:
        handle.remove()
    parameters = list(network.parameters())
    # of all images, for torch's batch normalisation of one image may have a wrong gradient (see `PlainNorms`)
    rows = [
        torch.autograd.grad(logits(network, x)[one].sum(), parameters, allow_unused=True)
        for one in range(len(x))
    ]
    gram = torch.zeros(len(x), len(x), dtype=torch.float64)
    for place in range(len(parameters)):
        if rows[0][place] is not None:
            stacked = torch.stack([row[place].flatten() for row in rows])
            gram += stacked @ stacked.T
    eigenvalues = torch.linalg.eigvalsh(gram)
    return {"ntk_trace": float(gram.trace()), "cnntk": float(eigenvalues[-1] / eigenvalues[0])}


def products(network: nn.Module, batch: Batch) -> float:
    """Return the multiply-accumulates of convolutions and products of matrices for one image."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        copy.deepcopy(network).eval()(batch.x[:1])
    counted = counter.get_flop_counts()["Global"]
    return float(sum(count for op, count in counted.items() if str(op).rpartition(".")[2] in _PRODUCTS) / 2)


def differences(name: str, size: int, images: int, *, double: bool) -> dict[str, float | None]:
    """Return the relative difference of each indicator of a network; None where there is no value."""
    space = make_space("zoo", {"size": size})
    batch = load_images(f"noise:3x{size}x{size}").batch(images)
    with seeded(1):
        network = space.build(name, num_classes=batch.num_classes)
    for module in network.modules():  # masks are drawn otherwise
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "drop_rate"):
            vars(module)["drop_rate"] = 0.0
    expected = {
        **of_the_loss(network, batch),
        **of_the_kernel(network, batch, 0),
        "flops": products(network, batch),
    }
    own = copy.deepcopy(network)
    if double:
        own, batch = own.double(), replace(batch, x=batch.x.double())
    found = {value.indicator: value.value for value in compute(NAMES, Subject(lambda: own, batch))}
    return {
        one: None if (value := found[one]) is None else abs(value - expected[one]) / abs(expected[one])
        for one in NAMES
    }


def main() -> None:
    """Print the differences."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", default=NETWORKS)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--double", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| network | " + " | ".join(f"`{name}`" for name in NAMES) + " |")
    print("|---" * (len(NAMES) + 1) + "|")
    for name in args.names:
        found = differences(name, args.size, args.batch, double=args.double)
        cells = ["-" if value is None else f"{value:.0e}" for value in found.values()]
        print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
