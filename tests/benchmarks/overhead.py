"""Measures the training loop's time over the bare step's, and the cost of the cache's checksums."""

from __future__ import annotations

import functools
import statistics
import tempfile
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from dlcore.data import cache
from dlcore.options import RunOptions
from dlcore.runs import catalog
from dlcore.runs.training import single

STEPS, ROUNDS = 200, 7


def one_round(experiment: object, folder: Path) -> tuple[float, float]:
    """Measures seconds per step of the bare compiled step, then of the loop."""
    flags = RunOptions(offline=True, cpu_devices=1, eval_every=10**9, save_every=10**9)
    trainer = single(experiment, flags, folder, {})  # type: ignore[arg-type]
    step = trainer.program.step
    batch = next(trainer.program.batches(0, 1))
    state, packed = step(jax.tree.map(lambda x: x.copy(), trainer.state), batch)
    jax.block_until_ready(state)
    start_time = time.perf_counter()
    for _ in range(STEPS):
        state, packed = step(state, batch)
    jax.block_until_ready((state, packed))
    bare = (time.perf_counter() - start_time) / STEPS
    trainer.train()
    return bare, trainer.clock.seconds["train"] / STEPS


def checksums() -> list[float]:
    """Measures, in each round, opening 235 MB of cached images over reading their bytes once.

    Opening verifies the checksums; the files are in the operating system's page cache.
    """
    image = np.random.default_rng(0).integers(0, 256, (300_000, 28, 28, 1), np.uint8)
    ratios = []
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patched:
        patched.setenv("DLCORE_CACHE", folder)
        opened = functools.partial(
            cache.cached, "images", "images", "1", "train", lambda: (len(image), [{"image": image}])
        )
        opened()
        for _ in range(ROUNDS):
            start_time = time.perf_counter()
            images = opened().arrays["image"]
            verified = time.perf_counter()
            images.sum(dtype=np.uint64)
            ratios.append((verified - start_time) / (time.perf_counter() - verified))
    return ratios


def main() -> None:
    """Prints both ratios: their medians over interleaved rounds, and all rounds."""
    found = sorted(checksums())
    print(
        f"opening with checksums over one sum of all bytes: {statistics.median(found):.2f} (rounds"
        f" {', '.join(f'{r:.2f}' for r in found)})"
    )
    page = catalog.load(catalog.find("mlp_digits"))
    experiment = page.experiment(page.config(widths=(1024, 512), batch=128, steps=STEPS), "offline")
    ratios, steps = [], []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS):
            place = Path(folder) / str(turn)
            place.mkdir()
            bare, loop = one_round(experiment, place)
            ratios.append(loop / bare)
            steps.append(bare)
    print(
        f"loop over bare step: {statistics.median(ratios):.3f} (rounds"
        f" {', '.join(f'{r:.3f}' for r in sorted(ratios))})"
    )
    print(f"the bare step took about {statistics.median(steps) * 1e3:.1f} ms")
