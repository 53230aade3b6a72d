"""Predicts the masked tokens of a user's texts, for `dlcore predict`."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Int32

from dlcore.bounds import PositiveInt
from dlcore.data.sets.sentences import plain
from dlcore.data.tokens import Subwords
from dlcore.errors import UsageError
from dlcore.samples import Table
from dlcore.tasks.masked_modelling import ORDINARY
from dlcore.train.model import Model
from dlcore.train.predictor import Answer
from dlcore.train.step import Extra, Params, State

MASK = "[mask]"
_MASK = re.compile(re.escape(MASK), re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class MaskOptions:
    """Flags of `dlcore predict` for a masked language model."""

    top: PositiveInt = 5
    """number of tokens that are listed for each [mask], the most likely first"""


@dataclasses.dataclass(frozen=True)
class MaskedText:
    """A text with masked tokens.

    Attributes:
        text: as the user wrote it.
        segments: of `text`, before, between and after its masks.
        tokens: int32 [n], normalised as in training, after one `[sep]`.
    """

    text: str
    segments: list[str]
    tokens: Int32[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class MaskPredictor:
    """Predicts the tokens that stand for [mask] in texts, one text per line.

    Attributes:
        model: computes logits [batch, count, vocabulary] of tokens int [batch, length] at positions
            int [batch, count].
        tokens: the tokenizer, with the special tokens of `data.sets.sentences`.
        length: number of tokens that the model reads, as in training.
        options: flags of `dlcore predict`.
    """

    model: Model
    tokens: Subwords
    length: int
    options: MaskOptions = dataclasses.field(default_factory=MaskOptions)
    reads = "lines"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[MaskedText]:
        """Encodes texts; `files` is not used.

        Raises:
            UsageError: a text without [mask], or one of more tokens than the model reads.
        """
        return [self._encoded(each) for each in text]

    def _encoded(self, text: str) -> MaskedText:
        segments, special = _MASK.split(text), self.tokens.special
        if len(segments) == 1:
            raise UsageError(f"there is no {MASK} in {text!r}: write it where a word is missing")
        encoded: list[Sequence[int] | np.ndarray] = []
        for segment in segments:
            encoded += [[special(MASK) if encoded else special("[sep]")]]
            encoded += [self.tokens.encode(plain(segment))]
        tokens = np.concatenate(encoded).astype(np.int32)
        if len(tokens) > self.length:
            raise UsageError(
                f"a text of {len(tokens)} tokens, and this model reads {self.length}: shorten it"
            )
        return MaskedText(text, segments, tokens)

    def batch(self, state: State, items: Sequence[MaskedText]) -> list[Answer]:
        """Answers a batch of texts.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"text", "masks", "filled"}, a table) of each text: for each [mask], in order, the list
            of the most likely ordinary tokens {"token", "probability"}, in descending order; and
            the text with the most likely ones, each predicted while the others are masked.
        """
        masks = [np.flatnonzero(each.tokens == self.tokens.special(MASK)) for each in items]
        count = 1 << (max(map(len, masks)) - 1).bit_length()  # few numbers, few compilations
        tokens = np.zeros((len(items), self.length), np.int32)
        positions = np.zeros((len(items), count), np.int32)
        for row, each, at, mask in zip(tokens, items, positions, masks, strict=True):
            row[: len(each.tokens)], at[: len(mask)] = each.tokens, mask
        p = np.asarray(_probabilities(self.model)(state.params, state.extra, tokens, positions))
        return [self._answer(each, row) for each, row in zip(items, p, strict=True)]

    def _answer(self, item: MaskedText, p: np.ndarray) -> Answer:
        filled, *rest = item.segments
        masks: list[list[dict[str, str | float]]] = []
        for probability, segment in zip(p, rest, strict=False):  # p also has rows of padding
            order = np.argsort(-probability, kind="stable")[: self.options.top]
            names = [self.tokens.decode(np.array([token])).strip() for token in order]
            masks.append(
                [
                    {"token": name, "probability": round(float(probability[token]), 6)}
                    for name, token in zip(names, order, strict=True)
                ]
            )
            filled += names[0] + segment
        record = {"text": item.text, "masks": masks, "filled": filled}
        rows = [(i, *each.values()) for i, mask in enumerate(masks, start=1) for each in mask]
        return record, Table(item.text, ("mask", "token", "probability"), tuple(rows))

    def line(self, answer: Mapping[str, object]) -> str:
        """Formats an answer: the text with the most likely tokens."""
        return str(answer["filled"])


# cached, since several batches of one model share its compiled function
@functools.lru_cache(maxsize=1)
def _probabilities(model: Model) -> Callable[[Params, Extra, np.ndarray, np.ndarray], Array]:
    """(params, extra, tokens [batch, length], positions [batch, n]) -> probabilities [batch, n,
    vocabulary].

    Special tokens, which are never masked in training, have probability 0.
    """

    def at(params: Params, extra: Extra, tokens: Array, positions: Array) -> Array:
        logits = model.on(params, extra, tokens, positions)
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        ordinary = jnp.arange(logits.shape[-1])[None, None] >= ORDINARY
        return jax.nn.softmax(jnp.where(ordinary, logits, -jnp.inf))

    return jax.jit(at)


def predictor(model: Model, tokens: Subwords, length: int) -> MaskPredictor:
    """Returns the predictor of a masked language model, which fills in lines of text.

    Args:
        model, tokens, length: see `MaskPredictor`.
    """
    return MaskPredictor(model, tokens, length)
