"""`dlcore chat`: a conversation with a language model at the terminal."""

from __future__ import annotations

import argparse
import contextlib
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dlcore.errors import UsageError
from dlcore.runtime.signals import handled

if TYPE_CHECKING:
    from dlcore.tasks.conversation import Conversation
    from dlcore.train.experiment import Experiment
    from dlcore.train.step import State

HELP = "/reset forgets the conversation, /exit or end of file ends it, Ctrl-C stops an answer."
_SHOWN = 60  # characters of the text that is still visible to the model
# (words with the run, as `dlcore sample` takes them) -> the run's folder, experiment and state
LoadState = Callable[[list[str]], "tuple[Path, Experiment, State]"]


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line after `dlcore chat`."""
    made = argparse.ArgumentParser(
        prog="dlcore chat",
        description=f"Write to a language model, which continues the text. {HELP}",
    )
    add = made.add_argument
    add("run", help="a run of a language model, such as runs/gpt_tiny_shakespeare")
    add(
        "--temperature",
        type=float,
        default=0.8,
        help="divides the logits; 0: the likeliest token (0.8)",
    )
    add("--top-k", type=int, default=0, help="draw among so many likeliest tokens; 0: all (0)")
    add(
        "--top-p",
        type=float,
        default=1.0,
        help="draw among the fewest tokens whose probabilities reach this (1)",
    )
    add(
        "--min-p",
        type=float,
        default=0.0,
        help="draw among tokens at least this times as likely as the likeliest (0: all)",
    )
    add(
        "--repetition-penalty",
        type=float,
        default=1.0,
        help="divides positive logits of tokens that were written before, multiplies others (1)",
    )
    _add_ends(made)
    add(
        "--draft",
        type=int,
        default=0,
        help="propose so many tokens from what was written before, and check them together (0)",
    )
    add("--seed", type=int, default=0, help="of the draws (0)")
    add(
        "--no-newline",
        action="store_true",
        help="continue a line as it was written, in place of ending it with a line break",
    )
    add("--last", action="store_true", help="use the last state in place of the best one")
    add("--trust", action="store_true", help="execute the run's experiment file, whoever wrote it")
    return made


def _add_ends(made: argparse.ArgumentParser) -> None:
    """The flags of where an answer ends."""
    add = made.add_argument
    add("--max-tokens", type=int, default=200, help="tokens of an answer at most (200)")
    add("--min-tokens", type=int, default=0, help="tokens before which an answer does not end (0)")
    add(
        "--shorten-from",
        type=int,
        default=0,
        help="tokens of an answer after which --shorten-by applies (0)",
    )
    add(
        "--shorten-by",
        type=float,
        default=1.0,
        help="raises the logit of the end by its magnitude times this to the power of the tokens"
        " since --shorten-from, less 1; above 1 answers are shorter (1: unchanged)",
    )
    add(
        "--stop",
        action="append",
        default=[],
        metavar="TEXT",
        help=r"ends an answer, and is not shown; \n is a line break; may be given several times",
    )


def main(words: list[str], load_state: LoadState) -> int:
    """Holds a conversation: answers each line of standard input, until its end or /exit.

    Answers are printed to standard output, notes to standard error.

    Args:
        words: the command line after `dlcore chat`.
        load_state: ([run, "--last", "--trust"], each flag only if it was given) -> the run's
            folder, its experiment and its state.

    Returns:
        The exit code, 0.

    Raises:
        UsageError: the run is not that of a language model, a flag is outside its range, or the
            input is not UTF-8.
    """
    request = parser().parse_args(words)
    from dlcore.tasks.conversation import Conversation, Sampling

    sampling = Sampling(
        request.temperature,
        request.top_k,
        request.top_p,
        request.max_tokens,
        tuple(text.replace(r"\n", "\n") for text in request.stop),
        request.seed,
        request.min_p,
        request.draft,
        request.repetition_penalty,
        request.min_tokens,
        request.shorten_from,
        request.shorten_by,
    )
    options = [flag for flag in ("last", "trust") if getattr(request, flag)]
    folder, experiment, state = load_state([request.run, *(f"--{flag}" for flag in options)])
    if experiment.text_model is None:
        raise UsageError(
            f"{folder} is no run of a language model (its Experiment has no `text_model`):"
            " dlcore chat takes a run of gpt_tiny_shakespeare, for example"
        )
    conversation = Conversation(experiment.text_model, state, sampling)
    context = experiment.text_model.decoder.context
    reach = f"sees {context} tokens" if context else "keeps a state of all that was written"
    _note(f"{folder} at step {int(state.step)}: a model that {reach}\n{HELP}")
    plain = request.no_newline or experiment.text_model.has_template
    _converse(conversation, "" if plain else _line_break(conversation))
    return 0


def _line_break(conversation: Conversation) -> str:
    """A line break, or "" where the model's vocabulary has none."""
    try:
        conversation.model.tokenizer.encode("\n")
    except UsageError:
        _note("the model knows no line breaks: it continues each line as it was written")
        return ""
    return "\n"


def _converse(conversation: Conversation, line_break: str) -> None:
    """Turns until /exit or the end of the input. KeyboardInterrupt: Ctrl-C at the prompt."""
    if sys.stdin.isatty():
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401  lines can be edited, and called back
    while (line := _line()) is not None:
        if line == "/exit":
            return
        if line == "/reset":
            conversation.reset()
            _note("the conversation begins anew")
            continue
        if line.startswith("/"):
            _note(f"there is no command {line.split()[0]}. {HELP}")
            continue
        if not line.strip() and conversation.model.has_template:
            continue  # no message
        begin = line_break if conversation.turn and not conversation.ends_line else ""
        if _add(conversation, begin, line, line_break):
            _show(conversation)


def _line() -> str | None:
    """What a person writes; None at the end of the input."""
    try:
        return input("> " if sys.stdin.isatty() else "")
    except EOFError:
        return None
    except UnicodeDecodeError as error:
        raise UsageError(f"the input is not UTF-8 ({error}): convert it") from error


def _add(conversation: Conversation, begin: str, line: str, end: str) -> bool:
    """Add a person's line to the conversation; whether there is something to answer."""
    try:
        conversation.model.tokenizer.encode(line)  # so that a position counts from the line
        lost, forgotten = conversation.prompt(f"{begin}{line}{end}")
    except UsageError as error:
        _note(str(error))
        return False
    if lost:
        text = f"the prompt is longer than the context: its first {lost} tokens are left out"
        _note(f"{text}; {_visible_text(conversation)}")
    elif forgotten:
        text = f"the context is full: the first {forgotten} tokens of it are forgotten"
        _note(f"{text}; {_visible_text(conversation)}")
    return True


def _visible_text(conversation: Conversation) -> str:
    """Where the text that the model still sees begins, on one line."""
    import numpy as np

    tokenizer = conversation.model.tokenizer
    # the embedding may have more rows than there are tokens
    text = tokenizer.decode(np.minimum(conversation.tokens, len(tokenizer) - 1))
    first = " ".join(text.split())
    return f"the model sees {len(conversation.tokens)} tokens, from: {first[:_SHOWN]} ..."


def _show(conversation: Conversation) -> None:
    """Print an answer as it grows, until Ctrl-C at the latest."""
    with _interruptible() as interrupted:
        for part in conversation.answer():
            sys.stdout.write(part)
            sys.stdout.flush()
            if interrupted:
                break
    if interrupted:
        sys.stdout.write(" [stopped]")
    sys.stdout.write("\n")
    sys.stdout.flush()
    if conversation.forgotten:
        _note(
            f"the context was full: the first {conversation.forgotten} tokens of the conversation"
            f" were forgotten during this answer; {_visible_text(conversation)}"
        )


@contextlib.contextmanager
def _interruptible() -> Iterator[list[int]]:
    """The Ctrl-C that came during the block; a second one raises KeyboardInterrupt."""
    received: list[int] = []

    def note(number: int, frame: object) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    with handled(note, [signal.SIGINT]):
        yield received


def _note(line: str) -> None:
    """A line that is no part of the conversation."""
    print(line, file=sys.stderr, flush=True)
