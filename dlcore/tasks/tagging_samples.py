"""Samples of a tagger: texts with highlighted spans, scores by type, mistakes, calibration."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jax import Array

from dlcore.data.own.tagged import Tagged
from dlcore.data.sets.tagged import TaggedSentences
from dlcore.data.stream import in_order
from dlcore.data.tag_schemes import Span as WordSpan
from dlcore.data.tag_schemes import spans_of
from dlcore.metrics.calibration import reliability
from dlcore.metrics.spans import span_f1
from dlcore.samples import Part, PartWriter, Plot, Sample, Series, Span, Table
from dlcore.tasks.confusion import confusions, digits
from dlcore.tasks.tagging import Decoder, Prediction, compiled
from dlcore.train.step import State

_BATCH = 64


@dataclasses.dataclass(frozen=True)
class MarkedText:
    """A text with marked spans.

    Attributes:
        title: heading.
        text: the characters.
        spans: marked ranges of characters.
    """

    title: str
    text: str
    spans: tuple[Span, ...]

    def parts(self, files: PartWriter) -> list[Part]:
        """Writes the text and returns one part "text"."""
        return [files.text(self.text, self.spans)]


def characters_of(sentence: Tagged, span: WordSpan) -> tuple[int, int]:
    """Converts a span of words to characters [start, end) of the sentence's text."""
    return sentence.offsets[span.start][0], sentence.offsets[span.end - 1][1]


def predicted(
    decoder: Decoder, state: State, source: TaggedSentences, count: int
) -> list[Prediction]:
    """Tags the first `count` sentences of a source.

    Args:
        decoder: tags the sentences.
        state: trained parameters.
        source: the sentences.
        count: largest number of sentences.

    Returns:
        A prediction of each, in order.
    """
    rows = sum(source.rows[:count])
    chunks = []
    size = min(_BATCH, len(source))
    for number, batch in enumerate(in_order(source, size, np.arange(size))):
        if number * size >= rows:
            break
        chunks.append(compiled(decoder)(state.params, state.extra, batch))
    found = {k: np.concatenate([np.asarray(chunk[k]) for chunk in chunks]) for k in chunks[0]}
    return decoder.predictions(found, [len(each.words) for each in source.sentences[:count]])


def samples(
    decoder: Decoder, source: TaggedSentences, count: int = 500, shown: int = 30
) -> Callable[[State, Array], list[Sample]]:
    """Shows tagged test sentences.

    Args:
        decoder: tags the sentences.
        source: the sentences.
        count: number of first sentences over which tables and diagrams are computed.
        shown: number of first sentences whose text is shown.

    Returns:
        (state, key) -> where tags mark spans: the texts with predicted spans, wrong and missed ones
        marked; scores by type; the most certain mistakes; and a reliability diagram. Else the
        confusions of tags, the most certain mistakes and a reliability diagram.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        found = predicted(decoder, state, source, count)
        sentences = source.sentences[: len(found)]
        if decoder.facts.spans:
            return _of_spans(found, sentences, decoder.facts.classes, shown)
        return _of_words(found, sentences, decoder.facts.classes)

    return draw


def _of_spans(
    found: Sequence[Prediction], sentences: Sequence[Tagged], classes: Sequence[str], shown: int
) -> list[Sample]:
    true = [spans_of(each.tags) for each in sentences]
    overall, by_type = span_f1(true, [each.spans for each in found])
    rows = [("all", overall), *by_type.items()]
    cells = tuple(
        (name, digits(s.precision), digits(s.recall), digits(s.f1), s.true, s.predicted)
        for name, s in rows
    )
    header = ("type", "precision", "recall", "f1", "true spans", "predicted spans")
    wrong: list[tuple[str, str, str, float]] = []
    for prediction, sentence, spans in zip(found, sentences, true, strict=True):
        for span, score in zip(prediction.spans, prediction.scores, strict=True):
            if span not in spans:
                start, end = characters_of(sentence, span)
                wrong.append((sentence.text, sentence.text[start:end], span.type, digits(score)))
    wrong.sort(key=lambda row: -row[3])
    certain = [score for each in found for score in each.scores]
    right = [span in spans for each, spans in zip(found, true, strict=True) for span in each.spans]
    more: list[Sample] = []
    if wrong:
        mistakes = ("sentence", "predicted span", "as", "score")
        more.append(Table("The most certain wrong spans", mistakes, tuple(wrong[:20])))
    if certain:
        more.append(_calibration(np.minimum(certain, 1.0), np.array(right)))
    types = sorted({name[2:] for name in classes if "-" in name})
    text = _marked(list(zip(found, sentences, true, strict=True))[:shown], types)
    return [text, Table("Test spans by type", header, cells), *more]


def _marked(
    rows: Sequence[tuple[Prediction, Tagged, list[WordSpan]]], types: Sequence[str]
) -> MarkedText:
    text, marks = "", []
    for prediction, sentence, true in rows:
        both = [(span, "missed ") for span in true if span not in prediction.spans]
        both += [(span, "") for span in prediction.spans]
        for span, note in both:
            start, end = (len(text) + at for at in characters_of(sentence, span))
            wrong = note or span not in true
            label = f"{note}{span.type}" if note or not wrong else f"{span.type}, wrong"
            colour = "wrong" if wrong else types.index(span.type)
            marks.append(Span(start, end, label, colour))
        text += f"{sentence.text}\n"
    return MarkedText("Test sentences with their spans", text, tuple(marks))


def _calibration(p: np.ndarray, right: np.ndarray) -> Plot:
    bins = reliability(p, right)
    axis = np.array([0.0, 1.0])
    series = (
        Series("observed", bins.predicted, bins.observed),
        Series("perfectly calibrated", axis, axis),
    )
    title = f"Calibration (error {bins.error:.3f})"
    return Plot(title, "predicted probability", "fraction that is right", series)


def _of_words(
    found: Sequence[Prediction], sentences: Sequence[Tagged], classes: Sequence[str]
) -> list[Sample]:
    number = {name: i for i, name in enumerate(classes)}
    true, guess, p, rows = [], [], [], []
    for prediction, sentence in zip(found, sentences, strict=True):
        each = zip(
            sentence.words, prediction.tags, sentence.tags, prediction.probability, strict=True
        )
        for word, ours, theirs, probability in each:
            if theirs not in number:
                continue
            true.append(number[theirs])
            guess.append(number[ours])
            p.append(min(float(probability), 1.0))
            if ours != theirs:
                rows.append((sentence.text, word, ours, theirs, digits(probability)))
    rows.sort(key=lambda row: -row[4])
    counted = confusions("Test words", np.array(true), np.array(guess), classes)
    header = ("sentence", "word", "predicted", "true", "probability")
    mistakes = [Table("The most certain wrong tags", header, tuple(rows[:20]))] if rows else []
    return [counted, *mistakes, _calibration(np.array(p), np.array(true) == np.array(guess))]
