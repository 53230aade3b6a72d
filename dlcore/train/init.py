"""The state of step 0, made where it will lie."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

from dlcore import sharding
from dlcore.errors import UsageError
from dlcore.train.experiment import Experiment
from dlcore.train.model import init_of
from dlcore.train.step import Batch, State
from dlcore.train.weights import with_loaded


def initial(
    experiment: Experiment, seed: int, layout: sharding.Layout, batch: Batch
) -> tuple[State, Callable[[], State]]:
    """The abstract state (shapes and where they lie), and a function that makes the real one.

    Each part's key is folded with its name, so that adding a part never shifts another's
    initialisation.
    """
    initialisers = init_of(experiment.models)
    missing = [name for name in experiment.objectives if name not in initialisers]
    if missing:
        raise UsageError(
            f"objectives {missing} have nothing to train: the models are {sorted(initialisers)}"
        )
    unknown = [target for target in experiment.load if target.partition("/")[0] not in initialisers]
    if unknown:
        raise UsageError(f"load={unknown} names no model: the models are {sorted(initialisers)}")

    def make(batch: Batch) -> State:
        return state_of(experiment, seed, batch)

    shape = jax.eval_shape(make, batch)
    shardings = sharding.sharding(layout, shape, experiment.tensor_parallel)
    abstract = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shape, shardings
    )
    return abstract, lambda: jax.jit(make, out_shardings=shardings)(batch)


def state_of(experiment: Experiment, seed: int | Array, batch: Batch) -> State:
    """The state of step 0 that belongs to a seed."""
    # The last uint32: no step ever folds it in.
    key = jax.random.fold_in(jax.random.key(seed), jnp.uint32(2**32 - 1))
    made = {
        name: dict(initialise(jax.random.fold_in(key, zlib.crc32(name.encode())), batch))
        for name, initialise in init_of(experiment.models).items()
    }
    params = {
        name: with_loaded(name, variables.pop("params"), experiment.load)
        for name, variables in made.items()
    }
    opt = {
        name: objective.optimizer.init(params[name])
        for name, objective in experiment.objectives.items()
    }
    extra = {name: variables for name, variables in made.items() if variables}
    return State(step=jnp.zeros((), jnp.int32), params=params, extra=extra, opt=opt)
