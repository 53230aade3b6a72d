"""The compiler's arithmetic: what once was wrong on CPU, and gradients with and without the flag
that runs set.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.runtime.devices import FUSION
from tests.child import environment

pytestmark = pytest.mark.usefixtures("optimised")  # faults of the code that runs see


@pytest.mark.parametrize(("kind", "rows"), [(np.float32, 32_769), (np.float64, 16_385)])
@pytest.mark.parametrize("devices", [1, 8])
def test_matrix_vector_products_followed_by_a_sum(kind: type, rows: int, devices: int) -> None:
    """jaxlib 0.10.2 lost rows of this at the first size past a tile (jax-ml/jax#39103)."""
    with jax.enable_x64(True):
        random = np.random.default_rng(0)
        x, matrix = (
            random.normal(size=(rows, 3)).astype(kind),
            random.normal(size=(3, 3)).astype(kind),
        )
        counted = np.stack([np.arange(rows), np.zeros(rows), np.zeros(rows)], 1).astype(kind)
        where = jax.devices()[devices - 1]
        squares = jax.jit(lambda m, x: jax.vmap(lambda row: jnp.sum((m @ row) ** 2))(x))
        for m, rows_of in ((matrix, x), (np.eye(3, dtype=kind), counted)):
            got = np.asarray(squares(jax.device_put(m, where), jax.device_put(rows_of, where)))
            want = ((rows_of.astype(np.float64) @ m.T.astype(np.float64)) ** 2).sum(-1)
            assert got.dtype == kind
            np.testing.assert_allclose(
                got,
                want,
                rtol=1e-5 if kind is np.float32 else 1e-12,
                atol=1e-5 if kind is np.float32 else 0,
            )


GRADIENTS = """
import json, sys
import jax, jax.numpy as jnp, numpy as np
jax.config.update("jax_enable_x64", True)

def loss(p, x, y):
    h = x @ p["in"] + p["bias"]
    scale = jax.lax.rsqrt(h.var(-1, keepdims=True) + 1e-5) * p["scale"]
    h = (h - h.mean(-1, keepdims=True)) * scale
    a = jax.nn.softmax(jnp.einsum("btd,bsd->bts", h, h) / h.shape[-1] ** 0.5, -1)
    h = h + jnp.einsum("bts,bsd->btd", a, jax.nn.gelu(h))
    y_hat = jax.vmap(lambda rows: jnp.einsum("td,dk->tk", rows, p["out"]))(h)
    logp = jax.nn.log_softmax(y_hat, -1)
    return -jnp.take_along_axis(logp, y[..., None], -1).mean()

worst = {}
for b, t, d, k in ((16, 64, 48, 65), (129, 9, 31, 10)):
    r = np.random.default_rng(b)
    p = {"in": r.normal(size=(d, d)) / d**.5, "bias": r.normal(size=d)}
    p["scale"] = 1 + r.normal(size=d) / 9
    p["out"] = r.normal(size=(d, k)) / d**.5
    x, y = r.normal(size=(b, t, d)), r.integers(0, k, (b, t))
    want = jax.grad(loss)(p, x, y)  # float64, operation by operation: no fusion that could be wrong
    low = jax.tree.map(lambda a: a.astype(np.float32), p)
    slope = jax.jit(jax.grad(loss))
    for name, got in (("f64", slope(p, x, y)), ("f32", slope(low, x.astype(np.float32), y))):
        pairs = zip(jax.tree.leaves(got), jax.tree.leaves(want))
        off = max(float(jnp.abs(g - w).max() / jnp.abs(w).max()) for g, w in pairs)
        worst[name] = max(worst.get(name, 0.0), off)
print(json.dumps(worst))
"""


@pytest.mark.nightly
@pytest.mark.parametrize(
    "flags",
    ["", FUSION],
    ids=["as-it-comes", "as-runs-set-it"],
)
def test_gradients_under_jit_are_those_of_float64(flags: str, tmp_path: Path) -> None:
    command = [sys.executable, "-c", GRADIENTS]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env=environment(XLA_FLAGS=flags),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    off = json.loads(done.stdout.splitlines()[-1])
    assert off["f64"] < 1e-12
    assert off["f32"] < 2e-5
