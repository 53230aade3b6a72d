"""Trains runs to their end, or to a signal or an error, which their cards record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import jax

from dlcore import sharding
from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import ending
from dlcore.runs.ending import Diverged
from dlcore.runs.log import MetricWriter
from dlcore.runs.loop import FAILED, INTERRUPTED, Intervals
from dlcore.runs.program import SingleProgram
from dlcore.runs.run import Run
from dlcore.runs.trainer import Progress, Trainer, no_progress
from dlcore.runtime import notices, processes
from dlcore.runtime.signals import stop_requested
from dlcore.runtime.watchdog import Watchdog
from dlcore.train.experiment import Experiment


def single(
    experiment: Experiment,
    flags: RunOptions,
    folder: Path,
    card: cards.Card,
    resumed: bool = False,
    on_progress: Progress = no_progress,
    writers: Sequence[MetricWriter] = (),
) -> Trainer:
    """Compiles the program of one run, and returns its trainer, ready for the first step.

    Args:
        experiment: the experiment.
        flags: the run options.
        folder: the folder of the run.
        card: its card; is updated.
        resumed: continue from the newest valid checkpoint; from step 0 where there is none at all.
        on_progress: is called with a description of each phase when it starts.
        writers: further outlets for the metrics.

    Raises:
        UsageError: the disk lacks space, nothing measures the `best` metric, there are checkpoints
            and none is valid, or the model rejects its sizes or the shapes or indices of the data.
    """
    program = SingleProgram(experiment, flags, sharding.layout(flags.parallel, flags.mesh))
    run = Run(experiment, flags, folder, card, resumed, writers=writers)
    return Trainer(program, [run], Intervals.of(flags, experiment.steps), on_progress)


def train(
    experiment: Experiment,
    flags: RunOptions,
    folder: Path,
    card: cards.Card,
    resumed: bool = False,
    writers: Sequence[MetricWriter] = (),
) -> int:
    """Trains an experiment in `folder`; returns the exit code of `trained`.

    The errors of `single` and of `trained` are recorded in the card, on disk too, and raised.

    Args:
        experiment: the experiment.
        flags: the run options.
        folder: the folder of the run.
        card: its card; is updated.
        resumed: continue from the newest valid checkpoint; from step 0 where there is none at all.
        writers: further outlets for the metrics.
    """
    stacks = folder / ("stacks.txt" if processes.first() else f"stacks-{jax.process_index()}.txt")
    closing = ending.closing([folder], [card], f"dlcore resume {folder}")
    watchdog = Watchdog(flags.stall, stacks)
    notice = notices.Notices(processes.first(), watchdog.start_phase)
    # A run that is signalled while it compiles ends after its first step.
    with stop_requested() as received_signals, watchdog, notice as on_progress, closing:
        trainer = single(experiment, flags, folder, card, resumed, on_progress, writers)
        return trained(trainer, received_signals)


def trained(trainer: Trainer, received_signals: Sequence[int]) -> int:
    """Trains to the end, or until a signal, and closes every log, after an error as well.

    The cards record divergence and UsageErrors; other errors are raised without a record.

    Args:
        trainer: the trainer.
        received_signals: the signals received so far; grows during training.

    Returns:
        The exit code of `loop`, or FAILED where all runs have diverged.

    Raises:
        KeyboardInterrupt: Ctrl-C, and the state could not be saved.
        FolderGone: a folder of a run was removed or renamed.
        UsageError: something that the user can fix, such as a full disk, ended training.
    """
    try:
        return _interruptible(trainer, received_signals)
    except Diverged:
        return FAILED
    except UsageError as error:
        for run in trainer.runs:
            if run.card["status"] not in ("failed", "done"):
                run.fail(error, trainer.clock)
        raise
    finally:
        for run in trainer.runs:
            run.log.close()


def _interruptible(trainer: Trainer, received_signals: Sequence[int]) -> int:
    try:
        try:
            return trainer.train(received_signals=received_signals)
        except KeyboardInterrupt:
            return _interrupted(trainer)
    except Diverged:
        raise
    except Exception as error:
        if gone := next(filter(None, (run.folder_gone() for run in trainer.runs)), None):
            raise gone from error
        raise


def _interrupted(trainer: Trainer) -> int:
    """Saves the runs after Ctrl-C, unevaluated. KeyboardInterrupt: that was impossible."""
    # The other processes may be in a collective operation, which needs all of them.
    if jax.process_count() > 1:
        raise KeyboardInterrupt
    try:
        trainer.log(keep=0)
        trainer.save_unevaluated()
    except RuntimeError as error:  # the state was donated to an unfinished step
        raise KeyboardInterrupt from error
    trainer.finish(INTERRUPTED)
    return INTERRUPTED
