"""Runs of several seeds in one program; each seed's folder is that of an ordinary run."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import jax

from dlcore import sharding
from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import ending, resuming
from dlcore.runs import folder as folders
from dlcore.runs import session as run
from dlcore.runs.catalog import Page
from dlcore.runs.loop import DONE, FAILED, Intervals
from dlcore.runs.new_card import new_card
from dlcore.runs.run import Run
from dlcore.runs.summary import summary
from dlcore.runs.trainer import HASH_STEPS, Trainer
from dlcore.runs.training import trained
from dlcore.runtime import notices
from dlcore.runtime.signals import stop_requested
from dlcore.runtime.watchdog import Watchdog
from dlcore.seeds.common_step import common_valid_step
from dlcore.seeds.program import SeedProgram
from dlcore.train.evaluators import Evaluator
from dlcore.train.experiment import Config, Experiment


def train(
    page: Page,
    config: Config,
    flags: RunOptions,
    on_folder: Callable[[Path], None] = lambda _: None,
) -> int:
    """Trains `--seeds` runs with consecutive seeds; with `--continue-run` it resumes them.

    Runs that are done or failed already are not resumed; the others continue from their newest
    common step, see `common_valid_step`.

    Args:
        page: the experiment file.
        config: the experiment's config.
        flags: the run options; run i has the seed `flags.seed` + i.
        on_folder: called with the folder of each run, before any of them is trained.

    Returns:
        The exit code of `training.trained`; FAILED where that is DONE and a run has failed.

    Raises:
        UsageError: there are several processes, `--continue-run` without `--out`, a run that was
            started with other code, options or data, or no common checkpoint that is valid; the
            experiment and the options do not fit each other; or an error, such as a full disk,
            ended training.
        KeyboardInterrupt: Ctrl-C, and the states could not be saved.
    """
    if jax.process_count() > 1:
        raise UsageError(
            f"--seeds {flags.seeds} is for one process; with several, train the seeds one after the"
            " other"
        )
    if flags.continue_run and not flags.out:
        raise UsageError("--continue-run needs --out: it names the folder of the runs to continue")
    experiment = page.experiment(config, flags.source)
    run.check(experiment, flags, sharding.layout("jit", "", jax.devices()[:1]))
    with ExitStack() as held:
        root = Path(flags.out) if flags.out else held.enter_context(folders.numbered(page))
        for seed in range(flags.seed, flags.seed + flags.seeds):
            on_folder(root / f"seed-{seed}")
        return _train(page, config, flags, experiment, root, held)


def _train(
    page: Page,
    config: Config,
    flags: RunOptions,
    experiment: Experiment,
    root: Path,
    held: ExitStack,
) -> int:
    one = sharding.layout("jit", "", jax.devices()[:1])
    alone = replace(flags, seeds=1, continue_run=False, cpu_devices=1)
    each = [
        replace(alone, seed=seed, out=str(root / f"seed-{seed}"))
        for seed in range(flags.seed, flags.seed + flags.seeds)
    ]
    base = new_card(page, config, alone, experiment, one)
    # `together`: the number of runs that share the seconds of the card
    base["devices"]["count"], base["together"] = 1, flags.seeds
    begun = [_begin(page, config, one_of, base, flags.continue_run, held) for one_of in each]
    going = [number for number, card in enumerate(begun) if card["status"] == "running"]
    code = (
        _go(page, experiment, [each[i] for i in going], [begun[i] for i in going], root)
        if going
        else DONE
    )
    for split, line in summary(
        [card["results"] for card in begun if card["status"] == "done"]
    ).items():
        print(f"{split}: {line}")
    states = [card["status"] for card in begun]
    print(
        f"{', '.join(f'{states.count(state)} {state}' for state in dict.fromkeys(states))} of"
        f" {len(begun)} seeds"
    )
    print(
        (
            f"dlcore report {root}"
            if code in (DONE, FAILED)
            else f"the same command with --out {root} --continue-run continues"
        ),
        flush=True,
    )
    return FAILED if code == DONE and "failed" in states else code


def _begin(
    page: Page, config: Config, flags: RunOptions, base: cards.Card, again: bool, held: ExitStack
) -> cards.Card:
    """Creates or opens the folder of one seed's run, and locks it.

    Returns:
        The card; its status is "running" if there is something to train.
    """
    folder = Path(flags.out)
    card: cards.Card = {**copy.deepcopy(base), "run": cards.plain(flags)}
    if again and (folder / "card.json").is_file():
        known, card = card, cards.read(folder)
        changed = resuming.changes(page, config, flags, folder, card, accept=False)
        if card["status"] in ("done", "failed"):
            return card
        resuming.update_card(known, folder, card, changed, accept=False)
        held.enter_context(folders.alone(folder))
    else:
        held.enter_context(folders.claim(folder, page))
    folders.keep_page(folder, page)
    cards.write(folder, card)
    return card


def _stride(start: int, steps: int, every: Intervals, evaluators: Sequence[Evaluator]) -> int:
    """The largest number of steps that divides all intervals and scheduled steps."""
    hashes = [step for step in HASH_STEPS if start < step < steps]
    scheduled = [each.every for each in evaluators if isinstance(each.every, int)]
    return math.gcd(
        start, steps, every.log_every, every.eval_every, every.save_every, *hashes, *scheduled
    )


def _go(
    page: Page,
    experiment: Experiment,
    flags: Sequence[RunOptions],
    begun: Sequence[cards.Card],
    root: Path,
) -> int:
    names = sorted({f"{d['name']} {d['version']}" for d in begun[0]["data"].values()})
    print(f"training {len(flags)} seeds of {page.name} on {', '.join(names)} in {root}", flush=True)
    folders_, way = (
        [Path(each.out) for each in flags],
        f"the same command with --out {root} --continue-run",
    )
    closing = ending.closing(folders_, begun, way)
    watchdog = Watchdog(flags[0].stall, root / "stacks.txt")
    with stop_requested() as received_signals, watchdog, closing:
        with notices.during("compiling"):
            start = common_valid_step(experiment, flags, root)
            every = Intervals.of(flags[0], experiment.steps, saves=2)
            stride = _stride(start, experiment.steps, every, experiment.evaluators)
            program = SeedProgram(experiment, flags[0], [each.seed for each in flags], stride)
            runs = [
                Run(
                    experiment,
                    each,
                    Path(each.out),
                    card,
                    card.get("resumed", 0) > 0,
                    siblings=len(flags),
                )
                for each, card in zip(flags, begun, strict=True)
            ]
            trainer = Trainer(program, runs, every, watchdog.start_phase, start)
        return trained(trainer, received_signals)
