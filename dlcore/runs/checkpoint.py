"""Checkpoints: written by Orbax in the background, and verified by a checksum when read."""

from __future__ import annotations

import json
import logging
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
import orbax.checkpoint as ocp

from dlcore import errors, files
from dlcore.errors import UsageError
from dlcore.runs.checkpoint_files import free_name, read_metrics, writing
from dlcore.runs.checksum import compiled_checksum
from dlcore.runtime import memory, orbax_leaks, processes, quiet
from dlcore.sharding import replicated
from dlcore.train.step import State

ITEM = "default"  # Orbax's name of the only item of a checkpoint
ONLY_BEST = "only_best"  # this key among a checkpoint's metrics: it is no regular checkpoint
# Orbax divides a replicated array among the devices, and compiles a program for each shape and
# part. Where a part has fewer bytes than this, one device writes the whole array.
MIN_PART_BYTES = 2**24
array_handler = ocp.type_handlers.get_type_handler(jax.Array)
array_handler._min_slice_bytes_for_replica_parallel = MIN_PART_BYTES


class Unreadable(UsageError):
    """There are checkpoints, and none of the requested ones is valid."""


class Checkpoints:
    """The checkpoints of one run: the last `keep` ones, and the best one.

    Orbax reads the metrics of all checkpoints when it opens the folder. A damaged file of metrics
    is therefore moved away with a warning: the checkpoint then counts as not evaluated, and its
    state, which has a checksum of its own, can still be restored.

    Args:
        folder: where they are; is created where it is missing.
        keep: how many of the last checkpoints are kept.
        best: "split/metric" of the best one, with "-" in front where lower is better; "": none.

    Attributes:
        kept: {step: {"split/metric": value}} of the checkpoints, with the value of `best` if it
            was measured, and with `ONLY_BEST`: 1 for those saved with `only_best`.

    Raises:
        UsageError: the folder cannot be written, or its path is not UTF-8.
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
            # bytes that are no UTF-8, or letters beyond ASCII in a Python that only takes ASCII
        ):
            raise UsageError(
                f"the path of {folder} is no UTF-8, so that no checkpoints can be written: choose"
                " another --out, or set PYTHONUTF8=1"
            ) from None
        self.kept = {
            int(path.name): read_metrics(path)
            for path in folder.glob("[0-9]*")
            if path.name.isdecimal()
        }
        options = ocp.CheckpointManagerOptions(
            preservation_policy=_Keep(self._to_keep),
            best_fn=self._value if best else None,  # without it the metrics would not be written
            cleanup_tmp_directories=True,
            step_prefix=None,
        )
        try:
            # Without a named handler Orbax infers it from the first folder, which may be damaged.
            self.handler = ocp.StandardCheckpointHandler()
            self.manager = ocp.CheckpointManager(
                folder.resolve(), options=options, item_handlers=self.handler
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
        """Those of the `steps` that are kept: the last regular ones and the best one."""
        regular = [step for step in steps if not self.kept.get(step, {}).get(ONLY_BEST)]
        best = self._best_of(steps)
        return {*regular[-self.keep :], *([] if best is None else [best])}

    def _best_of(self, steps: Sequence[int]) -> int | None:
        """The earliest of the best steps; None where none has a value."""
        worth = {
            step: self._value(self.kept.get(step, {})) * (1 if self.lower else -1)
            for step in sorted(steps)
        }
        worth = {step: value for step, value in worth.items() if not math.isnan(value)}
        return min(worth, key=lambda step: worth[step]) if worth else None

    def best_step(self) -> int | None:
        """Returns the step of the best checkpoint; None where none has a value of `best`."""
        return self._best_of(self.manager.all_steps()) if self.best else None

    def is_better(
        self, metrics: Mapping[str, float], held: Mapping[str, float] | None = None
    ) -> bool:
        """Returns whether a state is better than all checkpoints and the state held in memory.

        Equal values are not better, and a missing value of `best` or one that is not finite never
        is.

        Args:
            metrics: {"split/metric": value} of the state.
            held: the metrics of the state that is held in memory until its save; None: no state
                is.

        Returns:
            True where the value of `best` is finite and better than those of the best checkpoint
            and of `held`, as far as there are such; False without a `best`.
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
        """Saves a state in the background, after waiting for the previous save.

        Args:
            state: the state.
            step: its step. If it has a checkpoint already, nothing is saved but the value of
                `best`, where that checkpoint lacks it.
            metrics: {"split/metric": value} of the state, of which that of `best` alone is stored,
                if it is finite.
            only_best: the checkpoint does not count as one of the last `keep`, and is removed when
                a better one is saved.

        Raises:
            UsageError: an earlier save or this one cannot be written.
            Disrupted: writing timed out.
        """
        known = (
            {self.best: metrics[self.best]}
            if metrics and math.isfinite(metrics.get(self.best, math.nan))
            else {}
        )
        if step in self.manager.all_steps():
            # it was saved when its evaluation was interrupted
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
        """Writes metrics into a checkpoint that was saved without, in Orbax's format."""
        self.wait()
        self.kept[step] = {**self.kept.get(step, {}), **metrics}
        if jax.process_index() == 0:
            file = self.folder / str(step) / "metrics" / "metrics"
            file.parent.mkdir(exist_ok=True)
            files.write(file, json.dumps(self.kept[step]))

    def wait(self) -> None:
        """Waits until all saves are committed.

        Raises:
            UsageError: a save cannot be written.
            Disrupted: writing timed out.
        """
        with writing(self.folder):
            self.manager.wait_until_finished()

    def close(self) -> None:
        """Waits for all saves, and ends the background threads.

        Raises:
            UsageError, Disrupted: as `wait`; the threads are ended nevertheless.
        """
        try:
            self.wait()
        except Exception:
            self.manager.close()
            raise
        self.manager.close()

    def steps(self) -> list[int]:
        """Returns the committed steps, ascending."""
        self.manager.reload()
        return sorted(self.manager.all_steps())

    def restore(self, abstract: State, step: int | None = None) -> State | None:
        """Restores the newest valid checkpoint, or that of `step`.

        A checkpoint that cannot be read (also one that does not exist), or whose checksum differs,
        is skipped with a warning.

        Args:
            abstract: the state with a `jax.ShapeDtypeStruct`, with sharding, for each array.
            step: the only step to try; None: all steps, the newest first.

        Returns:
            The state, or None where the folder has no checkpoints.

        Raises:
            Unreadable: the folder has checkpoints, and none of those tried is valid.
            UsageError, Disrupted: as `wait`, which is called first.
        """
        leaves = jax.tree.leaves(abstract)
        # Orbax needs a sharding for each leaf of a checkpoint that other devices have written.
        place = replicated(getattr(leaves[0], "sharding", None))
        target = {
            "state": abstract,
            "checksum": jax.ShapeDtypeStruct((len(leaves), 2), jnp.uint32, sharding=place),
        }
        self.wait()
        candidates = processes.agreed_list(self.steps() if step is None else [step])
        for candidate in reversed(candidates):
            path, restored, reason = self.folder / str(candidate), None, ""
            try:
                # not by the manager: it waits for processes that could not read their part
                restored = self.handler.restore(
                    (path / ITEM).resolve(), args=ocp.args.StandardRestore(target)
                )
            except Exception as error:  # damaged files raise many kinds in Orbax
                quiet.failed_reads()
                reason = errors.reason(error)
            # each process reads its part, and all continue from the same step
            if not processes.by_all(restored is not None) or restored is None:
                reason = reason or "another process cannot read its part"
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
                f"none of the checkpoints {candidates} in {self.folder} can be read; restore them"
                " from a copy, or move that folder away and resume to train from the first step"
            )
        return None

    def quarantine(self, step: int) -> None:
        """Renames every checkpoint of a step after `step` to damaged-N, where N is its own step.

        These could not be read, or not all seeds have them: their steps are trained and saved
        again.

        Args:
            step: the step that was restored; its checkpoint stays.
        """

        def rename() -> None:
            for found in self.steps():
                if found > step:
                    (self.folder / str(found)).rename(free_name(self.folder / f"damaged-{found}"))

        processes.by_first(rename)
        self.manager.reload()


class _Saved(Protocol):
    """What Orbax knows of a checkpoint; only its step is used here."""

    @property
    def step(self) -> int: ...


class _Keep(NamedTuple):
    """Orbax's preservation policy: `to_keep` selects the steps that are kept."""

    to_keep: Callable[[Sequence[int]], set[int]]

    def should_preserve(self, checkpoints: Sequence[_Saved], *, context: object) -> list[bool]:
        """For each checkpoint, whether it is kept."""
        to_keep = self.to_keep([each.step for each in checkpoints])
        return [each.step in to_keep for each in checkpoints]


# Orbax logs the errors that it raises, and advice to its developers: neither helps a user.
for name in ("absl", "asyncio"):  # asyncio: pending readers of a damaged file
    logging.getLogger(name).setLevel(logging.CRITICAL)

orbax_leaks.avoid()
memory.limit_arenas()
