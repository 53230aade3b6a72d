"""Masked language modelling: texts with a masked token, and what the model predicts for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.data.source import Source
from dlcore.data.tokens import Subwords
from dlcore.samples import Sample, Table
from dlcore.train.model import Model
from dlcore.train.step import Batch, State

Mask = Callable[[Batch, Array], tuple[Array, Array]]


def samples(
    model: Model, masked: Mask, source: Source, tokens: Subwords, count: int = 40
) -> Callable[[State, Array], list[Sample]]:
    """A table of texts, each with one of its masked tokens and the model's best guess.

    Args:
        model: gives logits [batch, masked, vocabulary] of the masked positions.
        masked: (batch, key) -> the tokens as the network reads them [batch, length], and the
            positions that it predicts [batch, masked]. The model masks the same with this key.
        source: examples with `tokens` [length].
        tokens: the tokenizer.
        count: how many texts.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        original = source.gather(np.arange(min(count, len(source))))["tokens"]
        batch: Any = {"tokens": jnp.asarray(original), "row": jnp.arange(len(original))}
        logits = np.asarray(model(state.params, state.extra, batch, key, False)[0])
        shown, positions = map(np.asarray, masked(batch, key))
        p = np.exp(logits - logits.max(-1, keepdims=True))
        guess, probability = logits.argmax(-1), p.max(-1) / p.sum(-1)
        middle = positions.shape[1] // 2  # one position per text, with text on both sides

        def row(i: int) -> tuple[str, str, str, float]:
            at = positions[i, middle]
            before, after = (tokens.decode(each) for each in (shown[i, :at], shown[i, at + 1 :]))
            hidden, best = (
                tokens.decode(np.array([x])) for x in (original[i, at], guess[i, middle])
            )
            return f"{before} ____{after}", hidden, best, round(float(probability[i, middle]), 3)

        head = ("text (other masked tokens are left out)", "hidden", "best guess", "probability")
        rows = tuple(row(i) for i in range(len(original)))
        return [Table("One masked token of each text", head, rows)]

    return draw
