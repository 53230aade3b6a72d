"""The commands on an existing run: resume, eval, sample, chat, verify and export.

Their `words` are the command line after the command.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from dlcore.cli.commands import COMMANDS
from dlcore.cli.environment import prepare
from dlcore.errors import UsageError

if TYPE_CHECKING:
    from dlcore.options import RunOptions
    from dlcore.runs.card import Card
    from dlcore.runs.catalog import Page
    from dlcore.train.experiment import Config, Experiment
    from dlcore.train.step import State


def parsed(
    page: Page, words: list[str], prog: str, config: Config, flags: RunOptions
) -> tuple[Config, RunOptions]:
    """Reads the config and the run options from the command line, and prepares the devices.

    Args:
        page: the experiment file.
        words: the options alone, without the command and the name of the experiment or run.
        prog: the command, for the help text.
        config, flags: the defaults.

    Returns:
        The config, and the run options as `environment.prepare` returns them.

    Raises:
        UsageError: as of `arguments.parse` and `environment.prepare`.
        SystemExit: as of `arguments.parse`.
        RuntimeError: JAX has initialised its devices already.
    """
    from dlcore.cli.arguments import parse

    config, flags = parse(words, prog, page.description, config=config, flags=flags)
    return config, prepare(flags, config.batch)


def resume(words: list[str]) -> int:
    """Continues a stopped run.

    Args:
        words: the command line after `dlcore resume`: the run, options that replace those of its
            card, and optionally `--accept-changes` and `--trust`.

    Returns:
        The exit code of the run.

    Raises:
        UsageError: no run is named, it cannot be opened, or as of `parsed` and `session.resume`.
    """
    accept = "--accept-changes" in words
    words = [word for word in words if word != "--accept-changes"]
    folder, page, card, (config, flags) = _opened("resume", words, accept)
    if any(word.partition("=")[0] == "--mesh" and word != "--mesh=" for word in words):
        flags = dataclasses.replace(flags, cpu_devices=0)  # determined by the new mesh
    config, flags = parsed(page, words[1:], f"dlcore resume {folder}", config, flags)
    from dlcore.runs import session as run

    return run.resume(page, config, flags, folder, card, accept)


def evaluate(words: list[str]) -> int:
    """Prints losses and metrics of a run's state on every split; returns the exit code.

    Args:
        words: the command line after `dlcore eval`; see `state_of`.
    """
    folder, experiment, flags, state = state_of("eval", words)
    from dlcore.runs.evaluation import evaluate_all

    of = (
        ""
        if "--last" in words or not experiment.best
        else f", the best by {experiment.best.removeprefix('-')}"
    )
    print(f"{folder} at step {int(state.step)}{of}")
    for split, metrics in evaluate_all(experiment, flags, state).items():
        print(f"{split}: " + "  ".join(f"{name} {value:.6g}" for name, value in metrics.items()))
    return 0


def sample(words: list[str]) -> int:
    """Draws the samples of a run's state anew, and prints their texts; returns the exit code.

    They replace those in the run's folder `samples`.

    Args:
        words: the command line after `dlcore sample`; see `state_of`.

    Raises:
        UsageError: the experiment has no samples, or as of `state_of`.
    """
    folder, experiment, flags, state = state_of("sample", words)
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


def chat(words: list[str]) -> int:
    """Holds a conversation with a run's language model; returns the exit code.

    Args:
        words: the command line after `dlcore chat`.
    """
    from dlcore.cli import chat

    def load_state(words: list[str]) -> tuple[Path, Experiment, State]:
        folder, experiment, _, state = state_of("chat", words)
        return folder, experiment, state

    return chat.main(words, load_state)


def verify(words: list[str]) -> int:
    """Trains the first steps of a run again, and compares hashes of the parameters.

    Args:
        words: the command line after `dlcore verify`.

    Returns:
        The exit code: 0 if every hash up to `--steps` is the card's, otherwise 1.

    Raises:
        UsageError: there is no such run or card, or it has no hash within these steps.
    """
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
    flags = prepare(flags, config.batch)
    return verify.verify(page, config, flags, card, parsed_words.steps, folder)


def export(words: list[str]) -> int:
    """Writes the parameters of a run's best state to a .npz file; returns the exit code.

    They are averages where the run keeps them, and with the changes of `dlcore.train.tuning` added.
    The extra state, such as batch statistics, is written too (`dlcore.train.weights.save`).

    Args:
        words: the command line after `dlcore export`: the run, the file, and optionally `--half`
            (float16), `--last` (the newest checkpoint, not the best state) and `--trust`.

    Raises:
        UsageError: no run or no .npz file is named, the file's folder does not exist, or as of
            `state_of`.
    """
    half, words = "--half" in words, [word for word in words if word != "--half"]
    named = [word for word in words if word not in ("--trust", "--last")]
    if len(named) != 2 or not named[1].endswith(".npz"):
        raise UsageError(f"name a run and a file: dlcore {COMMANDS['export']}")
    from dlcore.train import tuning
    from dlcore.train import weights as export

    export.check(Path(named[1]))
    _, experiment, _, state = state_of("export", words)
    params = tuning.merged(state.params, tuning.merges(experiment.models))
    export.save(dataclasses.replace(state, params=params), Path(named[1]), half)
    print(named[1])
    return 0


def newest(folder: Path) -> Path:
    """Returns `folder` if it is a run or has no numbered runs, else the run of the highest number.

    Where there are several, it prints which one was taken.
    """
    from dlcore.export import opened

    chosen, count = opened.newest(folder)
    if count > 1:
        print(f"{folder} holds {count} runs; taking the newest, {chosen}")
    return chosen


def state_of(command: str, words: list[str]) -> tuple[Path, Experiment, RunOptions, State]:
    """Opens a run and reads its best state, or its last with `--last`.

    Args:
        command: name of the command, of which error messages show the usage. For "export" and
            "chat" the experiment is built from the card and the facts that the run has kept of its
            data: the data set is read only where such facts are missing.
        words: the run, and optionally `--last` and `--trust`; with "export" also the file to write,
            which is ignored here.

    Returns:
        The run's folder, its experiment, its options changed to one device, and the state: averaged
        parameters where the run keeps averages, and of "export" and "chat" no optimizer state.

    Raises:
        UsageError: too many arguments, no run is named, there is no such run, its experiment file
            is not trusted, or its state cannot be read.
    """
    last, words = "--last" in words, [word for word in words if word != "--last"]
    if len([word for word in words if word != "--trust"]) > (2 if command == "export" else 1):
        raise UsageError(f"too many arguments: dlcore {COMMANDS[command]}")
    if command in ("export", "chat"):
        return _model_of(command, words, last)
    folder, page, card, (config, flags) = _opened(command, words)
    from dlcore.data import tokenizer
    from dlcore.runs.evaluation import restored

    flags = _on_one_device(flags, config.batch)
    with tokenizer.kept(folder, card.get("config", {})):
        experiment = page.experiment(config, flags.source)
    return folder, experiment, flags, restored(experiment, flags, folder, card, last)


def _model_of(
    command: str, words: list[str], last: bool
) -> tuple[Path, Experiment, RunOptions, State]:
    """As `state_of`, from what a finished run keeps for use: its data are not opened."""
    from dlcore.export import opened

    named = [word for word in words if word != "--trust"]
    if not named or named[0].startswith("-"):
        raise UsageError(f"name a run: dlcore {COMMANDS[command]}")
    run = opened.described(newest(Path(named[0])), "--trust" in words)
    flags = _on_one_device(run.flags, run.config.batch)
    model = opened.opened(run, last)
    for note in model.notes:
        print(f"dlcore: note: {note}", file=sys.stderr, flush=True)
    return run.folder, model.experiment, flags, model.state


def _on_one_device(flags: RunOptions, batch: int) -> RunOptions:
    """Prepares one device, whatever the run was trained on: results do not depend on it."""
    return prepare(dataclasses.replace(flags, mesh="", parallel="auto", cpu_devices=1), batch)


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
    if before and before.get("platform") == "cpu" and not os.environ.get("DLCORE_COORDINATOR"):
        flags = dataclasses.replace(flags, cpu_devices=int(before["count"]))
    return config, flags
