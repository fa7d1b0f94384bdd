"""Fusion: training-free indicators of neural architectures, fused into predicted accuracies."""

__version__ = "0.1.0"
