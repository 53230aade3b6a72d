"""Losses and metrics over whole splits, in which every example counts exactly once."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import TypeGuard

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Integer

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
    """The sums of one batch in one array.

    Attributes:
        values: float [metrics, 2], totals and weights.
        names: the names of the metrics, sorted; known once the evaluation is traced.
    """

    values: jax.Array
    names: tuple[str, ...]


def pack(report: Mapping[str, Mean]) -> Float[jax.Array, "metrics 2"]:
    """Packs means into one array, since one array is fetched from a device faster than dozens.

    Args:
        report: {metric: Mean}.

    Returns:
        Float [metrics, 2]: totals and weights, in the order of the sorted names.
    """
    return jnp.stack(
        [jnp.stack([m.total, m.weight.astype(m.total.dtype)]) for _, m in sorted(report.items())]
    )


def packed_step(
    objectives: Mapping[str, Objective], flags: RunOptions, names: list[str]
) -> Callable[..., tuple[State, jax.Array]]:
    """Returns `train_step` as the loop runs it, with its metrics packed by `pack`.

    Args:
        objectives: as of `train_step`.
        flags: the run's options, for seed and microbatches.
        names: a list that is filled with the metrics' names when the step is traced.

    Returns:
        (state, batch, axis) -> (state, metrics [metrics, 2]).
    """

    def step(state: State, batch: Batch, axis: str | None) -> tuple[State, jax.Array]:
        state, report = train_step(
            objectives, state, batch, seed=flags.seed, axis=axis, microbatches=flags.microbatches
        )
        names[:] = sorted(report)
        return state, pack(report)

    return step


def averaged(state: State) -> State:
    """Returns the state that is evaluated, shown and exported.

    Where an optimizer keeps an average of its parameters (`ema`, schedule_free_adamw), that average
    replaces them. Other parameters, and the rest of the state, are those of `state`.
    """
    found = {
        name: [x for x in jax.tree.leaves(opt, is_leaf=_is_average) if _is_average(x)]
        for name, opt in state.opt.items()
    }
    averages = {name: each[0].average for name, each in found.items() if each}
    return dataclasses.replace(state, params={**state.params, **averages})


def _is_average(x: object) -> TypeGuard[Averaged]:
    return isinstance(x, Averaged)


class LossEvaluation:
    """Evaluates the losses and metrics of all objectives over whole sources.

    A call with a state and a source returns {metric: mean over all examples}, by the parameters of
    the state as they are (see `averaged`). It is compiled once for each shape of batch.
    """

    def __init__(
        self, objectives: Mapping[str, Objective], layout: Layout, batch: int, seed: int
    ) -> None:
        """Sets up the compiled function; nothing is compiled before the first call.

        Args:
            objectives: whose losses are evaluated.
            layout: the devices to evaluate on.
            batch: examples per batch, over all devices.
            seed: of the run.
        """
        self.layout, self.batch = layout, batch
        self.run = jax.jit(
            lambda state, batch: evaluated(objectives, state, batch, seed),
            out_shardings=layout.everywhere,
        )
        self.only = f"{next(iter(objectives))}/" if len(objectives) == 1 else ""

    def __call__(self, state: State, source: Source) -> dict[str, float]:
        """Evaluates a state over a source.

        Args:
            state: the state, with averages in place of parameters if they are to be evaluated.
            source: the examples.

        Returns:
            {metric: mean over all examples}, summed in float64 on the host; a metric whose weights
            are all 0 is missing. The prefix "objective/" is left out where there is only one
            objective.
        """
        names, sums = summed(self.run, state, self._batches(source), self.layout.mesh.size > 1)
        return named(names, sums, self.only)

    def names(self, state: State, source: Source) -> list[str]:
        """Returns the names of the metrics that a call can return, by tracing without compiling.

        Args:
            state: abstract state.
            source: the examples; one batch of them is read.

        Returns:
            The names, sorted; without the prefix "objective/" where there is only one objective.
        """
        return [
            name.removeprefix(self.only)
            for name in self.run.eval_shape(state, next(self._batches(source))).names
        ]

    def _batches(self, source: Source) -> Iterator[Batch]:
        rows = self.layout.local_rows(self.batch)
        return (self.layout.put(batch, self.batch) for batch in in_order(source, self.batch, rows))


def check_best(best: str, names: Collection[str]) -> None:
    """Checks that the experiment's best metric exists.

    Args:
        best: "split/metric" or "-split/metric".
        names: the metrics that are evaluated on that split.

    Raises:
        UsageError: the metric is not among `names`.
    """
    split, _, metric = best.removeprefix("-").partition("/")
    if metric not in names:
        raise UsageError(
            f"nothing measures {metric!r} on {split}, which the experiment calls best: the metrics"
            f" of that split are {', '.join(sorted(names))}"
        )


def evaluated(
    objectives: Mapping[str, Objective],
    state: State,
    batch: Batch,
    seed: int | Integer[jax.Array, ""],
) -> Packed:
    """Computes the means of `step.eval_step` for one batch, and packs them by `pack`.

    Args:
        objectives, state, batch, seed: as of `step.eval_step`.
    """
    report = eval_step(objectives, state, batch, seed=seed)
    return Packed(pack(report), tuple(sorted(report)))


def summed(
    run: Callable[[State, Batch], Packed], state: State, batches: Iterable[Batch], wait: bool
) -> tuple[tuple[str, ...], np.ndarray]:
    """Sums the packed metrics of all batches in float64 on the host.

    Args:
        run: (state, batch) -> the batch's sums.
        state: passed to `run`.
        batches: passed to `run` one after the other.
        wait: whether to wait for each batch before the next one starts; needed on several devices,
            where programs that overlap can block each other's collectives.

    Returns:
        The names of the metrics and their sums, float64 [metrics, 2].
    """
    names: tuple[str, ...] = ()
    sums = np.zeros(())
    pending: list[jax.Array] = []
    for batch in batches:
        packed = run(state, batch)
        names = packed.names
        pending.append(packed.values)
        if wait:
            jax.block_until_ready(pending[-1])
        # fetched two batches later, so that the host prepares the next one meanwhile
        if len(pending) > 2:
            sums = sums + np.asarray(pending.pop(0), np.float64)
    for values in pending:
        sums = sums + np.asarray(values, np.float64)
    return names, sums


def named(
    names: Sequence[str], sums: Float[np.ndarray, "metrics 2"], prefix: str
) -> dict[str, float]:
    """Divides packed sums: {metric: mean}, without metrics whose weight is 0.

    Args:
        names: of the metrics.
        sums: totals and weights, [metrics, 2].
        prefix: removed from the names that begin with it; "": nothing is removed.
    """
    return {
        name.removeprefix(prefix): float(t / w)
        for name, (t, w) in zip(names, sums, strict=True)
        if w
    }
