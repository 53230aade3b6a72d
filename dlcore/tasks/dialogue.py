"""Answers in dialogues: perplexity, and generated answers beside retrieved ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Integer

from dlcore.data.source import Source
from dlcore.data.splits import Splits
from dlcore.data.tokens import Subwords
from dlcore.metrics.known import Metric
from dlcore.metrics.text import bleu, distinct
from dlcore.models.gpt_batch import GREEDY
from dlcore.models.sequence_probability import log_probability
from dlcore.samples import Sample, Table
from dlcore.tasks import language_modelling, token_frequencies
from dlcore.tasks.dialogue_assistant import Assistant
from dlcore.train.evaluators import Collected, Evaluator, Scored
from dlcore.train.model import Logits
from dlcore.train.step import Batch, State

loss = language_modelling.loss
_HIGHER = Metric("higher")
_TABLE = 8  # answers that a sample shows


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
        sources: {split: packed dialogues}, each scored at each evaluation, "test" at the end alone.
    """

    def collect(state: State, batch: Batch) -> dict[str, Array]:
        logits, _ = model(state.params, state.extra, batch, None, False)
        logp = log_probability(logits, batch["targets"], batch["weight"])
        return {"logp": logp, "tokens": batch["weight"].sum(-1)}

    def score(collected: Collected, split: str) -> dict[str, float]:
        total, tokens = (collected[name].astype(np.float64).sum() for name in ("logp", "tokens"))
        with np.errstate(over="ignore"):  # inf beyond 709 nats
            return {"perplexity": float(np.exp(-total / max(tokens, 1.0)))}

    return Scored(sources, collect, score, {"perplexity": Metric("lower")})


def answers(assistant: Assistant, splits: Splits) -> Evaluator:
    """Evaluates greedy and retrieved answers by BLEU and distinct n-grams, at the end.

    `answer_bleu` (0 to 100), `answer_distinct_1` and `answer_distinct_2` (distinct n-grams as
    fractions of all) are of greedy answers of the model, whatever `assistant.decoding` is;
    `retrieved_...` are of the answer to the most similar training context, and
    `reference_distinct_...` of the true answers.

    Args:
        assistant: generates.
        splits: with `validation_answers` and `test_answers`, see `data.sets.dialogue_answers`; the
            metrics are listed under "validation" and "test".
    """
    measures = ("bleu", "distinct_1", "distinct_2")
    metrics = {f"answer_{name}": _HIGHER for name in measures}
    metrics |= {
        f"retrieved_{name}": Metric(None, baseline_of=f"answer_{name}") for name in measures
    }
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


def messages(tokens: Subwords, row: Integer[np.ndarray, " n"]) -> str:
    """Decodes tokens of a dialogue, with " | " between the messages.

    Args:
        tokens: the tokenizer; its special tokens separate messages.
        row: tokens [n].
    """
    parts = np.split(row, np.flatnonzero(row < len(tokens.specials)))
    return " | ".join(filter(None, map(tokens.decode, parts)))


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
            (
                messages(assistant.tokens, row[skip:]),
                assistant.text(reference),
                assistant.text(answer),
            )
            for row, skip, reference, answer in zip(
                batch["prompt"], batch["padding"], batch["reference"], made, strict=True
            )
        )
        return [Table(title, ("context", "answer", "generated"), rows)]

    return draw
