"""Measured accuracies: benchmark archives, plain tables, or trained here."""

from fusion.registry import Registry

BENCHMARKS: Registry[dict[str, str]] = Registry("benchmark")
BENCHMARKS.add(
    "table",
    {
        "summary": "a Parquet or CSV table with a column of architectures and columns of accuracies",
        "source": "yours",
    },
)
BENCHMARKS.add(
    "nats-bench",
    {
        "summary": "a NATS-Bench topology archive, read through nats_bench",
        "source": "Dong et al., NATS-Bench, TPAMI 2021, arXiv:2009.00437",
    },
)
BENCHMARKS.add(
    "measured",
    {
        "summary": "accuracies and training states that `fusion measure` trained",
        "source": "yours, in the spirit of the Darts-training-bench of DAS, arXiv:2212.12132",
    },
)
BENCHMARKS.add(
    "digits-tss",
    {
        "summary": "bundled: NAS-Bench-201 cells trained on scikit-learn's digits, 8 seeds each",
        "source": "this project; see data/digits-tss/README.md",
    },
)
