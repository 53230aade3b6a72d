"""Diagnosis in sentences, from the rows in diagnostics.jsonl and from the curves of the loss."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dlcore.errors import UsageError

FILE = "diagnostics.jsonl"

# Thresholds. A good update changes a tensor by about a thousandth of its norm, gradients of layers
# differ by less than a factor of 1,000, and few units have no gradient in a batch.
HIGH, APART, DEAD = 0.1, 1e3, 0.2


HEALTHY = "Nothing is wrong: gradients reach every layer, and no update is too large."
GENERAL = "No sign of overfitting: the validation loss is at its lowest, or near it."

Curve = tuple[Sequence[int], Sequence[float]]  # steps in ascending order, and the value at each


class Row(NamedTuple):
    """Norms of one parameter tensor, and its dead units.

    A unit is an index of the last axis of a kernel, a tensor of two dimensions or more (biases and
    scales have 0 units). It is dead where its gradient is 0 in the whole batch.

    Attributes:
        name: path of the tensor.
        grad, weight, update: L2 norms of the gradient, the tensor and the update.
        units, dead: number of units, and of dead ones.
    """

    name: str
    grad: float
    weight: float
    update: float
    units: int
    dead: int

    @property
    def ratio(self) -> float:
        """Norm of the update over that of the tensor; NaN for a tensor of zeros."""
        return self.update / self.weight if self.weight else math.nan


def write(folder: Path, step: int, found: Mapping[str, Sequence[Row]]) -> None:
    """Appends a line for each objective to a run's diagnostics.jsonl.

    Norms are rounded to six significant digits; one that is not finite is written as null.

    Args:
        folder: of the run.
        step: number of steps taken.
        found: {objective: rows}.

    Raises:
        UsageError: the file cannot be written, for example on a full disk.
    """

    def plain(row: Row) -> dict[str, str | float | None]:
        # JSON has no NaN and no infinity: they are written as null.
        return {
            k: (float(f"{v:.6g}") if math.isfinite(v) else None) if isinstance(v, float) else v
            for k, v in row._asdict().items()
        }

    lines = [
        {"step": step, "objective": name, "tensors": [plain(row) for row in rows]}
        for name, rows in found.items()
    ]
    try:
        with (folder / FILE).open("a", encoding="utf-8") as file:
            file.write("".join(json.dumps(line) + "\n" for line in lines))
    except OSError as error:
        raise UsageError(
            f"cannot write {folder / FILE}: {error.strerror}; free disk space, then dlcore resume"
            f" {folder}"
        ) from error


def read(path: Path) -> tuple[dict[str, dict[int, list[Row]]], int]:
    """Reads a run's diagnostics.jsonl.

    Args:
        path: of the file; a missing one has no lines.

    Returns:
        {objective: {step: rows}}, in ascending order of steps, and the number of damaged lines. Of
        several lines for a step the last one is used. A line cut off at the end of the file, as a
        killed process leaves it, is skipped and not counted. Norms that were not finite are NaN.
    """
    diagnostics: dict[str, dict[int, list[Row]]] = {}
    damaged = 0
    for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else []:
        try:
            record = json.loads(line)
            rows = [_row(**tensor) for tensor in record["tensors"]]
            step, name = record["step"], record["objective"]
            if type(step) is not int or not isinstance(name, str):
                raise TypeError
        except (ValueError, TypeError, KeyError, RecursionError):
            # a last line without its end is one that a killed process was writing: not damaged
            damaged += line.endswith(b"\n")
            continue
        diagnostics.setdefault(name, {})[step] = rows
    return {name: dict(sorted(steps.items())) for name, steps in diagnostics.items()}, damaged


def _row(
    name: str, grad: float | None, weight: float | None, update: float | None, units: int, dead: int
) -> Row:
    """A row from JSON, where null means not finite. Raises TypeError for other types."""
    norms = [math.nan if norm is None else norm for norm in (grad, weight, update)]
    if (
        not isinstance(name, str)
        or {type(units), type(dead)} != {int}
        or not all(type(norm) in (int, float) for norm in norms)
    ):
        raise TypeError
    return Row(name, float(norms[0]), float(norms[1]), float(norms[2]), units, dead)


def describe(rows: Sequence[Row]) -> str:
    """Summarises rows in a few sentences: what is wrong, or that nothing is.

    Args:
        rows: of one objective, in the order of `diagnose.named`: gradients of layers are compared
            with that of the last one. Rows without units (biases and scales) are looked at only for
            gradients and updates that are not finite; if any is not, the text names only those.
    """
    kernels = [row for row in rows if row.units]
    not_finite = [row.name for row in rows if not math.isfinite(row.grad)]
    if not_finite:
        return f"Gradients are not finite: {_those(not_finite)}."
    not_finite = [row.name for row in rows if not math.isfinite(row.update)]
    if not_finite:
        return f"Updates are not finite: {_those(not_finite)}."
    findings = [*_dead(kernels), *_apart([row for row in kernels if not _is_dead(row)])]
    large = [row for row in kernels if row.grad > APART * row.weight > 0]
    if large and not any("explode" in sentence for sentence in findings):
        worst = max(large, key=lambda row: row.grad / row.weight)
        findings.append(
            f"Gradients explode: that of {worst.name} is {worst.grad / worst.weight:,.0f} times the"
            " size of its weights."
        )
    high = [row for row in kernels if row.ratio > HIGH]
    if high:
        worst = max(high, key=lambda row: row.ratio)
        findings.append(
            f"Update-to-weight ratio of {worst.name} is {worst.ratio:.2g}: the rate is too high."
        )
    return " ".join(findings) or HEALTHY


def overfitting(train: Curve, validation: Curve) -> str | None:
    """Returns a sentence that says whether a run overfits, or None where it cannot be said.

    It overfits where the training loss fell, while the validation loss
    - rose from its lowest value by more than a tenth of that value and by more than a fiftieth of
      the distance from the first value to the lowest, or
    - in the second half of the evaluations rose, or fell by at most a hundredth of this distance,
      and is more than twice the training loss, which itself fell by more than 30 % in that half.

    Args:
        train: (steps, losses) logged in training. At an evaluation the training loss is the mean of
            those logged since the previous evaluation; if there are none, the last one before.
        validation: (steps, losses) of the evaluations. In both, values that are not finite are left
            out.

    Returns:
        The sentence, `GENERAL` where the run does not overfit; None for fewer than three
        evaluations, or where no training loss was logged up to one that is compared.
    """
    curve = [(step, value) for step, value in zip(*validation, strict=True) if math.isfinite(value)]
    if len(curve) < 3:
        return None
    (_, first), (end, last), half = curve[0], curve[-1], curve[(len(curve) - 1) // 2]
    best = min(curve, key=lambda point: point[1])
    at_best, at_half, at_end = (_before(step, train, curve) for step in (best[0], half[0], end))
    if at_best is None or at_half is None or at_end is None:
        return None
    advice = (
        "The best checkpoint is from before; --patience stops there, and regularisation or more"
        " data help."
    )
    if last - best[1] > max(0.1 * abs(best[1]), 0.02 * (first - best[1])) and at_end < at_best:
        return (
            f"Overfitting since step {best[0]:,}: the validation loss rose from {best[1]:.4g} to"
            f" {last:.4g}, while the training loss fell from {at_best:.4g} to {at_end:.4g}."
            f" {advice}"
        )
    if (
        half[1] - last <= 0.01 * (first - best[1])
        and 0 < 2 * at_end < last
        and at_end < 0.7 * at_half
    ):
        return (
            f"Overfitting since step {half[0]:,}: the validation loss stays at {last:.4g},"
            f" while the training loss fell from {at_half:.4g} to {at_end:.4g}. Regularisation or"
            " more data help."
        )
    return GENERAL


def _before(step: int, train: Curve, validation: Sequence[tuple[int, float]]) -> float | None:
    """The mean training loss between the evaluation at `step` and the previous one."""
    previous = max((when for when, _ in validation if when < step), default=-1)
    logged = [
        (when, value)
        for when, value in zip(*train, strict=True)
        if when <= step and math.isfinite(value)
    ]
    values = [value for when, value in logged if when > previous] or [
        value for _, value in logged[-1:]
    ]
    return sum(values) / len(values) if values else None


def _is_dead(row: Row) -> bool:
    return row.dead > DEAD * row.units


def _those(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _dead(kernels: Sequence[Row]) -> list[str]:
    """Sentences about layers with many dead units, those with the most first."""
    percentages: dict[int, list[str]] = {}
    for row in kernels:
        if _is_dead(row):
            percentages.setdefault(round(100 * row.dead / row.units), []).append(row.name)
    return [
        f"{percentage} % of the units of {_those(names)} are dead."
        for percentage, names in sorted(percentages.items(), reverse=True)[:3]
    ]


def _apart(kernels: Sequence[Row]) -> list[str]:
    """Sentences about vanishing and exploding gradients: layers that differ 1,000-fold in gradient.

    Layers are compared where their names differ in one number alone.
    """
    kinds: dict[str, list[Row]] = {}
    for row in kernels:
        for number in re.finditer(r"\d+", row.name):
            kind = f"{row.name[: number.start()]}#{row.name[number.end() :]}"
            kinds.setdefault(kind, []).append(row)
    findings: dict[str, None] = {}
    for rows in kinds.values():
        top = rows[-1]
        vanished = [row for row in rows if row.grad * APART < top.grad]
        if vanished:
            findings[
                f"Gradients vanish from {vanished[-1].name} down: that of {rows[0].name} is "
                f"{_ratio(rows[0].grad, top.grad)} of that of {top.name}."
            ] = None
        elif rows[0].grad > APART * top.grad > 0:
            findings[
                f"Gradients explode: that of {rows[0].name} is {rows[0].grad / top.grad:,.0f} times"
                f" that of {top.name}."
            ] = None
    return list(findings)[:3]


def _ratio(small: float, large: float) -> str:
    return f"{small / large:.0e}" if small else "0"
