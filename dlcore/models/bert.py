"""BERT: an encoder over pieces of text (Devlin et al. 2019), with a head that fills in masked
pieces or one that names a class.
"""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.activations import gelu
from dlcore.models import encoder
from dlcore.models.encoder import Encoder, Size
from dlcore.models.layers import Dropout, LayerNorm

TENSOR = (*encoder.TENSOR, (r"embed/embedding", ("tensor", None)))


class Text(nn.Module):
    """Pieces by number, embedded and encoded. What pretraining hands on to fine-tuning is this
    module's subtree.
    """

    vocabulary: int
    size: Size

    def setup(self) -> None:
        self.embed = nn.Embed(
            self.vocabulary, self.size.width, embedding_init=nn.initializers.normal(0.02)
        )
        self.norm = LayerNorm()
        self.encoder = Encoder(self.size)

    def __call__(self, tokens: Array, *, train: bool = False, row: Array | None = None) -> Array:
        """tokens int [batch, length], 0 on padding -> [batch, length, width]."""
        return self.encoder(self.norm(self.embed(tokens)), tokens != 0, train=train, row=row)

    def scores(self, x: Array) -> Array:
        """[n, width] -> products with every embedding [n, vocabulary]."""
        return self.embed.attend(x)


class Masked(nn.Module):
    """Logits of the pieces at chosen places, the output matrix tied to the embedding (Press & Wolf
    2017).
    """

    vocabulary: int
    size: Size

    @nn.compact
    def __call__(
        self, tokens: Array, places: Array, *, train: bool = False, row: Array | None = None
    ) -> Array:
        """tokens int [batch, length], places int [batch, count] -> [batch, count, vocabulary]. Only
        the places meet the softmax.
        """
        text = Text(self.vocabulary, self.size, name="text")
        x = jnp.take_along_axis(text(tokens, train=train, row=row), places[..., None], 1).reshape(
            -1, self.size.width
        )
        x = LayerNorm(name="norm")(gelu(nn.Dense(self.size.width, name="dense")(x)))
        bias = self.param("bias", nn.initializers.zeros, (self.vocabulary,), jnp.float32)
        return (text.scores(x) + bias[None]).reshape(*places.shape, self.vocabulary)


class Classifier(nn.Module):
    """Logits of a whole text: the mean over its pieces, and a dense layer."""

    vocabulary: int
    size: Size
    classes: int
    dropout: float = 0.0

    @nn.compact
    def __call__(self, tokens: Array, *, train: bool = False, row: Array | None = None) -> Array:
        """tokens int [batch, length], 0 on padding -> [batch, classes]."""
        x = Text(self.vocabulary, self.size, name="text")(tokens, train=train, row=row)
        seen = (tokens != 0).astype(x.dtype)
        pooled = (x * seen[..., None]).sum(1) / jnp.maximum(seen.sum(1), 1)[:, None]
        return nn.Dense(self.classes, name="head")(
            Dropout(self.dropout, name="drop")(pooled, row if train else None)
        )
