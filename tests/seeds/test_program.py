"""The program of several seeds computes for each what a program of one seed does."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dlcore import sharding
from dlcore.analysis.diagnose import Diagnosis
from dlcore.data.stream import Stream
from dlcore.options import RunOptions
from dlcore.seeds import placement
from dlcore.seeds.program import SeedProgram
from dlcore.train.compile import compile_step
from dlcore.train.evaluate import LossEvaluation, pack
from dlcore.train.init import initial
from dlcore.train.step import train_step
from tests.train.test_compile_ways import experiment

pytestmark = pytest.mark.slow

KINDS = [
    pytest.param("cnn_fashion_mnist", marks=pytest.mark.nightly),
    pytest.param("gan_fashion_mnist", marks=pytest.mark.nightly),
    pytest.param("gpt_tiny_shakespeare", marks=pytest.mark.nightly),
    pytest.param("vae_mnist", marks=pytest.mark.nightly),
    "mlp_diabetes",
    pytest.param("rnn_adding", marks=pytest.mark.nightly),
]


@pytest.mark.parametrize("name", KINDS)
def test_every_kind_of_experiment_goes_side_by_side(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three seeds on one device: parameters, extra state, metrics, evaluation and diagnosis of
    each.
    """
    monkeypatch.setattr(
        placement, "over_seeds", lambda count: sharding.layout("jit", "", jax.devices()[:1])
    )
    built, seeds, one = (
        experiment(name),
        (3, 2**31 + 5, 5),
        sharding.layout("jit", "", jax.devices()[:1]),
    )
    source = next(iter(built.evaluated.values()), built.train)
    program = SeedProgram(built, RunOptions(offline=True, microbatches=2), seeds, stride=2)
    state, packed_metrics = program.join(program.initial()), []
    program.compile()
    for batch in program.batches(0, 4):
        state, packed = program.step(state, batch)
        packed_metrics.append(packed)
    logged_metrics = program.metric_values(packed_metrics)
    measured, found = program.evaluate(state, source), program.diagnose(state, 4)
    for number, seed in enumerate(seeds):
        stream = Stream(built.train, built.batch, seed, np.arange(built.batch))
        batches = [one.put(stream.at(step), built.batch) for step in range(5)]
        abstract, make = initial(built, seed, one, batches[0])

        def step(state: Any, batch: Any, axis: Any = None, seed: int = seed) -> Any:
            state, report = train_step(
                built.trained, state, batch, seed=seed, axis=axis, microbatches=2
            )
            return state, pack(report)

        shardings = jax.tree.map(lambda x: x.sharding, abstract)
        compiled, single, rows = (
            compile_step(step, one, abstract, shardings, batches[0]),
            make(),
            [],
        )
        for batch in batches[:4]:
            single, packed = compiled(single, batch)
            rows.append(np.asarray(packed))
        ours = program.split(state)[number]
        assert jax.tree.structure(ours) == jax.tree.structure(single)
        for (path, a), b in zip(
            jax.tree_util.tree_leaves_with_path(single), jax.tree.leaves(ours), strict=True
        ):
            assert (a.dtype, a.shape) == (b.dtype, b.shape)
            a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
            assert np.abs(a - b).max() <= 1e-6 * np.abs(a).max(), (seed, jax.tree_util.keystr(path))
        np.testing.assert_allclose(logged_metrics[number, 0], rows[0], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(logged_metrics[number], rows, rtol=1e-2, atol=1e-3)
        if seed != seeds[1]:
            want = LossEvaluation(built.trained, one, built.batch, seed)(single, source)
            assert measured[number] == pytest.approx(want, rel=1e-3, abs=1e-4)
            rows_of = Diagnosis(built.trained, one, seed, 2)(single, batches[4])
            for objective, tensors in rows_of.items():
                for mine, other in zip(found[number][objective], tensors, strict=True):
                    assert (mine.name, mine.units) == (other.name, other.units)
                    assert mine.grad == pytest.approx(other.grad, rel=1e-2, abs=1e-5)


def test_the_number_of_runs_does_not_matter_to_one() -> None:
    def f(x: jax.Array, y: jax.Array) -> jax.Array:
        return jnp.tanh(x @ y).sum(0)

    x, y = (
        np.random.default_rng(0).normal(size=(7, 5, 4)).astype(np.float32),
        np.eye(4, 3, dtype=np.float32),
    )
    want = np.stack([np.tanh(each @ y).sum(0) for each in x])
    for count in range(1, 8):
        layout = sharding.layout("jit", "", jax.devices()[:1])
        got = placement.vectorised(f, layout, shared=(1,))(x[:count], y)
        np.testing.assert_allclose(got, want[:count], rtol=1e-5)
    assert [placement.over_seeds(count).mesh.size for count in (1, 3, 8, 12, 16)] == [1, 3, 8, 6, 8]
