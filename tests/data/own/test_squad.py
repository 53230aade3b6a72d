"""SQuAD's JSON of one's own: what is read, and what is wrong with it; questions at a glance."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dlcore.data.own import question_summary, questions, squad
from dlcore.data.own.kinds import kind
from dlcore.errors import UsageError

pytestmark = pytest.mark.quick
CONTEXT = "Zoé 👩🏽\u200d🚀 met Bob. Bob met Eve."


def article(*questions_of: dict[str, Any], context: str = CONTEXT) -> dict[str, Any]:
    return {"title": "People", "paragraphs": [{"context": context, "qas": [*questions_of]}]}


def record(question: str, *answers: tuple[str, int], **more: Any) -> dict[str, Any]:
    listed = [{"text": text, "answer_start": start} for text, start in answers]
    return {"question": question, "id": "7", "answers": listed, **more}


def write(path: Path, *articles: dict[str, Any]) -> Path:
    path.write_text(json.dumps({"data": articles}, ensure_ascii=False), encoding="utf-8")
    return path


def test_answers_keep_their_offsets(tmp_path: Path) -> None:
    second = CONTEXT.rindex("Bob")
    path = write(
        tmp_path / "mine.json",
        article(
            record("Who met Eve?", ("Bob", second), ("Bob met", second)),
            record("Who is Al?", ("Bob", 0), is_impossible=True),
        ),
    )
    first, none = questions.find(path).splits["train"]
    assert first.where == f"{path}, article People, paragraph 1"
    assert first.values[:2] == ("Who met Eve?", CONTEXT)
    assert json.loads(first.values[2]) == [["Bob", second], ["Bob met", second]]
    assert json.loads(none.values[2]) == []
    assert questions.unanswered([path], []) == [("Who met Eve?", CONTEXT), ("Who is Al?", CONTEXT)]
    assert squad.is_squad(path)
    assert kind(path)[0] == kind(tmp_path)[0] == "questions"


def test_splits_are_files(tmp_path: Path) -> None:
    for name, who in (("train", "Bob"), ("validation", "Eve"), ("test", "Zoé")):
        write(tmp_path / f"{name}.json", article(record("Who?", (who, CONTEXT.index(who)))))
    found = questions.load(tmp_path)
    assert {split: len(examples) for split, examples in found.splits.items()} == {
        "train": 1,
        "validation": 1,
        "test": 1,
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"data": [\n{"title" 3}]}', r"line 2: not JSON"),
        ("[]", "mine.json: there is no list 'data'"),
        ('{"data": [{"title": "A"}]}', "article A: there is no list 'paragraphs'"),
        ('{"data": [{"paragraphs": [{"context": "x"}]}]}', "article 1, paragraph 1: .* 'qas'"),
        (json.dumps({"data": [article({"question": "Who?"})]}), "'Who\\?' has no list 'answers'"),
        (json.dumps({"data": [article({"question": " ", "answers": []})]}), "'question' must be"),
        (json.dumps({"data": [article(record("Who?", ("Bob", 1)))]}), "begin at character 1"),
        (json.dumps({"data": [article("Who?")]}), "a question is no object"),  # type: ignore[arg-type]
    ],
)
def test_faults_are_named(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=message):
        questions.load(path)


def test_a_summary_counts_questions(tmp_path: Path) -> None:
    lines = [
        {"question": f"Who is {i}?", "context": f"{i} is Bob {i}.", "answer": f"Bob {i}"}
        for i in range(40)
    ]
    lines += [{**lines[0]}, {**lines[1], "answer": None, "question": "Why?"}]
    path = tmp_path / "mine.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + '\n{"question": "Who?"}\n')
    assert kind(path)[0] == "questions"
    found = question_summary.summary(path)
    assert found.lines[0] == "questions that can be read: 42, on 40 texts"
    assert found.problems == (f"{path}, line 43: there is no 'context', but question: add it",)
    counts, sizes, same = found.tables
    assert [sum(row[1:]) for row in counts.rows] == [42, 1]  # type: ignore[arg-type]
    assert sizes.rows[2] == ("words of an answer", 2, 2, 2)
    assert same.title == "Duplicates: 0 across splits, 1 within one"
    (shown,) = found.examples
    assert all(row[1] in row[2] for row in shown.rows if row[0] != "Why?")  # type: ignore[attr-defined]
    assert len(shown.rows) == 20  # type: ignore[attr-defined]
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    with pytest.raises(UsageError, match="no questions"):
        question_summary.summary(empty)
