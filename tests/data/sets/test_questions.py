"""Questions as windows: targets, offsets, folds by article, unanswerable pairs, own files."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest

from dlcore.data import tokens
from dlcore.data.sets import questions, sentences, synthetic_questions
from dlcore.data.sets.question_windows import (
    Encoder,
    Lengths,
    Question,
    encoded,
    starts,
    vocabulary,
)
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick
INFO = ("made", "1", "train")


def answer_of(windows: object, i: int) -> str:
    """The characters between the targets of a window."""
    first, last = (int(windows.arrays[name][i]) - 1 for name in ("start", "end"))  # type: ignore[attr-defined]
    question = windows.questions[windows.number[i]]  # type: ignore[attr-defined]
    spans = windows.spans[i]  # type: ignore[attr-defined]
    return question.context[spans[first, 0] : spans[last, 1]]


def test_windows_cover_a_text() -> None:
    for count in range(1, 40):
        for window, stride in ((8, 3), (8, 8), (1, 1)):
            found = starts(count, window, stride)
            seen = {i for start in found for i in range(start, start + window)}
            assert {*range(count)} <= seen
            assert count > found[-1], "a window without a token"
            assert not count <= found[0] + window or found == [0]


@pytest.mark.slow
@pytest.mark.parametrize("by_subwords", [False, True])
def test_targets_are_the_answer_wherever_a_window_holds_it(by_subwords: bool) -> None:
    facts = synthetic_questions.facts(60)
    answerable = [
        Question(f.question, f.context, (f.answer,) if f.answer else (), (f.start,)) for f in facts
    ]
    subwords = None
    if by_subwords:
        lines = [sentences.plain(f.context) for f in facts]
        subwords = tokens.bpe(lines, 300, sentences.SPECIALS)
    lengths = Lengths(24, 12, 10, 0 if by_subwords else 6)
    encoder = Encoder(lengths, () if by_subwords else vocabulary(answerable, 1), subwords)
    windows = encoded(answerable, encoder, INFO)
    held = np.flatnonzero(windows.arrays["start"] > 0)
    assert {answerable[windows.number[i]] for i in held} >= {q for q in answerable if q.answers}
    assert all(answer_of(windows, i) == answerable[windows.number[i]].answers[0] for i in held)
    assert len(windows) > len(answerable)  # some texts are longer than a window
    assert windows.arrays["context"].max() < len(encoder)
    assert ("context_characters" in windows.arrays) != by_subwords
    again = Encoder.from_facts(json.loads(json.dumps(encoder.to_facts())))
    assert (encoded(answerable, again, INFO).arrays["context"] == windows.arrays["context"]).all()


@pytest.mark.slow
def test_synthetic_answers_stand_in_their_texts() -> None:
    facts = synthetic_questions.facts(300)
    assert all(f.context.startswith(f.answer, f.start) for f in facts)
    without = np.mean([not f.answer for f in facts])
    assert 0.05 < without < 0.25
    splits = questions.load("offline", Lengths(64, 32, 12, 4))
    contexts = [{q.context for q in source.questions} for source in dict(splits.items()).values()]  # type: ignore[attr-defined]
    assert not contexts[0] & contexts[2]
    assert not contexts[1] & contexts[2]


def test_each_article_is_for_test_once() -> None:
    names = [f"article {i}" for i in range(48)]
    folds = [questions.articles(names, fold) for fold in range(5)]
    assert sorted(name for fold in folds for name in fold["test"]) == sorted(names)
    assert [len(fold["test"]) for fold in folds] == [10, 10, 10, 9, 9]
    for fold in folds:
        assert sorted(name for names in fold.values() for name in names) == sorted(names)
        assert len(fold["validation"]) == 4
    with pytest.raises(UsageError, match="--fold 5"):
        questions.articles(names, 5)


def test_unanswerable_pairs_have_no_answer() -> None:
    texts = [f"In {year} it began. Then {year + 1}." for year in range(1900, 1950)]
    answerable = [
        Question(f"When {i}?", text, (text[3:7],), (3,), "a") for i, text in enumerate(texts)
    ]
    found = questions.unanswerable(answerable, 0.5)
    assert 15 < len(found) < 35
    assert not any(each.answers for each in found)
    assert questions.unanswerable(answerable, 0.0) == []
    both = [
        Question("First?", "In 1900.", ("1900",), (3,), "a"),
        Question("Then?", "In 1900 and 1901.", ("1901",), (12,), "a"),
    ]
    drawn = [each for seed in range(20) for each in questions.unanswerable(both, 1.0, seed)]
    # the other text of the first question has its answer
    assert {(each.question, each.context) for each in drawn} == {("Then?", "In 1900.")}
    # one question on several texts has an answer in each of them
    same = [Question("When?", text, (text[3:7],), (3,), "own") for text in texts]
    assert questions.unanswerable(same, 1.0) == []
    assert (
        questions.unanswerable([each._replace(group=each.context) for each in answerable], 1.0)
        == []
    )


def test_held_out_splits_have_mixed_ones_with_pairs_of_their_own() -> None:
    made = {
        split: [
            Question(f"When {year % 100}?", f"In {year} it began.", (str(year),), (3,), "a")
            for year in years
        ]
        for split, years in {
            "train": range(1900, 1950),
            "validation": range(1950, 1980),
            "test": range(1980, 2020),
        }.items()
    }
    found = questions.with_mixed(made)
    assert {*found} - {*made} == {questions.mixed("validation"), questions.mixed("test")}
    for split in ("validation", "test"):
        both = found[questions.mixed(split)]
        assert both[: len(made[split])] == made[split]
        pairs = both[len(made[split]) :]
        assert pairs
        assert not any(each.answers for each in pairs)
        assert {each.context for each in pairs} <= {each.context for each in made[split]}


def lines_of(count: int = 40) -> list[dict[str, object]]:
    return [
        {
            "question": "Who?",
            "context": f"Zoé 👩🏽\u200d🚀 and Émile{i} met.",
            "answer": f"Émile{i}",
        }
        for i in range(count)
    ]


def write(path: Path, records: list[dict[str, object]], end: str = "\n") -> Path:
    text = end.join(json.dumps(each, ensure_ascii=False) for each in records)
    path.write_bytes(text.encode())
    return path


def test_own_questions(tmp_path: Path) -> None:
    records = lines_of()
    records[0] = {**records[0], "answer": None}
    records[1] = {**records[1], "answer": ["Zoé", "Émile1"]}
    records[2] = {"question": "Who?", "context": "A met A.", "answer": "A", "start": 6}
    records[3] = {"question": "What?", "context": "A Party of art.", "answer": "art"}
    splits = questions.load(write(tmp_path / "own.jsonl", records, "\r\n"), Lengths(16, 8, 4, 4))
    answerable = {
        q.context: q for source in dict(splits.items()).values() for q in source.questions
    }  # type: ignore[attr-defined]
    assert len(answerable) == 40
    assert answerable["A met A."].starts == (6,)
    assert answerable["A Party of art."].starts == (11,)  # not within a word
    assert answerable[str(records[1]["context"])].answers == ("Zoé", "Émile1")
    assert answerable[str(records[0]["context"])].answers == ()
    assert splits.facts.by_hash == ["validation", "test"]


def test_own_answers_and_questions_that_are_not_read_whole_are_counted(tmp_path: Path) -> None:
    for split, count in (("train", 4), ("validation", 2), ("test", 2)):
        records = lines_of(count)
        records[0] = {**records[0], "answer": "Émile0 met"}
        write(tmp_path / f"{split}.jsonl", records)
    write(tmp_path / "train.jsonl", [*lines_of(3), {**lines_of(1)[0], "question": "Who was it?"}])
    with pytest.warns(UserWarning) as warned:  # noqa: PT030
        questions.load(tmp_path, Lengths(16, 8, 3, 4), longest=1)
    assert [str(each.message).partition(": ")[0] for each in warned] == [
        "1 of 2 answers of validation, 1 of 2 answers of test are longer than --longest 1 tokens,"
        " or in no window as a whole",
        "1 of 4 questions of train are longer than --question 3 tokens",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        questions.load(tmp_path, Lengths(16, 8, 4, 4), longest=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"answer": "Nobody"}, "'Nobody' does not stand in the context"),
        ({"answer": "Zoé", "start": 1}, "does not begin at character 1"),
        ({"answer": "Zoé", "start": True}, "does not begin at character True"),
        ({"answer": 7}, "the answer 7 is no text"),
        ({"question": " "}, "'question' must be a text that is not empty"),
        ({"context": 3}, "'context' must be a text"),
        ({"split": "dev"}, "the split 'dev' is none of"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, change: dict[str, object], message: str) -> None:
    records = lines_of()
    records[4] = {**records[4], **change}
    with pytest.raises(UsageError, match=r"own\.jsonl, line 5: .*" + message):
        questions.load(write(tmp_path / "own.jsonl", records), Lengths(16, 8, 4, 4))


def test_what_is_no_file_of_questions(tmp_path: Path) -> None:
    lengths = Lengths(16, 8, 4, 4)
    path = tmp_path / "own.jsonl"
    path.write_text('{"question": "Who?", "context": "A."}\n[1]\n{"a"\n')
    with pytest.raises(UsageError, match=r"line 1: there is no 'answer'.*2 more"):
        questions.load(path, lengths)
    with pytest.raises(UsageError, match="stride"):
        questions.load("offline", Lengths(16, 17, 4, 4))
    with pytest.raises(UsageError, match="--fold 1"):
        questions.load(path, lengths, fold=1)


def test_subword_tokens_have_no_characters_of_words() -> None:
    subwords = tokens.bpe(["a b"], 260, sentences.SPECIALS)
    with pytest.raises(UsageError, match="subword tokens have no characters of words"):
        questions.load("offline", Lengths(24, 12, 10, 6), subwords=subwords)
