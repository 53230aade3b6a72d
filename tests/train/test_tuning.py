"""Tuning of a part of a model: what is frozen stays, and merged parameters are the pair's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore.errors import UsageError
from dlcore.models import bert, gpt
from dlcore.models.encoder import Size
from dlcore.tasks import classification
from dlcore.train import tuning, weights
from dlcore.train.model import Model
from dlcore.train.step import Objective, State, train_step
from dlcore.train.weights import Weights, with_loaded

LINEAR = (r"block_\d+/(qkv|out|up|down)/kernel",)
NET = bert.Classifier(11, Size(2, 2, 8), 3)
MODEL = Model("net", NET, lambda batch, key, train: batch["tokens"])
BATCH = {
    "tokens": np.random.default_rng(0).integers(1, 11, (6, 5)).astype(np.int32),
    "label": np.arange(6, dtype=np.int32) % 3,
    "mask": np.ones(6, np.float32),
    "row": np.arange(6, dtype=np.int32),
}
TEMPLATE = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in BATCH.items()}


def started(found: tuning.Tuned, batch: Any = BATCH) -> dict[str, Any]:
    def start() -> dict[str, Any]:
        return {m.name: m.init(jax.random.key(1), batch)["params"] for m in found.models}

    return jax.jit(start)()


def drawn(params: Any) -> Any:
    """Changes that are none of them 0."""
    keys = iter(jax.random.split(jax.random.key(3), 100))
    normal = lambda x: 0.3 * jax.random.normal(next(keys), x.shape, x.dtype)  # noqa: E731
    return {**params, "changes": jax.tree.map(normal, params["changes"])}


def by_pairs(params: Any, scale: float) -> Any:
    """The network with x W + scale (x A) B in each dense layer that has a pair."""
    changes = params["changes"]["all"]

    def dense(f: Any, args: Any, kwargs: Any, context: Any) -> Any:
        y = f(*args, **kwargs)
        if not isinstance(context.module, nn.Dense) or context.method_name != "__call__":
            return y
        found = changes
        for part in context.module.path:
            found = found.get(part, {})
        (x,) = args
        if "a_kernel" in found:
            return y + scale * (x @ found["a_kernel"]) @ found["b_kernel"]
        return y + x @ found["kernel"] + found["bias"][None]

    with nn.intercept_methods(dense):
        return jax.jit(lambda p: NET.apply({"params": p}, BATCH["tokens"]))(params["net"])


@pytest.mark.slow
def test_merged_parameters_give_the_outputs_of_the_pairs() -> None:
    found = tuning.tuned(MODEL, TEMPLATE, LINEAR, ("head",), rank=3, alpha=12)
    params = drawn(started(found))
    y, _ = found(params, {}, BATCH, None, False)
    np.testing.assert_allclose(y, by_pairs(params, 4.0), rtol=1e-5, atol=1e-5)
    merged = NET.apply({"params": found.merged(params)}, BATCH["tokens"])
    np.testing.assert_array_equal(merged, y)
    unchanged = NET.apply({"params": params["net"]}, BATCH["tokens"])
    assert np.abs(np.asarray(unchanged - y)).max() > 0.01


@pytest.mark.slow
def test_it_starts_as_the_model_itself() -> None:
    found = tuning.tuned(MODEL, TEMPLATE, LINEAR, ("head",))
    params = started(found)
    np.testing.assert_array_equal(
        found.on(params, {}, BATCH["tokens"]), MODEL.on(params, {}, BATCH["tokens"])
    )
    a = np.asarray(params["changes"]["all"]["text"]["encoder"]["block_0"]["up"]["a_kernel"])
    assert a.shape == (8, 8)
    assert 0 < np.abs(a).max() <= 8**-0.5


@pytest.mark.slow
def test_only_what_is_named_is_trained() -> None:
    found = tuning.tuned(MODEL, TEMPLATE, (), ("head", r"block_1/up"))
    params = started(found)
    optimizer = optax.adam(0.1)
    objectives = {"changes": Objective(classification.loss(found), optimizer)}
    opt = {"changes": optimizer.init(params["changes"])}
    state, losses = State(jnp.int32(0), params, {}, opt), []
    step = jax.jit(lambda state, batch: train_step(objectives, state, batch, seed=0))
    for _ in range(5):
        state, metrics = step(state, BATCH)
        losses.append(float(metrics["changes/loss"].total))
    assert losses[-1] < 0.9 * losses[0]
    jax.tree.map(np.testing.assert_array_equal, state.params["net"], params["net"])
    before, after = (found.merged(each) for each in (params, state.params))
    changed = {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, same in jax.tree_util.tree_leaves_with_path(
            jax.tree.map(lambda x, y: bool((x == y).all()), before, after)
        )
        if not same
    }
    assert changed == {"head/kernel", "head/bias", "text/encoder/block_1/up/kernel"}
    counted = tuning.evaluator(objectives).scores(state)
    assert counted == {
        "trained_parameters": 8 * 3 + 3 + 8 * 32,
        "optimizer_bytes": 4 + 2 * 4 * (8 * 3 + 3 + 8 * 32),
    }


@pytest.mark.quick
def test_two_changes_of_one_model_are_not_merged() -> None:
    with pytest.raises(UsageError, match="a, b are changes of the same model"):
        tuning.merged({"net": {}, "a": {}, "b": {}}, {"a": ("net", 1.0), "b": ("net", 1.0)})


@pytest.mark.nightly
def test_the_merged_state_is_exported_and_loaded_as_the_model(tmp_path: Path) -> None:
    found = tuning.tuned(MODEL, TEMPLATE, LINEAR, ("head",), rank=2)
    params = drawn(started(found))
    merged = tuning.merged(params, tuning.merges(found.models))
    assert set(merged) == {"net"}
    weights.save(State(jnp.int32(5), merged, {}, {}), tmp_path / "merged.npz")
    other = MODEL.init(jax.random.key(9), BATCH)["params"]
    loaded = with_loaded("net", other, {"net": Weights(tmp_path / "merged.npz", "net")})
    np.testing.assert_array_equal(
        MODEL.on({"net": loaded}, {}, BATCH["tokens"]), found.on(params, {}, BATCH["tokens"])
    )


@pytest.mark.nightly
def test_stacked_layers_of_a_gpt_are_changed_layer_by_layer() -> None:
    size = gpt.Size(11, 5, layers=2, heads=2, width=8, scan=True)
    model = Model("net", gpt.GPT(size), lambda batch, key, train: batch["tokens"])
    found = tuning.tuned(model, TEMPLATE, (r"qkv/kernel",), rank=2, alpha=2)
    params = drawn(started(found))
    a, b = (params["changes"]["all"]["blocks"]["qkv"][f"{each}_kernel"] for each in "ab")
    assert a.shape == (2, 8, 2)
    plain, by_layer = gpt.unstacked(size, params["net"])
    for layer in range(2):
        qkv = by_layer[f"block_{layer}"]["qkv"]
        by_layer[f"block_{layer}"]["qkv"] = {"kernel": qkv["kernel"] + a[layer] @ b[layer]}
    expected = gpt.GPT(plain).apply({"params": by_layer}, BATCH["tokens"])
    np.testing.assert_allclose(
        found.on(params, {}, BATCH["tokens"]), expected, rtol=1e-5, atol=1e-5
    )


@pytest.mark.nightly
def test_the_matrices_of_a_gpt_are_all_but_its_norms_and_rank_0_trains_the_whole() -> None:
    size = gpt.Size(11, 5, layers=2, heads=2, width=8, rotary=True, norm="rms", mlp="swiglu")
    model = Model("net", gpt.GPT(size), lambda batch, key, train: batch["tokens"])
    found = tuning.of_rank(model, TEMPLATE, gpt.MATRICES, 2)
    assert isinstance(found, tuning.Tuned)
    assert (found.trained, found.scale) == ("changes", 2)
    params = started(found)
    matrices = {
        jax.tree_util.keystr(path, simple=True, separator="/")
        for path, x in jax.tree_util.tree_leaves_with_path(params["net"])
        if x.ndim == 2
    }
    assert {path for path, _ in found.changes.net.low_rank} == matrices  # type: ignore[attr-defined]
    whole = tuning.of_rank(model, TEMPLATE, gpt.MATRICES, 0)
    assert (whole.trained, whole.models) == ("net", [model])
    assert whole.merged(params) is params["net"]
    np.testing.assert_array_equal(
        whole(params, {}, BATCH, None, False)[0], model(params, {}, BATCH, None, False)[0]
    )


@pytest.mark.quick
@pytest.mark.parametrize(
    ("low_rank", "full", "rank", "message"),
    [
        (("qvk",), (), 2, "'qvk' occurs in no parameter of 'net', which has head/bias"),
        (("head/kernel",), ("head",), 2, "head/kernel is to be changed by low rank and in full"),
        ((), (), 2, "nothing of 'net' is trained"),
        (("head",), (), 2, r"head/bias has the shape \(3,\), and only a matrix"),
        (("head/kernel",), (), 4, "--rank 4 is outside 1 to 3, the smaller side of head/kernel"),
        ((), ("head",), 0, "a rank of 0: it is at least 1"),
    ],
)
def test_what_cannot_be_tuned_is_refused(
    low_rank: tuple[str, ...], full: tuple[str, ...], rank: int, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        tuning.tuned(MODEL, TEMPLATE, low_rank, full, rank)
