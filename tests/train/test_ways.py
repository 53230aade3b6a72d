"""One step, many ways: whatever the devices, the layout and the microbatches, the same parameters."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from dlcore import catalog
from dlcore.data.stream import Stream
from dlcore.train import parallel
from dlcore.train.evaluate import pack
from dlcore.train.experiment import Experiment
from dlcore.train.init import initial
from dlcore.train.step import train_step
from tests.child import tiny

STEPS, RATE, SEED = 5, 0.05, 3


class Way(NamedTuple):
    """How a step is run."""

    how: parallel.How = "jit"
    devices: int = 1
    microbatches: int = 1
    mesh: str = ""

    def __str__(self) -> str:
        return f"{self.how}-{self.devices}-{self.microbatches}{self.mesh and '-'}{self.mesh}"


# Every kind on every number of devices, with every number of microbatches; every layout of the state.
WAYS = [
    Way("jit", 1, 4),
    Way("jit", 2, 2),
    Way("jit", 4, 4),
    Way("jit", 8, 1),
    Way("shard_map", 1, 2),
    Way("shard_map", 2, 1),
    Way("shard_map", 4, 2),
    Way("shard_map", 8, 4),
    Way("pmap", 1, 4),
    Way("pmap", 2, 1),
    Way("pmap", 4, 2),
    Way("pmap", 8, 1),
    Way("jit", 4, 1, "data=2,fsdp=2"),
    Way("jit", 4, 2, "fsdp=4"),
    Way("jit", 8, 1, "data=2,fsdp=2,tensor=2"),
]
EXACT = [Way("jit", 8, 2), Way("shard_map", 4, 4), Way("pmap", 2, 2), Way("jit", 8, 1, "data=2,fsdp=2,tensor=2")]
BATCH_NORM = [Way("jit", 4), Way("jit", 8, 1, "data=4,fsdp=2"), Way("shard_map", 2), Way("shard_map", 8), Way("pmap", 4)]


@functools.cache
def experiment(name: str, **changes: Any) -> Experiment:
    """An experiment at its smallest, descending by plain SGD: an adaptive optimizer hides a gradient that is a multiple of itself."""
    page = catalog.load(catalog.find(name))
    built = page.build(dataclasses.replace(tiny(name), **changes))
    return dataclasses.replace(built, objectives={k: o._replace(optimizer=optax.sgd(RATE)) for k, o in built.objectives.items()})


def ragged(rows: int, step: int) -> np.ndarray:
    """A mask that leaves some devices and microbatches much, some little and some nothing."""
    kept = np.random.default_rng(step).random(rows) < np.linspace(0.1, 1, rows)
    kept[(step * 4) % rows : (step * 4) % rows + 8] = False
    return kept.astype(np.float32)


def wide(x: Any) -> Any:
    """float64 where it was float32."""
    return x.astype(np.float64) if x.dtype == np.float32 else x


def trained(built: Experiment, way: Way, precise: bool) -> tuple[Any, list[np.ndarray]]:
    """Parameters and extra state after some steps, and each step's metrics."""
    cast: Callable[[Any], Any] = wide if precise else lambda x: x
    layout = parallel.layout(way.how, way.mesh, devices=jax.devices()[: way.devices])
    stream = Stream(built.train, built.batch, SEED, layout.local_rows(built.batch))

    def batch(step: int) -> Any:
        rows = {**stream.at(step), "mask": ragged(built.batch, step)}
        return layout.put({name: cast(x) for name, x in rows.items()}, built.batch)

    def step(state: Any, batch: Any, axis: str | None) -> Any:
        state, report = train_step(built.objectives, state, batch, seed=SEED, axis=axis, microbatches=way.microbatches)
        return state, pack(report)

    example = batch(0)
    abstract, make = initial(built, SEED, layout, example)
    shardings = jax.tree.map(lambda x: x.sharding, abstract)
    state = jax.tree.map(lambda x, s: jax.device_put(cast(np.asarray(x)), s), make(), shardings)
    abstract = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, shardings)
    run = parallel.compile_step(step, layout, abstract, shardings, example)
    told = []
    for number in range(STEPS):
        state, packed = run(state, batch(number))
        told.append(np.asarray(jax.block_until_ready(packed)))
    return parallel.to_host((state.params, state.extra)), told


@functools.cache
def reference(built: Experiment, precise: bool) -> tuple[Any, list[np.ndarray]]:
    """One device, one batch."""
    return trained(built, Way(), precise)


def check(built: Experiment, way: Way, precise: bool) -> None:
    """Parameters, extra state and sums of metrics are those of one device, relative to the size of each."""
    bound = 1e-12 if precise else 1e-5
    want, got = reference(built, precise), trained(built, way, precise)
    assert jax.tree.structure(want) == jax.tree.structure(got)
    for (path, a), b in zip(jax.tree_util.tree_leaves_with_path(want[0]), jax.tree.leaves(got[0]), strict=True):
        assert a.dtype == b.dtype
        assert a.dtype == np.float64 or not precise or not np.issubdtype(a.dtype, np.floating)
        assert np.abs(a - b).max() <= bound * np.abs(a).max() + 1e-30, jax.tree_util.keystr(path)
    for a, b in zip(want[1], got[1], strict=True):
        np.testing.assert_allclose(b, a, rtol=bound * 10, atol=bound)


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("name", catalog.names())
def test_same_parameters(name: str, way: Way) -> None:
    check(experiment(name), way, precise=False)


@pytest.mark.parametrize("way", EXACT, ids=str)
@pytest.mark.parametrize("name", catalog.names())
def test_same_parameters_in_float64(name: str, way: Way) -> None:
    with jax.enable_x64(True):
        check(experiment(name), way, precise=True)


@pytest.mark.parametrize("way", BATCH_NORM, ids=str)
def test_batch_statistics_are_those_of_the_global_batch(way: Way) -> None:
    check(experiment("cnn_fashion_mnist", norm="batch"), way, precise=False)


@pytest.mark.parametrize("how", ["shard_map", "pmap"])
def test_batch_statistics_in_float64(how: parallel.How) -> None:
    with jax.enable_x64(True):
        check(experiment("cnn_fashion_mnist", norm="batch"), Way(how, 4), precise=True)


@pytest.mark.parametrize("name", catalog.names())
def test_the_steps_did_something(name: str) -> None:
    """Parameters that stayed where they began would agree too."""
    built = experiment(name)
    layout = parallel.layout("jit", "", devices=jax.devices()[:1])
    stream = Stream(built.train, built.batch, SEED, layout.local_rows(built.batch))
    _, make = initial(built, SEED, layout, layout.put(stream.at(0), built.batch))
    before, after = make().params, reference(built, False)[0][0]
    for own in built.objectives:
        moved = [float(jnp.abs(a - b).max()) for a, b in zip(*map(jax.tree.leaves, (before[own], after[own])), strict=True)]
        assert min(moved) > 0
