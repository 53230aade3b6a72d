"""`dlcore sweep`: many runs over fields of a config, and one report on all of them."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dlcore.cli.sweep_space import Field, Values, drawn, field, grid, suggested
from dlcore.cli.sweep_trials import DONE, ENDED, Request, Sweep, check_same, flags_of
from dlcore.errors import UsageError

if TYPE_CHECKING:
    from dlcore.options import DataSource
    from dlcore.runs.catalog import Page
    from dlcore.train.experiment import Config


def main(words: list[str]) -> int:
    """Runs the trials of a sweep one after the other, and writes a report on those that have ended.

    Args:
        words: the command line after `dlcore sweep`; after "--" it has the flags of all trials.

    Returns:
        The exit code, 0; trials that have diverged do not change it.

    Raises:
        UsageError: a value that the experiment does not take, options that exclude each other, a
            folder with another sweep, or a trial was refused or stopped.
        SystemExit: a flag or a value that a parser rejects (code 2), or `--help` (code 0).
    """
    flags: list[str] = []
    if "--" in words:
        border = words.index("--")
        words, flags = words[:border], words[border + 1 :]
    request = Request(**vars(_parser().parse_args(words)))
    from dlcore.runs import catalog
    from dlcore.train.experiment import best_of

    page = catalog.load(catalog.find(request.experiment))
    request = dataclasses.replace(request, out=request.out or f"sweeps/{page.name}")
    fields = [field(word) for word in request.fields]
    by = _by(request, fields)
    _refuse_repeated([each.name for each in fields])
    _refuse_own_flags([*(each.name for each in fields), *(flag.lstrip("-") for flag in flags)])
    chosen = _chosen(request, by, fields)
    # every trial is checked before the first one runs
    tried = [*chosen, *(_ends(fields) if by == "optuna" else [])]
    configs = [_checked(page, [*flags, *flags_of(values)]) for values in tried]
    sweep = Sweep(request, flags, request.metric or best_of(page.experiment(*configs[0])))
    if not sweep.metric:
        raise UsageError(
            f"{page.name} names no best metric: use --metric split/name, with =- in front where"
            " lower is better"
        )
    description = {
        "experiment": page.name,
        "by": by,
        "seed": request.seed,
        "metric": request.metric,
        "fields": list(request.fields),
        "flags": flags,
    }
    check_same(sweep.folder, description)
    if by == "optuna" and (request.dry_run or request.launcher):
        raise UsageError(
            "--by optuna chooses trials by the results of earlier ones: it allows neither"
            " --dry-run nor --launcher"
        )
    sweep.begin(description)
    try:
        if by == "optuna":
            suggested(fields, request.trials, request.seed, sweep.lower, sweep.trial)
        for values in chosen:
            sweep.trial(values)
    finally:
        if not request.dry_run:
            sweep.show()
    return DONE if request.dry_run else _page(sweep)


def _by(request: Request, fields: Sequence[Field]) -> str:
    """How trials are chosen. UsageError: their number is missing, or a grid is given one."""
    has_values = all(each.words for each in fields)
    by = request.by or ("grid" if has_values and not request.trials else "random")
    if by != "grid" and request.trials < 1:
        raise UsageError(f"--by {by} needs --trials, their number")
    if by == "grid" and request.trials:
        raise UsageError("--by grid has a trial for each combination: leave --trials out")
    return by


def _refuse_repeated(names: Sequence[str]) -> None:
    """Raises UsageError for a field that is named twice."""
    for number, name in enumerate(names):
        if name in names[:number]:
            raise UsageError(f"{name} is named twice: give all its values at once, as {name}=1,2")


def _refuse_own_flags(names: Sequence[str]) -> None:
    """Raises UsageError for a flag that the sweep sets itself."""
    for name in names:
        if name.split("=")[0] in ("out", "continue-run", "seeds"):
            raise UsageError(
                f"--{name} cannot be used in a sweep: each trial is one of its runs (--out, and"
                " seed=0,1,2 for seeds)"
            )


def _chosen(request: Request, by: str, fields: Sequence[Field]) -> list[Values]:
    """The values of the trials; none for Optuna, which chooses each by the scores before it."""
    if by == "grid":
        return grid(fields)
    return drawn(fields, request.trials, request.seed) if by == "random" else []


def _ends(fields: Sequence[Field]) -> list[Values]:
    """Values in which every word and both ends of every range occur."""
    count = max(2, *(len(each.words) for each in fields))
    return [{each.name: _end(each, i) for each in fields} for i in range(count)]


def _end(each: Field, number: int) -> str:
    if each.words:
        return each.words[number % len(each.words)]
    return each.rounded((each.low, each.high)[number % 2])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dlcore sweep",
        description=(
            "Many runs over fields of a config, one after the other; the same command continues a"
            " stopped sweep."
        ),
        epilog=(
            "Options of all trials come after --, for example: dlcore sweep mlp_digits"
            " lr=1e-4..1e-2:log --trials 8 -- --offline"
        ),
    )
    parser.add_argument("experiment", help="an experiment's name, or a path to your own file")
    parser.add_argument(
        "fields",
        nargs="+",
        metavar="FIELD=VALUES",
        help="1,2,3 for values; 64..256 for a range; 1e-4..1e-2:log",
    )
    parser.add_argument(
        "--by",
        default="",
        choices=("grid", "random", "optuna"),
        help="a grid if all fields have values, else random",
    )
    parser.add_argument(
        "--trials", type=int, default=0, help="the number of trials, unless it is a grid"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="seed of the draws (that of the runs is a field)"
    )
    parser.add_argument(
        "--metric",
        default="",
        help="validation/accuracy or =-validation/loss, for example (default: the experiment's)",
    )
    parser.add_argument(
        "--out", default="", help="the folder of the sweep (default: sweeps/EXPERIMENT)"
    )
    parser.add_argument(
        "--launcher",
        default="",
        help="'python -m launch slurm --time 1:00:00 --' starts each trial through it, once",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the trials' commands")
    return parser


def _checked(page: Page, words: list[str]) -> tuple[Config, DataSource]:
    """A trial's config and data source. UsageError: a value that the experiment does not take."""
    from dlcore.cli.arguments import parse
    from dlcore.runs import catalog

    usual = page.usual(words)
    name = f"dlcore train {catalog.word(page.path)}"
    config, flags = parse(words, name, page.description, config=usual, flags=page.flags)
    return config, flags.source


def _page(sweep: Sweep) -> int:
    ended = [sweep.folder / trial.run for trial in sweep.trials if trial.status in ENDED]
    if ended:
        from dlcore.report import page

        print(page.write(ended, sweep.folder / "report.html"))
    if len(ended) < len(sweep.trials):
        print(
            f"{len(sweep.trials) - len(ended)} of {len(sweep.trials)} trials have not ended: the"
            " same command checks again"
        )
    return DONE
