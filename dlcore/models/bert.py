"""BERT (Devlin et al. 2019): a text encoder with a head for masked tokens or one for classes."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer

from dlcore.kernels.activations import gelu
from dlcore.models import encoder
from dlcore.models.encoder import Encoder, Size
from dlcore.models.layers import Dropout, LayerNorm

TENSOR = (*encoder.TENSOR, (r"embed/embedding", ("tensor", None)))


class Text(nn.Module):
    """Embeds and encodes tokens. Fine-tuning loads the parameters of this module from pretraining.

    Called with tokens int [batch, length], it returns [batch, length, width].

    Attributes:
        vocabulary: number of tokens; 0 is padding.
        size: of the encoder.
    """

    vocabulary: int
    size: Size

    def setup(self) -> None:
        """Creates the submodules."""
        self.embed = nn.Embed(
            self.vocabulary, self.size.width, embedding_init=nn.initializers.normal(0.02)
        )
        self.norm = LayerNorm()
        self.encoder = Encoder(self.size)

    def __call__(
        self,
        tokens: Integer[Array, "batch length"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "batch length width"]:
        """Encodes tokens [batch, length], 0 at padding, to [batch, length, width].

        Args:
            tokens: [batch, length].
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.
        """
        return self.encoder(self.norm(self.embed(tokens)), tokens != 0, train=train, row=row)

    def scores(self, x: Float[Array, "n width"]) -> Float[Array, "n vocabulary"]:
        """Computes the products [n, vocabulary] of x [n, width] with every embedding."""
        return self.embed.attend(x)


class Masked(nn.Module):
    """Predicts the tokens at chosen positions; the embedding is also the output matrix.

    Called with tokens int [batch, length], some of them masked, and positions int [batch, count],
    it returns the logits of the tokens there [batch, count, vocabulary].

    Source: Press & Wolf 2017 for the tied embedding.

    Attributes:
        vocabulary: number of tokens; 0 is padding.
        size: of the encoder.
    """

    vocabulary: int
    size: Size

    @nn.compact
    def __call__(
        self,
        tokens: Integer[Array, "batch length"],
        places: Integer[Array, "batch count"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "batch count vocabulary"]:
        """Computes logits [batch, count, vocabulary] of the tokens at `places` alone.

        Args:
            tokens: [batch, length], some of them masked.
            places: positions to predict [batch, count].
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.
        """
        text = Text(self.vocabulary, self.size, name="text")
        x = jnp.take_along_axis(text(tokens, train=train, row=row), places[..., None], 1).reshape(
            -1, self.size.width
        )
        x = LayerNorm(name="norm")(gelu(nn.Dense(self.size.width, name="dense")(x)))
        bias = self.param("bias", nn.initializers.zeros, (self.vocabulary,), jnp.float32)
        return (text.scores(x) + bias[None]).reshape(*places.shape, self.vocabulary)


class Classifier(nn.Module):
    """Classifies a text: the mean over its encoded tokens without padding, and a dense layer.

    Called with tokens int [batch, length], it returns logits [batch, classes].

    Attributes:
        vocabulary: number of tokens; 0 is padding.
        size: of the encoder.
        classes: number of classes.
        dropout: rate of dropout before the dense layer.
    """

    vocabulary: int
    size: Size
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
            tokens: [batch, length], 0 at padding.
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.
        """
        x = Text(self.vocabulary, self.size, name="text")(tokens, train=train, row=row)
        mask = (tokens != 0).astype(x.dtype)
        pooled = (x * mask[..., None]).sum(1) / jnp.maximum(mask.sum(1), 1)[:, None]
        return nn.Dense(self.classes, name="head")(
            Dropout(self.dropout, name="drop")(pooled, row if train else None)
        )
