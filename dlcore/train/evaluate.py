"""Losses and metrics over whole splits: every example counts exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.data.source import Source
from dlcore.data.stream import in_order
from dlcore.flags import Flags
from dlcore.train.experiment import Experiment
from dlcore.train.notice import during
from dlcore.train.parallel import Layout, layout
from dlcore.train.precision import with_precision
from dlcore.train.step import Batch, Mean, Objective, State, eval_step, train_step


def pack(report: Mapping[str, Mean]) -> jax.Array:
    """[metrics, 2] totals and weights in the order of the sorted names: one array to fetch instead of dozens."""
    return jnp.stack([jnp.stack([m.total, m.weight.astype(m.total.dtype)]) for _, m in sorted(report.items())])


def packed_step(objectives: Mapping[str, Objective], flags: Flags, names: list[str]) -> Callable[..., tuple[State, jax.Array]]:
    """`train_step` as the loop runs it: its report packed, in the order of `names`, which are filled in when it is traced."""

    def step(state: State, batch: Batch, axis: str | None) -> tuple[State, jax.Array]:
        state, report = train_step(objectives, state, batch, seed=flags.seed, axis=axis, microbatches=flags.microbatches)
        names[:] = sorted(report)
        return state, pack(report)

    return step


def everything(experiment: Experiment, flags: Flags, state: State) -> dict[str, dict[str, float]]:
    """{split: {metric: value}} of a state over all that an experiment evaluates, what is measured at the end included."""
    place = layout(flags.parallel, flags.mesh)
    evaluator = Evaluator(with_precision(experiment.objectives, flags.precision), place, experiment.batch, flags.seed)
    with during("compiling"):
        results = {split: evaluator(state, source) for split, source in experiment.eval.items()}
    for split, metrics in (experiment.evaluate(state) if experiment.evaluate else {}).items():
        results[split] = {**results.get(split, {}), **metrics}
    return results


class Evaluator:
    """A compiled evaluation of all objectives, compiled once for each shape of batch."""

    def __init__(self, objectives: Mapping[str, Objective], layout: Layout, batch: int, seed: int) -> None:
        self.layout, self.batch = layout, batch
        self.names: list[str] = []

        def run(state: State, batch: Batch) -> jax.Array:
            report = eval_step(objectives, state, batch, seed=seed)
            self.names = sorted(report)
            return pack(report)

        self.run: Callable[[State, Batch], jax.Array] = jax.jit(run, out_shardings=layout.everywhere)
        self.only = f"{next(iter(objectives))}/" if len(objectives) == 1 else ""

    def __call__(self, state: State, source: Source) -> dict[str, float]:
        """{metric: mean over the source}, summed in float64 on the host. One objective's name is left out."""
        rows, put = self.layout.local_rows(self.batch), lambda batch: self.layout.put(batch, self.batch)
        sums = summed(self.run, state, map(put, in_order(source, self.batch, rows)), self.layout.mesh.size > 1)
        return named(self.names, sums, self.only)


def summed(run: Callable[[State, Batch], jax.Array], state: State, batches: Iterable[Batch], wait: bool) -> np.ndarray:
    """What `run` returns, summed over the batches in float64 on the host; with `wait` one batch at a time."""
    sums = np.zeros(())
    late: list[jax.Array] = []
    for batch in batches:
        late.append(run(state, batch))
        if wait:
            jax.block_until_ready(late[-1])
        if len(late) > 2:  # fetched two batches late, so that the host prepares the next one meanwhile
            sums = sums + np.asarray(late.pop(0), np.float64)
    for packed in late:
        sums = sums + np.asarray(packed, np.float64)
    return sums


def named(names: Sequence[str], sums: np.ndarray, only: str) -> dict[str, float]:
    """{metric: mean} of packed sums [metrics, 2]; the prefix `only` is left out."""
    return {name.removeprefix(only): float(t / w) for name, (t, w) in zip(names, sums, strict=True) if w}
