"""BERT as it was published (Devlin et al. 2019): segments, normalisation last, exact GELU, biases.

`dlcore.models.bert` has the variant that the experiments train, with normalisation first.
"""

from __future__ import annotations

import functools

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Integer

from dlcore.kernels.activations import gelu_erf
from dlcore.kernels.attention import attention
from dlcore.models.encoder import Size
from dlcore.models.layers import Dropout, LayerNorm

EPS = 1e-12  # of all normalisations, as published
_NORMAL = nn.initializers.normal(0.02)


class Block(nn.Module):
    """A post-norm block: x = norm(x + attention(x)), then norm(x + mlp(x)).

    It maps x [batch, length, width], with a mask of the tokens that are attended to
    [batch, length] and each example's index [batch] (None: no dropout), to the shape of x.

    Attributes:
        size: of the encoder; heads and dropout are used.

    Source: Vaswani et al. 2017, sec. 3.1.
    """

    size: Size

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch length width"],
        attention_mask: Bool[Array, "batch length"],
        row: Integer[Array, " batch"] | None,
    ) -> Float[Array, "batch length width"]:
        """Maps x [batch, length, width] to the same shape.

        Args:
            x: tokens.
            attention_mask: True at the tokens that are attended to.
            row: each example's index in the global batch [batch]; None: no dropout.
        """
        s, (batch, length, width) = self.size, x.shape
        dense = functools.partial(nn.Dense, kernel_init=_NORMAL)
        heads = dense(3 * width, name="qkv")(x).reshape(batch, length, 3, s.heads, -1)
        q, k, v = (heads[:, :, i].swapaxes(1, 2) for i in range(3))
        attended = attention(q, k, v, attention_mask).swapaxes(1, 2).reshape(x.shape)
        drop = Dropout(s.dropout, name="drop")
        attended = drop(dense(width, name="out")(attended), row)
        x = LayerNorm(EPS, name="norm_attention")(x + attended)
        hidden = gelu_erf(dense(4 * width, name="up")(x))
        hidden = drop(dense(width, name="down")(hidden), row)
        return LayerNorm(EPS, name="norm_mlp")(x + hidden)


class OriginalBert(nn.Module):
    """Encodes one or two texts, and pools the first token.

    Called with tokens, a mask that is False at padding, and the segment of each token, all
    [batch, length], it returns the encoded tokens [batch, length, width], and tanh of a dense layer
    of the first one [batch, width].

    Attributes:
        vocabulary: number of tokens.
        size: of the encoder, with learned positions; its dropout is not applied to attention
            weights.
        segments: number of different segments.
    """

    vocabulary: int
    size: Size
    segments: int = 2

    @nn.compact
    def __call__(
        self,
        tokens: Integer[Array, "batch length"],
        attention_mask: Bool[Array, "batch length"],
        segment: Integer[Array, "batch length"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> tuple[Float[Array, "batch length width"], Float[Array, "batch width"]]:
        """Encodes tokens [batch, length].

        Args:
            tokens: of one text, or of two after each other.
            attention_mask: False at padding.
            segment: number of the text of each token, from 0.
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.

        Returns:
            Encoded tokens [batch, length, width]; tanh of a dense layer of the first one
            [batch, width].

        Raises:
            ValueError: the size has no learned positions, or the input is longer than they are.
        """
        s, row = self.size, row if train else None
        if s.positions != "learned" or tokens.shape[1] > s.context:
            raise ValueError(
                f"BERT has learned positions: {s.positions!r} and {s.context} of them do not"
                f" hold {tokens.shape[1]} tokens"
            )
        embed = functools.partial(nn.Embed, features=s.width, embedding_init=_NORMAL)
        positions = self.param("positions", _NORMAL, (s.context, s.width), jnp.float32)
        x = embed(self.vocabulary, name="embed")(tokens) + positions[None, : tokens.shape[1]]
        x = x + embed(self.segments, name="segments")(segment)
        x = Dropout(s.dropout, name="drop")(LayerNorm(EPS, name="norm")(x), row)
        block = nn.remat(Block) if s.remat else Block
        for layer in range(s.layers):
            x = block(s, name=f"block_{layer}")(x, attention_mask, row)
        return x, jnp.tanh(nn.Dense(s.width, kernel_init=_NORMAL, name="pool")(x[:, 0]))
