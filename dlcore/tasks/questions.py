"""Questions on texts: the loss of start and end, answers from windows, exact match and F1."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from dlcore.data.sets.question_windows import Question, QuestionWindows
from dlcore.metrics import questions as metrics
from dlcore.metrics.calibration import reliability
from dlcore.metrics.known import Metric
from dlcore.models.span_head import best_spans
from dlcore.tasks import question_baselines as baselines
from dlcore.train.model import Logits
from dlcore.train.step import Batch, Extra, Loss, Out, Params, mean

FIELDS = ("question", "context", "question_flags", "context_flags")
CHARACTERS = ("question_characters", "context_characters")


def inputs(batch: Batch, key: Array | None, train: bool) -> tuple[Array, ...]:
    """Returns those of `FIELDS` and `CHARACTERS` that a batch has; the `inputs` of a `Model`.

    They are arguments in this order. `key` and `train` are not used.
    """
    return tuple(batch[name] for name in (*FIELDS, *CHARACTERS) if name in batch)


def loss(model: Logits) -> Loss:
    """Returns the mean of the cross-entropies of the answer's first and last token, in nats.

    Metric: `window_accuracy`, the fraction of windows where both are predicted.

    Args:
        model: computes logits of start and of end, each [batch, length + 1], of a batch with
            `start` and `end`, int [batch], and `mask`; index 0 is "no answer in this window".
    """

    def cross_entropy(params: Params, extra: Extra, batch: Batch, key: Array, train: bool) -> Out:
        logits, extra = model(params, extra, batch, key, train)
        targets = batch["start"], batch["end"]
        each = [
            optax.softmax_cross_entropy_with_integer_labels(x.astype(jnp.float32), target)
            for x, target in zip(logits, targets, strict=True)
        ]
        right = [x.argmax(-1) == t for x, t in zip(logits, targets, strict=True)]
        accuracy = mean(right[0] & right[1], batch["mask"])
        return Out(
            mean((each[0] + each[1]) / 2, batch["mask"]), {"window_accuracy": accuracy}, extra
        )

    return cross_entropy


@dataclasses.dataclass(frozen=True)
class Found:
    """An answer that a reader found.

    Attributes:
        start, end: characters of the text, [start, end).
        probability: of this span in its window.
        answerable: probability that the text answers the question: 1 - p, with the smallest
            probability p of "no answer" of all windows.
    """

    start: int
    end: int
    probability: float
    answerable: float

    def text(self, question: Question, threshold: float) -> str:
        """Returns the answer as it occurs in the text; "" if `answerable` is below a threshold."""
        return "" if self.answerable < threshold else question.context[self.start : self.end]


def collect(
    model: Logits, params: Params, extra: Extra, batch: Batch, longest: int
) -> dict[str, Array]:
    """Computes the most probable span of each window.

    Args:
        model: computes logits of start and end, see `loss`.
        params, extra: of all models.
        batch: windows.
        longest: largest number of tokens of a span.

    Returns:
        `span` int [batch, 2], first and last token of the window's text, counted from 0;
        `log_probability` [batch], of the span; and `no_answer` [batch], the log-probability of "no
        answer"; both in nats.
    """
    (start, end), _ = model(params, extra, batch, None, False)
    span, best, none = best_spans(start, end, longest)
    return {"span": span, "log_probability": best, "no_answer": none}


def combined(windows: QuestionWindows, collected: Mapping[str, np.ndarray]) -> list[Found]:
    """Finds the most probable span of each question over all its windows.

    Args:
        windows: of questions; each question has at least one.
        collected: what `collect` returns for all windows, [windows, ...].

    Returns:
        One answer per question, in their order.
    """
    count = len(windows.questions)
    best, none = np.full(count, -1), np.zeros(count)
    for i, question in enumerate(windows.number):
        value = collected["log_probability"][i]
        if best[question] < 0 or value > collected["log_probability"][best[question]]:
            best[question] = i
        none[question] = min(none[question], collected["no_answer"][i])
    found = []
    for window, least in zip(best, none, strict=True):
        first, last = collected["span"][window]
        spans = windows.spans[window]
        start, end = int(spans[first, 0]), int(spans[last, 1])
        probability = float(np.exp(min(collected["log_probability"][window], 0.0)))
        answerable = float(-np.expm1(min(least, 0.0)))
        found.append(Found(start, max(start, end), probability, answerable))
    return found


def scores(
    questions: Sequence[Question], found: Sequence[Found], threshold: float
) -> dict[str, float]:
    """Computes exact match, F1 and further metrics of the answers to questions.

    Args:
        questions: at least one; `answers` is () where the text does not answer it.
        found: an answer to each.
        threshold: in [0, 1]; questions whose `Found.answerable` is below it get no answer ("").

    Returns:
        Each in [0, 1]: `exact_match` and `f1` (SQuAD's, as means over questions); `answered`, the
        fraction of questions with an answer; `f1_of_surest_half`, of the half of the questions with
        the highest `Found.probability`; `calibration_error`, of that probability as the probability
        of an exact match, over answered questions, if there are any; `sentence_hit`, the fraction
        of questions with true answers, if there are any, where the sentence in which the found span
        begins contains one, whatever the threshold; and where questions have no true answer
        `no_answer_recall`, the fraction of these without an answer, and
        `answerable_calibration_error`, of `Found.answerable` over all questions.
    """
    answers = [each.text(q, threshold) for q, each in zip(questions, found, strict=True)]
    each = list(zip(answers, questions, strict=True))
    exact = np.array([metrics.exact_match(answer, q.answers) for answer, q in each])
    f1 = np.array([metrics.f1(answer, q.answers) for answer, q in each])
    given = np.array([answer != "" for answer in answers])
    surest = np.argsort([-a.probability for a in found], kind="stable")[: max(1, len(found) // 2)]
    result = {
        "exact_match": float(exact.mean()),
        "f1": float(f1.mean()),
        "answered": float(given.mean()),
        "f1_of_surest_half": float(f1[surest].mean()),
    }
    if given.any():
        probability = np.array([a.probability for a in found])
        result["calibration_error"] = reliability(probability[given], exact[given] > 0).error
    with_answer = [(q, a) for q, a in zip(questions, found, strict=True) if q.answers]
    if with_answer:
        hits = [hit(q, sentence_of(q.context, a.start)) for q, a in with_answer]
        result["sentence_hit"] = float(np.mean(hits))
    if len(with_answer) < len(questions):
        without = np.array([not q.answers for q in questions])
        result["no_answer_recall"] = float((~given[without]).mean())
        answerable = np.array([a.answerable for a in found])
        result["answerable_calibration_error"] = reliability(answerable, ~without).error
    return result


def best_threshold(questions: Sequence[Question], found: Sequence[Found]) -> float:
    """Chooses the threshold of `scores` with the largest F1; 0 if all questions have an answer.

    Args:
        questions: as of `scores`.
        found: an answer to each.
    """
    if all(question.answers for question in questions):
        return 0.0
    pairs = list(zip(questions, found, strict=True))
    answered, unanswered = (
        np.array([metrics.f1(text, question.answers) for question, text in every])
        for every in ([(q, each.text(q, 0.0)) for q, each in pairs], [(q, "") for q, _ in pairs])
    )
    return metrics.best_threshold(np.array([a.answerable for a in found]), answered, unanswered)


def sentence_of(context: str, start: int) -> tuple[int, int]:
    """Finds the sentence of a text that contains the character `start`.

    Returns:
        Its characters, [start, end); those of the whole text where it is after the last sentence.
    """
    for found in baselines.sentences(context):
        if start < found[1]:
            return found
    return (0, len(context))


def hit(question: Question, span: tuple[int, int]) -> bool:
    """Returns whether a span of characters contains a true answer at its annotated position."""
    pairs = zip(question.answers, question.starts, strict=True)
    return any(span[0] <= start and start + len(a) <= span[1] for a, start in pairs)


BASELINES = {
    "sliding_window_exact_match": Metric(None, baseline_of="exact_match"),
    "sliding_window_f1": Metric(None, baseline_of="f1"),
    "tfidf_sentence_f1": Metric(None, baseline_of="f1"),
    "tfidf_sentence_hit": Metric(None, baseline_of="sentence_hit"),
}


def baseline_scores(train: QuestionWindows, test: QuestionWindows) -> dict[str, float]:
    """Computes exact match and F1 of a sliding window, F1 and hits of the most similar sentence.

    Args:
        train: windows of questions, from whose texts the rarity of words is computed.
        test: questions to answer; those without a true answer are left out.

    Returns:
        {metric: value} of `BASELINES`, each in [0, 1]; {} where no question has a true answer.
    """
    rare = baselines.rarity(sorted({each.context for each in train.questions}))
    answerable = [each for each in test.questions if each.answers]
    if not answerable:
        return {}
    references = [each.answers for each in answerable]
    spans = [baselines.sliding_window(each, rare) for each in answerable]
    lines = [baselines.likeliest_sentence(each, rare) for each in answerable]
    window = metrics.scores(_texts(answerable, spans), references)
    sentence = metrics.scores(_texts(answerable, lines), references)
    hits = [hit(each, span) for each, span in zip(answerable, lines, strict=True)]
    return {
        "sliding_window_exact_match": window.exact_match,
        "sliding_window_f1": window.f1,
        "tfidf_sentence_f1": sentence.f1,
        "tfidf_sentence_hit": float(np.mean(hits)),
    }


def _texts(questions: Sequence[Question], spans: Sequence[tuple[int, int]]) -> list[str]:
    return [q.context[a:b] for q, (a, b) in zip(questions, spans, strict=True)]
