"""Applies a Flax module to the parameters and the extra state of its name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import flax.linen as nn
from jax import Array
from jaxtyping import PRNGKeyArray

from dlcore.sharding import Tree


def apply(
    net: nn.Module,
    name: str,
    params: Mapping[str, Tree],
    extra: Mapping[str, Tree],
    *args: Tree,
    key: PRNGKeyArray | None = None,
    **kwargs: Tree,
) -> tuple[Tree, dict[str, Tree]]:
    """Runs `net(*args, **kwargs)` with the parameters and the extra state of one model.

    Args:
        net: the module.
        name: of the model.
        params: {model: parameters}; `params[name]` is used.
        extra: {model: collections that training changes, such as batch statistics}; `extra[name]`
            is used, if there is one.
        args, kwargs: arguments of the module; with `train=True` the collections of `extra[name]`
            are mutable.
        key: random key of Flax's "dropout" stream; None: no key is passed.

    Returns:
        The module's output; a copy of `extra`, in which the collections of `name` are those after
        the call if they were mutable.
    """
    own = extra.get(name, {})
    rngs = {} if key is None else {"dropout": key}
    variables = {"params": params[name], **own}
    if not (own and kwargs.get("train")):
        return net.apply(variables, *args, rngs=rngs, **kwargs), dict(extra)
    y, changed = net.apply(variables, *args, rngs=rngs, mutable=list(own), **kwargs)
    return y, {**extra, name: dict(changed)}


def infer(net: nn.Module, params: Tree, *args: Tree, **kwargs: Tree) -> Tree:
    """Runs `net(*args, **kwargs)` with parameters and no other state, and returns its output.

    Args:
        net: the module.
        params: its parameters.
        args, kwargs: arguments of the module; `method` chooses another of its methods.
    """
    return net.apply({"params": params}, *args, **kwargs)


def outputs(run: Callable[[], object]) -> dict[str, Array]:
    """Collects the output of every module that is called while `run()` runs.

    Args:
        run: applies a network. It may be called inside a traced function, but must not contain
            rematerialised or scanned modules: their outputs cannot leave them.

    Returns:
        {path of the module, such as "encoder/block_0", "" for the network: output of its
        `__call__`}, in the order in which the modules finish; of a module that is called more than
        once, the last output. Modules whose output is not one array are left out.
    """
    found: dict[str, Array] = {}

    def keep(
        f: Callable[..., object],
        args: tuple[object, ...],
        kwargs: dict[str, object],
        context: nn.module.InterceptorContext,
    ) -> object:
        y = f(*args, **kwargs)
        if context.method_name == "__call__" and isinstance(y, Array):
            found["/".join(context.module.path)] = y
        return y

    with nn.intercept_methods(keep):
        run()
    return found
