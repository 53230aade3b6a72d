"""The benchmark for GPUs: whole on CPU, where it measures nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.benchmarks import gpu
from tests.benchmarks.rows import gpt


@pytest.mark.nightly
def test_on_cpu_all_of_it_runs_and_nothing_is_measured() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks", "gpu"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "GPU: not measured" in done.stdout
    assert "GPT-2, LSTM, attention 12 ran at a tiny size" in done.stdout


@pytest.mark.quick
def test_mfu_counts_what_palm_counts() -> None:
    """2 layers of width 8, 7 words, context 6: 6 (12 * 2 * 64 + 56) + 12 * 2 * 8 * 6 operations a
    token.
    """
    assert gpu.mfu(gpt.TINY, 100, 1e6) == pytest.approx(100 * (6 * 1592 + 1152) / 1e6)
