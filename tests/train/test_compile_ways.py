"""One step, many ways: whatever the devices, the layout and the microbatches, the same
parameters.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import pytest

from dlcore import sharding
from dlcore.data.stream import Stream
from dlcore.runs import catalog
from dlcore.tasks.view_augmentation import Views
from dlcore.train.compile import compile_step
from dlcore.train.evaluate import pack
from dlcore.train.experiment import Experiment
from dlcore.train.init import initial
from dlcore.train.step import train_step
from tests.child import WHOLE_BATCH, built

pytestmark = pytest.mark.slow

# adversaries are chaotic: ten times the rate amplifies a last bit a thousandfold in five steps
STEPS, RATE, SEED = 5, 0.005, 3


class Way(NamedTuple):
    """How a step is run."""

    how: sharding.How = "jit"
    devices: int = 1
    microbatches: int = 1
    mesh: str = ""

    def __str__(self) -> str:
        return f"{self.how}-{self.devices}-{self.microbatches}{self.mesh and '-'}{self.mesh}"


# Every kind on every number of devices, with every number of microbatches; every layout of the
# state.
ALL = [
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
# What compiles slowly takes those in which each kind, number and layout still occurs; and the many
# pages that are built of the same
# parts take two, beside two in float64, in which each kind and layout occurs.
SOME = [
    Way("jit", 2, 4),
    Way("shard_map", 8, 1),
    Way("pmap", 4, 2),
    Way("jit", 4, 2, "fsdp=4"),
    ALL[-1],
]
EXACT = [Way("shard_map", 4, 4), Way("jit", 4, 2, "data=2,fsdp=2")]
BATCH_NORM = [Way("jit", 8, 1, "data=4,fsdp=2"), Way("shard_map", 4), Way("pmap", 2)]
NORMED = ("cnn_fashion_mnist", "segmentation_camvid", "segmentation_nuclei", "simclr_cifar10")
FEW = [Way("pmap", 4, 2), ALL[-1]]
OFTEN = {
    "mlp_digits": ALL,
    "cnn_fashion_mnist": SOME,
    "gan_fashion_mnist": SOME,
    "gpt_tiny_shakespeare": SOME,
}
STILL = Views(1.0, ratio=1.0, jitter=0.0, grey=0.0, flip=False)
# Two models take one in every run, in float64, where a wrong term cannot hide in rounding; all else
# is nightly.
FAMILIES = ("rnn_adding", "mlp_digits")


def ways(name: str, several: list[Way]) -> list[Way]:
    """How an experiment is run, with microbatches where its loss allows them."""
    return [way._replace(microbatches=1) if name in WHOLE_BATCH else way for way in several]


CASES = [
    pytest.param(
        name, way, marks=() if name == "mlp_digits" and way in SOME else pytest.mark.nightly
    )
    for name in catalog.names()
    for way in ways(name, OFTEN.get(name, FEW))
]
EVERY_RUN = set(zip(FAMILIES, EXACT, strict=True))
EXACT_CASES = [
    pytest.param(name, way, marks=() if (name, way) in EVERY_RUN else pytest.mark.nightly)
    for name in catalog.names()
    for way in ways(name, EXACT)
]


@pytest.fixture(autouse=True)
def _quick_to_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    """Partitioning and the order of sums are the same; LLVM takes a quarter of the time. (At level
    0 it computes NaN.)
    """
    compile = jax.stages.Lowered.compile
    options = {"xla_backend_optimization_level": 1}
    monkeypatch.setattr(
        jax.stages.Lowered, "compile", lambda self: compile(self, compiler_options=options)
    )


@functools.cache
def experiment(name: str, **changes: Any) -> Experiment:
    """An experiment at its smallest, descending by plain SGD: an adaptive optimizer hides a
    gradient that is a multiple of itself.
    """
    usual = built(name, **changes)
    return dataclasses.replace(
        usual,
        objectives={k: o._replace(optimizer=optax.sgd(RATE)) for k, o in usual.objectives.items()},
    )


def ragged(rows: int, step: int) -> np.ndarray:
    """A mask that leaves some devices and microbatches much, some little and some nothing."""
    kept = np.random.default_rng(step).random(rows) < np.linspace(0.1, 1, rows)
    kept[(step * 4) % rows : (step * 4) % rows + 8] = False
    return kept.astype(np.float32)


def in_float64(x: Any) -> Any:
    """float64 where it was float32."""
    return x.astype(np.float64) if x.dtype == np.float32 else x


def off_zero(path: Any, x: np.ndarray) -> np.ndarray:
    """Biases begin at zero, where a relative bound asks for more digits than their gradients have;
    and zeros hide errors.
    """
    if not jax.tree_util.keystr(path).startswith(".params"):
        return x
    return (x + np.random.default_rng(x.size).normal(0, 0.1, x.shape)).astype(x.dtype)


def trained(built: Experiment, way: Way, precise: bool) -> tuple[Any, list[np.ndarray]]:
    """Parameters and extra state after some steps, and each step's metrics."""
    cast: Callable[[Any], Any] = in_float64 if precise else lambda x: x
    layout = sharding.layout(way.how, way.mesh, devices=jax.devices()[: way.devices])
    stream = Stream(built.train, built.batch, SEED, layout.local_rows(built.batch))

    def batch(step: int) -> Any:
        rows = {**stream.at(step), "mask": ragged(built.batch, step)}
        return layout.put({name: cast(x) for name, x in rows.items()}, built.batch)

    def step(state: Any, batch: Any, axis: str | None) -> Any:
        state, report = train_step(
            built.trained, state, batch, seed=SEED, axis=axis, microbatches=way.microbatches
        )
        return state, pack(report)

    example = batch(0)
    abstract, make = initial(built, SEED, layout, example)
    shardings = jax.tree.map(lambda x: x.sharding, abstract)
    begun = jax.tree_util.tree_map_with_path(off_zero, jax.device_get(make()))
    state = jax.tree.map(lambda x, s: jax.device_put(cast(x), s), begun, shardings)
    abstract = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, shardings
    )
    run = compile_step(step, layout, abstract, shardings, example)
    packed_metrics = []
    for number in range(STEPS):
        state, packed = run(state, batch(number))
        packed_metrics.append(np.asarray(jax.block_until_ready(packed)))
    return sharding.to_host((state.params, state.extra)), packed_metrics


@functools.cache
def reference(name: str, precise: bool, **changes: Any) -> tuple[Any, list[np.ndarray]]:
    """One device, one batch."""
    return trained(experiment(name, **changes), Way(), precise)


def check(name: str, way: Way, precise: bool, **changes: Any) -> None:
    """Parameters, extra state and the first step's metrics are those of one device, relative to the
    size of each.
    """
    bound = 1e-12 if precise else 1e-5
    want, got = (
        reference(name, precise, **changes),
        trained(experiment(name, **changes), way, precise),
    )
    assert jax.tree.structure(want) == jax.tree.structure(got)
    for (path, a), b in zip(
        jax.tree_util.tree_leaves_with_path(want[0]), jax.tree.leaves(got[0]), strict=True
    ):
        assert a.dtype == b.dtype
        assert a.dtype == np.float64 or not precise or not np.issubdtype(a.dtype, np.floating)
        assert np.abs(a - b).max() <= bound * np.abs(a).max() + 1e-30, jax.tree_util.keystr(path)
    # Of the first step, where the parameters are still the same: later ones see the parameters'
    # last bits, many times enlarged.
    assert np.abs(want[1][0]).max() > 0
    np.testing.assert_allclose(got[1][0], want[1][0], rtol=bound, atol=bound)


@pytest.mark.parametrize(("name", "way"), CASES, ids=str)
def test_same_parameters(name: str, way: Way) -> None:
    check(name, way, precise=False)


@pytest.mark.parametrize(("name", "way"), EXACT_CASES, ids=str)
def test_same_parameters_in_float64(name: str, way: Way) -> None:
    with jax.enable_x64(True):
        check(name, way, precise=True)


@pytest.mark.nightly
@pytest.mark.parametrize("way", BATCH_NORM, ids=str)
@pytest.mark.parametrize("name", NORMED)
def test_batch_statistics_are_those_of_the_global_batch(name: str, way: Way) -> None:
    check(name, way, precise=False, norm="batch")


@pytest.mark.parametrize("name", [NORMED[0], pytest.param(NORMED[3], marks=pytest.mark.nightly)])
def test_batch_statistics_in_float64(name: str) -> None:
    """Not of segmentation, whose augmented images are float32: statistics differ by their rounding
    after one step.
    """
    with jax.enable_x64(True):
        check(name, Way("shard_map", 8), precise=True, norm="batch")


@pytest.mark.nightly
@pytest.mark.parametrize(
    "way",
    [
        Way("jit", 8, 1, "data=2,fsdp=2,tensor=2"),
        Way("shard_map", 8),
        Way("jit", 8, 1, "fsdp=8"),
        Way("jit", 4, 2, "data=1,fsdp=4"),
    ],
    ids=str,
)
def test_experts_on_several_devices_are_those_of_one(way: Way) -> None:
    with jax.enable_x64(True):
        check("gpt_large", way, precise=True, experts=4, dropout=0.0)


@pytest.mark.parametrize(
    ("loss", "way"),
    [
        ("contrastive", Way("shard_map", 4)),
        pytest.param("triplet", Way("shard_map", 4), marks=pytest.mark.nightly),
        pytest.param("contrastive", Way("jit", 4, 1, "data=2,fsdp=2"), marks=pytest.mark.nightly),
        pytest.param("triplet", Way("pmap", 2), marks=pytest.mark.nightly),
    ],
    ids=str,
)
def test_rows_are_compared_with_those_of_all_devices(loss: str, way: Way) -> None:
    with jax.enable_x64(True):
        check("faces_orl", way, precise=True, loss=loss, widths=(4,), views=STILL)
