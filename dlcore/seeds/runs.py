"""Several seeds of an experiment at once: one program, and for every seed a folder, as if it had been trained alone."""

from __future__ import annotations

import copy
import functools
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from dlcore import sharding
from dlcore.data.source import Source
from dlcore.errors import UsageError
from dlcore.options import Flags
from dlcore.runs import card as cards
from dlcore.runs import ending
from dlcore.runs import folder as folders
from dlcore.runs import session as run
from dlcore.runs.catalog import Page
from dlcore.runs.ending import Diverged
from dlcore.runs.loop import DONE, FAILED, MARKS, Busy
from dlcore.runs.program import Lane
from dlcore.runs.summary import spread, summary
from dlcore.runs.trainer import Fit
from dlcore.runtime import notices
from dlcore.runtime.signals import asked_to_stop, uninterrupted
from dlcore.runtime.watchdog import Watchdog
from dlcore.seeds import placement
from dlcore.seeds.common_step import sound_step
from dlcore.seeds.program import Lanes
from dlcore.train.evaluate import averaged
from dlcore.train.experiment import Experiment


class Seeds:
    """Runs that the loop sees as one. A seed that diverges is closed as failed, and the others go on."""

    def __init__(
        self, experiment: Experiment, flags: Sequence[Flags], cards_: Sequence[cards.Card], start: int, busy: Busy
    ) -> None:
        """`flags` and cards, one of each run; all of them go on from the step `start`."""
        first, self.flags, self.busy = flags[0], flags, busy
        self.began = time.monotonic()
        self.start, self.last, self.ahead = start, experiment.steps, 2
        self.log_every = first.log_every
        self.eval_every = first.eval_every or max(1, experiment.steps // 10)
        self.save_every = first.save_every or max(1, experiment.steps // 2)
        marks = [step for step in MARKS if start < step < self.last]
        # Steps between which nothing is due are one call: what a call costs, on the host, is paid once for all of them.
        self.stride = math.gcd(start, self.last, self.log_every, self.eval_every, self.save_every, *marks)
        self.lanes = Lanes(experiment, first, [each.seed for each in flags], self.stride)
        made = [self._lane(number, start) for number in range(len(flags))]
        self.fits = [
            Fit(experiment, each, Path(each.out), card, resumed=card.get("resumed", 0) > 0, lane=lane)
            for each, card, lane in zip(flags, cards_, made, strict=True)
        ]
        self.earlier = dict(self.fits[0].spent)  # seconds of before a resume
        self.state = placement.side_by_side([fit.state for fit in self.fits], self.lanes.layout)
        self.failed: set[int] = set()
        self.waiting: list[tuple[int, Any]] = []
        self.mark, self.paid, self.trained = 0.0, start, 0.0
        self.now = start  # the step that the state is of,
        self.known: dict[tuple[int, int], Any] = {}  # and what was measured of it: {(step, what): of every lane}

    def _lane(self, number: int, start: int) -> Lane:
        lanes = self.lanes

        def known(what: int, measured: Callable[[], Any]) -> Any:
            if (self.now, what) not in self.known:
                self.known = {key: value for key, value in self.known.items() if key[0] == self.now}
                self.known[self.now, what] = measured()
            return self.known[self.now, what][number]

        def evaluate(_: Any, source: Source) -> dict[str, float]:
            return known(id(source), lambda: lanes.evaluate(averaged(self.state), source))

        def diagnose(*_: Any) -> Any:
            return known(0, lambda: lanes.diagnose(self.state, self.now))

        def no_step(*_: Any) -> Any:
            raise AssertionError("the lanes take their steps together")

        shared = (lanes.names, evaluate, lanes.eval_names, diagnose, start, len(self.flags), lanes.indices)
        return Lane(lanes.one, lanes.abstract, lambda: self._firsts[number], no_step, *shared)

    @functools.cached_property
    def _firsts(self) -> list[Any]:
        return placement.apart(self.lanes.first, self.lanes.one)

    def step_fn(self, state: Any, batch: Any, /) -> tuple[Any, Any]:
        """A stride of every run."""
        return self.lanes.step(state, batch)

    def batches(self) -> Iterator[Any]:
        """The batches of all seeds, a stride at a time."""
        threads = self.fits[0].flags.threads
        return map(self.lanes.put, self.lanes.batches(self.start, self.last, threads))

    def _each(self, act: Callable[[int, Fit], None]) -> None:
        """Let every run that has not failed `act`."""
        for number, fit in enumerate(self.fits):
            if number in self.failed:
                continue
            try:
                act(number, fit)
            except Diverged as error:
                self.failed.add(number)
                ending.fail(fit, error)
                self._say(f"dlcore: seed {fit.flags.seed}: {error}. The other seeds go on")
        if len(self.failed) == len(self.fits):
            raise Diverged("no seed is left")

    def _hand_out(self, step: int) -> None:
        """Give every run its own state, as it stands after `step`."""
        if self.now == step:
            return
        self.now = step
        for fit, state in zip(self.fits, placement.apart(self.state, self.lanes.one), strict=True):
            fit.state = state

    def _settle(self) -> None:
        """The seconds that all runs share stand in the books of each."""
        for fit in self.fits:
            fit.spent |= {
                name: self.earlier[name] + seconds for name, seconds in {**self.lanes.spent, "train": self.trained}.items()
            }

    def keep_mark(self, step: int) -> None:
        """Keep the parameters' hashes."""
        self._hand_out(step)
        self._each(lambda _, fit: fit.keep_mark(step))

    @property
    def unevaluated(self) -> int:
        """The step whose evaluation was interrupted, of any of the runs."""
        return max(fit.unevaluated for fit in self.fits)

    @unevaluated.setter
    def unevaluated(self, step: int) -> None:
        for fit in self.fits:
            fit.unevaluated = step

    @uninterrupted()
    def report(self, keep: int) -> None:
        """Log the steps whose metrics are due: all but the last `keep`."""
        ahead = self.waiting[-1][0] if self.waiting else 0
        due = [packed for step, packed in self.waiting if step <= ahead - keep]
        if not due:
            return
        done = self.waiting[len(due) - 1][0]
        self.waiting = self.waiting[len(due) :]
        numbers = np.concatenate([np.asarray(packed, np.float64) for packed in jax.device_get(due)], axis=1)
        steps = range(done - numbers.shape[1] + 1, done + 1)

        def tell(number: int, fit: Fit) -> None:
            fit.mark, fit.paid = self.mark, self.paid
            fit.tell(steps, numbers[number], ahead)

        self._each(tell)
        now = time.monotonic()
        self.trained += now - self.mark
        speed = (ahead - self.paid) * len(self.fits) * self.fits[0].experiment.batch / max(now - self.mark, 1e-9)
        self.mark, self.paid = now, ahead
        sums = numbers[[number for number in range(len(self.fits)) if number not in self.failed]].sum(1)
        # A player whose turn did not come weighs nothing.
        named = zip(self.lanes.names, sums.swapaxes(0, 1), strict=True)
        told = {name: each[:, 0] / each[:, 1] for name, each in named if (each[:, 1] > 0).all()}
        line = spread({name: values.tolist() for name, values in told.items() if not name.endswith("grad_norm")}, ".4g")
        self._say(f"step {done}/{self.last}  {line}  {speed:,.0f} examples/s")

    def evaluate(self, step: int) -> None:
        """Measure the splits, for every run."""
        self.report(keep=0)
        self._hand_out(step)
        self._each(lambda _, fit: fit.evaluate(step) if fit.unevaluated else None)
        self._say_results(step)
        self.mark = time.monotonic()

    def _say_results(self, step: int) -> None:
        living = [fit for number, fit in enumerate(self.fits) if number not in self.failed]
        for split, line in summary([fit.results.values for fit in living]).items():
            self._say(f"step {step} {split}: {line}")

    def run_out(self, step: int) -> None:
        """Nothing: `--patience` is refused, as no run may end before the others."""

    def save(self, step: int) -> None:
        """A checkpoint and a card for every run; evaluates first if this step is the last."""
        self.report(keep=0)
        self._hand_out(step)
        self._settle()
        self._each(lambda _, fit: fit.save(step))
        if step == self.last:
            self._say_results(step)
        self.mark = time.monotonic()

    def save_as_it_is(self) -> None:
        """A checkpoint and a card for every run, without an evaluation."""
        self._hand_out(int(np.asarray(self.state.step).flat[0]))
        self._settle()
        self._each(lambda _, fit: fit.save_as_it_is())

    def finish(self, code: int) -> None:
        """Close the books of every run; those that are complete go over to their best states first, each to that of its own step."""
        self._settle()
        if code == DONE:
            self._each(lambda _, fit: fit.take_best())
            self.state, self.now = placement.side_by_side([fit.state for fit in self.fits], self.lanes.layout), -1
        self._each(lambda _, fit: fit.finish(code))

    def _say(self, line: str) -> None:
        print(line, file=sys.stderr, flush=True)


def train(page: Page, config: Any, flags: Flags) -> int:
    """Begin a run for each of `--seeds`, or with `--continue-run` go on with those that were stopped. FAILED if one of them has."""
    if jax.process_count() > 1:
        raise UsageError(f"--seeds {flags.seeds} is for one process; with several, train the seeds one after the other")
    if flags.continue_run and not flags.out:
        raise UsageError("--continue-run needs --out: it names the folder of the runs to go on with")
    experiment = page.build(config)
    run.check(experiment, flags, sharding.layout("jit", "", jax.devices()[:1]))
    with ExitStack() as held:
        root = Path(flags.out) if flags.out else held.enter_context(folders.numbered(page))
        return _train(page, config, flags, experiment, root, held)


def _train(page: Page, config: Any, flags: Flags, experiment: Experiment, root: Path, held: ExitStack) -> int:
    one = sharding.layout("jit", "", jax.devices()[:1])
    alone = replace(flags, seeds=1, continue_run=False, cpu_devices=1)
    each = [replace(alone, seed=seed, out=str(root / f"seed-{seed}")) for seed in range(flags.seed, flags.seed + flags.seeds)]
    base = run.begun_card(page, config, alone, experiment, one)
    base["devices"]["count"], base["together"] = 1, flags.seeds  # together: so many runs shared the seconds of the card
    begun = [_begin(page, config, one_of, base, flags.continue_run, held) for one_of in each]
    going = [number for number, card in enumerate(begun) if card["status"] == "running"]
    code = _go(page, experiment, [each[i] for i in going], [begun[i] for i in going], root) if going else DONE
    for split, line in summary([card["results"] for card in begun if card["status"] == "done"]).items():
        print(f"{split}: {line}")
    states = [card["status"] for card in begun]
    print(f"{', '.join(f'{states.count(state)} {state}' for state in dict.fromkeys(states))} of {len(begun)} seeds")
    print(
        f"dlcore report {root}" if code in (DONE, FAILED) else f"the same command with --out {root} --continue-run goes on",
        flush=True,
    )
    return FAILED if code == DONE and "failed" in states else code


def _begin(page: Page, config: Any, flags: Flags, base: cards.Card, again: bool, held: ExitStack) -> cards.Card:
    """The card of one seed's run, whose folder is made, or was made before, and is locked; "running" if there is something to do."""
    folder, card = Path(flags.out), {**copy.deepcopy(base), "run": run.plain(flags)}
    if again and (folder / "card.json").is_file():
        known, card = card, cards.read(folder)
        changed = run.changes(page, config, flags, folder, card, accept=False)
        if card["status"] in ("done", "failed"):
            return card
        run.go_on(known, folder, card, changed, accept=False)
        held.enter_context(folders.alone(folder))
    else:
        held.enter_context(folders.claim(folder, page))
    folders.keep_page(folder, page)
    cards.write(folder, card)
    return card


def _go(page: Page, experiment: Experiment, flags: Sequence[Flags], begun: Sequence[cards.Card], root: Path) -> int:
    names = sorted({f"{d['name']} {d['version']}" for d in begun[0]["data"].values()})
    print(f"training {len(flags)} seeds of {page.name} on {', '.join(names)} in {root}", flush=True)
    places, way = [Path(each.out) for each in flags], f"the same command with --out {root} --continue-run"
    with asked_to_stop() as came, Watchdog(flags[0].stall, root / "stacks.txt") as watchdog, ending.closing(places, begun, way):
        with notices.during("compiling"):
            runs = Seeds(experiment, flags, begun, sound_step(experiment, flags, root), watchdog.tell)
        try:
            return ending.finished(runs, runs.fits, came)
        except Diverged:
            return FAILED
        except UsageError as error:
            for number, fit in enumerate(runs.fits):
                if number not in runs.failed and fit.card["status"] != "done":
                    ending.fail(fit, error)
            raise
        finally:
            for fit in runs.fits:
                fit.log.close()
