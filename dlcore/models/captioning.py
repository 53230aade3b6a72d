"""Captions of pictures: a convolutional encoder, and a decoder that attends to its grid.

The decoder is recurrent (Xu et al. 2015, Show, Attend and Tell) or a Transformer (Vaswani et al.
2017); both return the weights of their attention to the picture.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.kernels.activations import gelu
from dlcore.kernels.attention import attention
from dlcore.kernels.shuffle import space_to_depth
from dlcore.models.attention_gru import GRU
from dlcore.models.beam import Step
from dlcore.models.layers import Dropout, LayerNorm

DecoderKind = Literal["gru", "transformer"]


@dataclasses.dataclass(frozen=True)
class Size:
    """The shape of a captioning network.

    Attributes:
        vocabulary: number of words.
        longest: largest number of tokens that a Transformer decoder takes; "gru" ignores it.
        width: channels of the grid and of the decoder.
        decoder: kind of the decoder, "gru" or "transformer".
        layers, heads: of a Transformer decoder; "gru" ignores them.
        dropout: rate in the decoder.
    """

    vocabulary: int
    longest: int
    width: int = 128
    decoder: DecoderKind = "gru"
    layers: int = 2
    heads: int = 4
    dropout: float = 0.0


class Encoder(nn.Module):
    """Encodes a picture as a grid of features, at an eighth of its height and width.

    Pictures [batch, 8 h, 8 w, 3] become [batch, h w, width], row by row. Each of three steps halves
    the grid by moving pixels into channels. Two channels of coordinates give the position of a
    feature (Liu et al. 2018), for pictures of any size.

    Attributes:
        width: channels of the grid; the two steps before the last have a quarter and a half.
    """

    width: int

    @nn.compact
    def __call__(self, image: Array) -> Array:
        """Encodes a batch.

        Args:
            image: [batch, 8 h, 8 w, 3], floating.

        Returns:
            [batch, h w, width].
        """
        x = image
        for width in (self.width // 4, self.width // 2, self.width):
            x = nn.Conv(width, (3, 3))(space_to_depth(x, 2))
            x = jax.nn.silu(LayerNorm()(x))
        batch, h, w, _ = x.shape
        rows, columns = (np.linspace(-1, 1, n, dtype=np.float32) for n in (h, w))
        grid = np.stack(np.meshgrid(rows, columns, indexing="ij"), -1)
        place = jnp.broadcast_to(jnp.asarray(grid, x.dtype)[None], (batch, h, w, 2))
        x = nn.Dense(self.width)(jnp.concatenate([x, place], -1))
        for _ in range(2):
            y = nn.Conv(self.width, (3, 3))(jax.nn.silu(LayerNorm()(x)))
            x = x + nn.Conv(self.width, (3, 3))(jax.nn.silu(LayerNorm()(y)))
        return LayerNorm()(x).reshape(batch, h * w, self.width)


class _Look(nn.Module):
    """Attends from each token to the grid: features, and the weights averaged over heads."""

    heads: int

    @nn.compact
    def __call__(self, query: Array, grid: Array) -> tuple[Array, Array]:
        """query [batch, length, n], grid [batch, positions, n] -> like query, and [batch, length,
        positions]."""
        width = query.shape[-1]
        dense = functools.partial(nn.Dense, width, use_bias=False)
        split = lambda x: x.reshape(*x.shape[:2], self.heads, -1).swapaxes(1, 2)  # noqa: E731
        q, k, v = (
            split(dense(name=name)(x))
            for name, x in (("query", query), ("key", grid), ("value", grid))
        )
        scores = q @ k.swapaxes(2, 3) / np.sqrt(q.shape[-1]).astype(np.float32)
        weight = jax.nn.softmax(scores.astype(jnp.promote_types(q.dtype, jnp.float32)), -1)
        attended = (weight.astype(v.dtype) @ v).swapaxes(1, 2).reshape(query.shape)
        return dense(name="out")(attended), weight.mean(1)


class _Recurrent(nn.Module):
    """A GRU over the caption so far looks at the grid; a second one reads what it saw."""

    size: Size

    @nn.compact
    def __call__(self, x: Array, grid: Array, row: Array | None) -> tuple[Array, Array]:
        batch, length, width = x.shape
        drop = Dropout(self.size.dropout, name="drop")
        begins = jnp.broadcast_to(jnp.arange(length)[None] == 0, (batch, length))
        zeros = jnp.zeros((batch, width), x.dtype)
        mean = jnp.broadcast_to(grid.mean(1, keepdims=True), (batch, length, grid.shape[-1]))
        state = GRU(width, name="first")(jnp.concatenate([x, mean], -1), begins, zeros)
        attended, weight = _Look(1, name="look")(state, grid)
        joined = drop(jnp.concatenate([state, attended], -1), row)
        out = GRU(width, name="second")(joined, begins, zeros)
        return nn.Dense(width, name="join")(jnp.concatenate([out, attended], -1)), weight


class _Transformer(nn.Module):
    """Blocks of attention to the caption so far, attention to the grid, and a perceptron."""

    size: Size

    @nn.compact
    def __call__(self, x: Array, grid: Array, row: Array | None) -> tuple[Array, Array]:
        s, (batch, length, width) = self.size, x.shape
        drop = Dropout(s.dropout, name="drop")
        places = self.param(
            "positions", nn.initializers.normal(0.02), (s.longest, width), jnp.float32
        )
        x = x + places[None, :length].astype(x.dtype)
        past = jnp.tril(jnp.ones((length, length), bool))[None]
        weights: list[Array] = []
        for layer in range(s.layers):
            qkv = nn.Dense(3 * width, use_bias=False, name=f"qkv_{layer}")(LayerNorm()(x))
            q, k, v = jnp.moveaxis(qkv.reshape(batch, length, 3, s.heads, -1), (2, 3), (0, 2))
            attended = attention(q, k, v, past).swapaxes(1, 2).reshape(x.shape)
            x = x + drop(nn.Dense(width, use_bias=False, name=f"out_{layer}")(attended), row)
            attended, weight = _Look(s.heads, name=f"look_{layer}")(LayerNorm()(x), grid)
            x, weights = x + drop(attended, row), [*weights, weight]
            hidden = gelu(nn.Dense(4 * width, name=f"up_{layer}")(LayerNorm()(x)))
            x = x + drop(nn.Dense(width, name=f"down_{layer}")(hidden), row)
        return LayerNorm()(x), jnp.stack(weights).mean(0)


class Captioner(nn.Module):
    """Predicts the next word of a picture's caption.

    Called with pictures [batch, height, width, 3] and tokens int [batch, length], it returns the
    logits of the word after each token [batch, length, vocabulary]. Input and output share one
    embedding (Press & Wolf 2017).

    Attributes:
        size: of the network.
    """

    size: Size

    def setup(self) -> None:
        """Creates the submodules."""
        s = self.size
        self.encoder = Encoder(s.width)
        self.embed = nn.Embed(
            s.vocabulary, s.width, embedding_init=nn.initializers.normal(s.width**-0.5)
        )
        self.decoder = _Recurrent(s) if s.decoder == "gru" else _Transformer(s)
        self.drop = Dropout(s.dropout)

    def __call__(
        self, image: Array, tokens: Array, *, train: bool = False, row: Array | None = None
    ) -> Array:
        """Computes the logits of the word after each token.

        Args:
            image: [batch, height, width, 3], floating; 8 divides height and width.
            tokens: int [batch, length].
            train: whether dropout is active.
            row: each example's index in the global batch [batch], for the keys of dropout.

        Returns:
            [batch, length, vocabulary].
        """
        return self.decode(tokens, self.encode(image), row if train else None)[0]

    def encode(self, image: Array) -> Array:
        """Encodes images [batch, height, width, 3] as grids [batch, positions, width]."""
        return self.encoder(image)

    def decode(self, tokens: Array, grid: Array, row: Array | None = None) -> tuple[Array, Array]:
        """Computes the logits of the word after each token, and the attention to the grid.

        Args:
            tokens: int [batch, length].
            grid: what `encode` returned.
            row: each example's index in the global batch [batch]; None: no dropout.

        Returns:
            Logits [batch, length, vocabulary], and the weights of the grid's positions for each
            token [batch, length, positions], which sum to 1; those of a Transformer are means over
            its layers and heads.
        """
        x, weight = self.decoder(self.drop(self.embed(tokens), row), grid, row)
        return self.embed.attend(x), weight


def begin(size: Size, params: Any, image: Array, beams: int, length: int) -> tuple[Step, Any]:
    """Encodes pictures for `beam_search`.

    There is no cache: for every word the whole caption so far is decoded again.

    Args:
        size, params: of the network.
        image: [batch, height, width, 3].
        beams: number of hypotheses of each example.
        length: number of tokens of a caption at most; with a Transformer at most `size.longest`.

    Returns:
        The step of the search, and its first state: the tokens of each beam, int32
        [batch, beams, length], zeros.
    """
    net = Captioner(size)
    encoded: Any = net.apply({"params": params}, image, method="encode")
    grid = jnp.repeat(encoded, beams, 0)

    def step(tokens: Array, history: Array, position: Array) -> Any:
        history = jax.lax.dynamic_update_slice_in_dim(history, tokens[:, :, None], position, 2)
        flat = history.reshape(-1, length)
        logits = net.apply({"params": params}, flat, grid, method="decode")[0]
        here = jax.lax.dynamic_index_in_dim(logits, position, 1, keepdims=False)
        return here.reshape(*tokens.shape, -1), history

    return step, jnp.zeros((len(image), beams, length), jnp.int32)
