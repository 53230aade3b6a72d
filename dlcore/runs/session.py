"""A run's folder: made once, never overwritten, resumed only by what began it."""

from __future__ import annotations

import dataclasses
import datetime
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, cast

import jax

from dlcore.data import checks
from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import catalog, early_stopping, resuming, tracking, training
from dlcore.runs.catalog import Page
from dlcore.runs.folder import alone, claimed, keep_page
from dlcore.runs.loop import DONE, FAILED
from dlcore.runtime import processes
from dlcore.runtime.notices import during
from dlcore.sharding import Layout, check_batch, layout
from dlcore.train.evaluate import LossEvaluation, averaged
from dlcore.train.evaluators import Collector
from dlcore.train.experiment import Experiment, best_of
from dlcore.train.init import initial
from dlcore.train.precision import with_precision
from dlcore.train.step import Batch, State


def train(page: Page, config: Any, flags: RunOptions) -> int:
    """Begin a run in a fresh folder; with `--continue-run` go on with one that was begun in
    `--out`.
    """
    if flags.continue_run and begun(flags):
        folder = Path(flags.out)
        return resume(page, config, flags, folder, cards.read(folder), accept_changes=False)
    experiment = page.experiment(config, flags.source)
    check(experiment, flags)
    with claimed(page, flags) as folder:
        card = begun_card(page, config, flags, experiment, layout(flags.parallel, flags.mesh))
        return _go(page, experiment, flags, folder, card, resumed=False)


def begun_card(
    page: Page, config: Any, flags: RunOptions, experiment: Experiment, place: Layout
) -> cards.Card:
    """The card of a run that begins."""
    return {
        "format": cards.FORMAT,
        "experiment": page.name,
        "about": page.about,
        "file": catalog.recorded(page.path),
        "status": "running",
        "step": 0,
        "steps": experiment.steps,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "config": cards.plain(config),
        "run": cards.plain(flags),
        "git": cards.git(page.path.resolve().parent),
        "versions": cards.versions(),
        **cards.machine(),
        "mesh": dict(place.mesh.shape),
        **describe(experiment),
        "seconds": {},
        "params_sha256": {"start": None, "end": None},
        "results": {},
    }


def resume(
    page: Page, config: Any, flags: RunOptions, folder: Path, card: cards.Card, accept_changes: bool
) -> int:
    """Go on where a run stopped, with what began it. Raises UsageError, with the difference, if
    that has changed.
    """
    if flags.mesh != card.get("run", {}).get("mesh", ""):
        # refuses one that is none, also for a run that is complete
        layout(flags.parallel, flags.mesh)
    changed = resuming.changes(page, config, flags, folder, card, accept_changes)
    if card.get("status") == "done" and not changed:
        print(f"{folder} is complete at step {card.get('step')}: nothing to do")
        return 0
    experiment = page.experiment(config, flags.source)
    check(experiment, flags)
    known = begun_card(page, config, flags, experiment, layout(flags.parallel, flags.mesh))
    other = resuming.data_changes(card, known)
    resuming.go_on(known, folder, card, changed, accept_changes)
    with unfit_data(folder, other):
        return _go(page, experiment, flags, folder, card, resumed=True)


def check(experiment: Experiment, flags: RunOptions, place: Layout | None = None) -> None:
    """Raises UsageError for what would not run, before anything is made. `place`: where, if not
    where the flags say.
    """
    check_batch(experiment.batch, place or layout(flags.parallel, flags.mesh), flags.microbatches)
    checks.check_sizes(experiment.train, experiment.batch, experiment.evaluated)
    checks.check_numbers(
        {"train": experiment.train, **experiment.evaluated}, x64=jax.config.read("jax_enable_x64")
    )
    best_of(experiment)
    early_stopping.check(experiment, flags)


def describe(experiment: Experiment) -> Mapping[str, Any]:
    """What a card says of an experiment's data and metrics, and of the number that it is held
    against.
    """
    data = {"train": experiment.train, **experiment.evaluated}
    return {
        "data": {split: dataclasses.asdict(source.info) for split, source in data.items()},
        "metrics": {name: metric._asdict() for name, metric in experiment.known_metrics.items()},
        "published": experiment.published._asdict() if experiment.published else None,
    }


def begun(flags: RunOptions) -> bool:
    """Was a run begun in `--out`? The first process looks, so that all agree. Raises UsageError
    without `--out`.
    """
    if not flags.out:
        raise UsageError("--continue-run needs --out: it names the run to go on with")
    return bool(processes.agreed((Path(flags.out) / "card.json").is_file()))


def restored(
    experiment: Experiment, flags: RunOptions, folder: Path, card: cards.Card, last: bool = False
) -> Any:
    """The best state of a run by the experiment's `best`, or its newest sound one with `last` or
    where nothing is best.

    Its parameters are the averaged ones where these are kept. Warns where the data are others now;
    UsageError if there is none.
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
            f"{folder} was trained on other data: {other}; what follows is of the data that are"
            " here now",
            stacklevel=2,
        )
    return averaged(state)


@contextmanager
def unfit_data(folder: Path, other: str) -> Iterator[None]:
    """Where a run's data are `other` now and its checkpoints cannot be read, say that they are of
    another model, not damaged.
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
            f"the data of {folder} have changed: {other}. The model that they make now cannot take"
            " its checkpoints: bring the data back as they were (their version stands in its"
            " card.json), or train on the new ones"
        ) from error


def _go(
    page: Page,
    experiment: Experiment,
    flags: RunOptions,
    folder: Path,
    card: cards.Card,
    resumed: bool,
) -> int:
    with ExitStack() as held, processes.together(f"dlcore resume {folder}"):

        def begin() -> None:
            if resumed:
                held.enter_context(alone(folder))
            keep_page(folder, page)
            held.enter_context(tracking.tracked(flags.track, folder, card))
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
        code = training.train(experiment, flags, folder, card, resumed)
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
            # A run that diverged would do so again: what to change stands in its message.
            print(
                f"dlcore report {folder}" if code in (DONE, FAILED) else f"dlcore resume {folder}",
                flush=True,
            )
        return code


def everything(
    experiment: Experiment, flags: RunOptions, state: State
) -> dict[str, dict[str, float]]:
    """{split: {metric: value}} of a state over all that an experiment evaluates, what is measured
    at the end included.
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
