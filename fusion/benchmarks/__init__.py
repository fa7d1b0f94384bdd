"""Measured accuracies: benchmark archives, plain tables, or trained here."""

from fusion.benchmarks import (  # noqa: F401  (each registers itself)
    measured,
    nas_bench_101,
    nats_bench_archive,
    nds,
    table,
)
from fusion.benchmarks.base import BENCHMARKS, Benchmark

__all__ = ["BENCHMARKS", "Benchmark"]
