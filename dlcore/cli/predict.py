"""`dlcore predict`: the answers of a run's model to files, lines of text, or a number of examples.

Exit codes: 0 all were answered, 3 some inputs could not be read and were skipped, 2 bad input.
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, cast

import tyro

from dlcore.bounds import NonNegativeInt, PositiveInt
from dlcore.cli import arguments, environment
from dlcore.data.own.files import decoded
from dlcore.errors import UsageError
from dlcore.export import answers, opened
from dlcore.export.answers import Answered, Input, Unread
from dlcore.export.outputs import outputs
from dlcore.runtime import notices
from dlcore.train.predictor import (
    Generator,
    Predictor,
    files_per_item,
    in_folder,
    readable,
    reads,
    takes,
    with_options,
)
from dlcore.train.step import State

SKIPPED = 3  # the exit code of a command that skipped inputs


@dataclasses.dataclass(frozen=True)
class PredictOptions:
    """Options of `dlcore predict`: the inputs, the output, and the state of the run to use."""

    files: Annotated[tuple[str, ...], tyro.conf.Positional, tyro.conf.arg(metavar="FILE")] = ()
    """files, folders of files, or - for lines of standard input"""
    text: Annotated[tuple[str, ...], tyro.conf.arg(metavar="TEXT")] = ()
    """texts to answer, for models of text"""
    count: NonNegativeInt = 0
    """examples to generate, for models that generate"""
    json: bool = False
    """print one JSON object a line"""
    out: str = ""
    """a new folder for pictures, other files, and predictions.jsonl; or the one file, such as
    a.png, of one answer"""
    batch: PositiveInt = answers.BATCH
    """examples that are computed together"""
    last: bool = False
    """take the newest checkpoint in place of the best state"""
    trust: bool = False
    """execute the run's experiment file though you never trained with it"""


def main(words: list[str]) -> int:
    """Answers inputs with the model of a run, or generates examples.

    Each answer is a line of standard output; with --out the answers are written to files as well.

    Args:
        words: the command line after `dlcore predict`.

    Returns:
        The exit code: 0, or 3 where some inputs could not be read.

    Raises:
        UsageError: no such run, or one whose experiment has no predictor or whose model does not
            take what was given; or --out is there already.
    """
    if not words or words[0].startswith("-"):
        raise UsageError("name a run: dlcore predict RUN [FILE|FOLDER|- ...]; RUN --help shows all")
    given, words = Path(words[0]), words[1:]
    if words.count("--text") > 1:
        raise UsageError("give --text once, with all texts after it: --text 'one' 'another'")
    run = opened.described(given, "--trust" in words)
    if run.folder != given:
        _say(f"taking the newest run of {given}, {run.folder}")
    # wherever it was trained, here are the devices that are here
    here = dataclasses.replace(run.flags, mesh="", parallel="auto", cpu_devices=1)
    environment.prepare(here, run.config.batch)
    with notices.during("loading the model"):
        model = opened.opened(run, "--last" in words)
    for note in model.notes:
        _say(f"note: {note}")
    predictor = model.experiment.predictor
    if predictor is None:
        raise UsageError(
            f"the experiment of {run.folder} has no predictor: give its Experiment one"
        )
    parsed = arguments.parse_all(
        words,
        f"dlcore predict {given}",
        "Answers of a trained model. Exit code 3: some inputs could not be read and were skipped.",
        command=PredictOptions(),
        predictor=predictor.options,
    )
    predictor = with_options(predictor, parsed["predictor"])
    return _answer(predictor, model.state, cast(PredictOptions, parsed["command"]))


def _answer(predictor: Predictor | Generator, state: State, options: PredictOptions) -> int:
    found, total = _answers(predictor, state, options)
    skipped = done = 0
    progress = _Progress(total)
    with outputs(Path(options.out) if options.out else None) as out:
        for each in found:
            done += 1
            progress.show(done)
            if isinstance(each, Unread):
                skipped += 1
                known = each.input.name in each.error
                progress.end_line()
                _say(f"skipped: {'' if known else each.input.name + ': '}{each.error}")
                continue
            files = out.write(each)
            record = {**each.where, **each.answer, **({"files": files} if files else {})}
            out.record(record)
            if options.json:
                print(json.dumps(record, ensure_ascii=False), flush=done == total)
            else:
                print(_line(predictor, each))
    progress.end_line()
    if options.out:
        _say(f"written to {options.out}")
    if skipped:
        _say(f"{skipped} of {done} inputs could not be read and were skipped")
    return SKIPPED if skipped else 0


def _answers(
    predictor: Predictor | Generator, state: State, options: PredictOptions
) -> tuple[Iterable[Answered | Unread], int]:
    """The answers to the requested inputs, and their number (0: unknown)."""
    asks = bool(options.files or options.text)
    if options.count and asks:
        raise UsageError("--count generates examples, and takes no files or texts: leave one out")
    if options.count:
        if not isinstance(predictor, Generator):
            raise UsageError(f"this model does not generate examples: {_takes(predictor)}")
        if not options.out:
            raise UsageError("--count needs --out: the folder for what is generated")
        return _generated(predictor, state, options.count), options.count
    if not asks:
        raise UsageError(f"nothing to answer: {_takes(predictor)}")
    if not isinstance(predictor, Predictor):
        raise UsageError(f"this model reads nothing: {_takes(predictor)}")
    for text in filter(os.path.isfile, options.text):
        _say(f"note: {text} is read as a text, though there is such a file: files go before --text")
    inputs, total = _inputs(predictor, options)
    batch = 1 if "-" in options.files and sys.stdin.isatty() else options.batch
    return answers.answers(predictor, state, inputs, batch), total


def _takes(predictor: Predictor | Generator) -> str:
    """What a model can be given, in words."""
    ways = []
    if isinstance(predictor, Predictor):
        count = files_per_item(predictor)
        kinds = {
            "files": f"files, {count} at a time" if count > 1 else "files",
            "lines": "text files, --text TEXT, or - for lines of standard input",
            "table": "CSV, TSV or Parquet files, --text ROW, or - for a table in standard input",
        }
        ways.append(f"name {takes(predictor) or kinds[reads(predictor)]}")
    if isinstance(predictor, Generator):
        ways.append("say how many examples to generate, --count N --out FOLDER")
    return "; or ".join(ways)


def _inputs(predictor: Predictor, options: PredictOptions) -> tuple[Iterator[Input | Unread], int]:
    """The inputs, absent files and texts first; and how many there are (0 where nobody knows)."""
    lines, texts = reads(predictor) == "lines", reads(predictor) == "texts"
    table = texts or reads(predictor) == "table"
    if not lines and not table and (options.text or "-" in options.files):
        raise UsageError("this model reads files, not lines of text: name files")
    listed = in_folder(predictor)
    absent = _absent(predictor, options)
    groups = [
        [None] if name == "-" else answers.files_of([Path(name)], listed)
        for name in options.files
        if name not in absent
    ]
    paths: list[Path | None] = [path for group in groups for path in group]
    missing = [Unread(Input(name, {"file": name}), "nothing is there") for name in absent]
    if not lines and not table:
        named = [path for path in paths if path is not None]
        inputs: list[Input | Unread] = [
            *missing,
            *answers.inputs_of(named, files_per_item(predictor)),
        ]
        return iter(inputs), len(inputs)

    def read() -> Iterator[Input | Unread]:
        yield from missing
        if table and options.text and not texts:  # the first may name the columns
            yield Input("the text", {}, text="\n".join(options.text))
        for number, text in enumerate(options.text if lines or texts else (), start=1):
            yield Input(f"text {number}", {"line": number}, text=text)
        for path in paths:
            if path is None and table:
                yield _table_of_standard_input()
            elif path is None:
                yield from answers.lines_in(sys.stdin.buffer, _line_of_standard_input, {})
            elif table:
                yield Input(str(path), {"file": str(path)}, (path,))
            else:
                yield from answers.inputs_in(predictor, path)

    return read(), 0


def _absent(predictor: Predictor, options: PredictOptions) -> list[str]:
    """The paths where nothing is, each once, if there is something else to answer.

    Otherwise, and for models that take several files together, a path that is not there is an error
    of its own.
    """
    absent = [name for name in options.files if name != "-" and not Path(name).exists()]
    if files_per_item(predictor) > 1 or (len(absent) == len(options.files) and not options.text):
        return []
    return list(dict.fromkeys(absent))


def _line_of_standard_input(number: int) -> str:
    return f"line {number} of standard input"


def _table_of_standard_input() -> Input | Unread:
    whole = Input("standard input", {})
    try:
        return whole._replace(text=decoded(sys.stdin.buffer.read(), whole.name))
    except UsageError as error:
        return Unread(whole, str(error))


def _generated(predictor: Generator, state: State, count: int) -> Iterator[Answered]:
    for number, (answer, sample) in enumerate(predictor.generated(state, count)):
        yield Answered(f"{number:04d}", {"number": number}, answer, sample)


def _line(predictor: Predictor | Generator, each: Answered) -> str:
    text = readable(predictor, each.answer)
    return f"{each.name}: {text}" if {"file", "inputs", "number"} & each.where.keys() else text


class _Progress:
    """How far it is, for a person at a terminal who does not see the answers.

    A line that is written over: "128 of 500", or "128" where nobody knows how many there will be.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.is_seen = sys.stderr.isatty() and not sys.stdout.isatty()
        self.line = ""  # the one that the cursor is in

    def show(self, done: int) -> None:
        """Shows how many are done, at every batch of them and at the last."""
        if not self.is_seen or done < answers.BATCH:
            return
        if done % answers.BATCH == 0 or done == self.total:
            # an input may have several answers
            self.line = f"{done} of {self.total}" if done <= self.total else f"{done}"
            print(f"\r{self.line}", end="", file=sys.stderr, flush=True)

    def end_line(self) -> None:
        """Ends the line, if there is one."""
        if self.line:
            print(file=sys.stderr, flush=True)
        self.line = ""


def _say(line: str) -> None:
    print(f"dlcore: {line}", file=sys.stderr, flush=True)
