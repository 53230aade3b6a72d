"""Evaluators: metrics that are not means over examples, such as BLEU, on a schedule.

Arrays are collected on the devices, and scored once on the host.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal, Protocol

import jax
import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.data.stream import in_order
from dlcore.metrics.known import Metric
from dlcore.sharding import Layout
from dlcore.train.step import Batch, State

# "eval": whenever losses are evaluated; "end": of the final state; n: every n steps and at the end
Schedule = Literal["eval", "end"] | int
Collected = dict[str, np.ndarray]  # {name: [examples, ...]}, in the order of the source


class Evaluator(Protocol):
    """Computes metrics of a state: `collect` on the devices over all batches, then `score` once.

    The state has averaged parameters where an optimizer keeps an average. In a run over several
    processes each collects its part of the rows, and all of them score the same arrays.
    """

    @property
    def every(self) -> Schedule:
        """When the evaluator runs during training, where the split "test" is always left out.

        "eval": whenever losses are evaluated; "end": never; n: after every n steps. All evaluators
        run at the end, on all their splits, of the best state or the last (`Experiment.best`).
        """

    @property
    def metrics(self) -> Mapping[str, Metric]:
        """Direction and unit of each metric that `score` returns, by name."""

    @property
    def sources(self) -> Mapping[str, Source | None]:
        """{split: examples to collect over}; None where nothing is collected."""

    def collect(self, state: State, batch: Batch) -> Mapping[str, Array]:
        """Computes {name: array [batch, ...]} of one batch; it is traced and compiled."""

    def score(self, state: State, collected: Collected, split: str) -> Mapping[str, float]:
        """Computes {metric: value} of a split on the host.

        Args:
            state: the state that was evaluated.
            collected: the arrays of all examples, in the order of the source, without padding.
            split: the split's name.
        """


@dataclasses.dataclass(frozen=True)
class Scored:
    """An evaluator that is made of functions.

    Attributes:
        sources: {split: examples to collect over}; None where nothing is collected.
        collects: (state, batch) -> {name: array [batch, ...]}, traced and compiled.
        scores: (collected, split) -> {metric: value}, on the host.
        metrics: {name: direction and unit} of each metric that `scores` returns.
        every: when it runs: "eval", whenever losses are evaluated, and at the end; "end", at the
            end alone; n, after every n steps and at the end. On the split "test" it runs at the end
            alone, whatever is given.
        reduces: (what was collected of a batch, without padding) -> arrays that are kept in its
            place, where those of a whole split would need too much memory; on the host. The arrays
            of the batches are concatenated, so that they need not have a row for each example.
    """

    sources: Mapping[str, Source | None]
    collects: Callable[[State, Batch], Mapping[str, Array]]
    scores: Callable[[Collected, str], Mapping[str, float]]
    metrics: Mapping[str, Metric]
    every: Schedule = "eval"
    reduces: Callable[[Collected], Collected] | None = None

    def collect(self, state: State, batch: Batch) -> Mapping[str, Array]:
        """Computes the arrays of one batch."""
        return self.collects(state, batch)

    def score(self, state: State, collected: Collected, split: str) -> Mapping[str, float]:
        """Computes the metrics of a split."""
        return self.scores(collected, split)


@dataclasses.dataclass(frozen=True)
class OfState:
    """An evaluator of the state alone, for example of the images that a generative model samples.

    Attributes:
        split: the split under which its metrics are listed.
        scores: (state) -> {metric: value}, on the host.
        metrics: {name: direction and unit} of each metric that `scores` returns.
        every: when it runs, as of `Scored`.
    """

    split: str
    scores: Callable[[State], Mapping[str, float]]
    metrics: Mapping[str, Metric]
    every: Schedule = "end"

    @property
    def sources(self) -> Mapping[str, Source | None]:
        """{split: None}: nothing is collected."""
        return {self.split: None}

    def collect(self, state: State, batch: Batch) -> Mapping[str, Array]:
        """Returns {}: nothing is collected."""
        return {}

    def score(self, state: State, collected: Collected, split: str) -> Mapping[str, float]:
        """Computes the metrics of the state; `collected` and `split` are not used."""
        return self.scores(state)


def is_due(evaluator: Evaluator, step: int, regular: bool) -> bool:
    """Returns whether an evaluator's schedule lets it run after a step of training.

    At the end of training all evaluators run, whatever this returns.

    Args:
        evaluator: its `every` decides: n: after every n steps; "eval": where `regular`; "end":
            never.
        step: number of steps taken, at least 1.
        regular: whether losses are evaluated after this step.
    """
    if isinstance(evaluator.every, int):
        return step % evaluator.every == 0
    return regular and evaluator.every == "eval"


# (state, batch) -> what `collect` computes, and the batch's mask
Collect = Callable[[State, Batch], tuple[dict[str, Array], Array]]


class Collector:
    """Runs evaluators on the devices of a layout; each evaluator is compiled once.

    A call with an evaluator, a state and a split collects the arrays of all examples of that split
    by the parameters of the state as they are, scores them, and returns {metric: value}.
    """

    def __init__(self, layout: Layout, batch: int) -> None:
        """Sets up an empty cache of compiled functions.

        Args:
            layout: the devices.
            batch: examples that are collected at a time, over all devices.
        """
        self._layout, self._batch = layout, batch
        self._compiled: dict[int, Collect] = {}  # by the evaluator's id

    def __call__(self, evaluator: Evaluator, state: State, split: str) -> dict[str, float]:
        """Computes {metric: value} of an evaluator on one of its splits.

        Args:
            evaluator: the evaluator.
            state: the state to evaluate.
            split: one of `evaluator.sources`.
        """
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
        run, chunks = self._compiled[id(evaluator)], []
        reduces = evaluator.reduces if isinstance(evaluator, Scored) else None
        rows = self._layout.local_rows(self._batch)
        for batch in in_order(source, self._batch, rows):
            arrays, mask = jax.device_get(run(state, self._layout.put(batch, self._batch)))
            counts = np.asarray(mask) > 0
            chunk = {name: np.asarray(array)[counts] for name, array in arrays.items()}
            chunks.append(reduces(chunk) if reduces else chunk)
        return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}
