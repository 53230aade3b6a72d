"""Losses and metrics over whole splits: every example counts exactly once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dlcore.data.source import Source
from dlcore.data.stream import in_order
from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.sharding import Layout
from dlcore.train.optim import Averaged
from dlcore.train.step import Batch, Mean, Objective, State, eval_step, train_step


@functools.partial(jax.tree_util.register_dataclass, data_fields=["values"], meta_fields=["names"])
@dataclasses.dataclass(frozen=True)
class Packed:
    """The sums of one batch, `values` [metrics, 2] of totals and weights, and the `names` that its
    own trace gave them.
    """

    values: jax.Array
    names: tuple[str, ...]


def pack(report: Mapping[str, Mean]) -> jax.Array:
    """[metrics, 2] totals and weights in the order of the sorted names: one array to fetch instead
    of dozens.
    """
    return jnp.stack(
        [jnp.stack([m.total, m.weight.astype(m.total.dtype)]) for _, m in sorted(report.items())]
    )


def packed_step(
    objectives: Mapping[str, Objective], flags: RunOptions, names: list[str]
) -> Callable[..., tuple[State, jax.Array]]:
    """`train_step` as the loop runs it: its report packed, in the order of `names`, which are
    filled in when it is traced.
    """

    def step(state: State, batch: Batch, axis: str | None) -> tuple[State, jax.Array]:
        state, report = train_step(
            objectives, state, batch, seed=flags.seed, axis=axis, microbatches=flags.microbatches
        )
        names[:] = sorted(report)
        return state, pack(report)

    return step


def averaged(state: State) -> State:
    """The state that is evaluated, shown and exported: with the averaged parameters where an
    optimizer keeps them (`ema`).
    """
    kept = {
        name: [x for x in jax.tree.leaves(opt, is_leaf=_is_average) if _is_average(x)]
        for name, opt in state.opt.items()
    }
    averages = {name: found[0].average for name, found in kept.items() if found}
    return dataclasses.replace(state, params={**state.params, **averages})


def _is_average(x: Any) -> bool:
    return isinstance(x, Averaged)


class LossEvaluation:
    """A compiled evaluation of all objectives, compiled once for each shape of batch."""

    def __init__(
        self, objectives: Mapping[str, Objective], layout: Layout, batch: int, seed: int
    ) -> None:
        self.layout, self.batch = layout, batch
        self.run: Any = jax.jit(
            lambda state, batch: evaluated(objectives, state, batch, seed),
            out_shardings=layout.everywhere,
        )
        self.only = f"{next(iter(objectives))}/" if len(objectives) == 1 else ""

    def __call__(self, state: State, source: Source) -> dict[str, float]:
        """{metric: mean over the source}, summed in float64 on the host. One objective's name is
        left out.
        """
        names, sums = summed(self.run, state, self._batches(source), self.layout.mesh.size > 1)
        return named(names, sums, self.only)

    def names(self, state: State, source: Source) -> list[str]:
        """The metrics that a source has, for an abstract state: traced, and neither compiled nor
        computed.
        """
        return [
            name.removeprefix(self.only)
            for name in self.run.eval_shape(state, next(self._batches(source))).names
        ]

    def _batches(self, source: Source) -> Iterator[Batch]:
        rows = self.layout.local_rows(self.batch)
        return (self.layout.put(batch, self.batch) for batch in in_order(source, self.batch, rows))


def check_best(best: str, names: Collection[str]) -> None:
    """Raises UsageError where `best` ("split/metric") is not among the `names` of the metrics that
    its split has.
    """
    split, _, metric = best.removeprefix("-").partition("/")
    if metric not in names:
        raise UsageError(
            f"nothing measures {metric!r} on {split}, which the experiment calls best: the metrics"
            f" there are {', '.join(sorted(names))}"
        )


def evaluated(
    objectives: Mapping[str, Objective], state: State, batch: Batch, seed: int | jax.Array
) -> Packed:
    """`eval_step`, packed."""
    report = eval_step(objectives, state, batch, seed=seed)
    return Packed(pack(report), tuple(sorted(report)))


def summed(
    run: Callable[[State, Batch], Packed], state: State, batches: Iterable[Batch], wait: bool
) -> tuple[tuple[str, ...], np.ndarray]:
    """What `run` returns, summed over the batches in float64 on the host, and its names; with
    `wait` one batch at a time.
    """
    names: tuple[str, ...] = ()
    sums = np.zeros(())
    late: list[jax.Array] = []
    for batch in batches:
        packed = run(state, batch)
        names = packed.names
        late.append(packed.values)
        if wait:
            jax.block_until_ready(late[-1])
        # fetched two batches late, so that the host prepares the next one meanwhile
        if len(late) > 2:
            sums = sums + np.asarray(late.pop(0), np.float64)
    for values in late:
        sums = sums + np.asarray(values, np.float64)
    return names, sums


def named(names: Sequence[str], sums: np.ndarray, only: str) -> dict[str, float]:
    """{metric: mean} of packed sums [metrics, 2]; the prefix `only` is left out."""
    return {
        name.removeprefix(only): float(t / w) for name, (t, w) in zip(names, sums, strict=True) if w
    }
