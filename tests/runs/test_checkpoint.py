"""Checkpoints: every bit comes back, on any layout, and what is saved stays as it is."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding
from jax.sharding import PartitionSpec as P

from dlcore import sharding
from dlcore.errors import UsageError
from dlcore.runs.checkpoint import MIN_PART_BYTES, Checkpoints, array_handler
from dlcore.runs.checksum import compiled_checksum
from dlcore.train.step import State

# Readers that Orbax leaves waiting when a file is damaged complain when they go.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


def state(step: int) -> State:
    """A state with leaves of every kind, other bits for every step."""
    generator = np.random.default_rng(step)
    params = {
        # nearly all of the largest file
        "float32": jnp.asarray(generator.standard_normal((128, 64)), jnp.float32),
        "odd": jnp.array([np.nan, -0.0, np.inf, 1e-42], jnp.float32),
        "bfloat16": jnp.asarray(generator.standard_normal(5), jnp.bfloat16),
        "float16": jnp.asarray(generator.standard_normal(2), jnp.float16),
        "bool": jnp.asarray(generator.integers(0, 2, 7), bool),
        "int8": jnp.asarray(generator.integers(-128, 128, 3), jnp.int8),
        "uint32": jnp.asarray(generator.integers(0, 2**32, 3), jnp.uint32),
        "scalar": jnp.asarray(step, jnp.int32),
    }
    return State(
        jnp.asarray(step, jnp.int32),
        {"net": params},
        {"net": {"empty": {}}},
        {"net": (params["float32"][0] + 1, ())},
    )


def abstract(tree: Any) -> Any:
    """What a tree looks like, and where it lies."""
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding), tree)


LIKE = abstract(state(0))


def same(found: Any, expected: Any) -> bool:
    """Of the same types and bits."""
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    pairs = zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True)
    return all(
        a.dtype == b.dtype
        and a.shape == b.shape
        and np.asarray(a).tobytes() == np.asarray(b).tobytes()
        for a, b in pairs
    )


def two_steps(folder: Path) -> Path:
    """Saves checkpoints of steps 10 and 20 into a folder, and returns it."""
    kept = Checkpoints(folder)
    for step in (10, 20):
        kept.save(state(step), step)
    kept.close()
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the checkpoints of steps 10 and 20."""
    return two_steps(tmp_path / "checkpoints")


def restored(folder: Path, step: int | None = None) -> tuple[State | None, list[str]]:
    """What a fresh process restores, and what it warns of."""
    kept = Checkpoints(folder)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = kept.restore(LIKE, step)
    kept.close()
    return found, [str(w.message) for w in warned if "checkpoint" in str(w.message)]


@pytest.mark.slow
def test_every_bit_comes_back(folder: Path) -> None:
    found, warned = restored(folder)
    assert same(found, state(20))
    assert same(restored(folder, 10)[0], state(10))
    assert not warned


def test_nothing_saved_is_nothing_restored(tmp_path: Path) -> None:
    assert restored(tmp_path / "checkpoints") == (None, [])


@pytest.mark.slow
def test_a_checkpoint_does_not_know_the_layout_it_was_made_in(folder: Path) -> None:
    layout = sharding.layout("jit", "data=2,fsdp=4")
    shape = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), LIKE)
    placed = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s),
        shape,
        sharding.sharding(layout, shape),
    )
    kept = Checkpoints(folder)
    found = jax.block_until_ready(kept.restore(placed))
    assert same(found, state(20))
    assert found.params["net"]["float32"].sharding == placed.params["net"]["float32"].sharding
    kept.save(found, 30)
    kept.close()
    assert same(restored(folder)[0], state(20))


def test_a_step_that_is_saved_already_is_left_as_it_is(folder: Path) -> None:
    kept = Checkpoints(folder)
    kept.save(state(99), 20)
    kept.close()
    assert same(restored(folder)[0], state(20))


def test_a_folder_that_cannot_be_written_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file is in the way")
    with pytest.raises(
        UsageError, match=r"cannot write checkpoints into .*checkpoints: .*; choose another --out"
    ):
        Checkpoints(tmp_path / "run" / "checkpoints")


def test_a_failed_save_leaves_no_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    kept, closed = Checkpoints(tmp_path / "checkpoints"), []
    close = kept.manager.close
    monkeypatch.setattr(kept.manager, "close", lambda: closed.append(close()))
    monkeypatch.setattr(kept.manager, "_finalize_checkpoint", full)
    kept.save(state(1), 1)
    with pytest.raises(UsageError, match="No space left"):
        kept.close()
    assert closed == [None]


@pytest.mark.slow
@pytest.mark.parametrize(("min_bytes", "programs"), [(MIN_PART_BYTES, 0), (256, 8)])
def test_small_arrays_are_written_without_a_program_for_each_part(
    min_bytes: int,
    programs: int,
    tmp_path: Path,
    program_count: Callable[[], int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of the eight devices writes a part of a replicated array where the parts are large."""
    monkeypatch.setattr(array_handler, "_min_slice_bytes_for_replica_parallel", min_bytes)
    replicated = NamedSharding(sharding.layout("jit", "").mesh, P())
    array = jnp.asarray(np.random.default_rng(0).standard_normal((64, 8)), jnp.float32)
    saved = jax.device_put(State(jnp.asarray(1, jnp.int32), {"net": array}, {}, {}), replicated)
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    jax.block_until_ready(compiled_checksum(saved))
    before = program_count()
    checkpoints.save(saved, 1)
    assert program_count() - before == programs
    checkpoints.close()
    reopened = Checkpoints(tmp_path / "checkpoints")
    assert same(reopened.restore(abstract(saved)), saved)
    reopened.close()
