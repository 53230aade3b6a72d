"""Scores of tagged sentences: whole spans by type, words, intents, and the commonest tags."""

from __future__ import annotations

import collections
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from dlcore.data.facts import Facts
from dlcore.data.sets.tagged import TaggedSentences
from dlcore.data.tag_schemes import OUTSIDE, Span, spans_of
from dlcore.metrics.calibration import reliability
from dlcore.metrics.known import Metric
from dlcore.metrics.spans import span_f1

TYPES_LISTED = 10  # with more types of spans F1 by type is in a table only, and no metric


class Prediction(NamedTuple):
    """The predicted tags of a sentence.

    Attributes:
        tags: the tag of each word.
        probability: of each word's tag, float [words], a marginal of the CRF.
        spans: the spans that the tags mark, in words; [] where tags mark no spans.
        scores: probability of each span: of its tags, and of no tag after them that continues it.
        intent: the most likely intent; "" where the model has no intents or the sentence no words.
        intent_probability: of `intent`; 0 where that is "".
    """

    tags: list[str]
    probability: np.ndarray
    spans: list[Span]
    scores: list[float]
    intent: str = ""
    intent_probability: float = 0.0


def scored(
    predictions: Sequence[Prediction], source: TaggedSentences, facts: Facts
) -> dict[str, float]:
    """Scores predicted sentences.

    Args:
        predictions: one per sentence.
        source: with the true tags.
        facts: of the training data.

    Returns:
        With spans `f1`, `precision` and `recall` of whole spans, `f1_TYPE` (see `types_listed`; 0
        without a span of the type), and `calibration_error` of their scores; else
        `accuracy_of_unknown`, of words that the vocabulary lacks (in the spelling of
        `sets.tagged.normal`, those that occur in training less often than `rarest`), and
        `calibration_error` of the probabilities of tags. With intents `intent_accuracy`,
        `intent_calibration_error`, and `sentence_accuracy`, the fraction of sentences whose intent
        and tags are all right.
        `calibration_error` is left out without predictions, `accuracy_of_unknown` without such
        words.
    """
    truth = source.sentences
    result: dict[str, float] = {}
    if facts.spans:
        true = [spans_of(each.tags) for each in truth]
        result = _of_spans(true, [each.spans for each in predictions], facts)
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
        result = _of_unknown(source, right)
    if certain:
        p = np.minimum(np.array(certain), 1.0)
        result["calibration_error"] = reliability(p, np.array(right)).error
    if facts.intents:
        pairs = list(zip(predictions, truth, strict=True))
        intent = [each.intent == sentence.label for each, sentence in pairs]
        tags = [each.tags == list(sentence.tags) for each, sentence in pairs]
        result["intent_accuracy"] = float(np.mean(intent))
        p = np.minimum([each.intent_probability for each in predictions], 1.0)
        result["intent_calibration_error"] = reliability(p, np.array(intent)).error
        result["sentence_accuracy"] = float(np.mean(np.logical_and(intent, tags)))
    return result


def types_listed(facts: Facts) -> list[str]:
    """Lists the types of spans whose F1 is a metric of its own, sorted.

    They are all types; [] where there are more than `TYPES_LISTED`, or where tags mark no spans.
    """
    types = sorted({tag[2:] for tag in facts.classes if tag != OUTSIDE}) if facts.spans else []
    return types if len(types) <= TYPES_LISTED else []


def declared(facts: Facts) -> dict[str, Metric]:
    """Returns the direction of each metric of `scored`, by name."""
    names = ["f1", "precision", "recall", *(f"f1_{each}" for each in types_listed(facts))]
    higher = names if facts.spans else ["accuracy_of_unknown"]
    higher += ["intent_accuracy", "sentence_accuracy"] if facts.intents else []
    lower = ["calibration_error", *(["intent_calibration_error"] if facts.intents else [])]
    return {**dict.fromkeys(higher, Metric("higher")), **dict.fromkeys(lower, Metric("lower"))}


def majority(train: TaggedSentences, source: TaggedSentences, facts: Facts) -> dict[str, float]:
    """Scores a baseline: each word's most frequent tag in training, and the most frequent intent.

    A word that training lacks gets the most frequent tag of all.

    Args:
        train: the training sentences.
        source: the sentences to score.
        facts: of the training data.

    Returns:
        The metrics of `baselines`. `accuracy_of_unknown_of_majority` is left out where `source` has
        no such words.
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
    pairs = list(zip(guesses, source.sentences, strict=True))
    right = [a == b for tags, each in pairs for a, b in zip(tags, each.tags, strict=True)]
    result = {"accuracy": float(np.mean(right))}
    if facts.spans:
        true = [spans_of(each.tags) for each in source.sentences]
        result |= _of_spans(true, [spans_of(tags) for tags in guesses], facts)
    else:
        result |= _of_unknown(source, right)
    if facts.intents:
        intent = collections.Counter(each.label for each in train.sentences).most_common(1)[0][0]
        same = [each.label == intent for each in source.sentences]
        tags_right = [tags == list(each.tags) for tags, each in pairs]
        result["intent_accuracy"] = float(np.mean(same))
        result["sentence_accuracy"] = float(np.mean(np.logical_and(same, tags_right)))
    return {f"{name}_of_majority": value for name, value in result.items()}


def baselines(facts: Facts) -> dict[str, Metric]:
    """Returns the metrics of `majority`, by name, which are baselines.

    They are `accuracy`, of words, and those of `scored` but errors of calibration, since no
    probabilities are predicted; each with the suffix `_of_majority`.
    """
    names = [name for name, metric in declared(facts).items() if metric.better == "higher"]
    names.append("accuracy")
    return {f"{name}_of_majority": Metric(None, baseline_of=name) for name in names}


def _of_spans(
    true: Sequence[Sequence[Span]], found: Sequence[Sequence[Span]], facts: Facts
) -> dict[str, float]:
    """Precision, recall and F1 of spans, and F1 by type."""
    overall, by_type = span_f1(true, found)
    return {
        **{"f1": overall.f1, "precision": overall.precision, "recall": overall.recall},
        **{f"f1_{t}": by_type[t].f1 if t in by_type else 0.0 for t in types_listed(facts)},
    }


def _of_unknown(source: TaggedSentences, right: Sequence[bool]) -> dict[str, float]:
    """The accuracy of words that the vocabulary lacks; {} without such words."""
    unknown = source.arrays["words"] == 1
    if not unknown.any():
        return {}
    known = np.concatenate([row[row > 0] for row in source.arrays["words"]]) == 1
    return {"accuracy_of_unknown": float(np.array(right)[known].mean())}
