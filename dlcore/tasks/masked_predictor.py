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
        parts: what stands before, between and after the masks of `text`.
        tokens: int32 [n], normalised as in training, after one `[sep]`.
    """

    text: str
    parts: list[str]
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
        parts, special = _MASK.split(text), self.tokens.special
        if len(parts) == 1:
            raise UsageError(f"there is no {MASK} in {text!r}: write it where a word is missing")
        encoded: list[Sequence[int] | np.ndarray] = []
        for part in parts:
            encoded += [[special(MASK) if encoded else special("[sep]")]]
            encoded += [self.tokens.encode(plain(part))]
        tokens = np.concatenate(encoded).astype(np.int32)
        if len(tokens) > self.length:
            raise UsageError(
                f"a text of {len(tokens)} tokens, and this model reads {self.length}: shorten it"
            )
        return MaskedText(text, parts, tokens)

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
        tokens = np.zeros((len(items), self.length), np.int32)
        for row, each in zip(tokens, items, strict=True):
            row[: len(each.tokens)] = each.tokens
        p = np.asarray(_probabilities(self.model)(state.params, state.extra, tokens))
        return [self._answer(each, row) for each, row in zip(items, p, strict=True)]

    def _answer(self, item: MaskedText, p: np.ndarray) -> Answer:
        rows: list[tuple[int, str, float]] = []
        filled = item.parts[0]
        places = np.flatnonzero(item.tokens == self.tokens.special(MASK))
        for number, (place, after) in enumerate(zip(places, item.parts[1:], strict=True), start=1):
            order = np.argsort(-p[place], kind="stable")[: self.options.top]
            names = [self.tokens.decode(np.array([token])).strip() for token in order]
            found = [round(float(p[place, token]), 6) for token in order]
            rows += [(number, *each) for each in zip(names, found, strict=True)]
            filled += names[0] + after
        masks = [
            [{"token": name, "probability": x} for k, name, x in rows if k == number + 1]
            for number in range(len(places))
        ]
        record = {"text": item.text, "masks": masks, "filled": filled}
        return record, Table(item.text, ("mask", "token", "probability"), tuple(rows))

    def line(self, answer: Mapping[str, object]) -> str:
        """Formats an answer: the text with the most likely tokens."""
        return str(answer["filled"])


# cached, since several batches of one model share its compiled function
@functools.lru_cache(maxsize=1)
def _probabilities(model: Model) -> Callable[[Params, Extra, Int32[np.ndarray, "batch n"]], Array]:
    """(params, extra, tokens [batch, length]) -> probabilities [batch, length, vocabulary].

    Special tokens, which are never masked in training, have probability 0.
    """

    def of_all(params: Params, extra: Extra, tokens: Array) -> Array:
        places = jnp.broadcast_to(jnp.arange(tokens.shape[1]), tokens.shape)
        logits = model.on(params, extra, tokens, places)
        logits = logits.astype(jnp.promote_types(logits.dtype, jnp.float32))
        ordinary = jnp.arange(logits.shape[-1])[None, None] >= ORDINARY
        return jax.nn.softmax(jnp.where(ordinary, logits, -jnp.inf))

    return jax.jit(of_all)


def predictor(model: Model, tokens: Subwords, length: int) -> MaskPredictor:
    """Returns the predictor of a masked language model, which fills in lines of text.

    Args:
        model, tokens, length: see `MaskPredictor`.
    """
    return MaskPredictor(model, tokens, length)
