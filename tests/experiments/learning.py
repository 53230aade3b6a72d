"""Helpers of the learning tests: training in this process, and data without information."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from dlcore import sharding
from dlcore.data.sets import pair_rows, pairs
from dlcore.data.source import Arrays, Batch, Info, Source
from dlcore.data.stream import Stream
from dlcore.options import RunOptions
from dlcore.train.compile import compile_step
from dlcore.train.evaluate import LossEvaluation, averaged, packed_step
from dlcore.train.evaluators import Collector
from dlcore.train.experiment import Experiment
from dlcore.train.init import initial
from tests.child import built

# ---- training


class Trainer:
    """Trains an experiment on one device, by the step of runs, compiled once for all sources."""

    def __init__(self, experiment: Experiment, seed: int = 0) -> None:
        self.experiment, self.seed = experiment, seed
        self.layout = sharding.layout("jit", "", devices=jax.devices()[:1])
        self.rows = self.layout.local_rows(experiment.batch)
        example = self._put(Stream(experiment.train, experiment.batch, seed, self.rows).at(0))
        abstract, self.make = initial(experiment, seed, self.layout, example)
        step = packed_step(experiment.trained, RunOptions(offline=True, seed=seed), [])
        self.step = compile_step(
            step, self.layout, abstract, jax.tree.map(lambda x: x.sharding, abstract), example
        )
        self.evaluator = LossEvaluation(experiment.trained, self.layout, experiment.batch, seed)

    def _put(self, batch: Batch) -> Any:
        return self.layout.put(batch, self.experiment.batch)

    def metric(self, name: str, train: Source) -> float:
        """Trains on `train` from the first step to the last; returns the metric "split/metric"."""
        state, stream = self.make(), Stream(train, self.experiment.batch, self.seed, self.rows)
        for step in range(self.experiment.steps):
            state, _ = self.step(state, self._put(stream.at(step)))
        split, _, metric = name.partition("/")
        if split in self.experiment.evaluated:
            measured = self.evaluator(state, self.experiment.evaluated[split])
            if metric in measured:
                return measured[metric]
        (evaluator,) = [
            each
            for each in self.experiment.evaluators
            if metric in each.metrics and split in each.sources
        ]
        return Collector(self.layout, self.experiment.batch)(evaluator, averaged(state), split)[
            metric
        ]


# ---- data without information on the answers


@dataclasses.dataclass(frozen=True, eq=False)
class Torn:
    """A source whose `fields` are taken, together, from other examples.

    Their distribution is unchanged, but they are independent of the remaining fields.
    """

    source: Source
    fields: tuple[str, ...]

    @property
    def info(self) -> Info:
        return self.source.info

    def __len__(self) -> int:
        return len(self.source)

    def gather(self, index: np.ndarray) -> Batch:
        order = np.random.default_rng(0).permutation(len(self))
        other = self.source.gather(order[np.asarray(index, np.int64)])
        return {**self.source.gather(index), **{name: other[name] for name in self.fields}}


def torn(*fields: str) -> Callable[[Experiment], Source]:
    """Returns (experiment) -> the training examples with these fields from other examples."""
    return lambda experiment: Torn(experiment.train, fields)


def constant(field: str) -> Callable[[Experiment], Source]:
    """Returns (experiment) -> the training examples, all with the first one's `field`."""

    def changed(experiment: Experiment) -> Source:
        source = experiment.train
        assert isinstance(source, Arrays)
        array = np.broadcast_to(source.arrays[field][:1], source.arrays[field].shape)
        return Arrays({**source.arrays, field: array}, source.info)

    return changed


def scrambled(field: str, whole: bool = False, seed: int = 0) -> Callable[[Experiment], Source]:
    """Returns (experiment) -> the training examples with the entries of `field` permuted.

    Each position is permuted between examples; with `whole`, between all positions too.
    """

    def changed(experiment: Experiment) -> Source:
        source = experiment.train
        assert isinstance(source, Arrays)
        draw, array = np.random.default_rng(seed), source.arrays[field]
        mixed = (
            draw.permutation(array.reshape(-1)).reshape(array.shape)
            if whole
            else draw.permuted(array, axis=0)
        )
        return Arrays({**source.arrays, field: mixed}, source.info)

    return changed


def exchanged(experiment: Experiment) -> Source:
    """The training pairs of answers, of which a random half have right and wrong exchanged."""
    source = experiment.train
    assert isinstance(source, Arrays)
    changed, own = dict(source.arrays), np.random.default_rng(0).integers(0, 2, (len(source), 1))
    for field in ("tokens", "targets", "weight"):
        right, wrong = source.arrays[field], source.arrays[f"wrong_{field}"]
        changed[field] = np.where(own, right, wrong)
        changed[f"wrong_{field}"] = np.where(own, wrong, right)
    return Arrays(changed, source.info)


def mistranslated(name: str, **changes: Any) -> Callable[[Experiment], Source]:
    """Returns (experiment) -> training pairs of a sentence and another sentence's translation."""

    def changed(_: Experiment) -> Source:
        true = pairs.synthetic

        def false(*words: Any) -> pair_rows.Corpus:
            corpus = true(*words)
            order = np.random.default_rng(0).permutation(len(corpus.source["train"]))
            return dataclasses.replace(
                corpus,
                source={**corpus.source, "train": [corpus.source["train"][i] for i in order]},
            )

        pairs.synthetic = false
        try:
            return built(name, **changes).train
        finally:
            pairs.synthetic = true

    return changed
