"""Taggers: words and characters, a recurrent network or a Transformer, and a linear-chain CRF."""

from __future__ import annotations

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Integer

from dlcore.models import bert
from dlcore.models.encoder import Size as EncoderSize
from dlcore.models.layers import Dropout
from dlcore.models.rnn import RNN, Cell

UNKNOWN = 1  # the index that stands for all words that are not in the vocabulary
# Added to impossible transitions: a path with one has at most e^-30 of the probability of one
# without, and the kernel can still use products of matrices (`kernels.crf.RANGE`).
IMPOSSIBLE = -30.0


class Chain(NamedTuple):
    """Scores of a linear-chain CRF, the arguments of `kernels.crf`, and logits of intents.

    Attributes:
        emissions: [batch, length, tags].
        transitions: from each tag (row) to the next one (column) [tags, tags].
        start, end: of the first and of the last tag [tags].
        length: number of words of each sentence, int [batch].
        intents: logits [batch, intents]; [batch, 0] where there are none.
    """

    emissions: Float[Array, "batch length tags"]
    transitions: Float[Array, "tags tags"]
    start: Float[Array, " tags"]
    end: Float[Array, " tags"]
    length: Integer[Array, " batch"]
    intents: Float[Array, "batch intents"]


class Size(NamedTuple):
    """Sizes of a tagger.

    Attributes:
        words, characters: numbers of words and of characters, padding (0) and `UNKNOWN` included.
        tags, intents: numbers of tags and of intents (0: none).
        word_width, character_width: of the embeddings.
        character_features: of the convolution over a word's characters.
        width: of the recurrent network in each direction.
        layers: of the recurrent network; 0: none.
        cell: of the recurrent network.
        dropout: rate before, between and after the layers of the recurrent network.
        word_dropout: rate at which words are replaced by `UNKNOWN` in training.
        crf: whether scores of transitions, first and last tags are trained; otherwise they are 0,
            so that words are tagged independently, `Tagger.impossible` aside.
        vocabulary: number of subwords of a Transformer encoder, whose outputs are further features
            of the words; 0: there is none.
        encoder: of that Transformer; needed with a `vocabulary`.
    """

    words: int
    characters: int
    tags: int
    intents: int = 0
    word_width: int = 100
    character_width: int = 25
    character_features: int = 50
    width: int = 128
    layers: int = 1
    cell: Cell = "lstm"
    dropout: float = 0.5
    word_dropout: float = 0.1
    crf: bool = True
    vocabulary: int = 0
    encoder: EncoderSize | None = None


class Characters(nn.Module):
    """Computes features of each word from its characters: embeddings, convolution, maximum.

    Maps characters [batch, words, characters], 0 at padding, to [batch, words, features].

    Attributes:
        characters: number of characters.
        width: of their embeddings.
        features: of the convolution, over three characters.

    Source: Ma & Hovy 2016, sec. 2.1.
    """

    characters: int
    width: int
    features: int

    @nn.compact
    def __call__(
        self, characters: Integer[Array, "batch length characters"]
    ) -> Float[Array, "batch length features"]:
        """Computes features [batch, length, features] of characters, 0 at padding."""
        table = self.param(
            "embedding", nn.initializers.normal(0.3), (self.characters, self.width), jnp.float32
        )
        # A product with one-hot rows: on CPU the gradient of a gather is a slow scatter.
        x = jax.nn.one_hot(characters, self.characters, dtype=table.dtype) @ table
        known = (characters != 0)[..., None]
        x = jnp.where(known, x, 0)
        padded = jnp.pad(x, ((0, 0), (0, 0), (1, 1), (0, 0)))
        around = jnp.concatenate([padded[..., :-2, :], x, padded[..., 2:, :]], -1)
        y = nn.tanh(nn.Dense(self.features, name="conv")(around))
        return jnp.where(known, y, -1).max(2)


class Tagger(nn.Module):
    """Scores the tags of words, and if there are intents, those of whole sentences.

    Maps words [batch, length], their characters [batch, length, characters] and the numbers of
    valid words [batch] to a `Chain`; with `size.vocabulary` it is called with subwords and the
    position of each word's first subword, too.

    Attributes:
        size: of the network.
        impossible: whether a tag (column) cannot follow another one (row), one tuple per tag; ():
            every tag can.

    Source: Lample et al. 2016; Ma & Hovy 2016; intents: Liu & Lane 2016.
    """

    size: Size
    impossible: tuple[tuple[bool, ...], ...] = ()

    @nn.compact
    def __call__(
        self,
        words: Integer[Array, "batch length"],
        characters: Integer[Array, "batch length characters"],
        length: Integer[Array, " batch"],
        tokens: Integer[Array, "batch count"] | None = None,
        first: Integer[Array, "batch length"] | None = None,
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Chain:
        """Scores sentences.

        Args:
            words: [batch, length]; 0 at padding.
            characters: [batch, length, characters]; 0 at padding.
            length: valid words [batch].
            tokens: subwords [batch, count]; needed where `size.vocabulary` is above 0.
            first: position of each word's first subword [batch, length]; needed with `tokens`.
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.

        Returns:
            The scores of tags and intents.
        """
        size, drawn = self.size, row if train else None
        mask = jnp.arange(words.shape[1])[None] < length[:, None]
        x = self._embedded(words, characters, tokens, first, train, row)
        x = jnp.where(mask[..., None], Dropout(size.dropout, name="drop_in")(x, drawn), 0)
        if size.layers:
            rnn = RNN(size.cell, size.width, size.layers, bidirectional=True, dropout=size.dropout)
            x, _ = rnn(x, mask=mask, train=train, row=row)
            x = Dropout(size.dropout, name="drop_out")(x, drawn)
        emissions = nn.Dense(size.tags, name="head")(x)
        pooled = jnp.where(mask[..., None], x, -jnp.inf).max(1)
        pooled = jnp.where(length[:, None] > 0, pooled, 0)
        intents = (
            nn.Dense(size.intents, name="intents")(pooled)
            if size.intents
            else jnp.zeros((len(words), 0), emissions.dtype)
        )
        return Chain(emissions, *self._transitions(emissions.dtype), length, intents)

    def _embedded(
        self,
        words: Array,
        characters: Array,
        tokens: Array | None,
        first: Array | None,
        train: bool,
        row: Array | None,
    ) -> Array:
        size = self.size
        if train and size.word_dropout and row is not None:
            ones = jnp.ones(words.shape, jnp.float32)
            kept = Dropout(size.word_dropout, name="drop_words")(ones, row)
            words = jnp.where((kept > 0) | (words == 0), words, UNKNOWN)
        embed = nn.Embed(
            size.words, size.word_width, embedding_init=nn.initializers.normal(0.1), name="words"
        )
        spelling = Characters(
            size.characters, size.character_width, size.character_features, name="characters"
        )
        parts = [embed(words), spelling(characters)]
        if size.vocabulary:
            assert size.encoder is not None
            assert tokens is not None
            assert first is not None
            text = bert.Text(size.vocabulary, size.encoder, name="text")
            encoded = text(tokens, train=train, row=row)
            parts.append(jnp.take_along_axis(encoded, first[..., None], 1))
        return jnp.concatenate(parts, -1)

    def _transitions(self, dtype: jnp.dtype) -> tuple[Array, Array, Array]:
        tags = self.size.tags
        if self.size.crf:
            zeros, shapes = nn.initializers.zeros, ((tags, tags), (tags,), (tags,))
            scores = [
                self.param(name, zeros, shape, jnp.float32)
                for name, shape in zip(("transitions", "start", "end"), shapes, strict=True)
            ]
        else:
            scores = [jnp.zeros((tags, tags)), jnp.zeros(tags), jnp.zeros(tags)]
        if self.impossible:
            scores[0] = scores[0] + jnp.where(jnp.array(self.impossible), IMPOSSIBLE, 0.0)
        transitions, start, end = (score.astype(dtype) for score in scores)
        return transitions, start, end
