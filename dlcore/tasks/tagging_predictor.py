"""Tags of a user's texts: spans with offsets, parts of speech, intents."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dlcore.bounds import Probability
from dlcore.data.own.tag_columns import is_columns, words_in
from dlcore.data.own.tagged import Tagged, of_text, of_words
from dlcore.data.sets.tagged import Encoder
from dlcore.data.tag_schemes import OUTSIDE
from dlcore.errors import UsageError
from dlcore.samples import Sample, Span
from dlcore.tasks.tagging import Decoder, compiled
from dlcore.tasks.tagging_samples import MarkedText, characters_of
from dlcore.tasks.tagging_scores import Prediction
from dlcore.train.predictor import Answer
from dlcore.train.step import State


@dataclasses.dataclass(frozen=True)
class TagOptions:
    """Flags of `dlcore predict` for a tagger."""

    least: Probability = 0.0
    """smallest probability of the spans that are listed"""


@dataclasses.dataclass(frozen=True, eq=False)
class TagPredictor:
    """Tags texts.

    Attributes:
        decoder: tags sentences.
        options: flags of `dlcore predict`.
    """

    decoder: Decoder
    options: TagOptions = dataclasses.field(default_factory=TagOptions)
    reads = "lines"
    takes = (
        "text files, tables and JSON lines with `text`, files of CoNLL columns, --text TEXT, or -"
        " for lines of text in standard input"
    )

    def items(self, files: Sequence[Path], text: Sequence[str]) -> list[Tagged]:
        """Splits each text into words; `files` is not used."""
        return [of_text(each) for each in text]

    def in_file(self, file: Path, problems: list[str]) -> Iterable[tuple[int, list[str]]] | None:
        """Reads the sentences of CoNLL columns, by `tag_columns.words_in`; None for other files."""
        known = is_columns(file, self.decoder.facts.classes)
        return words_in(file, problems) if known else None

    def item(self, value: object) -> Tagged:
        """Splits a text into words; a list of words is a sentence as it is.

        Raises:
            UsageError: it is neither.
        """
        if isinstance(value, str):
            return of_text(value)
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise UsageError("a sentence is a text or a list of words: give one")
        return of_words(value, [OUTSIDE] * len(value))

    def batch(self, state: State, items: Sequence[Tagged]) -> list[Answer]:
        """Answers a batch of texts.

        Args:
            state: trained parameters.
            items: as `items` returned them.

        Returns:
            ({"text", "spans": [{"start", "end", "label", "text", "score"}]}, the marked text) of
            each. Spans with a score below `options.least` are left out. Offsets count characters
            (code points) of the text as it was given, "end" exclusive; a score is the probability
            of its tags, and of no tag after them that continues the span. Where tags mark no spans,
            there is "words": [{"start", "end", "word", "tag", "probability"}] instead; where the
            model has intents and the text has words, also "intent" and "intent_probability".
        """
        found = self._decoded(state, [each.words for each in items if each.words], len(items))
        predictions = iter(
            self.decoder.predictions(found, [len(each.words) for each in items if each.words])
        )
        empty = Prediction([], np.zeros(0), [], [])
        return [self._answer(each, next(predictions) if each.words else empty) for each in items]

    def _decoded(
        self, state: State, texts: Sequence[Sequence[str]], size: int
    ) -> dict[str, np.ndarray]:
        """All rows, `size` at a time, so that one program is compiled for all texts."""
        if not texts:
            return {}
        rows = self._encoder.encode(texts)
        count = len(rows["length"])
        chunks = []
        for start in range(0, count, size):
            index = np.minimum(np.arange(start, start + size), count - 1)
            batch = {name: array[index] for name, array in rows.items()}
            chunks.append(compiled(self.decoder)(state.params, state.extra, batch))
        return {k: np.concatenate([np.asarray(chunk[k]) for chunk in chunks]) for k in chunks[0]}

    def _answer(self, item: Tagged, prediction: Prediction) -> Answer:
        answer: dict[str, Any] = {"text": item.text}
        facts = self.decoder.facts
        if facts.intents and prediction.intent:
            answer["intent"] = prediction.intent
            answer["intent_probability"] = round(prediction.intent_probability, 6)
        if facts.spans:
            entries = self._spans(item, prediction)
            answer["spans"] = entries
            marks = [(each["start"], each["end"], each["label"]) for each in entries]
        else:
            entries = _words(item, prediction)
            answer["words"] = entries
            marks = [(each["start"], each["end"], each["tag"]) for each in entries]
        return answer, self._sample(item, marks)

    def _spans(self, item: Tagged, prediction: Prediction) -> list[dict[str, Any]]:
        entries = []
        for span, score in zip(prediction.spans, prediction.scores, strict=True):
            if score < self.options.least:
                continue
            start, end = characters_of(item, span)
            place = {"start": start, "end": end, "label": span.type}
            entries.append({**place, "text": item.text[start:end], "score": round(score, 6)})
        return entries

    def _sample(self, item: Tagged, marks: Sequence[tuple[int, int, str]]) -> Sample:
        names = self.decoder.facts.classes
        kinds = sorted({name[2:] for name in names}) if self.decoder.facts.spans else names
        spans = tuple(Span(start, end, name, kinds.index(name)) for start, end, name in marks)
        return MarkedText("Predicted", item.text, spans)

    def line(self, answer: Mapping[str, Any]) -> str:
        """Formats an answer: the intent and the spans with their scores, or the words with tags."""
        parts = []
        if "intent" in answer:
            parts.append(f"{answer['intent']} {answer['intent_probability']:.0%}")
        parts += [f"{s['label']}: {s['text']} {s['score']:.0%}" for s in answer.get("spans", ())]
        if "words" in answer:
            parts.append(" ".join(f"{word['word']}/{word['tag']}" for word in answer["words"]))
        return "; ".join(parts) or "no spans"

    @functools.cached_property
    def _encoder(self) -> Encoder:
        return Encoder.of(self.decoder.facts)


def _words(item: Tagged, prediction: Prediction) -> list[dict[str, Any]]:
    entries = []
    rows = zip(item.words, item.offsets, prediction.tags, prediction.probability, strict=True)
    for word, (start, end), tag, p in rows:
        place = {"start": start, "end": end, "word": word, "tag": tag}
        entries.append({**place, "probability": round(min(float(p), 1.0), 6)})
    return entries


def predictor(decoder: Decoder) -> TagPredictor:
    """Returns the predictor of a tagger.

    Args:
        decoder: tags sentences.
    """
    return TagPredictor(decoder)
