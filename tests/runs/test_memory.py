"""A long run takes no more memory at its end than after its first steps."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path

import jax.numpy as jnp
import pytest

from dlcore.runs.checkpoint import Checkpoints
from dlcore.train.step import State
from tests.child import card, environment, logged

# Megabytes. 3.7 of them are Python's: it enlarges its table of interned strings once, after some
# 700 checkpoints.
ALLOWED = 5.0


@pytest.mark.nightly
def test_a_checkpoint_leaves_nothing_behind_in_memory(tmp_path: Path) -> None:
    """TensorStore never frees the JSON that it returns; Orbax asked for some at each save, and for
    some more for each array.
    """
    tree = {f"layer_{i}": jnp.zeros(3) for i in range(20)}
    state = State(jnp.zeros((), jnp.int32), {"net": tree}, {}, {})
    kept = Checkpoints(tmp_path / "checkpoints", keep=1)

    def saved(steps: range) -> int:
        for step in steps:
            kept.save(state, step)
            kept.wait()
        gc.collect()  # cycles are no leak
        return sum(
            each.size
            for each in tracemalloc.take_snapshot().filter_traces(own).statistics("filename")
        )

    own = [tracemalloc.Filter(True, "*/orbax/*/tensorstore_utils.py")]
    tracemalloc.start()
    try:
        before = saved(range(1, 11))
        after = saved(range(11, 41))
    finally:
        tracemalloc.stop()
        kept.close()
    # thirty, since some kilobytes are still in use at either look
    assert after - before < 30 * 500, "bytes, over thirty checkpoints"


def _megabytes(pid: int) -> float | None:
    """Anonymous memory of a child process, in RAM or swapped out: what it has allocated
    and not freed; None where the process has just ended.
    """
    fields = dict(
        line.split(":", 1)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if ":" in line
    )
    sizes = [int(fields[name].split()[0]) for name in ("RssAnon", "VmSwap") if name in fields]
    return sum(sizes) / 1024 if sizes else None


def measured(folder: Path, steps: int, every: int) -> list[tuple[int, float]]:
    """(step, megabytes) of a small experiment's training in a process of its own, an evaluation and
    a checkpoint every so many steps.

    What follows the last step is left out: the run then evaluates the test split, whose results are
    logged with the step of the best state, and draws samples, which imports more and compiles.
    """
    words = [
        "train",
        "mlp_digits",
        "--steps",
        steps,
        "--widths",
        16,
        "--batch",
        32,
        "--eval-every",
        every,
        "--save-every",
        every,
    ]
    words += ["--log-every", every, "--diagnose", "never", "--out", folder]
    found: list[tuple[int, float]] = []
    with (folder.parent / "said.txt").open("w") as said:
        run = subprocess.Popen(
            [sys.executable, "-m", "dlcore", *map(str, words)],
            stdout=said,
            stderr=said,
            env=environment(JAX_NUM_CPU_DEVICES="1"),
        )
        while run.poll() is None:
            time.sleep(0.5)
            lines = (
                (folder / "metrics.jsonl").read_text().splitlines()[-1:]
                if (folder / "metrics.jsonl").exists()
                else []
            )
            size = _megabytes(run.pid) if lines and run.poll() is None else None
            if size is not None:
                newest = json.loads(lines[0])
                if newest["split"] != "test" and newest["step"] < steps:
                    found.append((newest["step"], size))
    assert run.returncode == 0, (folder.parent / "said.txt").read_text()[-2000:]
    return found


@pytest.mark.nightly
@pytest.mark.skipif(
    not Path("/proc/self/status").exists(),
    reason="reads a process's memory from /proc, which is Linux's",
)
def test_resident_memory_is_flat_over_60000_steps_with_1200_evaluations_and_checkpoints(
    tmp_path: Path,
) -> None:
    steps = int(os.environ.get("DLCORE_TEST_STEPS", "60000"))
    measurements = measured(tmp_path / "run", steps, 50)
    # The least of three successive sizes leaves out copies that exist for milliseconds.
    found = [
        (step, min(size for _, size in measurements[i : i + 3]))
        for i, (step, _) in enumerate(measurements[:-2])
    ]
    after = [(step, size) for step, size in found if step >= steps // 12]
    start = min(size for step, size in after if step <= steps // 6)
    table = "\n".join(
        f"step {step}: {size:.1f} MB" for step, size in found[:: max(1, len(found) // 30)]
    )
    print(table)
    assert card(tmp_path / "run")["status"] == "done"
    assert len(logged(tmp_path / "run", "validation")) == steps // 50
    size, step = max((size, step) for step, size in after)
    assert size <= start + ALLOWED, f"{size:.1f} MB at step {step}, from {start:.1f} MB\n{table}"


if __name__ == "__main__":  # python -m tests.runs.test_memory FOLDER: the table alone
    for at, size_ in measured(
        Path(sys.argv[1]).resolve() / "run", int(sys.argv[2]) if len(sys.argv) > 2 else 60000, 50
    )[::10]:
        print(f"step {at}: {size_:.1f} MB", flush=True)
