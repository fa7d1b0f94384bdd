"""Fixtures for every test folder."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch

SHARED = Path(os.environ.get("FUSION_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of published benchmark tables and images; tests that need it skip without it.

    Named by the environment variable FUSION_TEST_DATA; by default `../shared/data` beside the checkout.
    """
    if not SHARED.is_dir():
        pytest.skip(f"the benchmark tables are not at {SHARED}")
    return SHARED


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """A current folder for modules of its own; paths and modules are afterwards as before."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", sys.path.copy())
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    before = set(sys.modules)
    yield tmp_path
    for name in set(sys.modules) - before:
        spec = vars(sys.modules[name]).get("__spec__")
        places = [] if spec is None else [spec.origin, *(spec.submodule_search_locations or [])]
        # libraries import parts of themselves when they are first used; those stay
        if any(place is not None and Path(place).is_relative_to(tmp_path) for place in places):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def global_random_state():
    """Every test starts from the same global torch state, whatever ran before it."""
    torch.manual_seed(0)
