"""Losses and metrics of a mixture of experts: by hand, over microbatches, and without experts."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore.models.experts import ROUTING
from dlcore.models.gpt import GPT, MATRICES, Size
from dlcore.tasks import language_modelling, mixture
from dlcore.train import tuning
from dlcore.train.model import Model
from dlcore.train.step import Mean, value
from tests.kernels.test_experts import by_balance, by_load, by_z
from tests.models.test_gpt import params

KEY = jax.random.key(1)
SIZE = Size(11, 8, 2, 2, 8, rotary=True, norm="rms", mlp="swiglu", experts=4)
ROWS = 4


def model_of(size: Size) -> Model:
    return Model("net", GPT(size), lambda batch, key, train: batch["tokens"])


def batch() -> dict[str, Any]:
    generator = np.random.default_rng(0)
    tokens = generator.integers(0, 11, (ROWS, 9))
    weight = np.ones((ROWS, 8), np.float32)
    weight[1, 5:] = 0  # padding
    return {
        "tokens": jnp.asarray(tokens[:, :-1], jnp.int32),
        "targets": jnp.asarray(tokens[:, 1:], jnp.int32),
        "weight": jnp.asarray(weight),
        "mask": jnp.asarray([1.0, 1, 0, 1]),
        "row": jnp.arange(ROWS, dtype=jnp.int32),
    }


def params_of(size: Size) -> Any:
    """Larger than at the start, so that the router decides something."""
    return {"net": params(size)}


@functools.partial(jax.jit, static_argnums=(0, 1, 4))
def run(size: Size, factors: tuple[float, ...], params: Any, data: Any, train: bool) -> Any:
    """Loss and metrics."""
    loss = mixture.loss(model_of(size), size, 0.0, *factors)
    return loss(params, {}, data, KEY, train)[:2]


@pytest.mark.slow
def test_losses_and_metrics_equal_those_of_each_layer_and_row() -> None:
    data, params = batch(), params_of(SIZE)

    @jax.jit
    def decided(params: Any, data: Any) -> Any:
        collecting = dataclasses.replace(model_of(SIZE), collect=ROUTING)
        return collecting(params, {}, data, KEY, True)[0][1]

    collected = decided(params, data)
    (plain, _), (added, metrics) = (
        run(SIZE, factors, params, data, True) for factors in ((0.0, 0.0), (0.5, 0.25))
    )
    weight = np.asarray(data["weight"] * data["mask"][:, None], np.float64)
    tokens, sums = weight.sum(1), dict.fromkeys(("balance", "router_z", "busiest", "dropped"), 0.0)
    for layer in ("block_0", "block_1"):
        routed = collected[ROUTING][layer]["experts"]["routed"][0]
        logits = np.asarray(routed.logits, np.float64)
        sums["balance"] += float((tokens * by_balance(logits, weight)).sum())
        sums["router_z"] += float((weight * by_z(logits)).sum())
        sums["busiest"] += float((tokens * 4 * by_load(logits, weight).max(-1)).sum())
        sums["dropped"] += float((weight * (~np.asarray(routed.kept)).mean(-1)).sum())
    expected = {name: total / (2 * tokens.sum()) for name, total in sums.items()}
    expected["busiest_expert"] = expected.pop("busiest")
    assert expected["dropped"] > 0
    for name, number in expected.items():
        assert value(metrics[name]) == pytest.approx(number, rel=1e-4), name
    extra = 0.5 * expected["balance"] + 0.25 * expected["router_z"]
    assert value(added) == pytest.approx(float(value(plain)) + extra, rel=1e-5)


@pytest.mark.slow
def test_evaluation_is_the_cross_entropy_alone_and_drops_nothing() -> None:
    data, params = batch(), params_of(SIZE)
    found, metrics = run(SIZE, (), params, data, False)

    @jax.jit
    def alone(params: Any, data: Any) -> Mean:
        return language_modelling.loss(model_of(SIZE))(params, {}, data, KEY, False).loss

    np.testing.assert_allclose(found, alone(params, data), rtol=1e-5)
    assert float(value(metrics["dropped"])) == 0


@pytest.mark.slow
def test_parts_of_a_batch_add_to_the_whole_and_a_loop_over_layers_to_its_layers() -> None:
    data, params = batch(), params_of(SIZE)
    whole = run(SIZE, (0.5, 0.25), params, data, True)
    parts = [
        run(SIZE, (0.5, 0.25), params, {k: v[i : i + 2] for k, v in data.items()}, True)
        for i in (0, 2)
    ]
    close = functools.partial(np.testing.assert_allclose, rtol=1e-5)
    jax.tree.map(close, whole, jax.tree.map(lambda a, b: a + b, *parts))
    size = dataclasses.replace(SIZE, scan=True, remat=True)
    blocks = [params["net"][f"block_{i}"] for i in range(2)]
    rest = {k: v for k, v in params["net"].items() if not k.startswith("block")}
    stacked = {"net": {**rest, "blocks": jax.tree.map(lambda *x: jnp.stack(x), *blocks)}}
    jax.tree.map(close, whole, run(size, (0.5, 0.25), stacked, data, True))


@pytest.mark.quick
def test_without_experts_it_is_the_loss_of_language_modelling() -> None:
    size = dataclasses.replace(SIZE, experts=0)
    loss = mixture.loss(model_of(size), size)
    found = jax.eval_shape(lambda p, b: loss(p, {}, b, KEY, True), params_of(size), batch())
    assert not found.metrics


@pytest.mark.quick
def test_what_a_router_decided_is_no_state_of_the_network() -> None:
    made = jax.eval_shape(GPT(SIZE).init, KEY, batch()["tokens"])
    assert set(made) == {"params"}


@pytest.mark.nightly
def test_experts_are_tuned_by_low_rank_as_the_merged_network_is_trained() -> None:
    data = batch()
    template = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in data.items()}
    tuned = tuning.of_rank(model_of(SIZE), template, MATRICES, 2)
    assert isinstance(tuned, tuning.Tuned)
    assert {path for path, _ in tuned.changes.net.low_rank} >= {  # type: ignore[attr-defined]
        f"block_1/experts/{name}/kernel" for name in ("up", "gate", "down")
    }
    changes = jax.tree.map(lambda x: x + 0.1, tuned.changes.init(KEY, template)["params"])
    tree = {**params_of(SIZE), "changes": changes}
    loss = mixture.loss(tuned, SIZE, 0.0, 0.5, 0.25)
    by_changes = jax.jit(lambda p: loss(p, {}, data, KEY, True)[:2])(tree)
    merged = run(SIZE, (0.5, 0.25), {"net": tuned.merged(tree)}, data, True)
    jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-5), by_changes, merged)
