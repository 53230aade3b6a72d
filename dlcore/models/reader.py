"""Readers of questions and texts that mark where an answer begins and where it ends."""

from __future__ import annotations

import dataclasses
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Bool, Float, Integer, Shaped

from dlcore.models import encoder
from dlcore.models.encoder import Encoder
from dlcore.models.encoder_reader import EncoderReader
from dlcore.models.layers import Dropout, LayerNorm
from dlcore.models.rnn import RNN
from dlcore.models.span_head import HIDDEN, Logits, SpanHead

ContextEncoder = Literal["gru", "lstm", "attention"]


@dataclasses.dataclass(frozen=True)
class Size:
    """The shape of a reader of words.

    Attributes:
        vocabulary: number of words; 0 is padding.
        width: features of a token, even.
        words: features of a word's vector.
        characters: features of a word from its bytes; 0: none.
        encoder: layers of `Sequence`: "gru" or "lstm", recurrent in both directions (Seo et al.
            2017), or "attention".
        dropout: rate of dropout before each layer.
    """

    vocabulary: int
    width: int = 96
    words: int = 64
    characters: int = 32
    encoder: ContextEncoder = "gru"
    dropout: float = 0.2


class Words(nn.Module):
    """Computes features of words from learned vectors, a convolution over bytes, and flags.

    Maps words [batch, length], their bytes plus 1 [batch, length, bytes] or None, and flags [batch,
    length, flags] to [batch, length, width]. The convolution reads the bytes of each word, and its
    maximum over them is taken. The parts are concatenated and mapped to `size.width` features,
    which are normalised. Flags are binary features that the caller computes.

    Attributes:
        size: of the reader.
        kernel: bytes in the convolution's window, odd.

    Source: Kim 2014, sec. 2, for the convolution.
    """

    size: Size
    kernel: int = 5

    @nn.compact
    def __call__(
        self,
        tokens: Integer[Array, "batch length"],
        characters: Integer[Array, "batch length bytes"] | None,
        flags: Shaped[Array, "batch length flags"],
        row: Integer[Array, " batch"] | None,
    ) -> Float[Array, "batch length width"]:
        """Computes features [batch, length, width].

        Args:
            tokens: words [batch, length], 0 at padding.
            characters: bytes of each word plus 1 [batch, length, bytes], 0 at padding; None: none.
            flags: further features of each word [batch, length, flags], 0 or 1.
            row: each example's index in the global batch [batch]; None: no dropout.
        """
        s, init = self.size, nn.initializers.normal(0.1)
        parts = [nn.Embed(s.vocabulary, s.words, embedding_init=init, name="words")(tokens)]
        if s.characters and characters is not None:
            parts.append(self._of_characters(characters))
        parts.append(flags.astype(parts[0].dtype))
        x = Dropout(s.dropout)(jnp.concatenate(parts, -1), row)
        return LayerNorm(name="norm")(nn.Dense(s.width, name="project")(x))

    def _of_characters(self, characters: Array) -> Array:
        init = nn.initializers.normal(0.3)
        x = nn.Embed(257, 8, embedding_init=init, name="characters")(characters.astype(jnp.int32))
        mask = (characters > 0)[..., None]
        x = jnp.where(mask, x, 0)
        half, count = self.kernel // 2, x.shape[2]
        around = jnp.pad(x, ((0, 0), (0, 0), (half, half), (0, 0)))
        windows = [around[:, :, i : i + count] for i in range(self.kernel)]
        found = nn.Dense(self.size.characters, name="convolve")(jnp.concatenate(windows, -1))
        return jnp.where(mask, nn.relu(found), 0).max(2)


class Sequence(nn.Module):
    """Encodes a sequence of features in both directions; padding has no effect on the rest.

    Maps features [batch, length, n] and a mask [batch, length] to [batch, length, width].

    Attributes:
        size: of the reader; `encoder` chooses a recurrent layer or two blocks of self-attention.
    """

    size: Size

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch length n"],
        mask: Bool[Array, "batch length"],
        train: bool,
        row: Integer[Array, " batch"] | None,
    ) -> Float[Array, "batch length width"]:
        """Computes encoded features [batch, length, width], 0 at padding.

        Args:
            x: features [batch, length, n].
            mask: False at padding [batch, length], which must come last.
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.
        """
        s = self.size
        x = Dropout(s.dropout)(x, row if train else None)
        if s.encoder == "attention":
            size = encoder.Size(2, max(1, s.width // 32), s.width, dropout=s.dropout)
            if x.shape[-1] != s.width:
                x = nn.Dense(s.width, name="project")(x)
            y = Encoder(size, name="encoder")(x, mask, train=train, row=row)
        else:
            rnn = RNN(s.encoder, s.width // 2, bidirectional=True, name="encoder")
            y, _ = rnn(x, mask=mask.astype(x.dtype))
        return jnp.where(mask[..., None], y, 0)


class SpanReader(nn.Module):
    """Finds answers by attention between question and text in both directions (BiDAF).

    Maps words of questions [batch, question_length] and texts [batch, length], 0 at padding, with
    binary features of each word ("flags", such as whether the other text has it; see
    `word_spans.flags`) and optionally its bytes, to the logits of start and end,
    [batch, length + 1] each, see `SpanHead`.

    Attributes:
        size: of the reader.

    Source: Seo et al. 2017, from random word vectors and without highway layers; one recurrent
    layer encodes, one computes the features of the answer's start, and one after it those of the
    end. With `size.encoder` "attention" blocks of self-attention take the place of the recurrent
    layers, as in Yu et al. 2018.
    """

    size: Size

    @nn.compact
    def __call__(
        self,
        question: Integer[Array, "batch question_length"],
        context: Integer[Array, "batch length"],
        question_flags: Shaped[Array, "batch question_length flags"],
        context_flags: Shaped[Array, "batch length flags"],
        question_characters: Integer[Array, "batch question_length bytes"] | None = None,
        context_characters: Integer[Array, "batch length bytes"] | None = None,
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Logits:
        """Computes logits of start and end, [batch, length + 1] each; 0 is "no answer".

        Args:
            question, context: words, 0 at padding.
            question_flags, context_flags: features of the words, 0 or 1.
            question_characters, context_characters: bytes of each word plus 1, 0 at padding.
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.
        """
        s, drawn = self.size, row if train else None
        words, encode = Words(s, name="input"), Sequence(s, name="encode")
        question_mask, context_mask = question != 0, context != 0
        q = encode(
            words(question, question_characters, question_flags, drawn), question_mask, train, row
        )
        x = words(context, context_characters, context_flags, drawn)
        c = encode(x, context_mask, train, row)
        merged = Flow(name="flow")(c, q, context_mask, question_mask)
        merged = nn.relu(nn.Dense(s.width, name="merge")(jnp.concatenate([merged, x], -1)))
        model = Sequence(s, name="model")(merged, context_mask, train, row)
        last = Sequence(s, name="last")(
            jnp.concatenate([merged, model], -1), context_mask, train, row
        )
        start, end = (
            Dropout(s.dropout)(jnp.concatenate([merged, each], -1), drawn) for each in (model, last)
        )
        return SpanHead(name="head")(start, end, context_mask)


class Flow(nn.Module):
    """Computes attention of a text to a question and back (Seo et al. 2017, eq. 1 to 4).

    Maps text [batch, length, width] and question [batch, question_length, width], with a mask of
    each, to features of the text [batch, length, 4 width].
    """

    @nn.compact
    def __call__(
        self,
        c: Float[Array, "batch length width"],
        q: Float[Array, "batch question_length width"],
        context_mask: Bool[Array, "batch length"],
        question_mask: Bool[Array, "batch question_length"],
    ) -> Float[Array, "batch length four_width"]:
        """Computes [c; attended q; c * attended q; c * attended c], [batch, length, 4 width].

        Args:
            c, q: encoded tokens of the text and the question.
            context_mask, question_mask: False at padding of each.
        """
        weight = self.param("weight", nn.initializers.normal(0.1), (3, c.shape[-1]), jnp.float32)
        similarity = (
            (c @ weight[0])[:, :, None]
            + (q @ weight[1])[:, None]
            + jnp.einsum("bid,bjd->bij", c * weight[2][None, None], q)
        )
        similarity = jnp.where(question_mask[:, None], similarity, HIDDEN)
        of_question = jnp.einsum("bij,bjd->bid", jax.nn.softmax(similarity, -1), q)
        of_text = jax.nn.softmax(jnp.where(context_mask, similarity.max(-1), HIDDEN), -1)
        summary = jnp.einsum("bi,bid->bd", of_text, c)[:, None]
        return jnp.concatenate([c, of_question, c * of_question, c * summary], -1)


def encoder_reader(size: Size, separator: int) -> EncoderReader:
    """Returns a reader with an encoder of two layers of four heads, that of `bert_english`.

    Args:
        size: vocabulary, width and dropout.
        separator: see `EncoderReader`.
    """
    of_text = encoder.Size(2, 4, size.width, dropout=size.dropout)
    return EncoderReader(size.vocabulary, of_text, separator, size.dropout)
