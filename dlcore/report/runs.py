"""Reads a run folder: its card, its curves, its samples, and notes about what cannot be read."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from dlcore import files
from dlcore.analysis import diagnosis_summary
from dlcore.errors import UsageError
from dlcore.files import Json
from dlcore.report.markup import is_number
from dlcore.runs import catalog
from dlcore.runs import sample_files as samples
from dlcore.runs.sample_files import Entry

LARGEST = 4 * 2**30  # bytes of a file of metrics
EXPECTED = (
    "experiment",
    "status",
    "config",
    "run",
    "git",
    "versions",
    "devices",
    "data",
    "parameters",
    "seconds",
    "params_sha256",
    "results",
)


@dataclass(frozen=True)
class Run:
    """One run folder.

    Attributes:
        path: the folder.
        label: its name in the report, unique among the runs of `read_all`.
        card: the content of card.json.
        series: {(split, metric): (steps int64 [n], values float64 [n])}, NaN where not finite.
        samples: the validated index of its samples folder.
        notes: messages on what is missing or damaged.
        headline: the main metric by the experiment file, as "test/accuracy"; "": none.
    """

    path: Path
    label: str
    card: dict[str, Json]
    series: dict[tuple[str, str], tuple[np.ndarray, np.ndarray]] = field(default_factory=dict)
    samples: list[Entry] = field(default_factory=list)
    notes: tuple[str, ...] = ()
    headline: str = ""

    def get(self, *keys: str) -> Json:
        """Returns the card's value at a path of keys; None where it is missing."""
        value: Json = self.card
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def mapping(self, *keys: str) -> dict[str, Json]:
        """Returns the card's mapping at a path of keys; {} where it is missing or no mapping."""
        value = self.get(*keys)
        return value if isinstance(value, dict) else {}

    def numbers(self, *keys: str) -> dict[str, float]:
        """Returns the entries of `mapping(*keys)` whose values are numbers."""
        return {name: value for name, value in self.mapping(*keys).items() if is_number(value)}


def read(path: Path) -> Run:
    """Reads one run.

    Damaged lines of metrics.jsonl are left out, and all samples where their index is damaged;
    `Run.notes` has a message on each, and on entries that the card lacks.

    Raises:
        UsageError: the folder is no run, its card cannot be read, or metrics.jsonl or the diagnosis
            is larger than `LARGEST`.
    """
    if not path.is_dir():
        raise UsageError(
            f"{path}: no such run folder. Pass a folder that `dlcore train` created:"
            " runs/EXPERIMENT/RUN"
        )
    card = _card(path / "card.json")
    for file in (path / "metrics.jsonl", path / diagnosis_summary.FILE):
        if file.is_file() and file.stat().st_size > LARGEST:
            raise UsageError(
                f"{file}: {file.stat().st_size:,} bytes are more than a run writes. Restore it, or"
                " move it away."
            )
    series, notes = metrics(path / "metrics.jsonl")
    try:
        index = samples.load(path / "samples")
    except ValueError as error:
        index, notes = [], [*notes, f"The samples are left out. {error}"]
    missing = [key for key in EXPECTED if card.get(key) is None]
    if missing:
        why = {"running": " (the run is still running)", "failed": " (the run failed)"}.get(
            str(card.get("status")), ""
        )
        notes = [*notes, f"card.json does not say{why}: {', '.join(missing)}."]
    headline = _headline(path / "experiment.py")
    return Run(path, path.resolve().name, card, series, index, tuple(notes), headline)


def _headline(file: Path) -> str:
    """The metric of the line `Headline:` of a run's experiment file; "" where there is none."""
    try:
        return catalog.described(files.read(file).decode()).get("headline", "")
    except (OSError, ValueError, SyntaxError, RecursionError):  # of another's run
        return ""


def read_all(paths: Sequence[Path]) -> list[Run]:
    """Reads runs, each folder once, with a unique label for each.

    Raises:
        UsageError: `paths` is empty, or `read` raises it for one of them.
    """
    unique = list({path.resolve(): path for path in map(Path, paths)}.values())
    if not unique:
        raise UsageError(
            "no run was named. Pass one or more run folders: dlcore report runs/EXPERIMENT/RUN"
        )
    runs = [read(path) for path in unique]
    if len({str(run.get("experiment")) for run in runs}) > 1:
        runs = [replace(run, label=f"{run.get('experiment') or '?'}/{run.label}") for run in runs]
    labels = [run.label for run in runs]
    if len(set(labels)) < len(labels):
        runs = [replace(run, label=f"{run.path.resolve().parent.name}/{run.label}") for run in runs]
        labels = [run.label for run in runs]
    return [
        (
            replace(run, label=f"{run.label} ({labels[: i + 1].count(run.label)})")
            if labels.count(run.label) > 1
            else run
        )
        for i, run in enumerate(runs)
    ]


def _card(path: Path) -> dict[str, Json]:
    try:
        card = json.loads(files.read(path))
    except FileNotFoundError as error:
        raise UsageError(
            f"{path}: missing, so this is no run folder. Pass one that `dlcore train` created."
        ) from error
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"{path}: cannot be read ({error}). Restore it, or train again."
        ) from error
    if not isinstance(card, dict):
        raise UsageError(f"{path}: is no JSON object. Restore it, or train again.")
    return card


def metrics(path: Path) -> tuple[dict[tuple[str, str], tuple[np.ndarray, np.ndarray]], list[str]]:
    """Reads a metrics file.

    Returns:
        The series as in `Run.series`, steps ascending; of several values of a step the last one in
        the file. And messages on what is missing or damaged; without the file there are no series.
    """
    if not path.is_file():
        return {}, ["There is no metrics.jsonl, so there are no curves."]
    points: dict[tuple[str, str], dict[int, float]] = {}
    damaged: list[int] = []
    words: set[str] = set()
    with path.open("rb") as lines:
        for position, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            found = _record(line)
            if found is None:
                # A line without its end is one that a killed process was writing: nothing was lost
                # but itself.
                if line.endswith(b"\n"):
                    damaged.append(position)
                continue
            step, record = found
            split = str(record.get("split", "train"))
            for name, value in record.items():
                if name in ("step", "split"):
                    continue
                if value is not None and not is_number(value):
                    words.add(name)
                    continue
                # By step, the last one wins: a resumed run repeats the steps after its checkpoint.
                points.setdefault((split, name), {})[step] = _finite(value)
    series = {}
    for key, values in points.items():
        steps = sorted(values)
        series[key] = (
            np.array(steps, dtype=np.int64),
            np.array([values[step] for step in steps], dtype=np.float64),
        )
    notes = []
    if damaged:
        shown = ", ".join(map(str, damaged[:8])) + (
            f" and {len(damaged) - 8} more" if len(damaged) > 8 else ""
        )
        notes.append(
            f"metrics.jsonl: damaged and left out: line{'s' if len(damaged) > 1 else ''} {shown}."
        )
    if words:
        notes.append(
            "metrics.jsonl: values that are not numbers are left out, of"
            f" {', '.join(sorted(words))}."
        )
    return series, notes


def _record(line: bytes) -> tuple[int, dict[str, Json]] | None:
    """The step and the content of a line; None where it is no JSON object with a step."""
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    step = record.get("step") if isinstance(record, dict) else None
    return (int(step), record) if is_number(step) and abs(step) < 2**53 else None


def _finite(value: float | None) -> float:
    return float(value) if value is not None and math.isfinite(value) else math.nan
