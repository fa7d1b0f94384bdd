"""Indicators that need no pass: size and cost of the network."""

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
    formula="multiply-accumulates of convolutions and linear layers for one image",
    source="baseline of every comparison of zero-cost proxies",
    higher_is_better=True,
    assumes="image size",
)
def flops(multiply_accumulates: int) -> float:
    """Multiply-accumulates of one forward pass (the field's FLOPs)."""
    return float(multiply_accumulates)
