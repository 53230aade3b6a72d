"""Applications of language on offline data, as a person uses them: trained, stopped, resumed,
evaluated, drawn, reported, and used for texts.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import pytest

from dlcore.cli import main as cli
from tests.cli.test_applications import answered, evaluated, stopped_and_resumed
from tests.report.browser import seen

pytestmark = pytest.mark.nightly

TEXT = "José 👋 met Mary. She is in Oslo."


class Kind(NamedTuple):
    """What the answers of a kind of application are.

    Attributes:
        keys: what is in an answer.
        given: what `--text` is followed by.
        broken: name, content and error message of a file that cannot be answered.
        marks: the report highlights spans of texts.
        flags: of `dlcore predict`, with which a network that has hardly learned answers.
    """

    keys: set[str]
    given: str
    broken: tuple[str, bytes, str]
    marks: bool
    flags: tuple[str, ...] = ()


NO_TEXT = ("broken.csv", b"words\nhello\n", "broken.csv")
NO_UTF8 = ("broken.txt", "José".encode("latin-1"), "broken.txt, line 1: byte 3 of the file (0xe9)")
NO_CONTEXT = ("broken.jsonl", b'{"question": "Who?"}\n', "broken.jsonl, line 1: there is no 'cont")
TOO_LONG = ("broken.txt", b"hello" * 99, "broken.txt:1: a message of")
QUESTION = {"question": "Where is Mary?", "context": TEXT}
LINE = json.dumps(QUESTION)

CLASSES = Kind({"text", "class", "probability", "classes"}, TEXT, NO_TEXT, False)
SPANS = Kind({"text", "spans"}, TEXT, NO_UTF8, True)
READER = {"question", "answer", "start", "end", "probability"}
CHAT = Kind({"prompt", "text", "log_probability", "log_probabilities"}, TEXT, TOO_LONG, False)
CUT = ("broken.txt", "José".encode("latin-1"), "broken.txt:1: it is no text in UTF-8")
APPLICATIONS = {
    **dict.fromkeys(("cnn_sst2", "rnn_sst2", "bert_sst2", "intents_banking77"), CLASSES),
    **dict.fromkeys(("ner_conll", "ner_wnut17"), SPANS),
    "pos_ewt": SPANS._replace(keys={"text", "words"}),
    "slots_atis": SPANS._replace(keys={"text", "spans", "intent", "intent_probability"}),
    "qa_squad": Kind(READER | {"answerable"}, LINE, NO_CONTEXT, True, ("--threshold", "0")),
    "qa_babi": Kind(READER | {"evidence"}, LINE, NO_CONTEXT, True),
    **dict.fromkeys(("chat_dialogues", "chat_preference"), CHAT),
    **dict.fromkeys(("gpt_english", "gpt_speeches"), CHAT._replace(broken=CUT, marks=True)),
}


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def ranges(answer: dict[str, Any]) -> list[tuple[int, int, str]]:
    """The ranges of characters of an answer, and the text that it has for each."""
    parts = answer.get("spans", answer.get("words", [answer]))
    names = "evidence", "answer", "word", "text"
    texts = [next(part[name] for name in names if name in part) for part in parts]
    pairs = zip(parts, texts, strict=True)
    return [
        (part["start"], part["end"], text) for part, text in pairs if part.get("start") is not None
    ]


def other_ways(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, ...]]:
    """The words of `dlcore predict` for what `--text` was given: files and standard input."""
    words = ("--question", QUESTION["question"]) if "question" in kind.keys else ()
    Path("plain.txt").write_text(TEXT, "utf-8")
    yield ("plain.txt", *words)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(TEXT.encode())))
    yield ("-", *words)
    line = QUESTION if words else {"text": TEXT}
    Path("lines.jsonl").write_text(json.dumps(line) + "\n", "utf-8")
    yield ("lines.jsonl",)


@pytest.mark.parametrize("name", APPLICATIONS)
def test_an_application(
    name: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    kind = APPLICATIONS[name]
    stopped_and_resumed(name)
    evaluated(capsys)
    assert cli.main(["sample", "run"]) == cli.main(["report", "run"]) == 0

    answer = answered(capsys, *kind.flags, "--text", kind.given)
    assert kind.keys <= answer.keys()
    assert answer.get("prompt", answer.get("question", answer.get("text"))) in kind.given
    assert ranges(answer) or "start" not in kind.keys
    for start, end, text in ranges(answer):
        assert TEXT[start:end] == text != ""
    for file in answer.get("files", ()):
        assert TEXT in (Path("answers") / file).read_text("utf-8")
    assert ("files" in answer) == (kind is not CLASSES)  # a table is in no file

    for words in other_ways(kind, monkeypatch):
        capsys.readouterr()
        assert cli.main(["predict", "run", *kind.flags, *words, "--json"]) == 0
        same = json.loads(capsys.readouterr().out)
        assert {name: same[name] for name in kind.keys} == {
            name: answer[name] for name in kind.keys
        }

    file, content, message = kind.broken
    Path(file).write_bytes(content)
    assert cli.main(["predict", "run", file, "--text", kind.given]) == 3
    printed = capsys.readouterr()
    assert len(printed.out.splitlines()) >= 1
    assert message in printed.err
    assert cli.main(["predict", "run", "no.txt"]) == 2
    assert "no.txt: nothing is there" in capsys.readouterr().err

    page = seen(Path("run/report.html").read_text("utf-8"), tmp_path)
    assert page["outside"] == page["empty"] == page["broken"] == []
    looks = [look for _, _, look in page["marks"]]
    assert all(looks)
    assert bool(looks) == kind.marks
