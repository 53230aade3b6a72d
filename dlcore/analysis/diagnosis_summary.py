"""What is wrong with training, in sentences: from the rows of `diagnose`, kept in
diagnostics.jsonl, and from the curves of the loss.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dlcore.errors import UsageError

FILE = "diagnostics.jsonl"

# A healthy step moves a tensor by about a thousandth of itself; a sound network's layers differ in
# gradient by less than a
# thousandfold; and a batch leaves a few units without a gradient now and then.
HIGH, APART, DEAD = 0.1, 1e3, 0.2


HEALTHY = "Nothing is wrong: gradients reach every layer, and no update is too large."
GENERAL = "No sign of overfitting: the validation loss is at its lowest, or near it."

Curve = tuple[Sequence[int], Sequence[float]]  # steps in ascending order, and the value at each


class Row(NamedTuple):
    """One parameter tensor: norms of its gradient, of itself and of its update, and how many of its
    output units are dead.

    A unit is an entry of the last axis of a kernel, a tensor of two dimensions or more (biases and
    scales have 0 units). It is dead if no number of it has a gradient in the whole batch.
    """

    name: str
    grad: float
    weight: float
    update: float
    units: int
    dead: int

    @property
    def ratio(self) -> float:
        """Update to weight; NaN for a tensor of zeros."""
        return self.update / self.weight if self.weight else math.nan


def write(folder: Path, step: int, found: Mapping[str, Sequence[Row]]) -> None:
    """Append a line for each objective to a run's diagnostics. Raises UsageError where the disk
    refuses.
    """

    def plain(row: Row) -> dict[str, Any]:
        # JSON has no NaN: null says that a number was not one.
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
            f"cannot write {folder / FILE}: {error.strerror}; make room, then dlcore resume"
            f" {folder}"
        ) from error


def read(path: Path) -> tuple[dict[str, dict[int, list[Row]]], int]:
    """{objective: {step: rows}} of a run's diagnostics, and how many lines are damaged; of equal
    steps the last one counts.
    """
    found: dict[str, dict[int, list[Row]]] = {}
    damaged = 0
    for line in path.read_bytes().splitlines(keepends=True) if path.is_file() else []:
        try:
            record = json.loads(line)
            rows = [_row(**tensor) for tensor in record["tensors"]]
            step, name = record["step"], record["objective"]
            if type(step) is not int or not isinstance(name, str):
                raise TypeError
        except (ValueError, TypeError, KeyError, RecursionError):
            # without its end it is one that a killed process was writing
            damaged += line.endswith(b"\n")
            continue
        found.setdefault(name, {})[step] = rows
    return {name: dict(sorted(steps.items())) for name, steps in found.items()}, damaged


def _row(
    name: str, grad: float | None, weight: float | None, update: float | None, units: int, dead: int
) -> Row:
    """A row from JSON, where null is what was no number. Raises TypeError for what is no row."""
    norms = [math.nan if norm is None else norm for norm in (grad, weight, update)]
    if (
        not isinstance(name, str)
        or {type(units), type(dead)} != {int}
        or not all(type(norm) in (int, float) for norm in norms)
    ):
        raise TypeError
    return Row(name, float(norms[0]), float(norms[1]), float(norms[2]), units, dead)


def verdict(rows: Sequence[Row]) -> str:
    """What is wrong, in a sentence or several; or that nothing is. Looks at the tensors that have
    units: kernels, not biases.
    """
    kernels = [row for row in rows if row.units]
    lost = [row.name for row in rows if not math.isfinite(row.grad)]
    if lost:
        return f"Gradients are not finite: {_those(lost)}."
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
    """Whether a run overfits, in a sentence, from its losses on the training and the validation
    data.

    It does where the validation loss has risen from its lowest value by a tenth of that (and a
    fiftieth of all that it had fallen), or has stood still for the second half of the run at more
    than twice the training loss, while the training loss fell. Values that are not finite are left
    out. None: fewer than three evaluations, or nothing logged in training, to say it from.
    """
    curve = [(step, value) for step, value in zip(*validation, strict=True) if math.isfinite(value)]
    if len(curve) < 3:
        return None
    (_, first), (end, last), half = curve[0], curve[-1], curve[(len(curve) - 1) // 2]
    best = min(curve, key=lambda point: point[1])
    at_best, at_half, at_end = (_before(step, train, curve) for step in (best[0], half[0], end))
    if at_best is None or at_half is None or at_end is None:
        return None
    way = (
        "The best checkpoint is from before; --patience stops there, and regularisation or more"
        " data help."
    )
    if last - best[1] > max(0.1 * abs(best[1]), 0.02 * (first - best[1])) and at_end < at_best:
        return (
            f"Overfitting since step {best[0]:,}: the validation loss rose from {best[1]:.4g} to"
            f" {last:.4g}, while the training loss fell from {at_best:.4g} to {at_end:.4g}. {way}"
        )
    if (
        half[1] - last <= 0.01 * (first - best[1])
        and 0 < 2 * at_end < last
        and at_end < 0.7 * at_half
    ):
        return (
            f"Overfitting since step {half[0]:,}: the validation loss stands still at {last:.4g},"
            f" while the training loss fell from {at_half:.4g} to {at_end:.4g}. Regularisation or"
            " more data help."
        )
    return GENERAL


def _before(step: int, train: Curve, validation: Sequence[tuple[int, float]]) -> float | None:
    """The mean of what was logged in training between the evaluation at `step` and the one before
    it; else the last value.
    """
    previous = max((at for at, _ in validation if at < step), default=-1)
    logged = [
        (at, value) for at, value in zip(*train, strict=True) if at <= step and math.isfinite(value)
    ]
    values = [value for at, value in logged if at > previous] or [value for _, value in logged[-1:]]
    return sum(values) / len(values) if values else None


def _is_dead(row: Row) -> bool:
    return row.dead > DEAD * row.units


def _those(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _dead(kernels: Sequence[Row]) -> list[str]:
    """Layers of which many units get no gradient, the worst first."""
    shares: dict[int, list[str]] = {}
    for row in kernels:
        if _is_dead(row):
            shares.setdefault(round(100 * row.dead / row.units), []).append(row.name)
    return [
        f"{share} % of the units of {_those(names)} are dead."
        for share, names in sorted(shares.items(), reverse=True)[:3]
    ]


def _apart(kernels: Sequence[Row]) -> list[str]:
    """Layers of one kind (their names differ in one number alone) whose gradients shrink or grow a
    thousandfold on the way down.
    """
    kinds: dict[str, list[Row]] = {}
    for row in kernels:
        for place in re.finditer(r"\d+", row.name):
            kinds.setdefault(f"{row.name[: place.start()]}#{row.name[place.end() :]}", []).append(
                row
            )
    findings: dict[str, None] = {}
    for rows in kinds.values():
        top = rows[-1]
        vanished = [row for row in rows if row.grad * APART < top.grad]
        if vanished:
            findings[
                f"Gradients vanish from {vanished[-1].name} down: that of {rows[0].name} is "
                f"{_share(rows[0].grad, top.grad)} of that of {top.name}."
            ] = None
        elif rows[0].grad > APART * top.grad > 0:
            findings[
                f"Gradients explode: that of {rows[0].name} is {rows[0].grad / top.grad:,.0f} times"
                f" that of {top.name}."
            ] = None
    return list(findings)[:3]


def _share(part: float, whole: float) -> str:
    return f"{part / whole:.0e}" if part else "0"
