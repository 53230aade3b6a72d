"""An encoder-decoder Transformer (Vaswani et al. 2017) with normalisation first, rotary positions
and one tied embedding.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.kernels.activations import gelu
from dlcore.kernels.attention import attention, cached_attention, rotary
from dlcore.models import encoder
from dlcore.models.beam import Step
from dlcore.models.layers import Dropout, Norm

# Column-parallel in, row-parallel out (Shoeybi et al. 2019): each pair needs one sum over `tensor`.
TENSOR = (
    (r"(qkv|query|told_\d+|up)/kernel", (None, "tensor")),
    (r"(out|cross_out|down)/kernel", ("tensor", None)),
    (r"embed/embedding", ("tensor", None)),
)

# keys and values of the source for each layer, [batch, heads, source, d]
Memory = tuple[tuple[Array, Array], ...]


@dataclasses.dataclass(frozen=True)
class Size:
    """The shape of an encoder-decoder."""

    vocabulary: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    width: int
    dropout: float = 0.0

    @property
    def encoder(self) -> encoder.Size:
        """The shape of its encoder."""
        return encoder.Size(self.encoder_layers, self.heads, self.width, dropout=self.dropout)


class Block(nn.Module):
    """x + attention to the past, + attention to the source, + mlp; normalisation before each; no
    biases.
    """

    size: Size

    @nn.compact
    def __call__(
        self,
        x: Array,
        memory: tuple[Array, Array],
        past: Array | None,
        source: Array,
        row: Array | None,
        cache: Any,
        position: Array,
    ) -> tuple[Array, Any]:
        """x [batch, length, width] -> like x, and the cache with these tokens in it (None if None).

        `source` bool [batch, source] or [batch, length, source], and without a cache `past` bool
        [batch, length, length]: what is seen. With a cache ([batch, length, heads, room, d] twice)
        each of `length` is a beam of its own, whose one token stands at `position`.
        """
        s, (batch, length, width) = self.size, x.shape
        dense = functools.partial(
            nn.Dense, use_bias=False, kernel_init=nn.initializers.normal(0.02)
        )
        residual = nn.initializers.normal(0.02 / (3 * s.decoder_layers) ** 0.5)
        drop = Dropout(s.dropout, name="drop")
        flat = x.reshape(batch * length, width)
        qkv = dense(3 * width, name="qkv")(Norm(name="norm_past")(flat)).reshape(
            batch, length, 3, s.heads, -1
        )
        if cache is None:
            q, k, v = (qkv[:, :, i].swapaxes(1, 2) for i in range(3))
            q, k = (rotary(t, np.arange(length)) for t in (q, k))
            seen = attention(q, k, v, past).swapaxes(1, 2)
        else:
            q, k, v = (
                qkv[:, :, i, :, None].reshape(batch * length, s.heads, 1, -1) for i in range(3)
            )
            q, k = (rotary(t, position[None]) for t in (q, k))
            held = [whole.reshape(batch * length, *whole.shape[2:]) for whole in cache]
            put = jax.lax.dynamic_update_slice_in_dim
            held = [put(h, new, position, 2) for h, new in zip(held, (k, v), strict=True)]
            seen = cached_attention(q, held[0], held[1], position)
            cache = tuple(h.reshape(whole.shape) for h, whole in zip(held, cache, strict=True))
        x = x + drop(
            dense(width, kernel_init=residual, name="out")(seen.reshape(flat.shape)).reshape(
                x.shape
            ),
            row,
        )
        q = dense(width, name="query")(Norm(name="norm_source")(x.reshape(flat.shape))).reshape(
            batch, length, s.heads, -1
        )
        seen = attention(q.swapaxes(1, 2), *memory, source).swapaxes(1, 2)
        x = x + drop(
            dense(width, kernel_init=residual, name="cross_out")(seen.reshape(flat.shape)).reshape(
                x.shape
            ),
            row,
        )
        hidden = gelu(dense(4 * width, name="up")(Norm(name="norm_mlp")(x.reshape(flat.shape))))
        hidden = dense(width, kernel_init=residual, name="down")(hidden)
        return x + drop(hidden.reshape(x.shape), row), cache


class Seq2Seq(nn.Module):
    """Logits of a translation's next piece. Source, target and output share one embedding (Press &
    Wolf 2017).
    """

    size: Size

    def setup(self) -> None:
        s = self.size
        dense = functools.partial(
            nn.Dense, 2 * s.width, use_bias=False, kernel_init=nn.initializers.normal(0.02)
        )
        self.embed = nn.Embed(s.vocabulary, s.width, embedding_init=nn.initializers.normal(0.02))
        self.encoder = encoder.Encoder(s.encoder)
        self.source_projection = [dense() for _ in range(s.decoder_layers)]
        self.block = [Block(s) for _ in range(s.decoder_layers)]
        self.norm = Norm()
        self.drop = Dropout(s.dropout)

    def __call__(
        self,
        source: Array,
        source_pair: Array,
        tokens: Array,
        pair: Array,
        *,
        train: bool = False,
        row: Array | None = None,
    ) -> Array:
        """Logits [batch, length, vocabulary] after each of tokens [batch, length]; pairs are told
        apart by their numbers.

        source and source_pair [batch, source], tokens and pair [batch, length], as
        `dlcore.data.sets.pairs.packed` lays them.
        """
        row = row if train else None
        past = (pair[:, :, None] == pair[:, None]) & jnp.tril(jnp.ones((pair.shape[1],) * 2, bool))[
            None
        ]
        memory = self.read(
            source, source_pair[:, :, None] == source_pair[:, None], train=train, row=row
        )
        return self._decode(
            tokens,
            memory,
            past,
            pair[:, :, None] == source_pair[:, None],
            row,
            None,
            jnp.zeros((), jnp.int32),
        )[0]

    def read(
        self, source: Array, seen: Array, *, train: bool = False, row: Array | None = None
    ) -> Memory:
        """Keys and values of source [batch, source] for each layer; `seen` bool [batch, source (,
        source)].
        """
        s, (batch, length) = self.size, source.shape
        encoder_output = self.encoder(self.embed(source), seen, train=train, row=row).reshape(
            batch * length, s.width
        )
        both = [
            project(encoder_output).reshape(batch, length, 2, s.heads, -1)
            for project in self.source_projection
        ]
        return tuple((each[:, :, 0].swapaxes(1, 2), each[:, :, 1].swapaxes(1, 2)) for each in both)

    def write(
        self, tokens: Array, memory: Memory, source: Array, cache: Any, position: Array
    ) -> tuple[Array, Any]:
        """Logits [batch, beams, vocabulary] after tokens [batch, beams] at `position` of each beam,
        and the cache after them.
        """
        return self._decode(tokens, memory, None, source, None, cache, position)

    def _decode(
        self,
        tokens: Array,
        memory: Memory,
        past: Any,
        source: Array,
        row: Any,
        cache: Any,
        position: Array,
    ) -> tuple[Array, Any]:
        x, after = self.drop(self.embed(tokens), row), []
        for layer, block in enumerate(self.block):
            x, kept = block(
                x,
                memory[layer],
                past,
                source,
                row,
                None if cache is None else cache[layer],
                position,
            )
            after.append(kept)
        logits = self.embed.attend(self.norm(x.reshape(-1, x.shape[-1])))
        return logits.reshape(*tokens.shape, -1), tuple(after)


def empty_cache(size: Size, batch: int, beams: int, room: int, dtype: Any) -> Any:
    """A cache with room for `room` tokens of every beam."""
    zeros = jnp.zeros((batch, beams, size.heads, room, size.width // size.heads), dtype)
    return ((zeros, zeros),) * size.decoder_layers


def begin(
    size: Size, params: Any, source: Array, source_mask: Array, beams: int, length: int
) -> tuple[Step, Any]:
    """What `beam_search` needs to translate source [batch, source] into up to `length` tokens: the
    step and its first state.

    source_mask bool [batch, source] is False at padding.
    """
    net = Seq2Seq(size)
    memory = net.apply({"params": params}, source, source_mask, method="read")

    def step(tokens: Array, cache: Any, position: Array) -> Any:
        return net.apply(
            {"params": params}, tokens, memory, source_mask, cache, position, method="write"
        )

    return step, empty_cache(size, len(source), beams, length, jax.tree.leaves(params)[0].dtype)
