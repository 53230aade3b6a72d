"""Checkpoints: exact, kept by count and by merit, and never believed when they are damaged."""

from __future__ import annotations

import gc
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import sharding
from dlcore.errors import UsageError
from dlcore.runs.checkpoint import Checkpoints
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


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoints of steps 10 and 20."""
    folder = tmp_path_factory.mktemp("run") / "checkpoints"
    kept = Checkpoints(folder)
    for step in (10, 20):
        kept.save(state(step), step)
    kept.close()
    return folder


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(saved, tmp_path / "checkpoints"))


def restored(folder: Path, step: int | None = None) -> tuple[State | None, list[str]]:
    """What a fresh process restores, and what it warns of."""
    kept = Checkpoints(folder)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = kept.restore(LIKE, step)
    kept.close()
    return found, [str(w.message) for w in warned if "checkpoint" in str(w.message)]


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


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"[1]", b'{"test/score": "high"}', b"\xff\xfe", None]
)
def test_damaged_metrics_of_one_checkpoint_leave_its_state_and_the_others_alone(
    tmp_path: Path, damage: bytes | None
) -> None:
    """As a full disk or a bad sector leaves it: Orbax reads the metrics of all checkpoints before
    it reads any state.
    """
    folder = tmp_path / "checkpoints"
    kept = Checkpoints(folder, keep=3, best="test/score")
    for step in (10, 20, 30):
        kept.save(state(step), step, {"test/score": {10: 0.7, 20: 0.9, 30: 0.5}[step]})
    kept.close()
    broken = folder / "20" / "metrics" / "metrics"
    broken.unlink() if damage is None else broken.write_bytes(damage)
    for best in ("", "test/score"):  # as `eval` opens it, and as `resume` does
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            kept = Checkpoints(folder, keep=3, best=best)
            found = {step: kept.restore(LIKE, step) for step in (10, 20, 30)}
        assert all(same(found[step], state(step)) for step in found)
        if not best:
            (said,) = [str(w.message) for w in warned]
            assert (
                f"the metrics of checkpoint {folder / '20'} cannot be read and were moved to"
                " damaged-20-metrics" in said
            )
        else:
            assert not warned
            assert kept.best_step() == 10
            kept.save(state(40), 40, {"test/score": 0.6})
        kept.close()
    assert sorted(p.name for p in folder.iterdir()) == [
        "10",
        "20",
        "30",
        "40",
        "damaged-20-metrics",
    ]


def test_a_step_that_is_saved_already_is_left_as_it_is(folder: Path) -> None:
    kept = Checkpoints(folder)
    kept.save(state(99), 20)
    kept.close()
    assert same(restored(folder)[0], state(20))


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


def truncated(path: Path) -> None:
    """Half of it is gone."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def emptied(path: Path) -> None:
    """All of it is gone, the file is not."""
    path.write_bytes(b"")


def flipped(place: float) -> Callable[[Path], None]:
    """One bit is another."""

    def damage(path: Path) -> None:
        raw = bytearray(path.read_bytes())
        raw[int(place * (len(raw) - 1))] ^= 4
        path.write_bytes(raw)

    return damage


def files(folder: Path, step: int) -> Iterator[Path]:
    """Every file of a checkpoint."""
    yield from sorted(p.relative_to(folder) for p in (folder / str(step)).rglob("*") if p.is_file())


@pytest.mark.slow
@pytest.mark.parametrize(
    "damage", [truncated, emptied, Path.unlink, flipped(0.1), flipped(0.5), flipped(0.9)]
)
def test_a_damaged_file_is_noticed_wherever_it_is(
    saved: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Either the file holds nothing of the state, and every bit comes back, or the checkpoint is
    skipped by name.
    """
    skipped, largest = 0, max(files(saved, 20), key=lambda path: (saved / path).stat().st_size)
    for number, path in enumerate(files(saved, 20)):
        folder = Path(shutil.copytree(saved, tmp_path / str(number)))
        damage(folder / path)
        found, warned = restored(folder)
        # something said beside the numbers: of the commit, of the types, of an index since replaced
        if same(found, state(20)):
            assert path != largest
            continue
        skipped += 1
        assert same(found, state(10)), path
        assert len(warned) == 1
        assert str(folder / "20") in warned[0]
        assert "skipped" in warned[0]
    assert skipped >= 3
    gc.collect()  # what Orbax left waiting goes here, not in another test


def test_a_folder_that_only_looks_like_a_checkpoint_is_skipped(folder: Path) -> None:
    (folder / "30").mkdir()
    found, warned = restored(folder)
    assert same(found, state(20))
    assert len(warned) == 1
    assert f"checkpoint {folder / '30'} cannot be read and is skipped" in warned[0]


def test_what_a_killed_save_left_is_nothing(folder: Path) -> None:
    left = folder / "30.orbax-checkpoint-tmp-1" / "default"
    left.mkdir(parents=True)
    (left / "manifest.ocdbt").write_bytes(b"half")
    found, warned = restored(folder)
    assert same(found, state(20))
    assert not warned
    kept = Checkpoints(folder)
    kept.save(state(30), 30)
    kept.close()
    assert same(restored(folder)[0], state(30))
    assert sorted(p.name for p in folder.iterdir()) == ["10", "20", "30"]


def test_numbers_that_changed_on_the_way_are_noticed_by_the_checksum(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk or a wire that changes a bit and mends its own checksum: only ours can see it."""
    kept = Checkpoints(folder)
    honest = kept.manager.restore

    def lying(step: int, **how: Any) -> Any:
        tree = honest(step, **how)
        if step == 20:
            tree["state"].params["net"]["int8"] = tree["state"].params["net"]["int8"] ^ jnp.array(
                [0, 1, 0], jnp.int8
            )
        return tree

    monkeypatch.setattr(kept.manager, "restore", lying)
    with pytest.warns(
        UserWarning, match=r"checkpoint .*20 is damaged \(its checksum differs\) and is skipped"
    ):
        found = kept.restore(LIKE)
    assert same(found, state(10))
    kept.close()


@pytest.mark.slow
def test_where_all_are_damaged_the_user_is_warned(folder: Path) -> None:
    for step in (10, 20):
        truncated(
            folder / next(path for path in files(folder, step) if path.name == "manifest.ocdbt")
        )
    kept = Checkpoints(folder)
    with (
        pytest.warns(UserWarning, match="skipped"),
        pytest.raises(UsageError, match=r"none of the checkpoints \[10, 20\] in") as error,
    ):
        kept.restore(LIKE)
    assert "restore them from a copy, or move that folder away" in str(error.value)
    kept.close()
    gc.collect()


def test_what_was_skipped_is_renamed_and_its_step_can_be_saved_again(folder: Path) -> None:
    truncated(folder / next(path for path in files(folder, 20) if path.name == "manifest.ocdbt"))
    broken = {path.relative_to("20"): (folder / path).read_bytes() for path in files(folder, 20)}
    kept = Checkpoints(folder)
    kept.quarantine(10)
    assert kept.steps() == [10]
    assert {p: (folder / "damaged-20" / p).read_bytes() for p in broken} == broken
    kept.save(state(21), 20)
    kept.wait()
    kept.quarantine(10)  # again: the first renamed one is not overwritten
    kept.close()
    assert sorted(p.name for p in folder.iterdir()) == ["10", "damaged-20", "damaged-20-1"]
    found, warned = restored(folder)
    assert same(found, state(10))
    assert not warned


def test_a_folder_that_cannot_be_written_is_a_message(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("a file is in the way")
    with pytest.raises(
        UsageError, match=r"cannot write checkpoints into .*checkpoints: .*; choose another --out"
    ):
        Checkpoints(tmp_path / "run" / "checkpoints")
