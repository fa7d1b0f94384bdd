"""A small run from architectures to report, made once with the command."""

import pandas as pd
import pytest

from fusion.cli import main
from fusion.storage.bundled import bundled

SPACE = ["--space", "nats-tss", "--space-set", "channels=2", "cells=1"]
IMAGES = ["--images", "digits", "--batch-size", "16", "--workers", "1"]


@pytest.fixture(scope="session")
def work(tmp_path_factory):
    """A folder with archs.csv, accuracies.csv, the table `indicators` and the model `model`."""
    root = tmp_path_factory.mktemp("work")
    measured = pd.read_parquet(bundled("data/digits-tss/accuracies.parquet")).iloc[:60]
    measured[["arch"]].to_csv(root / "archs.csv", index=False)
    measured[["arch", "accuracy"]].iloc[:40].to_csv(root / "accuracies.csv", index=False)
    extract = [
        "extract",
        *SPACE,
        *IMAGES,
        "--archs",
        str(root / "archs.csv"),
        "--out",
        str(root / "indicators"),
    ]
    assert main(extract) == 0
    assert main(["fit", *training(root), "--model", "weighted_sum", "--out", str(root / "model")]) == 0
    return root


def training(root):
    """Return the options that name a table and its accuracies."""
    return [
        *("--indicators", str(root / "indicators")),
        *("--accuracies", str(root / "accuracies.csv"), "--target", "accuracy"),
    ]
