"""A GPT of experts: equal to each token through its own experts, with a cache, alone, in a loop."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import sharding
from dlcore.models.experts import Experts
from dlcore.models.gpt import GPT, TENSOR, Size, empty_cache, unstacked
from dlcore.models.gpt_generation import generate
from tests.kernels import test_activations
from tests.kernels.test_experts import queued
from tests.models.compiled import apply
from tests.models.test_gpt import GPT2, MODERN, TOKENS, forward, params

MIXED = dataclasses.replace(MODERN, experts=4, width=16, heads=4, kv_heads=2)
GELU = dataclasses.replace(GPT2, experts=3, top=1)


def by_token(x: np.ndarray, p: Any, top: int, capacity: int, gated: bool) -> tuple[np.ndarray, int]:
    """Each token through its own experts in float64, and how many choices are dropped."""
    p = jax.tree.map(lambda a: np.asarray(a, np.float64), p)
    found, dropped = np.zeros(x.shape), 0
    for b, row in enumerate(queued(x @ p["router"], top, capacity)):
        for t, choices in enumerate(row):
            for e, place, gate in choices:
                if place < 0:
                    dropped += 1
                    continue
                up = x[b, t] @ p["up"]["kernel"][e]
                if gated:
                    slope = x[b, t] @ p["gate"]["kernel"][e]
                    up = up * slope / (1 + np.exp(-slope))
                else:
                    up = test_activations.reference(up)
                found[b, t] += gate * (up @ p["down"]["kernel"][e])
    return found, dropped


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "train"),
    [(MIXED, False), (MIXED, True), (GELU, True)],
    ids=["evaluated", "trained", "gelu"],
)
def test_a_layer_equals_each_token_through_its_experts(size: Size, train: bool) -> None:
    own = params(size)["block_0"]["experts"]
    gated, normal = size.mlp == "swiglu", jax.nn.initializers.normal(0.02)
    net = Experts(size.experts, size.top, 0.75, size.expert_hidden, gated, normal)
    x = np.random.default_rng(4).standard_normal((3, 8, size.width))
    places = int(np.ceil(0.75 * size.top * 8 / size.experts)) if train else 8
    expected, dropped = by_token(x, own, size.top, places, gated)
    assert (dropped > 0) == train
    found = jax.jit(net.apply, static_argnums=2)({"params": own}, jnp.float32(x), train)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


@pytest.mark.slow
def test_the_hidden_layer_is_halved_and_each_expert_drawn_by_itself() -> None:
    assert (MIXED.hidden, MIXED.expert_hidden) == (48, 24)
    net = Experts(4, 2, 1.25, 24, True, jax.nn.initializers.normal(0.1))
    made = jax.jit(net.init, static_argnums=2)(jax.random.key(0), jnp.zeros((1, 2, 16)), False)
    made = made["params"]
    assert jax.tree.map(jnp.shape, made) == {
        "router": (16, 4),
        "up": {"kernel": (4, 16, 24)},
        "gate": {"kernel": (4, 16, 24)},
        "down": {"kernel": (4, 24, 16)},
    }
    assert len(np.unique(made["up"]["kernel"])) == 4 * 16 * 24
    assert float(made["up"]["kernel"].std()) == pytest.approx(0.02, rel=0.1)
    assert float(made["down"]["kernel"].std()) == pytest.approx(0.1, rel=0.1)


@pytest.mark.slow
def test_token_by_token_with_a_cache_equals_all_at_once() -> None:
    run = jax.jit(functools.partial(GPT(MIXED).apply, {"params": params(MIXED)}))
    cache, found = empty_cache(MIXED, 2, jnp.float32), []
    for start, stop in ((0, 3), (3, 5), (5, 6), (6, 7), (7, 8)):
        logits, cache = run(TOKENS[:, start:stop], cache=cache, position=start)
        found.append(logits)
    expected = forward(MIXED, params(MIXED), TOKENS)
    np.testing.assert_allclose(jnp.concatenate(found, 1), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_a_row_is_computed_by_itself_and_in_training_by_its_past() -> None:
    run = jax.jit(
        lambda tokens, row: apply(
            GPT(MIXED), {"params": params(MIXED)}, tokens, train=True, row=row
        )
    )
    rows = np.arange(2)
    whole = run(TOKENS, rows)
    assert np.abs(whole - forward(MIXED, params(MIXED), TOKENS)).max() > 1e-3, "nothing is dropped"
    np.testing.assert_allclose(run(TOKENS[1:], rows[1:]), whole[1:], rtol=1e-4, atol=1e-4)
    changed = TOKENS.copy()
    changed[:, 5:] = (changed[:, 5:] + 1) % 11
    np.testing.assert_allclose(run(changed, rows)[:, :5], whole[:, :5], rtol=1e-5, atol=1e-5)


@pytest.mark.slow
def test_stacked_and_rematerialised_layers_are_the_same_and_write_the_same() -> None:
    size = dataclasses.replace(MIXED, scan=True, remat=True)
    single, apart = unstacked(size, params(size))
    expected = forward(dataclasses.replace(single, remat=False), apart, TOKENS)
    np.testing.assert_allclose(forward(size, params(size), TOKENS), expected, rtol=1e-4, atol=1e-4)
    written = generate(size, params(size), jnp.asarray(TOKENS[:, :3]), jax.random.key(1), 4, 0.0)
    np.testing.assert_array_equal(written[:, 3], expected[:, 2].argmax(-1))


@pytest.mark.quick
def test_experts_lie_over_fsdp_where_it_divides_them(devices: list[jax.Device]) -> None:
    size = dataclasses.replace(MIXED, scan=True)

    def kernels(size: Size, mesh: str) -> dict[str, Any]:
        layout = sharding.layout("jit", mesh, devices)
        tree = jax.eval_shape(GPT(size).init, jax.random.key(0), TOKENS)["params"]
        placed = sharding.sharding(layout, {"params": tree}, TENSOR)["params"]
        own = (placed["blocks"] if size.scan else placed["block_0"])["experts"]
        return {name: tuple(own[name]["kernel"].spec) for name in ("up", "gate", "down")}

    up, down = ("fsdp", None, "tensor"), ("fsdp", "tensor", None)
    for scan in (False, True):
        lead = (None,) * scan
        found = kernels(dataclasses.replace(MIXED, scan=scan), "fsdp=4,tensor=2")
        assert found == {"up": lead + up, "gate": lead + up, "down": lead + down}
    # 8 do not divide 4 experts: each kernel is divided as another parameter is
    assert kernels(size, "fsdp=8")["up"] == (None, None, "fsdp", "tensor")


@pytest.mark.quick
def test_more_experts_of_a_token_than_there_are_and_no_capacity_are_refused() -> None:
    for wrong in ({"experts": 1}, {"experts": 4, "top": 0}, {"experts": 4, "capacity": 0.0}):
        with pytest.raises(ValueError, match="a token cannot have"):
            dataclasses.replace(MODERN, **wrong)
