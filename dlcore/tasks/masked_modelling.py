"""Masked language modelling: texts with a masked token, and the model's prediction for it."""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.data.tokens import Subwords
from dlcore.samples import Sample, Table
from dlcore.train.model import Model
from dlcore.train.step import Batch, State

Mask = Callable[[Batch, Array], tuple[Array, Array]]  # (batch, key) -> tokens and positions


def samples(
    model: Model, masked: Mask, source: Source, tokens: Subwords, count: int = 40
) -> Callable[[State, Array], list[Sample]]:
    """Shows a table of texts, each with one of its masked tokens and the model's best guess.

    Args:
        model: computes logits [batch, masked, vocabulary] of the masked positions.
        masked: (batch, key) -> the tokens with masks, int [batch, length], and the masked
            positions, int [batch, masked]. The model must mask the same ones with this key.
        source: `tokens`, int [length] each.
        tokens: the tokenizer.
        count: number of texts.

    Returns:
        (state, key) -> samples.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        original = source.gather(np.arange(min(count, len(source))))["tokens"]
        batch = {"tokens": jnp.asarray(original), "row": jnp.arange(len(original))}
        logits = np.asarray(model(state.params, state.extra, batch, key, False)[0])
        with_masks, positions = map(np.asarray, masked(batch, key))
        odds = np.exp(logits - logits.max(-1, keepdims=True))
        predicted, probability = logits.argmax(-1), odds.max(-1) / odds.sum(-1)
        middle = positions.shape[1] // 2  # one position per text, with text on both sides

        def row(i: int) -> tuple[str, str, str, float]:
            position = positions[i, middle]
            before, after = (
                tokens.decode(each)
                for each in (with_masks[i, :position], with_masks[i, position + 1 :])
            )
            hidden, best = (
                tokens.decode(np.array([x])) for x in (original[i, position], predicted[i, middle])
            )
            return f"{before} ____{after}", hidden, best, round(float(probability[i, middle]), 3)

        head = ("text (other masked tokens are left out)", "hidden", "best guess", "probability")
        rows = tuple(row(i) for i in range(len(original)))
        return [Table("One masked token of each text", head, rows)]

    return draw
