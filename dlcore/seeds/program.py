"""Several seeds of an experiment in one compiled program: a run is a lane of it, and lanes know nothing of each other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from dlcore import sharding
from dlcore.analysis.diagnose import in_a_hurry, measure, named
from dlcore.analysis.diagnosis_summary import Row
from dlcore.data import checks
from dlcore.data.source import Source
from dlcore.data.stream import Streams, in_order
from dlcore.options import Flags
from dlcore.seeds import placement
from dlcore.train.evaluate import Packed, evaluated, pack, summed
from dlcore.train.evaluate import named as means
from dlcore.train.experiment import Experiment
from dlcore.train.init import initial, state_of
from dlcore.train.precision import with_precision
from dlcore.train.step import Batch, State, train_step


class Lanes:
    """The programs that all seeds share: first states, steps, evaluation, diagnosis; `spent` counts their seconds."""

    def __init__(self, experiment: Experiment, flags: Flags, seeds: Sequence[int], stride: int) -> None:
        self.experiment, self.stride = experiment, stride
        self.layout, self.one = placement.lanes(len(seeds)), sharding.layout("jit", "", jax.devices()[:1])
        self.objectives = with_precision(experiment.objectives, flags.precision, experiment.inputs)
        self.only = f"{next(iter(self.objectives))}/" if len(self.objectives) == 1 else ""
        self.streams = Streams(experiment.train, experiment.batch, tuple(seeds))
        self.spent = {"compile": 0.0, "eval": 0.0}
        self.names: list[str] = []
        self.seeds = self.put({"seed": np.asarray(seeds, np.uint32)})["seed"]

        example = self.streams.at(0)
        first = {name: x[0, 0] for name, x in example.items()}
        self.abstract, _ = initial(experiment, seeds[0], self.one, self.one.put(first, experiment.batch))
        make = placement.over_lanes(lambda seed, batch: state_of(experiment, seed, batch), self.layout)
        self.first = make(self.seeds, self.put({name: x[:, 0] for name, x in example.items()}))
        began = time.monotonic()
        many = self.put(self.streams.at(0, stride))
        self._step = placement.over_lanes(self._steps(flags.microbatches), self.layout, donate=True)
        with checks.declared() as self.indices:
            self._step = self._step.lower(self.first, many, self.seeds).compile()
        checks.check_indices({"train": experiment.train, **experiment.eval}, self.indices)
        self.spent["compile"] += time.monotonic() - began
        self._evaluated = placement.over_lanes(self._evaluation, self.layout, shared=(1,))
        self._diagnosed = placement.over_lanes(
            lambda state, batch, seed: measure(self.objectives, state, batch, seed, flags.microbatches),
            self.layout,
            options=in_a_hurry(),
        )

    def put(self, batch: Mapping[str, np.ndarray]) -> Any:
        """Arrays with an axis of lanes in front, each lane's part on its device."""
        return self.layout.put(batch, len(self.streams.seeds))

    def batches(self, start: int, stop: int, threads: int) -> Iterator[Mapping[str, np.ndarray]]:
        """The batches of the steps start..stop of every lane, a stride at a time."""
        made = self.streams.steps(start, stop, self.stride, threads)
        return checks.watched(made, self.experiment.train, self.indices)

    def step(self, state: State, batches: Batch) -> tuple[State, jax.Array]:
        """`stride` steps of every lane; metrics [lanes, stride, metrics, 2]."""
        return self._step(state, batches, self.seeds)

    def _steps(self, microbatches: int) -> Callable[..., Any]:
        def steps(state: State, batches: Batch, seed: jax.Array) -> Any:
            def step(state: State, batch: Batch) -> Any:
                state, report = train_step(self.objectives, state, batch, seed=seed, microbatches=microbatches)
                self.names[:] = sorted(report)
                return state, pack(report)

            return jax.lax.scan(step, state, batches)

        return steps

    def _evaluation(self, state: State, batch: Batch, seed: jax.Array) -> Packed:
        return evaluated(self.objectives, state, batch, seed)

    def evaluate(self, state: State, source: Source) -> list[dict[str, float]]:
        """{metric: mean over the source} of every lane."""
        began, wait = time.monotonic(), self.layout.mesh.size > 1
        names, sums = summed(lambda s, b: self._evaluated(s, b, self.seeds), state, self._in_order(source), wait)
        self.spent["eval"] += time.monotonic() - began
        return [means(names, lane, self.only) for lane in sums]

    def eval_names(self, source: Source) -> list[str]:
        """The metrics that a source has: traced, and neither compiled nor computed."""
        batch = next(self._in_order(source))
        return [name.removeprefix(self.only) for name in self._evaluated.eval_shape(self.first, batch, self.seeds).names]

    def _in_order(self, source: Source) -> Iterator[Batch]:
        return map(self.layout.share, in_order(source, self.experiment.batch, np.arange(self.experiment.batch)))

    def diagnose(self, state: State, step: int) -> list[dict[str, list[Row]]]:
        """The rows of each objective, of every lane: what it would make of its next batch."""
        began = time.monotonic()
        batch = self.put({name: x[:, 0] for name, x in self.streams.at(step).items()})
        found = jax.device_get(self._diagnosed(state, batch, self.seeds))
        self.spent["eval"] += time.monotonic() - began
        params = self.abstract.params
        return [
            {name: named(params[name], numbers[lane]) for name, numbers in found.items()}
            for lane in range(len(self.streams.seeds))
        ]
