"""Tagging: scores of spans by enumeration, offsets into texts, baselines, batched answers."""

from __future__ import annotations

import dataclasses
import functools
import itertools
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from dlcore.data.facts import Facts
from dlcore.data.own.tagged import of_words
from dlcore.data.tag_schemes import spans_of
from dlcore.errors import UsageError
from dlcore.export import answers
from dlcore.export.answers import Input
from dlcore.models.tagger import Chain
from dlcore.samples import PartWriter, Span
from dlcore.samples.parts import TEXT_SPANS
from dlcore.tasks import tagging, tagging_predictor, tagging_samples
from dlcore.tasks.tagging_scores import Prediction
from dlcore.train.predictor import readable, with_options
from tests.tasks.test_predictors import untrained

KEY = jax.random.key(0)
TAGS = ["O", "B-X", "I-X"]
FACTS = Facts(classes=TAGS, spans=True, intents=[], length=5)


def test_tags_of_spans_cannot_follow_any_other() -> None:
    assert tagging.impossible(FACTS) == ((False, False, True), (False,) * 3, (False,) * 3)
    follows = [False, False, True]
    assert tagging.continues(FACTS).tolist() == [[False] * 3, follows, follows]
    assert tagging.impossible(FACTS.with_facts(spans=False)) == ()


@pytest.mark.slow
def test_the_score_of_a_span_is_its_probability() -> None:
    """By enumeration of all tag sequences in which the span begins and ends where it does."""
    random = np.random.default_rng(2)
    scores = [random.normal(size=shape).astype(np.float32) for shape in ((1, 5, 3), (3, 3), 3, 3)]
    scores[1][0, 2] = -30
    chain = Chain(*map(jax.numpy.asarray, (*scores, np.array([5]), np.zeros((1, 0), np.float32))))
    decoder = tagging.Decoder(lambda *_: (chain, {}), FACTS)
    decoded = jax.jit(lambda: decoder.decode({}, {}, {}))()
    found = {k: np.asarray(v) for k, v in decoded.items()}
    (prediction,) = decoder.predictions(found, [5])
    e, moves, start, end = scores
    weights = {}
    for y in itertools.product(range(3), repeat=5):
        steps = sum(moves[a, b] for a, b in itertools.pairwise(y))
        score = start[y[0]] + end[y[-1]] + steps + sum(e[0, t, tag] for t, tag in enumerate(y))
        weights[y] = np.exp(np.float64(score))
    total = sum(weights.values())
    best = max(weights, key=lambda y: weights[y])
    assert prediction.tags == [TAGS[i] for i in best]
    assert prediction.spans
    for span, score in zip(prediction.spans, prediction.scores, strict=True):
        inside = range(span.start, span.end)
        p = sum(
            weight
            for y, weight in weights.items()
            if all(y[t] == best[t] for t in inside) and (span.end == 5 or y[span.end] != 2)
        )
        assert score == pytest.approx(p / total, rel=1e-4)
    for t, p in enumerate(prediction.probability):
        of_tag = sum(weight for y, weight in weights.items() if y[t] == best[t])
        assert p == pytest.approx(of_tag / total, rel=1e-4)


@pytest.mark.slow
def test_what_training_lacks_is_wrong_and_not_in_the_loss_of_evaluation() -> None:
    zeros, tags = [jax.numpy.zeros(n) for n in ((2, 2, 2), (2, 2), 2, 2)], [[0, -1], [1, 0]]
    chain = Chain(*zeros, jax.numpy.array([2, 1]), jax.numpy.zeros((2, 0)))
    batch = {"tags": np.array(tags), "length": np.array([2, 1]), "mask": np.ones(2)}
    batch["label"] = np.array([0, -1])

    @functools.partial(jax.jit, static_argnums=(0, 1))
    def out(intents: int, train: bool) -> Any:
        of = chain._replace(intents=jax.numpy.zeros((2, intents)))
        return tagging.loss(lambda *_: (of, {}))({}, {}, batch, KEY, train)

    found = out(0, False)
    assert found.loss == pytest.approx((np.log(2), 1))
    assert found.metrics["accuracy"] == (1, 3)
    assert out(3, False).loss.weight == 0
    assert out(0, True).loss.weight == 2


@pytest.mark.slow
def test_the_loss_adds_the_intent_with_its_weight() -> None:
    zeros = [jax.numpy.zeros(n) for n in ((2, 2, 2), (2, 2), 2, 2)]
    logits = jax.numpy.log(jax.numpy.array([[1.0, 1.0, 2.0], [1.0, 1.0, 2.0]]))
    chain = Chain(*zeros, jax.numpy.array([2, 1]), logits)
    batch = {"tags": np.array([[0, 1], [1, 0]]), "length": np.array([2, 1]), "mask": np.ones(2)}
    batch["label"] = np.array([0, 2])
    out = tagging.loss(lambda *_: (chain, {}), 0.5)({}, {}, batch, KEY, True)
    # three words of two equally likely tags, and intents of probabilities 1/4 and 1/2
    expected = 3 * np.log(2) + 0.5 * (np.log(4) + np.log(2))
    assert out.loss == pytest.approx((expected, 2), rel=1e-5)


def test_a_text_of_too_many_spans_ends_before_them(tmp_path: Path) -> None:
    text = "ab " * (TEXT_SPANS + 2)
    spans = tuple(Span(i, i + 2, "x", 0) for i in range(0, len(text), 3))
    for count in (TEXT_SPANS, TEXT_SPANS + 2):
        shown = tagging_samples.MarkedText("a", text, spans[:count])
        (part,) = shown.parts(PartWriter(tmp_path, count, "a"))
        assert len(part["spans"]) == TEXT_SPANS
    written = (tmp_path / part["file"]).read_text()
    assert written == f"{text[:-6]}\n[... 6 characters with 2 spans are left out]"


@pytest.mark.quick
def test_intents_and_words_are_shown_right_and_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = Facts(classes=["N", "V"], spans=False, intents=["p", "q"], length=5)
    sentences = (of_words(["a", "b"], ["N", "V"], "p"), of_words(["c"], ["N"], "q"))
    found = [
        Prediction(["N", "N"], np.array([0.9, 0.8]), [], [], "p", 0.9),
        Prediction(["N"], np.array([0.7]), [], [], "p", 0.6),
    ]
    monkeypatch.setattr(tagging_samples, "predicted", lambda *_: found)
    decoder = tagging.Decoder(lambda *_: None, facts)  # type: ignore[arg-type]
    source: Any = dataclasses.make_dataclass("Source", ["sentences"])(sentences)
    drawn = tagging_samples.samples(decoder, source)(None, None)  # type: ignore[arg-type]
    text, by_tag, words, mistakes, _, *rest = (vars(each) for each in drawn)
    by_intent, intents, calibration = rest
    assert text["text"] == "a b\nc\n"
    assert [(s.start, s.end, s.label, s.colour) for s in text["spans"]] == [
        (0, 1, "N", 0),
        (2, 3, "N, truly V", "wrong"),
        (4, 5, "N", 0),
    ]
    assert by_tag["rows"] == (("V", 0.0, 0.0, 0.0, 1), ("N", 0.667, 1.0, 0.8, 2))
    assert words["rows"] == (("N", 2, 0), ("V", 1, 0))
    assert mistakes["rows"] == (("a b", "b", "N", "V", 0.8),)
    assert by_intent["title"] == "Test intents: by class"
    assert by_intent["rows"] == (("q", 0.0, 0.0, 0.0, 1), ("p", 0.5, 1.0, 0.667, 1))
    assert intents["rows"] == (("p", 1, 0), ("q", 1, 0))
    assert calibration["series"][1].name == "predictions, error 0.350"


def test_words_whose_tags_training_lacks_are_shown_without_scores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = [Prediction(["N"], np.array([0.9]), [], [], "", 0.0)]
    monkeypatch.setattr(tagging_samples, "predicted", lambda *_: found)
    facts = Facts(classes=["N", "V"], spans=False, intents=[], length=5)
    source: Any = dataclasses.make_dataclass("Source", ["sentences"])((of_words(["a"], ["X"]),))
    decoder = tagging.Decoder(lambda *_: None, facts)  # type: ignore[arg-type]
    (text,) = (vars(each) for each in tagging_samples.samples(decoder, source)(None, None))  # type: ignore[arg-type]
    assert [(s.label, s.colour) for s in text["spans"]] == [("N, truly X", "wrong")]


def test_a_file_to_train_on_is_read_as_sentences(tmp_path: Path) -> None:
    decoder = tagging.Decoder(lambda *_: None, FACTS)  # type: ignore[arg-type]
    each = tagging_predictor.predictor(decoder)
    file = tmp_path / "a.txt"
    file.write_text("Zoë NNP B-X\nLee NNP I-X\n\nI'm PRP O\n", "utf-8")
    found = list(answers.inputs_in(each, file))
    assert [item.name for item in found if isinstance(item, Input)] == [f"{file}:1", f"{file}:4"]
    first, second = (each.item(item.value) for item in found)  # type: ignore[union-attr]
    assert (first.text, first.offsets) == ("Zoë Lee", ((0, 3), (4, 7)))
    assert second.words == ("I'm",)
    file.write_text("Zoë Lee\nI'm here\n", "utf-8")
    assert [item.text for item in answers.inputs_in(each, file)] == ["Zoë Lee", "I'm here"]  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="a sentence is a text or a list of words"):
        each.item([1])


TEXTS = ["Zoë 🙂 met José\u0301 in São Paulo .", "", "word " * 40, "👩‍🚀!"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["ner_conll", *(pytest.param(n, marks=pytest.mark.nightly) for n in ("pos_ewt", "slots_atis"))],
)
def test_answers_point_into_the_text_and_do_not_depend_on_their_company(name: str) -> None:
    experiment, state = untrained(name)
    predictor: Any = experiment.predictor
    items = predictor.items([], TEXTS)
    together = predictor.batch(state, items)
    for text, item, (answer, sample) in zip(TEXTS, items, together, strict=True):
        assert answer["text"] == sample.text == text
        for span in answer.get("spans", []):
            assert text[span["start"] : span["end"]] == span["text"]
            assert 0 <= span["score"] <= 1
        for word in answer.get("words", []):
            assert text[word["start"] : word["end"]] == word["word"]
        assert ("intent" in answer) == (name == "slots_atis" and bool(item.words))
        assert readable(predictor, answer)
        (alone,) = predictor.batch(state, [item])
        assert alone[0].keys() == answer.keys()
        for ours, theirs in zip(alone[0].get("spans", []), answer.get("spans", []), strict=True):
            assert ours["start"] == theirs["start"]
            assert ours["score"] == pytest.approx(theirs["score"], abs=1e-4)
    none = with_options(predictor, type(predictor.options)(least=1.0)).batch(state, items)
    assert not any(answer.get("spans") for answer, _ in none)


@pytest.mark.nightly
def test_samples_mark_spans_and_count_them(tmp_path: Any) -> None:
    experiment, state = untrained("ner_conll")
    text, table, *_ = experiment.draw(state, jax.random.key(0))
    assert isinstance(text, tagging_samples.MarkedText)
    assert all(0 <= span.start < span.end <= len(text.text) for span in text.spans)
    true = sum(len(spans_of(each.tags)) for each in experiment.splits.test.sentences)
    assert table.rows[0][4] == true
    experiment, state = untrained("pos_ewt")
    titles = [each.title for each in experiment.draw(state, jax.random.key(0))]
    assert titles[:3] == [
        "Test sentences with their tags",
        "Test words: by class",
        "Test words: confusion matrix",
    ]


def test_rows_of_one_sentence_are_joined() -> None:
    """Tags of a sentence of three rows; a span over two rows has the product of its parts."""
    decoder = tagging.Decoder(lambda *_: None, FACTS.with_facts(length=2))  # type: ignore[arg-type]
    tags = np.array([[0, 1], [2, 0], [1, 0]], np.int32)
    parts = np.log(np.array([[[1, 1], [0.5, 1]], [[0.4, 1], [1, 1]], [[0.9, 1], [1, 1]]]))
    found = {"tags": tags, "probability": np.ones((3, 2)), "parts": parts}
    (prediction,) = decoder.predictions({**found, "intents": np.zeros((3, 0))}, [5])
    assert prediction.tags == ["O", "B-X", "I-X", "O", "B-X"]
    assert prediction.scores == pytest.approx([0.2, 0.9])
