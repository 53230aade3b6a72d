"""Tagging of words by a linear-chain CRF: loss, decoding, spans with scores, intents, metrics."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from dlcore.data.checks import index_below
from dlcore.data.facts import Facts
from dlcore.data.sets.tagged import TaggedSentences
from dlcore.data.splits import Splits
from dlcore.data.tag_schemes import OUTSIDE, Span, spans_of
from dlcore.kernels import crf
from dlcore.metrics.calibration import reliability
from dlcore.metrics.known import Metric
from dlcore.metrics.spans import span_f1
from dlcore.models.tagger import Chain
from dlcore.train.evaluators import Collected, Evaluator, OfState, Schedule, Scored
from dlcore.train.step import Batch, Extra, Loss, Out, Params, State, mean

# as `train.model.Logits`, with a chain for logits
Chains = Callable[[Params, Extra, Batch, Array | None, bool], tuple[Chain, Extra]]
TYPES_LISTED = 10  # F1 by type is a metric for so many types at most; a table has all of them


def inputs(batch: Batch, key: Array | None, train: bool) -> tuple[Array, ...]:
    """Returns the arrays of a batch that a tagger reads; the `inputs` of a `Model`."""
    names = ("words", "characters", "length", "tokens", "first")
    return tuple(batch[name] for name in names if name in batch)


def impossible(facts: Facts) -> tuple[tuple[bool, ...], ...]:
    """Returns element [i][j]: whether BIO tag j cannot follow tag i; () if tags mark no spans."""
    if not facts.spans:
        return ()
    rows = []
    for before in facts.classes:
        allowed = ("", f"I-{before[2:]}")
        rows.append(tuple(tag[:2] == "I-" and tag not in allowed for tag in facts.classes))
    return tuple(rows)


def continues(facts: Facts) -> np.ndarray:
    """Returns bool [tags, tags]; [i, j]: whether tag j continues the span of a preceding tag i."""
    tags = facts.classes
    return np.array(
        [[after[:1] == "I" and before[2:] == after[2:] for after in tags] for before in tags]
    ) & bool(facts.spans)


def chain_of(chain: Chain) -> tuple[Array, Array, Array, Array, Array]:
    """Returns emissions, transitions, start, end and length for `kernels.crf`, float32 or wider."""
    dtype = jnp.promote_types(chain.emissions.dtype, jnp.float32)
    emissions, transitions, start, end = (x.astype(dtype) for x in chain[:4])
    return emissions, transitions, start, end, chain.length


def loss(model: Chains, intent_weight: float = 1.0) -> Loss:
    """Returns the negative log-likelihood of a sentence's tags, and of its intent, in nats.

    It is the mean over sentences, not over words. Metric, in evaluation only: `accuracy`, of single
    words by the most probable sequence of tags. Accuracy of intents: see `evaluators`.

    Args:
        model: computes a `Chain` of a batch with `tags` int [batch, length], `length` int [batch],
            `mask` float [batch], and `label` int [batch] where the model has intents.
        intent_weight: factor of the intent's cross-entropy.
    """

    def negative_log_likelihood(
        params: Params, extra: Extra, batch: Batch, key: Array, train: bool
    ) -> Out:
        chain, extra = model(params, extra, batch, key, train)
        index_below("tags", chain.emissions.shape[-1])
        given = chain_of(chain)
        nats = crf.crf_loss(*given, batch["tags"])
        metrics = {}
        if chain.intents.shape[-1]:
            index_below("label", chain.intents.shape[-1])
            logits = chain.intents.astype(nats.dtype)
            xent = optax.softmax_cross_entropy_with_integer_labels(logits, batch["label"])
            nats = nats + intent_weight * xent
        if not train:
            position = jnp.arange(batch["tags"].shape[1])[None]
            weight = (position < batch["length"][:, None]) * batch["mask"][:, None]
            metrics["accuracy"] = mean(crf.viterbi(*given) == batch["tags"], weight)
        return Out(mean(nats, batch["mask"]), metrics, extra)

    return negative_log_likelihood


class Prediction(NamedTuple):
    """The predicted tags of a sentence.

    Attributes:
        tags: the tag of each word.
        probability: of each word's tag, float [words], a marginal of the CRF.
        spans: the spans that the tags mark, in words; [] where tags mark no spans.
        scores: probability of each span, with exactly its bounds and type.
        intent: the most likely intent; "" where there are none.
        intent_probability: of the intent; 0 where there are none.
    """

    tags: list[str]
    probability: np.ndarray
    spans: list[Span]
    scores: list[float]
    intent: str = ""
    intent_probability: float = 0.0


@dataclasses.dataclass(frozen=True, eq=False)
class Decoder:
    """Tags sentences with a trained model.

    Attributes:
        model: computes a `Chain`.
        facts: of the training data: `classes`, `spans`, `intents`, `length`.
    """

    model: Chains
    facts: Facts

    def decode(self, params: Params, extra: Extra, batch: Batch) -> dict[str, Array]:
        """Computes the most probable sequence of tags of each row of a batch.

        Returns:
            `tags` int32 [batch, length]; `probability` [batch, length], the marginal of each tag;
            `parts` [batch, length, 2], see `crf.span_scores`; `intents` [batch, intents],
            probabilities.
        """
        chain, _ = self.model(params, extra, batch, None, False)
        given = chain_of(chain)
        tags = crf.viterbi(*given)
        marginals = crf.marginals(*given)
        return {
            "tags": tags,
            "probability": jnp.take_along_axis(marginals, tags[..., None], -1)[..., 0],
            "parts": crf.span_scores(*given, tags, jnp.asarray(continues(self.facts))),
            "intents": jax.nn.softmax(chain.intents.astype(given[0].dtype), -1),
        }

    def predictions(
        self, found: Mapping[str, np.ndarray], lengths: Sequence[int]
    ) -> list[Prediction]:
        """Joins the rows of sentences; a sentence longer than a row has several.

        Args:
            found: what `decode` returned for consecutive rows, on the host.
            lengths: number of words of each sentence.

        Returns:
            A `Prediction` of each sentence. The probabilities of intents are means over its rows;
            the score of a span over several rows is the product of its parts.
        """
        size, row = self.facts.length, 0
        result: list[Prediction] = []
        for count in lengths:
            rows = slice(row, row + -(-count // size))
            row = rows.stop
            numbers = found["tags"][rows].reshape(-1)[:count]
            tags = [self.facts.classes[i] for i in numbers]
            probability = found["probability"][rows].reshape(-1)[:count]
            spans = spans_of(tags) if self.facts.spans else []
            scores = [_score(span, found["parts"][rows], size) for span in spans]
            intent, certain = "", 0.0
            if self.facts.intents and count:
                p = found["intents"][rows].mean(0)
                intent, certain = self.facts.intents[int(p.argmax())], float(p.max())
            result.append(Prediction(tags, probability, spans, scores, intent, certain))
        return result


def _score(span: Span, parts: np.ndarray, size: int) -> float:
    """The probability of a span; of one over several rows the product over them."""
    total, start = 0.0, span.start
    while start < span.end:
        stop = min(span.end, (start // size + 1) * size)
        row = parts[start // size]
        total += float(row[start % size, 0] + row[(stop - 1) % size, 1])
        start = stop
    return float(np.exp(min(total, 0.0)))


# cached, since several calls with one model share its compiled function
@functools.lru_cache(maxsize=1)
def compiled(
    decoder: Decoder,
) -> Callable[[Params, Extra, Mapping[str, np.ndarray]], dict[str, Array]]:
    """Returns `decoder.decode` compiled: (params, extra, batch) -> its arrays."""
    return jax.jit(decoder.decode)


def scored(
    predictions: Sequence[Prediction], source: TaggedSentences, facts: Facts
) -> dict[str, float]:
    """Scores predicted sentences.

    Args:
        predictions: one per sentence.
        source: with the true tags.
        facts: of the training data.

    Returns:
        With spans `f1`, `precision` and `recall` of whole spans, `f1_TYPE` (see `types_listed`),
        and `calibration_error` of their scores; else `accuracy_of_unknown`, of words that training
        lacks, and `calibration_error` of the probabilities of tags. With intents
        `intent_accuracy`, and `sentence_accuracy`, the fraction of sentences whose intent and tags
        are all right. Metrics without examples are left out.
    """
    truth = source.sentences
    result: dict[str, float] = {}
    if facts.spans:
        true = [spans_of(each.tags) for each in truth]
        overall, by_type = span_f1(true, [each.spans for each in predictions])
        result = {"f1": overall.f1, "precision": overall.precision, "recall": overall.recall}
        result |= {f"f1_{t}": by_type[t].f1 if t in by_type else 0.0 for t in types_listed(facts)}
        right = [
            span in set(spans)
            for each, spans in zip(predictions, true, strict=True)
            for span in each.spans
        ]
        certain = [score for each in predictions for score in each.scores]
    else:
        right = [
            guess == tag
            for each, sentence in zip(predictions, truth, strict=True)
            for guess, tag in zip(each.tags, sentence.tags, strict=True)
        ]
        certain = [float(p) for each in predictions for p in each.probability]
        unknown = source.arrays["words"] == 1
        if unknown.any():
            known = np.concatenate([row[row > 0] for row in source.arrays["words"]]) == 1
            result["accuracy_of_unknown"] = float(np.array(right)[known].mean())
    if certain:
        p = np.minimum(np.array(certain), 1.0)
        result["calibration_error"] = reliability(p, np.array(right)).error
    if facts.intents:
        pairs = list(zip(predictions, truth, strict=True))
        intent = [each.intent == sentence.label for each, sentence in pairs]
        tags = [each.tags == list(sentence.tags) for each, sentence in pairs]
        result["intent_accuracy"] = float(np.mean(intent))
        result["sentence_accuracy"] = float(np.mean(np.logical_and(intent, tags)))
    return result


def types_listed(facts: Facts) -> list[str]:
    """Lists the types of spans whose F1 is a metric: all, or none of more than `TYPES_LISTED`."""
    types = sorted({tag[2:] for tag in facts.classes if tag != OUTSIDE}) if facts.spans else []
    return types if len(types) <= TYPES_LISTED else []


def declared(facts: Facts) -> dict[str, Metric]:
    """Returns the direction of each metric of `scored`, by name."""
    names = ["f1", "precision", "recall", *(f"f1_{each}" for each in types_listed(facts))]
    higher = names if facts.spans else ["accuracy_of_unknown"]
    higher += ["intent_accuracy", "sentence_accuracy"] if facts.intents else []
    return {**dict.fromkeys(higher, Metric("higher")), "calibration_error": Metric("lower")}


def majority(train: TaggedSentences, source: TaggedSentences, facts: Facts) -> dict[str, float]:
    """Scores a baseline: each word's most frequent tag in training, and the most frequent intent.

    A word that training lacks gets the most frequent tag of all.

    Args:
        train: the training sentences.
        source: the sentences to score.
        facts: of the training data.

    Returns:
        `f1_of_majority` with spans, else `accuracy_of_majority`; with intents also
        `intent_accuracy_of_majority`.
    """
    counts: dict[str, collections.Counter[str]] = {}
    every: collections.Counter[str] = collections.Counter()
    for each in train.sentences:
        for word, tag in zip(each.words, each.tags, strict=True):
            counts.setdefault(word, collections.Counter())[tag] += 1
            every[tag] += 1
    best = {word: found.most_common(1)[0][0] for word, found in counts.items()}
    rest = every.most_common(1)[0][0]
    guesses = [[best.get(word, rest) for word in each.words] for each in source.sentences]
    truth = source.sentences
    if facts.spans:
        true, found = ([spans_of(t) for t in tags] for tags in ([s.tags for s in truth], guesses))
        result = {"f1_of_majority": span_f1(true, found)[0].f1}
    else:
        right = [
            a == b
            for tags, each in zip(guesses, truth, strict=True)
            for a, b in zip(tags, each.tags, strict=True)
        ]
        result = {"accuracy_of_majority": float(np.mean(right))}
    if facts.intents:
        intent = collections.Counter(each.label for each in train.sentences).most_common(1)[0][0]
        right = [each.label == intent for each in truth]
        result["intent_accuracy_of_majority"] = float(np.mean(right))
    return result


def evaluators(decoder: Decoder, splits: Splits) -> list[Evaluator]:
    """Evaluates `scored` on validation during training and on test at the end, and `majority`.

    Args:
        decoder: tags the sentences.
        splits: `TaggedSentences`.
    """
    facts = decoder.facts

    def made(split: str, every: Schedule) -> Evaluator:
        source = splits[split]

        def collect(state: State, batch: Batch) -> dict[str, Array]:
            return decoder.decode(state.params, state.extra, batch)

        def score(collected: Collected, split: str) -> dict[str, float]:
            lengths = [len(each.words) for each in source.sentences]  # type: ignore[attr-defined]
            predictions = decoder.predictions(collected, lengths)
            return scored(predictions, source, facts)  # type: ignore[arg-type]

        return Scored({split: source}, collect, score, declared(facts), every)

    names = ["f1_of_majority"] if facts.spans else ["accuracy_of_majority"]
    names += ["intent_accuracy_of_majority"] if facts.intents else []

    def baseline(state: State) -> dict[str, float]:
        return majority(splits.train, splits.test, facts)

    return [
        made("validation", "eval"),
        made("test", "end"),
        OfState("test", baseline, dict.fromkeys(names, Metric(None)), "end"),
    ]
