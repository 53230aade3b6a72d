"""Samples of a tagger: texts with highlighted spans, scores by type, mistakes, calibration."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jax import Array

from dlcore.data.own.tagged import Tagged
from dlcore.data.sets.tagged import TaggedSentences
from dlcore.data.stream import in_order
from dlcore.data.tag_schemes import Span as WordSpan
from dlcore.data.tag_schemes import spans_of
from dlcore.metrics.spans import span_f1
from dlcore.samples import Part, PartWriter, Plot, Sample, Span, Table
from dlcore.samples.parts import TEXT_SPANS
from dlcore.tasks.confusion import by_class, confusions, digits
from dlcore.tasks.reliability import diagram
from dlcore.tasks.tagging import Decoder, compiled
from dlcore.tasks.tagging_scores import Prediction
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
        """Writes the text and returns one part "text".

        It ends, and says so, before the first of the spans that are more than `TEXT_SPANS`.
        """
        if len(self.spans) <= TEXT_SPANS:
            return [files.text(self.text, self.spans)]
        end = sorted(span.start for span in self.spans)[TEXT_SPANS]
        kept = [span for span in self.spans if span.end <= end]
        rest = f"{len(self.text) - end:,} characters with {len(self.spans) - len(kept):,} spans"
        return [files.text(f"{self.text[:end]}\n[... {rest} are left out]", kept)]


def characters_of(sentence: Tagged, span: WordSpan) -> tuple[int, int]:
    """Converts a span of words to characters [start, end) of the sentence's text."""
    return sentence.offsets[span.start][0], sentence.offsets[span.end - 1][1]


def predicted(decoder: Decoder, state: State, source: TaggedSentences) -> list[Prediction]:
    """Tags the sentences of a source.

    Args:
        decoder: tags the sentences.
        state: trained parameters.
        source: the sentences.

    Returns:
        A prediction of each, in order.
    """
    size = min(_BATCH, len(source))
    run = compiled(decoder)
    chunks = [
        run(state.params, state.extra, batch) for batch in in_order(source, size, np.arange(size))
    ]
    found = {k: np.concatenate([np.asarray(chunk[k]) for chunk in chunks]) for k in chunks[0]}
    return decoder.predictions(found, [len(each.words) for each in source.sentences])


def samples(
    decoder: Decoder, source: TaggedSentences, shown: int = 30
) -> Callable[[State, Array], list[Sample]]:
    """Shows tagged test sentences, and tables of all of them.

    Args:
        decoder: tags the sentences.
        source: the sentences.
        shown: number of first sentences whose text is shown.

    Returns:
        (state, key) -> where tags mark spans: the texts with predicted spans, wrong and missed ones
        marked; and a table of scores by type. Else the texts with predicted tags, wrong ones
        marked, a table of scores by tag, and the confusions of tags; words whose true tag training
        lacks are in the texts only. Then a table of the at most 20 mistakes of the highest
        probability (left out if there are none) and a reliability diagram (left out if no span is
        predicted); with intents their scores, confusions and reliability diagram. The key is not
        used.
    """

    def draw(state: State, key: Array) -> list[Sample]:
        found, facts = predicted(decoder, state, source), decoder.facts
        of = _of_spans if facts.spans else _of_words
        drawn = of(found, source.sentences, facts.classes, shown)
        return [*drawn, *(_of_intents(found, source.sentences) if facts.intents else ())]

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
        more.append(_calibration("Calibration", certain, right))
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


def _calibration(name: str, p: Sequence[float], right: Sequence[bool]) -> Plot:
    axes = "predicted probability", "fraction that is right"
    return diagram(name, *axes, {"predictions": (p, right)})


def _of_words(
    found: Sequence[Prediction], sentences: Sequence[Tagged], classes: Sequence[str], shown: int
) -> list[Sample]:
    number = {name: i for i, name in enumerate(classes)}
    true, guess, p = list[int](), list[int](), list[float]()
    rows: list[tuple[str, str, str, str, float]] = []
    for prediction, sentence in zip(found, sentences, strict=True):
        each = zip(
            sentence.words, prediction.tags, sentence.tags, prediction.probability, strict=True
        )
        for word, ours, theirs, probability in each:
            if theirs not in number:
                continue
            true.append(number[theirs])
            guess.append(number[ours])
            p.append(float(probability))
            if ours != theirs:
                rows.append((sentence.text, word, ours, theirs, digits(probability)))
    marked = _marked_words(found[:shown], sentences[:shown], number)
    if not true:
        return [marked]
    rows.sort(key=lambda row: -row[4])
    header = ("sentence", "word", "predicted", "true", "probability")
    mistakes = [Table("The most certain wrong tags", header, tuple(rows[:20]))] if rows else []
    right = [a == b for a, b in zip(true, guess, strict=True)]
    return [
        marked,
        by_class("Test words", np.array(true), np.array(guess), classes),
        confusions("Test words", np.array(true), np.array(guess), classes),
        *mistakes,
        _calibration("Calibration", p, right),
    ]


def _marked_words(
    found: Sequence[Prediction], sentences: Sequence[Tagged], number: Mapping[str, int]
) -> MarkedText:
    text, marks = "", []
    for prediction, sentence in zip(found, sentences, strict=True):
        each = zip(sentence.offsets, prediction.tags, sentence.tags, strict=True)
        for (start, end), ours, theirs in each:
            right = ours == theirs
            label = ours if right else f"{ours}, truly {theirs}"
            colour = number[ours] if right else "wrong"
            marks.append(Span(len(text) + start, len(text) + end, label, colour))
        text += f"{sentence.text}\n"
    return MarkedText("Test sentences with their tags", text, tuple(marks))


def _of_intents(found: Sequence[Prediction], sentences: Sequence[Tagged]) -> list[Sample]:
    pairs = [(each.label, guess.intent) for each, guess in zip(sentences, found, strict=True)]
    names = sorted({name for pair in pairs for name in pair})
    true, guess = np.array([[names.index(name) for name in pair] for pair in pairs]).T
    p = [each.intent_probability for each in found]
    return [
        by_class("Test intents", true, guess, names),
        confusions("Test intents", true, guess, names),
        _calibration("Calibration of intents", p, [a == b for a, b in pairs]),
    ]
