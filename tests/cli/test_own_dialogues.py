"""A folder of one's own dialogues: a run on it, answers of `predict`, and a conversation at a
terminal with a chat template.
"""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dlcore.cli import main as cli
from tests.child import card
from tests.cli.test_chat import Terminal, answer_of

Capture = pytest.CaptureFixture[str]


def line(*texts: str) -> str:
    """A dialogue as a line of JSON; the user and the assistant take turns."""
    roles = ("user", "assistant")
    messages = [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]
    return json.dumps({"messages": messages}) + "\n"


def folder(path: Path) -> Path:
    """Dialogues of two kinds: answers that end, and digits for longer than the model's context."""
    generator = np.random.default_rng(0)
    path.mkdir()
    for split, count in (("train", 200), ("validation", 20), ("test", 20)):
        rows = [line("hello", "Good day.", "thanks", "Bye.") for _ in range(count)]
        for _ in range(count // 5):
            rows.append(line("count", "".join(map(str, generator.integers(0, 10, 300)))))
        (path / f"{split}.jsonl").write_text("".join(rows), encoding="utf-8")
    return path


def train(path: Path, out: Path, *more: str, name: str = "chat_dialogues") -> int:
    words = ["--preset", "tiny", "--data", str(path), "--out", str(out), "--cpu-devices", "1"]
    return cli.main(["train", name, *words, *more])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    here = tmp_path_factory.mktemp("dialogues")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_NUM_CPU_DEVICES", "8")  # this process has them already
        words = ["--steps", "150", "--eval-every", "150", "--dropout", "0", "--lr", "1e-2"]
        assert train(folder(here / "own"), here / "run", *words) == 0
        yield here / "run"


@pytest.mark.nightly
def test_own_dialogues_are_learned_and_answered(
    run: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = card(run)
    assert found["data"]["train"]["version"] == "own"
    assert found["results"]["test"]["retrieved_distinct_1"] > 0
    assert found["results"]["test"]["perplexity"] < 20  # digits in pairs cannot be guessed
    questions = run.parent / "questions.jsonl"
    questions.write_text('{"text": "hello"}\n{"text": "count"}\n', encoding="utf-8")
    capsys.readouterr()
    assert cli.main(["predict", str(run), str(questions), "--json"]) == 0
    first, second = map(json.loads, capsys.readouterr().out.splitlines())
    assert first["text"] == "Good day."
    assert -1 < first["log_probability"] < 0
    assert second["text"].isdigit()
    assert second["log_probability"] < -10
    assert cli.main(["predict", str(run), str(run.parent / "own" / "test.jsonl"), "--json"]) == 0
    given = [json.loads(each) for each in capsys.readouterr().out.splitlines()]
    assert [each["text"] for each in given if each["prompt"] == "thanks"] == ["Bye."] * 20
    assert cli.main(["predict", str(run), "--text", "hello"]) == 0
    assert capsys.readouterr().out == "Good day.\n"
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"hello\n")))
    drawn = [
        "--temperature",
        "0.5",
        "--top-p",
        "0.5",
        "--min-p",
        "0.5",
        "--repetition-penalty",
        "1",
    ]
    assert cli.main(["predict", str(run), "-", *drawn]) == 0
    assert capsys.readouterr().out == "Good day.\n"


@pytest.mark.nightly
def test_a_conversation_with_a_chat_template(run: Path) -> None:
    terminal = Terminal("chat", str(run), "--temperature", "0", "--max-tokens", "1000000")
    try:
        terminal.until("Ctrl-C stops an answer")
        terminal.until("> ")
        # the token that ends an answer ends both turns, and is not shown
        for said, expected in (("hello", "Good day."), ("thanks", "Bye.")):
            terminal.write(f"{said}\n")
            assert answer_of(terminal.until("\n> "), said) == expected
        # digits without an end, beyond the context; Ctrl-C stops them
        terminal.write("/reset\n")
        terminal.until("the conversation begins anew\n> ")
        terminal.write("count\n")
        terminal.until(r"\d{120}")
        terminal.write("\x03")
        assert terminal.until(r" \[stopped\]\n").strip("0123456789") == ""
        terminal.until("the context was full.*\n> ")
        terminal.write("/reset\n")
        terminal.until("the conversation begins anew\n> ")
        terminal.write("hello" * 120 + "\n")
        left = r"longer than the context: its first \d+ tokens are left out; .* from: \S+ .*\n"
        terminal.until(left)
        terminal.until(r"\S")  # and an answer begins
    finally:
        terminal.close()


@pytest.mark.nightly
def test_own_labelled_answers_are_learned_and_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "8")
    (own := tmp_path / "own").mkdir()
    texts = ("no, I cannot do that for you", "yes, I will do that at once")
    for split, count in (("train", 60), ("validation", 20), ("test", 20)):
        rows = [
            {**json.loads(line(f"please order number {i}", texts[reward])), "reward": reward}
            for i in range(count)
            for reward in (0, 1)
        ]
        (own / f"{split}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    out = tmp_path / "run"
    words = ["--steps", "50", "--lr", "1e-2", "--vocabulary", "270", "--dropout", "0"]
    assert train(own, out, *words, name="chat_preference") == 0
    assert card(out)["data"]["test"]["version"] == "own"
    assert card(out)["results"]["test"]["reward_accuracy"] > 0.9
    shown = "".join(each.read_text() for each in (out / "samples").rglob("*.json"))
    assert "Held-out answers" in shown
    assert texts[1] in shown


@pytest.mark.quick
def test_an_answer_without_a_reward_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "8")
    (tmp_path / "mine.jsonl").write_text(line("hello", "Good day."))
    assert train(tmp_path, tmp_path / "run", name="chat_preference") == 2
    printed = " ".join(capsys.readouterr().err.split())
    assert "mine.jsonl, line 1: there is no `reward`: 1 where the last message is" in printed


BROKEN = {
    "json": ("{", "mine.jsonl, line 2: not JSON"),
    "list": ('{"text": "Hello"}', "mine.jsonl, line 2: there is no list `messages`"),
    "role": (
        '{"messages": [{"role": "bot", "content": "Hello"}]}',
        "mine.jsonl, line 2: message 1 has the role 'bot': it must be system, user, assistant",
    ),
    "answer": (
        '{"messages": [{"role": "user", "content": "Hello"}]}',
        "mine.jsonl, line 2: no message after the first has the role assistant",
    ),
}


@pytest.mark.quick
@pytest.mark.parametrize(("row", "message"), BROKEN.values(), ids=BROKEN)
def test_broken_dialogues_are_refused(
    row: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "8")
    file = tmp_path / "mine.jsonl"
    file.write_text(line("hello", "Good day.") + row + "\n", encoding="utf-8")
    assert train(tmp_path, tmp_path / "run") == 2
    printed = capsys.readouterr()
    assert message in " ".join(printed.err.split())
    assert not (tmp_path / "run").exists()
