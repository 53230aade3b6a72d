"""`dlcore sweep`: many runs over fields of a config, and one report on all of them."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dlcore import files
from dlcore.cli.sweep_space import Values, drawn, field, grid, suggested
from dlcore.errors import UsageError
from dlcore.runtime import signals

DONE, REFUSED, FAILED = 0, 2, 70  # exit codes of `dlcore train`
ENDED = ("done", "failed")


class Sweep:
    """The trials of a sweep and their results, in its folder."""

    def __init__(self, request: argparse.Namespace, flags: list[str], metric: str) -> None:
        self.request, self.flags, self.folder = request, flags, Path(request.out)
        self.metric, self.lower = metric.lstrip("-"), metric.startswith("-")
        self.what: Mapping[str, Any] = {}
        self.kept: list[dict[str, Any]] = _read(self.folder / "sweep.json").get("trials", [])
        self.launched = {trial["run"] for trial in self.kept} if request.launcher else set()
        self.trials: list[dict[str, Any]] = []

    def command(self, number: int, values: Values) -> list[str]:
        """The command that trains a trial, through the launcher if there is one."""
        words = ["train", self.request.experiment, *self.flags, *_flags(values)]
        words += ["--out", str(self.folder / f"{number:03d}"), "--continue-run"]
        launcher = shlex.split(self.request.launcher.replace("{run}", f"{number:03d}"))
        return [*(launcher or [sys.executable, "-m", "dlcore"]), *words]

    def trial(self, values: Values) -> float | None:
        """Runs or resumes a trial, unless it has ended.

        Returns:
            Its score; None if it has none.

        Raises:
            UsageError: it was refused or stopped.
        """
        run = f"{len(self.trials) + 1:03d}"
        words, summary = (
            self.command(len(self.trials) + 1, values),
            "  ".join(f"{name} {value}" for name, value in values.items()),
        )
        card = _read(self.folder / run / "card.json")
        if card.get("status") != "done" and run not in self.launched:
            command = f"\n{shlex.join(words)}" if self.request.dry_run else ""
            print(f"trial {run}: {summary}{command}", flush=True)
            code = DONE if self.request.dry_run else call(words)
            if code not in (DONE, FAILED):
                way = "see its output above" if code == REFUSED else "the same command continues"
                raise UsageError(f"trial {run} ended with exit code {code}: {way}")
            card = _read(self.folder / run / "card.json")
        results, status = card.get("results", {}), card.get("status", "launched")
        split, _, name = self.metric.rpartition("/")
        if status == "done" and name not in results.get(split, {}):
            known = ", ".join(f"{s}/{m}" for s, found in results.items() for m in found)
            raise UsageError(f"there is no {self.metric} among the results of trial {run}: {known}")
        score = results[split][name] if status == "done" else None
        self.trials.append({"run": run, "values": values, "status": status, self.metric: score})
        self.write()
        return score

    def begin(self, what: Mapping[str, Any]) -> None:
        """Writes the description of the sweep, before the first trial."""
        self.what = what
        if not self.request.dry_run:
            self.folder.mkdir(parents=True, exist_ok=True)
        self.write()

    def best(self) -> list[dict[str, Any]]:
        """The trials in order of their scores, with those of earlier calls."""
        seen = {trial["run"] for trial in self.trials}
        every = [*self.trials, *(trial for trial in self.kept if trial["run"] not in seen)]
        worst = math.inf if self.lower else -math.inf
        key = lambda trial: worst if trial.get(self.metric) is None else trial[self.metric]  # noqa: E731
        return sorted(every, key=key, reverse=not self.lower)

    def write(self) -> None:
        """Writes `sweep.json` atomically."""
        if self.request.dry_run:
            return
        fresh = self.folder / "sweep.json.new"
        fresh.write_text(
            json.dumps({**self.what, "trials": self.best()}, indent=1) + "\n", encoding="utf-8"
        )
        fresh.replace(self.folder / "sweep.json")

    def show(self) -> None:
        """Prints the table of trials."""
        for trial in self.best():
            value = "-" if trial.get(self.metric) is None else f"{trial[self.metric]:.6g}"
            summary = "  ".join(f"{name} {word}" for name, word in trial["values"].items())
            print(f"{trial['run']}  {trial['status']:9} {self.metric} {value}  {summary}")


def call(words: Sequence[str]) -> int:
    """Runs a command, and forwards SIGTERM, SIGHUP and Ctrl-C to it; returns its exit code."""
    with subprocess.Popen(words, start_new_session=True) as process:

        def pass_on(number: int, frame: object) -> None:
            process.send_signal(number)

        with signals.handled(pass_on):
            return process.wait()


def main(words: list[str]) -> int:
    """Runs the sweep; returns the exit code."""
    words, flags = (
        (words[: words.index("--")], words[words.index("--") + 1 :])
        if "--" in words
        else (words, [])
    )
    request = _parser().parse_args(words)
    from dlcore.runs import catalog

    page = catalog.load(catalog.find(request.experiment))
    fields = [field(word) for word in request.fields]
    by = request.by or (
        "grid" if all(each.words for each in fields) and not request.trials else "random"
    )
    if by != "grid" and request.trials < 1:
        raise UsageError(f"--by {by} needs --trials, their number")
    request.out = request.out or f"sweeps/{page.name}"
    chosen = {
        "grid": lambda: grid(fields),
        "random": lambda: drawn(fields, request.trials, request.seed),
    }.get(by, list)()
    for word in (*(each.name for each in fields), *(flag.lstrip("-") for flag in flags)):
        if word.split("=")[0] in ("out", "continue-run", "seeds"):
            raise UsageError(
                f"--{word} cannot be used in a sweep: each trial is one of its runs (--out, and"
                " seed=0,1,2 for seeds)"
            )
    # all words and both ends of every range, to check them before the first trial
    count = max(2, *(len(each.words) for each in fields)) if by == "optuna" else 0
    ends = [
        {
            f.name: f.words[i % len(f.words)] if f.words else f.rounded((f.low, f.high)[i % 2])
            for f in fields
        }
        for i in range(count)
    ]
    configs = [_checked(page, [*flags, *_flags(values)]) for values in chosen or ends]
    from dlcore.train.experiment import best_of

    sweep = Sweep(request, flags, request.metric or best_of(page.experiment(*configs[0])))
    if not sweep.metric:
        raise UsageError(
            f"{page.name} names no best metric: use --metric split/name, with =- in front where"
            " lower is better"
        )
    what = {
        "experiment": page.name,
        "by": by,
        "seed": request.seed,
        "metric": request.metric,
        "fields": request.fields,
        "flags": flags,
    }
    _same(sweep.folder, what)
    if by == "optuna" and (request.dry_run or request.launcher):
        raise UsageError(
            "--by optuna chooses trials by the results of earlier ones: it allows neither"
            " --dry-run nor --launcher"
        )
    sweep.begin(what)
    try:
        if by == "optuna":
            suggested(fields, request.trials, request.seed, sweep.lower, sweep.trial)
        for values in chosen:
            sweep.trial(values)
    finally:
        if not request.dry_run:
            sweep.show()
    return DONE if request.dry_run else _page(sweep)


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


def _checked(page: Any, words: list[str]) -> tuple[Any, Any]:
    """A trial's config and data source, which checks all fields before the first trial."""
    from dlcore.cli.arguments import parse
    from dlcore.runs import catalog

    usual = page.usual(words)
    parsed = parse(
        words,
        f"dlcore train {catalog.word(page.path)}",
        page.description,
        config=usual,
        flags=page.flags,
    )
    return parsed["config"], parsed["flags"].source


def _flags(values: Values) -> list[str]:
    """`--lr 1e-3`, `--widths 64 64`, `--pretrained` or `--no-pretrained`."""
    words: list[str] = []
    for name, value in values.items():
        truth = {"true": f"--{name}", "false": f"--no-{name}"}.get(value.lower())
        words += [truth] if truth else [f"--{name}", *value.split()]
    return words


def _read(file: Path) -> dict[str, Any]:
    """The content of a JSON file; {} if it is missing. UsageError: it is damaged."""
    try:
        return json.loads(files.read(file)) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is damaged ({error}): mend it, or move it away") from error


def _same(folder: Path, what: Mapping[str, Any]) -> None:
    """Raises UsageError if the folder has another sweep; trials and metric may change."""
    before, free = _read(folder / "sweep.json"), () if what["by"] == "optuna" else ("metric",)
    other = [
        name
        for name, value in what.items()
        if before and name not in free and before.get(name) != value
    ]
    if other:
        summary = "; ".join(f"{name}: {before.get(name)} then, {what[name]} now" for name in other)
        raise UsageError(f"{folder} holds another sweep ({summary}): choose another --out")


def _page(sweep: Sweep) -> int:
    ended = [sweep.folder / trial["run"] for trial in sweep.trials if trial["status"] in ENDED]
    if ended:
        from dlcore.report import page

        print(page.write(ended, sweep.folder / "report.html"))
    if len(ended) < len(sweep.trials):
        print(
            f"{len(sweep.trials) - len(ended)} of {len(sweep.trials)} trials have not ended: the"
            " same command checks again"
        )
    return DONE
