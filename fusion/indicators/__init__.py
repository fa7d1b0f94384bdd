"""Observations to numbers: pure functions, one file per indicator family."""
