"""The size space of NATS-Bench: one fixed cell, five widths to choose.

An architecture is `C1:C2:C3:C4:C5`, each of 8, 16, ..., 64, which makes 8^5 = 32,768 strings, such
as `8:16:32:48:64`: the channels of the stem with the first cell, the first reduction, the second
cell, the second reduction, and the third cell. The cell is the topology space's
`|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|`.

Source: Dong et al., "NATS-Bench: Benchmarking NAS Algorithms for Architecture Topology and Size",
TPAMI 2021, arXiv:2009.00437.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from fusion.errors import FusionError, InvalidArchitecture
from fusion.spaces.base import SPACES, Space
from fusion.spaces.graph import CellGraph
from fusion.spaces.nats_network import ReLUConvBN, ResidualReduction
from fusion.spaces.notation import bracketed, official_number

WIDTHS = tuple(range(8, 65, 8))
LAYERS = 5
_CELL = CellGraph(
    4, ((0, 1, "conv"), (0, 2, "conv"), (1, 2, "conv"), (0, 3, "skip"), (1, 3, "conv"), (2, 3, "conv"))
)
_PATTERN = re.compile(":".join([f"({'|'.join(map(str, WIDTHS))})"] * LAYERS))


def parse(arch: str) -> tuple[int, ...]:
    """Return the five widths of `arch`.

    Raises
    ------
    InvalidArchitecture
        When the string is not one of the 32,768.
    """
    match = _PATTERN.fullmatch(arch) if isinstance(arch, str) else None
    if match is None:
        raise InvalidArchitecture(
            f"{arch!r} is no nats-sss architecture; expected C1:C2:C3:C4:C5, each of 8, 16, ..., 64"
        )
    return tuple(map(int, match.groups()))


class SizeCell(nn.Module):
    """The fixed cell; operations that read its input change the channels.

    A skip that has to change the channels is a 1x1 convolution with batch normalisation.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv_01 = ReLUConvBN(in_channels, out_channels, 3)
        self.conv_02 = ReLUConvBN(in_channels, out_channels, 3)
        self.conv_12 = ReLUConvBN(out_channels, out_channels, 3)
        self.skip_03: nn.Module = nn.Identity()
        if in_channels != out_channels:
            self.skip_03 = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, bias=False), nn.BatchNorm2d(out_channels)
            )
        self.conv_13 = ReLUConvBN(out_channels, out_channels, 3)
        self.conv_23 = ReLUConvBN(out_channels, out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        one = self.conv_01(x)
        two = self.conv_02(x) + self.conv_12(one)
        out: Tensor = self.skip_03(x) + self.conv_13(one) + self.conv_23(two)
        return out


class SizeNetwork(nn.Module):
    """Stem, cell, reduction, cell, reduction, cell, head, with the given five widths.

    Maps images (batch, in_channels, height, width), of any height and width, to logits
    (batch, num_classes).
    """

    def __init__(self, widths: tuple[int, ...], *, in_channels: int, num_classes: int) -> None:
        super().__init__()
        one, two, three, four, five = widths
        self.stem = nn.Sequential(nn.Conv2d(in_channels, one, 3, padding=1, bias=False), nn.BatchNorm2d(one))
        self.body = nn.Sequential(
            SizeCell(one, one),
            ResidualReduction(one, two),
            SizeCell(two, three),
            ResidualReduction(three, four),
            SizeCell(four, five),
        )
        self.head = nn.Sequential(nn.BatchNorm2d(five), nn.ReLU(inplace=False))
        self.classifier = nn.Linear(five, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        features = self.head(self.body(self.stem(x)))
        logits: Tensor = self.classifier(torch.flatten(features.mean((2, 3)), 1))
        return logits


@SPACES.register
class NatsSss(Space):
    """NATS-Bench size space: 32,768 architectures, all different networks.

    Parameters
    ----------
    divisor : {1, 2, 4, 8}
        The networks' widths are those of the string divided by it; 1 is the benchmark's.
    """

    name = "nats-sss"
    summary = "five widths of 8 to 64 channels around a fixed cell (NATS-Bench size)"
    source = "arXiv:2009.00437"

    def __init__(self, divisor: int = 1) -> None:
        if divisor not in (1, 2, 4, 8):
            raise FusionError(f"nats-sss: divisor must be 1, 2, 4 or 8, got {divisor}")
        self.divisor = divisor

    @property
    def settings(self) -> dict[str, Any]:
        return {"divisor": self.divisor}

    def __len__(self) -> int:
        return int(len(WIDTHS) ** LAYERS)

    def enumerate(self) -> Iterator[str]:
        return (":".join(map(str, widths)) for widths in itertools.product(WIDTHS, repeat=LAYERS))

    def read(self, text: str) -> str:
        """Return the string that `text` means.

        Besides the string itself: the widths as a list or tuple (`[8, 16, 32, 48, 64]`), between hyphens,
        commas or `x` (`8-16-32-48-64`); and the official number, 0 to 32,767, whose order is that of
        `enumerate`.
        """
        if (number := official_number(text)) is not None:
            if number >= len(self):
                raise InvalidArchitecture(
                    f"{text.strip()!r}: the official numbers of nats-sss are 0 to {len(self) - 1}"
                )
            digits = [number // len(WIDTHS) ** place % len(WIDTHS) for place in reversed(range(LAYERS))]
            return ":".join(str(WIDTHS[digit]) for digit in digits)
        widths = bracketed(text) or re.split(r"\s*[-:,x]\s*", text.strip())
        arch = ":".join(map(str, widths))
        parse(arch if _PATTERN.fullmatch(arch) else text.strip())  # told as it was written
        return arch

    def canonical(self, arch: str) -> str:
        parse(arch)
        return arch

    def neighbours(self, arch: str) -> list[str]:
        """Return the 35 architectures with one other width."""
        widths = parse(arch)
        return [
            ":".join(map(str, (*widths[:i], width, *widths[i + 1 :])))
            for i in range(LAYERS)
            for width in WIDTHS
            if width != widths[i]
        ]

    def thin(self) -> NatsSss:
        """Return the space with widths of 1 to 8, the narrowest in which architectures still differ."""
        return NatsSss(divisor=8)

    def graphs(self, arch: str) -> dict[str, CellGraph]:
        parse(arch)
        return {"cell": _CELL}

    def features(self, arch: str) -> dict[str, float | str]:
        """Return the widths: `width.I`, their base-2 logarithms `log2.I`, and `log2.I-J`, of a product.

        The product of neighbours' widths is what the weights between them grow with.
        """
        widths = parse(arch)
        logs = [math.log2(width) for width in widths]
        found: dict[str, float | str] = {f"width.{i}": float(width) for i, width in enumerate(widths)}
        found |= {f"log2.{i}": log for i, log in enumerate(logs)}
        return found | {f"log2.{i}-{i + 1}": logs[i] + logs[i + 1] for i in range(LAYERS - 1)}

    def build(self, arch: str, *, in_channels: int = 3, num_classes: int = 10) -> nn.Module:
        widths = tuple(width // self.divisor for width in parse(arch))
        return SizeNetwork(widths, in_channels=in_channels, num_classes=num_classes)
