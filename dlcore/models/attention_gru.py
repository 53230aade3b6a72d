"""A recurrent encoder-decoder with attention (Bahdanau et al. 2015; Luong et al. 2015)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from dlcore.kernels.attention import attention
from dlcore.kernels.recurrent import gru
from dlcore.models.beam import Step
from dlcore.models.layers import Dropout


@dataclasses.dataclass(frozen=True)
class Size:
    """The shape of an encoder-decoder of GRUs."""

    vocabulary: int
    encoder_layers: int
    width: int
    dropout: float = 0.0


SHUT = -1e4  # a gate that sigmoid turns into 0


class GRU(nn.Module):
    """A gated recurrent unit (`kernels.recurrent.gru`) that knows nothing of the past where `fresh`
    says that a sentence begins.

    Both its gates are shut there: the state is tanh of the input's share, and neither value nor
    gradient passes.
    """

    width: int
    reverse: bool = False

    @nn.compact
    def __call__(self, x: Array, fresh: Array, state: Array) -> Array:
        """x [batch, length, n], fresh bool [batch, length], state before [batch, width] -> states
        [batch, length, width].
        """
        batch, length, n = x.shape
        kernel = self.param(
            "kernel", nn.initializers.orthogonal(), (self.width, 3 * self.width), jnp.float32
        )
        bias = self.param("bias", nn.initializers.zeros, (self.width,), jnp.float32)
        gates = nn.Dense(3 * self.width, name="gates")(x.swapaxes(0, 1).reshape(-1, n)).reshape(
            length, batch, -1
        )
        shut = fresh.T[:, :, None] & (jnp.arange(3 * self.width) < 2 * self.width)[None, None]
        return gru(jnp.where(shut, SHUT, gates), kernel, bias, state, reverse=self.reverse)[
            0
        ].swapaxes(0, 1)


class AttentionGRU(nn.Module):
    """Logits of a translation's next piece. Source, target and output share one embedding (Press &
    Wolf 2017).

    The first layer of the decoder reads the target so far and the mean of the encoded source; its
    state query_state for a place in the source (Luong et al. 2015, eq. 8, general); the second
    layer reads that state and what it was told.
    """

    size: Size

    def setup(self) -> None:
        s = self.size
        dense = functools.partial(nn.Dense, use_bias=False)
        self.embed = nn.Embed(
            s.vocabulary, s.width, embedding_init=nn.initializers.normal(s.width**-0.5)
        )
        self.onward = [GRU(s.width) for _ in range(s.encoder_layers)]
        self.back = [GRU(s.width, reverse=True) for _ in range(s.encoder_layers)]
        self.first, self.second = GRU(s.width), GRU(s.width)
        self.query, self.join = dense(2 * s.width), dense(s.width)
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
        fresh, zeros = (
            _begins(pair),
            jnp.zeros((len(tokens), self.size.width), self.embed.embedding.dtype),
        )
        encoder_output = self.read(source, source_pair, row)
        seen = pair[:, :, None] == source_pair[:, None]
        return self._decode(
            tokens, encoder_output, seen, lambda layer, x: layer(x, fresh, zeros), row
        )

    def read(self, source: Array, pair: Array, row: Array | None = None) -> Array:
        """Encoded source [batch, source, 2 width]; every layer reads each sentence from both
        sides.
        """
        x = self.drop(self.embed(source), row)
        zeros, starts, ends = (
            jnp.zeros((len(source), self.size.width), x.dtype),
            _begins(pair),
            _begins(pair[:, ::-1])[:, ::-1],
        )
        for onward, back in zip(self.onward, self.back, strict=True):
            x = self.drop(
                jnp.concatenate([onward(x, starts, zeros), back(x, ends, zeros)], -1), row
            )
        return x

    def write(
        self,
        tokens: Array,
        encoder_output: Array,
        seen: Array,
        state: tuple[Array, ...],
        position: Array,
    ) -> tuple[Array, tuple[Array, ...]]:
        """Logits [batch, beams, vocabulary] after tokens [batch, beams], and the states [batch,
        beams, width] after them.
        """
        after: list[Array] = []

        def recur(layer: GRU, x: Array) -> Array:
            before = state[len(after)].reshape(-1, self.size.width)
            now = layer(
                x.reshape(len(before), 1, -1),
                jnp.broadcast_to(position == 0, (len(before), 1)),
                before,
            )
            after.append(now.reshape(*tokens.shape, -1))
            return after[-1]

        return self._decode(tokens, encoder_output, seen[:, None], recur, None), tuple(after)

    def _decode(
        self,
        tokens: Array,
        encoder_output: Array,
        seen: Array,
        recur: Callable[[GRU, Array], Array],
        row: Any,
    ) -> Array:
        weight = seen / jnp.maximum(seen.sum(-1, keepdims=True), 1)
        mean = jnp.broadcast_to(
            weight.astype(encoder_output.dtype) @ encoder_output,
            (*tokens.shape, encoder_output.shape[-1]),
        )
        query_state = recur(
            self.first, jnp.concatenate([self.drop(self.embed(tokens), row), mean], -1)
        )
        context = attention(
            self.query(query_state)[:, None],
            encoder_output[:, None],
            encoder_output[:, None],
            jnp.broadcast_to(seen, (*tokens.shape, seen.shape[-1])),
        )[:, 0]
        output_state = recur(
            self.second, self.drop(jnp.concatenate([query_state, context], -1), row)
        )
        out = self.drop(jnp.tanh(self.join(jnp.concatenate([output_state, context], -1))), row)
        return self.embed.attend(out.reshape(-1, out.shape[-1])).reshape(*tokens.shape, -1)


def _begins(pair: Array) -> Array:
    """Where another pair begins than the place before belongs to: bool like pair [batch,
    length].
    """
    return jnp.concatenate([jnp.ones_like(pair[:, :1], bool), pair[:, 1:] != pair[:, :-1]], 1)


def begin(
    size: Size, params: Any, source: Array, source_mask: Array, beams: int, length: int
) -> tuple[Step, Any]:
    """What `beam_search` needs to translate source [batch, source]: the step and its first state.
    `length` is not needed.

    source_mask bool [batch, source] is False at padding.
    """
    net = AttentionGRU(size)
    encoder_output = net.apply({"params": params}, source, source_mask, method="read")

    def step(tokens: Array, state: Any, position: Array) -> Any:
        return net.apply(
            {"params": params}, tokens, encoder_output, source_mask, state, position, method="write"
        )

    return (
        step,
        (jnp.zeros((len(source), beams, size.width), jax.tree.leaves(params)[0].dtype),) * 2,
    )
