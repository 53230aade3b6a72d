"""Language modelling: the loss of the next token, and generated texts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from jaxtyping import Integer

from dlcore.bounds import NonNegativeFloat, NonNegativeInt, PositiveInt, Range
from dlcore.data.checks import index_below
from dlcore.data.tokenizer import Tokenizer
from dlcore.data.tokens import Vocabulary
from dlcore.errors import UsageError
from dlcore.samples import Sample, Text
from dlcore.train.model import Logits
from dlcore.train.predictor import Answer
from dlcore.train.step import Batch, Extra, Loss, Mean, Out, Params, State, mean

Generate = Callable[[State, Array, Array], Array]  # (state, tokens, key) -> tokens
# (state, tokens [batch, prompt], key, new tokens, temperature, top_k, top_p[, draft]) -> tokens
Continue = Callable[..., Array]


def loss(model: Logits, label_smoothing: float = 0.0) -> Loss:
    """Returns the cross-entropy of the next token, in nats, as a mean over weighted tokens.

    Where a batch has `bytes`, the number of bytes of each target [batch, length], there is a metric
    `bits_per_byte`, by which models of different vocabularies can be compared.

    Args:
        model: computes logits [batch, length, vocabulary] of a batch with `targets`, int
            [batch, length], their `weight`, float [batch, length], and `mask`, float [batch].
        label_smoothing: as of `classification.loss`, in training only.

    Raises:
        ValueError: a label smoothing outside [0, 1).
    """
    smoothing = label_smoothing
    if not 0 <= smoothing < 1:
        raise ValueError(f"label smoothing {smoothing} is outside [0, 1)")

    def cross_entropy(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        y, extra = model(params, extra, batch, key, train)
        y = y.astype(jnp.promote_types(y.dtype, jnp.float32))
        index_below("targets", y.shape[-1], weight="weight")
        xent = optax.softmax_cross_entropy_with_integer_labels(y, batch["targets"])
        metrics = {}
        if "bytes" in batch:
            weight = batch["weight"] * batch["mask"][:, None]
            metrics["bits_per_byte"] = Mean(
                mean(xent, weight).total / math.log(2), mean(batch["bytes"], weight).total
            )
        # a fraction of the target's probability is spread evenly over all tokens
        if train and smoothing:
            target_logit = jnp.take_along_axis(y, batch["targets"][..., None], -1)[..., 0]
            xent = xent + smoothing * (target_logit - y.mean(-1))
        return Out(mean(xent, batch["weight"] * batch["mask"][:, None]), metrics, extra)

    return cross_entropy


def samples(
    title: str,
    generate: Generate,
    tokenizer: Tokenizer,
    prompt: str = "\n",
    start: int | None = None,
) -> Callable[[State, Array], list[Sample]]:
    """Shows a text that the model generates.

    Args:
        title: of the sample.
        generate: (state, tokens int32 [1, prompt], key) -> tokens [1, prompt + new].
        tokenizer: of the model's tokens.
        prompt: beginning of the text; where a character vocabulary lacks one of its characters, the
            vocabulary's first character is used instead.
        start: a token before the prompt, such as the one between documents; None: none.

    Returns:
        (state, key) -> samples.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        beginning = prompt
        if isinstance(tokenizer, Vocabulary) and not set(prompt) <= set(tokenizer.symbols):
            beginning = tokenizer.symbols[0]
        encoded = [] if start is None else [start]
        tokens = jnp.asarray([*encoded, *tokenizer.encode(beginning)], jnp.int32)[None]
        generated = np.asarray(generate(state, tokens, key))[0, tokens.shape[1] :]
        # An embedding can have more rows than there are tokens; such indices have no text.
        return [Text(title, tokenizer.decode(np.minimum(generated, len(tokenizer) - 1)), beginning)]

    return draw


def appended(
    prompt: Integer[Array, "1 length"], tokens: Integer[Array, "1 new"]
) -> Integer[Array, "1 total"]:
    """Appends generated tokens [1, new] to a prompt [1, length], as `samples` needs them."""
    return jnp.concatenate([prompt, tokens], 1)


def best_continuation(
    search: Callable[..., tuple[Array, ...]], net: object, model: str, length: int, *how: int
) -> Generate:
    """Binds a beam search to a model, as `samples` needs it.

    Args:
        search: (net, params, prompt, length, *how) -> (tokens [batch, beams, length], ...), the
            most likely first, such as `models.gpt_generation.likeliest`.
        net: its first argument: the network, or its shape.
        model: the name of the parameters.
        length: the number of new tokens.
        how: the number of beams and the token that ends a text.

    Returns:
        (state, prompt int32 [1, prompt], key) -> tokens [1, prompt + length] of the highest-scoring
        continuation; the key is not used.
    """

    def continued(state: State, prompt: Array, key: Array) -> Array:
        found = search(net, state.params[model], prompt, length, *how)
        return appended(prompt, found[0][:, 0])

    return continued


def continuation(
    generate: Callable[..., Array], net: object, model: str, length: int, *how: float
) -> Callable[..., Array]:
    """Binds a generator of tokens to a model, as `samples` and `predictor` need it.

    Args:
        generate: (net, params, prompt, key, length, *how) -> tokens, such as that of `models.gpt`.
        net: its first argument: the network, or its shape.
        model: the name of the parameters.
        length: the number of new tokens, where none is given.
        how: temperature, top_k, top_p and draft, where none are given.

    Returns:
        (state, prompt int32 [batch, prompt], key, length, *how) -> tokens
        [batch, prompt + length]. Where any of `how` is given, all of them are replaced.
    """

    def continued(
        state: State, prompt: Array, key: Array, length: int = length, *chosen: float
    ) -> Array:
        return generate(net, state.params[model], prompt, key, length, *(chosen or how))

    return continued


@dataclasses.dataclass(frozen=True)
class PromptOptions:
    """Flags of `dlcore predict` for a language model."""

    tokens: PositiveInt = 200
    """number of tokens that are generated"""
    temperature: NonNegativeFloat = 0.8
    """divides the logits; at 0 the likeliest token is taken"""
    top_k: NonNegativeInt = 0
    """number of likeliest tokens from which one is drawn; 0: all"""
    top_p: Annotated[float, Range(0, 1, "(]")] = 1.0
    """tokens are drawn from the fewest likeliest ones whose probabilities sum to at least this"""
    draft: NonNegativeInt = 0
    """number of tokens that are proposed by lookup in the text so far and checked in one pass: the
    same distribution, faster where a text repeats itself; 0: none"""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 0
    """seed of the draws; each prompt uses the same one"""


@dataclasses.dataclass(frozen=True)
class PromptPredictor:
    """Continues prompts, one per line.

    Attributes:
        generate: (state, tokens [1, prompt], key, new tokens, temperature, top_k, top_p[, draft])
            -> tokens [1, prompt + new].
        tokenizer: of the model's tokens.
        longest: largest number of tokens of a prompt, with `start`; None: any number.
        start: a token before the prompt, such as the one between documents; None: none.
        options: flags of `dlcore predict`.
    """

    generate: Continue
    tokenizer: Tokenizer
    longest: int | None = None
    start: int | None = None
    options: PromptOptions = dataclasses.field(default_factory=PromptOptions)
    reads = "lines"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[tuple[str, np.ndarray]]:
        """Encodes prompts; returns each with its tokens.

        Raises:
            UsageError: a character that the tokenizer does not know, no token, or too many.
        """
        return [(each, self._encoded(each)) for each in text]

    def _encoded(self, prompt: str) -> np.ndarray:
        first = [] if self.start is None else [self.start]
        tokens = np.asarray([*first, *self.tokenizer.encode(prompt)], np.int32)
        if not len(tokens) or (self.longest is not None and len(tokens) > self.longest):
            limit = "at least 1" if self.longest is None else f"1 to {self.longest}"
            raise UsageError(
                f"a prompt of {len(tokens)} tokens, and this model takes {limit}: shorten it"
            )
        return tokens

    def batch(self, state: State, items: Sequence[tuple[str, np.ndarray]]) -> list[Answer]:
        """Answers a batch of prompts one by one; a program is compiled for each length of prompts.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"prompt", "text"}, the text) of each prompt; "text" is its continuation.
        """
        o, made = self.options, {}
        key = jax.random.key(o.seed)
        for prompt, tokens in dict(items).items():
            how = (o.tokens, o.temperature, o.top_k, o.top_p, *([o.draft] if o.draft else []))
            drawn = np.asarray(self.generate(state, jnp.asarray(tokens)[None], key, *how))
            # An embedding may have more rows than there are tokens.
            new = np.minimum(drawn[0, len(tokens) :], len(self.tokenizer) - 1)
            text = self.tokenizer.decode(new)
            made[prompt] = ({"prompt": prompt, "text": text}, Text("Continued", text, prompt))
        return [made[prompt] for prompt, _ in items]

    def line(self, answer: Mapping[str, object]) -> str:
        """Formats an answer: the prompt with its continuation, and an empty line."""
        return f"{answer['prompt']}{answer['text']}\n"


def predictor(
    generate: Continue, tokenizer: Tokenizer, longest: int | None = None, start: int | None = None
) -> PromptPredictor:
    """Returns the predictor of a language model, which continues lines of text.

    Args:
        generate, tokenizer, longest, start: see `PromptPredictor`.
    """
    return PromptPredictor(generate, tokenizer, longest, start)
