"""Indicators of the gradient of the loss at the weights."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from fusion.indicators.base import indicator
from fusion.probes.base import Undefined
from fusion.probes.layers import LayerGradient, euclidean

_ZERO_COST = "Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021, arXiv:2101.08134"
_ASSUMES = (
    "labels of at least two classes, mean cross-entropy, training-mode batch normalisation, default "
    "initialisation; trained weights of convolutions and matrix products, each once"
)


def _dot(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum().double())


@indicator(
    formula="sum over layers of ||dL/dw||_2", source=_ZERO_COST, higher_is_better=True, assumes=_ASSUMES
)
def grad_norm(layer_gradients: list[LayerGradient]) -> float:
    """Norm of the gradient of the loss, layer by layer."""
    return sum(euclidean(layer.gradient) for layer in layer_gradients)


@indicator(
    formula="sum |w dL/dw|",
    source="Lee, Ajanthan, Torr, SNIP, ICLR 2019, arXiv:1810.02340; as a network's score: " + _ZERO_COST,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def snip(layer_gradients: list[LayerGradient]) -> float:
    """Connection sensitivity: how much the loss feels the absence of each weight."""
    return sum(float((layer.weight * layer.gradient).abs().sum().double()) for layer in layer_gradients)


@indicator(
    formula="sum w dL/dw",
    source="Mozer, Smolensky, NIPS 1988; as a network's score: " + _ZERO_COST,
    higher_is_better=True,
    assumes=_ASSUMES,
)
def plain(layer_gradients: list[LayerGradient]) -> float:
    """Weights times their gradient: change of the loss when all weights grow alike."""
    return sum(_dot(layer.weight, layer.gradient) for layer in layer_gradients)


@indicator(
    formula="-sum w (H dL/dw), H the Hessian of the loss",
    source="Wang, Zhang, Grosse, GraSP, ICLR 2020, arXiv:2002.07376; as a network's score: " + _ZERO_COST,
    higher_is_better=True,
    assumes=_ASSUMES + "; H w by a central difference along w, relative error below 1e-3 but for "
    "the rounding of float32, which is large where the sum nearly cancels",
)
def grasp(layer_gradients: list[LayerGradient], weight_curvature: list[Tensor]) -> float:
    """Gradient signal preservation: how the gradient's norm answers to pruning."""
    # H is symmetric: w . (H g) = g . (H w)
    return -sum(
        _dot(layer.gradient, product)
        for layer, product in zip(layer_gradients, weight_curvature, strict=True)
    )


@indicator(
    formula="sum over channels of 1/2 mean_n (sum over positions of y dL/dy)^2, y a layer's output",
    source="Turner et al., BlockSwap, ICLR 2020, arXiv:1906.04113; as a network's score: " + _ZERO_COST,
    higher_is_better=True,
    assumes=_ASSUMES + "; each layer called once",
)
def fisher(layer_gradients: list[LayerGradient]) -> float:
    """Fisher information of the layers' output channels."""
    total = 0.0
    for layer in layer_gradients:
        if isinstance(layer.saliency, Undefined):
            raise layer.saliency.again()
        total += 0.5 * float(layer.saliency.double().sum())
    return total


@indicator(
    formula="sum over layers of log(sum over weights of mean_b |g_b| / std_b(g_b)), b halves of the batch",
    source="Li et al., ZiCo, ICLR 2023, arXiv:2301.11300 (which takes two batches, not the halves of one)",
    higher_is_better=True,
    assumes=_ASSUMES + "; both halves share batch statistics",
)
def zico(layer_gradients: list[LayerGradient]) -> float:
    """Inverse coefficient of variation of the gradients."""
    total = 0.0
    for layer in layer_gradients:
        if layer.halves is None:
            raise Undefined("the halves of the batch cannot be told apart in a layer's gradient")
        first, second = layer.halves
        # of two values the population's standard deviation is half the difference
        spread, size = (first - second).abs(), first.abs() + second.abs()
        varies = torch.gt(spread, 0, out=torch.empty_like(spread))
        ratios = float((varies * size / (spread + (1 - varies))).double().sum())
        if ratios > 0:
            total += math.log(ratios)
    return total
