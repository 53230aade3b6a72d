"""Which implementation of attention is chosen, and what cuDNN is given."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.kernels import attention as attention_module
from dlcore.kernels.attention import attention, causal_attention
from tests.kernels.test_attention import draw


@pytest.mark.quick
@pytest.mark.usefixtures("unchecked")
def test_what_is_chosen_is_what_the_table_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """On both sides of each of its bounds; what a caller names is taken as it is."""

    def chosen(
        q: int, k: int, d: int = 8, dtype: Any = jnp.bfloat16, mask: Any = None, impl: Any = "auto"
    ) -> str:
        shapes = (jax.ShapeDtypeStruct((1, 1, length, d), dtype) for length in (q, k))
        return attention_module._chosen(impl, *shapes, mask)  # type: ignore[arg-type]

    assert [chosen(n, m) for n, m in ((1024, 1024), (1023, 1024), (1024, 1023))] == [
        "blockwise",
        "plain",
        "plain",
    ]
    monkeypatch.setattr(attention_module, "_nvidia", lambda: True)
    assert [chosen(5, 5, d) for d in (8, 128, 136, 12)] == ["cudnn", "cudnn", "plain", "plain"]
    assert [chosen(5, 5, dtype=dtype) for dtype in (jnp.float16, jnp.float32, jnp.float64)] == [
        "cudnn",
        "plain",
        "plain",
    ]
    assert chosen(5, 5, mask=np.ones((1, 5), bool)) == "plain"
    assert chosen(2048, 2048, mask=np.ones((1, 2048), bool)) == "blockwise"
    assert [chosen(5, 5, impl=impl) for impl in ("blockwise", "plain", "cudnn")] == [
        "blockwise",
        "plain",
        "cudnn",
    ]


@pytest.mark.slow
def test_cudnn_has_what_it_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half precision, no mask, heads of up to 128 numbers by eights, on an NVIDIA GPU; there with
    the axes that it wants.
    """
    requested_shapes: list[tuple[int, ...]] = []

    def fused(
        q: jax.Array, k: jax.Array, v: jax.Array, *, is_causal: bool, implementation: str
    ) -> jax.Array:
        assert implementation == "cudnn"
        requested_shapes.append(q.shape)
        return jax.nn.dot_product_attention(q, k, v, is_causal=is_causal)

    kept = jax.nn.dot_product_attention
    monkeypatch.setattr("dlcore.kernels.attention._nvidia", lambda: True)
    monkeypatch.setattr(
        "dlcore.kernels.attention.jax.nn.dot_product_attention",
        lambda *a, implementation=None, **k: (
            fused(*a, implementation=implementation, **k) if implementation else kept(*a, **k)
        ),
    )
    q, k, v = draw(10, 3, 2, 3, 5, 8).astype(jnp.bfloat16)
    for f in (causal_attention, attention):
        np.testing.assert_allclose(
            *(np.asarray(f(q, k, v, impl=i), np.float32) for i in ("auto", "plain")), atol=2e-2
        )
    assert requested_shapes == [(2, 5, 3, 8)] * 2
    for odd in (q.astype(jnp.float32), q[..., :4]):
        causal_attention(odd, odd, odd)
    attention(q, k, v, jnp.ones((2, 5), bool))
    assert len(requested_shapes) == 2
    with pytest.raises(ValueError, match="leave impl to auto"):
        attention(q, k, v, jnp.ones((2, 5), bool), impl="cudnn")
