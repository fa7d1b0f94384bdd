"""The operations of cells of DARTS and NDS, by their names in genotypes.

All keep the number of channels; at stride 2 they halve the spatial size, rounding up. Convolutions
follow a ReLU and precede batch normalisation.

Source: Liu et al., ICLR 2019, arXiv:1806.09055 (github.com/quark0/darts); the further ones Radosavovic
et al., ICCV 2019, arXiv:1905.13214 (github.com/facebookresearch/pycls).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from fusion.spaces.nats_network import ReLUConvBN


class FactorizedReduce(nn.Module):
    """ReLU, two 1x1 convolutions of stride 2 side by side, batch normalisation.

    The second one sees the image one pixel further down and right, so that together they read from
    each of two diagonals; zeros stand beyond the border of an image of odd size.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.activation = nn.ReLU(inplace=False)
        self.even = nn.Conv2d(in_channels, out_channels // 2, 1, 2, bias=False)
        self.odd = nn.Conv2d(in_channels, out_channels // 2, 1, 2, bias=False)
        self.norm = nn.BatchNorm2d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(x)
        shifted = functional.pad(x[:, :, 1:, 1:], (0, 1, 0, 1))
        out: Tensor = self.norm(torch.cat([self.even(x), self.odd(shifted)], 1))
        return out


def _depthwise(channels: int, kernel: int, stride: int, *, dilation: int, repeats: int) -> nn.Sequential:
    """Return ReLU, depthwise convolution, 1x1 convolution, batch normalisation; the stride only once."""
    layers: list[nn.Module] = []
    padding = dilation * (kernel // 2)
    for step in (stride, 1)[:repeats]:
        layers += [
            nn.ReLU(inplace=False),
            nn.Conv2d(channels, channels, kernel, step, padding, dilation, groups=channels, bias=False),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        ]
    return nn.Sequential(*layers)


def _row_and_column(channels: int, kernel: int, stride: int) -> nn.Sequential:
    """Return ReLU, convolution along rows, convolution along columns, batch normalisation."""
    pad = kernel // 2
    return nn.Sequential(
        nn.ReLU(inplace=False),
        nn.Conv2d(channels, channels, (1, kernel), (1, stride), (0, pad), bias=False),
        nn.Conv2d(channels, channels, (kernel, 1), (stride, 1), (pad, 0), bias=False),
        nn.BatchNorm2d(channels),
    )


def _average(kernel: int) -> Callable[[int, int], nn.Module]:
    return lambda channels, stride: nn.AvgPool2d(kernel, stride, kernel // 2, count_include_pad=False)


def _maximum(kernel: int) -> Callable[[int, int], nn.Module]:
    return lambda channels, stride: nn.MaxPool2d(kernel, stride, kernel // 2)


def _conv(kernel: int) -> Callable[[int, int], nn.Module]:
    return lambda channels, stride: ReLUConvBN(channels, channels, kernel, stride)


def _separable(kernel: int) -> Callable[[int, int], nn.Module]:
    return lambda channels, stride: _depthwise(channels, kernel, stride, dilation=1, repeats=2)


def _dilated(kernel: int, repeats: int = 1) -> Callable[[int, int], nn.Module]:
    return lambda channels, stride: _depthwise(channels, kernel, stride, dilation=2, repeats=repeats)


def _skip(channels: int, stride: int) -> nn.Module:
    return nn.Identity() if stride == 1 else FactorizedReduce(channels, channels)


# name -> module of (channels, stride); `none` has no module
OPERATIONS: dict[str, Callable[[int, int], nn.Module]] = {
    "skip_connect": _skip,
    "avg_pool_3x3": _average(3),
    "max_pool_3x3": _maximum(3),
    "max_pool_5x5": _maximum(5),
    "max_pool_7x7": _maximum(7),
    "conv_1x1": _conv(1),
    "conv_3x3": _conv(3),
    "conv_3x1_1x3": lambda channels, stride: _row_and_column(channels, 3, stride),
    "conv_7x1_1x7": lambda channels, stride: _row_and_column(channels, 7, stride),
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "sep_conv_7x7": _separable(7),
    "dil_conv_3x3": _dilated(3),
    "dil_conv_5x5": _dilated(5),
    "dil_sep_conv_3x3": _dilated(3, repeats=2),
}
