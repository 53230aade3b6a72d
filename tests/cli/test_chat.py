"""`dlcore chat` at a terminal: two turns, a stop text, Ctrl-C, a prompt longer than the context."""

from __future__ import annotations

import dataclasses
import io
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.cli import chat, main, run_commands
from dlcore.data.characters import Vocabulary
from dlcore.models.gpt import Size
from dlcore.models.gpt_generation import generate
from dlcore.tasks.conversation import Conversation, Sampling
from tests.child import LIMIT, environment
from tests.tasks.test_conversation import SYMBOLS, conversation

CONTEXT = 16
# Ctrl-C reaches those whose controlling terminal this is.
CHILD = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from dlcore.cli.main import main
sys.exit(main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("chat") / "run"
    words = ["gpt_tiny_shakespeare", "--offline", "--preset", "tiny", "--out", str(folder)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAX_NUM_CPU_DEVICES", "8")  # this process has them already
        assert main.main(["train", *words]) == 0
        yield folder


class Model:
    """The run's model, outside `dlcore chat`."""

    def __init__(self, run: Path) -> None:
        _, experiment, _, self.state = run_commands.state_of("chat", [str(run)])
        self.text_model = experiment.text_model
        self.size = Size(len(self.text_model.tokenizer), CONTEXT, 2, 2, 16, 0.1, True)

    def continued(self, prompt: str, turn: int, length: int) -> str:
        """The text that `generate`, compiled as a whole, writes after a prompt."""
        tokens = self.text_model.tokenizer.encode(prompt)[None, -(CONTEXT - 1) :]
        key = jax.random.fold_in(jax.random.key(0), turn)
        params = self.state.params["net"]
        text = generate(self.size, params, jnp.asarray(tokens), key, length)
        return self.text_model.tokenizer.decode(np.asarray(text)[0, tokens.shape[1] :])


class Terminal:
    """A child at a pseudo-terminal of its own; what it prints is read as it comes."""

    def __init__(self, *words: str) -> None:
        self.master, slave = pty.openpty()
        settings = termios.tcgetattr(slave)
        settings[3] &= ~termios.ECHO
        termios.tcsetattr(slave, termios.TCSANOW, settings)
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            env=environment(TERM="dumb", INPUTRC=os.devnull),
        )
        os.close(slave)
        self.text = ""
        self.read = 0  # how much of it a test has looked at

    def until(self, pattern: str) -> str:
        """What is printed until a pattern, which is searched in what no call has returned yet."""
        end = time.monotonic() + LIMIT
        while not (found := re.search(pattern, self.text[self.read :])):
            ended = self.process.poll() is not None  # before what it printed last is looked for
            ready, _, _ = select.select([self.master], [], [], 0.2)
            if ready:
                try:
                    self.text += os.read(self.master, 1 << 16).decode().replace("\r\n", "\n")
                except OSError:  # the child has ended
                    ready = []
            over = time.monotonic() > end or (ended and not ready)
            assert not over, f"no {pattern!r} in {self.text[self.read :][-2000:]!r}"
        passage = self.text[self.read : self.read + found.start()]
        self.read += found.end()
        return passage

    def write(self, text: str) -> None:
        os.write(self.master, text.encode())

    def interrupt(self, pattern: str) -> str:
        """Ctrl-C at the prompt, and once more where the first is not answered.

        CPython's `input` with readline looks for signals only when its wait for a key is
        interrupted, so that one between the prompt and the wait stays unanswered until the next.
        """
        self.write("\x03")
        if not select.select([self.master], [], [], 20)[0] and self.process.poll() is None:
            self.write("\x03")
        return self.until(pattern)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.master)


def answer_of(passage: str, line: str) -> str:
    """The answer in what a terminal shows after the prompt: readline may show the line again."""
    return passage.partition(f"{line}\n")[2] if f"{line}\n" in passage else passage


@pytest.mark.nightly
def test_a_conversation_at_a_terminal(run: Path) -> None:
    model = Model(run)
    # The same draws of a model that has hardly learned: the two texts have much in common.
    first, third = (model.continued(f"{line}\n", 0, 300) for line in ("the", "if the number is"))
    common = [i for i in range(60, 290) if first[i : i + 3] in third]
    at = next(
        i for i in common if first.index(stop := first[i : i + 3]) == i and stop.isprintable()
    )
    stop = first[at : at + 3]
    terminal = Terminal("chat", str(run), "--max-tokens", "1000000", "--stop", stop)
    try:
        terminal.until("Ctrl-C stops an answer")
        terminal.until("> ")
        terminal.write("the\n")
        assert answer_of(terminal.until("\nthe context was full: the first"), "the") == first[:at]
        terminal.until(r" \d+ tokens of .* forgotten during this answer; .* from: \S.* \.\.\.\n> ")
        # the second turn sees the end of the first; Ctrl-C stops its answer, and nothing else
        terminal.write("if\n")
        assert "stopped" not in terminal.until(r"(?s)\n.{60}")
        terminal.write("\x03")
        second = terminal.until(r" \[stopped\]\n")
        terminal.until("the context was full.*\n> ")
        assert len(second) < 1_000_000
        # a character outside the vocabulary
        terminal.write("aé\n")
        assert "'é' at position 1 is not among" in terminal.until("\n> ")
        terminal.write("/nothing\n")
        assert "no command /nothing" in terminal.until("\n> ")
        # a prompt longer than the context, in a new conversation
        terminal.write("/reset\n")
        terminal.until("the conversation begins anew\n> ")
        terminal.write("if the number is\n")
        left = r"longer than the context: its first 2 tokens are left out; .* from: the number is"
        terminal.until(rf"{left} \.\.\.\n")
        assert terminal.until(r"\n(the context was full.*\n)?> ") == third[: third.index(stop)]
        # Ctrl-C at the prompt ends it
        terminal.interrupt("interrupted")
        assert terminal.process.wait(LIMIT) == 130
    finally:
        terminal.close()


def conversing(monkeypatch: pytest.MonkeyPatch, run: Path, typed: str, *words: str) -> int:
    monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
    return main.main(["chat", str(run), *words])


@pytest.mark.slow
def test_lines_of_a_file_are_answered_and_the_end_of_file_ends(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = Model(run)
    capsys.readouterr()
    assert conversing(monkeypatch, run, "in\nthe\n/exit\nnot read\n", "--max-tokens", "5") == 0
    printed = capsys.readouterr()
    first = model.continued("in\n", 0, 5)
    between = "" if first.endswith("\n") else "\n"
    second = model.continued(f"in\n{first}{between}the\n", 1, 5)
    assert printed.out == f"{first}\n{second}\n"
    assert "a model that sees 16 tokens" in printed.err
    words = ("--max-tokens", "5", "--no-newline", "--seed", "7", "--top-k", "1")
    assert conversing(monkeypatch, run, "in\n", *words) == 0  # without a line break, the likeliest
    tokens = jnp.asarray(model.text_model.tokenizer.encode("in"))[None]
    whole = generate(model.size, model.state.params["net"], tokens, jax.random.key(7), 5, 0.0)
    expected = model.text_model.tokenizer.decode(np.asarray(whole)[0, 2:])
    assert capsys.readouterr().out == f"{expected}\n"


@pytest.mark.slow
def test_what_is_no_language_model_is_refused(run: Path) -> None:
    _, experiment, _, state = run_commands.state_of("chat", [str(run)])
    other = dataclasses.replace(experiment, text_model=None)
    with pytest.raises(chat.UsageError, match="is no run of a language model"):
        chat.main([str(run)], lambda words: (run, other, state))
    with pytest.raises(chat.UsageError, match="--top-p"):  # before anything is loaded
        chat.main([str(run), "--top-p", "2"], lambda words: pytest.fail("loaded"))
    with pytest.raises(chat.UsageError, match="give --shorten-by, too"):
        chat.main([str(run), "--shorten-from", "2"], lambda words: pytest.fail("loaded"))
    for words in (["--min-tokens", "2"], ["--shorten-by", "1.1"]):
        with pytest.raises(chat.UsageError, match="no token that ends an answer"):
            chat.main([str(run), *words], lambda words: (run, experiment, state))


def test_a_second_interruption_of_an_answer_ends_the_program(run: Path) -> None:
    model = Model(run)
    with chat._interruptible() as received:
        signal.raise_signal(signal.SIGINT)
        assert received == [signal.SIGINT]
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    talking = Conversation(model.text_model, model.state, Sampling(max_tokens=1))
    assert talking.prompt("a") == (0, 0)


@pytest.mark.parametrize(
    ("drawn", "stop", "text"),
    [("a\n", "\n", "b\na\nc\na\n"), ("ad", "d", "b\nad\nc\nad"), ("d", "d", "b\nd\nc\nd")],
)
def test_a_turn_begins_on_a_line_of_its_own(
    drawn: str, stop: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    talking = conversation(stop=(stop,))
    monkeypatch.setattr(talking, "_drawn", lambda key: iter(SYMBOLS.encode(drawn).tolist()))
    monkeypatch.setattr(sys, "stdin", io.StringIO("b\nc\n"))
    chat._converse(talking, "\n")
    assert SYMBOLS.decode(np.array(talking.tokens)) == text


def test_a_vocabulary_without_line_breaks_continues_lines(
    capsys: pytest.CaptureFixture[str],
) -> None:
    talking: Any = SimpleNamespace(model=SimpleNamespace(tokenizer=Vocabulary("ACGT")))
    assert chat._line_break(talking) == ""
    assert "knows no line breaks" in capsys.readouterr().err
    talking.model.tokenizer = SYMBOLS
    assert chat._line_break(talking) == "\n"


def test_tokens_beyond_the_vocabulary_are_described_as_its_last() -> None:
    talking: Any = SimpleNamespace(model=SimpleNamespace(tokenizer=SYMBOLS), tokens=[1, 2, 99])
    assert chat._visible_text(talking) == "the model sees 3 tokens, from: abj ..."


def test_a_blank_line_is_no_message_of_a_dialogue(monkeypatch: pytest.MonkeyPatch) -> None:
    received: list[str] = []
    model = SimpleNamespace(has_template=True)
    talking: Any = SimpleNamespace(model=model, turn=0, ends_line=True)
    monkeypatch.setattr(chat, "_add", lambda _, begin, line, end: received.append(line))
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n  \nhello\n"))
    chat._converse(talking, "")
    assert received == ["hello"]
    model.has_template = False
    monkeypatch.setattr(sys, "stdin", io.StringIO("\nhello\n"))
    chat._converse(talking, "\n")
    assert received == ["hello", "", "hello"]
