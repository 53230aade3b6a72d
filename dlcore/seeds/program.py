"""Several seeds of an experiment in one compiled program, vectorised over a leading seed axis."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence

import jax
import numpy as np

from dlcore import sharding
from dlcore.analysis.diagnose import in_a_hurry, measure, named
from dlcore.data import checks
from dlcore.data.source import Source
from dlcore.data.stream import Streams, in_order
from dlcore.options import RunOptions
from dlcore.runs.program import SIZES, Diagnosis
from dlcore.runtime import tracebacks
from dlcore.seeds import placement
from dlcore.train.evaluate import Packed, evaluated, pack, summed
from dlcore.train.evaluate import named as means
from dlcore.train.evaluators import Collector
from dlcore.train.experiment import Experiment
from dlcore.train.init import initial, state_of
from dlcore.train.precision import with_precision
from dlcore.train.step import Batch, State, train_step


class SeedProgram:
    """The `Program` (runs/program.py) of several independent seeds.

    Arrays have a leading seed axis, which is sharded over the devices. The constructor compiles and
    computes the initial state of all seeds; `compile` compiles the step.

    Args:
        experiment: the experiment.
        flags: the run options; `flags.seed` is not used.
        seeds: the seed of each run.
        stride: the number of steps of one call; more steps have less overhead on the host.

    Raises:
        UsageError: the model rejects its sizes or the shapes of the data.
    """

    ahead = 2

    def __init__(
        self, experiment: Experiment, flags: RunOptions, seeds: Sequence[int], stride: int
    ) -> None:
        self._experiment, self._flags, self.stride = experiment, flags, stride
        self.layout, self._one = (
            placement.over_seeds(len(seeds)),
            sharding.layout("jit", "", jax.devices()[:1]),
        )
        self.objectives = with_precision(experiment.trained, flags.precision)
        self._prefix = f"{next(iter(self.objectives))}/" if len(self.objectives) == 1 else ""
        self._streams = Streams(experiment.train, experiment.batch, tuple(seeds))
        self.collector = Collector(self._one, experiment.batch)
        self.metric_names: list[str] = []
        self.indices: Mapping[str, checks.Indices] = {}
        self._seeds = self._put({"seed": np.asarray(seeds, np.uint32)})["seed"]
        example = self._streams.at(0)
        first = {name: x[0, 0] for name, x in example.items()}
        put = self._one.put(first, experiment.batch)
        self.abstract, _ = tracebacks.rejecting(
            lambda: initial(experiment, seeds[0], self._one, put), hint=SIZES
        )
        make = placement.vectorised(
            lambda seed, batch: state_of(experiment, seed, batch), self.layout
        )
        self._initial = make(self._seeds, self._put({name: x[:, 0] for name, x in example.items()}))
        self._step: jax.stages.Compiled
        self._evaluated = placement.vectorised(self._evaluation, self.layout, shared=(1,))
        self._diagnosed = placement.vectorised(
            lambda state, batch, seed: measure(
                self.objectives, state, batch, seed, flags.microbatches
            ),
            self.layout,
            options=in_a_hurry(),
        )

    def _put(self, batch: Mapping[str, np.ndarray]) -> sharding.Tree:
        return self.layout.put(batch, len(self._streams.seeds))

    def initial(self) -> list[State]:
        """Returns the state of step 0 of each seed; only before `compile`, which frees it."""
        return self.split(self._initial)

    def join(self, states: Sequence[State]) -> State:
        """Stacks the states of the seeds."""
        return placement.stacked(states, self.layout)

    def split(self, state: State) -> list[State]:
        """Returns the state of each seed."""
        return placement.unstacked(state, self._one)

    def compile(self) -> None:
        """Compiles the training step.

        Raises:
            UsageError: an index in the data is outside the table of the model that it indexes.
        """
        example = self._put(self._streams.at(0, self.stride))
        step = placement.vectorised(self._steps, self.layout, donate=True)
        with checks.declared() as self.indices:
            self._step = step.lower(self._initial, example, self._seeds).compile()
        checks.check_indices(
            {"train": self._experiment.train, **self._experiment.evaluated}, self.indices
        )
        del self._initial

    def _steps(self, state: State, batches: Batch, seed: jax.Array) -> tuple[State, jax.Array]:
        """`stride` steps of one seed."""

        def step(state: State, batch: Batch) -> tuple[State, jax.Array]:
            microbatches = self._flags.microbatches
            state, report = train_step(
                self.objectives, state, batch, seed=seed, microbatches=microbatches
            )
            self.metric_names[:] = sorted(report)
            return state, pack(report)

        return jax.lax.scan(step, state, batches)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yields the batches of the steps from `start` to before `stop`, `stride` steps at a time.

        Args:
            start: the first step, counted from 0.
            stop: the step after the last; `stride` divides `stop` - `start`.

        Yields:
            {field: array [seeds, stride, batch, ...]}, on the devices, for one call of `step`.
        """
        flags = self._flags
        made = (
            self._streams.steps(start, stop, self.stride, flags.threads, flags.workers)
            if start < stop
            else iter(())
        )
        return map(self._put, checks.watched(made, self._experiment.train, self.indices))

    def step(self, state: State, batch: Batch, /) -> tuple[State, jax.Array]:
        """Trains every seed for `stride` steps.

        Args:
            state: of all seeds; its buffers are donated.
            batch: {field: array [seeds, stride, batch, ...]}, as `batches` yields it: each seed has
                its own examples.

        Returns:
            The new state, and packed metrics [seeds, stride, metrics, 2]: total and weight of each
            metric in each step, in the order of `metric_names`.
        """
        state, packed = self._step(state, batch, self._seeds)
        return state, packed

    def metric_values(self, packed: Sequence[jax.Array]) -> np.ndarray:
        """Fetches the packed metrics of several calls: float64 [seeds, steps, metrics, 2]."""
        return np.concatenate(
            [np.asarray(each, np.float64) for each in jax.device_get(list(packed))], axis=1
        )

    def _evaluation(self, state: State, batch: Batch, seed: jax.Array) -> Packed:
        return evaluated(self.objectives, state, batch, seed)

    def evaluate(self, state: State, source: Source) -> list[dict[str, float]]:
        """Returns {metric: mean over the source} of every seed."""
        run: Callable[..., Packed] = functools.partial(self._with_seeds, self._evaluated)
        names, sums = summed(run, state, self._in_order(source), self.layout.mesh.size > 1)
        return [means(names, each, self._prefix) for each in sums]

    def _with_seeds(self, run: Callable[..., Packed], state: State, batch: Batch) -> Packed:
        return run(state, batch, self._seeds)

    def evaluation_names(self, source: Source) -> list[str]:
        """Returns the names of the metrics of `evaluate`, by tracing; only before `compile`."""
        batch = next(self._in_order(source))
        shapes = jax.eval_shape(self._evaluated, self._initial, batch, self._seeds)
        return [name.removeprefix(self._prefix) for name in shapes.names]

    def _in_order(self, source: Source) -> Iterator[Batch]:
        return map(
            self.layout.share,
            in_order(source, self._experiment.batch, np.arange(self._experiment.batch)),
        )

    def diagnose(self, state: State, step: int) -> list[Diagnosis]:
        """Computes the diagnosis of every tensor of each seed, on the batch of the next step."""
        batch = self._put({name: x[:, 0] for name, x in self._streams.at(step).items()})
        found = jax.device_get(self._diagnosed(state, batch, self._seeds))
        params = self.abstract.params
        return [
            {name: named(params[name], numbers[seed]) for name, numbers in found.items()}
            for seed in range(len(self._streams.seeds))
        ]
