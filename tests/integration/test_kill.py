"""Extraction that is killed, again and again, ends with the table of one that was not."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from fusion.extraction.store import read_rows
from fusion.extraction.table import KEYS

ARCHS = 40


def start(out) -> subprocess.Popen:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "fusion.cli", "extract", "--space", "nats-tss"),
            *("--space-set", "channels=4", "cells=1", "--archs", f"sample:{ARCHS}", "--images", "digits"),
            *("--batch-size", "32", "--workers", "1", "--out", str(out)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


@pytest.mark.parametrize("kills", [3, pytest.param(20, marks=pytest.mark.slow)])
def test_kill_and_resume_gives_the_same_table(tmp_path, kills):
    assert start(tmp_path / "whole").wait(timeout=600) == 0
    rng = np.random.default_rng(kills)
    interrupted = 0
    while interrupted < kills:
        process = start(tmp_path / "killed")
        # from before the first row is computed to after the last
        deadline = time.monotonic() + 60
        while not (tmp_path / "killed" / "meta.json").exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(float(rng.uniform(0, 4)))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        interrupted += 1
    assert start(tmp_path / "killed").wait(timeout=600) == 0
    tables = [read_rows(tmp_path / name, KEYS).drop(columns="seconds") for name in ("whole", "killed")]
    assert len(tables[0]) > ARCHS
    pd.testing.assert_frame_equal(*tables)
