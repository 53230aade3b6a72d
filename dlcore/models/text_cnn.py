"""Classifiers of texts without pretrained embeddings: convolutions, or a recurrent network."""

from __future__ import annotations

from collections.abc import Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer

from dlcore.models.layers import Dropout
from dlcore.models.rnn import RNN


class TextCNN(nn.Module):
    """Classifies texts by convolutions of several lengths, and their maxima over the text.

    Maps tokens [batch, length] to logits [batch, classes].

    Source: Kim 2014, "Convolutional Neural Networks for Sentence Classification" (CNN-rand).

    Attributes:
        vocabulary: number of tokens; 0 is padding.
        width: length of an embedding.
        lengths: number of tokens of each convolution's window.
        features: number of feature maps of each length.
        classes: number of classes.
        dropout: rate of dropout of the embeddings and before the dense layer.
    """

    vocabulary: int
    width: int
    lengths: Sequence[int]
    features: int
    classes: int
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self,
        tokens: Integer[Array, "batch length"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "batch classes"]:
        """Computes logits [batch, classes].

        Args:
            tokens: [batch, length], 0 at padding, which has no effect.
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.
        """
        row = row if train else None
        x, observed = _embedded(self.vocabulary, self.width, self.dropout, tokens, row)
        maxima = []
        for length in self.lengths:
            before = (length - 1) // 2
            padded = jnp.pad(x, ((0, 0), (before, length - 1 - before), (0, 0)))
            # one matrix product: on CPU several times as fast as XLA's convolution
            windows = jnp.concatenate(
                [padded[:, i : i + x.shape[1]] for i in range(length)], -1
            ).reshape(-1, length * self.width)
            y = nn.Dense(self.features, name=f"conv_{length}")(windows)
            y = jax.nn.relu(y.reshape(*x.shape[:2], -1))
            maxima.append(jnp.where(observed, y, 0).max(1))  # ReLU has no value below 0
        pooled = Dropout(self.dropout, name="drop")(jnp.concatenate(maxima, -1), row)
        return nn.Dense(self.classes, name="head")(pooled)


class TextRNN(nn.Module):
    """Classifies texts by a recurrent network, and the maxima of its outputs over the text.

    Maps tokens [batch, length], whose padding comes last, to logits [batch, classes].

    Source: Conneau et al. 2017, sec. 3.2.2, for the maximum over a bidirectional LSTM.

    Attributes:
        vocabulary: number of tokens; 0 is padding.
        width: length of an embedding.
        rnn: the network.
        classes: number of classes.
        dropout: rate of dropout of the embeddings and before the dense layer.
    """

    vocabulary: int
    width: int
    rnn: RNN
    classes: int
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self,
        tokens: Integer[Array, "batch length"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "batch classes"]:
        """Computes logits [batch, classes].

        Args:
            tokens: [batch, length], 0 at padding, which must come last and has no effect.
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.
        """
        used = row if train else None
        x, observed = _embedded(self.vocabulary, self.width, self.dropout, tokens, used)
        y, _ = self.rnn(x, mask=observed[..., 0].astype(x.dtype), train=train, row=row)
        lowest = jnp.finfo(y.dtype).min
        pooled = jnp.where(observed, y, lowest).max(1)
        pooled = jnp.where(observed.any(1), pooled, 0)  # an empty text
        return nn.Dense(self.classes, name="head")(Dropout(self.dropout, name="drop")(pooled, used))


def _embedded(
    vocabulary: int,
    width: int,
    dropout: float,
    tokens: Integer[Array, "batch length"],
    row: Integer[Array, " batch"] | None,
) -> tuple[Float[Array, "batch length width"], Array]:
    """Embeddings, 0 at padding, and where there is none, bool [batch, length, 1]."""
    embed = nn.Embed(vocabulary, width, embedding_init=nn.initializers.normal(0.1), name="embed")
    observed = (tokens != 0)[..., None]
    x = Dropout(dropout, name="drop_embedded")(embed(tokens), row)
    return jnp.where(observed, x, 0), observed
