"""Checkpoints: written by Orbax in the background, committed by a rename, proven by a checksum when
they are read.
"""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from dlcore import files
from dlcore.errors import UsageError
from dlcore.runs.checkpoint_files import free_name, read_metrics, writing
from dlcore.runs.checksum import compiled_checksum
from dlcore.runtime import orbax_leaks, quiet
from dlcore.sharding import replicated
from dlcore.train.step import State

ONLY_BEST = "only_best"  # among a checkpoint's metrics: it is no regular one


class Unreadable(UsageError):
    """There are checkpoints, and none that was asked for is sound."""


class Checkpoints:
    """The checkpoints of one run: the last `keep` ones and the best one by `best` ("split/metric",
    "-" in front: lower is better).

    Where a checkpoint's file of metrics is damaged, it is moved away with a warning, as Orbax reads
    those of all steps at the start: the checkpoint counts as not evaluated, and its state is as
    sound as its checksum says.
    """

    def __init__(self, folder: Path, keep: int = 3, best: str = "") -> None:
        self.folder, self.keep, self.best, self.lower = (
            folder,
            keep,
            best.removeprefix("-"),
            best.startswith("-"),
        )
        try:
            str(folder.resolve()).encode()
        except (
            UnicodeEncodeError
            # a name of other bytes; or one of any letters beyond ASCII, where Python was told of no
            # others
        ):
            raise UsageError(
                f"the path of {folder} is no UTF-8, and checkpoints cannot be written there: choose"
                " another --out, or set PYTHONUTF8=1"
            ) from None
        self.kept = {
            int(path.name): read_metrics(path)
            for path in folder.glob("[0-9]*")
            if path.name.isdigit()
        }
        options = ocp.CheckpointManagerOptions(
            preservation_policy=_Keep(self._to_keep),
            best_fn=self._value if best else None,  # without it the metrics would not be written
            cleanup_tmp_directories=True,
            step_prefix=None,
        )
        try:
            # The handler is named, or Orbax would guess it from the first folder that it reads, and
            # a damaged one misleads it.
            handler = ocp.StandardCheckpointHandler()
            self.manager = ocp.CheckpointManager(
                folder.resolve(), options=options, item_handlers=handler
            )
        except OSError as error:
            raise UsageError(
                f"cannot write checkpoints into {folder}: {error.strerror or error}; choose another"
                " --out"
            ) from error

    def _value(self, metrics: Mapping[str, float]) -> float:
        """The value of `best` among a checkpoint's metrics; NaN where it was not measured."""
        return float(metrics.get(self.best, math.nan))

    def _to_keep(self, steps: Sequence[int]) -> set[int]:
        """Which of the `steps` are kept: the last ones, but for those that were saved only for
        being the best, and the best.
        """
        regular = [step for step in steps if not self.kept.get(step, {}).get(ONLY_BEST)]
        best = self._best_of(steps)
        return {*regular[-self.keep :], *([] if best is None else [best])}

    def _best_of(self, steps: Sequence[int]) -> int | None:
        """The first of the best steps among these, None where none has a value."""
        worth = {
            step: self._value(self.kept.get(step, {})) * (1 if self.lower else -1)
            for step in sorted(steps)
        }
        worth = {step: value for step, value in worth.items() if not math.isnan(value)}
        return min(worth, key=lambda step: worth[step]) if worth else None

    def best_step(self) -> int | None:
        """The step of the best checkpoint; None where none was evaluated, or nothing is `best`."""
        return self._best_of(self.manager.all_steps()) if self.best else None

    def is_better(
        self, metrics: Mapping[str, float], held: Mapping[str, float] | None = None
    ) -> bool:
        """Is a state of these metrics ("split/metric") better than every checkpoint, and than
        `held`, which is to be saved?

        Equal is not better, and what is no finite number never is.
        """
        step, value = self.best_step(), self._value(metrics)
        before = [
            self._value(each)
            for each in (None if step is None else self.kept[step], held)
            if each is not None
        ]
        return math.isfinite(value) and all(
            value < each if self.lower else value > each for each in before
        )

    def save(
        self,
        state: State,
        step: int,
        metrics: Mapping[str, float] | None = None,
        only_best: bool = False,
    ) -> None:
        """Save in the background; waits only for the save before it. `metrics` ("split/metric")
        make it a candidate for best.

        With `only_best` it is not one of the last checkpoints: it goes when a better one comes.
        """
        known = (
            {self.best: metrics[self.best]}
            if metrics and math.isfinite(metrics.get(self.best, math.nan))
            else {}
        )
        if step in self.manager.all_steps():
            # saved when its evaluation was interrupted
            if known and self.best not in self.kept.get(step, {}):
                self._add(step, known)
            return
        known |= {ONLY_BEST: 1.0} if only_best else {}
        saved = {"state": state, "checksum": compiled_checksum(state)}
        self.kept = {
            each: self.kept[each] for each in self.manager.all_steps() if each in self.kept
        } | {step: known}
        with writing(self.folder):
            self.manager.save(step, args=ocp.args.StandardSave(saved), metrics=known or None)

    def _add(self, step: int, metrics: Mapping[str, float]) -> None:
        """Give metrics to a checkpoint that was saved without, as Orbax would have."""
        self.wait()
        self.kept[step] = {**self.kept.get(step, {}), **metrics}
        if jax.process_index() == 0:
            file = self.folder / str(step) / "metrics" / "metrics"
            file.parent.mkdir(exist_ok=True)
            files.write(file, json.dumps(self.kept[step]))

    def wait(self) -> None:
        """Until everything that was saved is committed."""
        with writing(self.folder):
            self.manager.wait_until_finished()

    def close(self) -> None:
        """Wait, and end the background threads."""
        self.wait()
        self.manager.close()

    def steps(self) -> list[int]:
        """The committed steps, ascending."""
        self.manager.reload()
        return sorted(self.manager.all_steps())

    def restore(self, abstract: State, step: int | None = None) -> State | None:
        """The newest sound checkpoint (or that of `step`), laid out as `abstract` says; None if
        there is none.

        A checkpoint that cannot be read, or whose checksum differs, is skipped with a warning that
        names it.
        """
        leaves = jax.tree.leaves(abstract)
        # Orbax refuses a leaf that does not say where it lies when the checkpoint comes from other
        # devices.
        place = replicated(getattr(leaves[0], "sharding", None))
        target = {
            "state": abstract,
            "checksum": jax.ShapeDtypeStruct((len(leaves), 2), jnp.uint32, sharding=place),
        }
        candidates = self.steps() if step is None else [step]
        for candidate in reversed(candidates):
            path = self.folder / str(candidate)
            try:
                restored = self.manager.restore(candidate, args=ocp.args.StandardRestore(target))
            except Exception as error:  # whatever a damaged file makes Orbax and TensorStore raise
                quiet.failed_reads()
                reason = (
                    str(error).strip().splitlines()[0][:200]
                    if str(error).strip()
                    else type(error).__name__
                )
                warnings.warn(
                    f"checkpoint {path} cannot be read and is skipped: {reason}", stacklevel=2
                )
                continue
            if (compiled_checksum(restored["state"]) == restored["checksum"]).all():
                return restored["state"]
            warnings.warn(
                f"checkpoint {path} is damaged (its checksum differs) and is skipped", stacklevel=2
            )
        if self.steps():
            raise Unreadable(
                f"none of the checkpoints {candidates} in {self.folder} can be read; mend them from"
                " a copy, or move that folder away and resume to train from the first step"
            )
        return None

    def set_aside(self, step: int) -> None:
        """Rename the checkpoints after `step`, skipped as damaged: their steps are about to be
        written again.
        """
        later = [found for found in self.steps() if found > step]
        for found in later:
            (self.folder / str(found)).rename(free_name(self.folder / f"damaged-{found}"))
        self.manager.reload()


class _Keep(NamedTuple):
    """Orbax's preservation policy: `wanted` says which of the steps are kept."""

    to_keep: Callable[[Sequence[int]], set[int]]

    def should_preserve(self, checkpoints: Sequence[Any], *, context: Any) -> list[bool]:
        """For each checkpoint, whether it is kept."""
        to_keep = self.to_keep([each.step for each in checkpoints])
        return [each.step in to_keep for each in checkpoints]


# What Orbax logs of a failed read or write it raises as well, and it is said once here; the rest is
# advice to its developers.
for name in ("absl", "asyncio"):  # asyncio: readers of a damaged file that were still waiting
    logging.getLogger(name).setLevel(logging.CRITICAL)

orbax_leaks.avoid()
