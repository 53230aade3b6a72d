"""A reader of questions that is a BERT: question and text are one row."""

from __future__ import annotations

import flax.linen as nn
import jax.numpy as jnp
from jax import Array
from jaxtyping import Integer, Shaped

from dlcore.models import encoder
from dlcore.models.bert import Text
from dlcore.models.layers import Dropout
from dlcore.models.span_head import Logits, SpanHead


class EncoderReader(nn.Module):
    """Finds answers by a BERT that reads question and text as one row.

    Maps tokens of questions [batch, question_length] and texts [batch, length], and the flags of
    both, to the logits of start and end, [batch, length + 1] each, see `SpanHead`; the question's
    flags are ignored. Fine-tuning loads pretrained weights into its module `text`, the BERT.

    Source: Devlin et al. 2019, 4.2, without segment embeddings: flags beside the encoder's output
    tell the head which words of the text are in the question.

    Attributes:
        vocabulary: number of tokens; 0 is padding.
        size: of the encoder.
        separator: the token before the question, and before and after the text.
        dropout: rate of dropout before the head.
    """

    vocabulary: int
    size: encoder.Size
    separator: int
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self,
        question: Integer[Array, "batch question_length"],
        context: Integer[Array, "batch length"],
        question_flags: Shaped[Array, "batch question_length flags"],
        context_flags: Shaped[Array, "batch length flags"],
        *,
        train: bool = False,
        row: Integer[Array, " batch"] | None = None,
    ) -> Logits:
        """Computes logits of start and end, [batch, length + 1] each; 0 is "no answer".

        Args:
            question, context: tokens, 0 at padding.
            question_flags, context_flags: features of the tokens, 0 or 1.
            train: whether dropout is applied.
            row: each example's index in the global batch [batch], for the keys of dropout.
        """
        separator = jnp.full_like(context[:, :1], self.separator)
        tokens = jnp.concatenate([separator, question, separator, context, separator], 1)
        x = Text(self.vocabulary, self.size, name="text")(tokens, train=train, row=row)
        count = question.shape[1]
        question_mask = (question != 0)[..., None].astype(x.dtype)
        q = (x[:, 1 : count + 1] * question_mask).sum(1) / jnp.maximum(question_mask.sum(1), 1)
        c, flags = x[:, count + 2 : -1], context_flags.astype(x.dtype)
        features = jnp.concatenate([c, c * q[:, None], flags], -1)
        features = nn.relu(nn.Dense(self.size.width, name="merge")(features))
        features = Dropout(self.dropout)(features, row if train else None)
        return SpanHead(name="head")(features, features, context != 0)
