"""The network skeleton of NAS-Bench-101: stem, stacks of cells, max pooling between the stacks.

After Ying et al., ICML 2019, arXiv:1902.09635, section 2.3, and github.com/google-research/nasbench.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class ConvBNReLU(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU; the spatial size is kept."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, padding=kernel // 2, bias=False),
            # TensorFlow's momentum of 0.997 is the share of the old value, torch's that of the new
            nn.BatchNorm2d(out_channels, eps=1e-5, momentum=0.003),
            nn.ReLU(inplace=False),
        )


def _operation(op: str, channels: int) -> nn.Module:
    if op == "conv3x3-bn-relu":
        return ConvBNReLU(channels, channels, 3)
    if op == "conv1x1-bn-relu":
        return ConvBNReLU(channels, channels, 1)
    if op == "maxpool3x3":
        return nn.MaxPool2d(3, stride=1, padding=1)
    raise ValueError(f"no module for operation {op!r}")


def vertex_channels(channels: int, edges: Sequence[tuple[int, int]], output: int) -> list[int]:
    """Return the channels of the vertices 1 to `output`, the last of which has `channels`.

    The vertices that feed the output share its channels, the first ones taking one more each where
    they do not divide evenly. Every other vertex has as many as the widest that it feeds.
    """
    feeders = [v for v in range(1, output) if (v, output) in edges]
    widths = {output: channels}
    for i, vertex in enumerate(feeders):
        widths[vertex] = channels // len(feeders) + (i < channels % len(feeders))
    for vertex in reversed(range(1, output)):
        if vertex not in widths:
            widths[vertex] = max(widths[target] for source, target in edges if source == vertex)
    return [widths[vertex] for vertex in range(1, output + 1)]


class VertexCell(nn.Module):
    """One cell: `ops` name the operations of the vertices 1, 2, ...; the vertex after them is the output.

    A vertex adds up what it reads: the input by a 1x1 projection to its own width, the other
    vertices cut to that width. The output concatenates instead, and then adds a projection of the
    input where the input is wired to it.
    """

    def __init__(
        self, in_channels: int, out_channels: int, edges: Sequence[tuple[int, int]], ops: Sequence[str]
    ) -> None:
        super().__init__()
        self.output = len(ops) + 1
        self.widths = vertex_channels(out_channels, edges, self.output)
        self.sources = [[s for s, t in edges if t == v and s > 0] for v in range(1, self.output + 1)]
        self.projections = nn.ModuleDict(
            {str(v): ConvBNReLU(in_channels, self.widths[v - 1], 1) for s, v in edges if s == 0}
        )
        self.operations = nn.ModuleList(_operation(op, w) for op, w in zip(ops, self.widths, strict=False))

    def forward(self, x: Tensor) -> Tensor:
        projected = {int(v): projection(x) for v, projection in self.projections.items()}
        values: dict[int, Tensor] = {}
        for v, operation in enumerate(self.operations, 1):
            terms = [values[s][:, : self.widths[v - 1]] for s in self.sources[v - 1]]
            terms += [projected[v]] if v in projected else []
            values[v] = operation(sum(terms[1:], terms[0]))
        parts = [torch.cat([values[s] for s in self.sources[-1]], 1)] if self.sources[-1] else []
        parts += [projected[self.output]] if self.output in projected else []
        out: Tensor = sum(parts[1:], parts[0])
        return out


class CellNetwork(nn.Module):
    """Stem, `stacks` stacks of `cells` cells, global average pooling, linear layer.

    The first stack has C channels; a 2x2 max pooling stands before each further one, and its first
    cell doubles the channels. Maps images (batch, in_channels, height, width), of any height and
    width, to logits (batch, num_classes).
    """

    def __init__(
        self,
        edges: Sequence[tuple[int, int]],
        ops: Sequence[str],
        *,
        channels: int,
        cells: int,
        stacks: int,
        in_channels: int,
        num_classes: int,
    ) -> None:
        super().__init__()
        self.stem = ConvBNReLU(in_channels, channels, 3)
        body: list[nn.Module] = []
        read = channels
        for stack in range(stacks):
            width = channels * 2**stack
            if stack:
                # rounding up is TensorFlow's "same"
                body.append(nn.MaxPool2d(2, stride=2, ceil_mode=True))
            for _ in range(cells):
                body.append(VertexCell(read, width, edges, ops))
                read = width
        self.body = nn.Sequential(*body)
        self.classifier = nn.Linear(read, num_classes)
        self.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        features = self.body(self.stem(x))
        logits: Tensor = self.classifier(features.mean((2, 3)))
        return logits


def _initialise(module: nn.Module) -> None:
    """Draw weights as the benchmark did: variance 1 / fan-in, cut off at two standard deviations."""
    if isinstance(module, nn.Conv2d):
        # 0.8796 is the standard deviation of a standard normal variable cut off at 2
        std = module.weight[0].numel() ** -0.5 / 0.87962566103423978
        nn.init.trunc_normal_(module.weight, std=std, a=-2 * std, b=2 * std)
    elif isinstance(module, nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        nn.init.zeros_(module.bias)
