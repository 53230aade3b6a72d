"""What an experiment says of its language model, so that a person can talk with it."""

from __future__ import annotations

import dataclasses

from dlcore.data.tokenizer import Tokenizer
from dlcore.models.decoding import Decoder


@dataclasses.dataclass(frozen=True)
class TextModel:
    """A language model and the tokens that it reads and writes: what `dlcore chat` runs.

    Attributes:
        model: name of the model, whose parameters are `state.params[model]`.
        decoder: runs it a few tokens at a time.
        tokenizer: of its tokens.
        start: a token before the text, such as the one between documents.
        end: a token that ends an answer.
    """

    model: str
    decoder: Decoder
    tokenizer: Tokenizer
    start: int | None = None
    end: int | None = None
