"""End-to-end memory networks (Sukhbaatar et al. 2015): answers from attention over sentences."""

from __future__ import annotations

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Float32, Integer

from dlcore.models.layers import Dropout

_HIDDEN = -1e9  # score of an empty memory


@dataclasses.dataclass(frozen=True)
class Size:
    """The shape of a memory network.

    Attributes:
        vocabulary: number of words; 0 is padding.
        answers: number of possible answers.
        sentences: number of sentences of the longest story.
        width: features of a word, a sentence and the state.
        hops: number of times that the sentences are read.
        dropout: rate of dropout of the state before the answer.
    """

    vocabulary: int
    answers: int
    sentences: int
    width: int = 64
    hops: int = 3
    dropout: float = 0.0


def position_weights(length: int, width: int) -> Float32[np.ndarray, "length width"]:
    """Computes the weights of a sentence's words by position: (1 - j/J) - (k/d)(1 - 2j/J).

    Args:
        length: J, number of words of a sentence; j counts from 1.
        width: d, number of features; k counts from 1.

    Returns:
        float32 [length, width].

    Source: Sukhbaatar et al. 2015, 4.1 (position encoding).
    """
    j = np.arange(1, length + 1, dtype=np.float64)[:, None] / length
    k = np.arange(1, width + 1, dtype=np.float64)[None] / width
    return ((1 - j) - k * (1 - 2 * j)).astype(np.float32)


class MemoryReader(nn.Module):
    """Answers a question from a story by reading its sentences several times.

    Maps a story [batch, sentences, words], its last sentence first, and a question [batch, words]
    (integers, 0 at padding) to logits [batch, answers] and the attention of each reading to the
    sentences [batch, hops, sentences].

    Adjacent weights: the output vectors of a reading are the input vectors of the next. Sentences
    are sums of word vectors weighted by position, plus a learned vector for their age.

    Attributes:
        size: of the network.

    Source: Sukhbaatar et al. 2015, sec. 2.
    """

    size: Size

    @nn.compact
    def __call__(
        self,
        story: Integer[Array, "batch sentences words"],
        question: Integer[Array, "batch words"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch answers"], Float[Array, "batch hops sentences"]]:
        """Computes logits of the answers, and the attention of each reading.

        Args:
            story: words of the sentences, the last sentence first, 0 at padding.
            question: words, 0 at padding.
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.

        Returns:
            Logits [batch, answers]; weights [batch, hops, sentences], 0 at empty memories.
        """
        s, init = self.size, nn.initializers.normal(0.1)
        tables = [
            nn.Embed(s.vocabulary, s.width, embedding_init=init, name=f"words_{hop}")
            for hop in range(s.hops + 1)
        ]
        ages = [
            self.param(f"ages_{hop}", init, (s.sentences, s.width), jnp.float32)
            for hop in range(s.hops + 1)
        ]
        weights = jnp.asarray(position_weights(story.shape[-1], s.width), ages[0].dtype)
        sentence_mask = (story != 0).any(-1)
        state = _sentences(tables[0], question, weights)
        attention = []
        for hop in range(s.hops):
            keys, values = (
                _sentences(tables[i], story, weights) + ages[i][None, : story.shape[1]]
                for i in (hop, hop + 1)
            )
            weight = _softmax(jnp.einsum("bsd,bd->bs", keys, state), sentence_mask)
            state = state + jnp.einsum("bs,bsd->bd", weight, values)
            attention.append(weight)
        state = Dropout(s.dropout)(state, row if train else None)
        return nn.Dense(s.answers, name="answer")(state), jnp.stack(attention, 1)


def _sentences(
    table: nn.Embed, words: Integer[Array, "... words"], weights: Float[Array, "words width"]
) -> Float[Array, "... width"]:
    vectors = jnp.where((words != 0)[..., None], table(words), 0)
    return jnp.einsum("...wd,wd->...d", vectors, weights)


def _softmax(
    scores: Float[Array, "batch sentences"], sentence_mask: Bool[Array, "batch sentences"]
) -> Float[Array, "batch sentences"]:
    """Softmax over the sentences that exist; zeros where sentence_mask are none."""
    return jnp.where(
        sentence_mask, jax.nn.softmax(jnp.where(sentence_mask, scores, _HIDDEN), -1), 0
    )
