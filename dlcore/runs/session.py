"""Starts and resumes runs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import jax

from dlcore.data import checks, tokenizer
from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import early_stopping, resuming, tracking, training
from dlcore.runs.catalog import Page
from dlcore.runs.evaluation import unfit_data
from dlcore.runs.folder import alone, claimed, keep_page
from dlcore.runs.log import MetricWriter
from dlcore.runs.loop import DONE, FAILED
from dlcore.runs.new_card import new_card
from dlcore.runtime import processes
from dlcore.sharding import Layout, check_batch, layout
from dlcore.train.experiment import Config, Experiment, best_of


def train(
    page: Page,
    config: Config,
    flags: RunOptions,
    on_folder: Callable[[Path], None] = lambda _: None,
) -> int:
    """Starts a new run; with `--continue-run`, resumes the one in `--out` if there is one.

    Args:
        page: the experiment file.
        config: its config.
        flags: the run options.
        on_folder: is called with the run's folder before it is trained.

    Returns:
        The exit code of `training.train`; 0 for a resumed run that is complete.

    Raises:
        UsageError: the run cannot start, or there are changes since a resumed one started; or
            training ended by an error that the user can fix, such as a full disk.
        KeyboardInterrupt: Ctrl-C, and the state could not be saved.
    """
    if flags.continue_run and begun(flags):
        on_folder(folder := Path(flags.out))
        return resume(page, config, flags, folder, cards.read(folder), accept_changes=False)
    experiment = page.experiment(config, flags.source)
    check(experiment, flags)
    with claimed(page, flags) as folder:
        on_folder(folder)
        card = new_card(page, config, flags, experiment, layout(flags.parallel, flags.mesh))
        return _go(page, experiment, flags, folder, card, resumed=False)


def resume(
    page: Page,
    config: Config,
    flags: RunOptions,
    folder: Path,
    card: cards.Card,
    accept_changes: bool,
) -> int:
    """Continues a stopped run from its newest valid checkpoint; returns its exit code.

    A complete run whose code, config and options are unchanged is not trained: a message says so,
    and the exit code is 0.

    Args:
        page: the experiment file.
        config: its config.
        flags: the run options.
        folder: the run.
        card: its card.
        accept_changes: continue although code, options or data have changed.

    Raises:
        UsageError: something has changed that is not accepted, or the options cannot work; or
            training ended by an error that the user can fix, such as a full disk.
        KeyboardInterrupt: Ctrl-C, and the state could not be saved.
    """
    if flags.mesh != card.get("run", {}).get("mesh", ""):
        # raises UsageError for an invalid mesh, of a complete run as well
        layout(flags.parallel, flags.mesh)
    changed = resuming.changes(page, config, flags, folder, card, accept_changes)
    if card.get("status") == "done" and not changed:
        print(f"{folder} is complete at step {card.get('step')}: nothing to do")
        return 0
    with tokenizer.kept(folder, card.get("config", {})):
        experiment = page.experiment(config, flags.source)
    check(experiment, flags)
    known = new_card(page, config, flags, experiment, layout(flags.parallel, flags.mesh))
    other = resuming.data_changes(card, known)
    resuming.update_card(known, folder, card, changed, accept_changes)
    with unfit_data(folder, other):
        return _go(page, experiment, flags, folder, card, resumed=True)


def check(experiment: Experiment, flags: RunOptions, place: Layout | None = None) -> None:
    """Raises UsageError for combinations that cannot run, before anything is written.

    It checks the batch size against devices and microbatches, the sizes and values of the data, the
    workers, the name in `best`, and that `--patience` has a `best`.

    Args:
        experiment: the experiment.
        flags: the run options.
        place: the device layout; by default that of the options.
    """
    check_batch(experiment.batch, place or layout(flags.parallel, flags.mesh), flags.microbatches)
    checks.check_sizes(experiment.train, experiment.batch, experiment.evaluated)
    checks.check_workers(experiment.train, flags.workers)
    checks.check_numbers(
        {"train": experiment.train, **experiment.evaluated}, x64=jax.config.read("jax_enable_x64")
    )
    best_of(experiment)
    early_stopping.check(experiment, flags)


def begun(flags: RunOptions) -> bool:
    """Returns whether `--out` contains a run, as the first process sees it.

    Raises:
        UsageError: `--out` is missing.
    """
    if not flags.out:
        raise UsageError("--continue-run needs --out: it names the run to continue")
    return bool(processes.agreed((Path(flags.out) / "card.json").is_file()))


def _go(
    page: Page,
    experiment: Experiment,
    flags: RunOptions,
    folder: Path,
    card: cards.Card,
    resumed: bool,
) -> int:
    writers: list[MetricWriter] = []
    with ExitStack() as held, processes.together(f"dlcore resume {folder}"):

        def begin() -> None:
            if resumed:
                held.enter_context(alone(folder))
            keep_page(folder, page)
            writers.extend(held.enter_context(tracking.tracked(flags.track, folder, card)))
            cards.write(folder, card)
            names = sorted({f"{d['name']} {d['version']}" for d in card["data"].values()})
            print(
                f"{'resuming' if resumed else 'training'} {page.name} on {', '.join(names)} in"
                f" {folder}",
                flush=True,
            )
            if flags.precision == "bf16":
                print("in bfloat16: the parameters and inputs of the models", flush=True)

        processes.by_first(begin)
        code = training.train(experiment, flags, folder, card, resumed, writers)
        if processes.first():
            results = "  ".join(
                f"{s}/{k} {v:.4f}" for s, m in card["results"].items() for k, v in m.items()
            )
            best = card.get("best") if code == DONE else None
            of = (
                f" (of step {best['step']}, the best by {best['metric']})"
                if best and best["step"] != card["step"]
                else ""
            )
            print(
                f"{card['status']} at step {card['step']}/{card['steps']}:"
                f" {results or 'no results yet'}{of}"
            )
            # A run that diverged would diverge again: its message says what to change.
            print(
                f"dlcore report {folder}" if code in (DONE, FAILED) else f"dlcore resume {folder}",
                flush=True,
            )
        return code
