"""Masked language modelling: masks, the loss of the masked tokens, and predictions for them."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from dlcore.data.sets.sentences import SPECIALS
from dlcore.data.source import Source
from dlcore.data.tokens import Subwords
from dlcore.kernels.masking import corrupt_tokens, random_positions
from dlcore.samples import Sample, Table
from dlcore.train.model import Inputs, Logits, Model
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean

Mask = Callable[[Batch, Array], tuple[Array, Array]]  # (batch, key) -> tokens and positions
ORDINARY = len(SPECIALS)  # the first token that may be masked; those before it are special


def mask(tokens: Subwords, fraction: float, length: int) -> Mask:
    """Returns a function that masks tokens of each text, as BERT does (Devlin et al. 2019, 3.1).

    Args:
        tokens: the tokenizer, with `SPECIALS` as its first tokens.
        fraction: in [0, 1]; max(1, round(fraction * length)) positions of each text are drawn,
            uniformly from the ordinary tokens. Where a text has fewer of them, special tokens are
            drawn and corrupted too.
        length: number of tokens of a text, padding included.

    Returns:
        (batch, key) -> the corrupted tokens, int [batch, length], and the positions whose tokens
        are predicted, int [batch, masked], in ascending order; of a batch with `tokens`, int
        [batch, length], and `row`, int [batch].
    """
    count = max(1, round(fraction * length))
    token, vocabulary = tokens.special("[mask]"), len(tokens)

    def masked(batch: Batch, key: Array) -> tuple[Array, Array]:
        x, row = batch["tokens"], batch["row"]
        positions = random_positions(jax.random.fold_in(key, 0), row, x >= ORDINARY, count)
        key = jax.random.fold_in(key, 1)
        return corrupt_tokens(key, row, x, positions, token, ORDINARY, vocabulary), positions

    return masked


def inputs(masked: Mask) -> Inputs:
    """Returns the `inputs` of a `Model`: the corrupted tokens, and the masked positions.

    Args:
        masked: what `mask` returns.

    Returns:
        (batch, key, train) -> tokens int [batch, length], and positions int [batch, masked]. Where
        the key is None, these are the unchanged tokens, and position 0 only, int [batch, 1].
    """

    def corrupted(batch: Batch, key: Array | None, train: bool) -> tuple[Array, Array]:
        if key is None:  # at initialisation
            return batch["tokens"], jnp.zeros_like(batch["tokens"][:, :1])
        return masked(batch, key)

    return corrupted


def loss(model: Logits, masked: Mask) -> Loss:
    """Returns the cross-entropy of the masked tokens, in nats; metric: `accuracy`.

    Special tokens, such as padding, are not counted. In evaluation too, tokens are masked by the
    key that the loss receives.

    Args:
        model: computes logits [batch, masked, vocabulary] of the masked positions of a batch with
            `tokens` int [batch, length], `row` and `mask`.
        masked: what `mask` returns; the `inputs` of the model must use the same.
    """

    def cross_entropy(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        logits, extra = model(params, extra, batch, key, train)
        positions = masked(batch, key)[1]
        target = jnp.take_along_axis(batch["tokens"], positions, 1)
        counts = (target >= ORDINARY) * batch["mask"][:, None]
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        xent = optax.softmax_cross_entropy_with_integer_labels(logits, target)
        accuracy = mean(logits.argmax(-1) == target, counts)
        return Out(mean(xent, counts), {"accuracy": accuracy}, extra)

    return cross_entropy


def samples(
    model: Model, masked: Mask, source: Source, tokens: Subwords, count: int = 40
) -> Callable[[State, Array], list[Sample]]:
    """Shows a table of texts, each with one of its masked tokens and the model's best guess.

    Shown is the middle one of a text's masked positions.

    Args:
        model: computes logits [batch, masked, vocabulary] of the masked positions.
        masked: what `mask` returns; the `inputs` of the model must use the same.
        source: `tokens`, int [length] each.
        tokens: the tokenizer.
        count: number of texts, the first ones.

    Returns:
        (state, key) -> samples; the key draws the masked positions.
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
