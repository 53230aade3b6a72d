"""The declaration of an experiment's language model for conversations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from dlcore.data.tokenizer import Tokenizer
from dlcore.models.decoding import Decoder
from dlcore.sharding import Tree
from dlcore.train.step import Params, State


@dataclasses.dataclass(frozen=True)
class TextModel:
    """A language model and its tokens, for `dlcore chat`.

    Attributes:
        model: name of the model.
        decoder: runs it on a few tokens at a time.
        tokenizer: of its tokens.
        start: a token before the text, such as the one between documents; None: none.
        end: the token that ends an answer; None: none.
        before, after: tokens around each message of the user, which separate it from the model's
            answers (a chat template); the last of `after` begins the answer. Where there are any,
            `end` is kept in the text.
        merged: (parameters of all models) -> the model's parameters, where these are computed from
            those of several models (`tuning.Tuned.merged`); None: `state.params[model]`.
    """

    model: str
    decoder: Decoder
    tokenizer: Tokenizer
    start: int | None = None
    end: int | None = None
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    merged: Callable[[Params], Tree] | None = None

    def parameters(self, state: State) -> Tree:
        """Returns the model's parameters of a state."""
        return state.params[self.model] if self.merged is None else self.merged(state.params)

    @property
    def has_template(self) -> bool:
        """Whether there is a chat template: tokens `before` or `after` a user's message."""
        return bool(self.before or self.after)
