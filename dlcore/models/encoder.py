"""A Transformer encoder (Vaswani et al. 2017) over embedded tokens: text, image patches, ..."""

from __future__ import annotations

import dataclasses
import functools
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Bool, Float, Integer

from dlcore.kernels.activations import gelu
from dlcore.kernels.attention import attention, rotary
from dlcore.models.layers import Dropout, LayerNorm

# Column-parallel in, row-parallel out (Shoeybi et al. 2019): each pair needs one sum over `tensor`.
TENSOR = ((r"(qkv|up)/kernel", (None, "tensor")), (r"(out|down)/kernel", ("tensor", None)))

Positions = Literal["learned", "rotary", "none"]


@dataclasses.dataclass(frozen=True)
class Size:
    """The shape of an encoder.

    Attributes:
        layers: number of blocks.
        heads: attention heads of a block.
        width: features of a token.
        context: length of the longest input; needed for learned positions only.
        positions: "learned", "rotary" or "none".
        dropout: rate of dropout after the embedding and in each block.
        remat: compute activations again in the backward pass instead of keeping them.

    Raises:
        ValueError: `heads` does not divide `width`, or learned positions have no context.
    """

    layers: int
    heads: int
    width: int
    context: int = 0
    positions: Positions = "rotary"
    dropout: float = 0.0
    remat: bool = False

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}")
        if self.positions == "learned" and self.context < 1:
            raise ValueError("learned positions need a context: the length of the longest input")


class Block(nn.Module):
    """Applies a Transformer block: x + attention(norm(x)), then x + mlp(norm(x)).

    Maps tokens [batch, length, width], given a mask and each example's index [batch] (None: no
    dropout), to the same shape; each attends to all tokens that are not masked, itself among them.
    The MLP is 4 width wide, with GELU. Dense layers have no biases; layer normalisations do.

    Attributes:
        size: of the encoder.
    """

    size: Size

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch length width"],
        attention_mask: Bool[Array, "batch length"] | Bool[Array, "batch length length"] | None,
        row: Integer[Array, " batch"] | None,
    ) -> Float[Array, "batch length width"]:
        """Maps x [batch, length, width] to the same shape.

        Args:
            x: tokens.
            attention_mask: True at the tokens that are attended to, [batch, length] or for each
                token [batch, length, length]; None: all.
            row: each example's index in the global batch [batch]; None: no dropout.
        """
        s, (batch, length, width) = self.size, x.shape
        dense = functools.partial(
            nn.Dense, use_bias=False, kernel_init=nn.initializers.normal(0.02)
        )
        residual = nn.initializers.normal(0.02 / (2 * s.layers) ** 0.5)
        # matrices, not batches of matrices: CPU runs them a fifth faster
        flat = x.reshape(batch * length, width)
        heads = dense(3 * width, name="qkv")(LayerNorm(name="norm_attention")(flat)).reshape(
            batch, length, 3, s.heads, -1
        )
        q, k, v = (heads[:, :, i].swapaxes(1, 2) for i in range(3))
        if s.positions == "rotary":
            q, k = (rotary(t, np.arange(length)) for t in (q, k))
        drop = Dropout(s.dropout, name="drop")
        attended = dense(width, kernel_init=residual, name="out")(
            attention(q, k, v, attention_mask).swapaxes(1, 2).reshape(flat.shape)
        )
        x = x + drop(attended.reshape(x.shape), row)
        hidden = gelu(
            dense(4 * width, name="up")(LayerNorm(name="norm_mlp")(x.reshape(flat.shape)))
        )
        hidden = dense(width, kernel_init=residual, name="down")(hidden)
        return x + drop(hidden.reshape(x.shape), row)


class Encoder(nn.Module):
    """Applies pre-norm blocks (Xiong et al. 2020) and a last layer normalisation to tokens.

    Maps embedded tokens [batch, length, width] to the same shape. Learned positions, where `size`
    requests them, are added before the first block. A mask excludes tokens from attention.

    Attributes:
        size: of the encoder.
    """

    size: Size

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch length width"],
        attention_mask: Bool[Array, "batch length"]
        | Bool[Array, "batch length length"]
        | None = None,
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "batch length width"]:
        """Encodes tokens x [batch, length, width]; returns the same shape.

        Args:
            x: embedded tokens.
            attention_mask: False at padding [batch, length], which then has no effect on other
                tokens, or for each token the tokens that it attends to [batch, length, length];
                None: all.
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.

        Raises:
            ValueError: the input is longer than the learned positions.
        """
        s, row = self.size, row if train else None
        if s.positions == "learned":
            if x.shape[1] > s.context:
                raise ValueError(
                    f"{x.shape[1]} tokens are more than the {s.context} learned positions"
                )
            places = self.param(
                "positions", nn.initializers.normal(0.02), (s.context, s.width), jnp.float32
            )
            x = x + places[None, : x.shape[1]].astype(x.dtype)
        x = Dropout(s.dropout, name="drop")(x, row)
        block = nn.remat(Block) if s.remat else Block
        for layer in range(s.layers):
            x = block(s, name=f"block_{layer}")(x, attention_mask, row)
        return LayerNorm(name="norm")(x.reshape(-1, s.width)).reshape(x.shape)
