"""Questions in SQuAD's JSON, version 1.1 or 2.0: articles of paragraphs with their questions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dlcore.data.own import files
from dlcore.errors import UsageError

SUFFIX = ".json"
_START = 4096  # characters in which a file of SQuAD names its paragraphs


def is_squad(file: Path) -> bool:
    """Returns whether a file is .json and names `paragraphs` in its first 4,096 characters."""
    if file.suffix.lower() != SUFFIX:
        return False
    with file.open(encoding="utf-8", errors="replace") as stream:
        return '"paragraphs"' in stream.read(_START)


def questions(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (where, {"question", "context", "answers"}) of each question.

    `answers` is the list of the file, [{"text", "answer_start"}, ...]; it is empty where
    `is_impossible` is true, and None where the file has none. `where` names the file, the article
    (its title, or without one its number) and the number of the paragraph in it; numbers are from
    1. Question, context and answers are not checked.

    Args:
        file: {"data": [{"title", "paragraphs": [{"context", "qas": [{"question", "answers"}]}]}]}.

    Raises:
        UsageError: the file is unreadable, not UTF-8 or not JSON (with the line), or of another
            form.
    """
    try:
        content = files.parse(files.text(file))
    except ValueError as error:
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise UsageError(f"{file}{line}: {error}") from error
    for number, article in enumerate(_listed(content, "data", str(file)), 1):
        title = article.get("title") if isinstance(article, dict) else None
        of_article = f"{file}, article {title or number}"
        for count, paragraph in enumerate(_listed(article, "paragraphs", of_article), 1):
            where = f"{of_article}, paragraph {count}"
            for question in _listed(paragraph, "qas", where):
                if not isinstance(question, dict):
                    raise UsageError(f"{where}: a question is no object: SQuAD has 'question'")
                answers = [] if question.get("is_impossible") else question.get("answers")
                yield (
                    where,
                    {
                        "question": question.get("question"),
                        "context": paragraph.get("context"),
                        "answers": answers,
                    },
                )


def _listed(value: object, key: str, where: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, list):
        raise UsageError(
            f"{where}: there is no list {key!r}; SQuAD has data, of articles with paragraphs, of"
            " texts with qas: mend it, or give JSON lines with question, context and answer"
        )
    return found
