"""The declaration of an experiment's language model for conversations."""

from __future__ import annotations

import dataclasses

from dlcore.data.tokenizer import Tokenizer
from dlcore.models.decoding import Decoder


@dataclasses.dataclass(frozen=True)
class TextModel:
    """A language model and its tokens, for `dlcore chat`.

    Attributes:
        model: name of the model, whose parameters are `state.params[model]`.
        decoder: runs it on a few tokens at a time.
        tokenizer: of its tokens.
        start: a token before the text, such as the one between documents; None: none.
        end: the token that ends an answer; None: none.
        before, after: tokens around each text of a person, by which the model tells it from its own
            answers (a chat template); the last of `after` begins the answer. Where there are any,
            `end` is kept in the text.
    """

    model: str
    decoder: Decoder
    tokenizer: Tokenizer
    start: int | None = None
    end: int | None = None
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()

    @property
    def has_template(self) -> bool:
        """Whether texts of a person are marked by tokens."""
        return bool(self.before or self.after)
