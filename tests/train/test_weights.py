"""Exported parameters come back bit for bit, and nothing in the file is executed."""

import pickle
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.train import weights as export
from dlcore.train.step import State


@pytest.mark.slow
def test_a_tree_comes_back_exactly(tmp_path: Path) -> None:
    params = {
        "net": {
            "Dense_0": {
                "kernel": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
                "bias": np.zeros(3, np.float64),
            }
        },
        "other": {"scale": np.array([1, 2], np.int32)},
    }
    tree = {"params": params, "extra": {"net": {"batch_stats": {"mean": np.ones(3, np.float32)}}}}
    state = State(step=jnp.zeros((), int), params=params, extra=tree["extra"], opt={})
    export.save(state, tmp_path / "p.npz")
    back = export.load(tmp_path / "p.npz")
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    for a, b in zip(jax.tree.leaves(tree), jax.tree.leaves(back), strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (Path.touch, (tmp_path / "sprung",))  # type: ignore[return-value]

    np.savez(tmp_path / "trap.npz", x=np.array([Trap()], object))
    (tmp_path / "bare.npz").write_bytes(pickle.dumps(Trap()))
    for name in ("trap.npz", "bare.npz", "missing.npz"):
        with pytest.raises(UsageError, match="does not hold exported parameters"):
            export.load(tmp_path / name)
    assert not (tmp_path / "sprung").exists()


def small(value: float = 0.0) -> State:
    return State(
        step=jnp.zeros((), int),
        params={"net": {"w": np.full(6, value, np.float32)}},
        extra={},
        opt={},
    )


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_the_file_that_was_there_stays_until_the_new_one_is_complete(
    error: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the new file is on the disk when it is full, or when the process is interrupted."""
    file = tmp_path / "p.npz"
    export.save(small(), file)
    before, savez = file.read_bytes(), np.savez_compressed

    def half(target: Any, **how: Any) -> None:
        savez(target, **how)
        assert file.read_bytes() == before
        raise error

    monkeypatch.setattr(np, "savez_compressed", half)
    kind, why = (
        (UsageError, "No space left") if isinstance(error, OSError) else (KeyboardInterrupt, None)
    )
    with pytest.raises(kind, match=why):
        export.save(small(1.0), file)
    assert [path.name for path in tmp_path.iterdir()] == ["p.npz"]
    assert file.read_bytes() == before


def test_half_precision_keeps_what_fits_and_refuses_what_would_be_infinite(tmp_path: Path) -> None:
    file = tmp_path / "p.npz"
    export.save(small(65504.0), file, half=True)
    assert export.load(file)["params"]["net"]["w"].tolist() == [65504] * 6
    with pytest.raises(UsageError, match="params/net/w has numbers above 65504"):
        export.save(small(7e4), file, half=True)
    assert export.load(file)["params"]["net"]["w"].tolist() == [65504] * 6


def test_where_it_cannot_be_written_is_said_before_a_state_is_restored(tmp_path: Path) -> None:
    (tmp_path / "folder.npz").mkdir()
    (tmp_path / "device.npz").symlink_to("/dev/null")
    for name in ("folder.npz", "device.npz", "missing/p.npz"):
        with pytest.raises(UsageError, match="name another file"):
            export.check(tmp_path / name)
    (tmp_path / "link.npz").symlink_to("elsewhere.npz")
    export.save(small(), tmp_path / "link.npz")
    assert (tmp_path / "elsewhere.npz").is_file(), "a link that the user named is followed"
    assert (tmp_path / "link.npz").is_symlink()
