"""The compiled computations of a run: training step, evaluation and diagnosis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import jax
import numpy as np

from dlcore.analysis import diagnose
from dlcore.analysis.diagnosis_summary import Row
from dlcore.data import checks
from dlcore.data.source import Source
from dlcore.data.stream import Stream
from dlcore.options import RunOptions
from dlcore.runtime import tracebacks
from dlcore.sharding import Layout
from dlcore.train.compile import Compiled, compile_step
from dlcore.train.evaluate import LossEvaluation, packed_step
from dlcore.train.evaluators import Collector
from dlcore.train.experiment import Experiment
from dlcore.train.init import initial
from dlcore.train.precision import with_precision
from dlcore.train.step import Batch, State

Diagnosis = Mapping[str, list[Row]]
SIZES = "; dlcore train EXPERIMENT --help shows the flags that set these sizes"


class Program(Protocol):
    """The computations of one run, or of several seeds that share one program.

    A `State` here is that of the whole program; `split` returns the states of its runs, which are
    saved, and which `collector` evaluates.

    Attributes:
        abstract: shapes and shardings of one run's state.
        metric_names: names of the packed metrics of `step`, in their order; set by `compile`.
        indices: {field: bounds} of the arrays of a batch that are indices; set by `compile`.
        stride: number of training steps of one call of `step`.
        ahead: number of calls of `step` that the host may enqueue before the devices finish them.
    """

    abstract: State
    metric_names: list[str]
    indices: Mapping[str, checks.Indices]
    stride: int
    ahead: int

    def initial(self) -> list[State]:
        """Computes each run's state at step 0; call it before `compile`, which may free it."""

    def join(self, states: Sequence[State]) -> State:
        """Returns the program's state, made of the states of its runs."""

    def split(self, state: State) -> list[State]:
        """Returns the states of the runs."""

    def compile(self) -> None:
        """Compiles the training step."""

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yields the batches on the devices, `stride` steps at a time.

        Args:
            start: number of steps taken before the first batch.
            stop: number of steps taken after the last one.

        Yields:
            The argument `batch` of one call of `step`; its leading axes depend on the program.
        """

    def step(self, state: State, batch: Batch, /) -> tuple[State, jax.Array]:
        """Trains `stride` steps.

        Args:
            state: the program's state; its buffers are donated.
            batch: what `batches` has yielded.

        Returns:
            The new state, and packed metrics, which `metric_values` reads.
        """

    def metric_values(self, packed: Sequence[jax.Array]) -> np.ndarray:
        """Copies the packed metrics of several calls of `step` to the host.

        Returns:
            float64 [runs, steps, metrics, 2]: totals and weights, in the order of `metric_names`.
        """

    def evaluate(self, state: State, source: Source) -> list[dict[str, float]]:
        """Evaluates the losses and their metrics.

        Args:
            state: the program's state, with averages in place of parameters if they are to be
                evaluated.
            source: the examples.

        Returns:
            {metric: mean over the source} of each run, without metrics whose weights are all 0.
            With several objectives the names begin with "objective/".
        """

    def evaluation_names(self, source: Source) -> list[str]:
        """Returns the names of the metrics of `evaluate`, without running it.

        Call it before `compile`, which may free the initial state that is traced.

        Args:
            source: examples with the fields and shapes of those to evaluate.
        """

    @property
    def collector(self) -> Collector:
        """The collector, which runs an evaluator over a split at the state of one run.

        It takes the parameters of the state as they are, as `evaluate` does.
        """

    def diagnose(self, state: State, step: int) -> list[Diagnosis]:
        """Diagnoses every tensor, for the batch of the step after `step`.

        Args:
            state: the program's state.
            step: number of steps taken.

        Returns:
            {objective: a `Row` for each parameter tensor} of each run; see `analysis.diagnose`.
        """


def _not_compiled(state: State, batch: Batch, /) -> tuple[State, jax.Array]:
    raise RuntimeError("`compile` comes before the first step")


class SingleProgram:
    """The `Program` of a single run, on all of its devices; its lists have one element.

    Args:
        experiment: the experiment.
        flags: the run options.
        layout: the devices, and how they are used.

    Raises:
        UsageError: the model rejects its sizes or the shapes of the data; or as
            `dlcore.train.init.initial`.
    """

    stride = 1

    def __init__(self, experiment: Experiment, flags: RunOptions, layout: Layout) -> None:
        self._experiment, self._flags, self.layout = experiment, flags, layout
        self.objectives = with_precision(experiment.trained, flags.precision)
        self.stream = Stream(
            experiment.train, experiment.batch, flags.seed, layout.local_rows(experiment.batch)
        )
        self._evaluation = LossEvaluation(self.objectives, layout, experiment.batch, flags.seed)
        self._diagnosis = diagnose.Diagnosis(
            self.objectives, layout, flags.seed, flags.microbatches
        )
        # Simulated devices share few threads: with several calls in flight they could deadlock.
        self.ahead = 1 if layout.mesh.size > 1 and jax.default_backend() == "cpu" else 3
        self.collector = Collector(layout, experiment.batch)
        self.metric_names: list[str] = []
        self.indices: Mapping[str, checks.Indices] = {}
        self._example = self._put(self.stream.at(0))
        self.abstract, self._make = tracebacks.rejecting(
            lambda: initial(experiment, flags.seed, layout, self._example), hint=SIZES
        )
        self.step: Compiled = _not_compiled

    def _put(self, batch: Mapping[str, np.ndarray]) -> Batch:
        return self.layout.put(batch, self._experiment.batch)

    def initial(self) -> list[State]:
        """Computes the state of step 0, as the only element of a list."""
        return [self._make()]

    def join(self, states: Sequence[State]) -> State:
        """Returns the only element: the program's state is the run's state."""
        return states[0]

    def split(self, state: State) -> list[State]:
        """Returns the state, as the only element of a list."""
        return [state]

    def compile(self) -> None:
        """Compiles the training step.

        Raises:
            UsageError: an index in the data is outside the table of the model that it indexes.
        """
        step = packed_step(self.objectives, self._flags, self.metric_names)
        shardings = jax.tree.map(lambda x: x.sharding, self.abstract)
        with checks.declared() as self.indices:
            self.step = compile_step(step, self.layout, self.abstract, shardings, self._example)
        checks.check_indices(
            {"train": self._experiment.train, **self._experiment.evaluated}, self.indices
        )

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yields the batches of the steps from `start` to before `stop`, on the devices.

        Raises:
            UsageError: an index in a batch is outside its table, and `compile` could not check it.
        """
        flags = self._flags
        made = (
            self.stream.steps(start, stop, flags.threads, flags.workers)
            if start < stop
            else iter(())
        )
        return map(self._put, checks.watched(made, self._experiment.train, self.indices))

    def metric_values(self, packed: Sequence[jax.Array]) -> np.ndarray:
        """Copies the packed metrics of several steps to the host, [1, steps, metrics, 2]."""
        return np.asarray(jax.device_get(list(packed)), np.float64)[None]

    def evaluate(self, state: State, source: Source) -> list[dict[str, float]]:
        """Evaluates {metric: mean over the source}, as the only element of a list."""
        return [self._evaluation(state, source)]

    def evaluation_names(self, source: Source) -> list[str]:
        """Returns the names of the metrics of `evaluate`, without running it."""
        return self._evaluation.names(self.abstract, source)

    def diagnose(self, state: State, step: int) -> list[Diagnosis]:
        """Diagnoses every tensor, for the batch of the step after `step`."""
        return [self._diagnosis(state, self._put(self.stream.at(step)))]
