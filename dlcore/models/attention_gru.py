"""A recurrent encoder-decoder with attention (Bahdanau et al. 2015; Luong et al. 2015)."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Integer, Shaped

from dlcore.kernels.attention import attention
from dlcore.kernels.recurrent import gru
from dlcore.models.apply import infer
from dlcore.models.beam import Step
from dlcore.models.layers import Dropout
from dlcore.sharding import Tree


@dataclasses.dataclass(frozen=True)
class Size:
    """The shape of an encoder-decoder of GRUs.

    Attributes:
        vocabulary: number of tokens, shared by source and target.
        encoder_layers: number of bidirectional layers.
        width: size of an embedding and of a state.
        dropout: rate of dropout between layers.
    """

    vocabulary: int
    encoder_layers: int
    width: int
    dropout: float = 0.0


States = tuple[Array, ...]  # of the two layers of the decoder, [batch, beams, width]
SHUT = -1e4  # the sigmoid of this is 0: a closed gate


class GRU(nn.Module):
    """Runs a GRU (`kernels.recurrent.gru`) whose state is reset where a sentence begins.

    Called with inputs [batch, length, n], a mask bool [batch, length], and the state before the
    first step [batch, width], it returns the states [batch, length, width] in the order of the
    inputs. The mask is True at the token of each sentence that the unit reads first. There both
    gates are closed: the new state is tanh of the input's contribution, and neither value nor
    gradient of the old state passes.

    Attributes:
        width: size of the state.
        reverse: run from the last step to the first; the mask must then be True at the last token
            of each sentence, not at its first.
    """

    width: int
    reverse: bool = False

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch length n"],
        sentence_start: Bool[Array, "batch length"],
        state: Float[Array, "batch width"],
    ) -> Float[Array, "batch length width"]:
        """Runs the unit over time.

        Args:
            x: inputs [batch, length, n].
            sentence_start: True where a sentence begins in the order of the run [batch, length]: at
                its first token, with `reverse` at its last one.
            state: state before the first step of the run [batch, width].

        Returns:
            State after each step [batch, length, width], in the order of `x` also with `reverse`.
        """
        batch, length, n = x.shape
        kernel = self.param(
            "kernel", nn.initializers.orthogonal(), (self.width, 3 * self.width), jnp.float32
        )
        bias = self.param("bias", nn.initializers.zeros, (self.width,), jnp.float32)
        gates = nn.Dense(3 * self.width, name="gates")(x.swapaxes(0, 1).reshape(-1, n)).reshape(
            length, batch, -1
        )
        shut = (
            sentence_start.T[:, :, None] & (jnp.arange(3 * self.width) < 2 * self.width)[None, None]
        )
        return gru(jnp.where(shut, SHUT, gates), kernel, bias, state, reverse=self.reverse)[
            0
        ].swapaxes(0, 1)


class AttentionGRU(nn.Module):
    """Predicts the next token of a translation (recurrent encoder-decoder with attention).

    Called with packed source tokens, the number of the sentence pair of each, target tokens, and
    the number of the pair of each, it returns the logits of the token after each target token
    [batch, length, vocabulary]. For `beam_search`, `read` encodes sources and `write` decodes one
    token of every hypothesis.

    Source, target and output share one embedding (Press & Wolf 2017). The first layer of the
    decoder reads the target so far and the mean of the encoded source; its state is the query of
    the attention over the source; the second layer reads that state and the attended source.

    Attributes:
        size: of the network.

    Source: Luong et al. 2015, eq. 8 (general).
    """

    size: Size

    def setup(self) -> None:
        """Creates the submodules."""
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
        sentence_start, zeros = (
            _begins(pair),
            jnp.zeros((len(tokens), self.size.width), self.embed.embedding.dtype),
        )
        encoder_output = self.read(source, source_pair, row)
        attention_mask = pair[:, :, None] == source_pair[:, None]
        return self._decode(
            tokens,
            encoder_output,
            attention_mask,
            lambda layer, x: layer(x, sentence_start, zeros),
            row,
        )

    def read(
        self,
        source: Integer[Array, "batch source"],
        pair: Shaped[Array, "batch source"],
        row: Integer[Array, " batch"] | None = None,
    ) -> Float[Array, "batch source n"]:
        """Encodes the source in both directions, to [batch, source, 2 width].

        Args:
            source: source tokens [batch, source].
            pair: number of the pair of each token [batch, source], or a mask of one sentence, False
                at padding. States are reset wherever it changes.
            row: each example's index in the global batch [batch]; None: no dropout.
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
        tokens: Integer[Array, "batch beams"],
        encoder_output: Float[Array, "batch source n"],
        attention_mask: Bool[Array, "batch source"],
        state: States,
        position: Integer[Array, ""],
    ) -> tuple[Float[Array, "batch beams vocabulary"], States]:
        """Decodes one token of every beam.

        Args:
            tokens: last token of each beam [batch, beams].
            encoder_output: what `read` returned.
            attention_mask: False at padding of the source [batch, source].
            state: states of the two layers, each [batch, beams, width].
            position: number of earlier tokens of each beam, a scalar; at 0 `state` is ignored.

        Returns:
            Logits of the token after these [batch, beams, vocabulary], and the states after them.
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

        logits = self._decode(tokens, encoder_output, attention_mask[:, None], recur, None)
        return logits, tuple(after)

    def _decode(
        self,
        tokens: Array,
        encoder_output: Array,
        attention_mask: Array,
        recur: Callable[[GRU, Array], Array],
        row: Array | None,
    ) -> Array:
        weight = attention_mask / jnp.maximum(attention_mask.sum(-1, keepdims=True), 1)
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
            jnp.broadcast_to(attention_mask, (*tokens.shape, attention_mask.shape[-1])),
        )[:, 0]
        output_state = recur(
            self.second, self.drop(jnp.concatenate([query_state, context], -1), row)
        )
        out = self.drop(jnp.tanh(self.join(jnp.concatenate([output_state, context], -1))), row)
        return self.embed.attend(out.reshape(-1, out.shape[-1])).reshape(*tokens.shape, -1)


def _begins(pair: Array) -> Array:
    """True at the first token of each pair, of the shape of pair [batch, length]."""
    return jnp.concatenate([jnp.ones_like(pair[:, :1], bool), pair[:, 1:] != pair[:, :-1]], 1)


def begin(
    size: Size,
    params: Tree,
    source: Integer[Array, "batch source"],
    source_mask: Bool[Array, "batch source"],
    beams: int,
    length: int,
) -> tuple[Step[States], States]:
    """Encodes sources for `beam_search`.

    Args:
        size: of the network.
        params: its parameters.
        source: source tokens [batch, source].
        source_mask: False at padding [batch, source].
        beams: number of hypotheses of each example.
        length: not used; `seq2seq.begin` has the same arguments.

    Returns:
        The step of the search and its first state.
    """
    net = AttentionGRU(size)
    encoder_output = infer(net, params, source, source_mask, method="read")

    def step(tokens: Array, state: States, position: Array) -> tuple[Array, States]:
        return infer(
            net, params, tokens, encoder_output, source_mask, state, position, method="write"
        )

    return (
        step,
        (jnp.zeros((len(source), beams, size.width), jax.tree.leaves(params)[0].dtype),) * 2,
    )
