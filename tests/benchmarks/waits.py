"""Measures waiting times: of --help, the first step and checkpoints; and the rate of batches."""

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
    """Measures the seconds from a command's start to its first line that begins with `word`.

    Args:
        word: the start of the line; where there is none, the command's end counts.
        words: the command line after `dlcore`.
        environment: further variables.
    """
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
    """Prints the seconds of --help, and of mlp_digits' first step with a cold and a warm cache."""
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
    """Measures the seconds of gpt_tiny_shakespeare's loop, and of its batches alone.

    Args:
        save_every: number of steps between checkpoints.
        steps: number of steps.
        folder: of the run; is created.
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
    """Prints the loop's time with a checkpoint every 50 steps over that without, in turns.

    Also prints how many times faster the batches are prepared than the loop consumes them.
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
    """Prints all measurements."""
    first_step()
    checkpoints()
