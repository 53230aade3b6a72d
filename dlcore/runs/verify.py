"""Verifies that a run can be reproduced: trains its first steps again, and compares hashes."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path

from dlcore.errors import UsageError
from dlcore.options import RunOptions
from dlcore.runs import card as cards
from dlcore.runs import changes, circumstances, parameter_hash
from dlcore.runs.card_fields import Hash
from dlcore.runs.catalog import Page
from dlcore.runs.new_card import describe
from dlcore.runs.session import check
from dlcore.runs.training import single
from dlcore.train.experiment import Config, Experiment

SAME, OTHER = 0, 1
# the entries of a card that affect the numbers
DECISIVE = ("versions", "host", "devices", "xla_flags", "data")


def verify(
    page: Page,
    config: Config,
    flags: RunOptions,
    card: cards.Card,
    steps: int,
    run: Path | None = None,
) -> int:
    """Trains the first steps of a card's run again, and compares the hashes of the parameters.

    It trains up to the last step, at most `steps`, of which the card has a hash. It prints whether
    each hash is the card's, and what has changed since the card was written (`differences`).

    Args:
        page: the experiment file.
        config: the card's config.
        flags: the card's run options.
        card: the card.
        steps: the number of steps to train at most.
        run: the run's folder, whose copy of the experiment file is compared with the file; None: no
            copy is compared.

    Returns:
        0 if every hash is the card's, else 1.

    Raises:
        UsageError: the card has no hash of a step from 1 to `steps`, or the run cannot start.
    """
    experiment = page.experiment(config, flags.source)
    check(experiment, flags)
    within = hashes_within(card, steps)
    print(f"training the first {max(within)} steps of {page.name} again")
    found = again(experiment, flags, max(within))
    same = True
    for step in sorted(within):
        then, now = within[step], found[step]
        agrees = then["sha256"] == now["sha256"]
        same &= agrees
        drift = (
            ""
            if agrees or "norm" not in then
            else f"; norm of the parameters {_drift(then['norm'], now['norm'])}"
        )
        print(
            f"step {step}: {'the same parameters' if agrees else 'OTHER parameters'},"
            f" {now['sha256'][:16]}{drift}"
        )
    changed = differences(page, experiment, card, run)
    if not same:
        print(
            "\n  ".join(
                [
                    "what differs from then:",
                    *(changed or ["nothing that a card records, and no code"]),
                ]
            )
        )
    elif changed:
        print("\n  ".join(["the same, although these differ from then:", *changed]))
    return SAME if same else OTHER


def again(experiment: Experiment, flags: RunOptions, last: int) -> dict[int, Hash]:
    """Trains the first steps of an experiment again, in a temporary folder.

    Args:
        experiment: the experiment.
        flags: the run options, of which the folder, the patience, and the intervals of logging,
            evaluation and saving are not used.
        last: the number of steps.

    Returns:
        {step: SHA-256 and L2 norm of the parameters} of step 0, of step `last`, and of the steps of
        `trainer.HASH_STEPS` between them, of which every card keeps hashes.
    """
    with tempfile.TemporaryDirectory(prefix="dlcore-verify-") as folder:
        quiet = dataclasses.replace(
            flags, log_every=last, eval_every=last + 1, save_every=last + 1, patience=0, out=folder
        )
        fresh: cards.Card = {}
        trainer = single(experiment, quiet, Path(folder), fresh)
        try:
            found = {0: parameter_hash.mark(trainer.state.params)}
            trainer.train(until=last)
            hashes = {int(step): each for step, each in fresh["marks"].items()}
            return found | hashes | {last: parameter_hash.mark(trainer.state.params)}
        finally:
            trainer.close()


def differences(
    page: Page, experiment: Experiment, card: cards.Card, run: Path | None = None
) -> list[str]:
    """Lists what has changed since a card was written: versions, machine, data, commit and code.

    Args:
        page: the experiment file as it is now.
        experiment: what it builds.
        card: the card.
        run: the run's folder, whose copy of the experiment file is compared with the file; None: no
            copy is compared.

    Returns:
        Lines of text, among them one for uncommitted changes then and one for those now, whether
        or not they differ; [] where there is nothing to list.
    """
    folder = page.path.resolve().parent
    now: cards.Card = {
        "versions": circumstances.versions(),
        **circumstances.machine(),
        **describe(experiment),
        "git": circumstances.git(folder),
    }
    changed = [*changes.differences(card, now, DECISIVE), *changes.commit(card, now)]
    if run and (kept := run / "experiment.py").is_file():
        changed += changes.code_difference(
            kept.read_text(encoding="utf-8", errors="replace"), page.source, str(page.path)
        )
    commit = (card.get("git") or {"commit": None}).get("commit")
    return changed + changes.code_since(commit, folder)


def hashes_within(card: cards.Card, steps: int) -> dict[int, Hash]:
    """Returns {step: hash} of a card for the steps from 0 to `steps`, both inclusive.

    Args:
        card: the card.
        steps: the last step to include.

    Raises:
        UsageError: the card has no hash of a step from 1 to `steps`.
    """
    kept = hashes(card)
    within = {step: each for step, each in kept.items() if step <= steps}
    if not within or max(within) == 0:
        raise UsageError(
            f"the card keeps the hashes of the steps {', '.join(map(str, sorted(kept)))}, and"
            f" --steps {steps} reaches none after the start: ask for more steps"
        )
    return within


def hashes(card: cards.Card) -> dict[int, Hash]:
    """Returns {step: hash and, where known, norm} of all steps of which the card has hashes."""
    ends = card.get("params_sha256", {})
    found: dict[int, Hash] = {}
    for step, sha256 in ((0, ends.get("start")), (card.get("step"), ends.get("end"))):
        if sha256 and step is not None:
            found[int(step)] = {"sha256": sha256}
    return found | {int(step): each for step, each in card.get("marks", {}).items()}


def _drift(then: float, now: float) -> str:
    return f"{then:.9g} then, {now:.9g} now ({abs(now - then) / max(abs(then), 1e-30):.1e} of it)"
