"""The state of step 0."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec as P

from dlcore import sharding
from dlcore.data.source import arrays
from dlcore.data.splits import Splits
from dlcore.errors import UsageError
from dlcore.models.layers import BatchNorm
from dlcore.train import tuning
from dlcore.train.experiment import Experiment
from dlcore.train.init import initial, state_of
from dlcore.train.model import Model
from dlcore.train.step import Objective, State

SOURCE = arrays("set", "1", "train", {"x": np.ones((8, 4), np.float32)})


class Net(nn.Module):
    """A dense layer and batch statistics."""

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        return BatchNorm()(nn.Dense(8)(x), False)


def experiment(names: Sequence[str], trained: Sequence[str] | None = None) -> Experiment:
    """Parts of the same shape."""
    objective = Objective(lambda *a: None, optax.adam(0.1))  # type: ignore[arg-type, return-value]
    models = [Model(name, Net(), lambda batch, key, train: batch["x"]) for name in names]
    config = SimpleNamespace(batch=8, steps=1)
    return Experiment(
        config,
        models,
        dict.fromkeys(names if trained is None else trained, objective),
        Splits(SOURCE),
    )


def made(
    names: Sequence[str], seed: int = 0, trained: Sequence[str] | None = None, mesh: str = ""
) -> tuple[State, State]:
    """The abstract state and the real one."""
    count = 4 if mesh else 1
    layout = sharding.layout("jit", mesh, jax.devices()[:count])
    abstract, make = initial(
        experiment(names, trained), seed, layout, layout.put(SOURCE.gather(np.arange(8)), 8)
    )
    state = make()
    jax.block_until_ready(state)
    return abstract, state


def kernel(state: State, name: str) -> np.ndarray:
    """Its dense layer's."""
    return np.asarray(state.params[name]["Dense_0"]["kernel"])


@pytest.mark.slow
def test_a_part_keeps_its_bits_when_others_come_go_or_change_places() -> None:
    _, alone = made(["net"])
    for names in (["net", "teacher"], ["a", "net"], ["teacher", "net", "z"]):
        _, together = made(names)
        np.testing.assert_array_equal(kernel(together, "net"), kernel(alone, "net"))
        other = next(name for name in names if name != "net")
        assert (kernel(together, other) != kernel(together, "net")).all()


@pytest.mark.slow
def test_models_of_one_key_begin_alike() -> None:
    pair = experiment(["net", "reference"], ["net"])
    pair.models[1] = dataclasses.replace(pair.models[1], init_as="net")
    batch = SOURCE.gather(np.arange(8))
    state = jax.jit(lambda batch: state_of(pair, 0, batch))(batch)
    np.testing.assert_array_equal(kernel(state, "reference"), kernel(state, "net"))
    np.testing.assert_array_equal(kernel(state, "net"), kernel(made(["net"])[1], "net"))


@pytest.mark.slow
def test_the_seed_decides() -> None:
    np.testing.assert_array_equal(kernel(made(["net"])[1], "net"), kernel(made(["net"])[1], "net"))
    assert (kernel(made(["net"], seed=1)[1], "net") != kernel(made(["net"])[1], "net")).all()


@pytest.mark.slow
def test_parts_go_where_they_belong() -> None:
    _, state = made(["net", "frozen"], trained=["net"])
    assert int(state.step) == 0
    assert set(state.params) == set(state.extra) == {"net", "frozen"}
    assert set(state.opt) == {"net"}
    assert set(state.params["net"]) == {"Dense_0", "BatchNorm_0"}
    np.testing.assert_array_equal(state.extra["net"]["batch_stats"]["BatchNorm_0"]["var"], 1)


def test_an_objective_without_a_part_is_refused() -> None:
    with pytest.raises(
        UsageError, match=r"objectives \['ghost'\] have nothing to train: the models are \['net'\]"
    ):
        made(["net"], trained=["net", "ghost"])


def test_what_stays_random_is_warned_of() -> None:
    found = experiment(["net"])
    tuned = tuning.tuned(found.models[0], found.splits.template(8), ("Dense_0/kernel",), rank=2)
    found = dataclasses.replace(found, models=tuned.models, objectives={})
    layout = sharding.layout("jit", "", jax.devices()[:1])
    batch = layout.put(SOURCE.gather(np.arange(8)), 8)
    _, make = initial(found, 0, layout, batch)
    with pytest.warns(UserWarning, match="only changes of 'net' are trained, and its own .* rand"):
        make()
    found = experiment(["net", "reference"], ["net"])
    reference = dataclasses.replace(found.models[1], init_as="net")
    found = dataclasses.replace(found, models=[found.models[0], reference])
    _, make = initial(found, 0, layout, batch)
    with pytest.warns(UserWarning, match="'reference' stays as 'net' begins, at random"):
        make()


@pytest.mark.slow
def test_the_abstract_state_says_what_the_real_one_is_and_layout_changes_no_bit() -> None:
    _, plain = made(["net"])
    abstract, laid = made(["net"], mesh="data=1,fsdp=4")
    assert laid.params["net"]["Dense_0"]["kernel"].sharding.spec == P(None, "fsdp")
    assert laid.opt["net"][0].mu["Dense_0"]["kernel"].sharding.spec == P(None, "fsdp")
    assert jax.tree.structure(abstract) == jax.tree.structure(laid)
    for said, real in zip(jax.tree.leaves(abstract), jax.tree.leaves(laid), strict=True):
        assert (said.shape, said.dtype) == (real.shape, real.dtype)
        assert real.sharding.is_equivalent_to(said.sharding, real.ndim)
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(np.asarray(a), np.asarray(b)), laid, plain
    )
    assert jnp.issubdtype(laid.step.dtype, jnp.integer)
