"""Held-out answers of a preference-tuned GPT, with their labels and log-ratios."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.data.tokens import Subwords
from dlcore.samples import Sample, Table
from dlcore.tasks.dialogue import messages
from dlcore.tasks.preference import log_ratios
from dlcore.train.model import Model
from dlcore.train.step import State

_HEADER = ("end of the context", "answer", "label", "log-ratio in nats", "predicted")
# neither loss has its zero at a log-ratio of 0
_OF_PAIRS = "Held-out answers; DPO only compares, so the higher of a pair is predicted right"
_OF_SINGLE = "Held-out answers; KTO has no zero, so those above their median are predicted right"
_SHOWN = 24  # tokens of a context


def samples(
    policy: Model, reference: Model, source: Source, tokens: Subwords, count: int = 20
) -> Callable[[State, Array], list[Sample]]:
    """Shows held-out answers with their labels and log-ratios, and which are predicted right.

    Of a pair the one with the higher log-ratio is predicted right; single answers are compared with
    the median log-ratio of those that are shown.

    Args:
        policy, reference: see `preference.loss`; for pairs, the policy of fold 0.
        source: held-out answers with the label `desirable`; or pairs of a right and a wrong answer
            (`data.sets.dialogue_pairs`). Of pairs only fold 0 is shown: the policy of fold 0 has
            learned from all the others.
        tokens: the tokenizer.
        count: largest number of answers. Up to count // 2 right and as many wrong ones are taken
            at even distances in `source`.

    Returns:
        (state, key) -> one `Table` with a row per answer; the key is not used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        every = source.gather(np.arange(len(source)))
        labelled = "desirable" in every
        kinds = [every["desirable"] == k for k in (1, 0)] if labelled else [every["fold"] == 0]
        parts = [_spread(np.flatnonzero(kind), count // 2) for kind in kinds]
        chosen = np.sort(np.concatenate(parts))
        batch = {name: array[chosen] for name, array in every.items()}
        arrays = {name: jnp.asarray(x) for name, x in batch.items()}
        other = "other" if labelled else "wrong"
        found = log_ratios(policy, reference, state.params, state.extra, arrays, other=other)
        own, of_other = (np.asarray(x, np.float64) for x in (found.own, found.other))
        if labelled:
            middle = np.full(len(chosen), np.median(own))
            answers = [("", batch["desirable"], own)]
        else:
            middle = (own + of_other) / 2
            answers = [
                ("", np.ones(len(chosen)), own),
                ("wrong_", np.zeros(len(chosen)), of_other),
            ]
        rows = [
            _row(tokens, batch, prefix, i, bool(label[i]), float(ratio[i]), float(middle[i]))
            for i in range(len(chosen))
            for prefix, label, ratio in answers
        ]
        return [Table(_OF_SINGLE if labelled else _OF_PAIRS, _HEADER, tuple(rows))]

    return draw


def _spread(rows: np.ndarray, count: int) -> np.ndarray:
    """At most `count` of some rows, evenly spread."""
    return rows[np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))]


def _row(
    tokens: Subwords,
    batch: Mapping[str, np.ndarray],
    prefix: str,
    i: int,
    label: bool,
    ratio: float,
    middle: float,
) -> tuple[str | float, ...]:
    """One answer; a log-ratio above `middle` predicts right, one below it wrong."""
    counted = np.flatnonzero(batch[f"{prefix}weight"][i])
    context = batch[f"{prefix}tokens"][i, max(0, counted[0] - _SHOWN) : counted[0] + 1]
    answer = batch[f"{prefix}targets"][i, counted]
    names = "wrong", "right"
    return (
        messages(tokens, context),
        tokens.decode(answer),
        names[label],
        round(ratio, 3),
        "tie" if ratio == middle else names[ratio > middle],
    )
