"""What the loop costs over the bare compiled step: data, transfer, logging, checks, all of it."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import jax

from dlcore.options import RunOptions
from dlcore.runs import catalog
from dlcore.runs.training import single

STEPS, ROUNDS = 200, 7


def one_round(experiment: object, folder: Path) -> tuple[float, float]:
    """Seconds a step of the bare compiled step, and of the loop, one after the other in this
    process.
    """
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


def main() -> None:
    """Print the loop's time over the bare step's: the median of interleaved rounds, and their
    spread.
    """
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
