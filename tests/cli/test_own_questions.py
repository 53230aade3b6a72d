"""Own questions from the command line: trained, answered, and each fault before the first step."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import jax
import pytest

import dlcore
from dlcore.cli import main as cli
from dlcore.data.sets import synthetic_questions
from tests.child import card

Capture = pytest.CaptureFixture[str]
TEXT = "Zoé 👩🏽\u200d🚀 met Bob, a nurse, in Oslo. " * 20  # several windows


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DLCORE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", str(jax.device_count()))


def train(name: str, *words: str) -> int:
    settings = ["--preset", "tiny", "--cpu-devices", "1", "--out", "run"]
    return cli.main(["train", name, *settings, *words])


def json_lines(path: Path, count: int) -> Path:
    records = [
        {"question": f.question, "context": f"👋 {f.context}", "answer": f.answer or None}
        for f in synthetic_questions.facts(count)
    ]
    lines = [json.dumps(each, ensure_ascii=False) for each in records]
    path.write_bytes("\r\n".join(lines).encode())
    return path


def squad(path: Path, count: int) -> Path:
    paragraphs = [
        {
            "context": f.context,
            "qas": [
                {
                    "question": f.question,
                    "id": str(i),
                    "is_impossible": not f.answer,
                    "answers": [{"text": f.answer, "answer_start": f.start}],
                }
            ],
        }
        for i, f in enumerate(synthetic_questions.facts(count))
    ]
    content = {"version": "v2.0", "data": [{"title": "People", "paragraphs": paragraphs}]}
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.nightly
def test_json_lines_are_learnt_from_and_answered(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = json_lines(Path("mine.jsonl"), 60)
    assert cli.main(["data", str(path)]) == 0
    assert "taken for questions" in capsys.readouterr().out
    assert train("qa_squad", "--data", str(path), "--steps", "50") == 0
    results = card(Path("run"))["results"]
    assert {"exact_match", "f1", "sliding_window_f1"} <= results["test"].keys()
    assert 0 <= results["validation"]["threshold"] == results["test"]["threshold"] <= 1
    opened: Any = dlcore.load("run")
    assert (
        opened.experiment.predictor.with_results(results).threshold == results["test"]["threshold"]
    )
    capsys.readouterr()
    line = json.dumps({"question": "Who is a nurse? 🩺", "context": TEXT})
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(f"{line}\n".encode())))
    assert cli.main(["predict", "run", "-", "--json", "--threshold", "0"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[0])
    assert answer["answer"] == TEXT[answer["start"] : answer["end"]] != ""
    assert 0 <= answer["answerable"] <= 1
    Path("questions.jsonl").write_text(line, encoding="utf-8")
    assert cli.main(["predict", "run", "questions.jsonl", "--json", "--threshold", "0"]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == answer["answer"]
    other = squad(Path("other.json"), 3)
    assert cli.main(["predict", "run", str(other), "--json", "--threshold", "1"]) == 0
    answers = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert [each["answer"] for each in answers] == [""] * 6
    Path("bad.jsonl").write_text(f'{line}\n{{"question": "Who?"}}\n', encoding="utf-8")
    assert cli.main(["predict", "run", "bad.jsonl"]) == 3
    assert "bad.jsonl, line 2: there is no 'context'" in capsys.readouterr().err


@pytest.mark.nightly
def test_squads_json_is_learnt_from(capsys: Capture) -> None:
    path = squad(Path("mine.json"), 60)
    assert train("qa_squad", "--data", str(path), "--steps", "2") == 0
    assert card(Path("run"))["results"]["test"]["f1"] >= 0
    assert cli.main(["data", str(path)]) == 0
    assert "its JSON has paragraphs" in capsys.readouterr().out


@pytest.mark.nightly
def test_stories_are_answered_with_their_evidence(capsys: Capture) -> None:
    assert train("qa_babi", "--offline", "--steps", "2") == 0
    capsys.readouterr()
    story = "Mary went to the kitchen. John moved to the garden."
    line = json.dumps({"question": "Where is Mary?", "context": story})
    assert cli.main(["predict", "run", "--text", line, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out.splitlines()[0])
    assert answer["answer"] in ("kitchen", "garden", "office", "hallway", "yes", "no")
    assert answer["evidence"] in story.replace(". ", ".\n").split("\n")


@pytest.mark.quick
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"question": "Who?", "context": "A.", "answer": "B"}', "line 1: the answer 'B' does not"),
        ('{"question": "Who?"}\n', "line 1: there is no 'context'"),
        ("[1, 2]", "line 1: a list, and no JSON object"),
        ('\n{"question', "line 2: not JSON"),
    ],
)
def test_a_broken_line_is_refused_before_the_first_step(
    content: str, message: str, capsys: Capture
) -> None:
    Path("mine.jsonl").write_text(content)
    assert train("qa_squad", "--data", "mine.jsonl") == 2
    assert message in capsys.readouterr().err
    assert not Path("run").exists()


@pytest.mark.quick
def test_broken_stories_are_refused_before_the_first_step(capsys: Capture) -> None:
    Path("mine.txt").write_text("1 Mary left.\n2 Who left?\tMary\t7\n")
    assert train("qa_babi", "--data", "mine.txt") == 2
    assert "mine.txt, line 2: 7 is the number of no sentence" in capsys.readouterr().err
    assert not Path("run").exists()


@pytest.mark.nightly
def test_own_stories_are_learnt_from_and_answered(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = (
        f"1 Mary is in room{i % 7}{i}.\n2 Where is Mary?\troom{i % 7}{i}\t1\n" for i in range(80)
    )
    Path("mine.txt").write_text("".join(lines))
    assert train("qa_babi", "--data", "mine.txt", "--steps", "50") == 0
    results = card(Path("run"))["results"]["test"]
    assert {"mean_error", "mean_error_of_commonest", "calibration_error"} <= results.keys()
    line = json.dumps({"question": "Where is Mary?", "context": "Mary is in room11. Bob left."})
    Path("questions.jsonl").write_text(f"{line}\n{line}\n")
    capsys.readouterr()
    assert cli.main(["predict", "run", "mine.txt", "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[79])["evidence"] == "Mary is in room279."
    for words, text, count in ((["questions.jsonl"], "", 2), (["-"], f"{line}\n", 1)):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        assert cli.main(["predict", "run", *words, "--json"]) == 0
        answers = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
        assert len(answers) == count
        assert answers[0]["evidence"] in ("Mary is in room11.", "Bob left.")
