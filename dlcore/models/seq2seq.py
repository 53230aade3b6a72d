"""An encoder-decoder Transformer (Vaswani et al. 2017) for translation.

Normalisation comes first in each branch, positions are rotary, and one embedding is shared.
"""

from __future__ import annotations

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jax.typing import DTypeLike
from jaxtyping import Bool, Float, Integer

from dlcore.kernels.activations import gelu
from dlcore.kernels.attention import attention, cached_attention, rotary
from dlcore.models import encoder
from dlcore.models.apply import infer
from dlcore.models.beam import Step
from dlcore.models.layers import Dropout, Norm
from dlcore.sharding import Tree

# Column-parallel in, row-parallel out (Shoeybi et al. 2019): each pair needs one sum over `tensor`.
TENSOR = (
    (r"(qkv|query|source_projection_\d+|up)/kernel", (None, "tensor")),
    (r"(out|cross_out|down)/kernel", ("tensor", None)),
    (r"embed/embedding", ("tensor", None)),
)

KeysValues = tuple[Array, Array]
Memory = tuple[KeysValues, ...]  # of the source for each layer, [batch, heads, source, d]
Cache = tuple[KeysValues, ...]  # of the target, [batch, beams, heads, capacity, d]


@dataclasses.dataclass(frozen=True)
class Size:
    """The shape of an encoder-decoder.

    Attributes:
        vocabulary: number of tokens, shared by source and target.
        encoder_layers, decoder_layers: numbers of blocks.
        heads: attention heads of a block.
        width: features of a token.
        dropout: rate of dropout after the embedding and in each block.
    """

    vocabulary: int
    encoder_layers: int
    decoder_layers: int
    heads: int
    width: int
    dropout: float = 0.0

    @property
    def encoder(self) -> encoder.Size:
        """The shape of the encoder."""
        return encoder.Size(self.encoder_layers, self.heads, self.width, dropout=self.dropout)


class Block(nn.Module):
    """Applies a decoder block without biases: self-attention, attention to the source and an MLP.

    Each part is a residual branch with normalisation first. Maps target tokens [batch, length,
    width], given the source's keys and values, to (the same shape, None); with a cache the second
    axis holds one token of each beam instead, and None is replaced by the updated cache.

    Attributes:
        size: of the encoder-decoder.
    """

    size: Size

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch length width"],
        memory: tuple[Float[Array, "batch heads source d"], Float[Array, "batch heads source d"]],
        past: Bool[Array, "batch length length"] | None,
        source: Bool[Array, "batch source"] | Bool[Array, "batch length source"],
        row: Integer[Array, " batch"] | None,
        cache: KeysValues | None,
        position: Integer[Array, ""],
    ) -> tuple[Float[Array, "batch length width"], KeysValues | None]:
        """Maps x [batch, length, width] to the same shape.

        Without a cache, x holds the tokens of a sequence. With a cache, the second axis of x and of
        the cache holds beams, and x is the one token at `position` of each beam.

        Args:
            x: tokens.
            memory: keys and values of the source, each [batch, heads, source, d].
            past: True where a token attends to another [batch, length, length]; None with a cache.
            source: True at the source tokens that are attended to [batch, source], or for each
                token [batch, length, source].
            row: each example's index in the global batch [batch]; None: no dropout.
            cache: keys and values of earlier tokens, each [batch, beams, heads, capacity, d]; None:
                none.
            position: index of the token, with a cache.

        Returns:
            The mapped tokens, and the cache with them; None without a cache.
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
            attended = attention(q, k, v, past).swapaxes(1, 2)
        else:
            q, k, v = (
                qkv[:, :, i, :, None].reshape(batch * length, s.heads, 1, -1) for i in range(3)
            )
            q, k = (rotary(t, position[None]) for t in (q, k))
            cached = [array.reshape(batch * length, *array.shape[2:]) for array in cache]
            put = jax.lax.dynamic_update_slice_in_dim
            cached = [put(c, x, position, 2) for c, x in zip(cached, (k, v), strict=True)]
            attended = cached_attention(q, cached[0], cached[1], position)
            cache = cached[0].reshape(cache[0].shape), cached[1].reshape(cache[1].shape)
        x = x + drop(
            dense(width, kernel_init=residual, name="out")(attended.reshape(flat.shape)).reshape(
                x.shape
            ),
            row,
        )
        q = dense(width, name="query")(Norm(name="norm_source")(x.reshape(flat.shape))).reshape(
            batch, length, s.heads, -1
        )
        attended = attention(q.swapaxes(1, 2), *memory, source).swapaxes(1, 2)
        x = x + drop(
            dense(width, kernel_init=residual, name="cross_out")(
                attended.reshape(flat.shape)
            ).reshape(x.shape),
            row,
        )
        hidden = gelu(dense(4 * width, name="up")(Norm(name="norm_mlp")(x.reshape(flat.shape))))
        hidden = dense(width, kernel_init=residual, name="down")(hidden)
        return x + drop(hidden.reshape(x.shape), row), cache


class Seq2Seq(nn.Module):
    """Predicts the next token of a translation (encoder-decoder Transformer).

    Maps source tokens [batch, source] and target tokens [batch, length], each with the number of
    its pair, to logits [batch, length, vocabulary] of the token after each target token; a search
    calls `read` and `write` instead. Source, target and output share one embedding (Press & Wolf
    2017). Several pairs of sentences may be packed into a row: tokens attend to tokens of the same
    pair only.

    Attributes:
        size: of the encoder-decoder.
    """

    size: Size

    def setup(self) -> None:
        """Creates the submodules."""
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
        source: Integer[Array, "batch source"],
        source_pair: Integer[Array, "batch source"],
        tokens: Integer[Array, "batch length"],
        pair: Integer[Array, "batch length"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "batch length vocabulary"]:
        """Computes logits [batch, length, vocabulary] of the token after each target token.

        Args:
            source: source tokens [batch, source], packed by `dlcore.data.sets.pair_rows.packed`.
            source_pair: number of the pair of each source token, [batch, source].
            tokens: target tokens [batch, length].
            pair: number of the pair of each target token, [batch, length].
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.
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
        self,
        source: Integer[Array, "batch source"],
        attention_mask: Bool[Array, "batch source"] | Bool[Array, "batch source source"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Memory:
        """Encodes the source and computes its keys and values for every decoder layer.

        Args:
            source: source tokens [batch, source].
            attention_mask: True at the tokens that are attended to [batch, source], or for each
                token the tokens that it attends to [batch, source, source].
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.

        Returns:
            For each decoder layer (keys, values), each [batch, heads, source, d].
        """
        s, (batch, length) = self.size, source.shape
        encoder_output = self.encoder(
            self.embed(source), attention_mask, train=train, row=row
        ).reshape(batch * length, s.width)
        both = [
            project(encoder_output).reshape(batch, length, 2, s.heads, -1)
            for project in self.source_projection
        ]
        return tuple((each[:, :, 0].swapaxes(1, 2), each[:, :, 1].swapaxes(1, 2)) for each in both)

    def write(
        self,
        tokens: Integer[Array, "batch beams"],
        memory: Memory,
        source: Bool[Array, "batch source"],
        cache: Cache,
        position: Integer[Array, ""],
    ) -> tuple[Float[Array, "batch beams vocabulary"], Cache]:
        """Decodes one token of every beam.

        Args:
            tokens: last token of each beam [batch, beams].
            memory: what `read` returned.
            source: False at padding of the source [batch, source].
            cache: keys and values of the earlier tokens, see `empty_cache`.
            position: number of earlier tokens, the same for all beams [].

        Returns:
            Logits of the next token [batch, beams, vocabulary], and the cache with these tokens.
        """
        return self._decode(tokens, memory, None, source, None, cache, position)

    def _decode(
        self,
        tokens: Array,
        memory: Memory,
        past: Array | None,
        source: Array,
        row: Array | None,
        cache: Cache | None,
        position: Array,
    ) -> tuple[Array, Cache]:
        x, after = self.drop(self.embed(tokens), row), list[KeysValues]()
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
            if kept is not None:
                after.append(kept)
        logits = self.embed.attend(self.norm(x.reshape(-1, x.shape[-1])))
        return logits.reshape(*tokens.shape, -1), tuple(after)


def empty_cache(size: Size, batch: int, beams: int, length: int, dtype: DTypeLike) -> Cache:
    """Returns zeros for the (keys, values) of `length` target tokens of every beam, for each layer.

    Each array is [batch, beams, heads, length, d], of the given dtype.
    """
    zeros = jnp.zeros((batch, beams, size.heads, length, size.width // size.heads), dtype)
    return ((zeros, zeros),) * size.decoder_layers


def begin(
    size: Size,
    params: Tree,
    source: Integer[Array, "batch source"],
    source_mask: Bool[Array, "batch source"],
    beams: int,
    length: int,
) -> tuple[Step[Cache], Cache]:
    """Encodes sources for `beam_search`.

    Args:
        size: of the network.
        params: its parameters.
        source: source tokens [batch, source].
        source_mask: False at padding [batch, source].
        beams: number of hypotheses of each example.
        length: number of tokens of a translation at most.

    Returns:
        The step and the first state that `beam.beam_search` takes.
    """
    net = Seq2Seq(size)
    memory = infer(net, params, source, source_mask, method="read")

    def step(tokens: Array, cache: Cache, position: Array) -> tuple[Array, Cache]:
        return infer(net, params, tokens, memory, source_mask, cache, position, method="write")

    return step, empty_cache(size, len(source), beams, length, jax.tree.leaves(params)[0].dtype)
