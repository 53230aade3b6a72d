"""What a person waits for: the help, the first step, checkpoints; and whether the data come faster
than they are consumed.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from dlcore.data.stream import Stream
from dlcore.options import RunOptions
from dlcore.runs import catalog
from dlcore.runs.training import single

ROUNDS = 5


def until(word: str, *words: str, **environment: str) -> float:
    """Seconds from a command to the line that begins with `word`, or to its end."""
    command = [sys.executable, "-m", "dlcore", *words]
    start_time = time.perf_counter()
    with subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout
        for line in process.stdout:
            if line.startswith(word):
                return time.perf_counter() - start_time
    return time.perf_counter() - start_time


def first_step() -> None:
    """The help, and the first step of mlp_digits with a cold and a warm cache."""
    help_seconds = statistics.median(until("nothing", "--help") for _ in range(ROUNDS))
    with tempfile.TemporaryDirectory() as folder:
        words = ["train", "mlp_digits", "--steps", "1", "--log-every", "1", "--out"]
        waits = [
            until("step 1/1", *words, f"{folder}/{i}", DLCORE_CACHE=f"{folder}/cache")
            for i in range(1 + ROUNDS)
        ]
    warm = statistics.median(waits[1:])
    print(
        f"dlcore --help: {help_seconds:.2f} s; first step of mlp_digits: {warm:.1f} s with a warm"
        f" cache, {waits[0]:.1f} s with a cold one"
    )


def loop(save_every: int, steps: int, folder: Path) -> tuple[float, float]:
    """Seconds of the GPT page's loop with a checkpoint every so many steps; and of its batches
    alone.
    """
    page = catalog.load(catalog.find("gpt_tiny_shakespeare"))
    flags = RunOptions(
        offline=True, cpu_devices=1, eval_every=10**9, save_every=save_every, diagnose="never"
    )
    folder.mkdir()
    experiment = page.experiment(page.config(steps=steps, offline=True), "offline")
    trainer = single(experiment, flags, folder, {})
    stream = Stream(experiment.train, experiment.batch, flags.seed, np.arange(experiment.batch))
    start_time = time.perf_counter()
    for _, _batch in zip(range(steps), stream.steps(0, steps, flags.threads), strict=False):
        pass
    alone = time.perf_counter() - start_time
    start_time = time.perf_counter()
    trainer.train(until=steps)  # where nothing is saved
    trainer.close()
    return time.perf_counter() - start_time, alone


def checkpoints(steps: int = 101) -> None:
    """A checkpoint every 50 steps against none, in turns; and batches a second against what the
    loop consumes.
    """
    ratios, rates = [], []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(ROUNDS):
            without, alone = loop(10**9, steps, Path(folder) / f"{turn}-without")
            every_50, _ = loop(50, steps, Path(folder) / f"{turn}-50")
            ratios.append(every_50 / without)
            rates.append(without / alone)
    print(
        f"GPT with a checkpoint every 50 steps over none: {statistics.median(ratios):.3f}"
        f" ({min(ratios):.3f} to {max(ratios):.3f})"
    )
    print(f"its batches come {statistics.median(rates):.0f} times as fast as they are consumed")


def main() -> None:
    """Print all of them."""
    first_step()
    checkpoints()
