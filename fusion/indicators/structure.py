"""Indicators that need no pass over the batch: size and cost of the network."""

from __future__ import annotations

from fusion.indicators.base import indicator


@indicator(
    formula="number of trainable weights, batch normalisation's included",
    source="baseline of every comparison of zero-cost proxies",
    higher_is_better=True,
    assumes="nothing",
)
def params(parameter_count: int) -> float:
    """Trainable parameters."""
    return float(parameter_count)


@indicator(
    formula="number of trainable tensors, batch normalisation's included",
    source="Tybl, Neumann, Training-free Neural Architecture Search through Variance of Knowledge of Deep "
    "Network Weights (its dimension), CVPR 2025, arXiv:2502.04975",
    higher_is_better=True,
    assumes="nothing",
)
def tensors(parameter_tensors: int) -> float:
    """Trainable parameter tensors."""
    return float(parameter_tensors)


@indicator(
    formula="multiply-accumulates of convolutions and matrix products with weights for one image",
    source="baseline of every comparison of zero-cost proxies",
    higher_is_better=True,
    assumes="image size",
)
def flops(multiply_accumulates: int) -> float:
    """Multiply-accumulates of one forward pass (the field's FLOPs)."""
    return float(multiply_accumulates)


@indicator(
    formula="elements that convolutions and matrix products give for one image, attention's included",
    source="Radosavovic et al., Designing Network Design Spaces, CVPR 2020, arXiv:2003.13678",
    higher_is_better=True,
    assumes="image size",
)
def activations(product_outputs: int) -> float:
    """Elements of the outputs of layers (the field's activations)."""
    return float(product_outputs)


@indicator(
    formula="max over paths from input to output of the number of convolutions and products with weights",
    source="baseline of every comparison of zero-cost proxies",
    higher_is_better=True,
    assumes="nothing",
)
def depth(depth: int) -> float:
    """Layers with weights on the longest path."""
    return float(depth)


@indicator(
    formula="sum over layers of ||w||_2, trained weights of convolutions and matrix products, each once",
    source="Abdelfattah et al., Zero-Cost Proxies for Lightweight NAS, ICLR 2021, arXiv:2101.08134",
    higher_is_better=True,
    assumes="default initialisation",
)
def l2_norm(weight_norms: list[float]) -> float:
    """Norm of the weights, layer by layer."""
    return sum(weight_norms)
