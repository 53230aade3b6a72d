"""The state of step 0, made where it will lie."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from dlcore.errors import UsageError
from dlcore.train import parallel
from dlcore.train.experiment import Experiment
from dlcore.train.step import Batch, State


def initial(experiment: Experiment, seed: int, layout: parallel.Layout, batch: Batch) -> tuple[State, Callable[[], State]]:
    """The abstract state (shapes and where they lie), and a function that makes the real one.

    Each part's key is folded with its name, so that adding a part never shifts another's initialisation.
    """
    missing = [name for name in experiment.objectives if name not in experiment.init]
    if missing:
        raise ValueError(f"objectives {missing} have nothing to train: `init` makes {sorted(experiment.init)}")

    def make(batch: Batch) -> State:
        return state_of(experiment, seed, batch)

    shape = jax.eval_shape(make, batch)
    shardings = parallel.sharding(layout, shape, experiment.tensor)
    abstract = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), shape, shardings)
    return abstract, lambda: jax.jit(make, out_shardings=shardings)(batch)


def state_of(experiment: Experiment, seed: int | Array, batch: Batch) -> State:
    """The state of step 0 that belongs to a seed."""
    # The last uint32: no step ever folds it in.
    key = jax.random.fold_in(jax.random.key(seed), jnp.uint32(2**32 - 1))
    made = {name: dict(f(jax.random.fold_in(key, zlib.crc32(name.encode())), batch)) for name, f in experiment.init.items()}
    params = {name: variables.pop("params") for name, variables in made.items()}
    opt = {name: objective.optimizer.init(params[name]) for name, objective in experiment.objectives.items()}
    extra = {name: variables for name, variables in made.items() if variables}
    return State(step=jnp.zeros((), jnp.int32), params=params, extra=extra, opt=opt)


def graft(params: Mapping[str, Any], donor: Mapping[str, Any], parts: Mapping[str, str]) -> dict[str, Any]:
    """`params` with some subtrees taken from another run's: {path here: path in the donor}, paths as "encoder/block_0".

    The donor is a subtree of what `train.export.load` gives. UsageError: a path or a leaf is missing on one side, or shapes differ.
    """
    out = jax.tree.map(lambda x: x, dict(params))  # the dicts are copied, the arrays are not
    for here, there in parts.items():
        own, given = _at(params, here, "the model"), _at(donor, there, "the donor")
        wanted, found = (jax.tree.map(lambda x: tuple(x.shape), tree) for tree in (own, given))
        if wanted != found:
            raise UsageError(
                f"{there} of the donor does not fit {here} of the model: {_difference(wanted, found)}. "
                "Choose the sizes that the donor was trained with"
            )
        *above, last = here.split("/")
        place = out
        for part in above:
            place = place[part]
        place[last] = jax.tree.map(lambda own, given: jnp.asarray(given, own.dtype), own, given)
    return out


def _at(tree: Any, path: str, whose: str) -> Any:
    for part in path.split("/"):
        if not isinstance(tree, Mapping) or part not in tree:
            names = ", ".join(tree) if isinstance(tree, Mapping) else "nothing"
            raise UsageError(f"{whose} has no {path!r}: where {part!r} should be, it has {names}")
        tree = tree[part]
    return tree


def _difference(wanted: Any, found: Any) -> str:
    """The first leaf whose shape differs, in words."""
    flat = [
        {jax.tree_util.keystr(path, simple=True, separator="/"): shape for path, shape in leaves}
        for leaves in (
            jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda x: isinstance(x, tuple)) for tree in (wanted, found)
        )
    ]
    name = next(name for name in sorted({*flat[0], *flat[1]}) if flat[0].get(name) != flat[1].get(name))
    return f"{name or 'it'} is {flat[1].get(name, 'missing')}, not {flat[0].get(name, 'missing')}"
