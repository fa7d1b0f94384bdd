"""Fixtures for every test folder."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of published benchmark tables and images; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip(f"the benchmark tables are not at {SHARED}")
    return SHARED


@pytest.fixture(autouse=True)
def global_random_state():
    """Every test starts from the same global torch state, whatever ran before it."""
    torch.manual_seed(0)
