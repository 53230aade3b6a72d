"""The commands. They import modules when they run, so that `--help` is fast."""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dlcore.cli import completion
from dlcore.cli.commands import COMMANDS
from dlcore.cli.environment import prepare as _environment
from dlcore.cli.guard import guarded, refuse
from dlcore.errors import UsageError
from dlcore.runtime import huge_pages, quiet

if TYPE_CHECKING:
    from dlcore.options import RunOptions
    from dlcore.runs.card import Card
    from dlcore.runs.catalog import Page
    from dlcore.train.experiment import Config, Experiment
    from dlcore.train.step import State

TRUST = """resume, eval, sample, predict, verify and export execute the run's experiment file if it
is one of dlcore's own or you have trained with it; other files need --trust."""
OF_A_RUN = ("resume", "eval", "sample", "predict", "export")


def main(argv: Sequence[str] | None = None) -> int:
    """The entry point of `dlcore`.

    Returns:
        The exit code: 0 success, 2 bad input, 3 success except for inputs of `predict` that could
            not be read, 70 failed, 75 stopped by SIGTERM or SIGHUP (can be resumed), 130 stopped
            by Ctrl-C, 141 output closed early.
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
    """`python experiments/NAME.py [options]`: the same as `dlcore train` with that file."""
    late = quiet.loader()
    huge_pages.large()
    if late:
        huge_pages.again(os.environ)
    sys.exit(main(["train", file, *sys.argv[1:]]))


def _flags(
    page: Page, words: list[str], prog: str, config: Config, flags: RunOptions
) -> tuple[Config, RunOptions]:
    """The config and the run options of the command line; `config` and `flags` are the defaults."""
    from dlcore.cli.arguments import parse

    config, flags = parse(words, prog, page.description, config=config, flags=flags)
    return config, _environment(flags, config.batch)


def _train(words: list[str]) -> int:
    from dlcore.runs import catalog

    if not words or words[0].startswith("-"):
        print(f"dlcore {COMMANDS['train']}\n\nexperiments: {', '.join(catalog.names())}")
        return 0 if words and words[0] in ("-h", "--help") else 2
    page = catalog.load(catalog.find(words[0]))
    usual = page.usual(words)
    config, flags = _flags(page, words[1:], f"dlcore train {words[0]}", usual, page.flags)
    from dlcore.runs import session as run
    from dlcore.seeds import runs as seeds

    return (seeds.train if flags.seeds > 1 else run.train)(page, config, flags)


def _resume(words: list[str]) -> int:
    accept = "--accept-changes" in words
    words = [word for word in words if word != "--accept-changes"]
    folder, page, card, (config, flags) = _opened("resume", words, accept)
    if any(word.partition("=")[0] == "--mesh" and word != "--mesh=" for word in words):
        flags = dataclasses.replace(flags, cpu_devices=0)  # determined by the new mesh
    config, flags = _flags(page, words[1:], f"dlcore resume {folder}", config, flags)
    from dlcore.runs import session as run

    return run.resume(page, config, flags, folder, card, accept)


def _opened(
    command: str, words: list[str], accept: bool = False
) -> tuple[Path, Page, Card, tuple[Config, RunOptions]]:
    """A run's folder, experiment file, card, config and options; takes --trust from `words`."""
    trusted, words[:] = "--trust" in words, [word for word in words if word != "--trust"]
    if not words or words[0].startswith("-"):
        raise UsageError(f"name a run: dlcore {COMMANDS[command]}")
    from dlcore.runs import card as cards
    from dlcore.runs import trust

    folder = newest(Path(words[0]))
    card = cards.read(folder)
    page = trust.page(folder, card, trusted, accept)
    return folder, page, card, _kept(folder, page, card)


def _kept(folder: Path, page: Page, card: Card) -> tuple[Config, RunOptions]:
    """The config and the run options of a card."""
    from dlcore.options import RunOptions
    from dlcore.runs import card as cards

    config, flags = (
        cards.fields(folder, page.config, card, "config"),
        cards.fields(folder, RunOptions, card, "run"),
    )
    before = card.get("devices")  # one process simulates those of all
    if before and before.get("platform") == "cpu" and "DLCORE_COORDINATOR" not in os.environ:
        flags = dataclasses.replace(flags, cpu_devices=int(before["count"]))
    return config, flags


def newest(folder: Path) -> Path:
    """Returns a run's folder: of a folder of numbered runs the newest, which is then printed."""
    from dlcore.export import opened

    chosen, count = opened.newest(folder)
    if count > 1:
        print(f"{folder} holds {count} runs; taking the newest, {chosen}")
    return chosen


def _state_of(command: str, words: list[str]) -> tuple[Path, Experiment, RunOptions, State]:
    """A run's folder, experiment and options, and its best state, or its last with `--last`."""
    last, words = "--last" in words, [word for word in words if word != "--last"]
    if len([word for word in words if word != "--trust"]) > (2 if command == "export" else 1):
        raise UsageError(f"too many arguments: dlcore {COMMANDS[command]}")
    if command in ("export", "chat"):
        return _model_of(command, words, last)
    folder, page, card, (config, flags) = _opened(command, words)
    from dlcore.runs import session as run

    # Independent of the devices of training, one device is used here.
    flags = _environment(
        dataclasses.replace(flags, mesh="", parallel="auto", cpu_devices=1), config.batch
    )
    experiment = page.experiment(config, flags.source)
    return folder, experiment, flags, run.restored(experiment, flags, folder, card, last)


def _model_of(
    command: str, words: list[str], last: bool
) -> tuple[Path, Experiment, RunOptions, State]:
    """As `_state_of`, from what a finished run keeps for use: its data are not opened."""
    from dlcore.export import opened

    named = [word for word in words if word != "--trust"]
    if not named or named[0].startswith("-"):
        raise UsageError(f"name a run: dlcore {COMMANDS[command]}")
    run = opened.described(newest(Path(named[0])), "--trust" in words)
    flags = dataclasses.replace(run.flags, mesh="", parallel="auto", cpu_devices=1)
    flags = _environment(flags, run.config.batch)
    model = opened.opened(run, last)
    for note in model.notes:
        print(f"dlcore: note: {note}", file=sys.stderr, flush=True)
    return run.folder, model.experiment, flags, model.state


def _eval(words: list[str]) -> int:
    folder, experiment, flags, state = _state_of("eval", words)
    from dlcore.runs.session import evaluate_all

    of = (
        ""
        if "--last" in words or not experiment.best
        else f", the best by {experiment.best.removeprefix('-')}"
    )
    print(f"{folder} at step {int(state.step)}{of}")
    for split, metrics in evaluate_all(experiment, flags, state).items():
        print(f"{split}: " + "  ".join(f"{name} {value:.6g}" for name, value in metrics.items()))
    return 0


def _sample(words: list[str]) -> int:
    folder, experiment, flags, state = _state_of("sample", words)
    if not experiment.samples:
        raise UsageError(f"the experiment of {folder} has no `samples`: give its Experiment some")
    import jax

    from dlcore.runs import sample_files
    from dlcore.runs.folder import refuse_links
    from dlcore.runtime import notices

    refuse_links(folder)
    with notices.during("drawing samples"):
        drawn = experiment.draw(state, jax.random.key(flags.seed))
    sample_files.save(folder / "samples", drawn)
    for title, texts in sample_files.texts(folder / "samples"):
        print("\n".join((title, *texts)) + ("\n" if texts else ""))
    print(f"written to {folder / 'samples'}; dlcore report {folder} shows them")
    return 0


def _chat(words: list[str]) -> int:
    from dlcore.cli import chat

    def load_state(words: list[str]) -> tuple[Path, Experiment, State]:
        folder, experiment, _, state = _state_of("chat", words)
        return folder, experiment, state

    return chat.main(words, load_state)


def _verify(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="dlcore verify",
        description="Trains the first steps of a run again, and compares hashes of the parameters.",
    )
    parser.add_argument(
        "run",
        type=Path,
        help="a run's folder, or a kept card such as experiments/results/NAME.json",
    )
    parser.add_argument(
        "--steps", type=int, default=100, help="the number of steps to train again at most (100)"
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="execute the card's experiment file although you have not trained with it",
    )
    parsed_words = parser.parse_args(words)
    from dlcore.runs import card as cards
    from dlcore.runs import trust

    folder = newest(parsed_words.run) if parsed_words.run.is_dir() else parsed_words.run
    card = cards.read(folder) if folder.is_dir() else cards.read_file(folder)
    page = trust.page(folder, card, parsed_words.trust)
    config, flags = _kept(folder, page, card)
    # Hashes depend on the number of devices and cores: those of the card are used, if available.
    flags = dataclasses.replace(
        flags, cpu_devices=int(card.get("devices", {}).get("count", flags.cpu_devices))
    )
    from dlcore.runs import verify
    from dlcore.runtime import cores

    cores.keep_to(int(card.get("host", {}).get("cores", 0)))
    flags = _environment(flags, config.batch)
    return verify.verify(page, config, flags, card, parsed_words.steps, folder)


def _report(words: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="dlcore report", description="Writes a self-contained HTML report on one or more runs."
    )
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument(
        "--out", help="the file, or a folder for it (default: report.html in the run's folder)"
    )
    parsed_words = parser.parse_args(words)
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


def _export(words: list[str]) -> int:
    half, words = "--half" in words, [word for word in words if word != "--half"]
    named = [word for word in words if word not in ("--trust", "--last")]
    if len(named) != 2 or not named[1].endswith(".npz"):
        raise UsageError(f"name a run and a file: dlcore {COMMANDS['export']}")
    from dlcore.train import weights as export

    export.check(Path(named[1]))
    _, _, _, state = _state_of("export", words)
    export.save(state, Path(named[1]), half)
    print(named[1])
    return 0


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
