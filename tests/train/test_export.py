"""Exported parameters come back bit for bit, and nothing in the file is executed."""

import pickle
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.train import export
from dlcore.train.step import State


def test_a_tree_comes_back_exactly(tmp_path: Path) -> None:
    params = {
        "net": {"Dense_0": {"kernel": np.arange(6, dtype=np.float32).reshape(2, 3) / 7, "bias": np.zeros(3, np.float64)}},
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
