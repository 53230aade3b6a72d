"""The state of a run that has ended or was stopped, and its evaluation on all splits."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import resuming
from dlcore.runs.new_card import describe
from dlcore.runtime.notices import during
from dlcore.sharding import layout
from dlcore.train.evaluate import LossEvaluation, averaged
from dlcore.train.evaluators import Collector
from dlcore.train.experiment import Experiment, best_of
from dlcore.train.init import initial
from dlcore.train.precision import with_precision
from dlcore.train.step import Batch, State


def restored(
    experiment: Experiment, flags: RunOptions, folder: Path, card: cards.Card, last: bool = False
) -> State:
    """Restores a run's best state, with averaged parameters where the optimizer keeps averages.

    Where no checkpoint has a value of the experiment's `best`, or the best one cannot be read, this
    is the newest valid state. Warns where the data have changed since the run.

    Args:
        experiment: the experiment.
        flags: the run options.
        folder: the run.
        card: its card.
        last: restore the newest valid state instead of the best one; its parameters are averaged
            ones as well.

    Raises:
        UsageError: no checkpoint can be read, or none fits the data, which have changed.
    """
    from dlcore.runs.best import best_state
    from dlcore.runs.checkpoint import Checkpoints
    from dlcore.train.evaluate import averaged

    place = layout(flags.parallel, flags.mesh)
    abstract, _ = initial(
        experiment, flags.seed, place, cast(Batch, experiment.splits.template(experiment.batch))
    )
    state = None
    with unfit_data(folder, other := resuming.data_changes(card, describe(experiment))):
        if (folder / "checkpoints").is_dir():
            checkpoints = Checkpoints(folder / "checkpoints", best=best_of(experiment))
            state = best_state(checkpoints, abstract, None if last else checkpoints.best_step())
    if state is None:
        raise UsageError(
            f"{folder} has no checkpoint that can be read; dlcore resume {folder} trains it (again)"
        )
    if other:
        warnings.warn(
            f"{folder} was trained on other data: {other}; the results are those of the data that"
            " are here now",
            stacklevel=2,
        )
    return averaged(state)


@contextmanager
def unfit_data(folder: Path, other: str) -> Iterator[None]:
    """Replaces `Unreadable` of the block by an error that names how the data have changed.

    The block's warnings of checkpoints that cannot be read are suppressed.

    Args:
        folder: the run.
        other: how the data differ; "": they do not, and nothing is replaced or suppressed.

    Raises:
        UsageError: no checkpoint fits the data.
    """
    from dlcore.runs.checkpoint import Unreadable

    if not other:
        yield
        return
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "checkpoint .* cannot be read and is skipped")
            yield
    except Unreadable as error:
        raise UsageError(
            f"the data of {folder} have changed: {other}. Its checkpoints do not fit the model of"
            " the new data: restore the old data (the version is in card.json), or train on the"
            " new ones"
        ) from error


def evaluate_all(
    experiment: Experiment, flags: RunOptions, state: State
) -> dict[str, dict[str, float]]:
    """Evaluates the losses on all splits, and all evaluators on theirs.

    Where an optimizer keeps an average of the parameters (`ema`), the average is evaluated.

    Args:
        experiment: the experiment.
        flags: the run options: parallelism, mesh, precision and seed.
        state: the state of one run, with the parameters that are trained, not their average.

    Returns:
        {split: {metric: value}}.
    """
    place = layout(flags.parallel, flags.mesh)
    objectives = with_precision(experiment.trained, flags.precision)
    evaluation, state = (
        LossEvaluation(objectives, place, experiment.batch, flags.seed),
        averaged(state),
    )
    with during("compiling"):
        results = {
            split: evaluation(state, source) for split, source in experiment.evaluated.items()
        }
    collector = Collector(place, experiment.batch)
    for each in experiment.evaluators:
        for split in each.sources:
            results[split] = {**results.get(split, {}), **collector(each, state, split)}
    return results
