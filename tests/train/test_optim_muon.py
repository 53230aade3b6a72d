"""Muon: orthogonal updates of the matrices of dense layers, Adam for all else."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.errors import UsageError
from dlcore.train import optim
from tests.train.test_optim import RATE, steps


@pytest.mark.slow
@pytest.mark.parametrize("shape", [(6, 6), (4, 12), (12, 4)])
def test_muon_moves_a_matrix_by_an_orthogonal_one(shape: tuple[int, int]) -> None:
    grad = jnp.asarray(np.random.default_rng(1).standard_normal(shape), jnp.float32)
    params = {"kernel": jnp.zeros(shape)}
    update = np.asarray(
        steps(optim.make("muon", 1.0), params, [{"kernel": grad}])[0][0]["kernel"], np.float64
    )
    sizes = np.linalg.svd(update, compute_uv=False) / (0.2 * max(shape) ** 0.5)
    assert sizes.min() > 0.5
    assert sizes.max() < 1.3
    left, _, right = np.linalg.svd(np.asarray(grad, np.float64), full_matrices=False)
    turned = left.T @ update @ right.T  # in the gradient's own axes: minus a diagonal
    assert np.abs(turned - np.diag(np.diag(turned))).max() < 1e-4 * np.abs(turned).max()
    assert (np.diag(turned) < 0).all()


@pytest.mark.slow
def test_muon_moves_each_expert_as_a_matrix_by_itself() -> None:
    grads = np.random.default_rng(3).standard_normal((3, 4, 6)).astype(np.float32)
    optimizer = optim.make("muon", 1.0)
    together = {"experts": {"up": {"kernel": jnp.asarray(grads)}}}
    found = steps(optimizer, jax.tree.map(jnp.zeros_like, together), [together])[0][0]
    for i in range(3):
        alone = {"kernel": jnp.asarray(grads[i])}
        expected = steps(optimizer, jax.tree.map(jnp.zeros_like, alone), [alone])[0][0]
        np.testing.assert_allclose(
            found["experts"]["up"]["kernel"][i], expected["kernel"], rtol=1e-4, atol=1e-5
        )


@pytest.mark.slow
def test_muon_leaves_all_but_the_kernels_of_dense_layers_to_adam() -> None:
    shapes = {"kernel": (3, 2), "embedding": (3, 2), "bias": (2,), "scale": (2,)}
    conv = {"kernel": (3, 3, 2, 2)}

    def ones(tree: Any) -> Any:
        return jax.tree.map(
            lambda s: jnp.full(s, 0.5), tree, is_leaf=lambda s: isinstance(s, tuple)
        )

    params = {"dense": ones(shapes), "conv": ones(conv)}
    grads = jax.tree.map(
        lambda p: jnp.asarray(np.random.default_rng(2).standard_normal(p.shape), jnp.float32),
        params,
    )
    muon, _ = steps(optim.make("muon", RATE), params, [grads, grads])
    plain, _ = steps(optim.make("adam", RATE), params, [grads, grads])
    jax.tree.map_with_path(
        lambda path, a, b: (
            None
            if "['dense']['kernel']" in jax.tree_util.keystr(path)
            else np.testing.assert_allclose(a, b, rtol=1e-5)
        ),
        muon[-1],
        plain[-1],
    )
    assert (
        np.abs(np.asarray(muon[-1]["dense"]["kernel"] - plain[-1]["dense"]["kernel"])).max() > 1e-3
    )


def test_muon_without_a_matrix_is_refused() -> None:
    stacked = {"dense": {"kernel": jnp.ones((3, 4, 5))}}
    with pytest.raises(UsageError, match="muon finds no matrix"):
        optim.make("muon", 1.0).init(stacked)
