"""Measured accuracies: benchmark archives, plain tables, or trained here.

Every module that an installed package names in the entry point group `fusion.benchmarks` is imported too,
and registers its benchmarks.
"""

from fusion.benchmarks import (  # noqa: F401  (each registers itself)
    measured,
    nas_bench_101,
    nats_bench_archive,
    nds,
    table,
)
from fusion.benchmarks.base import BENCHMARKS, Benchmark

__all__ = ["BENCHMARKS", "Benchmark"]

BENCHMARKS.load_entry_points()
