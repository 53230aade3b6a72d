"""A run's folder: made once, never overwritten, resumed only by what began it."""

from __future__ import annotations

import dataclasses
import datetime
import json
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
from dlcore.runs import catalog, early_stopping, tracking, training
from dlcore.runs import changes as changes_of
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


def plain(config: Any) -> dict[str, Any]:
    """A dataclass as JSON would give it back."""
    return json.loads(json.dumps(dataclasses.asdict(config)))


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
        "config": plain(config),
        "run": plain(flags),
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
    changed = changes(page, config, flags, folder, card, accept_changes)
    if card.get("status") == "done" and not changed:
        print(f"{folder} is complete at step {card.get('step')}: nothing to do")
        return 0
    experiment = page.experiment(config, flags.source)
    check(experiment, flags)
    known = begun_card(page, config, flags, experiment, layout(flags.parallel, flags.mesh))
    other = data_changes(card, known)
    go_on(known, folder, card, changed, accept_changes)
    with unfit_data(folder, other):
        return _go(page, experiment, flags, folder, card, resumed=True)


def changes(
    page: Page, config: Any, flags: RunOptions, folder: Path, card: cards.Card, accept: bool
) -> str:
    """`difference`; UsageError with it unless it is accepted, and for a run of another
    experiment.
    """
    if card["experiment"] != page.name:
        raise UsageError(f"{folder} belongs to experiment {card['experiment']}, not {page.name}")
    changed = difference(page, config, flags, folder, card)
    if changed and not accept:
        raise UsageError(
            f"{folder} was begun differently:\n{changed}\nundo the change, or go on with it:"
            " --accept-changes"
        )
    return changed


def go_on(known: cards.Card, folder: Path, card: cards.Card, changed: str, accept: bool) -> None:
    """Bring the card of a stopped run up to date with what is `known` of it now. UsageError where
    its data have changed.
    """
    if (other := data_changes(card, known)) and not accept:
        raise UsageError(f"{folder} was begun on other data: {other}; --accept-changes goes on")
    noted = [
        *changes_of.differences(card, known, ("versions", "xla_flags")),
        *changes_of.commit(card, known),
    ]
    for line in noted if processes.first() else ():
        print(f"{folder} differs from when it began: {line}", flush=True)
    accepted = (
        [*card.get("accepted_changes", []), changed]
        if changed
        else card.get("accepted_changes", [])
    )
    kept = ("about", "file", "step", "started", "git", "seconds", "params_sha256", "results")
    card |= {name: value for name, value in known.items() if name not in kept}
    card |= {"accepted_changes": accepted, "resumed": card.get("resumed", 0) + 1}
    card |= {"noted_changes": [*card.get("noted_changes", []), *noted]} if noted else {}
    card.pop("error", None)


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


def data_changes(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """How the data of two cards differ, as "train examples: 1078 then, 900 now"; empty where they
    are the same.
    """
    a, b = then.get("data") or {}, now["data"]
    found = [
        f"split {split} {'is gone' if split in a else 'is new'}" for split in sorted({*a} ^ {*b})
    ]
    for split in (split for split in b if split in a):
        names = [name for name in b[split] if a[split].get(name) != b[split][name]]
        # where more is known, that the contents differ says nothing more
        if names not in ([], ["fingerprint"]):
            names = [name for name in names if name != "fingerprint"]
        found += [
            f"{split} {name}: {a[split].get(name)} then, {b[split][name]} now" for name in names
        ]
    return "; ".join(found)


def begun(flags: RunOptions) -> bool:
    """Was a run begun in `--out`? The first process looks, so that all agree. Raises UsageError
    without `--out`.
    """
    if not flags.out:
        raise UsageError("--continue-run needs --out: it names the run to go on with")
    return bool(processes.agreed((Path(flags.out) / "card.json").is_file()))


def difference(page: Page, config: Any, flags: RunOptions, folder: Path, card: cards.Card) -> str:
    """What has changed since a run began: its experiment file, its config, its flags; empty if
    nothing that matters.
    """
    found_changes: list[str] = []
    kept = folder / "experiment.py"
    before = kept.read_text(encoding="utf-8", errors="replace") if kept.is_file() else ""
    found_changes += changes_of.code_difference(before, page.source, str(page.path))
    # Where and how often to write, and how to spread over devices, may change between a stop and a
    # resume.
    free = {
        "out",
        "continue_run",
        "seeds",
        "parallel",
        "cpu_devices",
        "mesh",
        "microbatches",
        "log_every",
        "eval_every",
        "diagnose",
        "save_every",
        "keep",
        "threads",
        "track",
        "heartbeat",
        "stall",
    }
    for word, old, new in (
        ("config", card.get("config", {}), plain(config)),
        ("flag", card.get("run", {}), plain(flags)),
    ):
        old, new = changes_of.flat(old), changes_of.flat(new)
        for name in sorted({*old, *new} - (free if word == "flag" else set())):
            a, b = (json.dumps(x[name]) if name in x else "not there" for x in (old, new))
            if a != b:
                found_changes.append(f"{word} {name}: {a} then, {b} now")
    return "\n".join(found_changes)


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
    with unfit_data(folder, other := data_changes(card, describe(experiment))):
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
