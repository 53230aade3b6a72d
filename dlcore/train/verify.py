"""Does a run come out the same again? Its first steps trained anew from its card, hash against hash."""

from __future__ import annotations

import dataclasses
import json
import tempfile
from pathlib import Path
from typing import Any

from dlcore.catalog import Page
from dlcore.errors import UsageError
from dlcore.flags import Flags
from dlcore.train import card as cards
from dlcore.train.fit import Fit
from dlcore.train.run import check, describe

SAME, OTHER = 0, 1


def verify(page: Page, config: Any, flags: Flags, card: cards.Card, steps: int) -> int:
    """Train the first `steps` again and print what came out; 0 if every hash is the card's, 1 if one is not.

    UsageError: the card keeps no hash of these steps.
    """
    kept = hashes(card)
    within = {step: each for step, each in kept.items() if step <= steps}
    if not within or max(within) == 0:
        raise UsageError(
            f"the card keeps the hashes of the steps {', '.join(map(str, sorted(kept)))}, and --steps {steps} reaches none after "
            "the start: ask for more steps"
        )
    last = max(within)
    experiment = page.build(config)
    check(experiment, flags)
    told = differences(card, {"versions": cards.versions(), **cards.machine(), **describe(experiment)})
    print(f"training the first {last} steps of {page.name} again")
    with tempfile.TemporaryDirectory(prefix="dlcore-verify-") as folder:
        quiet = dataclasses.replace(flags, log_every=last, eval_every=last + 1, save_every=last + 1, out=folder)
        fresh: cards.Card = {}
        run = Fit(experiment, quiet, Path(folder), fresh, resumed=False)
        try:
            found = {0: cards.mark(run.state.params)}
            run.run(until=last)
            found |= {int(step): each for step, each in fresh["marks"].items()} | {last: cards.mark(run.state.params)}
        finally:
            run.checkpoints.close()
            run.log.close()
    same = True
    for step in sorted(within):
        then, now = within[step], found[step]
        agrees = then["sha256"] == now["sha256"]
        same &= agrees
        drift = "" if agrees or "norm" not in then else f"; norm of the parameters {_drift(then['norm'], now['norm'])}"
        print(f"step {step}: {'the same parameters' if agrees else 'OTHER parameters'}, {now['sha256'][:16]}{drift}")
    if not same:
        print("\n".join(["what differs from then:", *(told or ["nothing that a card records"])]))
    elif told:
        print("\n".join(["the same, although these differ from then:", *told]))
    return SAME if same else OTHER


def hashes(card: cards.Card) -> dict[int, dict[str, Any]]:
    """{step: {"sha256", "norm" where kept}} of all that a card says of its parameters."""
    ends = card.get("params_sha256", {})
    found: dict[int, dict[str, Any]] = {}
    for step, sha256 in ((0, ends.get("start")), (card.get("step"), ends.get("end"))):
        if sha256 and step is not None:
            found[int(step)] = {"sha256": sha256}
    return found | {int(step): each for step, each in card.get("marks", {}).items()}


def differences(then: cards.Card, now: cards.Card) -> list[str]:
    """What is other now than a card says, as far as it decides on numbers: "versions jax: 0.10.1 then, 0.12.0 now"."""
    told = []
    for word in ("versions", "host", "devices", "xla_flags", "data"):
        # As JSON gives it back, so that a tuple is not another thing than a list.
        a, b = (json.loads(json.dumps(each.get(word))) for each in (then, now))
        if not isinstance(a, dict) or not isinstance(b, dict):
            a, b = {"": a}, {"": b}
        told += [
            f"  {word} {key}: {a.get(key)} then, {b.get(key)} now".replace(" : ", ": ")
            for key in sorted({*a, *b})
            if a.get(key) != b.get(key)
        ]
    return told


def _drift(then: float, now: float) -> str:
    return f"{then:.9g} then, {now:.9g} now ({abs(now - then) / max(abs(then), 1e-30):.1e} of it)"
