"""Rows that meet, in a loss or in batch statistics: the same gradients for any number of devices,
and no microbatches.
"""

from __future__ import annotations

import contextlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore import sharding
from dlcore.errors import UsageError
from dlcore.kernels.contrast import info_nce, unit_length
from dlcore.models.layers import BatchNorm
from dlcore.train.accumulate import over_microbatches
from dlcore.train.compile import compile_step
from dlcore.train.gather import all_rows
from dlcore.train.step import Objective, Out, State, mean, train_step

ROWS, NUMBERS, SIZE = 16, 6, 4


def contrast(params: Any, extra: Any, batch: Any, key: Any, train: bool) -> Out:
    """Supervised contrast of a linear embedding, with a mask."""
    z = unit_length(batch["x"] @ params["net"]["w"])
    label, row, mask = (all_rows(batch[name]) for name in ("label", "row", "mask"))
    counted = (batch["row"][:, None] != row[None]) & (mask[None] > 0)
    each = info_nce(z, all_rows(z), batch["label"][:, None] == label[None], counted, 0.3)
    return Out(mean(each, batch["mask"]), {}, extra)


def stepped(how: sharding.How, devices: int, microbatches: int = 1) -> tuple[Any, Any]:
    generator = np.random.default_rng(0)
    batch = {
        "x": generator.standard_normal((ROWS, NUMBERS)).astype(np.float32),
        "label": (np.arange(ROWS) % 3).astype(np.int32),
        "row": np.arange(ROWS, dtype=np.int32),
        "mask": (np.arange(ROWS) != 5).astype(np.float32),
    }
    w = np.random.default_rng(1).standard_normal((NUMBERS, SIZE)).astype(np.float32)
    layout = sharding.layout(how, "", devices=jax.devices()[:devices])
    objectives = {"net": Objective(contrast, optax.sgd(0.5))}
    params = {"net": {"w": jnp.asarray(w)}}
    opt = {"net": objectives["net"].optimizer.init(params["net"])}
    state = State(jnp.zeros((), jnp.int32), params, {}, opt)
    state = jax.device_put(state, layout.everywhere)
    placed = layout.put(batch, ROWS)

    def step(state: State, batch: Any, axis: str | None) -> Any:
        return train_step(objectives, state, batch, seed=0, axis=axis, microbatches=microbatches)

    shardings = jax.tree.map(lambda x: x.sharding, state)
    run = compile_step(step, layout, state, shardings, placed)
    state, metrics = run(state, placed)
    return np.asarray(state.params["net"]["w"]), jax.device_get(metrics)


@pytest.mark.slow
def test_devices_change_nothing() -> None:
    expected, metrics = stepped("jit", 1)
    loss = metrics["net/loss"]
    assert loss.weight == ROWS - 1
    assert float(loss.total / loss.weight) > 0.1
    for how, devices in (("jit", 4), ("shard_map", 2), ("shard_map", 8), ("pmap", 4)):
        found, others = stepped(how, devices)  # type: ignore[arg-type]
        np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-6, err_msg=f"{how}{devices}")
        assert float(others["net/loss"].total) == pytest.approx(float(loss.total), rel=1e-5)


def test_microbatches_are_refused() -> None:
    for how, devices in (("jit", 1), ("shard_map", 2)):
        with pytest.raises(UsageError, match="--microbatches 2: the loss of this experiment"):
            stepped(how, devices, microbatches=2)  # type: ignore[arg-type]
    stepped("jit", 1)  # and nothing is left behind


@pytest.mark.parametrize("train", [True, False])
def test_batch_statistics_refuse_microbatches_in_training(train: bool) -> None:
    """In training alone: running averages, such as those of a frozen network, need no batch."""
    norm, x = BatchNorm(), jnp.arange(8.0).reshape(4, 2)
    variables = norm.init(jax.random.key(0), x, train=False)

    def grad(params: Any, extra: Any, batch: Any) -> Any:
        y, changed = norm.apply({"params": params, **extra}, batch, train, mutable=[*extra])
        return params, Out(mean(y), {}, dict(changed))

    def gradients(microbatches: int) -> Any:
        extra = {"batch_stats": variables["batch_stats"]}
        return over_microbatches(grad, variables["params"], extra, x, microbatches)

    gradients(1)
    refused = pytest.raises(UsageError, match=r"--microbatches 2: batch normalisation .* --norm")
    with refused if train else contextlib.nullcontext():
        gradients(2)
