"""Damaged checkpoints are noticed, skipped by name and quarantined."""

from __future__ import annotations

import gc
import shutil
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import pytest

from dlcore.errors import Disrupted, UsageError
from dlcore.runs.checkpoint import Checkpoints
from dlcore.runs.checkpoint_files import writing
from tests.runs.test_checkpoint import LIKE, restored, same, state, two_steps

# Readers that Orbax leaves waiting when a file is damaged complain when they go.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the checkpoints of steps 10 and 20."""
    return two_steps(tmp_path_factory.mktemp("run") / "checkpoints")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(saved, tmp_path / "checkpoints"))


@pytest.mark.slow
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
    "damage",
    [
        Path.unlink,
        flipped(0.5),
        *(
            pytest.param(damage, marks=pytest.mark.nightly)
            for damage in (truncated, emptied, flipped(0.1), flipped(0.9))
        ),
    ],
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
    honest = kept.handler.restore

    def lying(path: Path, **how: Any) -> Any:
        tree = honest(path, **how)
        if path.parent.name == "20":
            tree["state"].params["net"]["int8"] = tree["state"].params["net"]["int8"] ^ jnp.array(
                [0, 1, 0], jnp.int8
            )
        return tree

    monkeypatch.setattr(kept.handler, "restore", lying)
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


@pytest.mark.parametrize("text", ["", "\n"])
def test_a_write_that_times_out_without_a_message_is_named_by_its_type(
    text: str, tmp_path: Path
) -> None:
    with pytest.raises(Disrupted, match=r"took too long \(TimeoutError\)"), writing(tmp_path):
        raise TimeoutError(text)
