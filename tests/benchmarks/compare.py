"""Compares the contenders of a row, each in its own process, in turns: ratios of their times."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
from types import TracebackType
from typing import Any

CONTENDERS = ("dlcore", "flax", "torch", "torch_channels_last")
ROUNDS, SECONDS = 9, 0.7  # of each contender in each round


class Contender:
    """A process of `worker`; a context that ends it.

    Attributes:
        losses: the first three.
    """

    def __init__(self, row: str, name: str, size: str) -> None:
        words = [sys.executable, "-m", "tests.benchmarks.worker", row, name, size]
        environment = os.environ | {"JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.name = name
        self.process = subprocess.Popen(
            words,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.losses: list[float] = self.metrics()

    def metrics(self) -> Any:
        """Reads the next line; RuntimeError with the process's error output where it has ended."""
        assert self.process.stdout
        assert self.process.stderr
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} ended: {self.process.stderr.read()[-3000:]}")
        return json.loads(line)

    def seconds(self, steps: int) -> float:
        """Runs so many steps; returns the seconds that they took."""
        assert self.process.stdin
        print(steps, file=self.process.stdin, flush=True)
        return float(self.metrics())

    def __enter__(self) -> Contender:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()


def present(row: str) -> list[str]:
    """Returns the row's contenders that can run here: PyTorch may not be installed."""
    module = importlib.import_module(f"tests.benchmarks.rows.{row}")
    names = [name for name in CONTENDERS if hasattr(module, name)]
    return [
        name for name in names if not name.startswith("torch") or importlib.util.find_spec("torch")
    ]


def losses(row: str, size: str) -> dict[str, list[float]]:
    """Computes the first three losses of each contender that can run here."""
    found = {}
    for name in present(row):
        with Contender(row, name, size) as contender:
            found[name] = contender.losses
    return found


def agree(found: dict[str, list[float]]) -> None:
    """Raises RuntimeError unless the losses of all contenders agree to a relative 2e-3."""
    for name, values in found.items():
        if any(abs(a - b) > 2e-3 * abs(a) for a, b in zip(found["dlcore"], values, strict=True)):
            raise RuntimeError(f"the losses of dlcore and {name} differ: {found}")


def compiler() -> str | None:
    """Returns the C++ compiler that `torch.compile` would call; None: there is none."""
    return os.environ.get("CXX") or next(filter(None, map(shutil.which, ("g++", "clang++"))), None)


def row(name: str, size: str = "FULL", compiled: bool = False) -> dict[str, Any]:
    """Measures the ratios dlcore / contender of a row: medians and quartiles over rounds in turns.

    Args:
        name: of the row.
        size: "FULL" or "TINY".
        compiled: adds PyTorch by `torch.compile`, where there is a C++ compiler.

    Returns:
        An entry of the table, as JSON values.

    Raises:
        RuntimeError: the losses differ, or a contender failed.
    """
    others = present(name)
    without = compiled and "torch" in others and not compiler()
    if compiled and "torch" in others and not without:
        others.append("torch_compile")
    running: list[Contender] = []
    try:
        running += (Contender(name, other, size) for other in others)
        agree({each.name: each.losses for each in running})
        steps = {}
        for each in running:
            each.seconds(3)
            steps[each.name] = max(3, round(SECONDS / (each.seconds(3) / 3)))
        rounds = [
            {each.name: each.seconds(steps[each.name]) / steps[each.name] for each in running}
            for _ in range(ROUNDS)
        ]
    finally:
        for each in running:
            each.__exit__(None, None, None)
    ratios = {}
    for other in others[1:]:
        found = [times["dlcore"] / times[other] for times in rounds]
        low, _, high = statistics.quantiles(found, n=4)
        ratios[other] = {"ratio": statistics.median(found), "quartiles": [low, high]}
    limits = importlib.import_module(f"tests.benchmarks.rows.{name}").LIMITS
    times = {
        each: round(1e3 * statistics.median(found[each] for found in rounds), 3) for each in others
    }
    missing = {"torch_compile": "no C++ compiler (g++ or clang++)"} if without else {}
    return {
        "row": name,
        "dlcore over": ratios,
        "goals": limits,
        "rounds": ROUNDS,
        "milliseconds": times,
        "missing": missing,
    }


def line(metrics: dict[str, Any]) -> str:
    """Formats what `row` returns as a line of the table."""
    cells = []
    for other, found in metrics["dlcore over"].items():
        low, high = found["quartiles"]
        goal = f", goal {metrics['goals'][other]:g}" if other in metrics["goals"] else ""
        cells.append(f"{other} {found['ratio']:.2f} ({low:.2f} to {high:.2f}{goal})")
    cells += [f"{other}: {why}" for other, why in metrics["missing"].items()]
    return f"{metrics['row']:24} dlcore over " + "   ".join(cells)
