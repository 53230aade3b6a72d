"""A conversation with a language model, whose answers are generated token by token."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore import sharding
from dlcore.errors import UsageError
from dlcore.models.gpt_batch import Decoding, adjusted
from dlcore.models.sampling import choose
from dlcore.tasks.stop_texts import StopTexts
from dlcore.train.step import State
from dlcore.train.text_model import TextModel

CHUNKS = (256, 16, 1)  # lengths for which `advance` is compiled: a prompt is read in these


@dataclasses.dataclass(frozen=True)
class Sampling:
    """Options of how the tokens of an answer are sampled, and of where it ends.

    Attributes:
        temperature: divides the logits; 0 chooses the most likely token.
        top_k, top_p, min_p: restrict sampling to the most likely tokens, see
            `models.sampling.choose`.
        repetition_penalty: for tokens of the text that the model sees, see
            `models.sampling.penalised`; 1: none.
        max_tokens: largest number of tokens of an answer.
        stop: texts at which an answer ends; they are not yielded.
        seed: of the random numbers, 0 to 2^32 - 1.
        draft: number of tokens that are proposed from the earlier text and checked in one pass
            (speculative decoding by prompt lookup); the distribution of answers is the same. 0:
            none.
        min_tokens: number of tokens of an answer before which the end token is not chosen.
        shorten_from, shorten_by: see `models.sampling.end_encouraged`.

    Raises:
        UsageError: a number outside its range, an empty stop text, `draft` with a penalty or a
            number that changes when an answer ends, or `shorten_from` without `shorten_by`.
    """

    temperature: float = 0.8
    top_k: int = 0
    top_p: float = 1.0
    max_tokens: int = 200
    stop: Sequence[str] = ()
    seed: int = 0
    min_p: float = 0.0
    draft: int = 0
    repetition_penalty: float = 1.0
    min_tokens: int = 0
    shorten_from: int = 0
    shorten_by: float = 1.0

    @property
    def moves_end(self) -> bool:
        """Whether `min_tokens` or `shorten_by` changes when an answer ends."""
        return self.min_tokens > 0 or self.shorten_by != 1

    def __post_init__(self) -> None:
        wrong = {
            f"--temperature {self.temperature} is below 0": not self.temperature >= 0,
            f"--top-k {self.top_k} is below 0 (0: all tokens)": self.top_k < 0,
            f"--top-p {self.top_p} is outside (0, 1]": not 0 < self.top_p <= 1,
            f"--min-p {self.min_p} is outside [0, 1]": not 0 <= self.min_p <= 1,
            f"--max-tokens {self.max_tokens} is below 1": self.max_tokens < 1,
            f"--draft {self.draft} is below 0": self.draft < 0,
            f"--seed {self.seed} is outside 0 to 2^32 - 1": not 0 <= self.seed < 2**32,
            f"--repetition-penalty {self.repetition_penalty} is not above 0": (
                not self.repetition_penalty > 0
            ),
            f"--min-tokens {self.min_tokens} is below 0": self.min_tokens < 0,
            f"--shorten-from {self.shorten_from} is below 0": self.shorten_from < 0,
            f"--shorten-by {self.shorten_by} is not above 0": not self.shorten_by > 0,
            "--shorten-from changes nothing alone: give --shorten-by, too": (
                self.shorten_from > 0 and self.shorten_by == 1
            ),
            "--draft checks several tokens under one penalty: leave out --repetition-penalty,"
            " --min-tokens and --shorten-by": (
                self.draft > 0 and (self.repetition_penalty != 1 or self.moves_end)
            ),
            "--stop is an empty text: name one that ends an answer": "" in self.stop,
        }
        for message in (message for message, holds in wrong.items() if holds):
            raise UsageError(message)


class Conversation:
    """Holds a text to which a person and a language model append in turn.

    `prompt` appends a person's text; `answer` generates the model's, and yields it as it arises.
    When the context is full, only the second half of its tokens is kept, as in
    `models.gpt_generation.generate`. The tokens of answer t (from 0) are drawn with the key of the
    seed, folded with t.

    Args:
        text_model: the model and its tokens.
        state: trained parameters.
        sampling: of the answers.

    Raises:
        UsageError: `sampling.draft` is not 0, and the model is recurrent; or `sampling.min_tokens`
            or `sampling.shorten_by` is given, and the model has no end token.

    Attributes:
        turn: number of answers that have begun.
        tokens: the text that the model sees.
        forgotten: number of tokens that the last answer pushed out of the context; those that
            `prompt` drops are returned by it, and not counted here.
    """

    def __init__(self, text_model: TextModel, state: State, sampling: Sampling) -> None:
        self.model, self.sampling = text_model, sampling
        self._decoder = text_model.decoder
        if sampling.draft and self._decoder.look_ahead is None:
            raise UsageError("a recurrent network cannot check proposed tokens: leave out --draft")
        if sampling.moves_end and text_model.end is None:
            raise UsageError(
                "this model has no token that ends an answer: leave out --min-tokens and"
                " --shorten-by"
            )
        # on one device: one row of one token is not worth sharding
        params = jax.tree.map(jnp.asarray, sharding.to_host(text_model.parameters(state)))
        self._params = self._decoder.prepare(params)
        shared = (field.name for field in dataclasses.fields(Decoding))
        self._how = Decoding(**{name: getattr(sampling, name) for name in shared})
        end = -1 if text_model.end is None else text_model.end
        self._choose = jax.jit(functools.partial(_choose, end=end, how=self._how))
        self.reset()

    def reset(self) -> None:
        """Clears the text but for the start token, if the model has one.

        The next answer is number 0, drawn with the same key as the first.
        """
        start = self.model.start
        self.turn = 0
        self.forgotten = 0  # tokens that the last answer pushed out of the context
        self.tokens: list[int] = [] if start is None else [start]
        self._empty_cache()

    def _empty_cache(self) -> None:
        # one attribute, so that an interruption cannot separate the cache from its length
        self._cached: tuple[int, sharding.Tree, Array | None] = (
            0,
            self._decoder.start(self._params),
            None,
        )

    @property
    def ends_line(self) -> bool:
        """Whether the text ends in a line break, such as one of a stop text."""
        last = min(self.tokens[-1], len(self.model.tokenizer) - 1) if self.tokens else None
        return last is not None and self.model.tokenizer.decode(np.array([last])).endswith("\n")

    def prompt(self, text: str) -> tuple[int, int]:
        """Appends a person's text, with the chat template where the model has one.

        Returns:
            How many tokens are dropped because they do not fit into the context: of the beginning
            of `text`, and of the conversation before it, which is dropped first. The tokens of the
            template are kept, so that the model reads whose text it is.

        Raises:
            UsageError: a character that the tokenizer does not know, or an empty text where the
                conversation has no token yet, not even a start token; the conversation is
                unchanged.
        """
        new = self.model.tokenizer.encode(text).tolist()
        before, after = self.model.before, self.model.after  # of the template, or empty
        old = [*self.tokens, *(self._closing() if self.model.has_template else [])]
        if not (old or before or new or after):
            raise UsageError("there is nothing to continue: write something")
        context = self._decoder.context
        lost = forgotten = 0
        if context is not None:
            lost = max(0, len(before) + len(new) + len(after) - (context - 1))
        window = [*old, *before, *new[lost:], *after]
        if context is not None:
            forgotten = max(0, len(window) - (context - 1))
        if forgotten:
            self._empty_cache()
        forgotten_before = min(forgotten, len(self.tokens))
        self.tokens = window[forgotten:]
        return lost, forgotten_before

    def _closing(self) -> list[int]:
        """The end token, where the last answer of a chat template was stopped before it."""
        end = self.model.end
        cut = self.turn and end is not None and self.tokens and self.tokens[-1] != end
        return [end] if cut and end is not None else []

    def answer(self) -> Iterator[str]:
        """Generates the model's next answer, and yields its text in parts.

        There is a part for each token, "" for one without text such as a special one, and at the
        end one for text that was withheld.
        It ends at a stop text, at the end token or after `max_tokens`. The tokens generated so far
        are part of the conversation, those of a stop text too, even if the caller stops early; an
        end token only where the model has a chat template. The attribute `forgotten` counts the
        tokens that it pushes out.
        """
        self.forgotten = 0
        key = jax.random.fold_in(jax.random.key(self.sampling.seed), self.turn)
        self.turn += 1
        text = StopTexts(self.model.tokenizer, self.sampling.stop)
        for token in itertools.islice(self._drawn(key), self.sampling.max_tokens):
            if token == self.model.end:
                if self.model.has_template:
                    self.tokens.append(token)
                break
            self.tokens.append(token)
            yield text.add(token)
            if text.stopped:
                return
        if rest := text.rest():
            yield rest

    def _drawn(self, key: Array) -> Iterator[int]:
        """Draws token after token; the caller appends each to the text before the next one."""
        context, draft, i = self._decoder.context, self.sampling.draft, 0
        while True:
            if context is not None and len(self.tokens) >= context:
                kept = self.tokens[-max(1, context // 2) :]
                self.forgotten += len(self.tokens) - len(kept)
                self.tokens = kept
                self._empty_cache()
            # at most to a full context, after which the text goes on without its first half
            if not draft or context is None or len(self.tokens) + draft >= context:
                logits = self._logits()
                yield int(self._choose(key, i, logits, self._seen(logits.shape[-1]))[0])
                i += 1
                continue
            new = self._looked_ahead(jax.random.fold_in(key, i), context)
            yield from new
            i += len(new)
            # all of them are in the text now, and all but the last in the cache
            self._cached = len(self.tokens) - 1, *self._cached[1:]

    def _seen(self, vocabulary: int) -> np.ndarray | None:
        """Which tokens the text has, bool [1, vocabulary]; None where that does not matter."""
        if self.sampling.repetition_penalty == 1:
            return None
        occurred = np.zeros((1, vocabulary), bool)
        occurred[0, self.tokens] = True
        return occurred

    def _looked_ahead(self, key: Array, context: int) -> list[int]:
        """Draws one or more tokens in one pass; those that are not taken are overwritten later."""
        length = len(self.tokens)
        self._read(length - 1)
        text = jnp.asarray([[*self.tokens, *([0] * (context - length))]], jnp.int32)
        assert self._decoder.look_ahead is not None
        tokens, valid, cache = self._decoder.look_ahead(
            self._params,
            self._cached[1],
            text,
            jnp.asarray(length, jnp.int32),
            key,
            self.sampling.draft,
            self._how,
        )
        self._cached = length - 1, cache, None
        return np.asarray(tokens)[: int(valid)].tolist()

    def _logits(self) -> Array:
        """Logits of the next token [1, vocabulary]."""
        self._read(len(self.tokens))
        assert self._cached[2] is not None, "a conversation has at least one token"
        return self._cached[2]

    def _read(self, length: int) -> None:
        """Puts the first tokens of the text into the cache."""
        while self._cached[0] < length:
            position, cache, _ = self._cached
            n = next(n for n in CHUNKS if n <= length - position)
            chunk = jnp.asarray([self.tokens[position : position + n]], jnp.int32)
            logits, cache = self._decoder.advance(
                self._params, cache, chunk, jnp.asarray(position, jnp.int32)
            )
            self._cached = position + n, cache, logits


def _choose(
    key: Array, i: Array, logits: Array, occurred: Array | None, *, end: int, how: Decoding
) -> Array:
    """Draws token i of an answer, [1]."""
    occurred = jnp.zeros(logits.shape, bool) if occurred is None else occurred
    logits = adjusted(logits, occurred, i, end, how)
    key = jax.random.fold_in(key, i)
    return choose(key, logits, how.temperature, how.top_k, how.top_p, how.min_p)
