"""Extraction that is killed, again and again, ends with the table of one that was not."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest

from fusion.tables.indicator_table import KEYS
from tests.tables.reading import read_rows


def start(out, archs: int) -> subprocess.Popen:
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "fusion", "extract", "--space", "nats-tss"),
            *("--space-set", "channels=4", "cells=1", "--archs", f"sample:{archs}", "--images", "digits"),
            *("--batch-size", "32", "--workers", "1", "--out", str(out)),
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def rows(out):
    return read_rows(out, KEYS).drop(columns="seconds", errors="ignore")


@pytest.mark.parametrize(("kills", "archs"), [(3, 40), pytest.param(20, 1500, marks=pytest.mark.slow)])
def test_kill_and_resume_gives_the_same_table(tmp_path, kills, archs):
    assert start(tmp_path / "whole", archs).wait(timeout=600) == 0
    whole = rows(tmp_path / "whole")
    rng = np.random.default_rng(kills)
    unfinished = 0
    for _ in range(kills):
        process = start(tmp_path / "killed", archs)
        # the first time until the table is there, later about until the process has read it
        deadline = time.monotonic() + 3
        while not (tmp_path / "killed" / "meta.json").exists() and time.monotonic() < deadline + 57:
            time.sleep(0.05)
        time.sleep(max(0.0, deadline - time.monotonic()) + float(rng.uniform(0, 4)))
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        unfinished += len(rows(tmp_path / "killed")) < len(whole)
    assert unfinished > kills / 2
    assert start(tmp_path / "killed", archs).wait(timeout=600) == 0
    pd.testing.assert_frame_equal(rows(tmp_path / "killed"), whole)
