"""Measures images per second that 0, 1 and 2 worker processes read, decode and augment.

`python -m tests.benchmarks.decoding [IMAGES]` prints each as a ratio to no workers.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dlcore.data.source import Batch
from dlcore.data.stream import Stream
from tests.runs import photographs
from tests.runs.test_workers import pictures_folder

BATCH, ROUNDS, STEPS = 64, 5, 6
WORKERS = (0, 1, 2)


def seconds(batches: Iterator[Batch], steps: int) -> float:
    """Measures the seconds in which `steps` batches are drawn."""
    start_time = time.perf_counter()
    for _ in range(steps):
        next(batches)
    return time.perf_counter() - start_time


def main(images: int) -> None:
    """Prints images per second of each number of workers, and the ratio to no workers.

    Numbers are medians over rounds, in which every number of workers has one turn. A turn starts
    its own workers, and draws the batches that they prepare ahead before the time is measured.

    Args:
        images: number of images in the folder.
    """
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DLCORE_CACHE"] = f"{folder}/cache"
        pictures_folder(Path(folder) / "photos", images)
        train = photographs.data(photographs.Config(size=224), Path(folder) / "photos").train
        stream = Stream(train, BATCH, 0, np.arange(BATCH))
        rates: dict[int, list[float]] = {count: [] for count in WORKERS}
        for turn in range(ROUNDS * len(WORKERS)):
            count = WORKERS[turn % len(WORKERS)]
            ahead = 4 * max(1, count)
            batches = stream.steps(turn, turn + ahead + STEPS * max(1, count) + 8, 1, count)
            seconds(batches, ahead)  # the start of the processes, and what they have prepared
            rates[count].append(BATCH * STEPS / seconds(batches, STEPS))
            getattr(batches, "close", lambda: None)()
    for count in WORKERS:
        ratios = [rate / none for rate, none in zip(rates[count], rates[0], strict=True)]
        print(
            f"{count} workers: {statistics.median(rates[count]):.0f} images/s,"
            f" {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) times none"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
