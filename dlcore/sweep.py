"""`dlcore sweep`: many runs over fields of a config, each an ordinary run in a folder of its own; and one page about all of them."""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import json
import math
import random
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dlcore.errors import UsageError

Values = dict[str, str]  # as they stand on the command line
DONE, REFUSED, FAILED = 0, 2, 70  # exit codes of `dlcore train`
ENDED = ("done", "failed")


@dataclasses.dataclass(frozen=True)
class Field:
    """What is tried of a field: some words, or a range of numbers, whole ones if both ends are."""

    name: str
    words: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    log: bool = False
    whole: bool = False

    def draw(self, dice: random.Random) -> str:
        """One of the words, or a number of the range, evenly (in its logarithm, if `log`)."""
        if self.words:
            return dice.choice(self.words)
        if self.whole and not self.log:
            return str(dice.randint(int(self.low), int(self.high)))
        ends = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        drawn = dice.uniform(*ends)
        return self.told(math.exp(drawn) if self.log else drawn)

    def told(self, number: float) -> str:
        """A number of the range as a word."""
        number = min(max(number, self.low), self.high)
        return str(round(number)) if self.whole else f"{number:.6g}"


def field(word: str) -> Field:
    """`lr=1e-4..1e-2:log`, `width=64..256`, `activation=relu,gelu`. UsageError: anything else."""
    name, equals, space = word.partition("=")
    name = name.lstrip("-").replace("_", "-")
    if not equals or not space or name in ("", "out", "continue-run"):
        raise UsageError(f"{word!r} says nothing to try: write FIELD=1,2,3 or FIELD=1e-4..1e-2:log")
    if ".." not in space:
        return Field(name, tuple(dict.fromkeys(space.split(","))))
    ends, _, how = space.partition(":")
    low, _, high = ends.partition("..")
    try:
        a, b = float(low), float(high)
    except ValueError:
        raise UsageError(f"{word!r}: {low!r} and {high!r} are not the ends of a range of numbers") from None
    if how not in ("", "log") or not a < b or (how and a <= 0) or not math.isfinite(b - a):
        raise UsageError(f"{word!r} is no range: the first end is below the second, and above 0 for :log")
    return Field(name, low=a, high=b, log=bool(how), whole=all(end.lstrip("-").isdigit() for end in (low, high)))


def grid(fields: Sequence[Field]) -> list[Values]:
    """Every combination. UsageError: a range has no end of values."""
    for each in fields:
        if not each.words:
            raise UsageError(f"a grid needs values of {each.name}, not a range: --by random draws from it")
    return [
        dict(zip([each.name for each in fields], words, strict=True)) for words in itertools.product(*[f.words for f in fields])
    ]


def drawn(fields: Sequence[Field], trials: int, seed: int) -> list[Values]:
    """So many draws, the same for the same seed; more of them go on where fewer ended."""
    dice = random.Random(seed)
    return [{each.name: each.draw(dice) for each in fields} for _ in range(trials)]


def suggested(fields: Sequence[Field], trials: int, seed: int, lower: bool, score: Callable[[Values], float | None]) -> None:
    """Let Optuna (Akiba et al. 2019; its tree of Parzen estimators) choose each trial by the scores before it."""
    try:
        import optuna
    except ImportError as error:
        raise UsageError("--by optuna needs Optuna: pip install 'dlcore[sweep]'") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="minimize" if lower else "maximize", sampler=optuna.samplers.TPESampler(seed=seed))
    for _ in range(trials):
        trial = study.ask()
        values = {}
        for each in fields:
            if each.words:
                values[each.name] = trial.suggest_categorical(each.name, each.words)
            elif each.whole:
                values[each.name] = str(trial.suggest_int(each.name, int(each.low), int(each.high), log=each.log))
            else:
                values[each.name] = each.told(trial.suggest_float(each.name, each.low, each.high, log=each.log))
        found = score(values)
        study.tell(trial, found, state=None if found is not None else optuna.trial.TrialState.FAIL)


class Sweep:
    """The trials of one sweep and what came of them, in its folder."""

    def __init__(self, asked: argparse.Namespace, flags: list[str], metric: str) -> None:
        self.asked, self.flags, self.folder = asked, flags, Path(asked.out)
        self.metric, self.lower = metric.lstrip("-"), metric.startswith("-")
        kept = _read(self.folder / "sweep.json").get("trials", [])
        self.launched = {trial["run"] for trial in kept} if asked.launcher else set()
        self.trials: list[dict[str, Any]] = []

    def command(self, number: int, values: Values) -> list[str]:
        """`dlcore train` for a trial; through a launcher, its words before it."""
        words = ["train", self.asked.experiment, *self.flags, *_flags(values)]
        words += ["--out", str(self.folder / f"{number:03d}"), "--continue-run"]
        launcher = shlex.split(self.asked.launcher.replace("{run}", f"{number:03d}"))
        return [*(launcher or [sys.executable, "-m", "dlcore.cli"]), *words]

    def trial(self, values: Values) -> float | None:
        """Run a trial, or go on with it, unless it has ended; its score, None if it has none. UsageError: it was refused, or stopped."""
        run = f"{len(self.trials) + 1:03d}"
        words, told = self.command(len(self.trials) + 1, values), "  ".join(f"{name} {value}" for name, value in values.items())
        card = _read(self.folder / run / "card.json")
        if card.get("status") not in ENDED and run not in self.launched:
            print(f"trial {run}: {told}\n{shlex.join(words) if self.asked.dry_run else ''}".strip(), flush=True)
            code = DONE if self.asked.dry_run else subprocess.run(words, check=False).returncode
            if code not in (DONE, FAILED):
                way = "see what it says above" if code == REFUSED else "the same command goes on"
                raise UsageError(f"trial {run} ended with exit code {code}: {way}")
            card = _read(self.folder / run / "card.json")
        results, status = card.get("results", {}), card.get("status", "launched")
        split, _, name = self.metric.rpartition("/")
        if status == "done" and name not in results.get(split, {}):
            known = ", ".join(f"{s}/{m}" for s, found in results.items() for m in found)
            raise UsageError(f"there is no {self.metric} among the results of trial {run}: {known}")
        score = results[split][name] if status == "done" else None
        self.trials.append({"run": run, "values": values, "status": status, self.metric: score})
        return score

    def write(self, what: Mapping[str, Any]) -> None:
        """`sweep.json`: what was asked, and the trials, the best first."""
        worst = -math.inf if not self.lower else math.inf
        key = lambda trial: worst if trial[self.metric] is None else trial[self.metric]  # noqa: E731
        best = sorted(self.trials, key=key, reverse=not self.lower)
        (self.folder / "sweep.json").write_text(json.dumps({**what, "trials": best}, indent=1) + "\n", encoding="utf-8")
        for trial in best:
            value = "-" if trial[self.metric] is None else f"{trial[self.metric]:.6g}"
            told = "  ".join(f"{name} {word}" for name, word in trial["values"].items())
            print(f"{trial['run']}  {trial['status']:9} {self.metric} {value}  {told}")


def main(words: list[str]) -> int:
    """`dlcore sweep`: the exit code."""
    words, flags = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    asked = _parser().parse_args(words)
    from dlcore import catalog

    page = catalog.load(catalog.find(asked.experiment))
    fields = [field(word) for word in asked.fields]
    by = asked.by or ("grid" if all(each.words for each in fields) and not asked.trials else "random")
    if by != "grid" and asked.trials < 1:
        raise UsageError(f"--by {by} needs --trials: how many?")
    asked.out = asked.out or f"sweeps/{page.name}"
    chosen = {"grid": lambda: grid(fields), "random": lambda: drawn(fields, asked.trials, asked.seed)}.get(by, list)()
    ends = [{each.name: each.words[0] if each.words else each.told(each.low) for each in fields}]
    configs = [_checked(page, [*flags, *_flags(values)]) for values in chosen or ends]
    sweep = Sweep(asked, flags, asked.metric or page.build(configs[0]).best)
    if not sweep.metric:
        raise UsageError(
            f"{page.name} does not say what is best: --metric split/name, with = and - in front where lower is better"
        )
    what = {"experiment": page.name, "by": by, "seed": asked.seed, "metric": asked.metric, "fields": asked.fields, "flags": flags}
    _same(sweep.folder, what)
    if by == "optuna" and (asked.dry_run or asked.launcher):
        raise UsageError("--by optuna chooses each trial by what came of those before: it takes neither --dry-run nor --launcher")
    if not asked.dry_run:
        sweep.folder.mkdir(parents=True, exist_ok=True)
    try:
        if by == "optuna":
            suggested(fields, asked.trials, asked.seed, sweep.lower, sweep.trial)
        for values in chosen:
            sweep.trial(values)
    finally:
        if not asked.dry_run and sweep.trials:
            sweep.write(what)
    return DONE if asked.dry_run else _page(sweep)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="dlcore sweep",
        description="Many runs over fields of a config, one after the other; the same command goes on where it stopped.",
        epilog="Behind -- stand flags that all trials have: dlcore sweep mlp_digits lr=1e-4..1e-2:log --trials 8 -- --offline",
    )
    parser.add_argument("experiment", help="an experiment's name, or a path to your own file")
    parser.add_argument("fields", nargs="+", metavar="FIELD=VALUES", help="1,2,3 for values; 64..256 for a range; 1e-4..1e-2:log")
    parser.add_argument("--by", choices=("grid", "random", "optuna"), help="a grid if all fields have values, else random")
    parser.add_argument("--trials", type=int, default=0, help="how many, where it is no grid")
    parser.add_argument("--seed", type=int, default=0, help="of the draws, not of the runs (that is a field)")
    parser.add_argument(
        "--metric", default="", help="what is best, as validation/accuracy or =-validation/loss; else the page says"
    )
    parser.add_argument("--out", default="", help="the sweep's folder; by default sweeps/EXPERIMENT")
    parser.add_argument(
        "--launcher", default="", help="'python -m launch slurm --time 1:00:00 --' starts each trial through it, once"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the trials' commands")
    return parser


def _checked(page: Any, words: list[str]) -> Any:
    """A trial's config: every field and value is looked at before the first trial."""
    from dlcore.flags import parse

    usual = page.offline if "--offline" in words else page.config()
    return parse(words, f"dlcore train {page.name}", page.about, config=usual, flags=page.flags)["config"]


def _flags(values: Values) -> list[str]:
    """`--lr 1e-3`, `--widths 64 64`, `--pretrained` or `--no-pretrained`."""
    words: list[str] = []
    for name, value in values.items():
        truth = {"true": f"--{name}", "false": f"--no-{name}"}.get(value.lower())
        words += [truth] if truth else [f"--{name}", *value.split()]
    return words


def _read(file: Path) -> dict[str, Any]:
    """A JSON file, empty if it is not there. UsageError: it is damaged."""
    try:
        return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except ValueError as error:
        raise UsageError(f"{file} is damaged ({error}): mend it, or move it away") from error


def _same(folder: Path, what: Mapping[str, Any]) -> None:
    """UsageError if the folder holds another sweep: only the number of trials may change."""
    before = _read(folder / "sweep.json")
    other = [name for name, value in what.items() if before and before.get(name) != value]
    if other:
        told = "; ".join(f"{name}: {before.get(name)} then, {what[name]} now" for name in other)
        raise UsageError(f"{folder} holds another sweep ({told}): choose another --out")


def _page(sweep: Sweep) -> int:
    ended = [sweep.folder / trial["run"] for trial in sweep.trials if trial["status"] in ENDED]
    if ended:
        from dlcore.report import page

        print(page.write(ended, sweep.folder / "report.html"))
    if len(ended) < len(sweep.trials):
        print(f"{len(sweep.trials) - len(ended)} of {len(sweep.trials)} trials have not ended: the same command looks again")
    return DONE
