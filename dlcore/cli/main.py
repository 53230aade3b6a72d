"""The commands. They import modules when they run, so that `--help` is fast."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from dlcore.cli import completion
from dlcore.cli.commands import COMMANDS
from dlcore.cli.guard import guarded, refuse
from dlcore.runtime import huge_pages, quiet

TRUST = """resume, eval, sample, predict, verify and export execute the run's experiment file if it
is one of dlcore's own or you have trained with it; other files need --trust."""
OF_A_RUN = ("resume", "eval", "sample", "predict", "export")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command of `dlcore`, and turns its errors into a message and an exit code.

    Args:
        argv: the command line after `dlcore`; None: that of this process.

    Returns:
        The exit code: 0 success, 1 a negative result of `verify`, `plan`, `data` or `doctor`, 2 bad
            input or a file that cannot be read or written, 3 success except for inputs of `predict`
            that could not be read, 70 diverged, 75 stopped by SIGTERM or SIGHUP (can be resumed) or
            by a lost process, 130 stopped by Ctrl-C, 141 output closed early.

    Raises:
        SystemExit: `--help` of a command (code 0), or flags that its parser rejects (code 2).
        Exception: any other error of dlcore or of a library, with its traceback.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    return guarded(words, lambda: _main(words, own_process=argv is None))


def _main(words: list[str], own_process: bool) -> int:
    if not words or words[0] in ("-h", "--help"):
        print(
            "dlcore: train, resume, evaluate and inspect experiments.\n\n"
            + "\n".join(f"  dlcore {line}" for line in COMMANDS.values())
        )
        print(
            "\ndlcore train EXPERIMENT --help shows an experiment's flags; dlcore"
            " --install-completion adds\ncommands, experiments and flags to the Tab key.\n" + TRUST
        )
        return 0
    if words[0] in (completion.INSTALL, completion.COMPLETE):
        command = completion.install if words[0] == completion.INSTALL else completion.complete
        return command(words[1:])
    if words[0] not in COMMANDS:
        return refuse(f"there is no command {words[0]!r}; the commands are {', '.join(COMMANDS)}")
    if words[0] in ("list", "doctor") and words[1:2] in (["-h"], ["--help"]):
        print(f"dlcore {COMMANDS[words[0]]}")
        return 0
    if words[0] in OF_A_RUN and words[1:2] in (
        ["-h"],
        ["--help"],
    ):
        print(f"dlcore {COMMANDS[words[0]]}\n\n{TRUST}")
        return 0
    if words[0] == "doctor" and words[1:]:
        return refuse(f"dlcore {words[0]} takes no argument, and not {' '.join(words[1:])!r}")
    if own_process and words[0] in ("train", "resume", "verify"):
        huge_pages.large()
    return globals()[f"_{words[0]}"](words[1:])


def run_file(file: str) -> None:
    """Trains an experiment file that was started as `python FILE`; exits with the code of `main`.

    The options are those of `sys.argv`. May restart the process first, with other settings of XLA
    and glibc.
    """
    late = quiet.loader()
    huge_pages.large()
    if late:
        huge_pages.again(os.environ)
    sys.exit(main(["train", file, *sys.argv[1:]]))


def _train(words: list[str]) -> int:
    from dlcore.runs import catalog

    if not words or words[0].startswith("-"):
        print(f"dlcore {COMMANDS['train']}\n\nexperiments: {', '.join(catalog.names())}")
        return 0 if words and words[0] in ("-h", "--help") else 2
    page = catalog.load(catalog.find(words[0]))
    usual = page.usual(words)
    from dlcore.cli.run_commands import parsed

    config, flags = parsed(page, words[1:], f"dlcore train {words[0]}", usual, page.flags)
    from dlcore.runs import session as run
    from dlcore.seeds import runs as seeds

    return (seeds.train if flags.seeds > 1 else run.train)(page, config, flags)


def _resume(words: list[str]) -> int:
    from dlcore.cli import run_commands

    return run_commands.resume(words)


def _eval(words: list[str]) -> int:
    from dlcore.cli import run_commands

    return run_commands.evaluate(words)


def _sample(words: list[str]) -> int:
    from dlcore.cli import run_commands

    return run_commands.sample(words)


def _chat(words: list[str]) -> int:
    from dlcore.cli import run_commands

    return run_commands.chat(words)


def _verify(words: list[str]) -> int:
    from dlcore.cli import run_commands

    return run_commands.verify(words)


def _export(words: list[str]) -> int:
    from dlcore.cli import run_commands

    return run_commands.export(words)


def _report(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="dlcore report", description="Writes a self-contained HTML report on one or more runs."
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument(
        "--out", help="the file, or a folder for it (default: report.html in the run's folder)"
    )
    parsed_words = parser.parse_args(words)
    from dlcore.cli.run_commands import newest
    from dlcore.report import page

    print(
        page.write(
            [
                each
                for run in parsed_words.runs
                for each in sorted(run.glob("seed-*/")) or [newest(run)]
            ],
            parsed_words.out,
        )
    )
    return 0


def _predict(words: list[str]) -> int:
    from dlcore.cli import predict

    return predict.main(words)


def _list(words: list[str]) -> int:
    from dlcore.report import listing

    listing.show(words)
    return 0


def _data(words: list[str]) -> int:
    from dlcore.cli import data

    return data.main(words)


def _prepare(words: list[str]) -> int:
    from dlcore.data import prepare

    return prepare.main(words)


def _sweep(words: list[str]) -> int:
    from dlcore.cli import sweep

    return sweep.main(words)


def _plan(words: list[str]) -> int:
    from dlcore.cli import plan as command

    return command.main(words)


def _doctor(words: list[str]) -> int:
    from dlcore.cli import doctor

    return doctor.main()
