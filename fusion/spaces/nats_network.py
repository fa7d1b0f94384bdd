"""The network skeleton of NAS-Bench-201: stem, three stages of cells, residual reductions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


class ReLUConvBN(nn.Sequential):
    """ReLU, convolution without bias, batch normalisation; the spatial size is kept at stride 1."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.ReLU(inplace=False),
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, bias=False),
            nn.BatchNorm2d(out_channels),
        )


def _operation(op: str, channels: int) -> nn.Module:
    if op == "nor_conv_1x1":
        return ReLUConvBN(channels, channels, 1)
    if op == "nor_conv_3x3":
        return ReLUConvBN(channels, channels, 3)
    if op == "avg_pool_3x3":
        return nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)
    if op == "skip_connect":
        return nn.Identity()
    raise ValueError(f"no module for operation {op!r}")


class InferCell(nn.Module):
    """One cell: `edges` are (source, target, operation); the last node, 3, is the output.

    A cell without edges gives zeros that are still connected to its input in autograd.
    """

    def __init__(self, channels: int, edges: Sequence[tuple[int, int, str]]) -> None:
        super().__init__()
        self.edges = tuple((source, target) for source, target, _ in edges)
        self.operations = nn.ModuleList(_operation(op, channels) for _, _, op in edges)

    def forward(self, x: Tensor) -> Tensor:
        nodes: dict[int, Tensor] = {0: x}
        for (source, target), operation in zip(self.edges, self.operations, strict=True):
            term = operation(nodes[source])
            nodes[target] = nodes[target] + term if target in nodes else term
        return nodes[3] if 3 in nodes else x * 0.0


class ResidualReduction(nn.Module):
    """Basic residual block of stride 2 that doubles the channels."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_a = ReLUConvBN(in_channels, out_channels, 3, stride=2)
        self.conv_b = ReLUConvBN(out_channels, out_channels, 3)
        self.downsample = nn.Sequential(
            # rounding up gives odd sizes the size of the convolution of stride 2
            nn.AvgPool2d(2, stride=2, ceil_mode=True),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.downsample(x) + self.conv_b(self.conv_a(x))
        return out


class CellNetwork(nn.Module):
    """Stem, `cells` cells at C channels, reduction, cells at 2C, reduction, cells at 4C, head.

    Maps images (batch, in_channels, height, width), of any height and width, to logits
    (batch, num_classes).
    """

    def __init__(
        self,
        make_cell: Callable[[int], nn.Module],
        *,
        channels: int,
        cells: int,
        in_channels: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(in_channels, channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(channels),
        )
        body: list[nn.Module] = [make_cell(channels) for _ in range(cells)]
        for width in (2 * channels, 4 * channels):
            body.append(ResidualReduction(width // 2, width))
            body += [make_cell(width) for _ in range(cells)]
        self.body = nn.Sequential(*body)
        self.head = nn.Sequential(nn.BatchNorm2d(4 * channels), nn.ReLU(inplace=False))
        self.classifier = nn.Linear(4 * channels, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(self.body(self.stem(x)))
        logits: Tensor = self.classifier(torch.flatten(features.mean((2, 3)), 1))
        return logits
