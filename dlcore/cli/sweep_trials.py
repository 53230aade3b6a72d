"""The trials of a sweep: they are run one after the other, and their results kept in sweep.json."""

from __future__ import annotations

import dataclasses
import json
import math
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from dlcore import files
from dlcore.cli.sweep_space import Values
from dlcore.errors import UsageError
from dlcore.files import Json
from dlcore.runtime import signals

DONE, REFUSED, FAILED = 0, 2, 70  # exit codes of `dlcore train`
ENDED = ("done", "failed")  # "failed": diverged; after other errors a run is "stopped"


@dataclasses.dataclass(frozen=True)
class Request:
    """The command line of `dlcore sweep`.

    Attributes:
        experiment: its name, or the path of its file.
        out: the folder of the sweep; "": sweeps/EXPERIMENT.
        fields: words such as "lr=1e-4..1e-2:log".
        by: "grid", "random" or "optuna"; "": a grid where all fields have values and `trials` is
            0, else random.
        trials: their number, for "random" and "optuna" 1 at least; a grid has none, but a trial for
            each combination.
        seed: of the draws.
        metric: "split/name", with "-" in front where lower is better; "": the experiment's best.
        launcher: the command that starts a trial elsewhere, in which {run} is replaced by the name
            of the trial's folder, such as 001; "": it runs here.
        dry_run: print the commands, and run nothing.
    """

    experiment: str
    out: str
    fields: tuple[str, ...] = ()
    by: str = ""
    trials: int = 0
    seed: int = 0
    metric: str = ""
    launcher: str = ""
    dry_run: bool = False


@dataclasses.dataclass(frozen=True)
class Trial:
    """One run of a sweep, as sweep.json describes it.

    Attributes:
        run: the name of its folder, "001" and so on.
        values: of the fields, as on the command line.
        status: of its card, or "launched".
        scores: {metric: value}, None where the run has none.
    """

    run: str
    values: Values
    status: str
    scores: Mapping[str, float | None]

    @classmethod
    def from_json(cls, entry: Mapping[str, Json]) -> Trial:
        """Reads an entry of sweep.json."""
        values = entry.get("values")
        words = values if isinstance(values, dict) else {}
        scores = {
            name: _finite(value)
            for name, value in entry.items()
            if name not in ("run", "values", "status")
        }
        texts = {name: str(word) for name, word in words.items()}
        return cls(str(entry.get("run")), texts, str(entry.get("status")), scores)

    def to_json(self) -> dict[str, object]:
        """Returns the entry that `from_json` reads."""
        return {"run": self.run, "values": self.values, "status": self.status, **self.scores}


class Sweep:
    """The trials of a sweep and their results, in its folder.

    Args:
        request: the command line.
        flags: further flags of all trials.
        metric: "split/name" by which trials are ranked, with "-" in front where lower is better.

    Attributes:
        metric: "split/name", without the "-".
        lower: whether lower is better.
        trials: the trials of this call so far.
        earlier: those that sweep.json has of earlier calls.
        launched: names of the runs that `trial` does not start again: with a launcher all of
            `earlier`, without one none.

    Raises:
        UsageError: the folder has a damaged sweep.json.
    """

    def __init__(self, request: Request, flags: Sequence[str], metric: str) -> None:
        self.request, self.flags, self.folder = request, flags, Path(request.out)
        self.metric, self.lower = metric.lstrip("-"), metric.startswith("-")
        self.description: Mapping[str, object] = {}
        self.earlier = [Trial.from_json(entry) for entry in _earlier(self.folder)]
        self.launched = {trial.run for trial in self.earlier} if request.launcher else set()
        self.trials: list[Trial] = []

    def command(self, number: int, values: Values) -> list[str]:
        """Returns the command that trains or resumes a trial, through the launcher if any.

        Args:
            number: of the trial, from 1; it names the run's folder.
            values: of the fields, as on the command line.
        """
        words = ["train", self.request.experiment, *self.flags, *flags_of(values)]
        words += ["--out", str(self.folder / f"{number:03d}"), "--continue-run"]
        launcher = shlex.split(self.request.launcher.replace("{run}", f"{number:03d}"))
        return [*(launcher or [sys.executable, "-m", "dlcore"]), *words]

    def trial(self, values: Values) -> float | None:
        """Runs or resumes a trial, unless it has ended or an earlier call has launched it.

        One that has diverged (status "failed") has ended: it would diverge again. One that a signal
        or an error such as a full disk has stopped is resumed. With a launcher it is only handed
        over, and where one that was handed over has stopped, the command that continues it is
        printed. With --dry-run its command is printed, and not run.

        Args:
            values: of the fields, as on the command line.

        Returns:
            Its score; None where that is not finite, or the run is not complete.

        Raises:
            UsageError: it was refused or stopped, or its results lack the metric.
        """
        number = len(self.trials) + 1
        run = f"{number:03d}"
        card = read(self.folder / run / "card.json")
        command = self.command(number, values)
        if card.get("status") == "stopped" and run in self.launched:
            print(f"trial {run} has stopped: this continues it\n{shlex.join(command)}", flush=True)
        elif card.get("status") not in ENDED and run not in self.launched:
            self._run(run, command, values)
            card = read(self.folder / run / "card.json")
        status = str(card.get("status", "launched"))
        score = self._score(run, card.get("results")) if status == "done" else None
        self.trials.append(Trial(run, values, status, {self.metric: score}))
        self.write()
        return score

    def _run(self, run: str, words: Sequence[str], values: Values) -> None:
        summary = "  ".join(f"{name} {value}" for name, value in values.items())
        command = f"\n{shlex.join(words)}" if self.request.dry_run else ""
        print(f"trial {run}: {summary}{command}", flush=True)
        code = DONE if self.request.dry_run else call(words)
        if code not in (DONE, FAILED):
            advice = "see its output above" if code == REFUSED else "the same command continues"
            raise UsageError(f"trial {run} ended with exit code {code}: {advice}")

    def _score(self, run: str, results: Json) -> float | None:
        """The finite value of the metric among a run's results. UsageError: they lack it."""
        by_split = results if isinstance(results, dict) else {}
        found = {
            f"{split}/{name}": value
            for split, metrics in by_split.items()
            if isinstance(metrics, dict)
            for name, value in metrics.items()
        }
        value = found.get(self.metric)
        if self.metric not in found:
            known = ", ".join(found)
            raise UsageError(f"there is no {self.metric} among the results of trial {run}: {known}")
        return _finite(value)

    def begin(self, description: Mapping[str, object]) -> None:
        """Creates the folder, and sweep.json with the description; with --dry-run neither."""
        self.description = description
        if not self.request.dry_run:
            self.folder.mkdir(parents=True, exist_ok=True)
        self.write()

    def best(self) -> list[Trial]:
        """Returns all trials, also of earlier calls: the best first, unscored ones last."""
        seen = {trial.run for trial in self.trials}
        every = [*self.trials, *(trial for trial in self.earlier if trial.run not in seen)]
        worst = math.inf if self.lower else -math.inf

        def score(trial: Trial) -> float:
            value = trial.scores.get(self.metric)
            return worst if value is None else value

        return sorted(every, key=score, reverse=not self.lower)

    def write(self) -> None:
        """Writes sweep.json atomically; with --dry-run nothing."""
        if self.request.dry_run:
            return
        trials = [trial.to_json() for trial in self.best()]
        text = json.dumps({**self.description, "trials": trials}, indent=1) + "\n"
        staged = self.folder / "sweep.json.new"
        staged.write_text(text, encoding="utf-8")
        staged.replace(self.folder / "sweep.json")

    def show(self) -> None:
        """Prints run, status, score and values of each trial, in the order of `best`."""
        for trial in self.best():
            score = trial.scores.get(self.metric)
            value = "-" if score is None else f"{score:.6g}"
            summary = "  ".join(f"{name} {word}" for name, word in trial.values.items())
            print(f"{trial.run}  {trial.status:9} {self.metric} {value}  {summary}")


def call(words: Sequence[str]) -> int:
    """Runs a command, and forwards SIGTERM, SIGHUP and Ctrl-C to it.

    Returns:
        Its exit code; -N if the signal N has ended it.
    """
    with subprocess.Popen(words, start_new_session=True) as process:

        def pass_on(number: int, frame: object) -> None:
            process.send_signal(number)

        with signals.handled(pass_on):
            return process.wait()


def flags_of(values: Values) -> list[str]:
    """Returns values as flags, split into words: ["--lr", "1e-3", "--widths", "64", "64"].

    Args:
        values: {field: text}. The text is split at spaces; "true" and "false" give `--field` and
            `--no-field`.
    """
    words: list[str] = []
    for name, value in values.items():
        switch = {"true": f"--{name}", "false": f"--no-{name}"}.get(value.lower())
        words += [switch] if switch else [f"--{name}", *value.split()]
    return words


def check_same(folder: Path, description: Mapping[str, object]) -> None:
    """Raises UsageError if the folder has another sweep; the number of trials may change.

    The metric may change too, except where Optuna chooses the trials, which it does by the metric.
    """
    before = read(folder / "sweep.json")
    may_change = () if description["by"] == "optuna" else ("metric",)
    other = [
        name
        for name, value in description.items()
        if before and name not in may_change and before.get(name) != value
    ]
    if other:
        changes = [f"{name}: {before.get(name)} then, {description[name]} now" for name in other]
        raise UsageError(
            f"{folder} holds another sweep ({'; '.join(changes)}): choose another --out"
        )


def read(file: Path) -> dict[str, Json]:
    """Reads a JSON object; {} where the file is missing. Raises UsageError where it is damaged."""
    try:
        found = json.loads(files.read(file)) if file.is_file() else {}
    except (OSError, ValueError) as error:
        raise UsageError(f"{file} is damaged ({error}): mend it, or move it away") from error
    if not isinstance(found, dict):
        raise UsageError(f"{file} is damaged (it is no JSON object): mend it, or move it away")
    return found


def _earlier(folder: Path) -> list[dict[str, Json]]:
    """The entries of the trials of earlier calls."""
    trials = read(folder / "sweep.json").get("trials")
    return (
        [entry for entry in trials if isinstance(entry, dict)] if isinstance(trials, list) else []
    )


def _finite(value: Json) -> float | None:
    """A finite number; None for anything else: cards have null in place of NaN."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None
