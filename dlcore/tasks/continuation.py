"""Continues a user's prompts with a language model."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.bounds import (
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Probability,
    Range,
)
from dlcore.data.tokenizer import Tokenizer
from dlcore.errors import UsageError
from dlcore.models.drafters import PromptLookup
from dlcore.models.gpt import Size
from dlcore.models.gpt_batch import Decoding, generate_batch, left_padded
from dlcore.models.gpt_generation import generate
from dlcore.models.speculative import generate_speculatively
from dlcore.samples import Text
from dlcore.tasks.language_modelling import decoded
from dlcore.train.predictor import Answer
from dlcore.train.step import State

# (state, tokens [1, prompt], key, new tokens, temperature, top_k, top_p[, draft]) -> tokens
Continue = Callable[..., Array]


@dataclasses.dataclass(frozen=True, eq=False)
class Continuation:
    """A generator of tokens, bound to a model; `bound` makes it.

    Called with (state, prompt int32 [batch, given], key, length=None, *how) it returns the prompt
    with its continuation, tokens [batch, given + length]; without `length` or `how` the bound ones
    are used.

    Attributes:
        generate, net, model, length, how: see `bound`.
    """

    generate: Callable[..., Array]
    net: object
    model: str
    length: int
    how: tuple[float, ...] = ()

    def __call__(
        self, state: State, prompt: Array, key: Array, length: int | None = None, *how: float
    ) -> Array:
        """Continues a prompt.

        Args:
            state: trained parameters.
            prompt: int32 [batch, some].
            key: random key.
            length, how: as of `bound`; None, (): those that are bound. Where any of `how` is
                given, all of them are replaced.

        Returns:
            Tokens [batch, some + length].
        """
        new = self.length if length is None else length
        return self.generate(
            self.net, state.params[self.model], prompt, key, new, *(how or self.how)
        )


def bound(
    generate: Callable[..., Array], net: object, model: str, length: int, *how: float
) -> Continuation:
    """Binds a generator of tokens to a model, for `language_modelling.samples` and `predictor`.

    Args:
        generate: (net, params, prompt int32 [batch, given], key, length, *how) -> tokens
            [batch, given + length], such as `models.gpt_generation.generate`.
        net: its first argument: the network, or its shape.
        model: the name of the parameters.
        length: the number of new tokens of a call without a length.
        how: temperature, top_k, top_p and draft, in this order, or the first of them; a call that
            passes any of these uses none of the bound ones.
    """
    return Continuation(generate, net, model, length, how)


@dataclasses.dataclass(frozen=True)
class PromptOptions:
    """Flags of `dlcore predict` for a language model."""

    tokens: PositiveInt = 200
    """number of tokens that are generated; --min-p, --repetition-penalty, --min-tokens and
    --shorten-by are for prompts that fit into the context of a GPT with them"""
    temperature: NonNegativeFloat = 0.8
    """divides the logits; at 0 the likeliest token is taken"""
    top_k: NonNegativeInt = 0
    """number of likeliest tokens from which one is drawn; 0: all"""
    top_p: Annotated[float, Range(0, 1, "(]")] = 1.0
    """tokens are drawn from the fewest likeliest ones whose probabilities sum to at least this"""
    min_p: Probability = 0.0
    """tokens are drawn from those at least this times as likely as the likeliest; 0: all"""
    repetition_penalty: PositiveFloat = 1.0
    """divides positive logits of tokens that stood in the text, multiplies others; 1: none"""
    end: bool = False
    """stop where the model ends a document, if it was trained on documents"""
    min_tokens: NonNegativeInt = 0
    """number of tokens before which a text does not end; needs --end"""
    shorten_from: NonNegativeInt = 0
    """number of tokens after which --shorten-by applies"""
    shorten_by: PositiveFloat = 1.0
    """with --end, raises the logit of the end by its magnitude times this to the power of the
    tokens since --shorten-from, less 1; above 1 texts are shorter; 1: unchanged"""
    draft: NonNegativeInt = 0
    """number of tokens that are proposed by lookup in the text so far and checked in one pass: the
    same distribution, faster where a text repeats itself; 0: none"""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """seed of the draws; each prompt uses the same one"""


_New = tuple[np.ndarray, list[float] | None]  # new tokens, and their log-probabilities


@dataclasses.dataclass(frozen=True)
class PromptPredictor:
    """Continues prompts, one per line.

    Attributes:
        generate: continues a prompt: (state, tokens int32 [1, prompt], key, number of new tokens,
            temperature, top_k, top_p) -> tokens [1, prompt + new], with `draft` as an eighth
            argument where `--draft` is above 0. Where it is a `Continuation` that is bound to
            `models.gpt_generation.generate`, the prompts whose tokens fit into the context with the
            new ones are continued in one batch instead, by `models.gpt_batch` or
            `models.speculative`, with the same draws.
        tokenizer: of the model's tokens.
        longest: largest number of tokens of a prompt, `start` included; None: any number.
        start: token between documents, which is put before each prompt and by which `--end` finds
            the end of a document; None: none.
        options: flags of `dlcore predict`.
    """

    generate: Continue
    tokenizer: Tokenizer
    longest: int | None = None
    start: int | None = None
    options: PromptOptions = dataclasses.field(default_factory=PromptOptions)
    reads = "lines"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[tuple[str, np.ndarray]]:
        """Encodes prompts.

        Args:
            files: not used.
            text: the prompts.

        Returns:
            (prompt, its tokens int32 [n], `start` included) of each.

        Raises:
            UsageError: a character that the tokenizer does not know, no token, or too many; or
                `--min-p`, `--repetition-penalty`, `--min-tokens` or `--shorten-by` of a prompt that
                is not continued in a batch.
        """
        return [(each, self._encoded(each)) for each in text]

    def _encoded(self, prompt: str) -> np.ndarray:
        first = [] if self.start is None else [self.start]
        tokens = np.asarray([*first, *self.tokenizer.encode(prompt)], np.int32)
        if not len(tokens):
            raise UsageError("an empty prompt: this model continues at least 1 token")
        if self.longest is not None and len(tokens) > self.longest:
            raise UsageError(
                f"a prompt of {len(tokens)} tokens, and this model takes 1 to {self.longest}:"
                " shorten it"
            )
        o = self.options
        one_batch = o.min_p or o.repetition_penalty != 1 or o.min_tokens or o.shorten_by != 1
        if one_batch and not self._fits(tokens):
            raise UsageError(
                f"a prompt of {len(tokens)} tokens: --min-p, --repetition-penalty, --min-tokens and"
                f" --shorten-by need a GPT whose context has space for it and for {o.tokens} new"
                " tokens: ask for fewer tokens, or leave them out"
            )
        return tokens

    def batch(self, state: State, items: Sequence[tuple[str, np.ndarray]]) -> list[Answer]:
        """Answers a batch of prompts.

        A GPT continues as one batch the prompts that fit into its context with their continuation.
        All others are continued one by one by `generate`, compiled anew for each length of prompt.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"prompt", "text", "log_probability", "log_probabilities"}, the text) of each prompt:
            its continuation, and the log-probability of the whole and of each token, in nats, under
            the model's own distribution, with that of a generated end token; both are None of
            prompts that are continued one by one.

        Raises:
            UsageError: `--end` of a model without `start`; `--min-tokens` or `--shorten-by` without
                `--end`; `--shorten-from` without `--shorten-by`; `--draft` of a recurrent network.
        """
        o = self.options
        if o.end and self.start is None:
            raise UsageError("--end: this model has no token that ends a document: leave it out")
        if not o.end and (o.min_tokens or o.shorten_by != 1):
            raise UsageError(
                "--min-tokens and --shorten-by say when a text may end, and without --end it ends"
                " after --tokens: give --end, too, or leave them out"
            )
        if o.shorten_from and o.shorten_by == 1:
            raise UsageError("--shorten-from changes nothing alone: give --shorten-by, too")
        prompts = dict(items)
        fitting = [name for name, tokens in prompts.items() if self._fits(tokens)]
        found: dict[str, _New] = {}
        if fitting:
            found |= zip(fitting, self._together(state, [prompts[n] for n in fitting]), strict=True)
        for name, tokens in prompts.items():
            if name not in found:
                found[name] = self._alone(state, tokens), None
        made = {name: self._answer(name, *new) for name, new in found.items()}
        return [made[prompt] for prompt, _ in items]

    def _fits(self, tokens: np.ndarray) -> bool:
        context = _context(self.generate)
        return context is not None and len(tokens) + self.options.tokens <= context

    def _together(self, state: State, prompts: list[np.ndarray]) -> list[_New]:
        """Continues prompts in one program; the draws are those of `generate` for each."""
        o, bound = self.options, self.generate
        assert isinstance(bound, Continuation)
        assert isinstance(bound.net, Size)
        penalties = o.repetition_penalty, o.min_tokens, o.shorten_from, o.shorten_by
        how = Decoding(o.temperature, o.top_k, o.top_p, o.min_p, *penalties)
        prompt, padding = map(jnp.asarray, left_padded(prompts, bound.net.context - o.tokens))
        key = jax.random.key(o.seed)
        if o.draft:
            key = jax.random.split(jax.random.fold_in(key, 0), 1)[0]
        end = self.start if o.end and self.start is not None else -1
        given = bound.net, state.params[bound.model], prompt, padding
        run = (*given, jnp.stack([key] * len(prompts)), o.tokens, end)
        made = (
            generate_speculatively(*run, PromptLookup(o.draft), how)[0]
            if o.draft
            else generate_batch(*run, how)
        )
        tokens, lengths, logp = map(np.asarray, made)
        return [
            (row[:n], each[: n + 1].tolist())  # with the end token's
            for row, n, each in zip(tokens, lengths, logp, strict=True)
        ]

    def _alone(self, state: State, tokens: np.ndarray) -> np.ndarray:
        o = self.options
        how = (o.tokens, o.temperature, o.top_k, o.top_p, *([o.draft] if o.draft else []))
        key = jax.random.key(o.seed)
        new = np.asarray(self.generate(state, jnp.asarray(tokens)[None], key, *how))[0]
        new = new[len(tokens) :]
        ends = np.flatnonzero(new == self.start) if o.end else new[:0]
        return new[: ends[0]] if len(ends) else new

    def _answer(self, prompt: str, new: np.ndarray, logp: list[float] | None) -> Answer:
        text = decoded(self.tokenizer, new, self.start)
        record = {
            "prompt": prompt,
            "text": text,
            "log_probability": None if logp is None else sum(logp),
            "log_probabilities": logp,
        }
        return record, Text("Continued", text, prompt)

    def line(self, answer: Mapping[str, object]) -> str:
        """Formats an answer: the prompt with its continuation, and a newline at the end."""
        return f"{answer['prompt']}{answer['text']}\n"


def predictor(
    generate: Continue, tokenizer: Tokenizer, longest: int | None = None, start: int | None = None
) -> PromptPredictor:
    """Returns the predictor of a language model, which continues lines of text.

    By default it generates 200 tokens, or half the context of a GPT where that is fewer, so that
    prompts of up to half the context are continued as one batch.

    Args:
        generate, tokenizer, longest, start: see `PromptPredictor`.
    """
    context, options = _context(generate), PromptOptions()
    if context is not None:
        options = PromptOptions(tokens=min(options.tokens, max(1, context // 2)))
    return PromptPredictor(generate, tokenizer, longest, start, options)


def _context(bound: Continue) -> int | None:
    """The context of a GPT, which continues prompts as one batch; None: one by one."""
    if not isinstance(bound, Continuation) or bound.generate is not generate:
        return None
    return bound.net.context if isinstance(bound.net, Size) else None
