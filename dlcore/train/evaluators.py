"""Metrics that are no means over examples: collected on the devices, scored on the host, on a
schedule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, Protocol

import jax
import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.data.stream import in_order
from dlcore.metrics.known import Metric
from dlcore.sharding import Layout
from dlcore.train.step import Batch, State

# at every evaluation; of the final state; every n steps, and of the final state
Schedule = Literal["eval", "end"] | int
Collected = dict[str, np.ndarray]


class Evaluator(Protocol):
    """Metrics of a state: `collect` runs compiled over the batches of a source, `score` once on the
    host.

    The state is the averaged one where an average is kept. In a run over several processes each
    collects its share of the rows; all of them score the same collected arrays.
    """

    @property
    def every(self) -> Schedule:
        """When it runs."""

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """The direction and unit of each metric that `score` gives."""

    @property
    def sources(self) -> Mapping[str, Source | None]:
        """{split: what is collected over}: the split, or a part of it; None where there is nothing
        to collect.
        """

    def collect(self, state: State, batch: Batch) -> Mapping[str, Array]:
        """Arrays [batch, ...] of a batch; traced and compiled."""

    def score(self, state: State, collected: Collected, split: str) -> Mapping[str, float]:
        """{metric: value} of a split, from what was collected of its examples, in order; padding is
        left out.
        """


@dataclasses.dataclass(frozen=True)
class Scored:
    """An evaluator made of functions.

    Attributes:
        sources: {split: what is collected over}.
        collects: (state, batch) -> {name: array [batch, ...]}.
        scores: (collected, split) -> {metric: value}.
        metrics: direction and unit of each metric.
        every: when it runs.
    """

    sources: Mapping[str, Source | None]
    collects: Callable[[State, Batch], Mapping[str, Array]]
    scores: Callable[[Collected, str], Mapping[str, float]]
    metrics: Mapping[str, Metric]
    every: Schedule = "eval"

    def collect(self, state: State, batch: Batch) -> Mapping[str, Array]:
        """Arrays of a batch."""
        return self.collects(state, batch)

    def score(self, state: State, collected: Collected, split: str) -> Mapping[str, float]:
        """The metrics of what was collected."""
        return self.scores(collected, split)


@dataclasses.dataclass(frozen=True)
class OfState:
    """An evaluator of the state alone, such as of what a generative model draws.

    Attributes:
        split: where its metrics are listed.
        scores: (state) -> {metric: value}.
        metrics: direction and unit of each metric.
        every: when it runs.
    """

    split: str
    scores: Callable[[State], Mapping[str, float]]
    metrics: Mapping[str, Metric]
    every: Schedule = "end"

    @property
    def sources(self) -> Mapping[str, Source | None]:
        """Nothing to collect."""
        return {self.split: None}

    def collect(self, state: State, batch: Batch) -> Mapping[str, Array]:
        """Nothing."""
        return {}

    def score(self, state: State, collected: Collected, split: str) -> Mapping[str, float]:
        """The metrics of the state."""
        return self.scores(state)


def is_due(evaluator: Evaluator, step: int, regular: bool) -> bool:
    """Whether an evaluator runs at a step of training, at which losses are evaluated if
    `regular`.
    """
    if isinstance(evaluator.every, int):
        return step % evaluator.every == 0
    return regular and evaluator.every == "eval"


class Collector:
    """Runs evaluators on a layout; each is compiled once. `batch` examples are collected at a
    time.
    """

    def __init__(self, layout: Layout, batch: int) -> None:
        self._layout, self._batch = layout, batch
        self._compiled: dict[int, Any] = {}

    def __call__(self, evaluator: Evaluator, state: State, split: str) -> dict[str, float]:
        """The metrics of `split`."""
        source = evaluator.sources[split]
        collected = {} if source is None else self._collect(evaluator, state, source)
        return {
            name: float(value) for name, value in evaluator.score(state, collected, split).items()
        }

    def _collect(self, evaluator: Evaluator, state: State, source: Source) -> Collected:
        if id(evaluator) not in self._compiled:
            self._compiled[id(evaluator)] = jax.jit(
                lambda state, batch: (dict(evaluator.collect(state, batch)), batch["mask"]),
                out_shardings=self._layout.everywhere,
            )
        run, parts = self._compiled[id(evaluator)], []
        rows = self._layout.local_rows(self._batch)
        for batch in in_order(source, self._batch, rows):
            arrays, mask = jax.device_get(run(state, self._layout.put(batch, self._batch)))
            counts = np.asarray(mask) > 0
            parts.append({name: np.asarray(array)[counts] for name, array in arrays.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
