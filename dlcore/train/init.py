"""The state of step 0, created on the devices that will hold it."""

from __future__ import annotations

import dataclasses
import warnings
import zlib
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Integer

from dlcore import sharding
from dlcore.errors import UsageError
from dlcore.train import tuning
from dlcore.train.experiment import Experiment
from dlcore.train.model import init_of
from dlcore.train.step import Batch, State
from dlcore.train.weights import with_loaded


def initial(
    experiment: Experiment, seed: int, layout: sharding.Layout, batch: Batch
) -> tuple[State, Callable[[], State]]:
    """Returns the abstract state of step 0, and a function that creates the real one.

    The key of each model is folded with its name (or its `Model.init_as`), so that adding a model
    does not change the initialisation of the others.

    Args:
        experiment: models and objectives.
        seed: of the run.
        layout: devices, and the sharding of the state.
        batch: abstract or real batch, for the shapes of the models' inputs; the returned function
            needs a real one.

    Emits a UserWarning, when the state is created, if a model is tuned whose parameters are random.

    Returns:
        Shapes, dtypes and shardings of the state; () -> the state, which raises UsageError where
        weights cannot be read or do not fit.

    Raises:
        UsageError: two models have the same name, or an objective or an entry of `load` belongs to
            no model.
    """
    initialisers = init_of(experiment.models)
    untrained = [name for name in experiment.objectives if name not in initialisers]
    if untrained:
        raise UsageError(
            f"objectives {untrained} have nothing to train: the models are {sorted(initialisers)}"
        )
    unknown = [target for target in experiment.load if target.partition("/")[0] not in initialisers]
    if unknown:
        raise UsageError(f"load={unknown} names no model: the models are {sorted(initialisers)}")

    def create(batch: Batch) -> State:
        return state_of(experiment, seed, batch)

    # Loaded parameters have the shapes of those that they replace: a state that is restored does
    # not need their files, which may be gone.
    unloaded = dataclasses.replace(experiment, load={})
    abstract_state = jax.eval_shape(lambda batch: state_of(unloaded, seed, batch), batch)
    shardings = sharding.sharding(layout, abstract_state, experiment.tensor_parallel)
    abstract = jax.tree.map(
        lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), abstract_state, shardings
    )

    def create_on_devices() -> State:
        _warn_of_random(experiment)
        return jax.jit(create, out_shardings=shardings)(batch)

    return abstract, create_on_devices


def _warn_of_random(experiment: Experiment) -> None:
    """Warns of a model that is frozen without parameters of another run."""
    loaded = {target.partition("/")[0] for target in experiment.load}
    for each in experiment.models:
        if each.init_as and each.name not in (*loaded, *experiment.objectives):
            warnings.warn(
                f"{each.name!r} stays as {each.init_as!r} begins, at random: load a trained model"
                " (--pretrained RUN)",
                stacklevel=3,
            )
    for base in dict.fromkeys(base for base, _ in tuning.merges(experiment.models).values()):
        if base not in loaded:
            warnings.warn(
                f"only changes of {base!r} are trained, and its own parameters stay random: load"
                " those of a trained model (--pretrained RUN), or train it as a whole (--rank 0)",
                stacklevel=3,
            )


def state_of(experiment: Experiment, seed: int | Integer[Array, ""], batch: Batch) -> State:
    """Computes the state of step 0 of a seed; pure, for use under jit and vmap.

    Args:
        experiment: models, objectives and weights to load.
        seed: of the run; a traced scalar is allowed.
        batch: a batch, for the shapes of the models' inputs.

    Raises:
        UsageError: two models have the same name, or weights cannot be read or do not fit.
    """
    # The largest uint32: no step reaches it, so that no step uses the same key.
    key = jax.random.fold_in(jax.random.key(seed), jnp.uint32(2**32 - 1))
    keys = {
        each.name: jax.random.fold_in(key, zlib.crc32((each.init_as or each.name).encode()))
        for each in experiment.models
    }
    variables = {
        name: dict(initialise(keys[name], batch))
        for name, initialise in init_of(experiment.models).items()
    }
    params = {
        name: with_loaded(name, collections.pop("params"), experiment.load)
        for name, collections in variables.items()
    }
    opt = {
        name: objective.optimizer.init(params[name])
        for name, objective in experiment.objectives.items()
    }
    extra = {name: collections for name, collections in variables.items() if collections}
    return State(step=jnp.zeros((), jnp.int32), params=params, extra=extra, opt=opt)
