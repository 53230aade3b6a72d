"""Answers in dialogues: perplexity, generated answers beside retrieved ones, and a predictor."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from dlcore.bounds import NonNegativeFloat, PositiveFloat, Probability, Range
from dlcore.data.own.dialogues import Message
from dlcore.data.own.prepare_text import END
from dlcore.data.sets import dialogue_answers
from dlcore.data.sets.dialogues import TURN_END
from dlcore.data.source import Source
from dlcore.data.splits import Splits
from dlcore.data.tokens import Subwords
from dlcore.errors import UsageError
from dlcore.metrics.known import Metric
from dlcore.metrics.text import bleu, distinct
from dlcore.models.decoding import gpt_decoder
from dlcore.models.gpt import Size
from dlcore.models.gpt_batch import GREEDY, Decoding, Generated, generate_batch, left_padded
from dlcore.models.sequence_probability import log_probability
from dlcore.samples import Sample, Table, Text
from dlcore.sharding import Tree
from dlcore.tasks import language_modelling, token_frequencies
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.model import Logits
from dlcore.train.predictor import Answer
from dlcore.train.step import Batch, Params, State
from dlcore.train.text_model import TextModel

loss = language_modelling.loss
_HIGHER = Metric("higher")
_TABLE = 8  # answers that a sample shows


@dataclasses.dataclass(frozen=True)
class Assistant:
    """Generates answers to tokens of dialogues with a GPT (`generate`), and decodes them (`text`).

    Attributes:
        size: of the GPT.
        tokens: its tokenizer, with the special tokens of `data.sets.dialogues`.
        longest: largest number of tokens of an answer.
        decoding: how tokens are chosen.
        model: the name of the GPT's parameters in the state.
        merged: (params of all models) -> parameters of the GPT, where only a part of it was tuned;
            None: those of `model`.
    """

    size: Size
    tokens: Subwords
    longest: int
    decoding: Decoding = GREEDY
    model: str = "net"
    merged: Callable[[Params], Tree] | None = None

    @property
    def end(self) -> int:
        """The token that ends an answer."""
        return self.tokens.special(TURN_END)

    def generate(self, state: State, prompt: Array, padding: Array, key: Array) -> Generated:
        """Generates answers to prompts, padded at the left.

        Args:
            state: trained parameters.
            prompt: tokens, int32 [batch, length].
            padding: number of padding tokens at the left of each row, int32 [batch].
            key: random key; row i uses `fold_in(key, i)`.

        Returns:
            Tokens int32 [batch, longest], lengths int32 [batch] without the end token, and
            log-probabilities [batch, longest] in nats, see `models.gpt_batch.Generated`.
        """
        keys = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(len(prompt)))
        params = state.params[self.model] if self.merged is None else self.merged(state.params)
        return generate_batch(
            self.size, params, prompt, padding, keys, self.longest, self.end, self.decoding
        )

    def text(self, tokens: np.ndarray) -> str:
        """Decodes the tokens of an answer up to its first end token, without blanks around it."""
        ends = np.flatnonzero(tokens == self.end)
        kept = tokens[: ends[0]] if len(ends) else tokens
        return self.tokens.decode(np.minimum(kept, len(self.tokens) - 1)).strip()


def inputs(batch: Batch, key: Array | None, train: bool) -> tuple[tuple[Array], dict[str, Array]]:
    """Returns `tokens`, and `segment` and `position` as keywords; the `inputs` of a `Model`.

    Args:
        batch: packed rows: all three fields are int32 [batch, length].
        key, train: not used.
    """
    return (batch["tokens"],), {"segment": batch["segment"], "position": batch["position"]}


def perplexity(model: Logits, sources: Mapping[str, Source | None]) -> Evaluator:
    """Evaluates the perplexity of answers: exp of the mean cross-entropy of their tokens.

    Metric: `perplexity`.

    Args:
        model: computes logits [batch, length, vocabulary] of a batch with `targets`, int [batch,
            length], and their `weight`, 1 for tokens of answers, else 0.
        sources: {split: packed dialogues}.
    """

    def collect(state: State, batch: Batch) -> dict[str, Array]:
        logits, _ = model(state.params, state.extra, batch, None, False)
        logp = log_probability(logits, batch["targets"], batch["weight"])
        return {"logp": logp, "tokens": batch["weight"].sum(-1)}

    def score(collected: Collected, split: str) -> dict[str, float]:
        total, tokens = (collected[name].astype(np.float64).sum() for name in ("logp", "tokens"))
        return {"perplexity": math.exp(-total / max(tokens, 1.0))}

    return Scored(sources, collect, score, {"perplexity": Metric("lower")})


def answers(assistant: Assistant, splits: Splits) -> Evaluator:
    """Evaluates greedy and retrieved answers by BLEU and distinct n-grams, at the end.

    `answer_bleu`, `answer_distinct_1` and `answer_distinct_2` are of greedy answers of the model;
    `retrieved_...` are of the answer to the most similar training context, and
    `reference_distinct_...` of the true answers.

    Args:
        assistant: generates.
        splits: with `validation_answers` and `test_answers`, see `data.sets.dialogue_answers`; the
            metrics are listed under "validation" and "test".
    """
    measures = ("bleu", "distinct_1", "distinct_2")
    metrics = {f"answer_{name}": _HIGHER for name in measures}
    metrics |= {f"retrieved_{name}": Metric(None) for name in measures}
    metrics |= {f"reference_{name}": Metric(None) for name in measures[1:]}
    greedy = dataclasses.replace(assistant, decoding=GREEDY)

    def collect(state: State, batch: Batch) -> dict[str, Array]:
        made = greedy.generate(state, batch["prompt"], batch["padding"], jax.random.key(0))
        return {
            "answer": made.tokens,
            "retrieved": batch["retrieved"],
            "reference": batch["reference"],
        }

    def score(collected: Collected, split: str) -> dict[str, float]:
        texts = {name: [greedy.text(row) for row in rows] for name, rows in collected.items()}
        found = {
            f"{name}_distinct_{n}": distinct(each, n)
            for name, each in texts.items()
            for n in (1, 2)
        }
        for name in ("answer", "retrieved"):
            found[f"{name}_bleu"] = bleu(texts[name], texts["reference"])[0]
        return found

    sources = {split: splits[f"{split}_answers"] for split in ("validation", "test")}
    return Scored(sources, collect, score, metrics, "end")


def evaluators(model: Logits, assistant: Assistant, splits: Splits) -> list[Evaluator]:
    """Evaluates answers: see `perplexity`, `answers`, and `token_frequencies` for the baseline.

    Args:
        model: computes logits.
        assistant: generates with it.
        splits: of `data.sets.dialogue_answers`.
    """
    baseline = token_frequencies.evaluator(splits, token_frequencies.PERPLEXITY)
    return [perplexity(model, splits.evaluated()), answers(assistant, splits), baseline]


def samples(title: str, assistant: Assistant, source: Source) -> Callable[[State, Array], list]:
    """Shows a table of the first 8 contexts with their true and their generated answers.

    Args:
        title: of the table.
        assistant: generates the answers.
        source: contexts with `prompt`, `padding` and `reference`.

    Returns:
        (state, key) -> samples; answers are sampled with the key if `assistant.decoding` samples.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        batch = source.gather(np.arange(min(_TABLE, len(source))))
        prompt, padding = jnp.asarray(batch["prompt"]), jnp.asarray(batch["padding"])
        made = np.asarray(assistant.generate(state, prompt, padding, key).tokens)
        rows = tuple(
            (assistant.tokens.decode(row[skip:]), assistant.text(reference), assistant.text(answer))
            for row, skip, reference, answer in zip(
                batch["prompt"], batch["padding"], batch["reference"], made, strict=True
            )
        )
        return [Table(title, ("context", "answer", "generated"), rows)]

    return draw


@dataclasses.dataclass(frozen=True)
class AnswerOptions:
    """Flags of `dlcore predict` for an assistant."""

    temperature: NonNegativeFloat = 0.0
    """divides the logits; at 0 the likeliest token is taken"""
    top_p: Annotated[float, Range(0, 1, "(]")] = 1.0
    """tokens are drawn from the fewest likeliest ones whose probabilities sum to at least this"""
    min_p: Probability = 0.0
    """tokens are drawn from those at least this times as likely as the likeliest; 0: all"""
    repetition_penalty: PositiveFloat = 1.0
    """divides positive logits of tokens that stood in the text, multiplies others; 1: none"""
    seed: Annotated[int, Range(0, 2**32 - 1)] = 1
    """of the draws"""


@dataclasses.dataclass(frozen=True)
class AnswerPredictor:
    """Answers messages, one per line, each as the first message of a dialogue.

    Attributes:
        assistant: generates the answers.
        options: flags of `dlcore predict`; all but `seed` replace the same fields of
            `assistant.decoding`, so that answers are greedy by default.
    """

    assistant: Assistant
    options: AnswerOptions = dataclasses.field(default_factory=AnswerOptions)
    reads = "lines"

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[tuple[str, np.ndarray]]:
        """Encodes messages.

        Args:
            files: not used.
            text: the messages.

        Returns:
            (message, the tokens of its prompt, int32 [n]) of each.

        Raises:
            UsageError: an empty message, or one that leaves no space for an answer.
        """
        return [(each, self._encoded(each)) for each in text]

    def _encoded(self, text: str) -> np.ndarray:
        space = self.assistant.size.context - self.assistant.longest
        if not text.strip():
            raise UsageError("an empty message has no answer: write something")
        whole = self.assistant.size.context
        prompt = dialogue_answers.prompt(self.assistant.tokens, [Message("user", text)], whole)
        if len(prompt) > space:
            raise UsageError(
                f"a message of {len(prompt)} tokens, and this model reads {space}: shorten it"
            )
        return prompt

    def batch(self, state: State, items: Sequence[tuple[str, np.ndarray]]) -> list[Answer]:
        """Answers a batch of messages.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"prompt", "text", "log_probability"}, the text) of each: the message, the answer, and
            the log-probability of the whole answer in nats.
        """
        chosen = {name: value for name, value in vars(self.options).items() if name != "seed"}
        how = dataclasses.replace(self.assistant.decoding, **chosen)
        assistant = dataclasses.replace(self.assistant, decoding=how)
        space = assistant.size.context - assistant.longest
        prompt, padding = left_padded([tokens for _, tokens in items], space)
        key = jax.random.key(self.options.seed)
        made = assistant.generate(state, jnp.asarray(prompt), jnp.asarray(padding), key)
        total = np.asarray(made.log_probabilities).sum(1)
        texts = [assistant.text(row) for row in np.asarray(made.tokens)]
        return [
            (
                {"prompt": each, "text": text, "log_probability": float(logp)},
                Text("Answer", text, each),
            )
            for (each, _), text, logp in zip(items, texts, total, strict=True)
        ]

    def line(self, answer: Mapping[str, object]) -> str:
        """Formats an answer: its text."""
        return str(answer["text"])


def text_model(assistant: Assistant) -> TextModel:
    """Returns the text model by which `dlcore chat` converses with an assistant.

    Args:
        assistant: its GPT, parameters and tokenizer are used, with the tokens of the chat template.
    """
    special = assistant.tokens.special
    return TextModel(
        assistant.model,
        gpt_decoder(assistant.size),
        assistant.tokens,
        start=special(END),
        end=special(TURN_END),
        before=(special("<|user|>"),),
        after=(special(TURN_END), special("<|assistant|>")),
        merged=assistant.merged,
    )


def predictor(assistant: Assistant) -> AnswerPredictor:
    """Returns the predictor of an assistant, which answers lines of text.

    Args:
        assistant: generates the answers.
    """
    return AnswerPredictor(assistant)
