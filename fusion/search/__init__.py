"""A space, a predictor and a budget to architectures."""
