"""Compare parameters and flops of networks with those that the published files of NDS name.

    python benches/nds_counts.py --data DIR [--families nds-darts,nds-enas]

DIR holds DARTS_in.json and so on. Networks are run on tensors without data, for one image of
3 x 224 x 224 and 1000 classes. Prints for each family the number of entries, and of those whose
parameters and flops are equal.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from fusion.spaces import make_space


def layer_flops(module: nn.Module, image: Tensor, output: Tensor) -> int:
    """Return multiply-accumulates of a convolution or a linear layer, and one for each bias added."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        bias = output.numel() if module.bias is not None else 0
        return output.numel() * module.weight[0].numel() + bias
    return 0


def cell_flops(module: nn.Module, image: Tensor, output: Tensor) -> int:
    """Return the flops of a module as counted in the families of cells.

    Beside `layer_flops` one for each value of a ReLU, k^2 for each pooled value, and nothing for
    batch normalisation. The output size of dilated convolutions is taken from the formula for
    plain ones: with padding 2, a 3x3 kernel seems to give two rows and columns more.
    """
    if isinstance(module, nn.ReLU):
        return output.numel()
    if isinstance(module, nn.AvgPool2d | nn.MaxPool2d):
        return output.numel() * int(module.kernel_size) ** 2  # type: ignore[arg-type]
    if isinstance(module, nn.Conv2d) and module.dilation != (1, 1):
        kernel, step, pad = (int(of[0]) for of in (module.kernel_size, module.stride, module.padding))
        rows, columns = ((size + 2 * pad - kernel) // step + 1 for size in image.shape[2:])
        return output.shape[1] * rows * columns * module.weight[0].numel()
    if isinstance(module, nn.Linear):  # and the average over 7 x 7 positions before it
        return layer_flops(module, image, output) + 49 * image.numel()
    return layer_flops(module, image, output)


def block_flops(module: nn.Module, image: Tensor, output: Tensor) -> int:
    """Return the flops of a module as counted in the ResNeXt families: 5 for each normalised value."""
    return 5 * output.numel() if isinstance(module, nn.BatchNorm2d) else layer_flops(module, image, output)


class Family(NamedTuple):
    """The published file of a space, and how flops of a module are counted in it."""

    file: str
    flops: Callable[[nn.Module, Tensor, Tensor], int]


# by the name of the space
FAMILIES = {
    "nds-darts": Family("DARTS_in.json", cell_flops),
    "nds-enas": Family("ENAS_in.json", cell_flops),
    "nds-nasnet": Family("NASNet_in.json", cell_flops),
    "nds-pnas": Family("PNAS_in.json", cell_flops),
    "nds-amoeba": Family("Amoeba_in.json", cell_flops),
    "nds-resnext-a": Family("ResNeXt-A_in.json", block_flops),
    "nds-resnext-b": Family("ResNeXt-B_in.json", block_flops),
}


def counted(space: str, net: Any) -> tuple[int, int]:
    """Return parameters and flops of an entry's `net` as the published file counts them."""
    flops = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal flops
        flops += FAMILIES[space].flops(module, inputs[0], output)

    with torch.device("meta"):
        network = make_space(space).build(json.dumps(net), num_classes=1000)
        for module in network.modules():
            module.register_forward_hook(count)
        network.eval()(torch.empty(1, 3, 224, 224))
    return sum(p.numel() for p in network.parameters()), flops


def main() -> None:
    """Print the comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--families", default=",".join(FAMILIES))
    parser.add_argument("--entries", type=int, help="only the first ones of each file")
    args = parser.parse_args()
    print(f"{'family':<14} entries  params equal  flops equal")
    for space in args.families.split(","):
        entries = json.loads((args.data / FAMILIES[space].file).read_text())[: args.entries]
        counts = [counted(space, entry["net"]) for entry in entries]
        params = sum(found[0] == entry["params"] for found, entry in zip(counts, entries, strict=True))
        flops = sum(found[1] == entry["flops"] for found, entry in zip(counts, entries, strict=True))
        print(f"{space:<14} {len(entries):>7}  {params:>12}  {flops:>11}", flush=True)


if __name__ == "__main__":
    main()
